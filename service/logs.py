"""Log lines: one shape, one place where they are made safe.

Knows Python's logging and ASGI. Nothing that a visitor sent belongs in a log; in case some
library logs it all the same, every line passes through here: addresses are masked, line
breaks and control characters are escaped, and an exception shows its type and the way it
came but never its message, which may quote SQL parameters or input.
"""

import json
import logging
import random
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.addresses import mask_addresses

log = logging.getLogger(__name__)

_random = random.Random()  # tells requests apart; no one is kept out by it
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_trace_id: ContextVar[str] = ContextVar("trace_id", default="")

# Attributes every record has; what is left was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

# These write what was sent (bodies, parameters, query strings) at the levels left out here.
_QUIET: Mapping[str, int] = {
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "python_multipart": logging.WARNING,
    "multipart": logging.WARNING,
    "psycopg": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "opentelemetry": logging.WARNING,
    "requests": logging.WARNING,
    "urllib3": logging.WARNING,
    "asyncio": logging.INFO,
    "uvicorn": logging.INFO,
    "uvicorn.access": logging.CRITICAL + 1,
}

# Control characters and the separators that a terminal or a log reader takes for a new line.
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x0A
} | {0x0A: "\\n", 0x2028: "\\u2028", 0x2029: "\\u2029"}

