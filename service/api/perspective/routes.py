"""Where Perspective's clients call, and the document that builds Google's own clients."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.api.perspective.answers import Refused
from service.api.perspective.calls import AnalyzeIn, SuggestIn
from service.api.perspective.discovery import document, schema_of
from service.api.perspective.door import PerspectiveDoor

ANALYZE = "/v1alpha1/comments:analyze"

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
_REFUSALS: Mapping[int, str] = {
    400: "The call or its key is wrong.",
    403: "A key is missing.",
    408: "The call took too long to arrive.",
    413: "The comment is too long.",
    415: "The body is compressed.",
    429: "The site calls more often than it may.",
    500: "Something broke inside the service.",
    503: "There is no score now.",
}
_Called = Callable[[Request], Awaitable[Response]]


def routes(door: PerspectiveDoor, own_url: str) -> APIRouter:
    """The two methods, and the document at both of its addresses.

    `own_url` is where the service is reached from outside; "" for wherever a request came to.
    """
    router = APIRouter(tags=["perspective"])
    posted: tuple[tuple[str, _Called, str, type[BaseModel], str], ...] = (
        (ANALYZE, door.analyze, "Score a comment", AnalyzeIn, "AnalyzeCommentResponse"),
        (
            *("/v1alpha1/comments:suggestscore", door.suggest, "Say that a score was wrong"),
            *(SuggestIn, "SuggestCommentScoreResponse"),
        ),
    )
    for path, called, summary, body, answer in posted:
        router.add_api_route(
            path,
            _answering(called),
            methods=["POST"],
            summary=summary,
            response_class=Response,
            responses=_answers(schema_of(answer)),
            openapi_extra={"requestBody": {"required": True, "content": _json(_ref_to(body))}},
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


def _ref_to(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answers(schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    refused: dict[int | str, dict[str, Any]] = {
        status: {"description": said, "content": _json(_ERROR)}
        for status, said in _REFUSALS.items()
    }
    return {200: {"content": _json(schema)}} | refused


def _answering(called: _Called) -> _Called:
    async def answer(request: Request) -> Response:
        try:
            return await called(request)
        except Refused as refused:
            return refused.response()

    return answer
