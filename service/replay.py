"""Judge stored comments again, by another model, policy or lists, before any of it is changed.

Knows where comments are read and how what would change is counted. Holds one page of comments at
a time and a bounded number of examples, so memory does not grow with what is looked at. What is
said of a comment again is `model.rejudging`'s. Changes nothing.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from model.classifier import Classifier
from model.lists import Entry, Lists
from model.outcome import Outcome
from model.policy import Policy
from model.rejudging import Again, Setup, judged_again
from service.rule_trial import Draft
from service.storage import Site, Store
from service.storage.past import PastComment, Stretch, past_page
from service.storage.rule_records import entries_of
from service.storage.site_rules import RuleBook

PAGE = 500
"""Comments read at a time."""

TOGETHER = 8
"""Comments that are judged at a time; a rest lies between, where others have to go on."""

MOST_FLIPS = 20
"""Examples of each kind of flip, unless somebody asks for more."""

LONGEST = 2_000
"""Characters of a comment that are kept of an example."""

T = TypeVar("T")

Setups = Mapping[str, Setup]
"""What the comments of each site are judged by, by the ids of the sites."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of changing. `decided` is what a person said of the comments, None for nobody."""

    decided: Outcome | None
    before: Outcome
    after: Outcome

    @property
    def is_flip(self) -> bool:
        """Whether it is another outcome at all."""
        return self.before is not self.after

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        """What people want to see first: what people accepted, then what they rejected, each
        with what would go against them at the head, the worst first."""
        against = self.is_against
        group = (Outcome.ACCEPT, Outcome.REJECT, None).index(self.decided)
        step = self.after - self.before
        worst = step if self.decided is Outcome.REJECT else -step
        return group, not against, worst, -self.after

    @property
    def is_against(self) -> bool:
        """Whether it would go further against what a person decided than before."""
        if self.decided is Outcome.ACCEPT:
            return self.after > self.before
        return self.decided is Outcome.REJECT and self.after < self.before


@dataclass(frozen=True, slots=True)
class Flip:
    """A comment that would have another outcome. `layerless` is as in `model.rejudging.Again`."""

    id: str
    site_id: str
    received_at: datetime
    kind: Kind
    language: str
    layerless: bool
    name: str = field(repr=False)
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What judging comments again came to.

    `counts` has what was judged again, of each kind, flips or not. Left out were `imported`,
    which came with a site's history and were never judged here, `unscored`, which no model
    could score then, and `elsewhere`, of sites that there was no setup for. Of `layerless`
    comments the site's layer took part in the outcome of then, while nothing is known of one
    over the model they were judged by again; `layerless_flips` of those have another outcome.
    `models` and `policies` count what had judged before. `flips` are examples of each kind, the
    newest of each, in the order of `Kind.rank`.
    """

    looked_at: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    imported: int = 0
    unscored: int = 0
    elsewhere: int = 0
    layerless: int = 0
    layerless_flips: int = 0
    models: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    flips: tuple[Flip, ...] = field(default=(), repr=False)

    @property
    def judged(self) -> int:
        """How many were judged again."""
        return self.counts.total()

    @property
    def changed(self) -> list[tuple[Kind, int]]:
        """The flips by kind, in order of `Kind.rank`."""
        found = [(kind, n) for kind, n in self.counts.items() if kind.is_flip]
        return sorted(found, key=lambda item: item[0].rank)

    @property
    def total(self) -> int:
        """How many would have another outcome."""
        return sum(n for _, n in self.changed)

    def decided(self, outcome: Outcome) -> int:
        """Of how many a person had decided that."""
        return sum(n for kind, n in self.counts.items() if kind.decided is outcome)

    def against(self, outcome: Outcome) -> int:
        """How many of those would go further against it."""
        return sum(
            n for kind, n in self.counts.items() if kind.is_against and kind.decided is outcome
        )


def together(parts: Iterable[Replayed], *, most: int) -> Replayed:
    """What several stretches came to; of examples the newest `most` of each kind."""
    found = list(parts)
    flips = _Examples(most)
    # Ids begin with the time.
    for flip in sorted((f for part in found for f in part.flips), key=lambda f: f.id, reverse=True):
        flips.add(flip)
    return Replayed(
        looked_at=sum(p.looked_at for p in found),
        counts=_sum(p.counts for p in found),
        imported=sum(p.imported for p in found),
        unscored=sum(p.unscored for p in found),
        elsewhere=sum(p.elsewhere for p in found),
        layerless=sum(p.layerless for p in found),
        layerless_flips=sum(p.layerless_flips for p in found),
        models=_sum(p.models for p in found),
        policies=_sum(p.policies for p in found),
        flips=flips.in_order(),
    )


def _sum(counts: Iterable[Counter[T]]) -> Counter[T]:
    total: Counter[T] = Counter()
    for each in counts:
        total.update(each)
    return total


def replayed(  # noqa: PLR0913  what to judge, by what, and how to go about it
    store: Store,
    stretch: Stretch,
    after: Setups,
    *,
    before: Setups | None = None,
    most: int = MOST_FLIPS,
    page: int = PAGE,
    rest: Callable[[], object] = lambda: None,
    is_over: Callable[[], bool] = lambda: False,
    progress: Callable[[int], object] = lambda _: None,
) -> Replayed:
    """Judge the comments of a stretch again, the newest first.

    What would be said is compared with what was said then, or with what `before` says. `rest` is
    called every few comments, and `is_over` whether to leave it at that.
    """
    ledger = _Ledger(after, before, most)
    for found in _pages(store, stretch, page):
        for at in range(0, len(found), TOGETHER):
            if is_over():
                return ledger.result()
            ledger.judge(found[at : at + TOGETHER])
            rest()
        progress(ledger.looked_at)
    return ledger.result()


def _pages(store: Store, stretch: Stretch, size: int) -> Iterator[list[PastComment]]:
    before = ""
    while found := past_page(store, stretch, before=before, limit=size):
        yield found
        if len(found) < size:
            return
        before = found[-1].id


class _Examples:
    """The first so many of each kind that are added."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Kind, list[Flip]] = defaultdict(list)

    def wants(self, kind: Kind) -> bool:
        return len(self._kept[kind]) < self._most

    def add(self, flip: Flip) -> None:
        if self.wants(flip.kind):
            self._kept[flip.kind].append(flip)

    def in_order(self) -> tuple[Flip, ...]:
        kinds = sorted(self._kept, key=lambda kind: kind.rank)
        return tuple(flip for kind in kinds for flip in self._kept[kind])


