"""Which labels are probably wrong: those that a fit without them is confident to contradict.

Confident learning (Northcutt, Jiang and Chuang 2021): out-of-fold probabilities, a threshold for
each label that is its own mean, and what passes the other label's. No word of a model decides
anything here: a person looks again.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.decision import Label, LabelledExample, WordOf
from model.outcome import Head
from training.feature_rows import rows_of
from training.own import units_of
from training.plain_fits import judged_without, wilson, without_unused
from training.recipes import Recipe
from training.resolving import Resolved

Floats = NDArray[np.float64]

LEAST = 20
"""With fewer labels of a side than that nothing is said of a head."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that is probably wrong. `score` in [0, 1] is the probability of the other one."""

    example: LabelledExample
    suggests: str
    score: float


@dataclass(frozen=True, slots=True)
class Doubted:
    """How many of an account's labels on a head are suspect, and of all others'.

    `low` and `high` are the 95 % interval of its share (Wilson 1927).
    """

    head: Head
    kind: WordOf
    who: str
    labels: int
    suspect: int
    low: float
    high: float
    others: float


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found: `suspects` most probably wrong first.

    `wrong` estimates for each label what share of it is wrong, from the confident joint. `left_out`
    says of heads why nothing is said of them.
    """

    judged: int
    suspects: tuple[Suspect, ...]
    accounts: tuple[Doubted, ...]
    wrong: Mapping[str, float]
    left_out: Mapping[str, str]


def audited(
    found: Resolved,
    recipe: Recipe,
    *,
    support: Sequence[LabelledExample] = (),
    jobs: int = 1,
) -> Audited:
    """Look for wrong labels among those that teach.

    Near-duplicates, and else what is of one group or reads the same, are held out together.
    `support` are examples that every fit sees as well and of which nothing is said. Costs about a
    millisecond an example and `recipe.folds` fits a head.
    """
    suspects: list[Suspect] = []
    accounts: list[Doubted] = []
    wrong: dict[str, float] = {}
    left_out: dict[str, str] = {}
    judged = 0
    folds = _folds(found, recipe)
    for head in Head:
        at = [i for i, e in enumerate(found.examples) if e.label.head is head]
        own = [found.examples[i] for i in at]
        sides = Counter(example.label.positive for example in own)
        if min(sides[True], sides[False]) < LEAST:
            few = min((sides[side], Label(head, side).word) for side in (True, False))
            left_out[head.value] = f"only {few[0]} labels say {few[1]}, {LEAST} are needed"
            continue
        weights = np.array([found.weights[i] for i in at])
        backing = [example for example in support if example.label.head is head]
        positive = np.array([example.label.positive for example in own], bool)
        scores = _held_out(own, weights, folds[at], backing, recipe=recipe, jobs=jobs)
        doubted, of_label = _confident(positive, scores)
        wrong |= {Label(head, side).word: share for side, share in of_label.items()}
        suspects += [
            Suspect(own[i], Label(head, not positive[i]).word, _other(scores[i], positive[i]))
            for i in np.flatnonzero(doubted).tolist()
        ]
        accounts += _by_account(head, own, doubted)
        judged += len(own)
    return Audited(
        judged=judged,
        suspects=tuple(sorted(suspects, key=lambda s: (-s.score, s.example.id))),
        accounts=tuple(sorted(accounts, key=lambda one: (-one.low, one.who))),
        wrong=wrong,
        left_out=left_out,
    )


def _other(score: float, positive: bool) -> float:
    return float(1 - score if positive else score)


def _folds(found: Resolved, recipe: Recipe) -> NDArray[np.intp]:
    """A fold for each example: by its campaign, else as `own.units_of` holds it out."""
    campaign = {
        (one.label, id): f"campaign/{number}"
        for number, one in enumerate(found.campaigns)
        for id in one.ids
        if id  # rows of a file need not have one
    }
    alone = units_of(found.examples).tolist()
    units = (
        campaign.get((e.label.word, e.id)) or unit
        for e, unit in zip(found.examples, alone, strict=True)
    )
    return np.array([_draw(f"{recipe.seed}/{unit}") % recipe.folds for unit in units], np.intp)


def _draw(text: str) -> int:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


# ------------------------------------------------------------------ scores


def _held_out(
    own: Sequence[LabelledExample],
    weights: Floats,
    folds: NDArray[np.intp],
    support: Sequence[LabelledExample],
    *,
    recipe: Recipe,
    jobs: int,
) -> Floats:
    """The probability that each of `own` is positive, by a fit that has not seen its fold."""
    examples = [*own, *support]
    matrix = without_unused(rows_of(examples, recipe.spec, jobs=jobs))
    positive = np.array([example.label.positive for example in examples], bool)
    weight = np.concatenate([weights, [example.weight for example in support]])
    fold = np.concatenate([folds, np.full(len(support), -1, np.intp)])
    head = own[0].label.head
    wanted = np.unique(folds)
    odds = Parallel(n_jobs=jobs, max_nbytes="1M")(
        delayed(judged_without)(matrix, positive, weight, fold == one, head, recipe)
        for one in wanted
    )
    scores = np.full(len(own), np.nan)
    for one, of_fold in zip(wanted, odds, strict=True):
        scores[folds == one] = of_fold
    return scores


# ------------------------------------------------------------------ confident learning


def _confident(
    positive: NDArray[np.bool_], scores: Floats
) -> tuple[NDArray[np.bool_], dict[bool, float]]:
    """Which labels are off the diagonal of the confident joint, and what share of each is wrong.

    A label counts as the other one when that one's probability is at least its threshold, the
    mean of it over what is labelled so, and above its own.
    """
    of_side = {True: scores, False: 1 - scores}
    threshold = {side: of_side[side][positive == side].mean() for side in (True, False)}
    passes = {side: of_side[side] >= threshold[side] for side in (True, False)}
    # Where both pass their thresholds, the likelier one counts.
    counted = {
        side: passes[side] & (~passes[not side] | (of_side[side] > of_side[not side]))
        for side in (True, False)
    }
    off = np.where(positive, counted[False], counted[True])
    wrong = {}
    for side in (True, False):
        own = positive == side
        here, there = int((own & counted[side]).sum()), int((own & counted[not side]).sum())
        wrong[side] = there / (here + there) if here + there else 0.0
    return off, wrong


def _by_account(
    head: Head, own: Sequence[LabelledExample], doubted: NDArray[np.bool_]
) -> list[Doubted]:
    labels: dict[tuple[WordOf, str], list[bool]] = defaultdict(list)
    for example, is_suspect in zip(own, doubted.tolist(), strict=True):
        labels[example.provenance.kind, example.provenance.who].append(is_suspect)
    whole, of_all = len(own), int(doubted.sum())
    found = []
    for (kind, who), flags in labels.items():
        number, suspect = len(flags), sum(flags)
        low, high = wilson(suspect, number)
        others = (of_all - suspect) / (whole - number) if whole > number else math.nan
        found.append(Doubted(head, kind, who, number, suspect, low, high, others))
    return found
