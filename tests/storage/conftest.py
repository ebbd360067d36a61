"""A store on SQLite and on PostgreSQL, with a clock that the test sets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres import PostgresServer
from model.policy import Policy
from service.keyring import Keyring
from service.storage import Site, Store
from service.storage.engine import open_engine
from service.storage.schema import upgrade
from service.storage.tables import metadata
from tests.migrated import lay_database
from tests.postgres import postgres_server
from tests.storage.cases import Clock

__all__ = ["postgres_server"]

DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.open(tmp_path / "secrets")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def empty_url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without a table."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'duyet.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.new_database())


@pytest.fixture
def url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database at the newest schema."""
    if database == "sqlite":
        return lay_database(tmp_path)
    url: str = request.getfixturevalue("migrated_database")
    with psycopg.connect(url) as connection:
        empty(connection)
    return url


HOLDS = ", ".join(f"EXISTS (SELECT FROM {table})" for table in metadata.tables)
USED = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"


def empty(connection: psycopg.Connection) -> None:
    """Leave no row, and let numbers begin anew: in a fifth of the time that TRUNCATE takes."""
    [holds] = connection.execute(f"SELECT ARRAY[{HOLDS}]").fetchone() or ([],)
    connection.execute("SET LOCAL session_replication_role = replica")  # in any order, whole
    for table, is_held in zip(metadata.tables, holds, strict=True):
        if is_held:
            connection.execute(f"DELETE FROM {table}")
    for (sequence,) in connection.execute(USED).fetchall():
        connection.execute(f"ALTER SEQUENCE {sequence} RESTART")


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """One for all tests that need no other: emptying it is faster than making one."""
    url = postgres_server.url(postgres_server.new_database())
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture
def open_store(url: str, keyring: Keyring, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Opens the same database again, as another process would."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(Store.open(url, keyring, now=clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    store = open_store()
    store.migrate()
    return store


@pytest.fixture
def site(store: Store) -> Site:
    site, _ = store.add_site("blog", Policy())
    return site
