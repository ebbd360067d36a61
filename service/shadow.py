"""The challenger's shadow: it scores comments beside the champion, after they were answered.

On a thread of its own that takes a small share of one core and lets others go on after every
comment; what comes faster than that is dropped and counted, so that no caller ever waits for it.
What both models would have made of a comment is counted by day, site and language, and a few of
those where they differ are kept by their ids.

Knows when to score and what to keep. What is compared is `model.rejudging`'s to say.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from model.classifier import Classifier
from model.policy import Policy
from model.rejudging import Compared, compared
from service.metrics import Metrics
from service.serving import Serving
from service.storage import Checked, Store, StoreError
from service.storage.shadows import Flipped, Kind, Shadows, Tally

log = logging.getLogger(__name__)

SHARE = 0.05
"""The share of one core that the shadow takes at most: some 300 comments a second."""

PATIENCE_SECONDS = 0.05
"""How long a comment waits at most for a moment in which nobody waits for an answer."""

MOST_WAITING = 2_000
MOST_CHARACTERS = 4_000_000
"""What waits to be scored, in comments and in characters; more is dropped."""

WRITE_SECONDS = 15.0
"""How often what was counted is written. Who ends the process loses no more than that."""

FORGET_SECONDS = 3600.0
"""How often what is too old is forgotten."""

MOST_KINDS = 10_000
"""Counts that are kept while the database is away; comments that need more are dropped."""

MOST_FLIPS = 500
"""Comments with another outcome that are kept for the next writing."""

_STEP_SECONDS = 0.003
_POLL_SECONDS = 0.05
_LONG_POLL_SECONDS = 1.0
_REST_SECONDS = 0.0005  # at least, after each comment, so that others get the interpreter


@dataclass(frozen=True, slots=True)
class _Item:
    checked: Checked
    policy: Policy
    champion: Classifier


class Shadow:
    """Scores by the challenger what the champion judged; one object for a process.

    `offer` is called by one thread. `clock` gives seconds of processor time of the calling one.
    """

    def __init__(
        self,
        store: Store,
        serving: Serving,
        metrics: Metrics,
        *,
        share: float = SHARE,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._shadows = Shadows(store)
        self._serving = serving
        self._metrics = metrics
        self._rests = (1 - share) / share
        self._clock = clock
        self._waiting: deque[_Item] = deque()
        self._entered = self._left = 0  # characters; each is written by one thread alone
        self._tally = Tally()
        self._is_away = False
        self._forget_at = time.monotonic()
        self._closing = Event()
        self._is_idle: Callable[[], bool] = lambda: True
        self._thread: Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether there is a challenger to be compared."""
        return self._serving.challenger() is not None

    @property
    def waiting(self) -> int:
        """How many comments wait to be scored."""
        return len(self._waiting)

    def offer(
        self, batch: Sequence[Checked], policies: Mapping[str, Policy], champion: Classifier
    ) -> None:
        """Have comments that were judged by this champion scored later; never waits.

        `policies` are those they were judged by, by the ids of their sites.
        """
        # Nobody is woken: the thread looks by itself, when these have been answered.
        dropped = 0
        for checked in batch:
            size = len(checked.asked.submission.content)
            waiting = self._entered - self._left
            if len(self._waiting) >= MOST_WAITING or waiting + size > MOST_CHARACTERS:
                dropped += 1
                continue
            self._entered += size
            self._waiting.append(_Item(checked, policies[checked.asked.site_id], champion))
        if dropped:
            self._metrics.shadowed("dropped", dropped)

    def start(self, is_idle: Callable[[], bool]) -> None:
        """Begin to score what is offered, while `is_idle` says that nobody waits for an answer.

        Where somebody always does, it goes on all the same, a little later.
        """
        self._is_idle = is_idle
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the comment that is being scored, write what was counted, end the thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    # -------------------------------------------------------------- on the thread

    # Its priority is left as it is: a thread that the system favours less would be stopped while
    # it holds the interpreter, and everybody would wait for it.

    def _run(self) -> None:
        write_at = time.monotonic() + WRITE_SECONDS
        while not self._closing.is_set():
            if self._waiting:
                self._let_go_first()
                self._closing.wait(self._turn())
            else:
                self._closing.wait(_POLL_SECONDS if self.is_wanted else _LONG_POLL_SECONDS)
            if time.monotonic() >= write_at:
                self.write()
                write_at = time.monotonic() + WRITE_SECONDS
        self.write()

    def _let_go_first(self) -> None:
        """Wait until nobody waits for an answer, at most `PATIENCE_SECONDS`."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (self._is_idle() or self._closing.is_set() or time.monotonic() >= end):
            self._closing.wait(_STEP_SECONDS)

    def _turn(self) -> float:
        """Score one comment; the seconds to rest after it."""
        began = self._clock()
        self.score_one()
        return max(_REST_SECONDS, (self._clock() - began) * self._rests)

    def score_one(self) -> None:
        """Score the comment that has waited longest, and count what came of it."""
        item = self._waiting.popleft()
        self._left += len(item.checked.asked.submission.content)
        challenger = self._serving.challenger()
        found = None if challenger is None else self._compared(item, challenger)
        if challenger is None or found is None:
            self._metrics.shadowed("skipped")
            return
        kind = Kind.of(item.checked, found, challenger.version)
        if not self._tally.has_room_for(kind, MOST_KINDS):
            self._metrics.shadowed("dropped")
            return
        self._tally.count(kind, item.checked.asked.received_at, layered=found.layered)
        differs = found.was is not found.would
        if differs and len(self._tally.flips) < MOST_FLIPS:
            self._tally.flips.append(Flipped.of(item.checked, kind))
        result = "failed" if found.failed else "other" if differs else "same"
        self._metrics.shadowed(result)

    def _compared(self, item: _Item, challenger: Classifier) -> Compared | None:
        """What both say; None where there is nothing to compare."""
        checked = item.checked
        if challenger.version == checked.verdict.model:
            return None  # it was promoted meanwhile
        try:
            return compared(
                checked.asked.submission,
                checked.verdict,
                item.policy,
                champion=item.champion,
                challenger=challenger,
            )
        except Exception as problem:  # noqa: BLE001  one comment must not end the shadow
            log.error("shadowing failed", extra={"problem": type(problem).__name__})
            return None

    def write(self) -> None:
        """Write what was counted since the last time; what cannot be written is kept."""
        self._metrics.shadow_waits(len(self._waiting))
        if self._tally.is_empty:
            return
        try:
            self._shadows.add(self._tally)
            self._tally = Tally()
            if time.monotonic() >= self._forget_at:
                self._forget_at = time.monotonic() + FORGET_SECONDS
                self._shadows.forget()
        except StoreError as problem:
            if not self._is_away:
                log.warning("the shadow's counts wait", extra={"problem": type(problem).__name__})
            self._is_away = True
            return
        self._is_away = False
