"""The straight way to one route: past ASGI, tasks and layers, for requests that come whole.

What every layer does for a request is done here once, with the same outcome: an id, a line in the
log, counts, a problem for what goes wrong. Whatever a route would have to wait for sends the
request the usual way. Knows plain requests, not what is answered.
"""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from starlette.responses import Response

from service.logs import Exchange, Identified, RequestLines, code_of, new_request_id
from service.plain_post import PlainPost, Reply
from service.problems import unforeseen

Tell = Callable[[Callable[[], bytes]], None]
"""Is given what makes an answer's JSON, which may raise."""

Begin = Callable[[Mapping[bytes, bytes], bytes, Tell], bool]
"""Begins to answer headers and a body; False where the usual way has to. May raise."""

T = TypeVar("T")


class StraightWay:
    """A `TakeOver` for one path, of bodies with at most `max_bytes`.

    `answer_to` makes answers of errors, as for `answer_directly`.
    """

    def __init__(
        self,
        path: str,
        begin: Begin,
        *,
        max_bytes: int,
        answer_to: Callable[[Exception], Response | None],
        lines: RequestLines,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._path = path
        self._begin = begin
        self._max_bytes = max_bytes
        self._answer_to = answer_to
        self._lines = lines
        self._clock = clock

    def __call__(self, post: PlainPost, reply: Callable[[Reply], None]) -> bool:
        """Whether it answers this request; it calls `reply` then, once."""
        if len(post.body) > self._max_bytes:
            return False
        identity, began = new_request_id(), self._clock()

        def answer(answered: Response | bytes) -> None:
            reply_to, problem = _reply_of(answered)
            seconds = self._clock() - began
            example = {"request_id": identity}
            self._lines.tell(
                Exchange("POST", self._path, reply_to.status, seconds, problem, example)
            )
            own = (b"x-request-id", identity.encode())
            reply(reply_to._replace(headers=(*reply_to.headers, own)))

        def tell(make: Callable[[], bytes]) -> None:
            with Identified(identity):
                answer(self._tried(make, identity))

        def begin() -> bool:
            return self._begin(post.first_headers(), post.body, tell)

        with Identified(identity):
            begun = self._tried(begin, identity)
            if isinstance(begun, Response):
                answer(begun)
        return begun is not False

    def _tried(self, make: Callable[[], T], identity: str) -> T | Response:
        """What is made, or what becomes of the error."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001  the edge: each becomes an answer
            return self._answer_to(error) or unforeseen(error, identity)


def _reply_of(answered: Response | bytes) -> tuple[Reply, str]:
    """A verdict or a response, with the code of the problem that this is."""
    if isinstance(answered, Response):
        body = bytes(answered.body)
        return Reply(answered.status_code, answered.raw_headers, body), code_of(body)
    length = b"%d" % len(answered)
    headers = ((b"content-length", length), (b"content-type", b"application/json"))
    return Reply(200, headers, answered), ""
