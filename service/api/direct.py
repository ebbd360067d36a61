"""A short way to one route: past what a framework does for routes in general.

FastAPI describes the route, and would serve it as well; through it a request costs more than
all that is done for its comment (docs/serving-speed.md). Knows ASGI, not what is answered.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.plain_post import TakeOver

Answer = Callable[[Scope, Receive], Awaitable[tuple[bytes, Mapping[str, str]]]]
"""Gives what answers a request with 200, and its headers but for the length, or raises."""


class App(FastAPI):
    """FastAPI, with a short way to some routes: past its own layers, through all of ours.

    FastAPI knows and describes those routes too.
    """

    def __init__(self, **described: Any) -> None:
        super().__init__(**described)
        self.short_ways: dict[str, ASGIApp] = {}
        self.straight_ways: dict[bytes, TakeOver] = {}
        """Past this app altogether, for what comes whole: see `service.api.straight`."""

    def answer_directly(
        self, path: str, answer: Answer, *, answer_to: Callable[[Exception], Response | None]
    ) -> None:
        """Answer POST to this exact path by `answer`, inside the middlewares there are by now.

        What it raises becomes what `answer_to` makes of it; None stands for an error that
        nobody foresaw.
        """
        way: ASGIApp = _Direct(path, answer, answer_to)
        for layer, arguments, named in reversed(self.user_middleware):
            way = layer(way, *arguments, **named)
        self.short_ways[path] = way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["method"] == "POST":
            short = self.short_ways.get(scope["path"])
            if short is not None:
                await short(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _Direct:
    """ASGI: answers one route with 200, or with what becomes of an error."""

    def __init__(
        self, path: str, answer: Answer, answer_to: Callable[[Exception], Response | None]
    ) -> None:
        self._answer = answer
        self._answer_to = answer_to
        self._route = _Route(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route  # for logs and metrics
        try:
            body, told = await self._answer(scope, receive)
        except Exception as error:  # the edge: each becomes an answer, or is raised again
            response = self._answer_to(error)
            if response is None:
                raise
            await response(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(body))]
        for name, value in told.items():
            headers.append((name.lower().encode(), value.encode()))
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
