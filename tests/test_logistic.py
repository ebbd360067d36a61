"""The fit by L-BFGS: the optimum that scikit-learn finds, and the same bytes however it is done."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from training.logistic import Shard, fitted, sharded

PLACES = 60


@pytest.fixture(scope="module")
def rows() -> Shard:
    draw = np.random.default_rng(5)
    matrix = sparse.random(
        400, PLACES, 0.2, "csr", random_state=draw, data_rvs=draw.standard_normal
    )
    truth = draw.standard_normal(PLACES)
    return Shard(
        matrix=matrix,
        positive=matrix @ truth + draw.logistic(size=400) > 0.3,
        weight=draw.uniform(0.1, 3, 400),
    )


@pytest.mark.parametrize("inverse_penalty", [0.01, 1.0, 60.0])
def test_finds_the_optimum_that_scikit_learn_finds(rows, inverse_penalty):
    theirs = LogisticRegression(C=inverse_penalty, tol=1e-10, max_iter=10_000)
    theirs.fit(rows.matrix, rows.positive, sample_weight=rows.weight)

    weights, bias = fitted(
        sharded(rows, 90), inverse_penalty=inverse_penalty, tolerance=1e-9, most_steps=5_000
    )

    assert np.allclose(weights, theirs.coef_[0], atol=1e-5)
    assert bias == pytest.approx(float(theirs.intercept_[0]), abs=1e-5)


def test_a_centre_is_a_fit_of_what_is_added_to_it(rows):
    centre = np.linspace(-1, 1, PLACES)
    added = Shard(rows.matrix, rows.positive, rows.weight, offset=rows.matrix @ centre)

    weights, bias = fitted([rows], inverse_penalty=0.5, centre=centre, tolerance=1e-9)
    apart, bias_apart = fitted([added], inverse_penalty=0.5, tolerance=1e-9)

    assert np.allclose(weights, centre + apart, atol=1e-6)
    assert bias == pytest.approx(bias_apart, abs=1e-6)


def test_a_scale_is_a_fit_to_columns_times_it(rows):
    scale = np.linspace(0.2, 2, PLACES)
    wide = Shard(sparse.csr_matrix(rows.matrix.multiply(scale)), rows.positive, rows.weight)

    weights, _ = fitted([rows], inverse_penalty=2.0, scale=scale, tolerance=1e-9)
    of_wide, _ = fitted([wide], inverse_penalty=2.0, tolerance=1e-9)

    assert np.allclose(weights, of_wide * scale, atol=1e-6)


def test_a_scale_of_nothing_leaves_a_place_at_its_centre_as_if_it_were_an_offset(rows):
    centre = np.linspace(-1, 1, PLACES)
    free = np.arange(PLACES) % 3 > 0
    held = replace(rows, matrix=rows.matrix[:, free], offset=rows.matrix[:, ~free] @ centre[~free])

    weights, bias = fitted(
        [rows], inverse_penalty=0.5, centre=centre, scale=free.astype(float), tolerance=1e-9
    )
    apart, bias_apart = fitted([held], inverse_penalty=0.5, centre=centre[free], tolerance=1e-9)

    assert np.array_equal(weights[~free], centre[~free])
    assert np.allclose(weights[free], apart, atol=1e-6)
    assert bias == pytest.approx(bias_apart, abs=1e-6)


def test_a_weak_belief_leaves_the_centre_where_a_strong_one_does_not(rows):
    centre = np.full(PLACES, 0.7)

    held, _ = fitted([rows], inverse_penalty=1e-6, centre=centre)
    freed, _ = fitted([rows], inverse_penalty=1e3, centre=centre)

    assert np.max(np.abs(held - centre)) < 1e-3
    assert np.max(np.abs(freed - centre)) > 0.5


def test_has_the_same_bytes_whatever_the_jobs(rows):
    shards = sharded(rows, 37)

    alone, together = (fitted(shards, inverse_penalty=3.0, jobs=jobs) for jobs in (1, 3))

    assert alone[0].tobytes() == together[0].tobytes()
    assert alone[1] == together[1]


def test_goes_on_from_a_noted_state_to_the_same_bytes(rows):
    states = []
    whole = fitted([rows], inverse_penalty=3.0, noted=states.append)

    resumed = fitted([rows], inverse_penalty=3.0, start=states[len(states) // 2])

    assert whole[0].tobytes() == resumed[0].tobytes()
    assert whole[1] == resumed[1]


def test_refuses_rows_of_one_label(rows):
    alone = Shard(rows.matrix, np.full(400, True), rows.weight)

    with pytest.raises(ValueError, match="both labels"):
        fitted([alone], inverse_penalty=1.0)
