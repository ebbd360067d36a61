"""`duyet backup`: a copy of the database in use, from which an installation comes back whole."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from shutil import copytree
from threading import Event, Thread

import pytest

from service.keyring import Keyring
from service.storage import Store
from service.storage.backup import copied
from tests.storage.cases import Clock, asked, put
from tests.test_commands import ADDRESS, ROOT, Desk, desk, empty, waits  # noqa: F401  fixtures


def in_file(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        return [row[0] for row in copy.execute("SELECT id FROM comments ORDER BY id")]


def test_what_is_in_the_log_alone_is_in_the_copy_and_comes_back(desk, tmp_path):  # noqa: F811
    ids = [waits(desk, f"comment {n}") for n in range(3)]
    log = desk.settings.data_dir / "duyet.db-wal"
    assert log.stat().st_size > 0
    to = tmp_path / "kept.db"

    assert desk.json("backup", str(to)) == {"file": str(to), "bytes": to.stat().st_size}

    assert in_file(to) == sorted(ids)
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*kept*")] == ["kept.db"]  # it is one file
    elsewhere = tmp_path / "elsewhere"
    copytree(desk.settings.secrets_dir, elsewhere / "secrets")
    os.replace(to, elsewhere / "duyet.db")
    store = Store.open(f"sqlite:///{elsewhere / 'duyet.db'}", Keyring(elsewhere / "secrets"))
    store.migrate()
    again = put(store, asked(store.sites()[0], Clock()()))
    assert {item.comment.id for item in store.queue_page(None).items} == {*ids, *again}
    assert store.reveal_address(None, ids[0], moderator="an", why="asked") == ADDRESS
    store.close()


def test_it_is_one_moment_of_a_database_that_is_written_to(desk, tmp_path):  # noqa: F811
    [site] = desk.store.sites()
    clock, ended, written = Clock(), Event(), []

    def write() -> None:
        while not ended.is_set():
            written.append(put(desk.store, *(asked(site, clock()) for _ in range(5))))

    writing = Thread(target=write)
    writing.start()
    copies = []
    try:
        for n in range(5):
            before = len(written)
            to = tmp_path / f"{n}.db"
            copied(desk.settings.data_dir / "duyet.db", to)
            copies.append((before, set(in_file(to))))
    finally:
        ended.set()
        writing.join()

    assert len(written) > 5
    for before, ids in copies:
        assert ids >= {one for batch in written[:before] for one in batch}
        for batch in written:  # a batch is there, or it is not
            assert len(ids & set(batch)) in (0, 5)


@pytest.mark.parametrize(
    ("file", "told"),
    [("nowhere/kept.db", "there is no directory"), ("var/duyet.db", "is the database itself")],
)
def test_where_it_cannot_go_it_leaves_nothing(desk, tmp_path, file, told):  # noqa: F811
    waits(desk)

    status, _, said = desk("backup", str(tmp_path / file))

    assert (status, told in said) == (1, True)
    assert desk.json("queue", "list")["waiting"] == 1


def test_a_full_disk_keeps_the_copy_of_yesterday(desk, tmp_path):  # noqa: F811
    waits(desk)
    to = tmp_path / "kept.db"
    to.write_bytes(b"yesterday")
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "from duyet.cli import run\n"
        "sys.exit(run(['backup', sys.argv[1]]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(to)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert to.read_bytes() == b"yesterday"
    assert [path.name for path in tmp_path.glob("*kept*")] == ["kept.db"]
    assert json.loads(desk("queue", "list", "--json")[1])["waiting"] == 1
