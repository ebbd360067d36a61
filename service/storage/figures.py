"""What the dashboard shows, read from the counts by day.

Reads a row for a day and what it is counted by, never comments, but for reversals, which look at
the reports and decisions of four weeks. From a replica where there is one. Draws nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from service.storage.counts import day_of
from service.storage.partitions import first_id
from service.storage.review import SiteIds
from service.storage.statistics import Record
from service.storage.store import Store
from service.storage.tables import (
    arrival_days,
    comments,
    decision_days,
    decisions,
    language_days,
    queue_samples,
    reason_days,
    reports,
    score_days,
    undos,
    verdicts,
)

REVERSAL_DAYS = 28


@dataclass(frozen=True, slots=True)
class Scope:
    """Of which sites, None for all, and which days, both among them."""

    sites: SiteIds
    first: date
    last: date

    @property
    def days(self) -> tuple[date, ...]:
        """The days in order."""
        count = (self.last - self.first).days + 1
        return tuple(self.first + timedelta(days=at) for at in range(count))


@dataclass(frozen=True, slots=True)
class Waited:
    """How many waited, the highest number of the time, and how long in seconds: half of them at
    least `p50`, one in twenty at least `p95`. Of several sites, of the one where it was longest."""

    waiting: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Language:
    """What came in a language, estimated, and what people decided of it."""

    arrived: Mapping[str, float]
    decided: int
    opinions: int
    agreed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the dashboard shows of a scope."""

    arrivals: Mapping[date, Mapping[str, int]]
    models: Mapping[str, date]
    """When a version was first seen."""
    policies: Mapping[str, date]
    waits: Mapping[datetime, Waited]
    decided: Mapping[tuple[date, str], int]
    """By day and moderator."""
    reversals: Mapping[str, Record]
    """Of what was accepted or rejected in 28 days, how much was turned around."""
    reasons: Mapping[str, Record]
    scores: Mapping[tuple[date, str, str], tuple[int, ...]]
    """By day, model and head: how many scores in each of twenty bins."""
    languages: Mapping[str, Language]


def read(store: Store, scope: Scope) -> Figures:
    """The figures of a scope, in one transaction."""
    return store.read_aside(lambda connection: _read(connection, scope, store.now()))


def _read(connection: sa.Connection, scope: Scope, now: datetime) -> Figures:
    return Figures(
        arrivals=_arrivals(connection, scope),
        models=_first_days(connection, scope, arrival_days.c.model),
        policies=_first_days(connection, scope, arrival_days.c.policy),
        waits=_waits(connection, scope),
        decided=_decided(connection, scope),
        reversals=_reversals(connection, scope, now),
        reasons=_reasons(connection, scope),
        scores=_scores(connection, scope),
        languages=_languages(connection, scope),
    )


def _within(table: sa.Table, scope: Scope) -> tuple[sa.ColumnElement[bool], ...]:
    first, last = scope.first.isoformat(), scope.last.isoformat()
    return (*_on(table, scope.sites), table.c.day >= first, table.c.day <= last)


def _on(table: sa.Table, site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)


def _sums(
    connection: sa.Connection, scope: Scope, by: Sequence[sa.Column[Any]], *of: sa.Column[Any]
) -> Iterator[tuple[Any, ...]]:
    table = by[0].table
    assert isinstance(table, sa.Table), "columns of counts are a table's"
    sums = (sa.func.sum(column).label(column.name) for column in of)
    statement = sa.select(*by, *sums).where(*_within(table, scope)).group_by(*by)
    for row in connection.execute(statement):
        yield tuple(row)


def _arrivals(connection: sa.Connection, scope: Scope) -> dict[date, dict[str, int]]:
    found: dict[date, dict[str, int]] = defaultdict(dict)
    c = arrival_days.c
    for day, outcome, times in _sums(connection, scope, (c.day, c.outcome), c.times):
        found[date.fromisoformat(day)][outcome] = int(times)
    return found


def _first_days(
    connection: sa.Connection, scope: Scope, version: sa.Column[str]
) -> dict[str, date]:
    # Those that begin within the scope: what was there the day before did not change in it.
    first = sa.func.min(arrival_days.c.day)
    statement = (
        sa.select(version, first).where(*_on(arrival_days, scope.sites), version != "")
    ).group_by(version)
    found = ((name, date.fromisoformat(day)) for name, day in connection.execute(statement))
    return {name: day for name, day in found if scope.first < day <= scope.last}


