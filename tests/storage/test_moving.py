"""From SQLite to PostgreSQL, with all that there is."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.postgres import PostgresServer
from model.decision import ReportKind
from model.policy import Policy
from service.keyring import Keyring
from service.storage import Store, StoreUnavailable
from service.storage.engine import open_engine
from service.storage.moving import _OF_THE_MOMENT, NotEmpty, moved
from service.storage.tables import UtcTime, metadata
from tests.storage.cases import Clock, accept, asked, put, record, submission

pytestmark = pytest.mark.postgres
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, UTC)


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def empty(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.new_database())


def some_value(column: sa.Column[Any], row: int) -> object:
    values: dict[type[object], object] = {
        UtcTime: AT,
        sa.LargeBinary: b"\x00\xff'",
        sa.Boolean: bool(row % 2),
        sa.Double: 1 / 3,
        sa.BigInteger: 2**40 + row,
        sa.Integer: row,
    }
    of_type = (value for kind, value in values.items() if isinstance(column.type, kind))
    return next(of_type, f"{row} “ủ” \U0001f600 \\ ' \t")


def fill(url: str) -> None:
    """Two rows in each table; what refers to another refers to its row of the same number."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table in metadata.sorted_tables:
            rows = [{c.name: some_value(c, row) for c in table.columns} for row in (1, 2)]
            connection.execute(table.delete())
            connection.execute(table.insert(), rows)
    engine.dispose()


def rows_in(url: str) -> dict[str, list[tuple[object, ...]]]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
            if table not in _OF_THE_MOMENT
        }
    engine.dispose()
    return found


def test_every_row_of_every_table_is_there_as_it_was(store: Store, url: str, empty: str) -> None:
    with store.writes() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS events_no_delete")
    fill(url)

    told: dict[str, int] = {}
    numbers = moved(url, empty, told=told.__setitem__)

    before = rows_in(url)
    assert all(len(rows) == 2 for rows in before.values())
    assert rows_in(empty) == before
    assert numbers == told == {name: len(rows) for name, rows in before.items()}


def test_the_installation_goes_on_there(
    store: Store, url: str, empty: str, keyring: Keyring, clock: Clock
) -> None:
    site, key = store.add_site("blog", Policy())
    first, second = (record(store, asked(site, clock()))[0] for _ in range(2))
    store.decide(None, first.id, accept(clock()))
    store.report(None, second.id, ReportKind.SPAM)

    moved(url, empty)

    there = Store.open(empty, keyring, now=clock)
    there.migrate()  # its keyring is the one it was written with
    assert there.sites() == store.sites()
    assert there.site_of_key(key) == site
    assert there.comment(None, first.id) == store.comment(None, first.id)
    assert there.events(None) == store.events(None)
    (known,) = there.gather([asked(site, clock())])
    assert (known.history.author_seen, known.history.author_accepted) == (2, 1)
    later = put(there, asked(site, clock(), submission("another one")))[0]
    there.decide(None, later, accept(clock()))  # its events are counted on
    there.undo(None, first.id, moderator="ann")
    assert len(there.events(None)) == len(store.events(None)) + 2
    there.close()


def test_a_database_in_use_is_refused_and_stays_as_it_is(
    store: Store,
    url: str,
    empty: str,
    keyring: Keyring,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.add_site("blog", Policy())
    there = Store.open(empty, keyring, now=clock)
    there.migrate()
    there.add_site("another", Policy())
    monkeypatch.delattr("service.storage.schema.upgrade")  # it may be of an older program's

    with pytest.raises(NotEmpty):
        moved(url, empty)

    assert [site.name for site in there.sites()] == ["another"]
    there.close()


def test_what_breaks_half_way_leaves_nothing(
    store: Store, url: str, empty: str, keyring: Keyring, clock: Clock
) -> None:
    site, _ = store.add_site("blog", Policy())
    record(store, asked(site, clock()))

    def break_at(table: str, _: int) -> None:
        if table == "comments":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        moved(url, empty, told=break_at)

    there = Store.open(empty, keyring, now=clock)
    assert there.sites() == []
    there.close()
    assert moved(url, empty)["comments"] == 1


def test_nobody_writes_meanwhile(
    store: Store, url: str, empty: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.engine.BUSY_SECONDS", 0)
    site, _ = store.add_site("blog", Policy())
    refused: list[str] = []

    def write(table: str, _: int) -> None:
        if table == "sites":
            with pytest.raises(StoreUnavailable):
                put(store, asked(site, clock()))
            refused.append(table)

    moved(url, empty, told=write)
    assert refused == ["sites"]


def test_a_server_that_is_not_there_is_unavailable(store: Store, url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        moved(url, f"postgresql://nobody@/nothing?host={tmp_path}")
