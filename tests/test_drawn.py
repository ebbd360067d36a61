"""Comments drawn with different chances bound the share that is flagged."""

import numpy as np
import pytest
from scipy.stats import chi2

from training import drawn


def alone(n: int) -> np.ndarray:
    return np.array([f"u{i}" for i in range(n)])


def test_of_comments_that_stand_for_one_each_the_bound_is_the_exact_one_of_a_count():
    bounds = drawn.bounds(np.ones(1_000), alone(1_000))

    for flagged in (0, 1, 7, 40):
        assert bounds[flagged] == pytest.approx(chi2.ppf(0.95, 2 * (flagged + 1)) / 2 / 1_000)


def test_a_share_is_rarely_above_its_bound():
    """900 of 10,000 comments are held and all seen; of the others one of ten is drawn."""
    rng = np.random.default_rng(5)
    score = np.concatenate([rng.uniform(size=9_100), rng.uniform(0.7, 1.02, size=900)])
    chance = np.where(np.arange(10_000) < 9_100, 0.1, 1.0)
    broken, asked = 0, 0
    for _ in range(300):
        at = np.flatnonzero(rng.uniform(size=10_000) < chance)
        at = at[np.argsort(score[at])]
        bounds = drawn.bounds(1 / chance[at], alone(at.size))
        for flagged in (5, 40):
            asked += 1
            broken += (score > score[at[-flagged - 1]]).mean() > bounds[flagged]

    assert broken / asked <= 0.06


def test_who_was_held_for_certain_counts_for_one_and_who_was_drawn_for_all_like_them():
    stands_for = np.array([10.0] * 200 + [1.0] * 50)

    held, sampled = (drawn.bounds(each, alone(250)) for each in (stands_for, stands_for[::-1]))

    assert held[0] == sampled[0] == pytest.approx(10 * chi2.ppf(0.95, 2) / 2 / 2_050)
    assert held[5] < sampled[5]
    assert held[5] * 2_050 < 4 * 5 + held[0] * 2_050


def test_comments_of_one_group_tell_less_than_as_many_of_several():
    together = np.array([f"u{i // 50}" for i in range(1_000)])

    assert (
        drawn.bounds(np.ones(1_000), together)[20] > drawn.bounds(np.ones(1_000), alone(1_000))[20]
    )


def test_what_nobody_drew_speaks_only_against():
    drawn_ones = np.full(1_000, 4.0)
    with_own = np.concatenate([np.zeros(500), drawn_ones])
    against = np.concatenate([drawn_ones, np.zeros(3)])

    assert drawn.bounds(with_own, alone(1_500))[2] == drawn.bounds(drawn_ones, alone(1_000))[2]
    assert drawn.bounds(against, alone(1_003))[3] > drawn.bounds(drawn_ones, alone(1_000))[0]
    assert drawn.bounds(np.zeros(9), alone(9)).tolist() == [1.0]
