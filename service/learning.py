"""What each site's decisions taught, kept up with the store while comments are judged.

Every batch says how far the decisions of its sites have come, as it is read with the rest of what
is known. Where that is further than what was learnt, the new decisions are read and folded on a
thread of its own; the batch waits for that a moment, and is judged with what there is. Nothing
is polled and nothing stored: after a start, or when a site was not asked for long, its decisions
are folded again, and count as they are.

Knows the store and when to fold what. How a decision is learnt from is `model.experience`.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Condition

from model.classifier import Classifier
from model.experience import Experience
from model.policy import Policy
from model.site_layer import HORIZON, Anchors
from service.metrics import Metrics
from service.storage import Changes, Site, Store

log = logging.getLogger(__name__)

MOST_MEGABYTES = 600.0
"""What the experience of all sites may take. A site's takes 0.4 MB, and 9 KB for each decision in
its memory: 18 MB at the most."""

KEPT_SECONDS = 600.0
"""A site that was asked for within so long is not forgotten for a new one, which is judged without
experience while there is no room: to fold sites in turn, again and again, would help nobody."""

PATIENCE_SECONDS = 0.05
"""How long a batch waits for decisions that it is the first to know of: some 30 are learnt."""

AT_ONCE = 16
"""Decisions of a site that are learnt before it is another site's turn."""

BLOCKS = 5
"""Into so many blocks the horizon is cut. A fold begins with a block and takes in the newest
four and what there is of the fifth, so that every process learns a site from the same first
decision, however long it has been running."""

RETRY_SECONDS = 1.0

_PAUSE_SECONDS = 0.0005  # lets other threads have the interpreter between two decisions


@dataclass(frozen=True, slots=True)
class _Basis:
    """What an experience depends on besides the decisions that follow: other is another fold."""

    champion: str
    policy: Policy
    since: int
    undo: int
    reset: int

    @classmethod
    def of(cls, classifier: Classifier, policy: Policy, changes: Changes, horizon: int) -> "_Basis":
        block = horizon // BLOCKS
        begins = changes.last // block - (BLOCKS - 1)
        since = max(changes.reset, begins * block, 0)
        # Nothing but what thresholds come from: another audit rate is no reason to fold again.
        risks = Policy(
            reject_risk=policy.reject_risk,
            queue_risk=policy.queue_risk,
            thresholds=policy.thresholds,
        )
        return cls(classifier.version, risks, since, changes.undo, changes.reset)


@dataclass(slots=True)
class _Fold:
    """An experience in the making or in use; `upto` is where the making ends."""

    basis: _Basis
    experience: Experience
    upto: int

    def goes_on_to(self, basis: _Basis) -> bool:
        """Whether it is worth going on with where another basis is wanted."""
        mine = self.basis
        return mine.champion == basis.champion and mine.reset == basis.reset


@dataclass(slots=True)
class _SiteState:
    """What is known of one site: how far it should be, what is in use, what is being made."""

    site_id: str
    changes: Changes
    policy: Policy
    since: float = 0.0  # when it was found not to be up to date
    used_at: float = 0.0
    current: _Fold | None = None
    making: _Fold | None = None
    queued: bool = False
    retry_at: float = 0.0

    @property
    def megabytes(self) -> float:
        """What its experience takes, as measured with comments of 50 words."""
        folds = [fold for fold in (self.current, self.making) if fold is not None]
        return sum(0.4 + 0.009 * fold.experience.memory.remembered for fold in folds)

    def is_up_to_date(self, basis: _Basis) -> bool:
        fold = self.current
        is_same = fold is not None and fold.basis == basis
        return is_same and fold is not None and fold.experience.change >= self.changes.last


