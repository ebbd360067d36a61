"""Keeps every answer of a protocol in that protocol's own words, whatever goes wrong."""

import logging
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import MEDIA_TYPE

log = logging.getLogger(__name__)

Refusal = Callable[[Scope, int, dict[str, str]], Response | None]
"""What is said to a request in the place of a problem with this status and these headers; None
for the problem itself."""


class Guard:
    """ASGI: what refuses a request further in, and an error that nobody foresaw, said anew.

    Only under `prefix`, one or several; all other paths pass through.
    """

    def __init__(self, app: ASGIApp, *, prefix: str | tuple[str, ...], refusal: Refusal) -> None:
        self._app = app
        self._prefix = prefix
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        said: Response | None = None
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal said, started
            if message["type"] == "http.response.start":
                started = True
                said = self._instead_of(scope, message)
            if said is None:
                await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            return
        except Exception as error:  # the edge of a protocol
            if started and said is None:
                raise
            log.error("unhandled error", exc_info=error)
            said = self._refusal(scope, 500, {})
            if said is None:
                raise
        if said is not None:
            await said(scope, receive, send)

    def _instead_of(self, scope: Scope, start: Message) -> Response | None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in start["headers"]
        }
        if start["status"] < 400 or not headers.get("content-type", "").startswith(MEDIA_TYPE):
            return None
        return self._refusal(scope, start["status"], headers)
