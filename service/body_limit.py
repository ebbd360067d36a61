"""How large a request's body may be, and how long it may take to arrive.

Knows bytes, seconds and ASGI; not what a request means. Each limit answers properly: the caller
gets to read the answer although it is still sending, since a connection closed with unread
bytes is reset and the answer lost with it.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Never

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Problem

# After an answer, how much more is read and thrown away, and for how long, before hanging up.
LINGER_SECONDS = 1.0
LINGER_BYTES = 16 * 1024 * 1024

SHORT_BODY_BYTES = 64 * 1024
"""A body left unread that is shorter than this, the server reads away by itself."""

_CLOSE = (b"connection", b"close")

WHOLE_BODY = "duyet.whole_body"
"""Key of a scope: its body has arrived, so that nobody has to watch the time while it is read."""


class _Refused(HTTPException):
    """Ends the reading; an HTTPException, because FastAPI turns any other into a 400."""


class BodyLimit:
    """ASGI: bodies of at most so many bytes, arriving within so many seconds, uncompressed.

    Bytes are counted as they arrive, whatever Content-Length says; one that announces too much
    is refused unread. `by_path` gives other limits for exact paths. The seconds, more than 0,
    run from when the application first asks for the body until it is complete. Too large is
    413, too slow 408, compressed 415, and the connection is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        timeout_seconds: float,
        by_path: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = timeout_seconds
        self._by_path = dict(by_path or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; all but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._by_path.get(scope["path"], self._max_bytes)
        body = _Body(scope, receive, send, most=most, seconds=self._seconds)
        if body.announced is not None and body.announced > most:
            await body.refuse(_too_large(most))
            return
        if body.is_encoded:
            await body.refuse(_encoded())
            return
        try:
            await self._app(scope, body.receive, body.send)
        except _Refused:
            if body.started:
                raise
        if body.refusal and not body.started:
            await body.refuse(body.refusal)


class _Body:
    """One request's body on its way in, and the answer on its way out."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, most: int, seconds: float
    ) -> None:
        headers = dict(scope["headers"])
        self.announced, self._chunked = _announced(headers)
        self.is_encoded = bool(self._chunked or self.announced) and _is_encoded(headers)
        self.refusal: Problem | None = None
        self.started = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._most = most
        self._seconds = seconds
        self._deadline: float | None = None
        self._arrived = 0
        self._complete = not (self._chunked or self.announced)
        self._lingers = False

    async def receive(self) -> Message:
        """The next part. Raises _Refused when there was too much or it took too long."""
        if self._complete:  # waits for the caller to leave, for as long as the answer takes
            return await self._receive()
        if WHOLE_BODY in self._scope:
            message = await self._receive()
        else:
            message = await self._receive_in_time()
        self._count(message)
        if self._arrived > self._most:
            self._give_up(_too_large(self._most))
        return message

    async def _receive_in_time(self) -> Message:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                return await self._receive()
        except TimeoutError:
            self._give_up(_too_slow(self._seconds))

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless the body has been refused meanwhile."""
        if self.refusal and not self.started:
            return
        if message["type"] == "http.response.start":
            message = self._with_close(message)
            self.started = True
        if self._lingers and message["type"] == "http.response.body":
            await self._send_and_linger(message)
            return
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with the problem, read on for a moment, hang up."""
        self.started = self._lingers = True
        response = problem.response()
        headers = [*response.raw_headers, _CLOSE]
        await self._send(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self._send_and_linger({"type": "http.response.body", "body": response.body})

    def _give_up(self, problem: Problem) -> Never:
        self.refusal = problem
        raise _Refused(problem.status)

    def _count(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._arrived += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)

    def _with_close(self, start: Message) -> Message:
        """An answer given before a long body was read is the connection's last."""
        long = self._chunked or (self.announced or 0) - self._arrived > SHORT_BODY_BYTES
        if self._complete or not long:
            return start
        self._lingers = True
        return {**start, "headers": [*start.get("headers", ()), _CLOSE]}

    async def _send_and_linger(self, message: Message) -> None:
        last = not message.get("more_body", False)
        await self._send({**message, "more_body": True})
        if last:
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        until = self._arrived + LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._complete and self._arrived < until:
                    self._count(await self._receive())
        except TimeoutError:
            return


def _announced(headers: Mapping[bytes, bytes]) -> tuple[int | None, bool]:
    """What Content-Length says, if it can be read, and whether the body comes in chunks."""
    length = headers.get(b"content-length", b"").decode("latin-1")
    chunked = b"transfer-encoding" in headers
    return (int(length) if length.isdecimal() and len(length) < 19 else None), chunked


def _is_encoded(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-encoding", b"").strip().lower() not in {b"", b"identity"}


def _encoded() -> Problem:
    return Problem(
        "wrong_content_type",
        "Bodies are taken as they are: send it uncompressed, without Content-Encoding.",
        headers={"Accept-Encoding": "identity"},
    )


def _too_large(most: int) -> Problem:
    return Problem("body_too_large", f"At most {most} bytes are taken here.")


def _too_slow(seconds: float) -> Problem:
    return Problem("body_timeout", f"The whole body has to arrive within {seconds:g} seconds.")
