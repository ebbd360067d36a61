"""A clock that jumps, both ways and by years, under a real process (libfaketime)."""

import os
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.faults.ledger import ledger
from tests.faults.load import Load
from tests.faults.running import Running, sqlite_url
from tests.faults.table import COMPLETE, TABLE

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS = ("-1h", "+3h", "-400d", "+3650d", "+0", "-1s", "+25h", "-20000d")


@pytest.mark.skipif(not FAKETIME, reason="no libfaketime: scripts/install-drills brings it")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_clock_that_jumps_both_ways_stops_nothing(
    service: Callable[..., Running], tmp_path: Path, workers: int
):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    one = service(
        DUYET_WORKERS=str(workers),
        LD_PRELOAD=str(FAKETIME[0]),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    one.start()
    load = Load(one)
    rounds = 3 * len(JUMPS) if COMPLETE else len(JUMPS)

    with load.running():
        for _, jump in zip(range(rounds), cycle(JUMPS), strict=False):
            draft = clock.with_suffix(".new")
            draft.write_text(jump)
            os.replace(draft, clock)
            load.reaches(20)
        ready = one.status("/readyz")
    first = sorted(load.answered)[:50]
    load.again(first)  # asked years ago, or years from now

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert ready == 200
    assert set(load.statuses) == {200}
    assert load.broken == 0
    TABLE.row(
        f"clock jumps, {workers} worker{'s' * (workers > 1)}",
        "verdicts go on, requests are recognised across jumps",
        f"{rounds} jumps from {min(JUMPS)} to +10 years; {load}; "
        f"{len(first)} old requests answered as before; {found}",
    )
