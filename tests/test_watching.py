"""Metrics of several workers, drift, traces at a real receiver, and the files under deploy/."""

import itertools
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from service.drift import BINS, LEAST, WINDOW, Watch, drift, expected_of, shares
from service.logs import Exchange
from service.metrics import Metrics
from service.tally import Counter, Gauge, Histogram, Part, SharedCounts
from tests.api.service import a_comment, running

ROOT = Path(__file__).resolve().parents[1]
ALERTS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "duyet.json"


# ------------------------------------------------------------------ counting


def test_counts_of_many_threads_are_all_there() -> None:
    counter, histogram = Counter("x_total", "x", ["a"]), Histogram("y", "y", bounds=[1, 2])

    def count() -> None:
        for _ in range(2000):
            counter.add(("b",))
            histogram.add((), 1.5)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counter.rows() == [[["b"], 16_000.0]]
    assert histogram.rows() == [[[], [0.0, 16_000.0, 0.0, 24_000.0], {}]]


def test_a_value_on_a_bound_is_in_that_bucket_and_one_beyond_all_in_the_last() -> None:
    histogram = Histogram("y", "y", bounds=[1, 2])

    histogram.add_many((), [1.0, 2.0, 2.5, 1e9])

    assert histogram.rows()[0][1][:-1] == [1.0, 1.0, 2.0]


def test_a_dead_worker_s_counts_stay_and_its_gauges_go() -> None:
    counter, summed, newest = (
        Counter("x_total", "x"),
        Gauge("y", "y", of_workers="sum"),
        Gauge("z", "z"),
    )

    counted = counter.together([Part([[[], 3.0]], lives=False), Part([[[], 4.0]], lives=True)])
    waiting = summed.together(
        [Part([[[], 3.0, 9.0]], lives=False), Part([[[], 4.0, 1.0]], lives=True)]
    )
    serving = newest.together(
        [Part([[[], 3.0, 9.0]], lives=False), Part([[[], 4.0, 1.0]], lives=True)]
    )

    assert (counted, waiting, serving) == ([[[], 7.0]], [[[], 4.0, 1.0]], [[[], 4.0, 1.0]])


def test_what_the_dead_left_is_gathered_once_whenever_that_ends(tmp_path: Path) -> None:
    counter, shared = Counter("x_total", "x"), SharedCounts(tmp_path)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    left = json.dumps({"counted": {"x_total": [[[], 5.0]]}})
    (tmp_path / f"{dead}-1.json").write_text(left)

    def total() -> float:
        parts = [Part(rows["x_total"], lives=lives) for rows, lives in shared.others()]
        return float(counter.together(parts)[0][1])

    def together(parts: Any) -> Any:
        return {"x_total": counter.together([Part(r["x_total"], lives=a) for r, a in parts])}

    before = total()
    shared.fold(together)
    folded = total()
    (tmp_path / f"{dead}-1.json").write_text(left)  # as if it had ended before it was removed
    again = total()
    shared.fold(together)

    assert (before, folded, again, total()) == (5.0, 5.0, 5.0, 5.0)
    assert [path.name for path in tmp_path.iterdir()] == ["gone.json"]


def test_a_file_that_was_cut_short_or_is_another_program_s_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / f"{os.getpid()}-1.json").write_text('{"counted": {"duyet_')
    (tmp_path / f"{os.getpid()}-2.json").write_text("[]")

    assert SharedCounts(tmp_path).others() == []


