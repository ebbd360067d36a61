"""Who may wait, and who is turned away, with a clock and batches of the test's own."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from benchmarks.simulated_flood import Machine, flooded
from service.admission import (
    ALWAYS_ADMITTED,
    BURST_SECONDS,
    CALM_SECONDS,
    FEWEST_OF_TOO_MANY,
    LARGEST_BATCH,
    LARGEST_OF_MANY,
    MOST_WAITING,
    MOST_WAITING_CHARACTERS,
    Admission,
    Overloaded,
)

SIZE = 500


class Door:
    """An admission whose comments take 6 ms each, and a batch 2 ms besides."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []
        self.admission = Admission(0.5, clock=lambda: self.now, soon=self.soon.append)
        for comments in (1, 30, 1, 60, 1) * 10:
            self.comes(comments)
            self.answers(comments)

    def comes(self, callers: int, site: str = "a") -> None:
        for _ in range(callers):
            self.admission.enters(site, 1, SIZE)

    def answers(self, callers: int, site: str = "a") -> None:
        for _ in range(callers):
            self.admission.leaves(site)
        self.takes(0.002 + 0.006 * callers, callers)

    def takes(self, seconds: float, callers: int) -> None:
        """A batch of so many begins, and is answered so many seconds later."""
        self.admission.begins([SIZE] * callers)
        self.now += seconds
        self.admission.took(seconds)

    def begins(self, callers: int, site: str = "a") -> None:
        """A batch of so many is in work, and takes 2 ms and 6 for each, as it should."""
        self.comes(callers, site)
        for _ in range(callers):
            self.admission.leaves(site)
        self.admission.begins([SIZE] * callers)

    def let_in(self, callers: int, site: str = "a") -> int:
        """How many of so many more are let in; they enter."""
        admitted = sum(self.admission.expect(site) is None for _ in range(callers))
        self.comes(admitted, site)
        self.comes_to_rest()
        return admitted

    def let_in_later(self, *, seconds: float, callers: int) -> int:
        """How many are let in that come so many seconds later, while nobody was turned away."""
        self.now += seconds
        let_in = 0
        for _ in range(callers):
            with suppress(Overloaded):
                self.admission.admit()
                self.comes(1)
                let_in += 1
        return let_in

    def judged_alone(self, seconds: float) -> None:
        self.comes(1)
        self.admission.leaves("a")
        self.takes(seconds, 1)

    def judged(self, seconds: float) -> int:
        """How many of a flood are let in and answered together, in so many seconds."""
        admitted = self.let_in(500)
        for _ in range(admitted):
            self.admission.leaves("a")
        self.takes(seconds, admitted)
        return admitted

    def comes_to_rest(self) -> None:
        """What is ready has been done."""
        while self.soon:
            self.soon.pop()()

    def floods(self) -> None:
        """So many that some are turned away; then all that were let in are answered."""
        admitted = self.let_in(500)
        assert admitted < 500
        self.answers(admitted)


def test_only_where_nobody_posts_one_alone_are_batches_larger() -> None:
    door = Door()
    door.comes(1)
    with_one = door.admission.most_together
    door.answers(1)
    door.now += CALM_SECONDS
    door.admission.enters("a", 500, 500 * SIZE)

    assert (with_one, door.admission.most_together) == (LARGEST_BATCH, LARGEST_OF_MANY)


def test_a_burst_may_wait_for_as_long_as_it_is_allowed_to() -> None:
    admitted = Door().let_in(500)

    assert 70 < admitted < 90  # half a second of 6 ms each
    assert admitted >= ALWAYS_ADMITTED


def test_who_go_on_coming_while_nobody_is_judged_are_no_burst() -> None:
    door = Door()
    door.comes(ALWAYS_ADMITTED)
    at_once = door.let_in_later(seconds=BURST_SECONDS, callers=5)
    later = door.let_in_later(seconds=0.001, callers=5)
    door.answers(5)
    of_the_next = door.let_in_later(seconds=0.001, callers=5)

    assert (at_once, later, of_the_next) == (5, 0, 5)


def test_of_a_burst_nobody_is_turned_away() -> None:
    door = Door()
    left = door.let_in(80)
    sizes = []
    while left:
        sizes.append(min(left, door.admission.most_together))
        door.answers(sizes[-1])
        left -= sizes[-1]
        assert not door.admission.is_flooded

    assert sizes == [8, 16, 32, 24]  # short at first, in case that ever more come


def test_where_more_were_turned_away_than_wait_it_is_a_flood_though_no_more_come_in() -> None:
    door = Door()
    admitted = door.let_in(3_000)  # at once, so that it never grows from batch to batch

    assert 3_000 - admitted > admitted
    assert door.admission.is_flooded


def test_a_burst_that_is_a_little_too_large_is_none() -> None:
    door = Door()
    admitted = door.let_in(100)

    assert 0 < 100 - admitted < admitted
    assert not door.admission.is_flooded


def test_one_that_brings_many_has_the_largest_batches() -> None:
    door = Door()
    door.admission.enters("a", 500, 500 * SIZE)

    assert door.admission.most_together == LARGEST_BATCH


def test_of_a_flood_few_wait_long_from_its_first_moment_on() -> None:
    machine = Machine(batch=0.002, comment=0.001)
    calm = flooded(machine, rate=machine.capacity / 10, seconds=20)

    came = flooded(machine, rate=5 * machine.capacity, seconds=5)

    assert came.p99() < 3 * calm.p99()  # of batches that all take the same
    assert max(took for _, took in came.accepted) < 0.05  # it was above half a second
    assert len(came.accepted) > 0.4 * machine.capacity * 5
    assert max(took for _, took in came.turned_away) < 0.05


