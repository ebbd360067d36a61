"""The partitions of the large tables on PostgreSQL: made ahead, emptied of what nobody keeps.

`comments` and `verdicts` are cut by the time in their ids, at the same places, so that `id` alone
stays the primary key. `before` is what there was when they were first cut; `p20261124` begins on
that day; `k20261124` is what was kept of such a one; `rest` takes any id that no other does, so
that a clock that jumps loses nothing. Does not know why a comment is kept.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from service.storage.tables import EPOCH, comments, microseconds_of, time_of, verdicts

PERIOD_DAYS = 30
"""The days in a partition, unless the operator says otherwise."""

AHEAD = 2
"""Periods after the current one that have their partition made."""

MOST_MOVED = 20_000
"""Comments of one period that are moved out of `rest`, in one transaction of about a second."""

LOCK_MILLISECONDS = 500
"""How long a change of the tables' shape waits for its locks, and whoever writes for it. Below
PostgreSQL's deadlock_timeout of a second, so that it is never a writer that has to give way."""

RETRIES = 60

_TABLES = ((comments, "id"), (verdicts, "comment_id"))
_BOUND = re.compile(r"FROM \((?:'([^']+)'|MINVALUE)\) TO \((?:'([^']+)'|MAXVALUE)\)")
_BUSY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of both tables, by its suffix; ids from `start` up to, and without, `end`.

    Both are empty for `rest`, and `start` is for `before`.
    """

    name: str
    start: str
    end: str

    @property
    def is_whole(self) -> bool:
        """Whether it is a period's own and nothing was taken from it yet."""
        return self.name.startswith("p")


def first_id(at: datetime) -> str:
    """Sorts before every id of that moment or later, and after every earlier one."""
    digits = f"{max(0, microseconds_of(at)) // 1000:012x}"
    return f"{digits[:8]}-{digits[8:12]}-0000-0000-000000000000"


def time_in(id_: str) -> datetime:
    """The moment in an id, to the millisecond."""
    return time_of(int(id_[:8] + id_[9:13], 16) * 1000)


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


def make_ahead(engine: sa.Engine, now: datetime, *, days: int = PERIOD_DAYS) -> list[str]:
    """Make the partitions of this period and the next ones; the names of the new ones.

    What fell into `rest` because they were made too late is moved into them, unless there is
    so much that writers would notice: it stays where it is.
    """
    made: list[str] = []
    with engine.begin() as connection:
        last = max((p.end for p in all_of(connection) if p.end), default="")
        stray = _strays(connection)
    start = time_in(last) if last else period_start(now, days)
    end_of_all = period_start(now, days) + timedelta(days=days * (1 + AHEAD))
    while start < end_of_all:
        end = min(start + timedelta(days=days), _next_start(start, days))
        low, high = first_id(start), first_id(end)
        moved = sum(1 for id_ in stray if low <= id_ < high)
        if moved <= MOST_MOVED and (moved or end > now):
            partition = Partition(f"p{start:%Y%m%d}", low, high)
            retried(engine, lambda connection, p=partition: _make(connection, p))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            made.append(partition.name)
        start = end
    return made


def _next_start(at: datetime, days: int) -> datetime:
    return period_start(at, days) + timedelta(days=days)


def _strays(connection: sa.Connection) -> Sequence[str]:
    found = connection.exec_driver_sql(
        f"SELECT id FROM comments_rest ORDER BY id LIMIT {10 * MOST_MOVED}"
    )
    return found.scalars().all()


def _make(connection: sa.Connection, partition: Partition) -> None:
    if partition.name in {p.name for p in all_of(connection)}:
        return  # by another process just now
    for table, key in _TABLES:
        rest, new = f"{table.name}_rest", f"{table.name}_{partition.name}"
        connection.exec_driver_sql(f"LOCK TABLE {rest} IN SHARE ROW EXCLUSIVE MODE")
        connection.exec_driver_sql(_empty_like(table.name, new))
        where = f"{key} >= '{partition.start}' AND {key} < '{partition.end}'"
        columns = _columns(table)
        connection.exec_driver_sql(
            f"WITH moved AS (DELETE FROM {rest} WHERE {where} RETURNING {columns})"
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


def replace_with_kept(engine: sa.Engine, old: Partition, kept: str) -> None:
    """Let a partition go, all but the comments that `kept` selects the ids of.

    They are copied while everybody reads and writes; what changed meanwhile is copied again
    under a lock, which is held for as long as it takes to compare them. With nothing kept there
    is no partition any more.
    """
    new = Partition(f"k{old.name[1:]}", old.start, old.end)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for table, key in _TABLES:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table.name}_{new.name}")
            connection.exec_driver_sql(_empty_like(table.name, f"{table.name}_{new.name}"))
            connection.exec_driver_sql(
                f"ALTER TABLE {table.name}_{new.name} ADD PRIMARY KEY ({key})"
            )
        _copy_kept(connection, old, new, kept)
    retried(engine, lambda connection: _swap(connection, old, new, kept))
    for table, _ in _TABLES:
        retried(
            engine,
            lambda connection, name=f"{table.name}_{old.name}": connection.exec_driver_sql(  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                f"DROP TABLE IF EXISTS {name}"
            ),
        )


def _copy_kept(connection: sa.Connection, old: Partition, new: Partition, kept: str) -> None:
    """Make the copy equal to what is kept; what is equal already is left alone."""
    changing = ("state", "decided", "email_key_id")
    same = " AND ".join(f"o.{c} IS NOT DISTINCT FROM n.{c}" for c in changing)
    connection.exec_driver_sql(
        f"DELETE FROM comments_{new.name} n WHERE NOT EXISTS (SELECT 1 FROM"
        f" comments_{old.name} o WHERE o.id = n.id AND {same} AND o.id IN ({kept}))"
    )
    for table, key in _TABLES:
        columns = _columns(table)
        connection.exec_driver_sql(
            f"INSERT INTO {table.name}_{new.name} ({columns}) SELECT {columns}"
            f" FROM {table.name}_{old.name} WHERE {key} IN ({kept}) ON CONFLICT DO NOTHING"
        )


def _swap(connection: sa.Connection, old: Partition, new: Partition, kept: str) -> None:
    connection.exec_driver_sql("LOCK TABLE comments, verdicts IN ACCESS EXCLUSIVE MODE")
    _copy_kept(connection, old, new, kept)
    nothing = not connection.exec_driver_sql(
        f"SELECT EXISTS (SELECT 1 FROM comments_{new.name})"
    ).scalar_one()
    for table, _ in _TABLES:
        connection.exec_driver_sql(
            f"ALTER TABLE {table.name} DETACH PARTITION {table.name}_{old.name}"
        )
        if nothing:
            connection.exec_driver_sql(f"DROP TABLE {table.name}_{new.name}")
        else:
            _attach(connection, table.name, new)


@contextmanager
def alone(engine: sa.Engine) -> Iterator[bool]:
    """Whether this process is the only one in such a block, of all machines; others go past."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_KEEPING})").scalar_one()
        try:
            yield bool(got)
        finally:
            if got:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_KEEPING})")


_KEEPING = 0x6475796575  # one more than what migrations take
