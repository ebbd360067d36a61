"""How much callers may send, how slowly, and over how many connections.

Knows bytes and seconds, uvicorn's protocol and ASGI; not what a request means. Each limit
answers properly: the caller gets to read the answer although it is still sending, since a
connection closed with unread bytes is reset and the answer lost with it.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Never
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.problems import Problem

log = logging.getLogger(__name__)

# After an answer, how much more is read and thrown away, and for how long, before hanging up.
LINGER_SECONDS = 1.0
LINGER_BYTES = 16 * 1024 * 1024

# When the service ends, how long an idle connection may still bring a request that was on its way.
LAST_CALL_SECONDS = 0.5

# A body left unread that is shorter than this, the server reads away by itself.
_SHORT_BODY_BYTES = 64 * 1024

RESERVED_FILES = 256
"""Open files of a process that are no connections of callers: database, log, model, itself."""

_CLOSE = (b"connection", b"close")

_WHOLE = "duyet.whole_body"
"""Of a scope: that its body has arrived, so that nobody has to watch the time while it is read."""


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
        if _WHOLE in self._scope:
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
        long = self._chunked or (self.announced or 0) - self._arrived > _SHORT_BODY_BYTES
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


def connections_that_fit(asked: int) -> int:
    """How many connections this process can hold open, up to `asked`.

    Raises the soft limit of open files as far as that needs and the hard limit lets. Worker
    processes inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = asked + _refused_at_once(asked) + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return asked
    fit = max(1, (soft - RESERVED_FILES) * 16 // 17 - 16)
    log.warning("of %d connections only %d fit the limit of open files", asked, fit)
    return fit


def _refused_at_once(most: int) -> int:
    """Connections over the limit that are told so at the same time; any more are just closed."""
    return most // 16 + 16


@dataclass(slots=True)
class _Connections:
    """What the connections of one server are doing, those that have done so longest first.

    `idle` were answered and may ask again, `talking` owe the rest of a request since a time of
    the loop, `refused` read that there is no room. Whoever is being answered is in none.
    """

    idle: dict["HeadLimited", float] = field(default_factory=dict)
    talking: dict["HeadLimited", float] = field(default_factory=dict)
    refused: dict["HeadLimited", float] = field(default_factory=dict)


_OF_SERVER: WeakKeyDictionary[ServerState, _Connections] = WeakKeyDictionary()


class HeadTooLarge(Exception):
    """Stops the parser; never seen outside."""


class HeadLimited(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with limits on heads (line and headers) and on connections.

    uvicorn bounds heads only when parsing with h11; with httptools one endless header would
    fill the memory. Larger than `max_head_bytes` is 431, not complete `head_seconds` after it
    began is 408, not HTTP at all is 400, each a problem, and the connection is closed. Give
    the class itself to uvicorn, as in `Config(http=HeadLimited)`.

    `limit_concurrency` of the Config is the most connections that are open at once. In the
    last sixteenth of it each new one closes the one that has been idle longest; when there is
    no more, the one that has been sending its request longest, if that is `talk_seconds` at
    least; else the new one is 503. Whoever is being answered is let be, but an answer that
    its caller does not read for `unread_seconds` is given up.
    """

    max_head_bytes = 32 * 1024
    head_seconds = 10.0
    talk_seconds = 0.1
    unread_seconds = 30.0

    _in_head = True
    # Since the last thing the parser made sense of. It keeps an unfinished header, or one that
    # follows a chunked body, until that is complete.
    _arrived = 0
    _kept = 0  # of the line and headers, as parsed
    _refused = False
    _ends = False
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _doing: dict["HeadLimited", float] | None = None  # the one of `_open` that this is in

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's own answer to it is plain text, to requests, and lets connections be.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._open = _OF_SERVER.setdefault(server_state, _Connections())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Make room, and start the clock for the first head."""
        super().connection_made(transport)
        if self._most is not None and not self._finds_room(self._most):
            self._turn_away(self._most)
            return
        self._does(self._open.talking)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._does(None)
        self._stop_clock()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller does not read as fast as it is answered: not for ever."""
        super().pause_writing()
        self._stop_unread()
        self._unread = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads."""
        self._stop_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """The connection is idle, unless the next request has begun to arrive."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_if_unread()
        elif not self._in_head:
            # Answered before its body was complete; nobody reads that, and it must end as well.
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)
        elif not self.pipeline:
            self._does(self._open.talking if self._arrived else self._open.idle)

    def _wait_for_next(self) -> None:
        self._does(self._open.idle)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close it, even if the last answer is still unread."""
        super().timeout_keep_alive_handler()
        self._abort_if_unread()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the connection is only waiting for the caller to read the answer."""
        if self._refused:
            return
        self._arrived += len(data)
        if self._doing is self._open.idle:
            self._does(self._open.talking)
        if self._in_head and self._timer is None:
            self._start_clock()
        super().data_received(data)
        if self._arrived > self.max_head_bytes and not self._refused:
            self._refuse(_head_too_large(self.max_head_bytes))

    def eof_received(self) -> None:
        """The caller has said all; after a refusal there is nothing left to wait for."""
        if self._refused:
            self.transport.close()
        super().eof_received()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._keep(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._keep(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is read; the body has limits of its own."""
        self._in_head, self._arrived = False, 0
        self._stop_clock()
        super().on_headers_complete()
        if self._ends:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of the body is not part of any header."""
        self._arrived = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next byte, if any comes, begins another head."""
        super().on_message_complete()
        self.cycle.scope[_WHOLE] = True  # type: ignore[literal-required]  # a key of our own
        self._in_head, self._arrived, self._kept = True, 0, 0
        self._does(None)
        if self.cycle.response_complete:  # before the body was: uvicorn has set no clock for it
            self._stop_clock()
            self._unset_keepalive_if_required()
            self._wait_for_next()

    def shutdown(self) -> None:
        """The service ends: answer what is under way and say in each answer that it is the last.

        Hanging up at once would reset a request that its caller has sent and nobody has read.
        """
        self._ends = True
        if self.cycle is None or self.cycle.response_started:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read: too large a head, or no HTTP. `msg` is not shown."""
        if self._kept > self.max_head_bytes:
            self._refuse(_head_too_large(self.max_head_bytes))
        else:
            self._refuse(Problem("broken_request", "This is not a valid HTTP/1.1 request."))

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > self.max_head_bytes:
            raise HeadTooLarge

    def _does(self, doing: dict["HeadLimited", float] | None) -> None:
        if self._doing is not None:
            self._doing.pop(self, None)
        self._doing = doing
        if doing is not None:
            doing[self] = self.loop.time()

    def _finds_room(self, most: int) -> bool:
        """Whether there is room for this new connection, if need be after closing another."""
        if len(self.connections) <= most - most // 16:
            return True
        idle = next(iter(self._open.idle), None)
        if idle is not None:
            idle._leave()
            return True
        if len(self.connections) <= most:
            return True
        slowest = next(iter(self._open.talking), None)
        if slowest is None or self.loop.time() - self._open.talking[slowest] < self.talk_seconds:
            return False
        slowest._leave()
        return True

    def _leave(self) -> None:
        """Close, for somebody else; counted no more from now on."""
        self._does(None)
        self.connections.discard(self)
        self.transport.close()
        self._abort_if_unread()

    def _turn_away(self, most: int) -> None:
        """Say that there is no room, unless very many are being told so already."""
        self.connections.discard(self)
        if len(self._open.refused) >= _refused_at_once(most):
            self.transport.abort()
            return
        self._does(self._open.refused)
        self._refuse(Problem("overloaded", f"All {most} connections are in use."))

    def _abort_if_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self._stop_unread()
            self._unread = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _start_clock(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self.transport.is_closing() or not self._in_head:
            return
        if self._arrived == 0:
            self.transport.close()
        else:
            self._refuse(
                Problem("head_timeout", f"It has to arrive within {self.head_seconds:g} seconds.")
            )

    def _refuse(self, problem: Problem) -> None:
        self._refused = True
        self._stop_clock()
        if count := self.app_state.get("refused"):
            count(problem.code)
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.transport.is_closing():
            # An earlier request of this connection is being answered; two answers would mix.
            self.transport.close()
            return
        self.transport.write(_raw(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _head_too_large(most: int) -> Problem:
    return Problem("head_too_large", f"Request line and headers may have {most} bytes together.")


def _raw(problem: Problem) -> bytes:
    response = problem.response()
    lines = [f"HTTP/1.1 {problem.status} {problem.title}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    lines += [b"connection: close", b"", bytes(response.body)]
    return b"\r\n".join(lines)
