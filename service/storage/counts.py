"""Tables of counts: what is added to them, and marks that say how far a count has come.

Knows no count. A mark is held by one process at a time, and moved in the transaction that adds,
so that everything is counted once.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.storage.tables import in_utc, statistics_marks

Counts = dict[tuple[Any, ...], list[float]]
"""By the values of a table's key, what is added to each of its other columns."""


def day_of(at: datetime) -> str:
    """The day of an aware time in UTC, as an ISO date."""
    return f"{in_utc(at):%Y-%m-%d}"


def add(connection: sa.Connection, table: sa.Table, counts: Counts) -> None:
    """Add to what a table of counts holds."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    keys = [column.name for column in table.primary_key]
    values = [column.name for column in table.c if column.name not in keys]
    statement = insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: table.c[name] + statement.excluded[name] for name in values},
    )
    # In order of their keys, so that two processes never wait for each other crosswise.
    rows = [
        dict(zip((*keys, *values), (*key, *numbers), strict=True))
        for key, numbers in sorted(counts.items())
        if any(numbers)
    ]
    if rows:
        connection.execute(statement, rows)


def marks_of(connection: sa.Connection, name: str) -> dict[str, str]:
    """How far a count has come, by the sites it is of."""
    statement = sa.select(statistics_marks.c.site_id, statistics_marks.c.place)
    found = connection.execute(statement.where(statistics_marks.c.name == name))
    return {row.site_id: row.place for row in found}


def hold_mark(connection: sa.Connection, name: str, site_id: str) -> str:
    """How far a count has come, "" for nowhere; held until the transaction ends."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    first = {"name": name, "site_id": site_id, "place": ""}
    connection.execute(insert(statistics_marks).values(first).on_conflict_do_nothing())
    statement = sa.select(statistics_marks.c.place).with_for_update()
    found = connection.execute(statement.where(*_of_mark(name, site_id)))
    return str(found.scalar_one())


def move_mark(connection: sa.Connection, name: str, site_id: str, place: str) -> None:
    """Say how far a count has come, which is held."""
    update = statistics_marks.update().where(*_of_mark(name, site_id))
    connection.execute(update.values(place=place))


def _of_mark(name: str, site_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (statistics_marks.c.name == name, statistics_marks.c.site_id == site_id)


def tally(counts: Counts, key: tuple[Any, ...], *values: float) -> None:
    """Add to counts that are not written yet."""
    held = counts.setdefault(key, [0] * len(values))
    for place, value in enumerate(values):
        held[place] += value
