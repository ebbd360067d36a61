"""Carry all that a SQLite database holds over into an empty one on PostgreSQL.

Knows the tables, in the order of what refers to what; not one of their columns.
"""

from collections.abc import Callable

import sqlalchemy as sa

from service.storage import schema
from service.storage.engine import errors_translated, open_engine, patience, transaction
from service.storage.errors import StoreError
from service.storage.tables import (
    chore_leases,
    claims,
    comments,
    events,
    keyring_marks,
    metadata,
    rate_buckets,
    sites,
)

AT_ONCE = 1_000
"""Rows read and written at a time."""

_OF_THE_MOMENT = (chore_leases, claims, rate_buckets)


class NotEmpty(StoreError):
    """There is an installation in the other database already."""


def moved(
    source: str, to: str, *, told: Callable[[str, int], object] = lambda _, __: None
) -> dict[str, int]:
    """Copy every row of the SQLite database `source` into the PostgreSQL database `to`.

    `to` is given this program's tables, and all rows in one transaction: all of them are there
    afterwards, or none. Nobody writes to `source` meanwhile, and it stays as it is. `told` is
    called with a table and how many rows of it are there by then. The rows by table come back. Not
    copied is what lasts for seconds: who looks at a comment, who does a chore, rates.

    Raises NotEmpty, StoreUnavailable, StoreError, and ValueError for what is no URL.
    """
    own, other = open_engine(source), open_engine(to)
    try:
        with transaction(other, writes=False) as connection:
            if schema.revision_of(connection) is not None:  # nor is another one's schema changed
                _refuse_what_is_in_use(connection)
        with errors_translated():
            schema.upgrade(other)
        with (
            transaction(own, writes=True) as read,
            transaction(other, writes=True) as written,
            patience(written),
        ):
            _refuse_what_is_in_use(written)
            written.exec_driver_sql("SET LOCAL statement_timeout = 0")
            written.execute(keyring_marks.delete())
            rows = {
                table.name: _copied(read, written, table, told)
                for table in metadata.sorted_tables
                if table not in _OF_THE_MOMENT
            }
            _go_on_counting(written)
        with transaction(other, writes=True) as written, patience(written):
            written.exec_driver_sql("SET LOCAL statement_timeout = 0")
            written.exec_driver_sql("ANALYZE")  # else the first plans are those of empty tables
    finally:
        own.dispose()
        other.dispose()
    return rows


def _refuse_what_is_in_use(connection: sa.Connection) -> None:
    for table in (sites, comments, events):
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise NotEmpty("the other database is in use: there are rows in its tables")


def _copied(
    read: sa.Connection,
    written: sa.Connection,
    table: sa.Table,
    told: Callable[[str, int], object],
) -> int:
    number = 0
    found = read.execute(sa.select(table).execution_options(yield_per=AT_ONCE)).mappings()
    for part in found.partitions():
        written.execute(table.insert(), [dict(row) for row in part])
        number += len(part)
        told(table.name, number)
    there = written.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    if there != number:
        raise StoreError(f"of {number} rows of {table.name} {there} are there")
    return number


def _go_on_counting(connection: sa.Connection) -> None:
    """Let numbers that the database gives go on after the last one."""
    last = sa.select(sa.func.max(events.c.number)).scalar_subquery()
    of = sa.func.pg_get_serial_sequence("events", "number")
    connection.execute(sa.select(sa.func.setval(of, sa.func.coalesce(last, 1), last.is_not(None))))
