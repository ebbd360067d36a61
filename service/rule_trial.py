"""Try a change of a site's lists on what came in the last days, before it is made.

Knows what the machine said of each comment and what people decided; asks for no score again, as
what the scores alone asked for stands among the reasons. Changes nothing.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor
from threading import Lock
from typing import NamedTuple

from model.links import links_in
from model.lists import Act, Entry, Found, Kind, Lists, Searched
from model.outcome import Outcome
from model.policy import Policy
from model.sifting import sift_of
from service.estimates import by_stretches
from service.storage.recent import Judged, Recent, Stretches
from service.storage.site_rules import RuleBook

TRIED = timedelta(days=30)
SECONDS = 8.0
"""A try of a policy takes no longer; what was not looked at by then is said."""

FIRST_SECONDS = 2.0
"""A trial of words takes little longer; stretches drawn by chance stand for the others then."""

LONGER_SECONDS = 45.0
"""For whoever asks to have more looked at; proxies give up after a minute."""

MOST_SAMPLES = 20
SWEEPING_SHARE = 0.05
SWEEPING_LEAST = 10
"""A change that touches more than so many comments, and that share of them, is pointed out."""

PAGE = 500
"""Comments of a stretch, read at a time."""
_alone = Lock()
_REST_SECONDS = 0.001  # between pages, so that comments are judged meanwhile


@dataclass(frozen=True, slots=True)
class Sample:
    """A comment whose outcome the change would have changed.

    `decided` is what a person decided of it, None for nobody; `contradicts` says that the change
    would have gone against that. `found` is where the entry stands.
    """

    id: str
    name: str
    content: str
    before: Outcome
    after: Outcome
    decided: Outcome | None
    contradicts: bool
    found: Found | None

    @property
    def rank(self) -> tuple[int, int]:
        """What people want to see first: what a person accepted, then what was published."""
        if self.decided is Outcome.ACCEPT:
            order = 0
        elif self.contradicts:
            order = 1
        else:
            order = 2 if self.before is Outcome.ACCEPT else 3
        return order, -self.after


@dataclass(frozen=True, slots=True)
class Trial:
    """What a change would have done to `looked_at` of the `of` comments of the last days.

    Where those are not all, they are stretches drawn by chance, and `touched_in_all` and
    `changed_in_all` are the least and the most that there may well be in all (95 %).
    `touched` are those that an added or ended entry is found in, `changed` counts those with
    another outcome by what it was and would have been. `genuine` of the `accepted` ones, which
    people accepted, would have been queued or rejected; `rejected` of those that people rejected
    would have been published.
    """

    looked_at: int
    of: int
    touched: int
    changed: tuple[tuple[Outcome, Outcome, int], ...]
    accepted: int
    genuine: int
    rejected: int
    samples: tuple[Sample, ...]
    seconds: float
    touched_in_all: tuple[int, int]
    changed_in_all: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether all were looked at."""
        return self.looked_at >= self.of

    @property
    def total(self) -> int:
        """How many outcomes would have been others."""
        return sum(count for _, _, count in self.changed)

    @property
    def is_sweeping(self) -> bool:
        """Whether it does so much that a person should say so twice."""

        def sweeps(part: int, whole: int) -> bool:
            return part >= SWEEPING_LEAST and part > SWEEPING_SHARE * whole

        few_but_all = 0 < self.looked_at == self.touched
        return (
            few_but_all
            or sweeps(self.touched, self.looked_at)
            or sweeps(self.genuine, self.accepted)
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """The entries in force, and those that would be added and ended."""

    current: Sequence[Entry]
    added: Sequence[Entry]
    ended: Sequence[Entry]

    def after(self) -> list[Entry]:
        """The entries that would be in force; what is added replaces what is there."""
        gone = {(e.kind, e.text) for e in (*self.added, *self.ended)}
        return [*(e for e in self.current if (e.kind, e.text) not in gone), *self.added]

    def touched(self) -> list[Entry]:
        """What makes a difference: what is added, ended or replaced."""
        places = {(e.kind, e.text) for e in self.added}
        replaced = [e for e in self.current if (e.kind, e.text) in places]
        return [*self.added, *self.ended, *replaced]


def tried(  # noqa: PLR0913  a trial is of all this
    book: RuleBook,
    site_id: str,
    policy: Policy,
    draft: Draft,
    *,
    now: datetime,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
    page: int = PAGE,
) -> Trial:
    """What a change would have done to what came since `TRIED` before now.

    Looks at stretches of that time, in an order by chance, so that those it comes to stand for
    all. One at a time in a process, so that comments are judged meanwhile; the others wait.
    """
    with _alone:
        comparison = _Comparison(book, policy, draft)
        began = clock()
        there = book.stretches(site_id, now - TRIED, page)
        for start, end in _by_chance(there):
            comparison.look_at(book.recent_between(site_id, start, end))
            if clock() - began > seconds:
                break
            time.sleep(_REST_SECONDS)
        return comparison.result(there.number, clock() - began)


def _by_chance(there: Stretches) -> list[tuple[str, str]]:
    """The stretches from id to id, the same order for the same comments; the last has no end."""
    found = [*pairwise((*there.starts, ""))]
    random.Random(there.number).shuffle(found)
    return found


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found in a stretch."""

    number: int
    accepted: int
    touched: int
    changed: int


class _Met(NamedTuple):
    """The first of what makes a difference, and what the lists find as they are and would be."""

    first: Found
    before: Sequence[Found]
    after: Sequence[Found]


class _Comparison:
    """Counts what differs between the lists as they are and as they would be."""

    def __init__(self, book: RuleBook, policy: Policy, draft: Draft) -> None:
        self._book = book
        self._policy = policy
        self._touched = Lists(draft.touched())
        self._sift = sift_of(draft.touched())
        self._before, self._after = Lists(draft.current), Lists(draft.after())
        self._has_domains = any(one.has_domains for one in (self._before, self._after))
        self._only_adds = not (draft.current or draft.ended)
        self._changed: Counter[tuple[Outcome, Outcome]] = Counter()
        self._samples: list[Sample] = []
        self._genuine = self._rejected = 0
        self._looked: list[_Looked] = []

    def look_at(self, page: Sequence[Recent]) -> None:
        before = self._changed.total()
        likely = self._likely(page)
        met = [(one, found) for one in likely if (found := self._met(one)) is not None]
        if met:
            self._compare_all(met)
        accepted = sum(one.decided == "accept" for one in page)
        changed = self._changed.total() - before
        self._looked.append(_Looked(len(page), accepted, len(met), changed))

    def _compare_all(self, met: Sequence[tuple[Recent, "_Met"]]) -> None:
        judged = self._book.judged_of([one.id for one, _ in met])
        for one, found in met:
            if one.id in judged:
                self._compare(one, found, judged[one.id])
        self._samples.sort(key=lambda sample: sample.rank)
        del self._samples[MOST_SAMPLES:]

    def _likely(self, page: Sequence[Recent]) -> Sequence[Recent]:
        """Those in which something may be found; of the others it is certain that nothing is."""
        if self._sift is None:
            return page
        holds = self._sift.holds([text for one in page for text in (one.content, one.name)])
        pairs = zip(page, holds[::2], holds[1::2], strict=True)
        return [one for one, content, name in pairs if content or name]

    def _met(self, one: Recent) -> "_Met | None":
        """What is found in a comment, if any of what makes a difference is."""
        links = links_in(one.content) if self._has_domains else ()
        searched = Searched(one.content, one.name, one.url, links, one.address_domain)
        touched = self._touched.found_in(searched)
        if not touched:
            return None
        if self._only_adds:  # to lists that were empty: nothing else can be found
            return _Met(touched[0], (), touched)
        return _Met(touched[0], self._before.found_in(searched), self._after.found_in(searched))

    def _compare(self, one: Recent, met: "_Met", judged: Judged) -> None:
        before = self._outcome(judged, met.before)
        after = self._outcome(judged, met.after)
        if before is after:
            return
        self._changed[before, after] += 1
        decided = Outcome.of(one.decided) if one.decided else None
        is_genuine = decided is Outcome.ACCEPT and after > before
        is_published = decided is Outcome.REJECT and after is Outcome.ACCEPT
        self._genuine += is_genuine
        self._rejected += is_published
        self._samples.append(
            Sample(
                one.id,
                one.name,
                one.content,
                before,
                after,
                decided,
                is_genuine or is_published,
                met.first if met.after else None,
            )
        )

    def _outcome(self, judged: Judged, found: Sequence[Found]) -> Outcome:
        """The outcome with other list entries, by the policy's laws."""
        outcome = by_scores(judged, self._policy)
        others = [hit for hit in judged.hits if not hit.rule.startswith("list.")]
        acts = {(f.entry.kind, f.entry.act) for f in found}
        is_trusted = any(hit.trust for hit in others) or (Kind.DOMAIN, Act.TRUST) in acts
        if is_trusted and "score.unavailable" not in judged.codes:
            outcome = Outcome(max(outcome - 1, Outcome.ACCEPT))
        asked = [hit.effect for hit in others if not hit.trust]
        asked += [self._effect(kind, act) for kind, act in acts if act is not Act.TRUST]
        return max([outcome, *asked])

    def _effect(self, kind: Kind, act: Act) -> Outcome:
        is_rejection = act is Act.REJECT
        name = f"list.{kind}_rejected" if is_rejection else f"list.{kind}"
        return self._policy.effects.get(name, Outcome.REJECT if is_rejection else Outcome.QUEUE)

    def result(self, of: int, seconds: float) -> Trial:
        looked_at = sum(one.number for one in self._looked)
        of = max(of, looked_at)
        changed = sorted(self._changed.items(), key=lambda item: (item[0], item[1]))
        return Trial(
            looked_at=looked_at,
            of=of,
            touched=sum(one.touched for one in self._looked),
            changed=tuple((before, after, count) for (before, after), count in changed),
            accepted=sum(one.accepted for one in self._looked),
            genuine=self._genuine,
            rejected=self._rejected,
            samples=tuple(self._samples),
            seconds=seconds,
            touched_in_all=self._in_all([one.touched for one in self._looked], of),
            changed_in_all=self._in_all([one.changed for one in self._looked], of),
        )

    def _in_all(self, found: Sequence[int], of: int) -> tuple[int, int]:
        """The least and the most that there may well be of what was found in some stretches."""
        share = by_stretches(found, [one.number for one in self._looked], of)
        if share is None:
            return 0, of
        return max(sum(found), floor(share.low * of)), ceil(share.high * of)


def by_scores(judged: Judged, policy: Policy) -> Outcome:
    """What the scores alone asked for: it stands among the reasons of a verdict."""
    codes = judged.codes
    if "history.imported" in codes:  # nothing was scored
        return judged.outcome
    if codes & {"score.unavailable", "judging.failed"}:
        return Outcome.ACCEPT if policy.fail_open else Outcome.QUEUE
    if any(code.startswith("score.") and code.endswith("_likely") for code in codes):
        return Outcome.REJECT
    if any(code.startswith("score.") and code.endswith("_unsure") for code in codes):
        return Outcome.QUEUE
    return Outcome.ACCEPT
