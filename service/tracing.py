"""What a tracer is told: where a request's time went. Knows no tracing library.

`service.otel` has the one tracer there is, imported only where traces are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own variables; one of them set asks for traces."""


def are_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment says where traces go, and does not switch them off."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not is_off and any(environ.get(name) for name in ENDPOINTS)


@dataclass(frozen=True, slots=True)
class Stages:
    """When the batch that a submission was in began each stage, by `time.perf_counter`.

    `comments` is the size of the batch.
    """

    comments: int
    gathering: float
    learning: float
    judging: float
    recording: float
    done: float


class Tracing(Protocol):
    """What is told where a request's time went."""

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """ASGI: one span for each request but the probes', a child of the caller's span."""
        ...

    def judged(self, arrived: float, stages: Stages) -> None:
        """Add the spans wait, gather, learn, judge and record to the current request's."""
        ...

    def close(self) -> None:
        """Send what has not been sent yet. Blocks for seconds when nobody answers."""
        ...
