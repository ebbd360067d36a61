"""Every earlier schema, with data in it, comes up to the newest while a client writes."""

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from benchmarks.postgres import PostgresServer
from model.policy import Policy
from service.keyring import Keyring
from service.storage import Asked, Checked, Store, StoreError, StoreUnavailable, WrongEncoding
from service.storage import schema as migrations
from service.storage.partitions import all_of, are_made
from service.storage.schema import migration_config
from service.storage.tables import comments
from tests.storage.cases import VERDICT, Clock, accept, asked, found, many
from tests.storage.schema_moves import move_schema

REVISIONS = [r.revision for r in ScriptDirectory.from_config(migration_config()).walk_revisions()]
LONGEST_STALL_SECONDS = 10.0
"""Below the 15 s after which a statement is given up; far above what is usual."""


def test_the_revisions_are_those_of_the_migrations() -> None:
    assert [*migrations.revisions()] == REVISIONS[::-1]


def write(store: Store, *batch: Asked) -> list[str]:
    """Record a batch, without a look at what only a newer schema has: as earlier programs did."""
    known = store.unrecorded(batch)
    store.record([Checked(a, k, VERDICT, 1.0) for a, k in zip(batch, known, strict=True)])
    return [one.comment_id for one in batch]


@cache
def sqlite_at(revision: str) -> bytes:
    """A database without a row, made of that of the revision before."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "duyet.db"
        if revision != REVISIONS[-1]:
            path.write_bytes(sqlite_at(REVISIONS[REVISIONS.index(revision) + 1]))
        move_schema(f"sqlite:///{path}", revision)
        return path.read_bytes()


@pytest.fixture(scope="module")
def postgres_at(postgres_server: PostgresServer) -> Callable[[str], str]:
    """Gives the name of a database to copy, made as `sqlite_at` makes its file."""

    @cache
    def name_of(revision: str) -> str:
        before = "template0"
        if revision != REVISIONS[-1]:
            before = name_of(REVISIONS[REVISIONS.index(revision) + 1])
        name = postgres_server.new_database(template=before)
        move_schema(postgres_server.url(name), revision)
        return name

    return name_of


@pytest.fixture
def url_at(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Gives the URL of a new database at a revision."""

    def on_sqlite(revision: str) -> str:
        (tmp_path / "duyet.db").write_bytes(sqlite_at(revision))
        return f"sqlite:///{tmp_path / 'duyet.db'}"

    def on_postgres(revision: str) -> str:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        copied = request.getfixturevalue("postgres_at")(revision)
        return server.url(server.new_database(template=copied))

    return on_sqlite if database == "sqlite" else on_postgres


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_earlier_schema_is_migrated_while_a_client_writes(
    url_at: Callable[[str], str],
    keyring: Keyring,
    clock: Clock,
    revision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store.open(url_at(revision), keyring, now=clock)
    site, _ = store.add_site("blog", Policy())
    before = write(store, *many(300, site, clock))
    with monkeypatch.context() as earlier:  # programs before 0007 told nobody
        earlier.setattr("service.storage.outbox.note", lambda *_, **__: None)
        store.decide(None, before[0], accept(clock()))
    writer = _Writer(store, lambda: write(store, *many(3, site, clock)))

    with writer:
        store.migrate()
        writer.goes_on()

    ids = before + writer.ids
    decided = found(store, before[0])
    read = [found(store, comment_id).id for comment_id in ids[::30]]
    with store.reads() as connection:
        stored = set(connection.scalars(sa.select(comments.c.id)))
    store.close()
    assert writer.failures == []
    assert writer.longest < LONGEST_STALL_SECONDS
    assert (stored, read) == (set(ids), ids[::30])
    assert decided.decision is not None


class _Writer:
    """Writes until told to stop, as a client would."""

    def __init__(self, store: Store, write: Callable[[], list[str]]) -> None:
        self._write = write
        self._more = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run)
        self.ids: list[str] = []
        self.failures: list[StoreError] = []
        self.longest = 0.0

    def __enter__(self) -> None:
        self._thread.start()
        self.goes_on()

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join()

    def goes_on(self) -> None:
        """Return once more was written, or writing failed."""
        with self._more:
            written = len(self.ids)
            self._more.wait_for(lambda: len(self.ids) > written or self.failures, 20)

    def _run(self) -> None:
        while not self._stopped and not self.failures:
            began = time.monotonic()
            try:
                ids = self._write()
            except StoreError as failure:
                self.failures.append(failure)
                ids = []
            self.longest = max(self.longest, time.monotonic() - began)
            with self._more:
                self.ids += ids
                self._more.notify_all()
            time.sleep(0.005)  # SQLite would not let the migration in between


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.new_database())


