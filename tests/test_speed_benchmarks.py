"""What the benchmarks of speed and size count with: goals, paces, the ledger, processes."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, _rows_of, measured
from benchmarks.closed_loop import Client, Pace, http_client, paced, post
from benchmarks.footprint import family_of, megabytes_of
from benchmarks.goals import Row, at_least, at_most, table, unmeasured
from benchmarks.peers import Ledger


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (at_most("a", 15, 15), True),
        (at_most("a", 15.01, 15), False),
        (at_least("a", 0.3, 0.3), True),
        (at_least("a", 0.29, 0.3), False),
        (at_most("a", float("nan"), 15), False),
        (unmeasured("a", "≤ 1", "no such machine"), None),
    ],
)
def test_a_goal_is_met_at_its_very_figure_and_never_by_nothing(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_a_table_keeps_its_columns_whatever_is_noted() -> None:
    lines = table([Row("a|b", "≤ 1", "2\n3", False, "x|y")]).splitlines()

    assert lines[2] == r"| a\|b | ≤ 1 | 2 3 | **no** | x\|y |"


def test_a_part_that_fails_is_a_row_and_the_next_one_runs() -> None:
    def fails(_: Path) -> list[Row]:
        raise SystemExit("no data")

    found = list(measured({"one": fails, "two": lambda _: [Row("b", "", "1", True)]}, Path()))

    assert [(row.name, row.met) for row in found] == [("one", False), ("b", True)]
    assert "no data" in found[0].note


@pytest.mark.parametrize(("count", "p99"), [(1, 1), (99, 99), (100, 99), (101, 100), (1000, 990)])
def test_p99_is_what_99_of_100_took_at_most(count: int, p99: float) -> None:
    assert Pace(1.0, [float(n) for n in range(1, count + 1)]).p99 == p99


def test_every_request_is_sent_once_over_all_connections() -> None:
    seen: list[bytes] = []

    @contextmanager
    def connect() -> Iterator[Client]:
        def ask(request: bytes) -> bytes:
            seen.append(request)
            return b""

        yield ask

    pace = paced(connect, [b"%d" % n for n in range(100)], connections=7)

    assert sorted(seen, key=int) == [b"%d" % n for n in range(100)]
    assert len(pace.milliseconds) == 100


def answering(*answers: bytes) -> int:
    """The port of a server that gives these, one for each request, on one connection each."""
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]

    def serve() -> None:
        with listening:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65_536)
                    for at in range(0, len(answer), 7):  # in pieces, as a network may
                        connection.sendall(answer[at : at + 7])

    threading.Thread(target=serve, daemon=True).start()
    return port


def test_an_answer_in_pieces_is_read_whole_and_a_closed_connection_opened_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    port = answering(closing, closing)

    with http_client(port) as ask:
        answers = [ask(post("/", b"x")) for _ in range(2)]

    assert answers == [b"hello", b"hello"]


def test_an_answer_that_is_no_verdict_is_an_error() -> None:
    port = answering(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")

    with http_client(port) as ask, pytest.raises(RuntimeError, match="answered 503"):
        ask(post("/", b"x"))


def test_a_ledger_holds_every_record_once_when_keep_returns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: ledger.keep(b"%d\n" % n), range(200)))

    kept = (tmp_path / "ledger").read_bytes().split()
    assert sorted(kept, key=int) == [b"%d" % n for n in range(200)]
    assert 1 <= ledger.syncs <= 200
    ledger.close()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux' /proc")
def test_a_family_is_a_process_and_what_it_started() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert {os.getpid(), child.pid} <= set(family_of(os.getpid()))
        assert family_of(child.pid) == [child.pid]
        assert megabytes_of(os.getpid()) > 1
    finally:
        child.communicate(b"\n")


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_the_table_has_rows(name: str) -> None:
    assert callable(_rows_of(name))
