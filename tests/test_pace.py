"""What a pace says of batches that are known."""

from random import Random

import pytest

from service.pace import Pace


def test_nothing_seen_is_no_wait() -> None:
    assert Pace().wait(batches=1, work=1000) == 0


def test_the_batchs_part_and_the_works_part_are_told_apart() -> None:
    pace, draw = Pace(), Random(1)
    for _ in range(200):
        work = draw.randrange(1, 256)
        pace.took(work, 0.008 + 0.0002 * work)

    assert pace.wait(batches=1, work=0) == pytest.approx(0.008, rel=0.1)
    assert pace.wait(batches=4, work=1024) == pytest.approx(0.032 + 0.2048, rel=0.02)


def test_a_quiet_minute_makes_a_hundred_look_neither_free_nor_a_hundred_times_as_slow() -> None:
    pace = Pace()
    for _ in range(100):
        pace.took(1, 0.01)

    assert pace.wait(batches=1, work=100) == pytest.approx(0.005 + 0.5)


def test_full_batches_are_told_by_their_number() -> None:
    pace = Pace()
    for _ in range(100):
        pace.took(256, 0.06)

    assert pace.wait(batches=4, work=1024) == pytest.approx(0.24)


def test_it_follows_a_store_that_becomes_slow_and_fast_again() -> None:
    pace = Pace()
    waits = []
    for seconds in (0.01, 1.0, 0.01):
        for _ in range(60):
            pace.took(64, seconds)
        waits.append(pace.wait(batches=1, work=64))

    assert waits == pytest.approx([0.01, 1.0, 0.01], rel=0.2)


@pytest.mark.parametrize("seed", range(20))
def test_no_wait_is_below_none_and_more_never_waits_less(seed: int) -> None:
    pace, draw = Pace(), Random(seed)
    for _ in range(50):
        pace.took(draw.choice([0, 1, 5, 256]), draw.random())
        small = pace.wait(batches=1, work=10)
        assert 0 <= small <= pace.wait(batches=2, work=10)
        assert small <= pace.wait(batches=1, work=100)
