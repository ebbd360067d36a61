"""Grow a real database: so many more comments like those in it, fast, by bulk SQL.

The comments that are there, with their verdicts, decisions and place in the queue, are
copied again and again, each copy 4.7 hours before the one it follows. Who wrote it, from where
and what are others in each copy, but for regulars, who wrote in all copies or in some fifty, and
texts that come again; which those are is a digit of their key. Addresses of the copies cannot be
opened: each is sealed for the comment it came with. The log is left as it is.

Knows the tables. For benchmarks only: while it runs nothing is durable and nothing is checked.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa

from service.storage.tables import (
    comments,
    decisions,
    queue,
    sites,
    verdicts,
)

SPAN = timedelta(milliseconds=2**24)
"""How long before the next one a copy is: what six digits of an id's time do not tell."""

LOOSE_SHARE = 6
"""One copy of so many is written with all indexes in place. Indexes that were just made are full:
nearly each comment that came next would split a page. After this they are as those that grew."""

_PERIOD = 6  # digits of an id that tell its span
_ACQUAINTED = 50
"""Copies that one who is no regular may write in."""

_Of = Mapping[str, sa.ColumnElement]


def grow(url: sa.URL, copies: int, *, told: Callable[[str], None]) -> None:
    """Add `copies` of all comments that are there. Nobody else may use the database.

    `told` is called with what has been done. Raises ValueError when there is no comment.
    """
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            _hurry(connection)
            _copy(connection, copies, told)
            _end(connection)
    finally:
        engine.dispose()


def _hurry(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET synchronous_commit = off")
        connection.exec_driver_sql("SET session_replication_role = replica")  # no keys are checked
        connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")
        connection.exec_driver_sql("SET work_mem = '64MB'")
        connection.commit()
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the service's other database"
    driver.create_function("md5", 1, _md5, deterministic=True)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
        driver.execute(f"PRAGMA {pragma}")


def _md5(text: str | None) -> str | None:
    if text is None:
        return None
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _end(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum would, minutes later
        connection.exec_driver_sql("CHECKPOINT")
    else:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _copy(connection: sa.Connection, copies: int, told: Callable[[str], None]) -> None:
    first = connection.execute(sa.select(sa.func.min(comments.c.id))).scalar_one()
    if first is None:
        raise ValueError("there must be comments to copy")
    newest = int(first[:8] + first[9:13], 16) >> 24
    made = connection.execute(sa.select(sa.func.max(sites.c.last_change))).scalar_one()
    # The numbers of decisions rise with time: the copies, which are older, come first.
    connection.execute(decisions.update().values(change=decisions.c.change + made * copies))
    connection.execute(sites.update().values(last_change=sites.c.last_change + made * copies))
    dialect = connection.dialect.name
    indexes = [
        index
        for table in (comments, queue, decisions)
        for index in table.indexes
        if index.info.get("only", dialect) == dialect
    ]
    for index in indexes:
        index.drop(connection)
    for back in range(copies, 0, -1):  # oldest first, as ids rise
        if back == max(1, copies // LOOSE_SHARE):
            _make(connection, indexes, told)
        _copy_all(connection, first, newest=newest, back=back, change=made * back)
        if back % 200 == 0:
            connection.commit()
            told(f"{back} copies left")
    connection.commit()


def _make(
    connection: sa.Connection, indexes: Sequence[sa.Index], told: Callable[[str], None]
) -> None:
    for index in indexes:
        index.create(connection)
        connection.commit()
        told(f"made {index.name}")


def _copy_all(
    connection: sa.Connection, first: str, *, newest: int, back: int, change: int
) -> None:
    period = f"{newest - back:0{_PERIOD}x}"

    def moved(column: sa.ColumnElement) -> sa.ColumnElement:
        return sa.literal(period) + sa.func.substr(column, _PERIOD + 1)

    def earlier(column: sa.ColumnElement) -> sa.ColumnElement:
        if connection.dialect.name == "postgresql":
            return column - sa.literal(back * SPAN, sa.Interval)
        return sa.type_coerce(column, sa.BigInteger) - back * (SPAN // timedelta(microseconds=1))

    c, v, q, d = comments.c, verdicts.c, queue.c, decisions.c
    _insert(
        connection,
        comments,
        {
            "id": moved(c.id),
            "received_at": earlier(c.received_at),
            "author_key": _key(c.author_key, back),
            "ip_key": _key(c.ip_key, back),
            "text_key": _text_key(c.text_key, back),
            "twin_key": sa.func.md5(c.twin_key + str(back)),
        },
        c.id >= first,
    )
    _insert(connection, verdicts, {"comment_id": moved(v.comment_id)}, v.comment_id >= first)
    waits = {"comment_id": moved(q.comment_id), "waiting_since": earlier(q.waiting_since)}
    _insert(connection, queue, waits, q.comment_id >= first)
    _insert(
        connection,
        decisions,
        {
            "id": moved(d.id),
            "comment_id": moved(d.comment_id),
            "change": d.change - change,
            "at": earlier(d.at),
            "was_waiting_since": earlier(d.was_waiting_since),
        },
        d.id >= first,
    )


def _key(key: sa.ColumnElement, back: int) -> sa.ColumnElement:
    """A regular's own key, one for fifty copies, or one for this copy."""
    last = sa.func.substr(key, 32, 1)
    return sa.case(
        (last < "2", key),
        (last < "a", sa.func.md5(key + f"/{back // _ACQUAINTED}")),
        else_=sa.func.md5(key + str(back)),
    )


def _text_key(key: sa.ColumnElement, back: int) -> sa.ColumnElement:
    return sa.case((sa.func.substr(key, 32, 1) == "0", key), else_=sa.func.md5(key + str(back)))


def _insert(
    connection: sa.Connection,
    table: sa.Table,
    changed: _Of,
    among: sa.ColumnElement[bool],
) -> None:
    found = sa.select(*(changed.get(column.name, column) for column in table.c)).where(among)
    names = [column.name for column in table.c]
    connection.execute(table.insert().from_select(names, found, include_defaults=False))