class Learning:
    """The experience of sites; one object for a process. Safe for threads.

    Without a classifier nothing new is learnt. What fails is logged and counted, and the
    comments are judged without it. Of a site the last `horizon` changes are folded at most;
    `clock` gives seconds.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        horizon: int = HORIZON,
        megabytes: float = MOST_MEGABYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._horizon = horizon
        self._megabytes = megabytes
        self._clock = clock
        self._changed = Condition()  # guards all below, and each experience in use
        self._states: OrderedDict[str, _SiteState] = OrderedDict()
        self._due: deque[str] = deque()
        self._classifier: Classifier | None = None
        self._anchors: tuple[str, Anchors] | None = None
        self._running = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learning")

    def close(self) -> None:
        """Stop after the few decisions that are being learnt, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.shutdown()

    @contextmanager
    def of(
        self, sites: Iterable[tuple[Site, Changes]], classifier: Classifier | None
    ) -> Iterator[Mapping[str, Experience]]:
        """The experience of each site that has one, by id; it does not change in the block.

        `sites` may name one several times, `changes` being how far its decisions have come.
        Waits for at most `PATIENCE_SECONDS`, and only where there are decisions that no batch
        before knew of.
        """
        newest: dict[str, tuple[Site, Changes]] = {}
        for site, changes in sites:
            # A reset is a change itself: nothing was decided after it when it is the last.
            if changes.last > changes.reset and site.policy.learn_from_decisions:
                known = newest.get(site.id)
                if known is None or known[1].last <= changes.last:
                    newest[site.id] = (site, changes)
        if not newest:
            yield {}
            return
        with self._changed:
            if classifier is not None:
                self._catch_up(newest.values(), classifier)
            yield self._in_use(newest.values())

    def _in_use(self, sites: Iterable[tuple[Site, Changes]]) -> dict[str, Experience]:
        found = {}
        for site, changes in sites:
            state = self._states.get(site.id)
            fold = state.current if state else None
            if fold is not None and fold.basis.reset >= changes.reset:
                found[site.id] = fold.experience
        return found

    def _catch_up(self, sites: Iterable[tuple[Site, Changes]], classifier: Classifier) -> None:
        self._classifier = classifier
        awaited = [
            state for site, changes in sites if (state := self._behind(site, changes, classifier))
        ]
        if awaited:
            self._changed.wait_for(
                lambda: self._closed or not any(state.queued for state in awaited),
                PATIENCE_SECONDS,
            )

    def _behind(self, site: Site, changes: Changes, classifier: Classifier) -> _SiteState | None:
        """The state of a site that has just been found to be behind, its folding begun."""
        state = self._states.get(site.id) or self._admitted(site)
        if state is None:
            return None
        is_news = self._hear(state, site, changes)
        basis = _Basis.of(classifier, state.policy, state.changes, self._horizon)
        if state.queued or state.is_up_to_date(basis):
            return None
        now = self._clock()
        if now < state.retry_at or self._closed:
            return None
        state.since = now
        state.queued = True
        self._due.appendleft(site.id)  # what is new is little: before those that fold much
        if not self._running:
            self._running = True
            self._thread.submit(self._work)
        return state if is_news or state.current is None else None

    def _admitted(self, site: Site) -> _SiteState | None:
        """A new state, in the place of those not asked for long; None when there is no room."""
        while self._is_full():
            oldest = next(iter(self._states.values()))
            if self._clock() - oldest.used_at < KEPT_SECONDS:
                return None
            del self._states[oldest.site_id]
        state = self._states[site.id] = _SiteState(site.id, Changes(), site.policy)
        return state

    def _is_full(self) -> bool:
        return sum(state.megabytes for state in self._states.values()) >= self._megabytes

    def _hear(self, state: _SiteState, site: Site, changes: Changes) -> bool:
        """Note how far a site has come; whether that is news."""
        self._states.move_to_end(site.id)
        state.used_at = self._clock()
        state.policy = site.policy
        is_news = changes.last > state.changes.last
        if is_news:
            state.changes = changes
        return is_news

    # -------------------------------------------------------------- on the thread

    def _work(self) -> None:
        """Take sites in turn, a few decisions of each, until none is behind."""
        try:
            while (state := self._next()) is not None:
                self._advance(state)
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _next(self) -> _SiteState | None:
        with self._changed:
            while self._due and not self._closed:
                state = self._states.get(self._due.popleft())
                if state is not None:  # else it was forgotten meanwhile
                    return state
            self._running = False  # while nobody else looks: what comes now starts it again
            return None

    def _advance(self, state: _SiteState) -> None:
        """Learn some of a site's decisions; it stays in the row while there are more."""
        with self._changed:
            classifier, changes, policy = self._classifier, state.changes, state.policy
        assert classifier is not None, "only a batch with a model makes a site due"
        try:
            self._step(state, classifier, changes, policy)
        except Exception as problem:  # noqa: BLE001  one site's learning must not end all others'
            log.error("learning failed", extra={"problem": type(problem).__name__})
            self._metrics.learning_failed()
            with self._changed:
                state.retry_at = self._clock() + RETRY_SECONDS
                self._settle(state)
            return
        with self._changed:
            newest = self._classifier or classifier
            basis = _Basis.of(newest, state.policy, state.changes, self._horizon)
            if state.is_up_to_date(basis):
                self._metrics.learnt_in(self._clock() - state.since)
                self._settle(state)
            else:
                self._due.append(state.site_id)

    def _settle(self, state: _SiteState) -> None:
        state.queued = False
        while len(self._states) > 1 and self._is_full():  # it has grown
            self._states.popitem(last=False)
        folds = [s.current for s in self._states.values() if s.current is not None]
        self._metrics.trusted_are([fold.experience.layer.trust for fold in folds])
        self._changed.notify_all()

    def _step(
        self, state: _SiteState, classifier: Classifier, changes: Changes, policy: Policy
    ) -> None:
        basis = _Basis.of(classifier, policy, changes, self._horizon)
        current = state.current
        if current is None or current.basis.reset != basis.reset:
            # In use from its first decision on: there is nothing better yet.
            current = self._begun(basis, classifier, changes)
            with self._changed:
                state.current, state.making = current, None
        # One of an older model, policy, undo or beginning is kept up until its successor is made.
        self._extend(state, current.experience, changes.last, in_use=True)
        if current.basis != basis:
            making = state.making
            if making is None or not making.goes_on_to(basis):
                making = state.making = self._begun(basis, classifier, changes)
            if self._extend(state, making.experience, making.upto, in_use=False):
                with self._changed:
                    state.current, state.making = making, None

    def _begun(self, basis: _Basis, classifier: Classifier, changes: Changes) -> _Fold:
        anchors = self._anchors_of(classifier)
        experience = Experience(
            classifier, anchors, basis.policy, since=basis.since, undo=basis.undo
        )
        return _Fold(basis, experience, changes.last)

    def _anchors_of(self, classifier: Classifier) -> Anchors:
        if self._anchors is None or self._anchors[0] != classifier.version:
            self._anchors = (classifier.version, Anchors.of(classifier.spec))
        return self._anchors[1]

    def _extend(
        self, state: _SiteState, experience: Experience, upto: int, *, in_use: bool
    ) -> bool:
        """Learn the next decisions up to a change; whether it is reached."""
        if experience.change >= upto:
            return True
        found = self._store.decided(
            state.site_id,
            after=experience.change,
            upto=upto,
            undone_upto=experience.undo,
            limit=AT_ONCE,
        )
        for prepared in experience.prepared(found):
            with self._changed if in_use else nullcontext():
                experience.learn(prepared)
            self._metrics.decision_read(taught=prepared.lesson is not None)
            time.sleep(_PAUSE_SECONDS)
        if len(found) < AT_ONCE:
            with self._changed:
                experience.change = upto
            return True
        return False
