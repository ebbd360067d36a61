"""uvicorn's HTTP protocol, with limits: on connections, on heads, on how slowly they come.

Knows uvicorn's protocol, bytes and seconds; not what a request means, nor who gives way to whom.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.body_limit import LINGER_SECONDS, SHORT_BODY_BYTES, WHOLE_BODY
from service.plain_post import Headers, PlainPost, Reply, TakeOver, plain_post
from service.problems import Problem
from service.room import Doing, Room, refused_at_once


class TurnAway(Protocol):
    """Says who is not served, while there is too much to do."""

    @property
    def is_needed(self) -> bool:
        """Whether somebody was turned away a moment ago."""
        ...

    def __call__(self, target: bytes, headers: Headers) -> bytes | None:
        """The whole answer by which this POST is turned away; None: it is to be served."""
        ...


# When the service ends, how long an idle connection may still bring a request that was on its way.
LAST_CALL_SECONDS = 0.5

AT_THE_END = "at_the_end"
"""In a request's state: what ends an answer that has no end by itself, when the service does."""

_PIECE_BYTES, _PIECE_OF_BODY_BYTES = 1024, 16_384
"""Bytes that are parsed at a time. What follows a request that has to wait is left as it came: as
requests, the shortest ones of a whole read would take eighty times their size."""

_OF_SERVER: WeakKeyDictionary[ServerState, Room] = WeakKeyDictionary()


class HeadTooLarge(Exception):
    """Stops the parser; never seen outside."""


class UnknownCoding(Exception):
    """Stops it as well, at a body that comes in another way than in plain chunks."""


