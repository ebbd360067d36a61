"""Chores give way to comments, and end with the service."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest

from service.chores import Chore, every
from service.pauses import (
    PATIENCE_IN_FLOOD_SECONDS,
    PATIENCE_SECONDS,
    Pauses,
    ServiceEnds,
)


@pytest.mark.parametrize(
    ("is_flooded", "seconds"), [(False, PATIENCE_SECONDS), (True, PATIENCE_IN_FLOOD_SECONDS)]
)
def test_a_chore_gives_way_while_somebody_waits_and_longer_in_a_flood(
    is_flooded: bool, seconds: float
) -> None:
    pauses = Pauses(lambda: False, lambda: is_flooded)
    began = time.monotonic()
    for _ in range(5):
        pauses.give_way()

    assert time.monotonic() - began >= 5 * seconds


def test_a_chore_goes_on_as_soon_as_nobody_waits() -> None:
    answers = iter([False, True])
    Pauses(lambda: next(answers), lambda: True).give_way()

    assert next(answers, None) is None


def test_what_is_done_rarely_in_a_flood_is_done_each_time_outside() -> None:
    done: list[bool] = []
    flooded = False
    pauses = Pauses(is_turning_away=lambda: flooded)
    find = pauses.rarely_in_flood(lambda: done.append(flooded), 60.0)

    find()
    flooded = True
    find()
    flooded = False
    find()

    assert done == [False, False]


@pytest.mark.parametrize("pause", ["give_way", "let_others_write"])
def test_a_chore_under_way_ends_with_the_service(pause: str) -> None:
    pauses = Pauses(lambda: False)
    began = threading.Event()

    def long() -> None:
        began.set()
        while True:
            getattr(pauses, pause)()

    async def ends() -> None:
        doing = asyncio.create_task(every(Chore(0.0, long, at_once=True)))
        await asyncio.to_thread(began.wait)
        pauses.end()
        doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing

    asyncio.run(ends())  # which waits for its threads


def test_whoever_pauses_after_the_end_is_told_so() -> None:
    pauses = Pauses()
    pauses.end()

    with pytest.raises(ServiceEnds):
        pauses.give_way()
    with pytest.raises(ServiceEnds):
        pauses.let_others_write()
