"""Chores are done again and again, and say once what goes wrong."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.chores import (
    PATIENCE_IN_FLOOD_SECONDS,
    PATIENCE_SECONDS,
    Chore,
    _give_way,
    _rarely,
    every,
)
from service.storage import StoreUnavailable


@pytest.mark.parametrize(
    ("is_flooded", "seconds"), [(False, PATIENCE_SECONDS), (True, PATIENCE_IN_FLOOD_SECONDS)]
)
def test_a_chore_gives_way_while_somebody_waits_and_longer_in_a_flood(
    is_flooded: bool, seconds: float
) -> None:
    began = time.monotonic()
    for _ in range(5):
        _give_way(lambda: False, lambda: is_flooded)

    assert time.monotonic() - began >= 5 * seconds


def test_a_chore_goes_on_as_soon_as_nobody_waits() -> None:
    answers = iter([False, True])
    _give_way(lambda: next(answers), lambda: True)

    assert next(answers, None) is None


def test_what_is_done_rarely_in_a_flood_is_done_each_time_outside() -> None:
    done: list[bool] = []
    flooded = False
    find = _rarely(lambda: done.append(flooded), 60.0, lambda: flooded)

    find()
    flooded = True
    find()
    flooded = False
    find()

    assert done == [False, False]


def test_a_failure_that_lasts_is_told_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    came: Iterator[Exception | None] = iter(
        [None, OSError(), OSError(), StoreUnavailable("away"), None, None, OSError()]
    )

    def look_after_it() -> None:
        try:
            problem = next(came)
        except StopIteration:
            raise asyncio.CancelledError from None
        if problem is not None:
            raise problem

    caplog.set_level(logging.INFO, "service.chores")
    with suppress(asyncio.CancelledError):
        asyncio.run(every(Chore(0.0, look_after_it, at_once=True)))

    told = [(r.message, getattr(r, "problem", ""), r.chore) for r in caplog.records]  # type: ignore[attr-defined]
    assert told == [
        ("a chore failed", "OSError", "look_after_it"),
        ("a chore failed", "StoreUnavailable", "look_after_it"),
        ("a chore works again", "", "look_after_it"),
        ("a chore failed", "OSError", "look_after_it"),
    ]
