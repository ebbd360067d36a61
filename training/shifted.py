"""What may be promised of a version whose scores are another's, moved.

A site's own version gives a comment the champion's log-odds and a move: log-odds = champion's +
move. Where the site has few genuine comments, none of the rules of `training.umbrella` can speak of
its scores. But a comment above t + d is above t by the champion, or was moved by more than d:

    P(own > t + d)  <=  P(champion > t) + P(move > d)

Of the first share the champion's promise speaks, by the genuine comments that it was chosen on; of
the second the moves of genuine comments whose group the own fit has not seen. Both are known by
samples, and what may break the promise for a risk r is that they come to more than r together. With
p for the first, that both samples look as good as they do has a chance of at most

    max over p in [0, r] of  passed(p) * P(Binomial(n, r - p) <= k)

where `passed(p)` is the chance that a threshold promised for q was chosen though it flags p, n is
how many comments were moved and k how many of them by more than d. Where that is at most
1 - CONFIDENCE, the promise holds with CONFIDENCE. To split the confidence or the risk in halves
would be sound as well, and cost a language of 600 genuine comments all that it promises; this costs
it nothing, as no two of those chances are great for the same p.

What k comments at the ends leave of several scores at once is as if one had been ordered: cutting
off the greatest by one score, then the greatest of the rest by the other, and so on (Wald 1943;
Tukey 1947, "Non-parametric estimation II", statistically equivalent blocks).

All of this is of comments like those: genuine ones that the champion's promise was chosen on, moved
like those that the moves were seen of.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincc, betaincinv

from model.classifier import HEADS
from model.outcome import OFF, Head
from model.promise import ANY, CONFIDENCE, RISKS, Kept, Promise

Floats = NDArray[np.float64]

SPAM, TOXICITY = HEADS.index(Head.SPAM), HEADS.index(Head.TOXICITY)
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Moves:
    """Genuine comments as columns: how far fits that have not seen their group moved them.

    `by`, shape (heads, comments), is in log-odds, `language` the tag that serving gives, and
    `unit` the group that was held out.
    """

    by: Floats
    language: NDArray[np.str_]
    unit: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> "Moves":
        """Some of the comments."""
        return Moves(self.by[:, chosen], self.language[chosen], self.unit[chosen])


def shifted(promise: Promise, moves: Moves) -> Promise:
    """The champion's promise, kept by the moved scores: thresholds raised, or `OFF`.

    A head that no comment was moved by has the champion's thresholds for the same risks, where
    there are comments enough to tell.
    """
    return Promise(
        {
            tag: _shifted(kept, moves if tag == ANY else moves.where(moves.language == tag))
            for tag, kept in promise.languages.items()
        },
        unit=promise.unit,
    )


def holds(promised: float, counted: int, moved: float, beyond: int, risk: float) -> bool:
    """Whether a champion's threshold and a move keep a risk together, with CONFIDENCE.

    The threshold was chosen for the risk `promised` on `counted` genuine comments; of `moved`
    others, `beyond` were moved further than the move.
    """
    if promised > risk or moved <= beyond:
        return False
    share = np.linspace(0.0, risk, _STEPS)
    unseen = betaincc(beyond + 1, moved - beyond, risk - share)  # P(Binomial <= beyond)
    return bool(np.max(_passed(promised, counted, share) * unseen) <= 1 - CONFIDENCE)


def _passed(promised: float, counted: int, share: Floats) -> Floats:
    """At most the chance to have chosen a threshold for a risk that flags such a share.

    The rule chose the greatest count of flagged comments whose bound is below the risk, of as many
    as theirs are worth: `counted` or, as groups crowd, fewer. At the risk itself the chance is
    1 - CONFIDENCE. Towards it, it falls the later the more comments are counted; beyond it, it
    falls the slowest where none was flagged.
    """
    flagged, worth = _most_flagged(promised, counted)
    below = betaincc(flagged + 1, worth - flagged, np.minimum(share, 1.0))
    above = np.power(1 - CONFIDENCE, np.maximum(share, promised) / promised)
    return np.asarray(np.where(share < promised, below, above))


@cache
def _most_flagged(risk: float, n: int) -> tuple[int, float]:
    """The greatest count of n that leaves at most `risk` plausible, and of how many just that."""
    flagged = np.arange(int(n * risk) + 1)
    allowed = np.flatnonzero(betaincinv(flagged + 1, n - flagged, CONFIDENCE) <= risk)
    most = int(allowed[-1]) if allowed.size else 0
    exactly = brentq(lambda m: betaincinv(most + 1, m - most, CONFIDENCE) - risk, most + 0.1, 1e9)
    return most, float(exactly)


def _shifted(kept: Kept, moves: Moves) -> Kept:
    heads = [head for head in (SPAM, TOXICITY) if np.any(moves.by[head])]
    cuts = _Cuts.of(moves, heads)
    alone = _Cuts.of(moves, [head for head in heads if head == SPAM])
    queue = [_chosen(kept.spam_queue_at, kept.comments, cuts, at) for at in _EACH]
    reject = [_chosen(kept.spam_reject_at, kept.comments, alone, at) for at in _EACH]
    return Kept(
        kept.comments,
        kept.groups,
        _raised(kept.spam_queue_at, queue, cuts, SPAM),
        _raised(kept.toxicity_queue_at, queue, cuts, TOXICITY),
        _raised(kept.spam_reject_at, reject, alone, SPAM),
    )


_EACH = range(len(RISKS))


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The comments moved furthest, cut off one by one, by the heads in turn.

    `further[k]` has for each head the move that all but k comments stay below or at. `worth[k]` is
    how many comments drawn one by one would tell as much as these: their number over the design
    effect of being among the k (Kish 1965), which is 1 where they do not crowd. `least` is the
    first k with a move for every head.
    """

    further: tuple[dict[int, float], ...]
    worth: tuple[float, ...]
    least: int

    @classmethod
    def of(cls, moves: Moves, heads: Sequence[int]) -> "_Cuts":
        n = moves.unit.size
        if not heads:
            return cls(({},), (float(n),), 0)
        names, codes = np.unique(moves.unit, return_inverse=True)
        sizes = np.bincount(codes).astype(np.float64)
        left, among = moves.by.copy(), np.zeros(names.size)
        further: list[dict[int, float]] = []
        worth = [float(n)]
        for turn in range(min(n, int(n * _MOST_CUT) + 1)):
            head = heads[turn % len(heads)]
            at = int(np.argmax(left[head]))
            further.append((further[-1] if further else {}) | {head: float(moves.by[head, at])})
            left[:, at] = -np.inf
            among[codes[at]] += 1
            # Never more for more of them, so that what holds for so many does for fewer.
            worth.append(min(worth[-1], n / _effect(among, sizes)))
        return cls(tuple(further), tuple(worth), len(heads) - 1)


