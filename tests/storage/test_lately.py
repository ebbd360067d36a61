"""Counts that are kept for a moment."""

import threading

from service.storage.errors import StoreUnavailable
from service.storage.lately import FRESH_SECONDS, KEPT_SECONDS, LARGE, Lately


class _Tally:
    """Counts on from a number, and by which threads it was asked."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.threads: list[str] = []
        self.is_away = False

    def count(self) -> tuple[int]:
        self.threads.append(threading.current_thread().name)
        if self.is_away:
            raise StoreUnavailable("the database is away")
        self.next += 1
        return (self.next - 1,)


def counted_aside() -> None:
    for thread in threading.enumerate():
        if thread.name == "count":
            thread.join(timeout=10)


def test_few_are_counted_each_time() -> None:
    tally, lately = _Tally(7), Lately(clock=lambda: 0.0)

    assert [lately.of("a", tally.count) for _ in range(2)] == [(7,), (8,)]


def test_many_are_counted_now_and_then_and_aside() -> None:
    clock = [0.0]
    tally, lately = _Tally(LARGE), Lately(clock=lambda: clock[0])
    asked = []
    for at in (0.0, FRESH_SECONDS, FRESH_SECONDS + 1, FRESH_SECONDS + 2):
        clock[0] = at
        asked.append(lately.of("a", tally.count)[0])
        counted_aside()
    clock[0] += KEPT_SECONDS + 1
    asked.append(lately.of("a", tally.count)[0])
    lately.forget()
    asked.append(lately.of("a", tally.count)[0])

    assert [one - LARGE for one in asked] == [0, 0, 0, 1, 2, 3]
    here = threading.current_thread().name
    assert tally.threads == [here, "count", here, here]


def test_what_cannot_be_counted_aside_is_tried_again() -> None:
    clock = [0.0]
    tally, lately = _Tally(LARGE), Lately(clock=lambda: clock[0])
    lately.of("a", tally.count)
    clock[0], tally.is_away = FRESH_SECONDS + 1, True
    lately.of("a", tally.count)
    counted_aside()
    tally.is_away = False

    lately.of("a", tally.count)
    counted_aside()

    assert lately.of("a", tally.count) == (LARGE + 1,)