def test_openmetrics_with_exemplars_is_given_to_who_asks_and_can_be_read() -> None:
    metrics = Metrics()
    metrics.exchanged(Exchange("POST", "/v1/comments", 200, 0.03, "", {"trace_id": "ab" * 16}))

    text, kind = metrics.text("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    plain, plain_kind = metrics.text("text/plain")

    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    examples = [s.exemplar for s in families["duyet_request_seconds"].samples if s.exemplar]
    assert kind.startswith("application/openmetrics-text")
    assert plain_kind.startswith("text/plain")
    assert [(e.labels, e.value) for e in examples] == [({"trace_id": "ab" * 16}, 0.03)]
    assert b"trace_id" not in plain
    assert {f.name for f in plain_families(plain.decode())} >= {"duyet_requests", "duyet_score"}


def test_refusals_are_counted_by_reason_through_every_door(tmp_path: Path) -> None:
    with running(tmp_path / "var") as service:
        service.post(b"{")
        service.post(a_comment(), "/v1/nowhere")
        with service.client("wrong") as client:
            client.post("/v1/comments", json=a_comment())
        with service.client(X_Huge="x" * 40_000) as client:
            client.get("/healthz")
        text = service.get("/metrics").text

    counted = dict(re.findall(r'duyet_requests_refused_total{reason="(\w+)"} ([\d.]+)', text))
    assert counted == {
        "broken_json": "1.0",
        "not_found": "1.0",
        "unknown_key": "1.0",
        "head_too_large": "1.0",
    }


# ------------------------------------------------------------------ drift

HAM = [900, 50, *[5] * 17, 1]
SPAM = [2, *[8] * 17, 100, 800]
HELD_OUT = {"bins": BINS, "heads": {"spam": {"ham": HAM, "spam": SPAM}}}


def drawn(rng: random.Random, counts: list[int], number: int) -> list[float]:
    bins = rng.choices(range(BINS), counts, k=number)
    return [(at + rng.random()) / BINS for at in bins]


def test_another_share_of_spam_is_no_drift() -> None:
    rng = random.Random(1)
    watch = Watch(expected_of(HELD_OUT, "spam"))

    found = watch.add(drawn(rng, HAM, 1900) + drawn(rng, SPAM, 100))

    assert found is not None
    assert found.index < 0.05
    assert found.share == pytest.approx(0.05, abs=0.02)


def test_scores_that_no_share_explains_are_drift() -> None:
    rng = random.Random(2)
    watch = Watch(expected_of(HELD_OUT, "spam"))

    found = watch.add([rng.random() for _ in range(2000)])

    assert found is not None
    assert found.index > 1


def test_the_index_is_that_of_its_definition() -> None:
    live, expected = [30.0, 10.0], [20.0, 20.0]
    found, other = shares(live), shares(expected)

    index = drift(live, (other,)).index

    assert index == pytest.approx(
        sum((f - e) * math.log(f / e) for f, e in zip(found, other, strict=True))
    )


def test_few_scores_say_nothing() -> None:
    watch = Watch(expected_of(HELD_OUT, "spam"))

    assert watch.add([0.5] * (LEAST - 1)) is None


def test_old_scores_are_forgotten() -> None:
    rng = random.Random(3)
    watch = Watch(expected_of(HELD_OUT, "spam"))
    watch.add([0.5] * WINDOW)

    found = watch.add(drawn(rng, HAM, WINDOW))

    assert found is not None
    assert found.index < 0.05


def test_without_a_histogram_the_first_scores_are_what_is_expected() -> None:
    rng = random.Random(4)
    watch = Watch(expected_of({}, "spam"))

    first = watch.add(drawn(rng, HAM, WINDOW))
    same = watch.add(drawn(rng, HAM, WINDOW))
    other = watch.add(drawn(rng, SPAM, WINDOW))

    assert first is None
    assert same is not None
    assert other is not None
    assert (same.index < 0.05, same.share, other.index > 1) == (True, None, True)


@pytest.mark.parametrize(
    "histogram",
    [{}, {"bins": 10, "heads": {}}, {"bins": BINS, "heads": {"spam": {"ham": HAM}}},
     {"bins": BINS, "heads": {"spam": {"ham": HAM, "spam": [0] * BINS}}},
     {"bins": BINS, "heads": {"spam": {"ham": "x", "spam": SPAM}}}],
)  # fmt: skip
def test_a_histogram_that_cannot_be_used_expects_nothing(histogram: dict[str, Any]) -> None:
    assert expected_of(histogram, "spam") == ()


# ------------------------------------------------------------------ traces


@dataclass
class Receiver:
    """An OTLP/HTTP receiver, and the spans it got."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415  optional
            ExportTraceServiceRequest,
        )

        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def receiver() -> Iterator[Receiver]:
    got = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            got.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# In a process of its own: OpenTelemetry keeps threads and reads the environment as it loads.
SERVED = """
import io, json, logging, sys
from pathlib import Path
from service import logs
from service.app import _tracing
import os
from tests.api.service import a_comment, running
import tests.api.service as kit
import service.app as app

lines = io.StringIO()
logs.configure("debug", "json", lines)
real = app.build
kit.build = lambda *a, **k: real(*a, **k, tracing=_tracing(os.environ))
with running(Path(sys.argv[1])) as service:
    with service.client(traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01",
                        tracestate="v=canary", baggage="who=canary") as client:
        author = {"name": "canary", "email": "canary.q@mail.example"}
        comment = a_comment("Bài canary hay", author=author)
        assert client.post("/v1/comments", json=comment).status_code == 200
        client.post("/v1/comments/canary/report?who=canary", json={})
    with service.client(traceparent="canary") as client:
        client.get("/v1/queue")
        client.get("/healthz")
        example = client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
print(json.dumps({"log": lines.getvalue(), "metrics": example}))
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Receiver, dict[str, str]]:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="pip install 'duyet[otel]' brings it"
    )
    with receiver() as got:
        ran = subprocess.run(
            [sys.executable, "-c", SERVED, str(tmp_path_factory.mktemp("traced"))],
            env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": got.url},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, str] = json.loads(ran.stdout)
    return got, said


def test_a_request_is_a_child_of_the_caller_s_span_and_says_where_its_time_went(
    traced: tuple[Receiver, dict[str, str]],
) -> None:
    spans = traced[0].spans()

    [request] = [span for span in spans if span.name == "POST /v1/comments"]
    stages = {span.name: span for span in spans if span.parent_span_id == request.span_id}
    assert request.trace_id.hex() == "ab" * 16
    assert request.parent_span_id.hex() == "cd" * 8
    assert set(stages) == {"wait", "gather", "learn", "judge", "record"}
    order = [stages[name] for name in ("wait", "gather", "learn", "judge", "record")]
    for before, after in itertools.pairwise(order):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    assert order[-1].end_time_unix_nano > order[0].start_time_unix_nano


def test_probes_are_no_spans_and_a_broken_traceparent_begins_a_new_trace(
    traced: tuple[Receiver, dict[str, str]],
) -> None:
    spans = traced[0].spans()

    [queue] = [span for span in spans if span.name == "GET /v1/queue"]
    assert not [span for span in spans if "healthz" in span.name or "metrics" in span.name]
    assert queue.parent_span_id == b""
    assert queue.trace_id.hex() != "ab" * 16


def test_no_span_holds_anything_that_was_sent(traced: tuple[Receiver, dict[str, str]]) -> None:
    sent = b"".join(traced[0].bodies)

    assert b"/v1/comments/{comment_id}/report" in sent
    assert b"canary" not in sent


def test_log_lines_and_exemplars_carry_the_trace_id(
    traced: tuple[Receiver, dict[str, str]],
) -> None:
    said = traced[1]

    lines = [json.loads(line) for line in said["log"].splitlines()]
    [line] = [x for x in lines if x.get("route") == "/v1/comments"]
    assert line["trace_id"] == "ab" * 16
    assert f'# {{trace_id="{"ab" * 16}"}}' in said["metrics"]
    assert "canary" not in said["log"] + said["metrics"]


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    program = "import sys, service.app; print([n for n in sys.modules if 'opentelemetry.sdk' in n])"

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


# ------------------------------------------------------------------ deploy/


def metrics_there_are() -> set[str]:
    """Names of series, as Prometheus stores them."""
    text = Metrics().text()[0].decode()
    kinds = dict(re.findall(r"^# TYPE (duyet_\w+) (\w+)$", text, re.MULTILINE))
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {n + part for n, kind in kinds.items() for part in parts.get(kind, ("",))}


@pytest.mark.parametrize("path", [ALERTS / "alerts.yml", DASHBOARD], ids=lambda path: path.name)
def test_every_metric_that_is_asked_for_exists(path: Path) -> None:
    asked = set(re.findall(r"\bduyet_\w+", path.read_text("utf-8")))

    assert len(asked) > 8
    assert asked - metrics_there_are() == set()


def test_every_metric_is_on_the_dashboard_or_an_alert() -> None:
    text = DASHBOARD.read_text("utf-8") + (ALERTS / "alerts.yml").read_text("utf-8")

    shown = set(re.findall(r"\bduyet_\w+?(?=_bucket|_sum|_count|\b)", text))
    named = set(re.findall(r"^# TYPE (duyet_\w+)", Metrics().text()[0].decode(), re.MULTILINE))
    assert named - shown == set()


def test_panels_of_the_dashboard_do_not_overlap_and_ask_one_source() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))

    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    sources = {p["datasource"]["uid"] for p in board["panels"] if p["type"] != "row"}
    assert sources == {"${datasource}"}


def test_every_alert_has_its_row_in_the_docs() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (ALERTS / "alerts.yml").read_text("utf-8")))

    rows = set(
        re.findall(r"^\| `(Duyet\w+)`", (ROOT / "docs/watching.md").read_text("utf-8"), re.M)
    )
    assert rows == alerts


@pytest.mark.parametrize(
    "call", ["check rules alerts.yml", "test rules alerts.test.yml", "check config prometheus.yml"]
)
def test_promtool_is_content(call: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: scripts/install-promtool brings it")

    ran = subprocess.run(
        ["promtool", *call.split()], cwd=ALERTS, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_reads_what_a_running_service_says(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: scripts/install-promtool brings it")
    with running(tmp_path / "var") as service:
        service.post(a_comment())
        text = httpx.get(f"{service.url}/metrics", trust_env=False).content

    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )

    errors = [line for line in ran.stderr.decode().splitlines() if line.startswith("duyet_")]
    assert ran.returncode != 1
    assert errors == []
