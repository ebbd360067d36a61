"""The hot path's own connections: statements go to the driver, and nothing is paid for each call.

Knows connections and transactions, not what is read or written.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from service.storage.engine import (
    FAILURES,
    HOT_CONNECTIONS,
    OpenedFile,
    file_of,
    patiently,
    translated,
)

T = TypeVar("T")


class Driver:
    """A connection as the driver has it; statements in the driver's own form."""

    def __init__(self, dialect: str, connection: Any) -> None:
        self.dialect = dialect
        self._connection = connection

    def fetch(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        found: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
        return found

    def run(self, statement: str, values: Sequence[Any]) -> None:
        """A statement that gives no rows."""
        self._connection.execute(statement, values)

    def run_for_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """A statement for each row of values."""
        cursor = self._connection.cursor()
        try:
            cursor.executemany(statement, rows)
        finally:
            cursor.close()


class Direct:
    """Reads and writes of one engine's database, past SQLAlchemy. Safe to share between threads.

    On PostgreSQL every statement is a transaction by itself, which saves two round trips: `work`
    must be one statement there. On SQLite connections are taken out of the engine's pool and kept,
    one for each thread that is here at a time: what the pool does whenever one is taken and given
    back was a twentieth of what a comment alone takes. Methods raise as `transaction` does.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._file = file_of(engine)
        self._kept: deque[sqlite3.Connection] = deque()

    def read(self, work: Callable[[Driver], T]) -> T:
        """What `work` gives, which writes nothing; it may be called again."""
        return self._done(work, writes=False)

    def write(self, work: Callable[[Driver], T]) -> T:
        """What `work` gives, committed."""
        return self._done(work, writes=True)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._kept:
            self._kept.pop().close()

    def _done(self, work: Callable[[Driver], T], *, writes: bool) -> T:
        try:
            if self._file is not None:
                return self._on_sqlite(self._file, work, writes=writes)
            return self._on_postgres(work)
        except FAILURES as error:
            problem = translated(error)
        raise problem  # outside the handler: a chained error would quote what was stored

    def _on_sqlite(self, file: OpenedFile, work: Callable[[Driver], T], *, writes: bool) -> T:
        connection = self._taken()
        driver = Driver("sqlite", connection)
        try:
            if not writes:
                return patiently(lambda: work(driver))
            file.check()
            patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
            found = work(driver)
            connection.commit()
            return found
        finally:
            if connection.in_transaction:
                connection.rollback()
            self._kept.append(connection)

    def _taken(self) -> sqlite3.Connection:
        with suppress(IndexError):
            return self._kept.pop()  # the one used last has its pages
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        pooled.detach()
        connection.execute("PRAGMA busy_timeout = 0")  # `patiently` asks again by itself
        return connection

    def _on_postgres(self, work: Callable[[Driver], T]) -> T:
        for _ in range(HOT_CONNECTIONS):
            with suppress(psycopg.errors.FeatureNotSupported):
                return self._once_on_postgres(work)
        return self._once_on_postgres(work)

    def _once_on_postgres(self, work: Callable[[Driver], T]) -> T:
        pooled = self._engine.raw_connection()
        try:
            connection: Any = pooled.driver_connection
            connection.autocommit = True
            try:
                connection.plan_now_and_then()
                return work(Driver("postgresql", connection))
            finally:
                if not connection.closed:
                    connection.autocommit = False
        except psycopg.Error as error:
            # Where a column's type was changed, a statement that was prepared before never works.
            if connection.closed or isinstance(error, psycopg.errors.FeatureNotSupported):
                pooled.invalidate(error)
            raise
        finally:
            pooled.close()
