"""What some stretches drawn by chance tell of all."""

import random

import pytest

from service.estimates import Share, by_stretches


def test_stretches_that_differ_tell_less_than_comments_drawn_one_by_one() -> None:
    alike = by_stretches([10] * 20, [100] * 20, 4_000)
    wave = by_stretches([100, 100] + [0] * 18, [100] * 20, 4_000)
    assert alike is not None
    assert wave is not None

    assert alike.middle == wave.middle == 0.1
    assert 5 * (alike.high - alike.low) < wave.high - wave.low
    assert by_stretches([30, 2], [60, 5], 65) == Share(32 / 65, 32 / 65, 32 / 65)
    assert by_stretches([], [], 10) is None


@pytest.mark.parametrize("share", [0.0, 0.003, 0.4])
def test_the_interval_of_stretches_holds_what_there_is(share: float) -> None:
    chance = random.Random(5)
    stretches = [
        sum(chance.random() < rate for _ in range(100))
        for rate in (share * chance.choice((0.2, 1, 1.8)) for _ in range(200))
    ]
    held = 0
    for _ in range(200):
        found = by_stretches(chance.sample(stretches, 40), [100] * 40, 20_000)
        assert found is not None
        held += found.low <= sum(stretches) / 20_000 <= found.high

    assert held >= 184
