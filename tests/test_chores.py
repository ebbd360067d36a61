"""Chores are done again and again, and say once what goes wrong."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.chores import Chore, every
from service.storage import StoreUnavailable


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
