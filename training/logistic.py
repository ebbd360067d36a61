"""Logistic regression over shards of rows: one algorithm from fifty labels to what fits no memory.

Minimises

    sum_i w_i log(1 + exp(-y_i (x_i·w + b + offset_i))) + |(w - centre) / scale|² / (2 C)

with y_i = ±1: the posterior's mode where the weights have a normal prior of mean `centre` and of
variance C scale² a place, and the bias none. With centre 0 and scale 1 that is what scikit-learn's
`LogisticRegression(C=C)` minimises.

By L-BFGS (Nocedal 1980; Liu and Nocedal 1989; the two loops are algorithm 7.4 of Nocedal and Wright
2006) with a line search by bisection for Wolfe's weak conditions (Lewis and Overton 2013, section
2), which keep the curvature positive. The loss is convex, so where it stops is the one optimum.

The loss and the gradient of a shard are computed from that shard alone, on any thread, process or
machine, and summed in the shards' order. No product of long vectors is left to a BLAS, which sums
in another order on other numbers of threads. So the result has the same bytes whatever `jobs`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

Floats = NDArray[np.float64]
Walk = Generator[Floats, tuple[float, Floats], "State"]
"""A descent that asks for the loss and gradient at points, one after another."""

MEMORY = 20
"""Steps whose change of gradient is remembered: 3 to 20 serve (Nocedal and Wright 2006, 7.2).

Fits to 200,000 comments took a third fewer passes than with 10, and with 40 a little fewer still.
"""

ENOUGH_FALL, ENOUGH_FLATTENING = 1e-4, 0.9  # the usual c1 and c2 of Wolfe's conditions
_MOST_TRIES = 40


@dataclass(frozen=True, slots=True)
class Shard:
    """Some rows: `matrix` is CSR (rows, places), the others a value a row.

    `positive` is true or false, or how much of each in [0, 1]: 0.5 stands for two rows of half
    the weight, one of either label. `weight` is 0 or more; `offset` is added to a row's log-odds
    and not fitted, None for 0.
    """

    matrix: Any
    positive: NDArray[np.bool_] | Floats
    weight: Floats
    offset: Floats | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Where a descent is. Going on from it gives the bytes that one without a pause gives.

    `point` is (w - centre) / scale, then the bias; `loss` and `gradient` are those at the point.
    `moves` and `turns` are the last changes of point and gradient, oldest first, and `curvatures`
    the products of each two.
    """

    point: Floats
    loss: float
    gradient: Floats
    moves: tuple[Floats, ...] = ()
    turns: tuple[Floats, ...] = ()
    steps: int = 0
    curvatures: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Descent:
    """What is minimised. `weighs` is the sum of the rows' weights, which the tolerance is of."""

    shards: Sequence[Shard]
    inverse_penalty: float
    centre: Floats
    scale: Floats | None
    weighs: float
    jobs: int

    def weights(self, point: Floats) -> Floats:
        """The weights at a point, shape (places,)."""
        away = point[:-1] if self.scale is None else point[:-1] * self.scale
        return self.centre + away

    def at(self, point: Floats) -> tuple[float, Floats]:
        """The loss and its gradient."""
        weights, bias = self.weights(point), float(point[-1])
        loss = _dot(point[:-1], point[:-1]) / (2 * self.inverse_penalty)
        gradient = np.zeros(point.size)
        work = Parallel(n_jobs=self.jobs, prefer="threads", return_as="generator")
        parts = work(delayed(part_of)(shard, weights, bias) for shard in self.shards)
        for of_shard, slope in parts:
            loss += of_shard
            gradient += slope
        if self.scale is not None:
            gradient[:-1] *= self.scale
        gradient[:-1] += point[:-1] / self.inverse_penalty
        return loss, gradient


