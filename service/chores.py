"""What a worker does every so many seconds beside the comments.

Knows when each chore is due, and that one which fails is tried again. Does nothing of their work.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from service.campaigns import CampaignFinder
from service.digest import DigestPost
from service.late_verdicts import LateVerdicts
from service.metrics import Metrics
from service.pauses import Pauses, ServiceEnds
from service.promoting import Promoting
from service.serving import Serving
from service.settings import Settings
from service.spool import Spool
from service.storage import Retention, Store, StoreError
from service.storage.statistics import Statistics
from service.training_jobs import TrainingJobs
from service.watching import WATCH_SECONDS, Watchman

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""How often a worker looks whether the champion's name moved."""

QUEUE_COUNT_SECONDS = 15.0
SHARE_SECONDS = 1.0
"""How often one of several workers leaves what it has counted for the others."""

CHECKPOINT_SECONDS = 0.5
"""How often what was committed to SQLite is moved out of its log, beside the commits."""

REPLAY_SECONDS = 1.0
DELIVER_SECONDS = 2.0
"""How often a worker looks for late verdicts to tell."""

TRAIN_SECONDS = 2.0
"""How often a worker looks for trainings that were asked for, and how far its own has come."""

PROMOTE_SECONDS = 60.0
"""How often a worker looks whether a challenger may be promoted, where that is done by itself."""

DIGEST_SECONDS = 30.0
"""How often a worker looks for digests that are due."""

DELIVERIES_KEPT = timedelta(days=30)
"""How long what was told, or given up, can be looked at."""

FIND_SECONDS = 5.0
"""How often one worker of all looks for campaigns in what is new in the queue."""

FIND_IN_FLOOD_SECONDS = 30.0
"""The same while callers are turned away: what it writes locks SQLite, and then all wait for it."""

PRUNE_SECONDS = 3600.0
KEEP_SECONDS = 3600.0
"""How often partitions are made ahead, and what is too old is forgotten."""

COUNT_SECONDS = 60.0
"""How often what came and was decided is counted for the dashboard."""

SAMPLE_SECONDS = 300.0
"""How often the length of the queue is noted."""

IDEMPOTENCY_KEPT = timedelta(days=7)
"""How long a request is recognised when it is sent again."""


@dataclass(frozen=True, slots=True)
class Chore:
    """What is done in a thread every so many seconds, the first time after that or at once."""

    seconds: float
    do: Callable[[], object]
    at_once: bool = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        done = self.do.func if isinstance(self.do, partial) else self.do
        return getattr(done, "__name__", "").strip("_")


def chores_of(  # noqa: PLR0913  each part has a chore
    settings: Settings,
    store: Store,
    serving: Serving,
    metrics: Metrics,
    *,
    spool: Spool | None,
    post: DigestPost | None,
    now: Callable[[], datetime],
    pauses: Pauses,
) -> list[Chore]:
    """All chores of a worker; for what is None there is none. What takes long makes `pauses`."""
    kept = Retention(settings.retention_days, settings.spoken_retention_days)
    statistics = Statistics(store)
    watchman = Watchman(store, metrics, serving.histogram)
    late = LateVerdicts(store, now=now)
    finder = CampaignFinder(store, pause=pauses.give_way)

    def count_queue() -> None:
        metrics.queue_is(store.queue_size(None), store.oldest_waiting(None), now())

    def count() -> None:
        statistics.count_decisions()
        statistics.count_arrivals(pause=pauses.let_others_write, give_way=pauses.give_way)

    def prune() -> None:
        store.prune_idempotency(now() - IDEMPOTENCY_KEPT)
        store.forget_deliveries(now() - DELIVERIES_KEPT)

    def keep() -> None:
        store.make_partitions(kept)
        if kept.days:
            store.forget(kept, pause=pauses.let_others_write)

    chores = [
        Chore(REFRESH_SECONDS, serving.refresh),
        Chore(CHECKPOINT_SECONDS, store.checkpoint),
        Chore(DELIVER_SECONDS, partial(_deliver, late, store, metrics)),
        Chore(FIND_SECONDS, pauses.rarely_in_flood(finder.turn, FIND_IN_FLOOD_SECONDS)),
        Chore(QUEUE_COUNT_SECONDS, count_queue),
        Chore(COUNT_SECONDS, count),
        Chore(SAMPLE_SECONDS, statistics.sample_queue),
        Chore(WATCH_SECONDS, watchman.turn),
        Chore(PRUNE_SECONDS, prune),
        Chore(KEEP_SECONDS, keep, at_once=True),
    ]
    if spool is not None:
        chores.append(Chore(REPLAY_SECONDS, partial(_empty, spool, store, metrics)))
    if post is not None:
        chores.append(Chore(DIGEST_SECONDS, post.send_due))
    if metrics.is_shared:
        chores.append(Chore(SHARE_SECONDS, metrics.share))
    return chores


def learning_chores(trainings: TrainingJobs, promoting: Promoting) -> list[Chore]:
    """What brings a new model about."""
    return [Chore(TRAIN_SECONDS, trainings.turn), Chore(PROMOTE_SECONDS, promoting.turn)]


async def every(chore: Chore) -> None:
    """Do a chore again and again until the service ends. One that fails is tried again next time.

    Of the same failure in a row the first is logged, and that it is over.
    """
    if not chore.at_once:
        await asyncio.sleep(chore.seconds)
    failing = ""
    while True:
        failed = ""
        try:
            await asyncio.to_thread(chore.do)
        except ServiceEnds:
            return
        except (StoreError, OSError) as problem:
            failed = type(problem).__name__
        if failed and failed != failing:
            log.warning("a chore failed", extra={"chore": chore.name, "problem": failed})
        elif failing and not failed:
            log.info("a chore works again", extra={"chore": chore.name})
        failing = failed
        await asyncio.sleep(chore.seconds)


def _deliver(late: LateVerdicts, store: Store, metrics: Metrics) -> None:
    try:
        late.deliver()
    finally:
        metrics.outbox_is(store.outbox_size())


def _empty(spool: Spool, store: Store, metrics: Metrics) -> None:
    try:
        spool.replay(store)
    finally:
        metrics.spool_is(spool.size())