_MOST_CUT = 0.05  # none of RISKS is greater


def _effect(among: Floats, sizes: Floats) -> float:
    """The variance of a share over groups by that over single comments, at least 1."""
    n, share = sizes.sum(), among.sum() / sizes.sum()
    over = among - share * sizes
    single = max(n * share * (1 - share), 1e-300)
    many = sizes.size / (sizes.size - 1) if sizes.size > 1 else 1.0
    return max(1.0, float(many * (over @ over) / single))


def _chosen(column: Sequence[float], counted: int, cuts: _Cuts, at: int) -> tuple[int, int] | None:
    """Which of the champion's risks to take for one, and how many comments may be moved further.

    Of the pairs that keep the risk, the one whose threshold is likely the lowest; None where none
    does. By the numbers of comments and what the champion promises, never by how far comments
    were moved: a choice by that would have to be paid for.
    """
    best: tuple[float, int, int] | None = None
    for taken in range(at, -1, -1):
        if column[taken] >= OFF:
            continue
        if not cuts.further[0]:
            return taken, 0
        most = _most_beyond(RISKS[taken], counted, cuts, RISKS[at])
        if most is not None:
            likely = _log_odds(column[taken]) + SPREAD * np.log(cuts.worth[0] / (most + 1))
            best = min(best or (np.inf, 0, 0), (float(likely), taken, most))
    return None if best is None else best[1:]


SPREAD = 0.1
"""How a tail of moves falls off, in log-odds: of an exponential one, as they about are."""


def _most_beyond(taken: float, counted: int, cuts: _Cuts, risk: float) -> int | None:
    """How many may be moved further: by none of so many or fewer is the risk broken."""

    def breaks(beyond: int) -> bool:
        return not holds(taken, counted, cuts.worth[beyond], beyond, risk)

    beyond = range(cuts.least, min(len(cuts.further), int(risk * cuts.worth[0]) + cuts.least + 1))
    most = bisect_left(beyond, True, key=breaks) - 1
    return None if most < 0 else beyond[most]


def _raised(
    column: Sequence[float], chosen: Sequence[tuple[int, int] | None], cuts: _Cuts, head: int
) -> tuple[float, ...]:
    """The thresholds of a head: those of the risks taken, moved; a smaller risk never lower."""
    found = [
        OFF if pair is None else _moved(column[pair[0]], cuts.further[pair[1]].get(head, 0.0))
        for pair in chosen
    ]
    # Raising breaks no promise.
    return tuple(float(x) for x in np.maximum.accumulate(found[::-1])[::-1])


def _moved(threshold: float, by: float) -> float:
    """A threshold in (0, 1] moved in log-odds, and just above."""
    if by == 0.0:
        return threshold
    share = np.exp(-np.logaddexp(0.0, -(_log_odds(threshold) + by)))
    return min(1.0, float(np.nextafter(share, OFF)))


def _log_odds(score: float) -> float:
    inside = min(max(score, 1e-300), 1 - 1e-16)
    return float(np.log(inside) - np.log1p(-inside))
