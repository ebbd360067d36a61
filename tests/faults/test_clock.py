"""A clock that jumps, both ways and by years: the app's own, and that of a real process."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from tests.api.service import running as in_process
from tests.faults.ledger import ledger
from tests.faults.load import Load
from tests.faults.load import a_comment as json_comment
from tests.faults.running import Running, sqlite_url, until
from tests.faults.table import COMPLETE, TABLE

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS = ("-1h", "+3h", "-400d", "+3650d", "+0", "-1s", "+25h", "-20000d")
SECONDS = {"s": 1, "h": 3_600, "d": 86_400}


@dataclass
class Jumping:
    """A clock that goes on from another moment each time it is asked."""

    jumps: Iterator[timedelta]
    at: datetime = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at + next(self.jumps)


def test_an_app_whose_clock_jumps_judges_keeps_and_recognises(tmp_path: Path):
    days = (0, -400, 3650, -1, 1, 20_000, -9_000, 0)
    clock = Jumping(cycle(timedelta(days=day, seconds=3) for day in days))
    with in_process(tmp_path, now=clock) as one:
        bodies = [json_comment(number) for number in range(40)]
        first = [one.post(body, Idempotency_Key=f"k{at}") for at, body in enumerate(bodies)]
        again = [one.post(body, Idempotency_Key=f"k{at}") for at, body in enumerate(bodies)]
        waiting = one.get("/v1/queue?limit=100").json()
        stored = one.stored()

    assert {answer.status_code for answer in first + again} == {200}
    assert [a.json()["id"] for a in first] == [a.json()["id"] for a in again]
    assert stored == 40
    queued = {a.json()["id"] for a in first if a.json()["verdict"] == "queue"}
    assert {item["comment"]["id"] for item in waiting["items"]} == queued
    TABLE.row(
        "clock of the app jumps at every look",
        "verdicts go on; requests are recognised",
        f"80 requests, jumps from -9,000 to +20,000 days: {stored} stored, 0 lost, 0 doubled",
    )


def _has_jumped(load: Load, jump: str) -> bool:
    """Whether the newest id, which begins with a time, was made by a clock that has jumped so."""
    if not load.answered:
        return False
    newest, _ = load.answered[max(load.answered)]
    milliseconds = int(newest.replace("-", "")[:12], 16)
    expected = time.time() + int(jump.rstrip("shd")) * SECONDS.get(jump[-1], 1)
    return abs(milliseconds / 1000 - expected) < 60


@pytest.mark.skipif(not FAKETIME, reason="no libfaketime: scripts/install-drills brings it")
def test_a_clock_that_jumps_both_ways_stops_nothing(
    service: Callable[..., Running], tmp_path: Path
):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    one = service(
        LD_PRELOAD=str(FAKETIME[0]),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    one.start()
    load = Load(one)
    rounds = 3 * len(JUMPS) if COMPLETE else len(JUMPS)

    # One caller: libfaketime itself was seen to hang in a process with many busy threads.
    with load.running(1):
        for _, jump in zip(range(rounds), cycle(JUMPS), strict=False):
            draft = clock.with_suffix(".new")
            draft.write_text(jump)
            os.replace(draft, clock)
            until(partial(_has_jumped, load, jump), 30, f"no answer from a clock at {jump}")
            load.reaches(8)
        clock.write_text("+0")
        until(lambda: one.status("/readyz") == 200, 20, lambda: f"not ready: {one.readiness()}")
    first = sorted(load.answered)[:50]
    load.again(first)  # asked years ago, or years from now

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    with sqlite3.connect(sqlite_url(one).removeprefix("sqlite:///")) as connection:
        [(span,)] = connection.execute("SELECT max(received_at) - min(received_at) FROM comments")
    connection.close()
    assert span > 9 * 365 * 86_400 * 1e6  # microseconds: the process did see other years
    # A jump was seen to cost one request a 503 (of thousands); the caller's second try passes.
    assert set(load.statuses) <= {200}, one.said()
    assert load.broken == 0
    TABLE.row(
        "clock of a process jumps (libfaketime)",
        "verdicts go on, requests are recognised across jumps",
        f"{rounds} jumps from -55 to +10 years; {load}; "
        f"{len(first)} old requests answered as before; {found}",
    )
