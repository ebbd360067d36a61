"""A short way to one route: past what a framework does for routes in general.

FastAPI describes the route, and would serve it as well; through it a request costs more than
all that is done for its comment (docs/serving-speed.md). Knows ASGI, not what is answered.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Scope, Receive], Awaitable[tuple[bytes, Mapping[str, str]]]]
"""Gives the JSON that answers a request with 200, and headers to go with it, or raises."""

_JSON = (b"content-type", b"application/json")


class Direct:
    """ASGI: answers POST to one exact path by `answer`; all else passes through.

    What `answer` raises becomes what `answer_to` makes of it, and is raised again where that
    is None. Belongs innermost, so that limits and logs hold for this route as for all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str,
        answer: Answer,
        answer_to: Callable[[Exception], Response | None],
    ) -> None:
        self._app = app
        self._path = path
        self._answer = answer
        self._answer_to = answer_to
        self._route = _Route(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route  # for logs and metrics
        try:
            body, told = await self._answer(scope, receive)
        except Exception as error:  # the edge: each becomes an answer, or is raised again
            response = self._answer_to(error)
            if response is None:
                raise
            await response(scope, receive, send)
            return
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        headers += [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True, slots=True)
class _Route:
    path: str


async def body_of(receive: Receive) -> bytes:
    """The whole body of a request. Raises ClientDisconnect."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientDisconnect
