"""Everything that is not an answer: RFC 9457 problems, for every error there is.

Knows HTTP and the wording for developers. A problem names the field, what is wrong and what
would be right; it never repeats what was sent, and nothing here reads an exception's message.
The wording for visitors, in their language, is not made here.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import request_id

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PAGE = "/docs/problems"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status and what it is, in a few words that never change."""

    status: int
    title: str


# Every code a caller can meet at the top of a problem; the page at /docs/problems lists them.
KINDS: Mapping[str, Kind] = {
    "broken_json": Kind(400, "The body is not valid JSON"),
    "broken_request": Kind(400, "The request cannot be read"),
    "not_utf8": Kind(400, "The body is not valid UTF-8"),
    "too_deep": Kind(400, "The JSON is nested too deeply"),
    "unknown_key": Kind(401, "The key is missing or unknown"),
    "not_allowed": Kind(403, "This is not allowed"),
    "not_found": Kind(404, "There is nothing at this address"),
    "unknown_comment": Kind(404, "No such comment"),
    "wrong_method": Kind(405, "This address does not take this method"),
    "body_timeout": Kind(408, "The body took too long to arrive"),
    "head_timeout": Kind(408, "The head of the request took too long to arrive"),
    "already_decided": Kind(409, "Someone decided first"),
    "nothing_to_undo": Kind(409, "No decision stands that could be taken back"),
    "body_too_large": Kind(413, "The body is too large"),
    "wrong_content_type": Kind(415, "The body's content type is not one this address takes"),
    "submission_invalid": Kind(422, "The comment does not pass the form's rules"),
    "key_reused": Kind(422, "The idempotency key was used with another body"),
    "too_complex": Kind(422, "The batch has more brackets or commas than a batch can need"),
    "too_many_items": Kind(422, "The batch has too many comments"),
    "wrong_fields": Kind(422, "The request is well formed but its fields are not right"),
    "too_many_requests": Kind(429, "Too many requests"),
    "head_too_large": Kind(431, "The request line and headers are too large"),
    "internal_error": Kind(500, "Something broke inside the service"),
    "not_ready": Kind(503, "The service is not ready"),
    "overloaded": Kind(503, "The service has too much to do"),
    "store_unavailable": Kind(503, "The store is not available"),
}

_OF_STATUS: Mapping[int, str] = {
    400: "broken_request",
    401: "unknown_key",
    403: "not_allowed",
    404: "not_found",
    405: "wrong_method",
    408: "body_timeout",
    413: "body_too_large",
    415: "wrong_content_type",
    422: "wrong_fields",
    429: "too_many_requests",
    503: "overloaded",
}

