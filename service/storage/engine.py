"""Open a database, run transactions, and say which errors mean "not now".

Knows SQLite's and PostgreSQL's settings. Does not know a table.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.storage.errors import StoreError, StoreUnavailable, TablesChanged, WrongEncoding

CONNECTIONS = 8
"""Connections of one process to PostgreSQL, and to a replica, when nothing else is asked for."""

HOT_CONNECTIONS = 2
"""Of those, what is the hot path's own: for its one thread, and for one that takes its place."""

HOT_PAGES_KIB, PAGES_KIB = 32_768, 8_192
"""Pages that a connection to SQLite keeps in memory, the hot path's and others.

Keys of authors, texts and twins lie anywhere in their indexes: with the 2 MiB that are usual, a
commit over a million comments took twice as long. Others read what the system keeps of the file.
"""

WAL_PAGES = 16_000
"""Pages of SQLite's log, 64 MB, from which on whoever commits takes it into the database itself.

With the usual 1,000 one batch of 32 comments in five to eight did, which took 8 ms more. It
grows to that only under a load that never rests: else it begins anew after a `checkpoint`.
"""

PLANNED_SECONDS = 1.0
"""How long the hot path uses a plan. Made when a table was empty, it reads all of it later."""

BUSY_SECONDS = 10  # how long SQLite waits for another process' write
_TURN_SECONDS = 0.0005  # between two looks whether it has ended
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
ANSWER_SECONDS = STATEMENT_SECONDS + 5  # how long PostgreSQL may say nothing at all
# What a driver says outside of a statement, as when a new connection breaks, comes unwrapped.
FAILURES = (
    StatementError,
    sqlite3.Error,
    psycopg.Error,
    PoolTimeout,
    OSError,
    UnicodeError,
)
_REFUSALS = (
    IntegrityError,
    DataError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    psycopg.IntegrityError,
    psycopg.DataError,
)
_creating = Lock()
T = TypeVar("T")
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}


def open_engines(url: str, *, connections: int = CONNECTIONS) -> tuple[sa.Engine, sa.Engine]:
    """Engines as of `open_engine`, the second for the hot path alone, for a `Direct`.

    To PostgreSQL both together open at most `connections`, 3 or more, so that the hot path
    finds one whatever others do. To SQLite the hot path's keep more pages in memory.
    """
    engine = open_engine(url, connections=max(1, connections - HOT_CONNECTIONS))
    if engine.dialect.name == "sqlite":
        return engine, _open_sqlite(engine.url, pages_kib=HOT_PAGES_KIB)
    return engine, _open_postgres(engine.url, HOT_CONNECTIONS, plans="force_generic_plan")


def open_engine(url: str, *, connections: int = CONNECTIONS, read_only: bool = False) -> sa.Engine:
    """An engine for `sqlite:///PATH` or `postgresql://…`. Connects to nothing yet.

    To PostgreSQL at most `connections` are opened, and kept. A new SQLite file is readable by
    its owner only. Raises ValueError for any other URL, without quoting it: it may hold a
    password.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername not in {*_DRIVERS, *_DRIVERS.values()}:
        raise ValueError("the database URL must be sqlite:///PATH or postgresql://USER@HOST/NAME")
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, pages_kib=PAGES_KIB)
    return _open_postgres(parsed, connections, read_only=read_only)


def _open_sqlite(url: sa.URL, *, pages_kib: int) -> sa.Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise ValueError("the database URL must name a file: sqlite:///PATH, without options")
    engine = sa.create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS},
        hide_parameters=True,
        # A connection keeps the pages it has read until another one writes: taken in turn, each
        # would read them all again for every batch.
        pool_use_lifo=True,
        pool_timeout=BUSY_SECONDS,
    )
    file = _FILES[engine] = OpenedFile(Path(url.database))

    @sa.event.listens_for(engine, "do_connect")
    def make_private(*_: object) -> None:
        file.make()

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        file.check()
        # None switches off the driver's own idea of when a transaction begins.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA trusted_schema = OFF")
        cursor.execute(f"PRAGMA cache_size = -{pages_kib}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # IMMEDIATE, because a deferred transaction that turns into a write can fail half way.
        if connection.get_execution_options().get("writes", False):
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            file.check()
            _begin_write(driver)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


class FileReplaced(OSError):
    """A SQLite database's file is not the one that was opened."""


class OpenedFile:
    """The file of a SQLite database, the one that is there when it is opened first.

    SQLite goes on with a file that was deleted or replaced: what is written then is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def make(self) -> None:
        """Make it, for its owner alone, unless it was opened before. Raises OSError.

        SQLite gives its -wal and -shm files the mode of the database file. A file that is there is
        not opened: closing it would release the locks of this process' connections.
        """
        if self._opened is not None:
            self.check()
            return
        with _creating, suppress(FileExistsError):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def check(self) -> None:
        """Raise OSError where it is not there any more, or another one in its place."""
        there = os.stat(self._path)
        found = (there.st_dev, there.st_ino)
        if self._opened is None:
            self._opened = found
        elif found != self._opened:
            raise FileReplaced


_FILES: WeakKeyDictionary[sa.Engine, OpenedFile] = WeakKeyDictionary()


def file_of(engine: sa.Engine) -> OpenedFile | None:
    """The file of an engine's database, None for one on a server."""
    return _FILES.get(engine)


