"""A disk that is full, read-only or broken; a database file that another process has locked."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import disks
from tests.faults.ledger import ledger
from tests.faults.load import UNHURRIED, Load
from tests.faults.running import Running, sqlite_url, until
from tests.faults.table import COMPLETE, TABLE

BACK_SECONDS = 30.0
TOLD_SECONDS = 12.0


def is_told(one: Running, why: str) -> float:
    return until(
        lambda: why in one.readiness()[2],
        TOLD_SECONDS,
        lambda: f"/readyz does not say {why!r}: {one.readiness()}",
    )


def is_back(one: Running, load: Load) -> float:
    before = len(load.answered)
    return until(
        lambda: len(load.answered) > before + 20 and one.status("/readyz") == 200,
        BACK_SECONDS,
        lambda: f"not back: {load}; {one.readiness()}; {one.said()}",
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_loses_nothing(service: Callable[..., Running], workers: int):
    told, back = [], []
    with disks.a_tmpfs(48) as disk:
        one = service(disk / "service", DUYET_WORKERS=str(workers))
        one.start()
        load = Load(one, pause=UNHURRIED)
        with load.running(within=60):
            for _ in range(5 if COMPLETE else 1):
                load.reaches(30)
                filler = disks.fill(disk)
                told.append(is_told(one, "the store cannot be written"))
                pids = one.workers()
                refused = load.statuses[503]
                until(lambda: load.statuses[503] > refused + 5, 30, "nobody is refused")  # noqa: B023
                assert one.workers() == pids, f"a worker died of it: {one.said()}"
                filler.unlink()
                back.append(is_back(one, load))
        assert one.end() == 0

        found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert set(load.statuses) <= {200, 503}
    assert load.broken == 0
    TABLE.row(
        f"disk full, SQLite, {workers} worker{'s' * (workers > 1)}",
        "503, no worker dies, /readyz tells; back by itself once there is room",
        f"{len(told)} times; told after {max(told):.1f} s, back after {max(back):.1f} s at most; "
        f"{load}; {found}",
    )


def test_a_disk_that_breaks_is_told_and_keeps_what_was_acknowledged(
    service: Callable[..., Running], tmp_path: Path
):
    with disks.an_ext4(96) as disk:
        one = service(disk / "service")
        one.start()
        load = Load(one, pause=UNHURRIED)
        with load.running(within=120):
            load.reaches(60)
            disks.break_writes(disk)
            told = is_told(one, "the store cannot be written")
            until(lambda: load.statuses[503] > 5, 30, "nobody is refused")
            one.end()
            # What the operator does: the disk is dead, its content goes to another one.
            one.directory = shutil.copytree(disk / "service", tmp_path / "rescued")
            one.log = one.directory / "log"
            back = one.start()

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    TABLE.row(
        "disk turns read-only under it (journal of an ext4 aborted)",
        "503, /readyz tells; all that was acknowledged can be read from it",
        f"told after {told:.1f} s; up {back:.1f} s after the copy; {load}; {found}",
    )


def test_a_read_only_disk_is_a_plain_line_at_the_start(service: Callable[..., Running]):
    with disks.a_tmpfs(48) as disk:
        one = service(disk / "service")
        one.start()
        assert one.end() == 0
        disks.make_read_only(disk)
        one.log = disk.with_suffix(".log")
        one.launch()
        assert one.process is not None
        status = one.process.wait(60)
        said = one.said()
        disks.make_writable(disk)
        back = one.start()
        one.log.unlink()

    assert status == 1
    assert said.count("\n") == 1
    assert "cannot be written (Read-only file system)" in said
    TABLE.row(
        "read-only disk at the start",
        "exit status 1 and one line that says what is wrong; starts once it is writable",
        f"{said.strip().replace(str(disk), 'DISK')!r}; up {back:.1f} s after",
    )


def test_a_database_locked_by_another_process_holds_nobody_for_ever(
    service: Callable[..., Running],
):
    one = service()
    one.start()
    load = Load(one, pause=UNHURRIED)
    path = sqlite_url(one).removeprefix("sqlite:///")

    with load.running(within=60):
        load.reaches(30)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        told = is_told(one, "the store")
        until(lambda: load.statuses[503] > 0, 30, "callers wait for ever")
        other.execute("ROLLBACK")
        other.close()
        back = is_back(one, load)

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert set(load.statuses) <= {200, 503}
    assert load.broken == 0
    assert load.slowest < 30
    TABLE.row(
        "SQLite file locked by another process",
        "503 instead of waiting for ever, /readyz tells; back by itself",
        f"told after {told:.1f} s, back after {back:.1f} s; {load}; {found}",
    )
