"""The program before the tables were cut by time: upgraded under load, and gone back to."""

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model.library import LIBRARY
from service.storage.schema import head
from tests.faults.ledger import ledger
from tests.faults.load import Load
from tests.faults.running import ROOT, Running
from tests.faults.servers import Server
from tests.faults.table import COMPLETE, TABLE
from tests.storage.schema_moves import move_schema

EARLIER = "320f3d1"
"""The last commit whose newest schema is 0002."""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The earlier program's files, out of the history of this one."""
    archive, program = tmp_path / "earlier.tar", tmp_path / "earlier"
    command = ("git", "-C", ROOT, "archive", "-o", archive, EARLIER)
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the earlier program is not in this copy's history")
    with tarfile.open(archive) as files:
        files.extractall(program, filter="data")
    kernel = program / LIBRARY.relative_to(ROOT)
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-o", kernel, kernel.with_name("kernel.c"), "-lm"],
        check=True,
    )
    return program


@pytest.mark.skipif(not COMPLETE, reason="makes an earlier program; part of the complete drills")
def test_an_earlier_program_goes_on_while_a_newer_one_migrates_and_after_going_back(
    service: Callable[..., Running], server: Callable[[], Server], earlier: Path, tmp_path: Path
):
    url = server().url("duyet")
    old = service(tmp_path / "service", DUYET_DATABASE_URL=url, DUYET_WORKERS="2")
    old.program = earlier
    old.start()
    load = Load(old)

    with load.running():
        load.reaches(40)
        move_schema(url, head())
        load.reaches(40)
    assert "newer" in old.readiness()[2]
    assert old.end() == 0
    move_schema(url, "0002")
    old.start()
    with load.running():
        load.reaches(40)
    assert old.end() == 0
    new = service(old.directory, DUYET_DATABASE_URL=url, DUYET_WORKERS="2")
    new.port, new.key = old.port, old.key
    new.start()
    with load.running():
        load.reaches(40)
    load.again(sorted(load.answered)[:30])  # the earlier program's, answered by the newer

    found = ledger(url, load)
    assert found.faults == {}
    assert set(load.statuses) == {200}
    assert load.broken == 0
    TABLE.row(
        "schema 0002 upgraded under load",
        "the program of 0002 answers during, and on the newer tables after going back",
        f"{load}; {found}",
    )