class UnclearHead(Exception):
    """And this at a head that does not say what is meant."""


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

    A `TurnAway` that the application's lifespan leaves as `turn_away` in its state is asked when
    a head is read. What it turns away never becomes a request of the application: thousands a
    second, of more callers than can be served, take next to nothing from those that can.

    A plain POST to one of the targets in `take_over` there is offered to its `TakeOver` before
    anything else is done for it. While that answers it, whatever else arrives has to wait; so has
    what arrives behind a request that waits for another one's answer.
    """

    max_head_bytes = 32 * 1024
    head_seconds = 10.0
    talk_seconds = 0.1
    unread_seconds = 30.0

    _in_head = True
    _has_begun = False  # some of a head or body is there that is not complete
    _is_upgrading = False  # the request of which the parser tells asks for another protocol
    _has_said_all = False  # the caller sends nothing more, and may still read
    _last: bytes | None = None  # what is said when those before it are answered
    # Since the last thing the parser made sense of. It keeps an unfinished header, or one that
    # follows a chunked body, until that is complete.
    _arrived = 0
    _kept = 0  # of the line and headers, as parsed
    _refused = False
    _answer: bytes | None = None  # to a request that is turned away, while its body comes
    _thrown_away = 0  # of that body
    _is_let_in = False  # the request of which the parser is about to tell
    _is_taken_over = False  # a plain POST is being answered
    _keeps_open = True  # after that
    _early = b""  # what arrived meanwhile
    _has_waited = False  # a plain POST is offered again
    _answered_at = 0.0  # when a plain POST was answered, for the clock of idle connections
    _ends = False
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _doing: Doing | None = None  # the one of `_room` that this is in

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
        self._room = _OF_SERVER.setdefault(server_state, Room())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Make room, and start the clock for the first head."""
        super().connection_made(transport)
        if self._most is not None:
            number, now = len(self.connections), self.loop.time()
            if not self._room.is_made(number, self._most, now, self.talk_seconds):
                self._say_no_room(self._most)
                return
        self._does(self._room.talking)
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
        goes_on = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_if_unread()
        elif goes_on:
            if not self.pipeline and not self._in_head:
                self._does(self._room.talking)  # whose body is still to come
            self._read_on()
        elif self._last is not None:
            self._say_the_last(self._last)
        elif self._has_said_all and not self._early:
            self.transport.close()
        elif not self._in_head:
            # Answered before its body was complete; nobody reads that, and it must end as well.
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)
            self._read_on()
        else:
            self._does(self._room.talking if self._arrived else self._room.idle)
            self._read_on()

    def _read_on(self) -> None:
        """Read what was left as it came, unless a request waits already."""
        if self._early:
            self.flow.pause_reading()
            if not self.pipeline:
                self.loop.call_soon(self._read_early)

    def _wait_for_next(self) -> None:
        self._unset_keepalive_if_required()
        self._does(self._room.idle)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close it, even if the last answer is still unread."""
        used_for = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._is_taken_over or self._is_answering():
            used_for = self.timeout_keep_alive
        if used_for > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                used_for, self.timeout_keep_alive_handler
            )
            return
        super().timeout_keep_alive_handler()
        self._abort_if_unread()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the connection is only waiting for the caller to read the answer."""
        if self._is_taken_over or self._early or self.pipeline:
            self._early += data
            self.flow.pause_reading()
            return
        if self._refused or self._is_plain_and_settled(data):
            return
        self._arrived += len(data)
        if self._doing is self._room.idle:
            self._does(self._room.talking)
        if self._in_head and self._timer is None:
            self._start_clock()
        self._parse(data)
        if self._refused:
            return
        if self._has_begun and self._in_head and not self._arrived and not self._early:
            # The end of these bytes is the beginning of another head.
            self._arrived = 1
            if self._timer is None:
                self._start_clock()
        if self._arrived > self.max_head_bytes:
            self._refuse(_head_too_large(self.max_head_bytes))

    def _parse(self, data: bytes) -> None:
        """As uvicorn does, but for requests that offer another protocol, which it drops."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while rest and not self._refused:
                most = _PIECE_BYTES if self._in_head else _PIECE_OF_BODY_BYTES
                rest = rest[self._parsed(rest[:most]) :]
                if self.pipeline and rest:
                    self._early = bytes(rest)
                    self.flow.pause_reading()
                    return
        except httptools.HttpParserError:
            self.send_400_response("")

    def _parsed(self, data: memoryview) -> int:
        """How many of some bytes are read: all, or up to the end of a head with an offer."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_offer()
            return int(upgrade.args[0])
        return len(data)

    def _read_without_offer(self) -> None:
        """Read a head that offers to speak another protocol as if it did not: RFC 9110, 7.8.

        The parser would leave the body unread, which would pass for the next request. Raises
        HttpParserError for a head that is nothing without its offer.
        """
        self._is_upgrading = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name not in _OFFERS:
                head.append(name + b": " + (_kept(value) if name == b"connection" else value))
        self.parser = _parser_for(self)
        self._kept = 0
        self.parser.feed_data(b"\r\n".join((*head, b"", b"")))

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's hangs up
        """The caller has said all: it hears the answers that it waits for, then that is the end."""
        is_waited_for = self._is_taken_over or self._is_answering() or bool(self._early)
        if self._refused and not is_waited_for:
            self.transport.close()
        if not is_waited_for:
            return None
        self._has_said_all = True
        if not self._is_taken_over and not self._early and self._last is None:
            if not self._in_head and self.pipeline:
                self._drop_unfinished()  # its body never comes
            last = self.pipeline[0][0] if self.pipeline else self.cycle
            last.keep_alive = False
        return True

    def _is_answering(self) -> bool:
        """Whether a request that came whole is not answered yet."""
        return bool(self.pipeline) or (
            self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        )

    def on_message_begin(self) -> None:
        """Another head begins."""
        self._has_begun = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._keep(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; one that follows the body is none of the request's (RFC 9110, 6.5.1)."""
        self._keep(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is read; the body has limits of its own."""
        if self.parser.should_upgrade():
            self._is_upgrading = True
            return
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and [value.strip().lower() for value in codings] != [b"chunked"]:
            raise UnknownCoding
        if not _is_readable(self.url) or not self._names_one_host():
            raise UnclearHead
        if self._is_turned_away():
            return  # its clock goes on: the body has to come as well
        self._in_head, self._arrived = False, 0
        self._stop_clock()
        super().on_headers_complete()
        if self._ends:
            self.cycle.keep_alive = False

    def _names_one_host(self) -> bool:
        """Whether it is said which host is meant: RFC 9112, 3.2."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        return hosts == 1 or (hosts == 0 and self.parser.get_http_version() == "1.0")

    def on_body(self, body: bytes) -> None:
        """A part of the body is not part of any header."""
        self._arrived = 0
        if self._answer is None:
            super().on_body(body)
            return
        self._thrown_away += len(body)
        if self._thrown_away > SHORT_BODY_BYTES:
            self._say_the_last(self._answer)

    def on_message_complete(self) -> None:
        """The next byte, if any comes, begins another head."""
        if self._is_upgrading:
            return
        self._has_begun = False
        if self._answer is not None:
            self._turn_away(self._answer)
            return
        super().on_message_complete()
        self.cycle.scope[WHOLE_BODY] = True  # type: ignore[literal-required]  # a key of our own
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
        if self._is_taken_over:
            self._keeps_open = False
            return
        self._end_the_endless()
        if self.cycle is None or self.cycle.response_started:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            self.cycle.keep_alive = False

    def _end_the_endless(self) -> None:
        """An answer that has no end by itself would be waited for in vain."""
        if self.cycle is None or self.cycle.response_complete:
            return
        end: Callable[[], None] | None = self.cycle.scope.get("state", {}).get(AT_THE_END)
        if end is not None:
            end()
            if self.flow.write_paused:  # nobody reads it: it would not learn of its end
                self.transport.abort()

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

    def _does(self, doing: Doing | None) -> None:
        if self._doing is not None:
            self._doing.pop(self, None)
        self._doing = doing
        if doing is not None:
            doing[self] = self.loop.time()

    def leave(self) -> None:
        """Close, for somebody else; counted no more from now on."""
        self._does(None)
        self.connections.discard(self)
        self.transport.close()
        self._abort_if_unread()

    def _say_no_room(self, most: int) -> None:
        """Say that there is no room, unless very many are being told so already."""
        self.connections.discard(self)
        if len(self._room.refused) >= refused_at_once(most):
            self.transport.abort()
            return
        self._does(self._room.refused)
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
        if self.transport.is_closing():
            return
        is_waited_for = bool(self.pipeline)  # what is queued waits for one that is being answered
        if not self._in_head:
            if self.cycle.response_started and not self.cycle.response_complete:
                self.transport.close()  # in the middle of its own answer nothing else can be said
                return
            self._drop_unfinished()
        if is_waited_for or self._is_answering():
            self._last = self._raw(problem)  # after their answers
        else:
            self._say_the_last(self._raw(problem))

    def _raw(self, problem: Problem) -> bytes:
        response = problem.response()
        lines = [f"HTTP/1.1 {problem.status} {problem.title}".encode()]
        for name, value in (*self.server_state.default_headers, *response.raw_headers):
            lines.append(name + b": " + value)
        lines += [b"connection: close", b"", bytes(response.body)]
        return b"\r\n".join(lines)

    def _drop_unfinished(self) -> None:
        """The request whose body is broken: what answers it is told that its caller has left."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        if self.pipeline:
            self.pipeline.popleft()
        cycle.disconnected = True
        cycle.message_event.set()

    def _say_the_last(self, answer: bytes) -> None:
        """Answer although more is being sent, let the caller read that, hang up."""
        self._refused = True
        self._stop_clock()
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _is_plain_and_settled(self, data: bytes) -> bool:
        """Whether this is a plain POST that is turned away, or taken over: no more to do here."""
        take_over: dict[bytes, TakeOver] = self.app_state.get("take_over", {})
        turn_away: TurnAway | None = self.app_state.get("turn_away")
        if not (take_over or turn_away) or not self._is_between_requests():
            return False
        post = plain_post(data)
        if post is None or len(data) - len(post.body) > self.max_head_bytes:
            return False
        if turn_away is not None and turn_away.is_needed:
            if (answer := turn_away(post.target, post.headers)) is not None:
                self.transport.write(answer if post.keeps_open else _with_the_end(answer))
                self._has_answered(keeps_open=post.keeps_open)
                return True
            self._is_let_in = True
        takes = take_over.get(post.target)
        return takes is not None and self._is_taken_over_by(takes, post, data)

    def _is_between_requests(self) -> bool:
        return (
            (self._doing is self._room.idle or self._doing is self._room.talking)
            and self._in_head
            and not self._arrived
            and not self._has_begun
            and self._answer is None
            and not self.flow.write_paused
            and not self._ends
        )

    def _is_taken_over_by(self, takes: TakeOver, post: PlainPost, data: bytes) -> bool:
        doing = self._doing
        again = None if self._has_waited else partial(self._offer_again, data, doing)
        self._is_taken_over, self._keeps_open = True, post.keeps_open
        self._stop_clock()
        self._does(None)
        if not takes(post, self._reply, again):
            self._is_taken_over = False
            self._does(doing)
            return False
        self._is_let_in = False
        return True

    def _offer_again(self, data: bytes, doing: Doing | None) -> None:
        self._is_taken_over = False
        if self.transport.is_closing():
            return
        self._does(doing)
        self._early = data + self._early
        self._has_waited = True
        self._read_early()
        self._has_waited = False
        if self._has_said_all and not self.eof_received():
            self.transport.close()

    def _reply(self, reply: Reply) -> None:
        """Answer what was taken over, unless its caller has left."""
        self._is_taken_over = False
        if self.transport.is_closing():
            return
        parts = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            parts += (name, b": ", value, b"\r\n")
        if not self._keeps_open:
            parts.append(b"connection: close\r\n")
        self.transport.write(b"".join((*parts, b"\r\n", reply.body)))
        self.server_state.total_requests += 1
        goes_on = bool(self._early) or not self._has_said_all
        self._has_answered(keeps_open=self._keeps_open and goes_on)
        if self._early:
            self.loop.call_soon(self._read_early)

    def _read_early(self) -> None:
        """Read what arrived while the one before it was answered, and whatever comes after that."""
        early, self._early = self._early, b""
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(early)

    def _has_answered(self, *, keeps_open: bool) -> None:
        """A plain POST is answered: wait for the next request, or hang up."""
        self._stop_clock()
        if not keeps_open:
            self.transport.close()
            self._abort_if_unread()
        elif self.timeout_keep_alive_task is None:
            self._wait_for_next()
        else:  # its clock goes on, and is told when it rings
            self._answered_at = self.loop.time()
            self._does(self._room.idle)

    def _is_turned_away(self) -> bool:
        if self._is_let_in:
            self._is_let_in = False
            return False
        turn_away: TurnAway | None = self.app_state.get("turn_away")
        if (
            turn_away is None
            or self.parser.get_method() != b"POST"
            or self.expect_100_continue
            or self.flow.write_paused
            or not (self.cycle is None or self.cycle.response_complete)
            or self._ends
        ):
            return False
        self._answer = turn_away(self.url, self.headers)
        self._thrown_away = 0
        return self._answer is not None

    def _turn_away(self, answer: bytes) -> None:
        """Its body has come: answer, and wait for the next request."""
        self._answer = None
        if self._refused:
            return
        # An older client would have to be told that its connection stays open.
        keeps_open = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        self.transport.write(answer if keeps_open else _with_the_end(answer))
        self._arrived = self._kept = 0
        self._stop_clock()
        if keeps_open:
            self._wait_for_next()
        else:
            self.transport.close()


_OFFERS = frozenset((b"upgrade", b"http2-settings"))


def _kept(tokens: bytes) -> bytes:
    """What a connection is to do, without offers."""
    said = (token.strip() for token in tokens.split(b","))
    return b", ".join(token for token in said if token.lower() not in _OFFERS)


def _parser_for(protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """As uvicorn makes it: what comes after the last request of a connection is no error."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _head_too_large(most: int) -> Problem:
    return Problem("head_too_large", f"Request line and headers may have {most} bytes together.")


def _with_the_end(answer: bytes) -> bytes:
    """An answer that says of itself that it is the connection's last."""
    return answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


def _is_readable(target: bytes) -> bool:
    """Whether the target of a request can be taken apart as uvicorn does."""
    try:
        path: bytes | None = httptools.parse_url(target).path
    except httptools.HttpParserInvalidURLError:
        return False
    return path is not None and path.isascii()