# Probes come every few seconds and say nothing while all is well.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def described(error: BaseException) -> str:
    """An exception as it may be logged: types and places along its causes, never a message."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append(_one_described(current))
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "\n  after ".join(parts)


def _one_described(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-30)
    way = "".join(f"\n    {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    inner = ""
    if isinstance(error, BaseExceptionGroup):
        inner = "".join(f"\n  with {_one_described(part)}" for part in error.exceptions)
    return f"{type(error).__module__}.{type(error).__qualname__}{way}{inner}"


class SafeFormatter(logging.Formatter):
    """A record as one line of text or JSON (`as_json`), safe to keep.

    Text may be followed by indented lines with the way of an exception.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._second = (0, "")

    def _at(self, created: float) -> str:
        """The time to the millisecond; lines of one second share all but that."""
        second, milliseconds = divmod(int(created * 1000), 1000)
        known, said = self._second
        if known != second:
            said = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, said)
        return f"{said}.{milliseconds:03}+00:00"

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break at its end."""
        fields = _fields_of(record, self._at(record.created))
        if self._as_json:
            return json.dumps(fields, ensure_ascii=False, default=str)
        return _as_text(fields)


def _fields_of(record: logging.LogRecord, at: str) -> dict[str, object]:
    fields: dict[str, object] = {
        "at": at,
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _safe(record.getMessage()),
    }
    if request_id := _request_id.get():
        fields["request_id"] = request_id
    if trace_id := _trace_id.get():
        fields["trace_id"] = trace_id
    for name, value in vars(record).items():
        if name not in _STANDARD:
            fields[_safe(name)] = value if isinstance(value, int | float) else _safe(str(value))
    if record.exc_info and (error := record.exc_info[1]):
        fields["exception"] = mask_addresses(described(error))
    return fields


def _as_text(fields: dict[str, object]) -> str:
    exception = fields.pop("exception", None)
    head = " ".join(str(fields.pop(name)) for name in ("at", "level", "logger", "message"))
    rest = "".join(f" {name}={value}" for name, value in fields.items())
    return head + rest + (f"\n  {exception}" if exception else "")


def _safe(text: str) -> str:
    if text.isascii() and text.isprintable():  # nearly always, and ten times as fast
        return mask_addresses(text)
    # Half a surrogate pair cannot be written as UTF-8; the line would be lost.
    writable = text.encode(errors="backslashreplace").decode()
    return mask_addresses(writable).translate(_ESCAPES)


class _SafeHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        # The inherited method prints the arguments of the record that failed. And where the log
        # lies on a full disk, this line fails like the first; no request must fail with it.
        with suppress(OSError, ValueError):
            self.stream.write(f"a log line of {record.name} could not be written\n")


def configure(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["text", "json"],
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process through the safe formatter to `stream` (stderr).

    Replaces the handlers of the root logger and of uvicorn's, and takes over warnings and what
    no one caught, in any thread. Start uvicorn with `log_config=None` and `access_log=False`.
    """
    handler = _SafeHandler(stream or sys.stderr)
    handler.setFormatter(SafeFormatter(as_json=form == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        quiet = logging.getLogger(name)
        quiet.handlers.clear()
        quiet.setLevel(max(least, root.level))
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(
    kind: type[BaseException], error: BaseException, way: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("stopped by an error that nothing caught", exc_info=(kind, error, way))


def _log_uncaught_in_thread(stopped: threading.ExceptHookArgs) -> None:
    if stopped.exc_value is not None:
        log.error(
            "a thread stopped by an error that nothing caught",
            exc_info=(stopped.exc_type, stopped.exc_value, stopped.exc_traceback),
        )


def new_request_id() -> str:
    """16 hexadecimal digits, which need to be new but no secret."""
    return f"{_random.getrandbits(64):016x}"


def request_id(scope: Scope) -> str:
    """The id of the request in its scope; made and kept there on first use."""
    state = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = new_request_id()
    return str(state["request_id"])


class Identified:
    """Log lines of the block carry this request's id."""

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def __enter__(self) -> None:
        self._token = _request_id.set(self._identity)

    def __exit__(self, *_: object) -> None:
        _request_id.reset(self._token)


@contextmanager
def traced_as(trace_id: str) -> Iterator[None]:
    """Log lines of the block carry this trace id: 32 hexadecimal digits, ours or checked."""
    token = _trace_id.set(trace_id)
    try:
        yield
    finally:
        _trace_id.reset(token)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as /v1/comments/{id}.

    Never the path itself, which a visitor may have written; "unmatched" when no route did.
    """
    # FastAPI keeps the template with its router's prefix apart from the route.
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else "unmatched"


def method_of(scope: Scope) -> str:
    """The method, one of a closed list; whatever else was sent is "OTHER"."""
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as far as logs and metrics may know. Seconds are at least 0.

    `problem` is the code when the answer was one; `example` names the request by its trace id,
    or by its request id where there is none.
    """

    method: str
    route: str
    status: int
    seconds: float
    problem: str = ""
    example: Mapping[str, str] | None = None


_PROBLEM = (b"content-type", b"application/problem+json")
_CODE = re.compile(r"[a-z0-9_]{1,40}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


# What nginx logs, too, when the client left before it was answered; never sent to anyone.
_CLIENT_GONE = 499


class RequestLines:
    """Logs one line of each request; `seen` is told of every exchange as well."""

    def __init__(self, seen: Callable[[Exchange], None] | None = None) -> None:
        self._seen = seen

    def tell(self, exchange: Exchange) -> None:
        """One request has its answer."""
        if self._seen:
            self._seen(exchange)
        level = logging.INFO
        if exchange.route in PROBES and exchange.status < 500:
            level = logging.DEBUG
        if not log.isEnabledFor(level):
            return
        extra: dict[str, object] = {
            "method": exchange.method,
            "route": exchange.route,
            "status": exchange.status,
            "ms": round(exchange.seconds * 1000, 1),
        }
        problem = exchange.problem
        log.log(level, "request", extra=extra | ({"problem": problem} if problem else {}))


class RequestLog:
    """ASGI: gives each request an id, answers it as `X-Request-ID`, and logs one line.

    `seen` is told of every exchange as well. Belongs outermost, so that it sees every answer.
    An id that the client sends is not taken over: it could hold anything.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        seen: Callable[[Exchange], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._lines = RequestLines(seen)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; all but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity, began = request_id(scope), self._clock()
        own_header = (b"x-request-id", identity.encode())
        status, problem, is_problem = _CLIENT_GONE, "", False

        async def send_with_id(message: Message) -> None:
            nonlocal status, problem, is_problem
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), own_header]
                message = {**message, "headers": headers}
                is_problem = status >= 400 and _PROBLEM in headers
            elif is_problem and not problem:
                problem = code_of(message.get("body", b""))
            await send(message)

        with Identified(identity):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                self._tell(scope, status, self._clock() - began, problem)

    def _tell(self, scope: Scope, status: int, seconds: float, problem: str) -> None:
        trace_id = _trace_id.get()
        example = {"trace_id": trace_id} if trace_id else {"request_id": request_id(scope)}
        self._lines.tell(
            Exchange(method_of(scope), route_of(scope), status, seconds, problem, example)
        )


def code_of(body: bytes) -> str:
    """The code of a problem, as we wrote it; "" for anything else."""
    try:
        code = json.loads(body).get("code")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
