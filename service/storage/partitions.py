"""The partitions of the large tables on PostgreSQL: made ahead, emptied of what nobody keeps.

`comments` and `verdicts` are cut by the time in their ids, at the same places, so that `id` alone
stays the primary key. `before` is what there was when they were first cut; `p20261124` begins on
that day; `k20261124` holds what was kept of all that ended by then; `rest` takes any id that no
other does, so that a clock that jumps loses nothing.

There are few of them on purpose. The hot path looks comments up by author, IP and text, in every
partition; docs/scaling.md has what each costs. Does not know why a comment is kept.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from service.storage.tables import EPOCH, comments, microseconds_of, time_of, verdicts

LONGEST_PERIOD_DAYS = 365

AHEAD = 1
"""Periods after the current one that have their partition made."""

MOST_MOVED = 20_000
"""Comments of one period that are moved out of `rest`, in one transaction of about a second."""

MOST_PERIODS = 100
"""Periods that are made up for; before those, what lies in `rest` stays there."""

LOCK_MILLISECONDS = 500
"""How long a change of the tables' shape waits for its locks, and whoever writes for it. Below
PostgreSQL's deadlock_timeout of a second, so that it is never a writer that has to give way."""

RETRIES = 60

_KEEPING = 0x6475796575  # one more than what migrations take
_TABLES = ((comments, "id"), (verdicts, "comment_id"))
_BOUND = re.compile(r"FROM \((?:'([^']+)'|MINVALUE)\) TO \((?:'([^']+)'|MAXVALUE)\)")
_BUSY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of both tables, by its suffix; ids from `start` up to, and without, `end`.

    `start` is empty for the first, both are for `rest`.
    """

    name: str
    start: str
    end: str


def first_id(at: datetime) -> str:
    """Sorts before every id of that moment or later, and after every earlier one."""
    digits = f"{max(0, microseconds_of(at)) // 1000:012x}"
    return f"{digits[:8]}-{digits[8:12]}-0000-0000-000000000000"


def time_in(id_: str) -> datetime:
    """The moment in an id, to the millisecond."""
    return time_of(int(id_[:8] + id_[9:13], 16) * 1000)


def period_of(retention_days: int) -> int:
    """The days in a partition: a quarter of what is kept, a year when everything is.

    So what is dropped is dropped a quarter late at the most, and some eight partitions do.
    """
    quarter = -(-retention_days // 4)
    return min(quarter or LONGEST_PERIOD_DAYS, LONGEST_PERIOD_DAYS)


def period_start(at: datetime, days: int) -> datetime:
    """When the period began that a moment is in; periods are counted from 1970."""
    length = timedelta(days=days)
    return EPOCH + (at - EPOCH) // length * length


def are_made(connection: sa.Connection) -> bool:
    """Whether the tables of this database are partitioned."""
    if connection.dialect.name != "postgresql":
        return False
    kind = connection.exec_driver_sql(
        "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('comments')"
    ).scalar_one_or_none()
    return bool(kind)


def all_of(connection: sa.Connection) -> list[Partition]:
    """The partitions in the order of their ids, `rest` at the end."""
    found = connection.exec_driver_sql(
        "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits"
        " JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'comments'::regclass"
    )
    partitions = [_read(name.removeprefix("comments_"), bound) for name, bound in found]
    return sorted(partitions, key=lambda p: (p.name == "rest", p.end))


def _read(name: str, bound: str) -> Partition:
    match = _BOUND.search(bound)
    return Partition(name, match[1] or "", match[2] or "") if match else Partition(name, "", "")


def retried(
    engine: sa.Engine, step: Callable[[sa.Connection], object], *, attempts: int = RETRIES
) -> None:
    """Run a short change of the tables' shape in a transaction, again while they are busy.

    Nobody waits for it longer than `LOCK_MILLISECONDS` at a time. Raises what the last attempt
    did.
    """
    for attempt in range(attempts):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
                step(connection)
            return
        except OperationalError as problem:
            if getattr(problem.orig, "sqlstate", None) not in _BUSY or attempt == attempts - 1:
                raise
        time.sleep(LOCK_MILLISECONDS / 1000)  # those who waited meanwhile go first


# ------------------------------------------------------------------ made ahead


def make_ahead(engine: sa.Engine, now: datetime, *, days: int) -> list[str]:
    """Make the partitions of this period and the next; the names of the new ones.

    A period has `days`; it ends where such periods, counted from 1970, do. What fell into
    `rest` because its partition was made too late is moved there, unless there is so much
    that writers would notice: it stays where it is.
    """
    with engine.begin() as connection:
        last = max((p.end for p in all_of(connection) if p.end), default="")
        earliest = connection.exec_driver_sql("SELECT min(id) FROM comments_rest").scalar_one()
    length = timedelta(days=days)
    if last:
        start = time_in(last)
    else:
        start = period_start(min(now, time_in(earliest or first_id(now))), days)
    if start < now - MOST_PERIODS * length:  # nobody looked for very long
        start = period_start(now, days)
    made = []
    while start < period_start(now, days) + (1 + AHEAD) * length:
        end = period_start(start, days) + length
        partition = Partition(f"p{start:%Y%m%d}", first_id(start), first_id(end))
        if _is_wanted(engine, partition, now):
            retried(engine, partial(_make, partition=partition))
            made.append(partition.name)
        start = end
    return made


def _is_wanted(engine: sa.Engine, partition: Partition, now: datetime) -> bool:
    statement = (
        "SELECT count(*) FROM (SELECT 1 FROM comments_rest"
        f" WHERE {_within(partition, 'id')} LIMIT {MOST_MOVED + 1}) AS counted"
    )
    with engine.begin() as connection:
        strays: int = connection.exec_driver_sql(statement).scalar_one()
    return strays <= MOST_MOVED and (strays > 0 or partition.end > first_id(now))


def _within(partition: Partition, key: str) -> str:
    return f"{key} >= '{partition.start}' AND {key} < '{partition.end}'"


def _make(connection: sa.Connection, *, partition: Partition) -> None:
    if partition.name in {p.name for p in all_of(connection)}:
        return  # by another process just now
    for table, key in _TABLES:
        rest, new = f"{table.name}_rest", f"{table.name}_{partition.name}"
        connection.exec_driver_sql(f"LOCK TABLE {rest} IN SHARE ROW EXCLUSIVE MODE")
        connection.exec_driver_sql(_empty_like(table.name, new))
        columns = _columns(table)
        connection.exec_driver_sql(
            f"WITH moved AS (DELETE FROM {rest} WHERE {_within(partition, key)}"
            f" RETURNING {columns})"
            f" INSERT INTO {new} ({columns}) SELECT {columns} FROM moved"
        )
        _attach(connection, table.name, partition)


def _empty_like(table: str, new: str) -> str:
    return f"CREATE TABLE {new} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"


def _columns(table: sa.Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _attach(connection: sa.Connection, table: str, partition: Partition) -> None:
    low = f"'{partition.start}'" if partition.start else "MINVALUE"
    connection.exec_driver_sql(
        f"ALTER TABLE {table} ATTACH PARTITION {table}_{partition.name}"
        f" FOR VALUES FROM ({low}) TO ('{partition.end}')"
    )


# ------------------------------------------------------------------ given up


def keep_of(engine: sa.Engine, old: Sequence[Partition], kept: str) -> None:
    """Let the first partitions go, all but the comments whose ids `kept` selects.

    Those lie in one partition then. They are copied while everybody reads and writes; what
    changed meanwhile is copied under a lock, which lasts as long as to compare them.
    """
    new = Partition(f"k{time_in(old[-1].end):%Y%m%d}", "", old[-1].end)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for table, key in _TABLES:
            name = f"{table.name}_{new.name}"
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
            connection.exec_driver_sql(
                f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING STORAGE"
                f" INCLUDING INDEXES, CONSTRAINT below CHECK ({key} < '{new.end}'))"
            )
        _copy_kept(connection, old, new, kept)
    retried(engine, lambda connection: _swap(connection, old, new, kept))
    for name in _names(old):
        retried(engine, partial(_drop, name=name))


def _names(partitions: Iterable[Partition]) -> list[str]:
    return [f"{table.name}_{partition.name}" for partition in partitions for table, _ in _TABLES]


def _drop(connection: sa.Connection, *, name: str) -> None:
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _copy_kept(
    connection: sa.Connection, old: Sequence[Partition], new: Partition, kept: str
) -> None:
    """Make the copy equal to what is kept; what is equal already is left alone."""
    changing = ("state", "decided", "email_key_id")
    same = " AND ".join(f"o.{c} IS NOT DISTINCT FROM n.{c}" for c in changing)
    found = " UNION ALL ".join(f"SELECT * FROM comments_{p.name}" for p in old)
    connection.exec_driver_sql(
        f"DELETE FROM comments_{new.name} n WHERE NOT EXISTS (SELECT 1 FROM ({found}) o"
        f" WHERE o.id = n.id AND {same} AND o.id IN ({kept}))"
    )
    for table, key in _TABLES:
        columns = _columns(table)
        for partition in old:
            connection.exec_driver_sql(
                f"INSERT INTO {table.name}_{new.name} ({columns}) SELECT {columns}"
                f" FROM {table.name}_{partition.name} WHERE {key} IN ({kept})"
                " ON CONFLICT DO NOTHING"
            )


def _swap(connection: sa.Connection, old: Sequence[Partition], new: Partition, kept: str) -> None:
    connection.exec_driver_sql("LOCK TABLE comments, verdicts IN ACCESS EXCLUSIVE MODE")
    _copy_kept(connection, old, new, kept)
    for table, _ in _TABLES:
        for partition in old:
            connection.exec_driver_sql(
                f"ALTER TABLE {table.name} DETACH PARTITION {table.name}_{partition.name}"
            )
        _attach(connection, table.name, new)
        connection.exec_driver_sql(f"ALTER TABLE {table.name}_{new.name} DROP CONSTRAINT below")


@contextmanager
def alone(engine: sa.Engine) -> Iterator[bool]:
    """Whether this process is the only one in such a block, of all machines; others go past.

    On SQLite, whose transactions are alone anyway, it always is.
    """
    if engine.dialect.name == "sqlite":
        yield True
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_KEEPING})").scalar_one()
        try:
            yield bool(got)
        finally:
            if got:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_KEEPING})")