def fitted(  # noqa: PLR0913  each is a part of what is minimised, or of how
    shards: Sequence[Shard],
    *,
    inverse_penalty: float,
    centre: Floats | None = None,
    scale: Floats | None = None,
    start: State | None = None,
    jobs: int = 1,
    tolerance: float = 1e-5,
    most_steps: int = 500,
    noted: Callable[[State], None] = lambda _: None,
) -> tuple[Floats, float]:
    """The weights, shape (places,), and the bias.

    `inverse_penalty` is C > 0. `scale` says of each place how freely it is fitted; one of 0 stays
    at the centre.
    `start` is a state that `noted` was given, of the same problem: it is given one before the
    first step and after each. Ends when no part of the gradient is above `tolerance` times the
    sum of weights, or after `most_steps`. A step costs one pass over the rows, rarely two, and
    keeps 2 * MEMORY vectors of the places' length.

    Raises ValueError without a row of each label that weighs something.
    """
    descent = _descent(shards, inverse_penalty, centre, scale, jobs)
    walk = descending(
        descent.centre.size,
        enough=tolerance * descent.weighs,
        start=start,
        most_steps=most_steps,
        noted=noted,
    )
    state = _driven(walk, descent.at)
    return descent.weights(state.point), float(state.point[-1])


def descending(  # noqa: PLR0913  from where, how far, and whom to tell
    places: int,
    *,
    enough: float,
    begin: State | None = None,
    start: State | None = None,
    most_steps: int = 500,
    noted: Callable[[State], None] = lambda _: None,
    away: Callable[[State], float] | None = None,
) -> Walk:
    """A descent as a generator: it yields a point and is sent the loss and the gradient there.

    So several may walk in lockstep, each pass over the rows for all of them. It sets out from
    where a descent of a like problem ended, `begin`, by what that remembers of the curvature; None
    for 0. `start` and `noted` are as in `fitted`. Returns the last state, which is not further
    `away` (None for `steepest`) from the end than `enough` but where `most_steps` or rounding
    ended it.
    """
    away = steepest if away is None else away
    state = start
    if state is None:
        none = np.zeros(0)
        begin = State(np.zeros(places + 1), 0.0, none) if begin is None else begin
        loss, gradient = yield begin.point
        state = replace(begin, loss=loss, gradient=gradient, steps=0)
    noted(state)
    while state.steps < most_steps and away(state) > enough:
        further = yield from _stepped(state)
        if further is None:  # rounding: no point on the way is lower
            break
        state = further
        noted(state)
    return state


def _driven(walk: Walk, at: Callable[[Floats], tuple[float, Floats]]) -> State:
    try:
        point = next(walk)
        while True:
            point = walk.send(at(point))
    except StopIteration as ended:
        return cast(State, ended.value)


def part_of(shard: Shard, weights: Floats, bias: float) -> tuple[float, Floats]:
    """What one shard adds to the loss and to its gradient by weights and bias."""
    matrix = shard.matrix.astype(np.float64, copy=False)  # once for both products
    log_odds = matrix @ weights + bias
    if shard.offset is not None:
        log_odds += shard.offset
    truth = shard.positive.astype(np.float64)
    loss = float(np.sum(shard.weight * (np.logaddexp(0.0, log_odds) - truth * log_odds)))
    slope = shard.weight * (expit(log_odds) - truth)
    gradient = np.empty(weights.size + 1)
    gradient[:-1] = matrix.T @ slope
    gradient[-1] = np.sum(slope)
    return loss, gradient


def sharded(shard: Shard, rows: int) -> list[Shard]:
    """The same rows as shards of at most so many, in order."""
    return [_rows(shard, at, at + rows) for at in range(0, shard.positive.size, rows)]


def _rows(shard: Shard, begin: int, end: int) -> Shard:
    chosen = slice(begin, end)
    return Shard(
        sparse.csr_matrix(shard.matrix[chosen]),
        shard.positive[chosen],
        shard.weight[chosen],
        None if shard.offset is None else shard.offset[chosen],
    )


