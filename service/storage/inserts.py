"""Write a judged batch: the rows of its comments, verdicts, queue and requests.

Knows how rows reach each database fastest. What is in a row is known to `rows`.

SQLite is given each table's rows by the driver. PostgreSQL is given all rows of all tables in one
JSON text by one statement: one round trip, and a text is cheaper to hand over than its values.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter

import psycopg
import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy.dialects import postgresql

from model.outcome import Outcome
from service.keyring import Keyring
from service.storage import rows
from service.storage.direct import Driver
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


JudgedRows = dict[sa.Table, list[rows.Row]]
"""Rows by table, in the order in which they are written; no table without a row.

So a program that is ahead of its database's schema does not name a table it has nothing for.
"""


def judged_rows(keyring: Keyring, batch: Sequence[Checked], dialect: str) -> JudgedRows:
    """The rows of a batch as a database takes them. Raises Unstorable, UnicodeError, ValueError.

    Made before a transaction begins, so that nobody else waits for it.
    """
    for index, checked in enumerate(batch):
        if not rows.is_storable(checked.asked.submission):
            raise Unstorable(index)
    stored = _STORED_TIME[dialect]
    requests = [rows.idempotency_row(c, stored) for c in batch if c.known.keys.idempotency]
    judged = {
        comments: [rows.comment_row(keyring, c, stored) for c in batch],
        verdicts: [rows.verdict_row(c) for c in batch],
        queue: [rows.queue_row(c, stored) for c in batch if c.verdict.outcome is Outcome.QUEUE],
        akismet_checks: [rows.akismet_row(keyring, c) for c in batch if c.asked.origin],
        # In order of the key, so that two processes never wait for each other crosswise.
        idempotency: sorted(requests, key=itemgetter(0)),
    }
    return {table: found for table, found in judged.items() if found}


def insert(driver: Driver, judged: JudgedRows) -> None:
    """Write a batch. Raises IdempotencyRace when a request is there already."""
    if driver.dialect == "sqlite":
        raced = _on_sqlite(driver, judged)
    else:
        raced = _on_postgres(driver, judged)
    if raced:  # outside the handlers: a chained error would carry the driver's message
        raise IdempotencyRace("a request with the same idempotency key was recorded meanwhile")


# ------------------------------------------------------------------ SQLite


@lru_cache(maxsize=16)
def _sqlite_insert(table: sa.Table) -> str:
    names = ", ".join(table.columns.keys())
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(table.columns))})"


def _on_sqlite(driver: Driver, judged: JudgedRows) -> bool:
    try:
        for table, found in judged.items():
            driver.run_for_each(_sqlite_insert(table), found)
    except sqlite3.IntegrityError:
        if table is not idempotency:
            raise
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


@lru_cache(maxsize=32)  # a few combinations of tables
def _postgres_insert(tables: tuple[sa.Table, ...]) -> str:
    *others, last = (_part(table, place) for place, table in enumerate(tables))
    written = "".join(f", part_{place} AS ({part})" for place, part in enumerate(others))
    return f"WITH batch AS MATERIALIZED (SELECT CAST(%s AS jsonb) AS tables){written} {last}"


def _on_postgres(driver: Driver, judged: JudgedRows) -> bool:
    text = None
    with suppress(PydanticSerializationError):  # its text quotes what cannot be written
        text = to_json([*judged.values()], bytes_mode="hex", inf_nan_mode="strings").decode()
    if text is None:
        raise UnicodeError("no text: it holds half of a surrogate pair")
    try:
        driver.run(_postgres_insert(tuple(judged)), (text,))
    except psycopg.IntegrityError as error:
        if error.diag.table_name != idempotency.name:
            raise
        return True
    return False
