"""Choose hyper-parameters by cross-validation over groups: few, and only where it shows.

Each head's inverse penalty is tried at the recipe's and at `FACTORS` of it. All fits walk in
lockstep over the same shards, each without a fold, and are scored on that fold: the log loss,
both labels weighing alike, after Platt's scaling fitted to the other folds. Another value than the
recipe's is taken where it is better by more than one standard error of the folds' differences
(the rule of Breiman et al. 1984 the other way round: the known is the simple one).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS
from training.fit import calibrated
from training.lockstep import Problem, Rarity, blocks, fits_of, fitted, linear
from training.recipes import Recipe
from training.shards import Shard, shard_at
from training.taught import Counts
from training.work import Work, name_of

Floats = NDArray[np.float64]

FACTORS = (0.25, 1.0, 4.0)

ROWS = 400_000
"""The most comments, about, that losses are measured on."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One value of a head's inverse penalty, and its held-out loss in nats: of each fold."""

    head: str
    inverse_penalty: float
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        """The mean over folds."""
        return float(np.mean(self.losses))


@dataclass(frozen=True, slots=True)
class Searched:
    """The recipe with what was chosen, and all that was tried, the recipe's own first."""

    recipe: Recipe
    tried: tuple[Tried, ...]

    def body(self) -> list[dict[str, object]]:
        """What was tried, as plain JSON: the card shows it."""
        chosen = self.recipe.inverse_penalty
        return [
            {
                "head": one.head,
                "inverse_penalty": one.inverse_penalty,
                "loss": round(one.loss, 6),
                "chosen": chosen[HEADS[_index(one.head)]] == one.inverse_penalty,
            }
            for one in self.tried
        ]


def searched(  # noqa: PLR0913  what there is to try on, and how much of it
    problem: Problem,
    counts: Counts,
    rarity: Rarity,
    recipe: Recipe,
    *,
    rows: int,
    held: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Searched:
    """Try each value on each head without each of the first `held` folds.

    `rows` comments are there in all.
    """
    asked = [(head, fold, None) for head in range(len(HEADS)) for fold in range(held)]
    # Where the others set out, and needed at the end in any case unless another value wins.
    leaders = [(head, None, None) for head in range(len(HEADS))]
    own = [recipe.inverse_penalty[head] for head in HEADS]
    each = [
        fits_of(counts, asked, [factor * c for c in own], recipe.rarity_power) for factor in FACTORS
    ]
    whole = fits_of(counts, leaders, own, recipe.rarity_power)
    every = whole + [fit for of_factor in each for fit in of_factor]
    names = fitted(problem, every, rarity, progress=lambda done: progress(0.95 * done))
    names = names[len(whole) :]
    by_fold = name_of(problem.name, "search", names)
    _keep(problem.work, by_fold, names, held)
    stride = -(-rows // ROWS)
    tasks = (
        (problem.work, by_fold, problem.bits, block) for block in blocks(problem.shards[::stride])
    )
    parts = list(problem.workers.each(held_out, tasks))
    problem.work.forget("fits", by_fold)
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    progress(1.0)
    tried = [
        _tried(found, head, at, factor * own[head], held)
        for head in range(len(HEADS))
        for at, factor in sorted(enumerate(FACTORS), key=lambda one: one[1] != 1.0)
    ]
    return Searched(_chosen(tried, recipe), tuple(tried))


def held_out(
    work: Work, fits: str, bits: int, block: Sequence[Shard]
) -> dict[str, NDArray[np.generic]]:
    """Of each comment as it was sent and labelled, its log-odds by the fits without its fold.

    `odds` has shape (comments, factors), by those of the comment's head.
    """
    weights, bias = (work.load("fits", fits)[name] for name in ("weights", "bias"))
    parts: list[dict[str, NDArray[np.generic]]] = []
    for shard in block:
        read = shard_at(work, shard, bits)
        for head, packed, teaching in read.parts:
            matrix, calibrating = packed.matrix(2**bits), read.rows["calibrating"][packed.of, head]
            for fold in range(weights.shape[2]):
                at = np.flatnonzero((calibrating > 0) & (teaching.fold == fold))
                odds = matrix[at] @ weights[:, :, fold, head] + bias[:, fold, head]
                parts.append(
                    {
                        "odds": odds,
                        "truth": teaching.truth[at],
                        "weight": calibrating[at],
                        "fold": teaching.fold[at],
                        "head": np.full(at.size, head),
                    }
                )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _keep(work: Work, name: str, names: Sequence[str], folds: int) -> None:
    linears = [linear(work, fit) for fit in names]
    shape = (len(FACTORS), len(HEADS), folds)
    # Places first, then factors, folds and heads: what `held_out` multiplies by lies side by side.
    weights = np.stack([one.weights for one in linears], axis=-1).reshape(-1, *shape)
    bias = np.array([one.bias for one in linears]).reshape(shape)
    work.save(
        "fits",
        name,
        weights=weights.transpose(0, 1, 3, 2),
        bias=bias.transpose(0, 2, 1),
    )


def _tried(
    found: dict[str, NDArray[np.generic]], head: int, at: int, inverse_penalty: float, folds: int
) -> Tried:
    mine = found["head"] == head
    odds = found["odds"][mine, at].astype(np.float64)
    truth = found["truth"][mine].astype(np.bool_)
    weight = found["weight"][mine].astype(np.float64)
    fold = found["fold"][mine]
    losses = []
    for of in range(folds):
        inside = fold == of
        if np.unique(truth[inside]).size < 2 or np.unique(truth[~inside]).size < 2:
            continue
        scaled = calibrated(odds[~inside], truth[~inside], weight[~inside])(odds[inside])
        losses.append(_loss(scaled, truth[inside], weight[inside]))
    return Tried(HEADS[head].value, inverse_penalty, tuple(losses))


def _loss(odds: Floats, truth: NDArray[np.bool_], weight: Floats) -> float:
    """The log loss, both labels weighing alike."""
    each = np.logaddexp(0.0, np.where(truth, -odds, odds))
    sides = [float(np.average(each[side], weights=weight[side])) for side in (truth, ~truth)]
    return sum(sides) / 2


def _chosen(tried: Sequence[Tried], recipe: Recipe) -> Recipe:
    penalties = dict(recipe.inverse_penalty)
    for head in HEADS:
        own, *others = (one for one in tried if one.head == head.value)
        if len(own.losses) < 2:
            continue
        best = min(others, key=lambda one: one.loss)
        gains = np.array(own.losses) - np.array(best.losses)
        if gains.mean() > gains.std(ddof=1) / np.sqrt(gains.size):
            penalties[head] = best.inverse_penalty
    return replace(recipe, inverse_penalty=penalties)


def _index(head: str) -> int:
    return [one.value for one in HEADS].index(head)
