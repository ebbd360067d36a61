"""Which accounts' labels are to be relied on: each is judged by a fit to everybody else's.

A careless or hostile account that labels much shapes any fit that has seen its labels; one that has
not contradicts it far more often than it does the others.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.decision import LabelledExample, WordOf
from model.outcome import Head
from training.feature_rows import rows_of
from training.plain_fits import Floats, judged_without, wilson, without_unused
from training.recipes import Recipe
from training.resolving import Reliance, Resolved
from training.shares import FEWEST

LEAST = 30
"""Of an account with fewer labels on a head nothing is said."""

MOST = 20
"""So many accounts are judged, those with most labels."""

TIMES = 1.5
"""An account errs much more than others where the low end of its rate is so many times theirs."""

ALLOWED = 0.1
"""A rate up to this is nobody's fault: models err as well."""

PAIRED = 8
"""Of so many accounts, those with most labels, each two are judged together."""

ALLOWED_IN_PAIRS = 0.3
"""A rate up to this is nobody's fault where many pairs are looked at."""

_Account = tuple[WordOf, str]


def reliance_of(
    found: Resolved, recipe: Recipe, *, support: Sequence[LabelledExample] = (), jobs: int = 1
) -> Reliance:
    """What accounts that err much more than the others are to be relied on, by head.

    An account errs where a fit to all other labels, and to `support`, gives its label less than a
    half. The one that errs most is looked at first: if the lower end of its rate (95 %) is above
    `ALLOWED` and `TIMES` that of the others together, it weighs 1 - 2 * its rate, nothing from a
    half on, and the others are judged again without it. Before, each two are judged by a fit to
    all but both: two who agree hide behind each other. Nobody is for fewer than `FEWEST` accounts
    with `LEAST` labels. A fit for each account, pair and round; deterministic.
    """
    reliance: dict[tuple[Head, WordOf, str], float] = {}
    for head in Head:
        at = [i for i, e in enumerate(found.examples) if e.label.head is head]
        own = [found.examples[i] for i in at]
        places: dict[_Account, list[int]] = defaultdict(list)
        for place, example in enumerate(own):
            if example.provenance.kind in (WordOf.DECISION, WordOf.REPORT):
                places[example.provenance.kind, example.provenance.who].append(place)
        several = {who: of for who, of in places.items() if len(of) >= LEAST}
        if len(several) < FEWEST:
            continue
        backing = [example for example in support if example.label.head is head]
        weights = [found.weights[i] for i in at] + [example.weight for example in backing]
        for (kind, who), rate in _errant(
            [*own, *backing], np.array(weights), several, recipe, jobs
        ).items():
            reliance[head, kind, who] = max(0.0, 1 - 2 * rate)
    return reliance


def _errant(
    examples: Sequence[LabelledExample],
    weights: Floats,
    places: dict[_Account, list[int]],
    recipe: Recipe,
    jobs: int,
) -> dict[_Account, float]:
    """The accounts that err much more than the others, and at what rate."""
    rows = without_unused(rows_of(examples, recipe.spec, jobs=jobs))
    positive = np.array([example.label.positive for example in examples], bool)
    head = examples[0].label.head
    left = dict(sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST])
    weights = weights.copy()
    found: dict[_Account, float] = {}

    def errors_of(judged: Sequence[Sequence[_Account]]) -> list[dict[_Account, int]]:
        """How often each of some accounts errs, by a fit to what all of them did not label."""
        masks = [np.isin(np.arange(len(examples)), _all_of(places, some)) for some in judged]
        scores = Parallel(n_jobs=jobs, max_nbytes="1M")(
            delayed(judged_without)(rows, positive, weights, mask, head, recipe) for mask in masks
        )
        return [
            _wrong(places, some, positive, np.flatnonzero(mask), said)
            for some, mask, said in zip(judged, masks, scores, strict=True)
        ]

    while len(left) >= FEWEST + 1 and (pair := _agreeing(left, errors_of)):
        for who, rate in pair.items():
            found[who] = rate
            weights[left.pop(who)] = 0.0
    while len(left) >= FEWEST:  # of two who disagree nobody knows which is wrong
        errors = {who: n for one in errors_of([[who] for who in left]) for who, n in one.items()}
        worst = max(left, key=lambda who: (errors[who] / len(left[who]), who))
        others = sum(map(len, left.values())) - len(left[worst])
        of_others = (sum(errors.values()) - errors[worst]) / others
        low, _ = wilson(errors[worst], len(left[worst]))
        if low <= max(ALLOWED, TIMES * of_others):
            break
        found[worst] = errors[worst] / len(left[worst])
        weights[left.pop(worst)] = 0.0
    return found


def _agreeing(
    left: dict[_Account, list[int]],
    errors_of: Callable[[Sequence[Sequence[_Account]]], list[dict[_Account, int]]],
) -> dict[_Account, float]:
    """The two who both err much more than all others do without them, and how much; or nobody.

    Two who are honest err as well where others are not: so the pair that errs most is looked at,
    and the others must agree among themselves once it is gone.
    """
    most = sorted(left, key=lambda who: (-len(left[who]), who))[:PAIRED]
    pairs = list(combinations(most, 2))
    errors = dict(zip(pairs, errors_of(pairs), strict=True))
    worst = max(pairs, key=lambda pair: (sum(errors[pair].values()) / _many(left, pair), pair))
    low = min(wilson(errors[worst][who], len(left[who]))[0] for who in worst)
    if low <= ALLOWED_IN_PAIRS:
        return {}
    others = [who for who in left if who not in worst]
    judged = errors_of([[*worst, who] for who in others])
    of_others = sum(one[who] for one, who in zip(judged, others, strict=True))
    if low <= TIMES * of_others / _many(left, others):
        return {}
    return {who: errors[worst][who] / len(left[who]) for who in worst}


def _many(places: dict[_Account, list[int]], some: Sequence[_Account]) -> int:
    return sum(len(places[who]) for who in some)


def _all_of(places: dict[_Account, list[int]], some: Sequence[_Account]) -> list[int]:
    return [place for who in some for place in places[who]]


def _wrong(
    places: dict[_Account, list[int]],
    some: Sequence[_Account],
    positive: NDArray[np.bool_],
    judged: NDArray[np.intp],
    said: Floats,
) -> dict[_Account, int]:
    """Of each account, how many labels the scores of what was judged contradict."""
    score = dict(zip(judged.tolist(), said.tolist(), strict=True))
    return {
        who: sum((score[at] < 0.5) if positive[at] else (score[at] > 0.5) for at in places[who])
        for who in some
    }
