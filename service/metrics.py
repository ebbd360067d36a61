"""What the service counts, for Prometheus.

Knows names, labels and buckets. Labels come from closed lists or from the code (route
templates, rule names, model versions), never from what was sent, so that their number is
bounded and no address can be among them.
"""

import os
from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from threading import Lock

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client import generate_latest as plain_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from model.classifier import HEADS
from model.outcome import Outcome, Scores
from service.drift import BINS, Watch, expected_of
from service.logs import Exchange
from service.tally import Counted as Rows
from service.tally import Counter, Gauge, Histogram, Instrument, Part, SharedCounts
from service.tracing import Stages

# Read in each worker. Its name begins with no DUYET_, which settings would refuse.
_SHARED = "_DUYET_METRICS_DIR"
_OPENMETRICS = "application/openmetrics-text"

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LEARNING_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
_SCORES = tuple((at + 1) / BINS for at in range(BINS))


def shared_by_workers(data_dir: Path) -> Mapping[str, str]:
    """The environment with which several worker processes count as one.

    They share files under `data_dir`/metrics, which are emptied here: call it in the parent,
    before any worker starts.
    """
    directory = data_dir / "metrics"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in chain(directory.glob("*.json"), directory.glob("*.db")):
        left_over.unlink()
    return {_SHARED: str(directory)}