def checkpoint(engine: sa.Engine) -> None:
    """Take what was committed so far from SQLite's log into the database; nobody waits for that.

    Another one who does it already has done so. To PostgreSQL nothing. Raises as `transaction`.
    """
    if engine.dialect.name == "sqlite":
        with errors_translated():
            pooled = engine.raw_connection()
            try:
                pooled.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                pooled.close()


def patiently(ask: Callable[[], T]) -> T:
    """What SQLite answers as soon as no other process is in its way. Raises sqlite3.Error.

    SQLite itself asks again after ever longer pauses, of 100 ms in the end, so that of two busy
    processes one waits for seconds while the other has turn after turn: its own patience, the
    connection's `busy_timeout`, is to be 0.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return ask()
        except sqlite3.OperationalError as error:
            # What the driver itself found, such as a text that is not UTF-8, has no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_TURN_SECONDS)


def _begin_write(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
    finally:
        connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")


def _open_postgres(
    url: sa.URL, connections: int, *, plans: str = "force_custom_plan", read_only: bool = False
) -> sa.Engine:
    milliseconds = STATEMENT_SECONDS * 1000
    # A plan kept from when a table was empty would read all of it a minute later. Compiling a
    # plan over many partitions took a second and saved microseconds.
    options = (
        f"-c plan_cache_mode={plans} -c jit=off"
        f" -c timezone=UTC -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
        f" -c idle_in_transaction_session_timeout={2 * milliseconds}"
        + (" -c default_transaction_read_only=on" if read_only else "")
    )
    engine = sa.create_engine(
        url,
        connect_args={"connect_timeout": CONNECT_SECONDS, "options": options},
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=connections,
        pool_use_lifo=True,  # the one used last has its plans, and the others may rest
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
    )

    @sa.event.listens_for(engine, "do_connect")
    def connect(_: object, __: object, arguments: Any, options: Any) -> _Answering:
        return _Answering.connect(*arguments, **options)

    @sa.event.listens_for(engine, "connect", insert=True)  # before the dialect reads the version
    def refuse_bytes_without_an_encoding(connection: psycopg.Connection[Any], _: object) -> None:
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            raise WrongEncoding

    return engine


class _Answering(psycopg.Connection[Any]):
    """A connection that is given up when its server says nothing for too long.

    The server's own time limits are of no use when it, or the network, has frozen; whoever
    waits would wait until it thaws. A `patient` one waits for as long as it takes.
    """

    patient = False
    _planned_at = float("-inf")

    def plan_now_and_then(self) -> None:
        """Forget plans that are as old as PLANNED_SECONDS: the tables may have grown since."""
        now = time.monotonic()
        if now - self._planned_at >= PLANNED_SECONDS:
            self.execute("DISCARD PLANS")
            self._planned_at = now

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer. Raises psycopg's OperationalError when there is none."""
        if timeout is None and not self.patient:
            timeout = ANSWER_SECONDS
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()  # a late answer must not be taken for that to another question
            raise


@contextmanager
def patience(connection: sa.Connection) -> Iterator[None]:
    """Let statements of this block take as long as they take, as those of a migration do."""
    driver = connection.connection.dbapi_connection
    if not isinstance(driver, _Answering):
        yield
        return
    driver.patient = True
    try:
        yield
    finally:
        driver.patient = False


@contextmanager
def transaction(
    engine: sa.Engine, *, writes: bool, foreign_keys: bool = True
) -> Iterator[sa.Connection]:
    """One transaction: committed at the end, undone by any error.

    Without `foreign_keys` SQLite does not check them: the caller keeps them.

    Raises StoreUnavailable where the database is away, locked, full, read-only, too slow or
    not migrated, StoreError where it refuses a value, and ValueError for a naive time.
    """
    problem: Exception | None = None
    try:
        with (
            engine.connect() as opened,
            opened.execution_options(writes=writes) as connection,
            _foreign_keys(connection, checked=foreign_keys),
            connection.begin(),
        ):
            yield connection
    except FAILURES as error:
        problem = translated(error)
    if problem is not None:  # outside the handler: a chained error would quote what was stored
        raise problem


@contextmanager
def errors_translated() -> Iterator[None]:
    """Turn what databases raise into StoreUnavailable, StoreError and ValueError."""
    problem: Exception | None = None
    try:
        yield
    except FAILURES as error:
        problem = translated(error)
    if problem is not None:  # outside the handler, as above
        raise problem


@contextmanager
def _foreign_keys(connection: sa.Connection, *, checked: bool) -> Iterator[None]:
    if checked or connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys = OFF")  # has no effect once a transaction has begun
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def translated(error: Exception) -> Exception:
    """What one of FAILURES is to those who know no driver."""
    cause: Any = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    named = f"{type(cause).__name__}{f' {code}' if code else ''}"
    if isinstance(cause, psycopg.errors.CheckViolation):  # none of the tables' own is checked so
        return TablesChanged("the tables were being changed; do it again")
    if isinstance(error, _REFUSALS) or isinstance(cause, UnicodeError):
        return StoreError(f"the database refused a value ({named})")
    if isinstance(cause, ValueError):  # from a column's own type, before the database was asked
        return ValueError(str(cause))
    return StoreUnavailable(f"the database is away or cannot do it now ({named})")
