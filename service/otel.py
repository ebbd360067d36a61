"""Traces by OpenTelemetry, sent by OTLP over HTTP.

Knows ASGI, the W3C `traceparent` header and the packages that `pip install duyet[otel]`
brings; those read the variables of OpenTelemetry themselves (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on). A span says method, route, status, the
request's id, and how many comments were judged together: nothing that was sent, and no
exception. Imported only where traces are asked for: it loads hundreds of modules.
"""

import time
from importlib import metadata

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import PROBES, method_of, request_id, route_of, traced_as
from service.tracing import Stages


class OpenTelemetry:
    """A `Tracing`. Spans are sent by a thread of their own, and dropped when nobody takes them."""

    def __init__(self) -> None:
        self._propagator = TraceContextTextMapPropagator()
        version = metadata.version("duyet")
        resource = Resource.create({"service.version": version})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "duyet"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("duyet", version)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """ASGI: one span for each request but the probes', a child of the caller's span."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in PROBES:
                await app(scope, receive, send)
                return
            span = self._tracer.start_span(
                "request", self._caller(scope), kind=SpanKind.SERVER, record_exception=False
            )
            status = 0

            async def send_watched(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            trace_id = f"{span.get_span_context().trace_id:032x}"
            try:
                with (
                    traced_as(trace_id),
                    use_span(span, record_exception=False, set_status_on_exception=False),
                ):
                    await app(scope, receive, send_watched)
            finally:
                self._end(span, scope, status)

        return traced

    def judged(self, arrived: float, stages: Stages) -> None:
        """Add the spans wait, gather, learn, judge and record to the current request's."""
        to_epoch = time.time_ns() - time.perf_counter_ns()

        def at(seconds: float) -> int:
            return int(seconds * 1e9) + to_epoch

        marks = (
            ("wait", arrived, stages.gathering),
            ("gather", stages.gathering, stages.learning),
            ("learn", stages.learning, stages.judging),
            ("judge", stages.judging, stages.recording),
            ("record", stages.recording, stages.done),
        )
        attributes = {"duyet.batch_size": stages.comments}
        for name, began, ended in marks:
            span = self._tracer.start_span(name, start_time=at(began), attributes=attributes)
            span.end(at(ended))

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()

    def _caller(self, scope: Scope) -> Context:
        """The caller's span. Its tracestate and baggage, which may hold anything, stay behind."""
        sent = [value for name, value in scope["headers"] if name == b"traceparent"]
        carrier = {"traceparent": sent[0].decode("latin-1")} if len(sent) == 1 else {}
        return self._propagator.extract(carrier)

    def _end(self, span: Span, scope: Scope, status: int) -> None:
        route = route_of(scope)
        span.update_name(f"{method_of(scope)} {route}")
        span.set_attribute("http.request.method", method_of(scope))
        span.set_attribute("http.route", route)
        span.set_attribute("duyet.request_id", request_id(scope))
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()
