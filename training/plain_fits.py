"""Fits that only ask what other labels make of some: one head, no calibration, no promise.

Knows features and the estimator of a recipe. What is held out, and why, is the caller's.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from model.outcome import Head
from training.fit import estimator, rarity, scaled
from training.recipes import Recipe

Floats = NDArray[np.float64]

TOLERANCE = 1e-3
"""Of the gradient: what is asked is which label is likelier, in a third of the time."""

_Z = 1.959964


def judged_without(
    matrix: sparse.csr_matrix,
    positive: NDArray[np.bool_],
    weight: Floats,
    held_out: NDArray[np.bool_],
    head: Head,
    recipe: Recipe,
) -> Floats:
    """The probabilities that rows held out are positive, by a fit to the others.

    Both sides weigh alike. One that lacks a side says a half of everything.
    """
    seen = ~held_out & (weight > 0)
    if np.unique(positive[seen]).size < 2:
        return np.full(int(held_out.sum()), 0.5)
    rows, truth, weighs = matrix[seen], positive[seen], weight[seen].copy()
    for side in (truth, ~truth):
        weighs[side] *= weighs.sum() / 2 / weighs[side].sum()
    scale = rarity(rows) ** recipe.rarity_power
    with threadpool_limits(1):
        fit = estimator(head, recipe).set_params(tol=TOLERANCE)
        fitted = fit.fit(scaled(rows, scale), truth, sample_weight=weighs)
        found = fitted.predict_proba(scaled(matrix[held_out], scale))[:, 1]
    return np.asarray(found, np.float64)


def without_unused(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same rows without the places that none has.

    A fit gives those no weight, and most of its time would go into giving it.
    """
    return rows[:, np.unique(rows.indices)]


def wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95 % interval of a share by hits among a number above 0 (Wilson 1927)."""
    share, z2 = hits / number, _Z * _Z
    middle = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = _Z * math.sqrt(share * (1 - share) / number + z2 / (4 * number**2)) / (1 + z2 / number)
    return max(0.0, middle - half), min(1.0, middle + half)
