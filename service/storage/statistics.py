"""Counts by day of what people decided, and how often a reason was right.

Nothing is counted while a comment is judged or decided: `count` goes after what has been
committed since it last did. Decisions and undos of a site are numbered in the order of their
commits, so that each is counted once whoever counts, and an undo takes away what its decision
had added. Days are in UTC.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.language import language_of
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import (
    audit_days,
    comments,
    decision_days,
    decisions,
    in_utc,
    reason_days,
    sites,
    statistics_marks,
    undos,
    verdicts,
)

PAGE = 500
"""Decisions, or undos, counted in one transaction."""

RECORD_DAYS = 90
"""The days that the record of a reason is of."""

DECISIONS = "decisions"
_AGAINST = ("score.spam_", "score.toxicity_")
_BY_SIGN = "site.learnt"

Counts = dict[tuple[Any, ...], list[float]]
"""By the values of a table's key, what is added to each of its other columns."""


@dataclass(frozen=True, slots=True)
class Record:
    """Of `of` comments that had a reason and were decided, in how many a person agreed with it.

    A reason agrees with a rejection, whatever for, if it spoke against the comment, and with
    an acceptance if it spoke for it.
    """

    right: int
    of: int


class Statistics:
    """Counts over a store. `site_ids` are the sites the caller may see, None for all."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def records(
        self, site_ids: SiteIds, codes: Collection[str], *, days: int = RECORD_DAYS
    ) -> Mapping[tuple[str, str], Record]:
        """The record of each reason on each site over the last `days`, today among them.

        By site id and code; what was never decided upon is not there. Reads a row for each
        site, code and day.
        """
        if not codes:
            return {}
        since = day_of(self._store.now() - timedelta(days=days - 1))
        total = (sa.func.sum(reason_days.c.agreed), sa.func.sum(reason_days.c.times))
        statement = (
            sa.select(reason_days.c.site_id, reason_days.c.code, *total)
            .where(reason_days.c.code.in_(list(codes)), reason_days.c.day >= since)
            .group_by(reason_days.c.site_id, reason_days.c.code)
        )
        if site_ids is not None:
            statement = statement.where(reason_days.c.site_id.in_(list(site_ids)))
        found = self._store.read_aside(lambda c: c.execute(statement).all())
        return {
            (site_id, code): Record(int(right), int(of)) for site_id, code, right, of in found if of
        }

    def count_decisions(self) -> int:
        """Count what was decided and taken back since the last time; how many changes.

        In pages, each a short transaction. Several processes may do it at once.
        """
        with self._store.reads() as connection:
            ends = connection.execute(sa.select(sites.c.id, sites.c.last_change)).all()
            marks = _marks(connection, DECISIONS)
        done = 0
        for site_id, last in ends:
            at = int(marks.get(site_id, "0"))
            while at < last:
                at, number = self._count_page(site_id)
                done += number
        return done

    def _count_page(self, site_id: str) -> tuple[int, int]:
        """How far the counting has come, and how many changes it took in."""
        with self._store.writes() as connection:
            start = int(hold_mark(connection, DECISIONS, site_id) or "0")
            upto = self._end_of_page(connection, site_id, start)
            added = _decided(connection, site_id, start, upto)
            taken = _undone(connection, site_id, start, upto)
            counted: dict[sa.Table, Counts] = defaultdict(dict)
            for sign, changes in ((1, added), (-1, taken)):
                for row in changes:
                    _count_decision(counted, row, sign)
            for table, counts in counted.items():
                add(connection, table, counts)
            move_mark(connection, DECISIONS, site_id, str(upto))
        return upto, len(added) + len(taken)

    @staticmethod
    def _end_of_page(connection: sa.Connection, site_id: str, start: int) -> int:
        # The numbers of undos and decisions are one row of numbers, so PAGE of them are at most
        # as many of either.
        statement = sa.select(sites.c.last_change).where(sites.c.id == site_id)
        last: int = connection.execute(statement).scalar_one()
        return min(start + PAGE, last)


# ------------------------------------------------------------------ decisions

_CHANGED = sa.select(
    decisions.c.site_id,
    decisions.c.at,
    decisions.c.moderator,
    decisions.c.outcome,
    decisions.c.reason,
    comments.c.content,
    verdicts.c.outcome.label("said"),
    verdicts.c.audit,
    verdicts.c.unaudited,
    verdicts.c.review_probability,
    verdicts.c.explanation,
).select_from(
    decisions.join(comments, comments.c.id == decisions.c.comment_id).join(
        verdicts, verdicts.c.comment_id == decisions.c.comment_id
    )
)


def _decided(
    connection: sa.Connection, site_id: str, start: int, upto: int
) -> Sequence[sa.RowMapping]:
    statement = _CHANGED.where(
        decisions.c.site_id == site_id, decisions.c.change > start, decisions.c.change <= upto
    )
    return connection.execute(statement).mappings().all()


def _undone(
    connection: sa.Connection, site_id: str, start: int, upto: int
) -> Sequence[sa.RowMapping]:
    # Decisions that came with a site's history are not counted, nor that they are taken back.
    statement = _CHANGED.where(
        decisions.c.id.in_(
            sa.select(undos.c.decision_id).where(undos.c.change > start, undos.c.change <= upto)
        ),
        decisions.c.site_id == site_id,
        decisions.c.change > 0,
    )
    return connection.execute(statement).mappings().all()


def _count_decision(counted: dict[sa.Table, Counts], row: sa.RowMapping, sign: int) -> None:
    site_id, day, outcome = row["site_id"], day_of(row["at"]), row["outcome"]
    for code, pushes_to in pushes_of(row["explanation"]).items():
        agreed = sign * (pushes_to == outcome)
        _add(counted[reason_days], (site_id, code, day), sign, agreed)
    said = row["unaudited"] if row["audit"] else row["said"]
    opinion = said in ("accept", "reject")
    key = (site_id, day, row["moderator"], outcome, row["reason"] or "")
    language = language_of(row["content"])
    agreed = sign * (said == outcome)
    _add(counted[decision_days], (*key, language), sign, sign * opinion, agreed)
    chance = row["review_probability"]
    if row["audit"] and opinion and chance > 0:
        weight = 1 / chance
        drawn = (site_id, day, said, outcome)
        _add(counted[audit_days], drawn, sign, sign * weight, sign * weight**2)


def pushes_of(explanation: str) -> dict[str, str]:
    """By its code what each reason of a stored explanation speaks for: `accept` or `reject`.

    Reasons that speak for neither, such as that a comment was drawn at random, are not there.
    """
    told = json.loads(explanation)
    trusted = {hit["rule"]: bool(hit["trust"]) for hit in told["hits"]}
    pushes: dict[str, str] = {}
    for reason in told["reasons"]:
        code = reason["code"]
        if code in trusted:
            pushes[code] = "accept" if trusted[code] else "reject"
        elif code.startswith(_AGAINST):
            pushes[code] = "reject"
        elif code == _BY_SIGN:
            pushes[code] = "accept" if reason["evidence"].startswith("-") else "reject"
    return pushes


def _add(counts: Counts, key: tuple[Any, ...], *values: float) -> None:
    held = counts.setdefault(key, [0] * len(values))
    for place, value in enumerate(values):
        held[place] += value


# ------------------------------------------------------------------ tables of counts


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


def _marks(connection: sa.Connection, name: str) -> dict[str, str]:
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
