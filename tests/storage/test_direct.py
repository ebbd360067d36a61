import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage import StoreUnavailable
from service.storage.direct import Direct, Driver
from service.storage.engine import open_engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def direct(path: Path) -> Iterator[Direct]:
    engine = open_engine(f"sqlite:///{path}")
    direct = Direct(engine)
    direct.write(lambda driver: driver.run("CREATE TABLE some (number INTEGER PRIMARY KEY)", ()))
    yield direct
    direct.close()
    engine.dispose()


def numbers(direct: Direct) -> list[int]:
    return [number for (number,) in direct.read(lambda d: d.fetch("SELECT number FROM some", ()))]


def test_what_fails_half_way_is_undone_and_the_connection_serves_on(direct: Direct) -> None:
    used: list[object] = []

    def half(driver: Driver) -> None:
        used.append(driver._connection)
        driver.run_for_each("INSERT INTO some VALUES (?)", [(1,), (2,)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        direct.write(half)
    with pytest.raises(Exception, match="IntegrityError"):
        direct.write(lambda d: d.run_for_each("INSERT INTO some VALUES (?)", [(3,), (3,)]))

    assert numbers(direct) == []
    direct.read(lambda driver: used.append(driver._connection))
    direct.write(lambda driver: driver.run("INSERT INTO some VALUES (4)", ()))
    assert numbers(direct) == [4]
    assert used[0] is used[1], "one connection did for all"


def test_two_at_a_time_have_a_connection_each(direct: Direct) -> None:
    inside = threading.Barrier(2, timeout=10)
    seen = []

    def meet(driver: Driver) -> None:
        seen.append(driver._connection)
        inside.wait()

    both = [threading.Thread(target=lambda: direct.read(meet)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert seen[0] is not seen[1]
    assert {*direct._kept} == {*seen}


def test_a_write_begins_as_soon_as_another_process_ends_its_own(direct: Direct, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO some VALUES (1)")
    threading.Timer(0.3, other.commit).start()

    began = time.monotonic()
    direct.write(lambda driver: driver.run("INSERT INTO some VALUES (2)", ()))
    assert time.monotonic() - began >= 0.2
    assert numbers(direct) == [1, 2]
    other.close()


def test_a_read_waits_for_who_holds_the_file_alone(direct: Direct, path: Path) -> None:
    direct.close()  # SQLite asks for the lock when it opens the log
    with sqlite3.connect(path, isolation_level=None, check_same_thread=False) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        engine = open_engine(f"sqlite:///{path}")
        held = Direct(engine)
        held._kept.append(sqlite3.connect(path, timeout=0, isolation_level=None))
        threading.Timer(0.3, other.commit).start()
        assert numbers(held) == []
        held.close()
        engine.dispose()
    other.close()


def test_a_file_that_stays_locked_is_unavailable_in_the_end(
    direct: Direct, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.engine.BUSY_SECONDS", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        direct.write(lambda driver: driver.run("INSERT INTO some VALUES (1)", ()))

    other.rollback()
    other.close()
    direct.write(lambda driver: driver.run("INSERT INTO some VALUES (1)", ()))
    assert numbers(direct) == [1]


def test_close_leaves_no_connection_open(direct: Direct) -> None:
    (kept,) = direct._kept
    direct.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        kept.execute("SELECT 1")
    assert numbers(direct) == [], "and another one is opened when it is asked again"


def test_a_text_that_is_none_is_unavailable_and_quotes_nothing(direct: Direct) -> None:
    with pytest.raises(StoreUnavailable) as refusal:
        direct.read(lambda driver: driver.fetch("SELECT CAST(x'6162ff' AS TEXT)", ()))
    assert refusal.value.__context__ is None
