"""Whether the process lives, whether it can work, and what it counts.

Knows how to ask and how to answer; what "ready" takes is the `Readiness` it is given.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from fastapi import APIRouter, Request, Response

from service.metrics import Metrics
from service.problems import FieldError, Problem

_NOT_KEPT = {"Cache-Control": "no-store"}
_COUNTERS: dict[str, dict[str, str]] = {"text/plain": {}, "application/openmetrics-text": {}}


class Readiness(Protocol):
    """What can tell whether the service can work."""

    def problems(self) -> Sequence[str]:
        """What is missing, a sentence each, such as "no model is loaded"; none when ready.

        May read the store; it is called in a thread of its own. May hold nothing that was
        sent, and no secret.
        """
        ...

    def warnings(self) -> Sequence[str]:
        """What should be looked at though it can work. Holds no secret either."""
        ...


def routes(readiness: Readiness, metrics: Metrics) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["operating"])
    # Threads of its own: when the store hangs, so may all that requests share.
    asking = ThreadPoolExecutor(2, thread_name_prefix="readyz")

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz(response: Response) -> dict[str, str]:
        response.headers.update(_NOT_KEPT)
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Whether comments can be judged and kept",
        responses={503: {"description": "Not ready; `errors` says what is missing."}},
    )
    async def readyz(response: Response) -> dict[str, str | list[str]]:
        missing = await asyncio.get_running_loop().run_in_executor(asking, readiness.problems)
        if missing:
            errors = [FieldError("", "not_ready", sentence) for sentence in missing]
            raise Problem("not_ready", "; ".join(missing), errors=errors)
        response.headers.update(_NOT_KEPT)
        warnings = list(readiness.warnings())
        return {"status": "ready"} | ({"warnings": warnings} if warnings else {})

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": _COUNTERS}},
    )
    def counters(request: Request) -> Response:
        text, media_type = metrics.text(request.headers.get("accept", ""))
        return Response(text, media_type=media_type, headers=_NOT_KEPT)

    return router