@pytest.mark.postgres
def test_what_was_stored_before_is_the_first_partition_and_was_not_moved(
    postgres_url: str, keyring: Keyring, clock: Clock
) -> None:
    move_schema(postgres_url, "0001")
    store = Store.open(postgres_url, keyring, now=clock)
    site, _ = store.add_site("blog", Policy())
    write(store, *many(20, site, clock))
    file = "SELECT pg_relation_filenode('{}')"
    with store.reads() as connection:
        was = connection.exec_driver_sql(file.format("comments")).scalar_one()

    store.migrate()

    with store.reads() as connection:
        now = connection.exec_driver_sql(file.format("comments_before")).scalar_one()
        names = [p.name for p in all_of(connection)]
    store.close()
    assert now == was
    assert names == ["before", "rest"]


@pytest.mark.postgres
def test_going_back_leaves_the_tables_and_going_up_again_finds_them(
    postgres_url: str, keyring: Keyring, clock: Clock
) -> None:
    store = Store.open(postgres_url, keyring, now=clock)
    store.migrate()
    move_schema(postgres_url, "0002")
    was_current = store.schema_is_current()
    site, _ = store.add_site("blog", Policy())
    ids = write(store, *many(20, site, clock))

    store.migrate()

    stored = [found(store, comment_id).id for comment_id in ids]
    with store.reads() as connection:
        cut = are_made(connection)
    store.close()
    assert (was_current, cut) == (False, True)
    assert stored == ids


@pytest.mark.postgres
def test_a_migration_gives_way_to_who_writes_and_succeeds_later(
    postgres_url: str, keyring: Keyring, clock: Clock
) -> None:
    move_schema(postgres_url, "0001")
    store = Store.open(postgres_url, keyring, now=clock)
    site, _ = store.add_site("blog", Policy())
    other = Store.open(postgres_url, keyring, now=clock)
    migration = threading.Thread(target=store.migrate)
    held = other._engine.connect()
    held.begin()
    held.exec_driver_sql("LOCK TABLE comments IN ROW EXCLUSIVE MODE")  # as a writer holds it
    migration.start()
    _until_somebody_waits(other)

    ids = write(other, asked(site, clock()))  # while the migration wants the table

    held.rollback()
    held.close()
    migration.join()
    current = store.schema_is_current()
    store.close()
    other.close()
    assert ids
    assert current


def _until_somebody_waits(store: Store) -> None:
    statement = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
    for _ in range(1000):
        with store.reads() as connection:
            if connection.exec_driver_sql(statement).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waited")


@pytest.mark.postgres
def test_a_database_without_an_encoding_is_refused_with_what_to_do(
    postgres_server: PostgresServer, keyring: Keyring
) -> None:
    name = postgres_server.new_database(encoding="SQL_ASCII")
    store = Store.open(postgres_server.url(name), keyring)

    with pytest.raises(WrongEncoding, match="--encoding=UTF8"):
        store.migrate()
    with pytest.raises(StoreUnavailable, match="SQL_ASCII"):
        store.ping()
    store.close()


def test_a_migration_that_was_run_is_not_run_again(store: Store) -> None:
    engine = store._engine
    ran: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "LOCK")):
            ran.append(statement)

    migrations.upgrade(engine)

    assert ran == []
