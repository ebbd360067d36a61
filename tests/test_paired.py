import numpy as np
import pytest

from model.outcome import Outcome
from training.evaluation import Judged, JudgedRow
from training.paired import Pair, difference_of_shares, score_figures, share_figure

RANDOM = 7


def interval(before, after, *, group_of=1, weight=None):
    """The interval of a change, in groups of so many rows."""
    rows = len(before)
    return difference_of_shares(
        np.array(before, bool),
        np.array(after, bool),
        np.ones(rows) if weight is None else np.array(weight, float),
        np.arange(rows) // group_of,
        np.random.default_rng(RANDOM),
    )


def changed(gained: int, lost: int, of: int = 50):
    before = [True] * lost + [False] * (of - lost)
    after = [False] * lost + [True] * gained + [False] * (of - lost - gained)
    return before, after


def test_nothing_changed_is_not_nothing_ever_will():
    found = interval(*changed(0, 0))

    assert found.value == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.05 < found.high < 0.08


@pytest.mark.parametrize(("gained", "is_sure"), [(2, False), (4, False), (7, True), (12, True)])
def test_a_few_changes_in_one_direction_are_not_sure(gained, is_sure):
    # The exact sign test (McNemar 1947) finds 5 of 5 not sure at 95 %, and 6 of 6 sure.
    found = interval(*changed(gained, 0))

    assert (found.low > 0) is is_sure


def test_changes_in_a_single_group_tell_nothing():
    assert interval(*changed(10, 0), group_of=50).low is None


def test_groups_widen_the_interval():
    alone, together = (interval(*changed(10, 0, of=100), group_of=n) for n in (1, 10))

    assert together.value == alone.value == 0.1
    assert together.low < 0 < alone.low


def test_weights_count():
    before, after = changed(1, 1, of=4)

    assert interval(before, after, weight=[1, 5, 1, 1]).value == pytest.approx(4 / 8)


def test_rows_without_weight_tell_nothing():
    assert interval([True] * 3, [False] * 3, weight=[0, 0, 0]).value is None


def test_the_interval_covers_what_is_true():
    # 40 groups of 5 alike rows, a tenth of them gained: 95 of 100 intervals should hold that.
    random = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        gained = np.repeat(random.random(40) < 0.1, 5)
        found = interval(np.zeros(200), gained, group_of=5)
        held += found.low <= 0.1 <= found.high

    assert held >= 93


def a_pair(shift: float) -> Pair:
    random = np.random.default_rng(3)
    truth = random.random(300) < 0.4
    noise = random.normal(0, 0.25, 300)
    sides = [
        Judged.of(
            [
                JudgedRow(
                    bool(bad),
                    float(np.clip(0.4 + gain * bad + n, 0, 1)),
                    Outcome.ACCEPT,
                    group=f"g{at % 60}",
                )
                for at, (bad, n) in enumerate(zip(truth, noise, strict=True))
            ]
        )
        for gain in (0.2, 0.2 + shift)
    ]
    return Pair(*sides)


NAMES = {"roc_auc": "spam_ranking", "found": "spam_found_at_risk"}


def test_a_better_ranking_is_seen_through_noise_that_both_share():
    ranking, found = score_figures(
        NAMES, a_pair(0.05), rates={"found": 0.01}, random=np.random.default_rng(RANDOM)
    )

    assert ranking.is_better
    assert not ranking.is_worse
    # The intervals of the two overlap; that of their difference is clear of nought.
    assert ranking.champion.high > ranking.challenger.low
    assert found.difference.value >= 0


def test_equal_versions_do_not_differ():
    for figure in score_figures(
        NAMES, a_pair(0), rates={"found": 0.01}, random=np.random.default_rng(RANDOM)
    ):
        assert figure.difference.value == figure.difference.low == figure.difference.high == 0


def test_a_share_of_both_versions_has_both_intervals():
    pair = a_pair(0.1)

    figure = share_figure(
        "spam_caught",
        pair,
        hits=lambda judged: judged.score > 0.5,
        random=np.random.default_rng(RANDOM),
    )

    assert figure.rows == 300
    assert figure.champion.low < figure.champion.value < figure.champion.high
    assert figure.difference.value == pytest.approx(
        figure.challenger.value - figure.champion.value, abs=1e-5
    )