# Sent with a status unless the problem brings its own.
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "5"},
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, and what would be right. `field` is a path with dots."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """An answer that is a problem of one of `KINDS`.

    `detail` is for a developer and says what would be right; `more` adds members to the body,
    `headers` to the answer. None of them may hold anything that was sent. Raises KeyError for
    a code that `KINDS` does not have.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = KINDS[code].status
        self.title = KINDS[code].title
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def body(self) -> dict[str, object]:
        """The problem's members, in the order they are written."""
        members: dict[str, object] = {
            "type": f"{PAGE}#{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [asdict(error) for error in self.errors]
        return members | self.more

    def response(self) -> Response:
        """The problem as an HTTP answer."""
        return Response(
            json.dumps(self.body(), ensure_ascii=False),
            status_code=self.status,
            headers={
                "Cache-Control": "no-store",
                **_HEADERS.get(self.status, {}),
                **self.headers,
            },
            media_type=MEDIA_TYPE,
        )


def install(app: FastAPI, kinds: Mapping[type[Exception], str] | None = None) -> None:
    """Make `app` answer every error with a problem.

    `kinds` gives the code for exceptions of one's own, as in {StoreUnavailable:
    "store_unavailable"}. Whatever else is raised becomes a 500 with the id of the request,
    under which type and place are logged.
    """
    answer_to = answers(kinds or {})

    async def answered(_: Request, error: Exception) -> Response:
        response = answer_to(error)
        assert response is not None, "only what it knows is given to it"
        return response

    for kind in (*(kinds or {}), Problem, RequestValidationError):
        app.add_exception_handler(kind, answered)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_middleware(_Unhandled)


def answers(kinds: Mapping[type[Exception], str]) -> Callable[[Exception], Response | None]:
    """What answers an error, `kinds` as for `install`; None for one that is none of them."""
    codes = dict(kinds)

    def answer_to(error: Exception) -> Response | None:
        if isinstance(error, Problem):
            return error.response()
        if isinstance(error, RequestValidationError):
            return Problem("wrong_fields", errors=field_errors(error.errors())).response()
        code = next((codes[kind] for kind in type(error).__mro__ if kind in codes), None)
        if code is None:
            return None
        later = _retry_after(error)
        if KINDS[code].status >= 500 and not later:  # else it is no failure, and there are many
            log.warning("request failed", extra={"code": code}, exc_info=error)
        return Problem(code, headers=later).response()

    return answer_to


def _retry_after(error: Exception) -> dict[str, str]:
    """When to come back, where the error itself knows."""
    seconds = getattr(error, "retry_after_seconds", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


async def _of_http(request: Request, error: Exception) -> Response:
    """Status and headers (Allow, WWW-Authenticate) count; the text of the exception does not."""
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    code = _OF_STATUS.get(
        error.status_code, "broken_request" if error.status_code < 500 else "internal_error"
    )
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    return Problem(code, headers=headers).response()


_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def _methods_at(request: Request) -> list[str]:
    """The methods that an address takes; the framework names those of its first route alone."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


class _Unhandled:
    """Answers what nothing else did, so that neither Starlette nor uvicorn prints its message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            return  # no one is left to answer
        except Exception as error:  # noqa: BLE001  the edge: what passes is printed by the server
            response = unforeseen(error, request_id(scope))
            if started:
                # Too late for another status; raising without its text makes the server hang up.
                raise RuntimeError("the answer broke off") from None
            await response(scope, receive, send)


def unforeseen(error: Exception, identity: str) -> Response:
    """Log what nothing else answered, and answer it with the id of its request."""
    log.error("unhandled error", exc_info=error)
    return Problem("internal_error", more={"error_id": identity}).response()


def field_errors(errors: Iterable[ErrorDetails]) -> tuple[FieldError, ...]:
    """Pydantic's errors in our words, without the input; errors of our own keep theirs."""
    return tuple(_field_error(error) for error in errors)


def _field_error(error: ErrorDetails) -> FieldError:
    code, message = _WORDING.get(error["type"], ("invalid", "is not valid"))
    if error["type"] in _OWN_CODES:
        code, message = error["type"], error["msg"]
    limits = {name: value for name, value in error.get("ctx", {}).items() if name in _LIMITS}
    return FieldError(_path(error["loc"]), code, message.format_map(_Limits(limits)))


class _Limits(dict[str, object]):
    """Our own bounds from pydantic's context; never the input, which it holds as well."""

    def __missing__(self, name: str) -> str:
        return "the limit"


# What a validator of ours may raise as a PydanticCustomError, message included.
_OWN_CODES = frozenset({"wrong_ip", "wrong_time", "wrong_language", "out_of_range"})
_LIMITS = frozenset({"max_length", "min_length", "ge", "gt", "le", "lt", "expected"})
_WORDING: Mapping[str, tuple[str, str]] = {
    "string_type": ("wrong_type", "must be a string"),
    "bool_type": ("wrong_type", "must be true or false"),
    "bool_parsing": ("wrong_type", "must be true or false"),
    "int_type": ("wrong_type", "must be a whole number"),
    "int_parsing": ("wrong_type", "must be a whole number"),
    "int_from_float": ("wrong_type", "must be a whole number"),
    "float_type": ("wrong_type", "must be a number"),
    "float_parsing": ("wrong_type", "must be a number"),
    "model_type": ("wrong_type", "must be an object"),
    "model_attributes_type": ("wrong_type", "must be an object"),
    "dict_type": ("wrong_type", "must be an object"),
    "list_type": ("wrong_type", "must be an array"),
    "missing": ("required", "is required"),
    "literal_error": ("unknown_value", "must be {expected}"),
    "enum": ("unknown_value", "must be {expected}"),
    "finite_number": ("out_of_range", "must be a finite number"),
    "greater_than_equal": ("out_of_range", "must be {ge} or more"),
    "greater_than": ("out_of_range", "must be more than {gt}"),
    "less_than_equal": ("out_of_range", "must be {le} or less"),
    "less_than": ("out_of_range", "must be less than {lt}"),
    "string_too_long": ("too_long", "must have at most {max_length} characters"),
    "string_too_short": ("too_short", "must have at least {min_length} characters"),
    "uuid_parsing": ("unknown_value", "must be an id that this service gave out"),
    "uuid_type": ("unknown_value", "must be an id that this service gave out"),
}

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z", re.ASCII)
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


def _path(location: tuple[int | str, ...]) -> str:
    """The field as callers spell it. A name that the caller may have invented is left out."""
    parts = location[1:] if location and location[0] in _PLACES else location
    return ".".join(
        str(part) if isinstance(part, int) or _PLAIN_NAME.match(part) else "?" for part in parts
    )