class Metrics:
    """The service's metrics. One per process.

    With the environment of `shared_by_workers`, `text` adds up all workers, the others as of
    their last `share`; process metrics are left out then.
    """

    def __init__(self) -> None:
        self._requests = Counter(
            "duyet_requests_total", "Requests answered.", ["method", "route", "status"]
        )
        self._request_seconds = Histogram(
            "duyet_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["method", "route"],
            bounds=_REQUEST_SECONDS,
        )
        self._refused = Counter(
            "duyet_requests_refused_total",
            "Requests answered with a problem, by its code.",
            ["reason"],
        )
        self._batch_size = Histogram(
            "duyet_batch_size",
            "Comments that were judged and recorded together.",
            bounds=_BATCH_SIZES,
        )
        self._stage_seconds = Histogram(
            "duyet_stage_seconds",
            "Seconds a batch spent in a stage: gather, learn, judge or record.",
            ["stage"],
            bounds=_STAGE_SECONDS,
        )
        self._arriving = Gauge(
            "duyet_arriving",
            "Comments that have arrived and are not yet being judged.",
            of_workers="sum",
        )
        self._verdicts = Counter(
            "duyet_verdicts_total",
            "Verdicts given.",
            ["outcome"],
            known=[(outcome.word,) for outcome in Outcome],
        )
        self._scores = Histogram(
            "duyet_score",
            "Scores that the model gave, before a site's layer.",
            ["head"],
            bounds=_SCORES,
        )
        self._drift = Gauge(
            "duyet_score_drift",
            "Population stability index of the newest scores against the held-out ones.",
            ["head"],
        )
        self._share = Gauge(
            "duyet_score_positive_share",
            "Share of spam, or of toxic comments, that explains the newest scores best.",
            ["head"],
        )
        self._rule_failures = Counter("duyet_rule_failures_total", "Rules that raised.", ["rule"])
        self._unscored = Counter(
            "duyet_classifier_unavailable_total", "Comments that no model could score."
        )
        self._decisions_read = Counter(
            "duyet_decisions_read_total",
            "Decisions that learning has read, again when a site is folded again.",
            ["taught"],
        )
        self._learning_seconds = Histogram(
            "duyet_learning_seconds",
            "Seconds from when a batch knew of a site's decisions until they were learnt.",
            bounds=_LEARNING_SECONDS,
        )
        self._learning_failures = Counter(
            "duyet_learning_failures_total",
            "Times that learning from a site's decisions, or using that, failed.",
        )
        self._learnt_verdicts = Counter(
            "duyet_learnt_verdicts_total",
            "Verdicts in which a site's layer or memory had a part.",
            ["part"],
        )
        self._learnt_sites = Gauge(
            "duyet_learnt_sites",
            "Sites whose experience is kept, by how far their layer counts.",
            ["trust"],
        )
        self._queue_size = Gauge("duyet_queue_size", "Comments that wait for a person.")
        self._queue_oldest = Gauge(
            "duyet_queue_oldest_seconds",
            "Seconds that the oldest of the comments has waited for a person, 0 if none waits.",
        )
        self._spool = Gauge(
            "duyet_spool_bytes", "Bytes of comments kept on disk until the database is back."
        )
        self._outbox = Gauge("duyet_outbox_size", "Events that wait to be delivered.")
        self._alerts = Gauge(
            "duyet_alerts",
            "What wants a look, by kind: on how many sites, each shape and head for itself.",
            ["alert"],
        )
        self._trainings = Counter(
            "duyet_trainings_total", "Trainings by how they ended.", ["result"]
        )
        self._digests = Counter(
            "duyet_digests_total", "Digests by what became of them.", ["result"]
        )
        self._model = Gauge(
            "duyet_model_info",
            "1 for the model version that serves under this name, 0 for one that did.",
            ["name", "version"],
        )
        self._registry_refused = Gauge(
            "duyet_model_refused",
            "1 while the registry of models is not believed, by why; the last champion serves.",
            ["reason"],
        )
        self._shadowed = Counter(
            "duyet_shadow_total",
            "Comments that a challenger was to score after they were answered, by what came of it.",
            ["result"],
        )
        self._shadow_waiting = Gauge(
            "duyet_shadow_waiting",
            "Answered comments that wait for the challenger's score.",
            of_workers="sum",
        )
        self._build = Gauge("duyet_build_info", "1 for the version of the program.", ["version"])
        self._build.set((metadata.version("duyet"),), 1)
        self._served: dict[str, str] = {}
        self._refused_for = ""
        self._watches = {head.value: Watch(()) for head in HEADS}
        self._watching = Lock()
        self._all: tuple[Instrument, ...] = tuple(
            each for each in vars(self).values() if isinstance(each, Counter | Histogram | Gauge)
        )
        directory = os.environ.get(_SHARED)
        self._shared = SharedCounts(Path(directory)) if directory else None
        self._process = CollectorRegistry()
        if not self._shared:
            ProcessCollector(registry=self._process)

    # -------------------------------------------------------------- requests

    def exchanged(self, exchange: Exchange) -> None:
        """Count one request and its answer."""
        method, route = exchange.method, exchange.route
        self._requests.add((method, route, str(exchange.status)))
        self._request_seconds.add((method, route), exchange.seconds, exchange.example)
        if exchange.problem:
            self._refused.add((exchange.problem,))

    def turned_away(self, route: str, status: int) -> None:
        """Count a POST that nothing was done for, since there was too much to do."""
        self._requests.add(("POST", route, str(status)))
        self._refused.add(("overloaded",))

    def refused(self, code: str) -> None:
        """Count a request that was refused before it was one, by the code of its problem."""
        self._refused.add((code,))

    # -------------------------------------------------------------- judging

    def judged_together(self, stages: Stages) -> None:
        """Count a batch, and the seconds it spent in each stage."""
        self._batch_size.add((), stages.comments)
        self._stage_seconds.add(("gather",), stages.learning - stages.gathering)
        self._stage_seconds.add(("learn",), stages.judging - stages.learning)
        self._stage_seconds.add(("judge",), stages.recording - stages.judging)
        self._stage_seconds.add(("record",), stages.done - stages.recording)

    def arriving_are(self, comments: int) -> None:
        """Set how many comments have arrived and are not yet being judged."""
        self._arriving.set((), comments)

    def verdict_given(self, outcome: Outcome, times: int = 1) -> None:
        """Count a verdict, or as many alike."""
        self._verdicts.add((outcome.word,), times)

    def scored(self, batch: Sequence[Scores]) -> None:
        """Count the model's own scores of a batch, and see whether they drift."""
        with self._watching:
            for head in HEADS:
                scores = [each.of(head) for each in batch]
                self._scores.add_many((head.value,), scores)
                found = self._watches[head.value].add(scores)
                if found is not None:
                    self._drift.set((head.value,), found.index)
                    if found.share is not None:
                        self._share.set((head.value,), found.share)

    def rule_failed(self, rule: str) -> None:
        """Count a rule that raised, by its name in the code."""
        self._rule_failures.add((rule,))

    def went_unscored(self, comments: int = 1) -> None:
        """Count comments judged without a model."""
        self._unscored.add((), comments)

    # -------------------------------------------------------------- learning

    def decision_read(self, *, taught: bool) -> None:
        """Count a decision that learning has read; whether it said spam or ham."""
        self._decisions_read.add(("yes" if taught else "no",))

    def learnt_in(self, seconds: float) -> None:
        """Count the seconds until a site was up to date."""
        self._learning_seconds.add((), seconds)

    def learning_failed(self) -> None:
        """Count a failure to learn, or to use what was learnt."""
        self._learning_failures.add()

    def learnt_took_part(self, part: str) -> None:
        """Count a verdict that a site's `layer` or `memory` had a part in."""
        self._learnt_verdicts.add((part,))

    def trusted_are(self, trusts: Sequence[float]) -> None:
        """Set how far the layers of the sites that are kept count, each from 0 to 1."""
        kinds = Counted("none" if t <= 0 else "full" if t >= 1 else "some" for t in trusts)
        for kind in ("none", "some", "full"):
            self._learnt_sites.set((kind,), kinds[kind])

    # -------------------------------------------------------------- what waits, what serves

    def queue_is(self, waiting: int, oldest: datetime | None, now: datetime) -> None:
        """Set how many comments wait for a person, and since when the oldest does."""
        self._queue_size.set((), waiting)
        age = (now - oldest).total_seconds() if oldest is not None else 0.0
        self._queue_oldest.set((), max(age, 0.0))

    def spool_is(self, size: int) -> None:
        """Set how many bytes the spool keeps."""
        self._spool.set((), size)

    def outbox_is(self, events: int) -> None:
        """Set how many events wait to be delivered."""
        self._outbox.set((), events)

    def digest_settled(self, result: str) -> None:
        """A digest was sent, skipped as there was nothing to tell, or has failed."""
        self._digests.add((result,))

    def alerts_are(self, standing: Mapping[str, int]) -> None:
        """Set how many alerts of each kind stand."""
        for kind, number in standing.items():
            self._alerts.set((kind,), number)

    def training_ended(self, *, failed: bool) -> None:
        """A training that this process ran has ended."""
        self._trainings.add(("failed" if failed else "done",))

    def model_is(
        self, name: str, version: str, histogram: Mapping[str, object] | None = None
    ) -> None:
        """Set which version serves under a name, such as champion.

        `histogram` is that of its manifest: what its scores are compared with from now on.
        Without one they are compared with its first ones.
        """
        self._name_is(name, version)
        with self._watching:
            for head in HEADS:
                self._watches[head.value] = Watch(expected_of(histogram or {}, head.value))
                self._drift.forget((head.value,))
                self._share.forget((head.value,))

    def registry_is_refused(self, reason: str) -> None:
        """Set why the registry is not believed, one of model.refusals.Refusal; "" when it is."""
        if reason == self._refused_for:
            return
        if self._refused_for:
            self._registry_refused.set((self._refused_for,), 0)
        if reason:
            self._registry_refused.set((reason,), 1)
        self._refused_for = reason

    def challenger_is(self, version: str) -> None:
        """Set which version is scored in the champion's shadow; "" for none."""
        self._name_is("challenger", version)

    def _name_is(self, name: str, version: str) -> None:
        before = self._served.pop(name, "")
        if before and before != version:
            self._model.set((name, before), 0)
        if version:
            self._model.set((name, version), 1)
            self._served[name] = version

    # -------------------------------------------------------------- the shadow

    def shadowed(self, result: str, comments: int = 1) -> None:
        """Count comments by what became of them in the shadow: `same`, `other`, `failed`,
        `dropped` or `skipped`."""
        self._shadowed.add((result,), comments)

    def shadow_waits(self, comments: int) -> None:
        """Set how many comments wait to be scored in the shadow."""
        self._shadow_waiting.set((), comments)

    # -------------------------------------------------------------- showing

    @property
    def is_shared(self) -> bool:
        """Whether several workers count as one, so that each has to `share`."""
        return self._shared is not None

    def share(self) -> None:
        """Leave what this worker has counted for the others. Raises OSError."""
        if self._shared is not None:
            self._shared.fold(self._together)
            self._shared.leave(self._rows())

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, of all workers, and their media type.

        Prometheus' text format, or OpenMetrics with exemplars where `accept`, the request's
        header, names it.
        """
        if _OPENMETRICS in accept.lower():
            text = openmetrics.generate_latest(self)  # type: ignore[no-untyped-call]  # has no types
            return text, openmetrics.CONTENT_TYPE_LATEST
        return plain_text(self), CONTENT_TYPE_LATEST

    def collect(self) -> list[Metric]:
        """All metrics as prometheus_client writes them."""
        parts = [(self._rows(), True), *(self._shared.others() if self._shared else ())]
        rows = self._together(parts)
        own = [each.family(rows[each.name]) for each in self._all]
        return [*own, *self._process.collect()]

    def _rows(self) -> Rows:
        return {each.name: each.rows() for each in self._all}

    def _together(self, parts: Sequence[tuple[Rows, bool]]) -> Rows:
        return {
            each.name: each.together(
                [Part(rows.get(each.name, []), lives=lives) for rows, lives in parts]
            )
            for each in self._all
        }
