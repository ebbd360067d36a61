"""Choose thresholds on held-out genuine comments, so that a stated risk is kept.

The Neyman-Pearson umbrella rule (Tong, Feng and Li 2018, "Neyman-Pearson classification
algorithms and NP receiver operating characteristics", proposition 1): among n scores of genuine
comments that the scorer has not seen, the k-th smallest as threshold flags more than `risk` of
all genuine comments with a chance of at most P(Binomial(n, 1 - risk) >= k). Exact when the
comments are drawn one by one from those that are to come.

They come in groups: threads, videos, sites. Where those that a threshold would flag crowd into few
groups, n comments tell less than n, and the rule breaks its word too often (`benchmarks/promise.py`
shows how often). So the comments are counted for no more than they tell: n over the design effect
of flagging, which is the variance of the share over groups by that over single comments (Kish
1965; the effective sample size of Korn and Graubard 1998). Where nothing crowds that is 1.

Where comments were drawn with different chances `training.drawn` says how many may be flagged, as
soon as it can tell half of a risk; before that all of them count alike. That is the more careful of
the two as long as what had to be reviewed is flagged more often than what had not.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from model.outcome import OFF
from model.promise import ANY, CONFIDENCE, RISKS, Kept, Promise
from training import drawn

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Genuine:
    """Genuine comments as columns, a comment each, scored by fits that have not seen them.

    `spam` and `toxicity` are calibrated scores in [0, 1], `language` the tag that serving
    gives, `unit` the group and `source` the source that a comment is from. `stands_for` is the
    inverse of the chance with which it was drawn, 0 for what nobody drew, None where all are alike.
    """

    spam: Floats
    toxicity: Floats
    language: NDArray[np.str_]
    unit: NDArray[np.str_]
    source: NDArray[np.str_]
    stands_for: Floats | None = None

    def where(self, chosen: NDArray[np.bool_]) -> "Genuine":
        """Some of the comments."""
        return Genuine(
            self.spam[chosen],
            self.toxicity[chosen],
            self.language[chosen],
            self.unit[chosen],
            self.source[chosen],
            None if self.stands_for is None else self.stands_for[chosen],
        )


def promise_of(
    by_group: Genuine, *, lead: float, by_source: Genuine | None = None, care: float = 1.0
) -> Promise:
    """What may be promised of each language, and of all together.

    `by_source` are comments scored by fits that have seen nothing of their source. Each source
    may raise the thresholds of a language to those it would have alone, never lower them or
    switch them off. `lead` is how the heads share what may wait (see `kept`). To reject at a risk
    takes the threshold of a risk `care` times smaller, 1 or more: a site that nobody has seen has
    other genuine comments than these, and what is rejected nobody looks at.
    """
    languages = [ANY, *sorted(set(by_group.language.tolist()))]
    found = {tag: kept(_in(by_group, tag), lead=lead) for tag in languages}
    if by_source is not None:
        for source in sorted(set(by_source.source.tolist())):
            of_source = by_source.where(by_source.source == source)
            for tag in languages:
                found[tag] = _milder(found[tag], kept(_in(of_source, tag), lead=lead))
    careful = {tag: _careful(one, found[ANY], care) for tag, one in found.items()}
    return Promise(careful, unit="group" if by_source is None else "source")


def estimated(genuine: Genuine, *, lead: float) -> Promise:
    """Thresholds that flag as great a share of these comments as each risk, by language.

    No promise: as likely as not more of others like them are flagged.
    """
    languages = [ANY, *sorted(set(genuine.language.tolist()))]
    return Promise({tag: kept(_in(genuine, tag), lead=lead, sure=False) for tag in languages})


def kept(genuine: Genuine, *, lead: float, sure: bool = True) -> Kept:
    """The thresholds for each of RISKS that genuine comments like these allow.

    A comment waits for either of two scores, and the risk counts both. So they share one
    order: a comment stands where the greater of its log-odds of spam and those of toxicity plus
    `lead` stands, and the rule is applied to that. The greater the lead, the lower a score of
    toxicity queues, and the higher one of spam.
    """
    spam, toxicity = _log_odds(genuine.spam), _log_odds(genuine.toxicity)
    doubt = np.maximum(spam, toxicity + lead)
    order = np.argsort(doubt, kind="stable")
    alone = np.argsort(spam, kind="stable")
    top_spam = genuine.spam[alone]
    # Up to each rank the greatest of either score: just above them, nothing so far is flagged.
    tops = [np.maximum.accumulate(x[order]) for x in (genuine.spam, genuine.toxicity)]
    ranks = _ranks if sure else _estimated
    queue = ranks(genuine, order)
    spam_at, toxicity_at = (
        tuple(_raised(queue, doubt[order], top, shift))
        for top, shift in zip(tops, (0.0, lead), strict=True)
    )
    return Kept(
        comments=int(order.size),
        groups=len(set(genuine.unit.tolist())),
        spam_queue_at=spam_at,
        toxicity_queue_at=toxicity_at,
        spam_reject_at=tuple(_raised(ranks(genuine, alone), spam[alone], top_spam, 0.0)),
    )


def threshold_for(
    genuine: Floats, risk: float, *, unit: NDArray[Any], confidence: float = CONFIDENCE
) -> float:
    """The lowest score at which at most `risk` of genuine comments is flagged, 0 < risk < 1.

    Holds for comments like `genuine` (scores in [0, 1], `unit` their groups) with the stated
    confidence. Where there are too few for that, the threshold is `OFF`: no score reaches it.
    """
    order = np.argsort(genuine, kind="stable")
    rank = rank_for(unit[order], risk, confidence=confidence)
    return OFF if rank is None else float(np.nextafter(genuine[order[rank - 1]], OFF))


def rank_for(unit: NDArray[Any], risk: float, *, confidence: float = CONFIDENCE) -> int | None:
    """The rank by the umbrella rule of comments in groups, or None when none will do.

    `unit` has the comments' groups in order of their scores. The rank is that of
    `umbrella_rank` where every comment is a group, and never lower.
    """
    least = umbrella_rank(unit.size, risk, confidence=confidence)
    if least is None:
        return None
    bounds = _bounds(unit, unit.size - least, confidence=confidence)
    return unit.size - _allowed(bounds, risk)


def umbrella_rank(n: int, risk: float, *, confidence: float = CONFIDENCE) -> int | None:
    """The smallest k with P(more than `risk` lie above the k-th smallest of n) <= 1 - confidence.

    That probability is at most P(Binomial(n, 1 - risk) >= k). None when no k will do.
    `risk` is between 0 and 1, both excluded.
    """
    if n == 0:
        return None
    # isf is the smallest x with P(Binomial > x) <= 1 - confidence.
    rank = int(binom.isf(1 - confidence, n, 1 - risk)) + 1
    return rank if rank <= n else None


def upper_bound(flagged: int, n: int, *, confidence: float = CONFIDENCE) -> float:
    """The greatest true share that `flagged` of n comments leave plausible, in [0, 1].

    One-sided, by Clopper and Pearson (1934): at the threshold of the umbrella rule it is at most
    the risk. 1 for no comments.
    """
    return 1.0 if flagged >= n else float(beta.ppf(confidence, flagged + 1, n - flagged))


def _ranks(genuine: Genuine, order: NDArray[np.intp]) -> list[int | None]:
    """The rank for each of RISKS: by what the comments stand for where that can be told."""
    if genuine.stands_for is None or not order.size:
        return _alike(genuine.unit[order])
    # What nobody drew tells nothing of the others, and is flagged as they are: only against.
    was_drawn = order[genuine.stands_for[order] > 0]
    undrawn = order.size - was_drawn.size
    alike = [None if rank is None else rank + undrawn for rank in _alike(genuine.unit[was_drawn])]
    bounds = drawn.bounds(genuine.stands_for[order], genuine.unit[order])
    ranks = [
        order.size - _allowed(bounds, risk) if bounds[0] <= risk / 2 else rank
        for rank, risk in zip(alike, RISKS, strict=True)
    ]
    # Both ways are right, and one gives way to the other: a greater risk flags no fewer.
    return _falling(ranks)


def _estimated(genuine: Genuine, order: NDArray[np.intp]) -> list[int | None]:
    """The rank for each of RISKS that flags such a share of these comments."""
    if not order.size:
        return [None] * len(RISKS)
    drawn_as = np.ones(order.size) if genuine.stands_for is None else genuine.stands_for
    shares = drawn.shares(drawn_as[order])
    return [order.size - _allowed(shares, risk) for risk in RISKS]


def _falling(ranks: Sequence[int | None]) -> list[int | None]:
    known = [math.inf if rank is None else rank for rank in ranks]
    return [None if rank == math.inf else int(rank) for rank in accumulate(known, min)]


def _alike(unit: NDArray[Any]) -> list[int | None]:
    """The rank for each of RISKS of comments that stand for one each."""
    ranks = [umbrella_rank(unit.size, risk) for risk in RISKS]
    if ranks[-1] is None:
        return ranks
    bounds = _bounds(unit, unit.size - ranks[-1], confidence=CONFIDENCE)
    return [
        None if rank is None else unit.size - _allowed(bounds, risk)
        for rank, risk in zip(ranks, RISKS, strict=True)
    ]


def _allowed(bounds: Floats, risk: float) -> int:
    """How many may be flagged: none of so many or fewer has a bound above the risk."""
    above = np.flatnonzero(bounds > risk)
    # That none may be is what the number of comments was checked for.
    return max(0, int(above[0]) - 1 if above.size else bounds.size - 1)


def _bounds(unit: NDArray[Any], most: int, *, confidence: float) -> Floats:
    """For 0 to `most` of the last comments flagged, the greatest plausible share of all."""
    n = unit.size
    names, codes = np.unique(unit, return_inverse=True)
    sizes = np.bincount(codes)
    flagged = np.arange(most + 1)
    in_group = [0] * names.size
    squares, products = np.zeros(most + 1), np.zeros(most + 1)
    for x, group in enumerate(codes[::-1][:most].tolist(), 1):
        squares[x] = squares[x - 1] + 2 * in_group[group] + 1
        products[x] = products[x - 1] + sizes[group]
        in_group[group] += 1
    share = flagged / n
    # Over groups, the sum of squares of what each has flagged less its part of all.
    between = squares - 2 * share * products + share**2 * float(sizes @ sizes)
    single = np.maximum(n * share * (1 - share), 1e-300)
    many = names.size / (names.size - 1) if names.size > 1 else 1.0
    effect = np.maximum(1.0, np.where(flagged > 0, many * between / single, 1.0))
    bounds = beta.ppf(confidence, flagged / effect + 1, (n - flagged) / effect)
    return np.asarray(bounds, np.float64)


def _raised(ranks: Sequence[int | None], doubt: Floats, top: Floats, lead: float) -> list[float]:
    """The lowest thresholds of a score that flag no comment up to each rank of the doubt."""
    return [
        OFF
        if rank is None
        else float(np.nextafter(max(top[rank - 1], _share(doubt[rank - 1] - lead)), OFF))
        for rank in ranks
    ]


def _in(genuine: Genuine, language: str) -> Genuine:
    return genuine if language == ANY else genuine.where(genuine.language == language)


def _milder(one: Kept, other: Kept) -> Kept:
    """The one, with the other's thresholds where those are higher."""

    def higher(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
        # Below the risks that the other can speak of, no lower than at the smallest it can.
        most = max((y for y in b if y < OFF), default=0.0)
        return tuple(max(x, y if y < OFF else most) for x, y in zip(a, b, strict=True))

    return Kept(
        one.comments,
        one.groups,
        higher(one.spam_queue_at, other.spam_queue_at),
        higher(one.toxicity_queue_at, other.toxicity_queue_at),
        higher(one.spam_reject_at, other.spam_reject_at),
    )


def _careful(one: Kept, all_languages: Kept, care: float) -> Kept:
    """The same, but to reject at a risk takes the threshold of a smaller one.

    Where a language has too few comments to speak of that, all languages together do; what was
    off stays off.
    """
    smaller = [max(0, bisect_right(RISKS, risk / care) - 1) for risk in RISKS]
    own, pooled = one.spam_reject_at, all_languages.spam_reject_at

    def at(risk: int, less: int) -> float:
        if own[risk] == OFF:
            return OFF
        known = own[less:] if own[less] < OFF else (*own[less:], *pooled[less:])
        return max(x for x in known if x < OFF)

    return replace(one, spam_reject_at=tuple(starmap(at, enumerate(smaller))))


def _log_odds(scores: Floats) -> Floats:
    inside = np.clip(scores, 1e-15, 1 - 1e-15)
    return np.log(inside / (1 - inside))


def _share(log_odds: float) -> float:
    return float(np.exp(-np.logaddexp(0, -log_odds)))
