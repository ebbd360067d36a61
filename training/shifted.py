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
CROWDING_SHARE = 0.05
"""The share of comments, those moved most, on which it is seen how moves crowd into groups."""

_STEPS = 200


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


def both(one: Promise, other: Promise) -> Promise:
    """What keeps two promises: of each language the higher threshold for each risk.

    Where one cannot speak of a risk, the other does, but no lower than the one is for the
    smallest risk that it can speak of.
    """
    tags = sorted({*one.languages, *other.languages})
    nothing = Kept(0, 0, *((OFF,) * len(RISKS),) * 3)
    pairs = [(one.languages.get(t, nothing), other.languages.get(t, nothing)) for t in tags]
    return Promise(
        {
            tag: Kept(
                a.comments + b.comments,
                a.groups + b.groups,
                _higher(a.spam_queue_at, b.spam_queue_at),
                _higher(a.toxicity_queue_at, b.toxicity_queue_at),
                _higher(a.spam_reject_at, b.spam_reject_at),
            )
            for tag, (a, b) in zip(tags, pairs, strict=True)
        },
        unit=one.unit,
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
    spam_alone = [head for head in heads if head == SPAM]
    worth = _worth(moves)
    queue = [_chosen(kept.spam_queue_at, kept.comments, worth, len(heads), at) for at in _EACH]
    reject = [
        _chosen(kept.spam_reject_at, kept.comments, worth, len(spam_alone), at) for at in _EACH
    ]
    further = [None if found is None else _beyond(moves.by, heads, found[1]) for found in queue]
    alone = [None if found is None else _beyond(moves.by, spam_alone, found[1]) for found in reject]
    return Kept(
        kept.comments,
        kept.groups,
        _raised(kept.spam_queue_at, queue, further, SPAM),
        _raised(kept.toxicity_queue_at, queue, further, TOXICITY),
        _raised(kept.spam_reject_at, reject, alone, SPAM),
    )


_EACH = range(len(RISKS))


def _chosen(
    column: Sequence[float], counted: int, worth: float, heads: int, at: int
) -> tuple[int, int] | None:
    """Which of the champion's risks to take for one, and how many moves may be beyond.

    The greatest risk that goes, and then the most moves; None where none goes. By the numbers
    of comments alone, never by how far they were moved: a choice by that would have to be paid
    for.
    """
    least = max(0, heads - 1)  # to cut by two scores takes two comments
    for taken in range(at, -1, -1):
        if column[taken] >= OFF:
            continue
        if not heads:
            return taken, 0
        if holds(RISKS[taken], counted, worth, least, RISKS[at]):
            more = least
            while holds(RISKS[taken], counted, worth, more + 1, RISKS[at]):
                more += 1
            return taken, more
    return None


def _worth(moves: Moves) -> float:
    """How many comments drawn one by one tell as much: n over the design effect (Kish 1965).

    That of being among the CROWDING_SHARE that were moved most by either head.
    """
    n = moves.unit.size
    names, codes = np.unique(moves.unit, return_inverse=True)
    sizes = np.bincount(codes)
    effect = 1.0
    for by in moves.by:
        if n == 0 or names.size < 2 or not np.any(by):
            continue
        beyond = by > np.quantile(by, 1 - CROWDING_SHARE)
        share = float(np.mean(beyond))
        over = np.bincount(codes, weights=beyond) - share * sizes
        single = max(n * share * (1 - share), 1e-300)
        many = names.size / (names.size - 1)
        effect = max(effect, many * float(np.sum(over * over)) / single)
    return n / effect


def _beyond(by: Floats, heads: Sequence[int], more: int) -> dict[int, float]:
    """For each head the move that all but `more` comments stay below, cut by heads in turn."""
    left = np.full(by.shape[1], True)
    found: dict[int, float] = {}
    for turn in range(more + 1 if heads else 0):
        head = heads[turn % len(heads)]
        at = int(np.flatnonzero(left)[np.argmax(by[head][left])])
        found[head] = float(by[head][at])
        left[at] = False
    return found


def _raised(
    column: Sequence[float],
    chosen: Sequence[tuple[int, int] | None],
    moves: Sequence[dict[int, float] | None],
    head: int,
) -> tuple[float, ...]:
    """The thresholds of a head: those of the risks taken, moved; a smaller risk never lower."""
    found = [
        OFF if taken is None or by is None else _moved(column[taken[0]], by.get(head, 0.0))
        for taken, by in zip(chosen, moves, strict=True)
    ]
    # Raising breaks no promise.
    return tuple(float(x) for x in np.maximum.accumulate(found[::-1])[::-1])


def _moved(threshold: float, by: float) -> float:
    """A threshold in (0, 1] moved in log-odds, and just above."""
    if by == 0.0:
        return threshold
    inside = min(max(threshold, 1e-300), 1 - 1e-16)
    log_odds = np.log(inside) - np.log1p(-inside) + by
    return min(1.0, float(np.nextafter(np.exp(-np.logaddexp(0.0, -log_odds)), OFF)))


def _higher(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    known = [max((x for x in column if x < OFF), default=0.0) for column in (one, other)]
    return tuple(
        OFF if min(x, y) >= OFF else max(x if x < OFF else known[0], y if y < OFF else known[1])
        for x, y in zip(one, other, strict=True)
    )