def _descent(
    shards: Sequence[Shard],
    inverse_penalty: float,
    centre: Floats | None,
    scale: Floats | None,
    jobs: int,
) -> Descent:
    weighs = sum(float(np.sum(shard.weight)) for shard in shards)
    positive = sum(float(np.sum(shard.weight * shard.positive)) for shard in shards)
    if not 0 < positive < weighs:
        raise ValueError("a fit needs rows of both labels that weigh something")
    if inverse_penalty <= 0:
        raise ValueError("the inverse penalty must be above 0")
    middle = np.zeros(shards[0].matrix.shape[1]) if centre is None else centre.astype(np.float64)
    return Descent(shards, inverse_penalty, middle, scale, weighs, jobs)


def _stepped(state: State) -> Generator[Floats, tuple[float, Floats], State | None]:
    """The state after one step; None where the line search finds no lower point."""
    direction = _direction(state)
    slope = _dot(direction, state.gradient)
    if slope >= 0:  # the memory misleads, by rounding: forget it
        state = State(state.point, state.loss, state.gradient, steps=state.steps)
        direction = _direction(state)
        slope = _dot(direction, state.gradient)
    found = yield from _searched(state, direction, slope)
    if found is None:
        return None
    point, loss, gradient = found
    move, turn = point - state.point, gradient - state.gradient
    curvature = _dot(move, turn)
    if curvature <= 0:
        return State(point, loss, gradient, steps=state.steps + 1)
    return State(
        point,
        loss,
        gradient,
        (*state.moves, move)[-MEMORY:],
        (*state.turns, turn)[-MEMORY:],
        state.steps + 1,
        (*state.curvatures, curvature)[-MEMORY:],
    )


def _direction(state: State) -> Floats:
    """Downhill, by what the last steps tell of the curvature."""
    towards = -state.gradient
    if not state.moves:
        return towards / max(1.0, float(np.sqrt(_dot(towards, towards))))
    # In place: as long as a table, each array that is made anew costs more than what is reckoned.
    product = np.empty_like(towards)
    pairs = [
        (move, turn, 1.0 / curvature)
        for move, turn, curvature in zip(state.moves, state.turns, state.curvatures, strict=True)
    ]
    shares = []
    for move, turn, inverse in reversed(pairs):
        shares.append(inverse * _dot(move, towards, product))
        np.multiply(turn, shares[-1], out=product)
        towards -= product
    move, turn, inverse = pairs[-1]
    towards /= inverse * _dot(turn, turn, product)
    for (move, turn, inverse), share in zip(pairs, reversed(shares), strict=True):
        further = share - inverse * _dot(turn, towards, product)
        np.multiply(move, further, out=product)
        towards += product
    return towards


def _searched(
    state: State, direction: Floats, slope: float
) -> Generator[Floats, tuple[float, Floats], tuple[Floats, float, Floats] | None]:
    """The first point tried on the way that falls enough and has flattened enough."""
    low, high, length = 0.0, np.inf, 1.0
    best: tuple[Floats, float, Floats] | None = None
    for _ in range(_MOST_TRIES):
        point = state.point + length * direction
        loss, gradient = yield point
        if not loss <= state.loss + ENOUGH_FALL * length * slope:
            high = length
        else:
            best = (point, loss, gradient)
            if _dot(gradient, direction) >= ENOUGH_FLATTENING * slope:
                return best
            low = length
        length = 2 * length if high == np.inf else (low + high) / 2
    return best


def excess(state: State) -> float:
    """About how much lower the end is, where all places are about as curved as 1.

    Half the square of the gradient: Newton's decrement (Boyd and Vandenberghe 2004, 9.5.1).
    """
    return _dot(state.gradient, state.gradient) / 2


def steepest(state: State) -> float:
    """The greatest part of the gradient, in absolute value."""
    return float(np.max(np.abs(state.gradient)))


def _dot(one: Floats, other: Floats, product: Floats | None = None) -> float:
    return float(np.sum(np.multiply(one, other, out=product)))
