"""What a worker does every so many seconds beside the comments.

Knows when each chore is due, and that one which fails is tried again. Does nothing of their work.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, wraps

from service.campaigns import CampaignFinder
from service.digest import DigestPost
from service.late_verdicts import LateVerdicts
from service.metrics import Metrics
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

PAUSE_SECONDS = 0.001
"""How long other threads have the interpreter between two comments that a chore looks at."""

PATIENCE_SECONDS = 0.005
"""How long a chore waits then at most for a moment in which nobody waits for an answer."""

PATIENCE_IN_FLOOD_SECONDS = 0.025
"""The same while callers are turned away: such a moment hardly comes then, and who is let in waits
for every row that it takes longer."""

PRUNE_SECONDS = 3600.0
KEEP_SECONDS = 3600.0
"""How often partitions are made ahead, and what is too old is forgotten."""

COUNT_SECONDS = 60.0
"""How often what came and was decided is counted for the dashboard."""

SAMPLE_SECONDS = 300.0
"""How often the length of the queue is noted."""

FORGET_PAUSE_SECONDS = 0.05
"""How long others may write between two batches of comments that are forgotten."""

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
    is_idle: Callable[[], bool] = lambda: True,
    is_flooded: Callable[[], bool] = lambda: False,
) -> list[Chore]:
    """All chores of a worker; for what is None there is none.

    What takes long gives way where `is_idle` does not say that nobody waits for an answer, and for
    longer where `is_flooded`.
    """
    kept = Retention(settings.retention_days, settings.spoken_retention_days)
    statistics = Statistics(store)
    watchman = Watchman(store, metrics, serving.histogram)
    late = LateVerdicts(store, now=now)
    give_way = partial(_give_way, is_idle, is_flooded)
    finder = CampaignFinder(store, pause=give_way)

    def count_queue() -> None:
        metrics.queue_is(store.queue_size(None), store.oldest_waiting(None), now())

    def count() -> None:
        statistics.count_decisions()
        statistics.count_arrivals(pause=_let_others_write, give_way=give_way)

    def prune() -> None:
        store.prune_idempotency(now() - IDEMPOTENCY_KEPT)
        store.forget_deliveries(now() - DELIVERIES_KEPT)

    def keep() -> None:
        store.make_partitions(kept)
        if kept.days:
            store.forget(kept, pause=_let_others_write)

    chores = [
        Chore(REFRESH_SECONDS, serving.refresh),
        Chore(CHECKPOINT_SECONDS, store.checkpoint),
        Chore(DELIVER_SECONDS, partial(_deliver, late, store, metrics)),
        Chore(FIND_SECONDS, _rarely(finder.turn, FIND_IN_FLOOD_SECONDS, is_flooded)),
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
    """Do a chore again and again. One that fails is tried again next time.

    Of the same failure in a row the first is logged, and that it is over.
    """
    if not chore.at_once:
        await asyncio.sleep(chore.seconds)
    failing = ""
    while True:
        failed = ""
        try:
            await asyncio.to_thread(chore.do)
        except (StoreError, OSError) as problem:
            failed = type(problem).__name__
        if failed and failed != failing:
            log.warning("a chore failed", extra={"chore": chore.name, "problem": failed})
        elif failing and not failed:
            log.info("a chore works again", extra={"chore": chore.name})
        failing = failed
        await asyncio.sleep(chore.seconds)


def _rarely(
    do: Callable[[], object], seconds: float, is_flooded: Callable[[], bool]
) -> Callable[[], None]:
    """What does it each time, but every so many seconds while `is_flooded`."""
    done_at = 0.0

    @wraps(do)
    def done() -> None:
        nonlocal done_at
        if is_flooded() and time.monotonic() < done_at + seconds:
            return
        do()
        done_at = time.monotonic()

    return done


def _give_way(is_idle: Callable[[], bool], is_flooded: Callable[[], bool]) -> None:
    """Let comments that are being judged go first, for a moment.

    Who waits for the interpreter does so after each statement to the database, so that a chore that
    goes on without a pause is paid for in full by the batch beside it.
    """
    until = time.monotonic()
    until += PATIENCE_IN_FLOOD_SECONDS if is_flooded() else PATIENCE_SECONDS
    time.sleep(PAUSE_SECONDS)
    while not is_idle() and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)


def _let_others_write() -> None:
    time.sleep(FORGET_PAUSE_SECONDS)


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
