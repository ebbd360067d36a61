"""What the service counts, for Prometheus.

Knows names, labels and buckets. Labels come from closed lists or from the code (route
templates, rule names, model versions), never from what was sent, so that their number is
bounded and no address can be among them.
"""

import os
from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from model.outcome import Outcome
from service.logs import Exchange

MEDIA_TYPE = CONTENT_TYPE_LATEST

# Read by prometheus_client itself, once, when it is imported.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LEARNING_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


def shared_by_workers(data_dir: Path) -> Mapping[str, str]:
    """The environment with which several worker processes count as one.

    They share files under `data_dir`/metrics, which are emptied here: call it in the parent,
    before any worker starts and hence before a worker imports this module.
    """
    directory = data_dir / "metrics"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in directory.glob("*.db"):
        left_over.unlink()
    return {_SHARED: str(directory)}


class Metrics:
    """The service's metrics. One per process.

    With the environment of `shared_by_workers`, `text` adds up all workers; a gauge then shows
    what was set last by any of them, and process metrics are left out.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "duyet_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._exchanges: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._request_seconds = Histogram(
            "duyet_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["method", "route"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._batch_size = Histogram(
            "duyet_batch_size",
            "Comments that were judged and recorded together.",
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "duyet_stage_seconds",
            "Seconds a batch spent in a stage: gather, learn, judge or record.",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self._verdicts = Counter(
            "duyet_verdicts_total", "Verdicts given.", ["outcome"], registry=registry
        )
        self._rule_failures = Counter(
            "duyet_rule_failures_total", "Rules that raised.", ["rule"], registry=registry
        )
        self._unscored = Counter(
            "duyet_classifier_unavailable_total",
            "Comments that no model could score.",
            registry=registry,
        )
        self._decisions_read = Counter(
            "duyet_decisions_read_total",
            "Decisions that learning has read, again when a site is folded again.",
            ["taught"],
            registry=registry,
        )
        self._learning_seconds = Histogram(
            "duyet_learning_seconds",
            "Seconds from when a batch knew of a site's decisions until they were learnt.",
            buckets=_LEARNING_SECONDS,
            registry=registry,
        )
        self._learning_failures = Counter(
            "duyet_learning_failures_total",
            "Times that learning from a site's decisions, or using that, failed.",
            registry=registry,
        )
        self._learnt_verdicts = Counter(
            "duyet_learnt_verdicts_total",
            "Verdicts in which a site's layer or memory had a part.",
            ["part"],
            registry=registry,
        )
        self._learnt_sites = Gauge(
            "duyet_learnt_sites",
            "Sites whose experience is kept, by how far their layer counts.",
            ["trust"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._queue_size = Gauge(
            "duyet_queue_size",
            "Comments that wait for a person.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._model = Gauge(
            "duyet_model_info",
            "1 for the model version that serves under this name, 0 for one that did.",
            ["name", "version"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._served: dict[str, str] = {}
        if _SHARED not in os.environ:
            ProcessCollector(registry=registry)

    def exchanged(self, exchange: Exchange) -> None:
        """Count one request and its answer."""
        labels = (exchange.method, exchange.route, str(exchange.status))
        counted = self._exchanges.get(labels)
        if counted is None:  # looking them up costs more than counting
            counted = self._exchanges[labels] = (
                self._requests.labels(*labels),
                self._request_seconds.labels(*labels[:2]),
            )
        requests, seconds = counted
        requests.inc()
        seconds.observe(exchange.seconds)

    def judged_together(self, comments: int) -> None:
        """Count a batch of so many comments."""
        self._batch_size.observe(comments)

    def stage_took(self, stage: str, seconds: float) -> None:
        """Count the seconds of one batch in `gather`, `learn`, `judge` or `record`."""
        self._stage_seconds.labels(stage).observe(seconds)

    def verdict_given(self, outcome: Outcome, times: int = 1) -> None:
        """Count a verdict, or as many alike."""
        self._verdicts.labels(outcome.word).inc(times)

    def rule_failed(self, rule: str) -> None:
        """Count a rule that raised, by its name in the code."""
        self._rule_failures.labels(rule).inc()

    def went_unscored(self, comments: int = 1) -> None:
        """Count comments judged without a model."""
        self._unscored.inc(comments)

    def decision_read(self, *, taught: bool) -> None:
        """Count a decision that learning has read; whether it said spam or ham."""
        self._decisions_read.labels("yes" if taught else "no").inc()

    def learnt_in(self, seconds: float) -> None:
        """Count the seconds until a site was up to date."""
        self._learning_seconds.observe(seconds)

    def learning_failed(self) -> None:
        """Count a failure to learn, or to use what was learnt."""
        self._learning_failures.inc()

    def learnt_took_part(self, part: str) -> None:
        """Count a verdict that a site's `layer` or `memory` had a part in."""
        self._learnt_verdicts.labels(part).inc()

    def trusted_are(self, trusts: Sequence[float]) -> None:
        """Set how far the layers of the sites that are kept count, each from 0 to 1."""
        kinds = Counted("none" if t <= 0 else "full" if t >= 1 else "some" for t in trusts)
        for kind in ("none", "some", "full"):
            self._learnt_sites.labels(kind).set(kinds[kind])

    def queue_is(self, waiting: int) -> None:
        """Set how many comments wait."""
        self._queue_size.set(waiting)

    def model_is(self, name: str, version: str) -> None:
        """Set which version serves under a name, such as champion."""
        before = self._served.get(name)
        if before not in (None, version):
            self._model.labels(name, before).set(0)
        self._model.labels(name, version).set(1)
        self._served[name] = version

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, of all workers."""
        directory = os.environ.get(_SHARED)
        if directory is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=directory)  # type: ignore[no-untyped-call]  # untyped
        return generate_latest(together)
