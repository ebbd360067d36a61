"""The promise of moved scores: it holds whatever the shares are, and asks for comments enough."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from model.outcome import OFF
from model.promise import ANY, CONFIDENCE, RISKS, Kept, Promise
from training.shifted import Moves, holds, shifted
from training.umbrella import umbrella_rank

SIZES = (*range(200, 4_000, 50), *range(4_000, 100_000, 1_000))
AT_HALF_A_PERCENT = RISKS.index(0.005)
AT_ONE_PERCENT = RISKS.index(0.01)


def column(*, first: int, at: float = 0.9) -> tuple[float, ...]:
    """Off below a risk, and lower from there on."""
    return (OFF,) * first + tuple(at - 0.01 * i for i in range(len(RISKS) - first))


def a_promise(comments: int = 700) -> Promise:
    kept = Kept(comments, 60, *(column(first=AT_HALF_A_PERCENT),) * 3)
    return Promise({ANY: kept, "vi": kept}, unit="source")


def log_odds(score: float) -> float:
    return float(np.log(score / (1 - score)))


def moves(spam: np.ndarray, toxicity: np.ndarray | None = None, tag: str = "vi") -> Moves:
    still = np.zeros(spam.size)
    return Moves(
        np.stack([spam, still if toxicity is None else toxicity]),
        np.full(spam.size, tag),
        np.array([f"u{i}" for i in range(spam.size)]),
    )


@pytest.mark.parametrize("beyond", [0, 2])
@pytest.mark.parametrize(
    ("taken", "counted", "risk"),
    [(0.005, 624, 0.005), (0.005, 5_000, 0.005), (0.004, 5_000, 0.005), (0.0075, 624, 0.01)],
)
def test_what_holds_is_seldom_broken_however_the_risk_is_split(counted, beyond, taken, risk):
    moved = next(n for n in SIZES if holds(taken, counted, n, beyond, risk))
    allowed = counted - (umbrella_rank(counted, taken) or counted + 1)

    first = np.linspace(0, risk, 300)
    broken = binom.cdf(allowed, counted, first) * binom.cdf(beyond, moved, risk - first)

    assert allowed >= 0
    assert broken.max() <= 1 - CONFIDENCE + 1e-9


def test_what_holds_does_so_where_groups_make_the_comments_worth_less():
    moved = next(n for n in SIZES if holds(0.004, 5_000, n, 0, 0.005))
    first = np.linspace(0, 0.005, 300)

    broken = []
    for allowed in range(12):  # of as many as have 0.4 % for their bound at that count
        worth = np.linspace(allowed + 1, 6_000, 6_000)
        fewer = worth[np.argmin(np.abs(beta.ppf(0.95, allowed + 1, worth - allowed) - 0.004))]
        chance = beta.sf(first, allowed + 1, fewer - allowed) * binom.cdf(0, moved, 0.005 - first)
        broken.append(chance.max())

    assert max(broken) <= 1 - CONFIDENCE + 1e-3


def test_a_threshold_is_raised_by_the_furthest_move():
    promise = a_promise()

    found = shifted(promise, moves(np.linspace(-1, 0.5, 2_000))).languages["vi"]

    before = promise.languages["vi"].spam_reject_at[AT_HALF_A_PERCENT]
    assert log_odds(found.spam_reject_at[AT_HALF_A_PERCENT]) == pytest.approx(
        log_odds(before) + 0.5
    )


def test_a_head_that_was_not_moved_keeps_its_thresholds():
    promise = a_promise()

    assert shifted(promise, moves(np.zeros(2_000))) == promise


def test_of_two_heads_both_moves_are_kept_together():
    draw = np.random.default_rng(3)
    moved = moves(draw.normal(0, 0.2, 1_500), draw.normal(0, 0.6, 1_500))
    promise = a_promise()

    found = shifted(promise, moved).languages["vi"]

    before = promise.languages["vi"]
    raised = [
        log_odds(getattr(found, name)[AT_ONE_PERCENT])
        - log_odds(getattr(before, name)[AT_ONE_PERCENT])
        for name in ("spam_queue_at", "toxicity_queue_at")
    ]
    beyond = (moved.by[0] > raised[0]) | (moved.by[1] > raised[1])
    assert 0 < beyond.sum() < 0.01 * 1_500


def test_too_few_moves_promise_nothing():
    found = shifted(a_promise(), moves(np.linspace(-1, 0.5, 100))).languages["vi"]

    assert set(found.spam_reject_at[: AT_ONE_PERCENT + 1]) == {OFF}


def test_moves_that_crowd_into_groups_count_for_less():
    flat = Kept(20_000, 600, *((0.9,) * len(RISKS),) * 3)
    spread = moves(np.linspace(-1, 0.5, 2_000))
    crowded = Moves(spread.by, spread.language, np.array([f"u{i // 100}" for i in range(2_000)]))

    alone, together = (
        shifted(Promise({"vi": flat}), each).languages["vi"].spam_reject_at
        for each in (spread, crowded)
    )

    assert together[AT_ONE_PERCENT] > alone[AT_ONE_PERCENT]