def test_of_a_flood_those_stay_who_came_last_and_all_of_a_modest_site() -> None:
    door = Door()
    door.comes(80, "a")
    door.comes(5, "b")

    leave = door.admission.too_many(["a"] * 40 + ["b"] * 5 + ["a"] * 40)

    assert leave == [False] * FEWEST_OF_TOO_MANY + [True] * 37 + [False] * 5 + [True] * 40
    assert door.admission.is_turning_away


def test_who_is_turned_away_is_told_when_to_come_back() -> None:
    door = Door()
    door.comes(400)

    assert door.admission.expect("a") == 3  # 400 of 6 ms, in 7 batches
    with pytest.raises(Overloaded) as refused:
        door.admission.admit()
    assert refused.value.retry_after_seconds == 3


def test_once_some_are_turned_away_few_are_judged_together() -> None:
    door = Door()
    door.floods()

    assert door.admission.is_turning_away
    assert FEWEST_OF_TOO_MANY <= door.let_in(500) <= FEWEST_OF_TOO_MANY + 1


def test_of_too_many_nobody_waits_for_a_batch_in_work() -> None:
    door = Door()
    door.floods()
    door.begins(3)
    during = door.let_in(1)
    door.admission.took(0.02)

    assert (during, door.let_in(1)) == (0, 1)


def test_few_are_not_turned_away_for_ever_as_their_store_is_slow() -> None:
    door = Door()
    for _ in range(100):
        door.judged_alone(0.03)
    door.floods()
    refused = []
    come = 1
    for _ in range(60):
        door.admission.begins([SIZE] * come)
        come = 0
        # 200 a second, of whom nobody is seen as long as all stands still.
        for later in (0.011, 0, 0, 0.005, 0.005, 0.009):
            door.now += later
            come += door.let_in(1)
        door.admission.took(0.03)
        for _ in range(come):
            door.admission.leaves("a")
        refused.append(6 - come)

    assert refused[0] > 0
    assert refused[-1] == 0
    assert not door.admission.is_turning_away


def test_as_long_as_batches_follow_fast_more_and_more_are_judged_together() -> None:
    door = Door()
    door.floods()

    assert door.judged(0.020) <= FEWEST_OF_TOO_MANY + 1
    assert [door.judged(0.004) for _ in range(6)] == [3, 3, 4, 5, 6, 7]
    assert [door.judged(0.020) for _ in range(8)] == [8, 9, 8, 7, 6, 5, 4, 3]


def test_a_batch_of_a_site_that_floods_does_not_keep_another_out() -> None:
    door = Door()
    door.floods()
    door.begins(3)

    assert door.let_in(1, "a") == 0
    assert door.let_in(1, "b") == 1


def test_a_second_after_the_last_was_turned_away_a_burst_may_wait_again() -> None:
    door = Door()
    door.floods()
    door.now += CALM_SECONDS

    assert not door.admission.is_turning_away
    assert door.let_in(ALWAYS_ADMITTED) == ALWAYS_ADMITTED


def test_slow_batches_of_a_flood_do_not_let_more_of_it_in() -> None:
    door = Door()
    door.floods()
    for _ in range(50):
        door.judged(0.5)

    assert door.let_in(500) <= FEWEST_OF_TOO_MANY


def test_a_site_that_floods_does_not_keep_another_out() -> None:
    door = Door()
    door.floods()
    door.let_in(500)
    door.comes(10)

    assert door.let_in(500, "") == 0  # who is nobody's site has no share
    assert door.let_in(500) == 0
    of_another = door.let_in(500, "b")
    assert 5 <= of_another <= 30  # as many as wait of the first, and no more
    assert door.let_in(500) == 0
    assert 3 <= door.let_in(500, "c") <= of_another


def test_of_two_sites_that_flood_neither_makes_the_other_wait_for_long() -> None:
    door = Door()
    door.floods()
    for _ in range(50):
        door.let_in(20, "a")
        door.let_in(20, "b")

    assert sum(door.admission._callers.values()) <= 4 * FEWEST_OF_TOO_MANY


def test_very_many_sites_do_not_make_anybody_wait_longer_than_a_burst() -> None:
    door = Door()
    door.floods()

    assert sum(door.let_in(1, f"site-{n}") for n in range(500)) < 90


def test_those_let_in_count_before_they_are_here() -> None:
    door = Door()

    assert sum(door.admission.expect("a") is None for _ in range(500)) < 100


def test_those_let_in_that_never_come_make_room_again() -> None:
    door = Door()
    while door.admission.expect("a") is None:
        pass
    door.comes_to_rest()
    door.now += CALM_SECONDS

    assert door.admission.expect("a") is None


def test_many_wait_for_all_and_one_for_a_turn() -> None:
    door = Door()
    for _ in range(ALWAYS_ADMITTED):
        door.admission.enters("a", 100, 100 * SIZE)

    door.admission.admit(1)
    with pytest.raises(Overloaded):
        door.admission.admit(2)
    assert door.admission.expect("a", many=True) is not None


@pytest.mark.parametrize(
    ("submissions", "characters"), [(MOST_WAITING + 1, 1), (1, MOST_WAITING_CHARACTERS + 1)]
)
def test_memory_is_bounded_however_fast_batches_are(submissions: int, characters: int) -> None:
    door = Door()
    door.admission.enters("a", submissions - 1, characters)

    with pytest.raises(Overloaded):
        door.admission.enters("a", 2, 1)


def test_nothing_is_kept_of_sites_that_wait_no_more() -> None:
    door = Door()
    for n in range(1000):
        door.let_in(1, f"site-{n}")
        door.answers(1, f"site-{n}")

    assert not door.admission._callers
    assert not door.admission._expected
