"""Sums over packed rows, in C, against the same by scipy; copies counted in parts."""

import numpy as np
import pytest
from scipy import sparse

from training.copies import Copies
from training.slopes import (
    LONGEST_STEP,
    MOST_PAIRS,
    DamagedRows,
    Packed,
    Sides,
    Teaching,
    add_slopes,
    size_of,
    sums_in,
)

PLACES = 3 * LONGEST_STEP


def drawn_rows(seed: int = 1, rows: int = 40) -> sparse.csr_matrix:
    """Few features far apart, so that some are further from each other than a step reaches."""
    draw = np.random.default_rng(seed)
    at = draw.integers(0, PLACES, (rows, 9))
    values = draw.choice([0.25, 0.5, 3.0, -1.0], at.shape).astype(np.float32)
    which = np.repeat(np.arange(rows), 9)
    return sparse.csr_matrix((values.ravel(), (which, at.ravel())), shape=(rows, PLACES))


def teaching(rows: int, seed: int = 2) -> Teaching:
    draw = np.random.default_rng(seed)
    return Teaching(
        draw.random(rows) + 0.1,
        draw.random(rows) < 0.4,
        draw.integers(0, 3, rows).astype(np.uint8),
        draw.integers(0, 2, rows).astype(np.uint32),
    )


def test_packed_rows_are_the_rows():
    matrix, chosen = drawn_rows(), np.array([3, 4, 30])

    [packed] = Packed.parts(matrix, chosen)

    assert (packed.checked(PLACES).matrix(PLACES) != matrix[chosen]).nnz == 0


def test_rows_of_more_values_than_can_be_numbered_are_packed_in_parts_that_are_the_rows():
    each, count = 700, 3 * MOST_PAIRS // 700
    values = np.random.default_rng(4).random((count, each)).astype(np.float32)
    at = np.tile(np.arange(each), count)
    matrix = sparse.csr_matrix(
        (values.ravel(), (np.repeat(np.arange(count), each), at)), shape=(count, PLACES)
    )

    parts = Packed.parts(matrix, np.arange(0, count, 2))

    assert len(parts) == 2
    assert np.concatenate([part.of for part in parts]).tolist() == list(range(0, count, 2))
    for part in parts:
        assert (part.checked(PLACES).matrix(PLACES) != matrix[part.of]).nnz == 0


@pytest.mark.parametrize("fits", [1, 3, 17])
def test_each_fit_gets_the_loss_and_gradient_of_its_rows_whatever_fits_are_beside_it(fits):
    matrix, taught = drawn_rows(), teaching(40)
    [packed] = Packed.parts(matrix, np.arange(40))
    draw = np.random.default_rng(3)
    [at] = sums_in(draw.normal(size=size_of(PLACES, fits)) * 9, PLACES, [fits])
    [into] = sums_in(np.zeros(size_of(PLACES, fits)), PLACES, [fits])
    sides = Sides(
        np.array([-1, 0, 2] * 6)[:fits],
        np.array([-1, -1, 1] * 6)[:fits],
        draw.random((fits, 2)) + 0.5,
    )

    add_slopes(into, at, packed, taught, sides)

    for fit in range(fits):
        odds = matrix @ at.slope[:, fit] + at.bias[fit]
        unseen = (taught.fold == sides.fold[fit]) | (taught.source == sides.source[fit])
        balance = sides.balance[fit][taught.truth.astype(int)]
        weight = np.where(unseen, 0.0, taught.weight * balance)
        loss = weight @ (np.logaddexp(0, odds) - taught.truth * odds)
        slope = weight * (1 / (1 + np.exp(-odds)) - taught.truth)
        assert into.loss[fit] == pytest.approx(loss, rel=1e-12)
        assert into.bias[fit] == pytest.approx(slope.sum(), rel=1e-10)
        assert np.allclose(into.slope[:, fit], matrix.T @ slope, rtol=1e-10, atol=1e-12)


def test_rows_that_lead_out_of_their_memory_are_refused():
    [packed] = Packed.parts(drawn_rows(), np.arange(40))

    with pytest.raises(DamagedRows):
        packed.checked(1_000)


def test_copies_are_counted_in_parts_as_at_once(tmp_path):
    batches = [np.random.default_rng(at).integers(0, 50, 30).astype(np.uint64) for at in range(9)]
    every = np.concatenate(batches)

    with Copies(tmp_path, every.size, part=20) as copies:
        for batch in batches:
            copies.add(batch)
        copies.count()
        found = np.concatenate([copies.of(batch) for batch in batches])

    assert found.tolist() == [int((every == number).sum()) for number in every]
    assert list(tmp_path.iterdir()) == []
