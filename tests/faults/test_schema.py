"""A schema that is newer or older than the program, at the start and under a running service."""

import sqlite3
from collections.abc import Callable

from service.storage.schema import head
from tests.faults.ledger import ledger
from tests.faults.load import UNHURRIED, Load
from tests.faults.running import Running, sqlite_url, until
from tests.faults.table import TABLE


def _set_revision(one: Running, revision: str | None) -> None:
    with sqlite3.connect(sqlite_url(one).removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.close()


def test_a_newer_schema_is_told_while_running_and_refused_at_the_start(
    service: Callable[..., Running],
):
    one = service()
    one.start()
    load = Load(one, pause=UNHURRIED)

    with load.running():
        load.reaches(20)
        _set_revision(one, "9999")
        told = until(
            lambda: "newer" in one.readiness()[2],
            12,
            lambda: f"/readyz does not tell: {one.readiness()}",
        )
        load.reaches(20)
    assert one.end() == 0
    before = one.said()
    one.launch()
    assert one.process is not None
    status = one.process.wait(60)
    said = one.said()[len(before) :]
    _set_revision(one, head())
    back = one.start()

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert status == 1
    assert said.count("\n") == 1
    assert "newer" in said
    TABLE.row(
        "schema newer than the program",
        "not ready while running, which goes on; refused in one line at the start",
        f"told after {told:.1f} s; {said.strip()!r}; up {back:.1f} s after going back; {found}",
    )


def test_an_older_schema_is_told_while_running(service: Callable[..., Running]):
    one = service()
    one.start()
    path = sqlite_url(one).removeprefix("sqlite:///")

    with Load(one, pause=UNHURRIED).running() as load:
        load.reaches(20)
        _set_revision(one, None)
        told = until(lambda: "run `duyet migrate`" in one.readiness()[2], 12, "not told")
        _set_revision(one, head())
        back = until(lambda: one.status("/readyz") == 200, 12, "not ready again")
        load.reaches(20)

    found = ledger(f"sqlite:///{path}", load)
    assert found.faults == {}
    TABLE.row(
        "schema older than the program",
        "not ready while running; `duyet serve` and `duyet migrate` bring it up to date",
        f"told after {told:.1f} s, ready {back:.1f} s after; {load}; {found}",
    )
