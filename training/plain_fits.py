"""Fits that only ask what other labels make of some: one head, no calibration, no promise.

Knows features and the estimator of a recipe. What is held out, and why, is the caller's.
"""

import math
from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from model.decision import LabelledExample
from model.facts import gather
from model.features import features
from model.outcome import Head
from training.examples import submission_of
from training.fit import estimator, rarity, scaled
from training.recipes import Recipe

Floats = NDArray[np.float64]

CHUNK = 500

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


def rows_of(examples: Sequence[LabelledExample], recipe: Recipe, *, jobs: int) -> sparse.csr_matrix:
    """The features of examples as they were sent, a row each."""
    chunks = [examples[at : at + CHUNK] for at in range(0, len(examples), CHUNK)]
    parts = Parallel(n_jobs=jobs)(delayed(_chunk)(chunk, recipe) for chunk in chunks)
    return sparse.vstack(parts, format="csr")


def without_unused(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same rows without the places that none has.

    A fit gives those no weight, and most of its time would go into giving it.
    """
    return rows[:, np.unique(rows.indices)]


def _chunk(chunk: Sequence[LabelledExample], recipe: Recipe) -> sparse.csr_matrix:
    texts = [gather(submission_of(example)).texts for example in chunk]
    indptr, places, values = features(texts, recipe.spec).rows()
    matrix = sparse.csr_matrix((values, places, indptr), shape=(len(texts), 2**recipe.spec.bits))
    matrix.sum_duplicates()
    return matrix


def wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95 % interval of a share by hits among a number above 0 (Wilson 1927)."""
    share, z2 = hits / number, _Z * _Z
    middle = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = _Z * math.sqrt(share * (1 - share) / number + z2 / (4 * number**2)) / (1 + z2 / number)
    return max(0.0, middle - half), min(1.0, middle + half)
