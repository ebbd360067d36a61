"""The straight way to one route: past ASGI, tasks and layers, for requests that come whole.

What every layer does for a request is done here once, with the same outcome: an id, a line in the
log, counts, a problem for what goes wrong. Whatever a route would have to wait for sends the
request the usual way. Knows plain requests, not what is answered.
"""

import time
from asyncio import Future
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from starlette.responses import Response

from service.api.guard import Refusal
from service.logs import Exchange, Identified, RequestLines, code_of, new_request_id
from service.plain_post import PlainPost, Reply
from service.problems import unforeseen

Told = tuple[bytes, Mapping[str, str]]
"""The body of an answer with 200, and its headers but for the length."""

Tell = Callable[[Callable[[], Told]], None]
"""Is given what makes an answer, which may raise."""

Begun = bool | Future[Any]
"""True, or False where the usual way has to answer and nothing has been done, or what has to be
done before it can begin."""

Begin = Callable[[Mapping[bytes, bytes], bytes, Tell], Begun]
"""Begins to answer headers and a body. May raise."""


T = TypeVar("T")


class StraightWay:
    """A `TakeOver` for one path, of bodies with at most `max_bytes`.

    `answer_to` makes answers of errors, as for `answer_directly`; `refusal` says what a protocol
    says in their place, as for a `Guard`.
    """

    def __init__(
        self,
        path: str,
        begin: Begin,
        *,
        max_bytes: int,
        answer_to: Callable[[Exception], Response | None],
        lines: RequestLines,
        refusal: Refusal | None = None,
    ) -> None:
        self._path = path
        self._begin = begin
        self._max_bytes = max_bytes
        self._answer_to = answer_to
        self._lines = lines
        self._refusal = refusal

    def __call__(
        self, post: PlainPost, reply: Callable[[Reply], None], again: Callable[[], None] | None
    ) -> bool:
        """Whether it answers this request; it calls `reply` then, once, or `again`."""
        if len(post.body) > self._max_bytes:
            return False
        return _Exchanging(self, post, reply).begins(again)

    def begin(self, post: PlainPost, tell: Tell) -> Begun:
        """What the route says to it. May raise."""
        return self._begin(post.first_headers(), post.body, tell)

    def tell(self, status: int, seconds: float, problem: str, identity: str) -> None:
        """One request has its answer."""
        example = {"request_id": identity}
        self._lines.tell(Exchange("POST", self._path, status, seconds, problem, example))

    def problem(self, error: Exception, post: PlainPost, identity: str) -> Response:
        """What becomes of an error, in the protocol's own words."""
        response = self._answer_to(error) or unforeseen(error, identity)
        if self._refusal is None:
            return response
        scope = {"type": "http", "method": "POST", "path": self._path, "headers": post.headers}
        return self._refusal(scope, response.status_code, dict(response.headers)) or response


class _Exchanging:
    """One request on its way to its answer. Nothing that it holds may hold it: see `_Call`."""

    __slots__ = ("_began", "_identity", "_post", "_reply", "_way")

    def __init__(self, way: StraightWay, post: PlainPost, reply: Callable[[Reply], None]) -> None:
        self._way, self._post, self._reply = way, post, reply
        self._identity = new_request_id()
        self._began = time.perf_counter()

    def begins(self, again: Callable[[], None] | None) -> bool:
        with Identified(self._identity):
            begun = self._tried(partial(self._way.begin, self._post, self._tell))
            if isinstance(begun, Response):
                self._answer(begun)
        if isinstance(begun, Future):
            if again is None:
                return False
            begun.add_done_callback(partial(self._goes_on, again))
        return begun is not False

    def _goes_on(self, again: Callable[[], None], done: Future[Any]) -> None:
        if done.cancelled() or done.exception() is None:
            again()
        else:
            self._tell(done.result)

    def _tell(self, make: Callable[[], Told]) -> None:
        with Identified(self._identity):
            self._answer(self._tried(make))

    def _tried(self, make: Callable[[], T]) -> T | Response:
        """What is made, or what becomes of the error."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001  the edge: each becomes an answer
            return self._way.problem(error, self._post, self._identity)

    def _answer(self, answered: Response | Told) -> None:
        reply, problem = _reply_of(answered)
        seconds = time.perf_counter() - self._began
        own = (b"x-request-id", self._identity.encode())
        self._reply(reply._replace(headers=(*reply.headers, own)))
        self._way.tell(reply.status, seconds, problem, self._identity)


def _reply_of(answered: Response | Told) -> tuple[Reply, str]:
    """A verdict or a response, with the code of the problem that this is."""
    if isinstance(answered, Response):
        body = bytes(answered.body)
        return Reply(answered.status_code, answered.raw_headers, body), code_of(body)
    body, told = answered
    headers = [(b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in told.items()]
    return Reply(200, headers, body), ""