class _Ledger:
    """Counts what comments would come to."""

    def __init__(self, after: Setups, before: Setups | None, most: int) -> None:
        self._after, self._before = after, before
        self._flips = _Examples(most)
        self._counts: Counter[Kind] = Counter()
        self._models: Counter[str] = Counter()
        self._policies: Counter[str] = Counter()
        self.looked_at = self._imported = self._unscored = self._elsewhere = 0
        self._layerless = self._layerless_flips = 0

    def judge(self, batch: Sequence[PastComment]) -> None:
        self.looked_at += len(batch)
        usable = [one for one in batch if self._is_usable(one)]
        after = _said(usable, self._after)
        before = _said(usable, self._before) if self._before is not None else [None] * len(usable)
        for one, would, was in zip(usable, after, before, strict=True):
            self._count(one, would, was)

    def _is_usable(self, one: PastComment) -> bool:
        if one.past is None:
            self._imported += 1
        elif not one.is_scored:
            self._unscored += 1
        elif one.site_id not in self._after:
            self._elsewhere += 1
        else:
            return True
        return False

    def _count(self, one: PastComment, would: Again, was: Again | None) -> None:
        past = one.past
        assert past is not None, "only those that were judged come here"
        kind = Kind(one.decided, past.outcome if was is None else was.outcome, would.outcome)
        layerless = would.layerless and not (was is not None and was.layerless)
        self._counts[kind] += 1
        self._models[past.model] += 1
        self._policies[one.policy] += 1
        self._layerless += layerless
        if not kind.is_flip:
            return
        self._layerless_flips += layerless
        if self._flips.wants(kind):
            sent = past.submission
            flip = Flip(
                id=one.id,
                site_id=one.site_id,
                received_at=one.received_at,
                kind=kind,
                language=would.language,
                layerless=layerless,
                name=sent.author.name[:120],
                content=sent.content[:LONGEST],
            )
            self._flips.add(flip)

    def result(self) -> Replayed:
        return Replayed(
            looked_at=self.looked_at,
            counts=self._counts,
            imported=self._imported,
            unscored=self._unscored,
            elsewhere=self._elsewhere,
            layerless=self._layerless,
            layerless_flips=self._layerless_flips,
            models=self._models,
            policies=self._policies,
            flips=self._flips.in_order(),
        )


def _said(batch: Sequence[PastComment], setups: Setups) -> list[Again]:
    pairs = [(one.past, setups[one.site_id]) for one in batch if one.past is not None]
    return judged_again(pairs)


# ------------------------------------------------------------------ what to judge by


def setups_of(
    sites: Iterable[Site],
    classifier: Classifier,
    *,
    policy_of: Callable[[Site], Policy] = lambda site: site.policy,
    lists_of: Callable[[Site], Lists | None] = lambda _: None,
) -> dict[str, Setup]:
    """What the comments of some sites are judged by; usually by the policies in force.

    Where `lists_of` gives None, what the lists found then counts.
    """
    return {site.id: Setup(classifier, policy_of(site), lists_of(site)) for site in sites}


def lists_with(store: Store, site: Site, added: Sequence[Entry]) -> Lists:
    """A site's lists as they are in force, with some entries more."""
    _, stored = RuleBook(store).in_force(site.id)
    current = entries_of(rule for rule in stored if rule.counts(store.now()))
    return Lists(Draft(current, added, ()).after())


# ------------------------------------------------------------------ bounded in time


def until(seconds: float, *, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """Says whether so many seconds are over, from now on."""
    end = clock() + seconds
    return lambda: clock() >= end
