"""Where Perspective's clients call, and the document that builds Google's own clients."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.api.perspective.answers import Refused
from service.api.perspective.discovery import document
from service.api.perspective.door import PerspectiveDoor

ANALYZE = "/v1alpha1/comments:analyze"

_JSON: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "parameters": [
        {
            "name": "key",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "A key of the site, unless X-Goog-Api-Key has it.",
        }
    ],
}
_Called = Callable[[Request], Awaitable[Response]]


def routes(door: PerspectiveDoor, own_url: str) -> APIRouter:
    """The two methods, and the document at both of its addresses.

    `own_url` is where the service is reached from outside; "" for wherever a request came to.
    """
    router = APIRouter(tags=["perspective"])
    posted: dict[str, tuple[_Called, str]] = {
        ANALYZE: (door.analyze, "Score a comment, as Perspective does"),
        "/v1alpha1/comments:suggestscore": (door.suggest, "Say that a score was wrong"),
    }
    for path, (called, summary) in posted.items():
        router.add_api_route(
            path,
            _answering(called),
            methods=["POST"],
            summary=summary,
            response_class=Response,
            responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
            openapi_extra=_JSON,
            operation_id=f"perspective_{path.rpartition(':')[2]}",
        )

    async def described(request: Request) -> JSONResponse:
        return JSONResponse(document(own_url or str(request.base_url)))

    for path in ("/$discovery/rest", "/discovery/v1/apis/commentanalyzer/v1alpha1/rest"):
        router.add_api_route(
            path,
            described,
            methods=["GET"],
            summary="What Google's clients are built from",
            response_class=JSONResponse,
            operation_id=f"discovery_{'short' if path.startswith('/$') else 'long'}",
        )
    return router


def _answering(called: _Called) -> _Called:
    async def answer(request: Request) -> Response:
        try:
            return await called(request)
        except Refused as refused:
            return refused.response()

    return answer