def _waits(connection: sa.Connection, scope: Scope) -> dict[datetime, Waited]:
    c = queue_samples.c
    start = datetime.combine(scope.first, time(), UTC)
    end = datetime.combine(scope.last, time(), UTC) + timedelta(days=1)
    # All sites together have rows of their own.
    sites = [""] if scope.sites is None else list(scope.sites)
    longest = (sa.func.max(c.p50_seconds), sa.func.max(c.p95_seconds))
    statement = (
        sa.select(c.at, sa.func.sum(c.waiting), *longest)
        .where(c.site_id.in_(sites), c.at >= start, c.at < end)
        .group_by(c.at)
    )
    # Where none waited on these sites there is no row, but there is one of all.
    taken = sa.select(c.at).where(c.site_id == "", c.at >= start, c.at < end)
    found = {at: Waited(0, 0.0, 0.0) for at in connection.scalars(taken)}
    for at, number, half, most in connection.execute(statement):
        found[at] = Waited(int(number), half, most)
    return found


def _decided(connection: sa.Connection, scope: Scope) -> dict[tuple[date, str], int]:
    c = decision_days.c
    found = _sums(connection, scope, (c.day, c.moderator), c.times)
    return {(date.fromisoformat(day), name): int(n) for day, name, n in found if n}


def _reasons(connection: sa.Connection, scope: Scope) -> dict[str, Record]:
    c = reason_days.c
    found = _sums(connection, scope, (c.code,), c.agreed, c.times)
    return {code: Record(int(right), int(of)) for code, right, of in found if of}


def _scores(
    connection: sa.Connection, scope: Scope
) -> dict[tuple[date, str, str], tuple[int, ...]]:
    c = score_days.c
    found: dict[tuple[date, str, str], list[int]] = defaultdict(lambda: [0] * 20)
    for day, model, head, at, times in _sums(
        connection, scope, (c.day, c.model, c.head, c.bin), c.times
    ):
        found[date.fromisoformat(day), model, head][at] = int(times)
    return {key: tuple(counts) for key, counts in found.items()}


def _languages(connection: sa.Connection, scope: Scope) -> dict[str, Language]:
    arrived: dict[str, dict[str, float]] = defaultdict(dict)
    c = language_days.c
    for language, outcome, times in _sums(connection, scope, (c.language, c.outcome), c.times):
        arrived[language][outcome] = float(times)
    d = decision_days.c
    found = _sums(connection, scope, (d.language,), d.times, d.opinions, d.agreed)
    decided = {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in found}
    return {
        language: Language(arrived.get(language, {}), *decided.get(language, (0, 0, 0)))
        for language in {*arrived, *decided}
    }


# ------------------------------------------------------------------ reversals


def _reversals(connection: sa.Connection, scope: Scope, now: datetime) -> dict[str, Record]:
    """Of what came in the last 28 days and was accepted or rejected by the machine.

    An acceptance is turned around by a report of spam or toxicity or by a person's rejection,
    a rejection by a report of ham or a person's acceptance. Each comment counts once.
    """
    start = now - timedelta(days=REVERSAL_DAYS)
    recent = Scope(scope.sites, start.date() + timedelta(days=1), now.date())
    came = _arrivals(connection, recent)
    first = first_id(datetime.combine(recent.first, time(), UTC))
    found: dict[str, Record] = {}
    for said in _AGAINST:
        of = sum(day.get(said, 0) for day in came.values())
        turned = sum(turned_by_site(connection, scope.sites, first, said).values())
        found[said] = Record(of - min(of, turned), of)
    return found


_AGAINST: Mapping[str, tuple[str, Sequence[str]]] = {
    "accept": ("reject", ("spam", "toxic")),
    "reject": ("accept", ("ham",)),
}
"""What a person says, and what a site reports, that turns around what the machine said."""


def turned_by_site(
    connection: sa.Connection, site_ids: SiteIds, first: str, said: str
) -> dict[str, int]:
    """Of comments from an id on to which the machine said that, how many were turned around."""
    against = turned_around(first, said)
    statement = (
        sa.select(comments.c.site_id, sa.func.count())
        .select_from(against)
        .join(verdicts, verdicts.c.comment_id == against.c.comment_id)
        .join(comments, comments.c.id == against.c.comment_id)
        .where(verdicts.c.outcome == said, *_on(comments, site_ids))
        .group_by(comments.c.site_id)
    )
    return {site_id: int(number) for site_id, number in connection.execute(statement)}


def turned_around(first: str, said: str) -> sa.Subquery:
    """The ids of comments from one on of which somebody said what speaks against a verdict."""
    outcome, kinds = _AGAINST[said]
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    decided = sa.select(decisions.c.comment_id).where(
        decisions.c.comment_id >= first, decisions.c.outcome == outcome, ~undone
    )
    reported = sa.select(reports.c.comment_id).where(
        reports.c.comment_id >= first, reports.c.kind.in_(kinds)
    )
    return decided.union(reported).subquery()


def today(store: Store) -> date:
    """The day it is in UTC by the store's clock."""
    return date.fromisoformat(day_of(store.now()))
