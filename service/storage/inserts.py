"""Write a judged batch: the rows of its comments, verdicts, queue and requests.

Knows how rows reach each database fastest. What is in a row is known to `rows`.

SQLite is given each table's rows by the driver. PostgreSQL is given all rows of all tables in one
JSON text by one statement: one round trip, and a text is cheaper to hand over than its values.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import psycopg
import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy.dialects import postgresql

from model.outcome import Outcome
from service.keyring import Keyring
from service.storage import rows
from service.storage.engine import Driver
from service.storage.errors import IdempotencyRace, Unstorable
from service.storage.records import Checked
from service.storage.tables import (
    UtcTime,
    akismet_checks,
    comments,
    idempotency,
    in_utc,
    microseconds_of,
    queue,
    verdicts,
)

_STORED_TIME: dict[str, rows.StoredTime] = {"sqlite": microseconds_of, "postgresql": in_utc}


@dataclass(frozen=True, slots=True, repr=False)
class JudgedRows:
    """The rows of a batch, in the order in which they are written."""

    comments: Sequence[rows.Row]
    verdicts: Sequence[rows.Row]
    queue: Sequence[rows.Row]
    akismet_checks: Sequence[rows.Row]
    idempotency: Sequence[rows.Row]


def judged_rows(keyring: Keyring, batch: Sequence[Checked], dialect: str) -> JudgedRows:
    """The rows of a batch as a database takes them. Raises Unstorable, UnicodeError, ValueError.

    Made before a transaction begins, so that nobody else waits for it.
    """
    for index, checked in enumerate(batch):
        if not rows.is_storable(checked.asked.submission):
            raise Unstorable(index)
    stored = _STORED_TIME[dialect]
    requests = [rows.idempotency_row(c, stored) for c in batch if c.known.keys.idempotency]
    return JudgedRows(
        [rows.comment_row(keyring, c, stored) for c in batch],
        [rows.verdict_row(c) for c in batch],
        [rows.queue_row(c, stored) for c in batch if c.verdict.outcome is Outcome.QUEUE],
        [rows.akismet_row(keyring, c) for c in batch if c.asked.origin is not None],
        # In order of the key, so that two processes never wait for each other crosswise.
        sorted(requests, key=itemgetter(0)),
    )


def insert(driver: Driver, judged: JudgedRows) -> None:
    """Write a batch. Raises IdempotencyRace when a request is there already."""
    if driver.dialect == "sqlite":
        raced = _on_sqlite(driver, judged)
    else:
        raced = _on_postgres(driver, judged)
    if raced:  # outside the handlers: a chained error would carry the driver's message
        raise IdempotencyRace("a request with the same idempotency key was recorded meanwhile")


# ------------------------------------------------------------------ SQLite


def _sqlite_insert(table: sa.Table) -> str:
    names = ", ".join(table.columns.keys())
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(table.columns))})"


_TABLES = (comments, verdicts, queue, akismet_checks, idempotency)
_INSERTS = {table: _sqlite_insert(table) for table in _TABLES}


def _on_sqlite(driver: Driver, judged: JudgedRows) -> bool:
    driver.run_for_each(_INSERTS[comments], judged.comments)
    driver.run_for_each(_INSERTS[verdicts], judged.verdicts)
    driver.run_for_each(_INSERTS[queue], judged.queue)
    driver.run_for_each(_INSERTS[akismet_checks], judged.akismet_checks)
    try:
        driver.run_for_each(_INSERTS[idempotency], judged.idempotency)
    except sqlite3.IntegrityError:
        return True
    return False


# ------------------------------------------------------------------ PostgreSQL


def _from_json(column: sa.Column[object], place: int) -> str:
    text = f"(item ->> {place})"
    match column.type:
        case UtcTime():
            return f"CAST({text} AS timestamptz)"
        case sa.LargeBinary():
            return f"decode({text}, 'hex')"
        case sa.Text():
            return text
        case kind:
            return f"CAST({text} AS {kind.compile(_POSTGRES)})"


def _part(table: sa.Table, place: int) -> str:
    columns = [*table.columns]
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_from_json(column, at) for at, column in enumerate(columns))
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {values}"
        f" FROM batch, jsonb_array_elements(batch.tables -> {place}) AS item"
    )


_POSTGRES: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_BATCH = (
    "WITH batch AS MATERIALIZED (SELECT CAST(%s AS jsonb) AS tables),"
    f" written AS ({_part(comments, 0)}), judged AS ({_part(verdicts, 1)}),"
    f" waiting AS ({_part(queue, 2)}), told AS ({_part(akismet_checks, 3)})"
    f" {_part(idempotency, 4)}"
)


def _on_postgres(driver: Driver, judged: JudgedRows) -> bool:
    tables = (
        judged.comments,
        judged.verdicts,
        judged.queue,
        judged.akismet_checks,
        judged.idempotency,
    )
    try:
        text = to_json(tables, bytes_mode="hex", inf_nan_mode="strings").decode()
    except PydanticSerializationError:  # its text quotes what cannot be written
        text = None
    if text is None:
        raise UnicodeError("no text: it holds half of a surrogate pair")
    try:
        driver.run(_BATCH, (text,))
    except psycopg.IntegrityError as error:
        if error.diag.table_name != idempotency.name:
            raise
        return True
    return False
