"""What the callers that are too many are told, before anything is done for them.

Knows which addresses ask for verdicts, and how each of them says that there is none now.
"""

import logging
import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from starlette.responses import Response

from service.access import SiteKeys
from service.admission import Admission
from service.api import akismet, comments, perspective
from service.api.guard import Refusal
from service.logs import new_request_id
from service.metrics import Metrics
from service.plain_post import Headers
from service.problems import Problem

log = logging.getLogger(__name__)

TOLD_SECONDS = 10.0
"""How often the log says how many were turned away; each line of its own would be a flood."""


_REFUSALS: Mapping[str, Refusal | None] = {
    comments.PATH: None,
    comments.BATCH_PATH: None,
    akismet.CHECK: akismet.refusal,
    perspective.ANALYZE: perspective.refusal,
}
_PATHS = {path.encode(): path for path in _REFUSALS}


class TurningAway:
    """A `TurnAway` of service/connections.py: asks admission, and answers in the door's words."""

    def __init__(self, keys: SiteKeys, admission: Admission, metrics: Metrics) -> None:
        self._keys = keys
        self._admission = admission
        self._metrics = metrics
        self._turned_away = 0
        self._told_at = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether somebody was turned away a moment ago."""
        return self._admission.is_turning_away

    def __call__(self, target: bytes, headers: Headers) -> bytes | None:
        """The answer to a POST that is turned away, None for one that is let in."""
        path = _PATHS.get(target.partition(b"?")[0])
        if path is None:
            return None
        seconds = self._admission.expect(self._site_id(headers), many=path == comments.BATCH_PATH)
        if seconds is None:
            return None
        status, answer = _answer(path, headers, seconds)
        self._count(path, status)
        return answer

    def _site_id(self, headers: Headers) -> str:
        for name, value in headers:
            if name == b"authorization":
                site = self._keys.remembered(value.decode("latin-1"))
                return site.id if site is not None else ""
        return ""

    def _count(self, path: str, status: int) -> None:
        self._metrics.turned_away(path, status)
        self._turned_away += 1
        now = time.monotonic()
        if now - self._told_at >= TOLD_SECONDS:
            log.warning("requests were turned away", extra={"requests": self._turned_away})
            self._told_at, self._turned_away = now, 0


def _answer(path: str, headers: Headers, seconds: int) -> tuple[int, bytes]:
    """Its status, and all of it."""
    identity = b"x-request-id: %s\r\n" % new_request_id().encode()
    response, refusal = None, _REFUSALS[path]
    if refusal is not None:
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        response = refusal(scope, 503, {"retry-after": str(seconds)})
    status, head, body = _problem(seconds) if response is None else _parts_of(response)
    return status, head + identity + b"\r\n" + body


@lru_cache(maxsize=256)
def _problem(seconds: int) -> tuple[int, bytes, bytes]:
    return _parts_of(Problem("overloaded", headers={"Retry-After": str(seconds)}).response())


def _parts_of(response: Response) -> tuple[int, bytes, bytes]:
    status = HTTPStatus(response.status_code)
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return status, b"\r\n".join(lines) + b"\r\n", bytes(response.body)
