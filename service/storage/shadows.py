"""What challengers made of live comments beside the champion: counts by day, and a sample.

Counts hang on no comment: what is forgotten stays counted, while the sample goes with its
comments. Compares nothing itself.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.outcome import Outcome
from model.promotion import Shadowed
from model.rejudging import Compared
from service.storage.counts import Counts, add, day_of, tally
from service.storage.figures import Scope
from service.storage.records import Checked
from service.storage.review import SiteIds
from service.storage.rule_rows import on
from service.storage.store import Store
from service.storage.tables import comments, in_utc, shadow_days, shadow_flips, shadow_hours

FLIPS_KEPT = 20
"""Of a challenger the comments that are kept for each site and kind of flip."""

FLIP_DAYS = 90
COUNT_DAYS = 400
"""How long they are kept, and the counts."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a comment is counted under."""

    site_id: str
    day: str
    language: str
    challenger: str
    champion: str
    was: str
    would: str

    @classmethod
    def of(cls, checked: Checked, found: Compared, challenger: str) -> "Kind":
        """That of a comment which the champion judged."""
        return cls(
            checked.asked.site_id,
            day_of(checked.asked.received_at),
            found.language,
            challenger,
            checked.verdict.model,
            found.was.word,
            found.would.word,
        )

    @property
    def pair(self) -> tuple[str, str]:
        """Challenger and champion."""
        return self.challenger, self.champion


@dataclass(frozen=True, slots=True)
class Flipped:
    """A comment that a challenger makes something else of."""

    comment_id: str
    kind: Kind
    at: datetime

    @classmethod
    def of(cls, checked: Checked, kind: Kind) -> "Flipped":
        """That of a comment which the champion judged."""
        return cls(checked.asked.comment_id, kind, checked.asked.received_at)

    def row(self) -> dict[str, Any]:
        """As it is stored. The draw is that of its id alone, so that samples are fair."""
        digest = hashlib.sha256(b"shadow " + self.comment_id.encode()).digest()
        kind = self.kind
        return {
            "comment_id": self.comment_id,
            "challenger": kind.challenger,
            "champion": kind.champion,
            "site_id": kind.site_id,
            "was": kind.was,
            "would": kind.would,
            "language": kind.language,
            "at": self.at,
            "draw": int.from_bytes(digest[:8], "big") >> 1,
        }


@dataclass(slots=True)
class Tally:
    """What was counted and is not written yet."""

    days: Counts = field(default_factory=dict)
    hours: Counts = field(default_factory=dict)
    flips: list[Flipped] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not self.days

    def has_room_for(self, kind: Kind, most: int) -> bool:
        """Whether a comment of that kind may be counted, of at most so many kinds."""
        return len(self.days) < most or _key(kind) in self.days

    def count(self, kind: Kind, at: datetime, *, layered: bool) -> None:
        """Count a comment that came then."""
        tally(self.days, _key(kind), 1, int(layered))
        tally(self.hours, (*kind.pair, f"{in_utc(at):%Y-%m-%dT%H}"), 1)


def _key(kind: Kind) -> tuple[str, ...]:
    # In the order of the table's key.
    return (
        kind.site_id,
        kind.day,
        kind.language,
        kind.challenger,
        kind.champion,
        kind.was,
        kind.would,
    )


Way = tuple[Outcome, Outcome]
"""What the champion made of comments, and what the challenger."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A comment of the sample."""

    comment_id: str
    site_id: str
    at: datetime
    language: str
    was: Outcome
    would: Outcome


@dataclass(frozen=True, slots=True)
class Shadowing:
    """What the dashboard shows: of the pair that was compared last in some days.

    Comments are counted by day, and by site and language. Of `layered` the site's layer had made
    something else than the champion alone.
    """

    challenger: str
    champion: str
    by_day: Mapping[date, Mapping[Way, int]]
    by_place: Mapping[tuple[str, str], Mapping[Way, int]]
    layered: int
    flips: tuple[Flip, ...]


class Shadows:
    """What was compared, over a store. Every method is one transaction; raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, counted: Tally) -> None:
        """Add what was counted; of the flips those are kept that fit into the sample."""
        with self._store.writes() as connection:
            add(connection, shadow_days, counted.days)
            add(connection, shadow_hours, counted.hours)
            _keep(connection, counted.flips)

    def forget(self) -> None:
        """Forget the sample and the counts that are too old."""
        now = self._store.now()
        first = day_of(now - timedelta(COUNT_DAYS))
        with self._store.writes() as connection:
            old = shadow_flips.c.at < now - timedelta(FLIP_DAYS)
            connection.execute(shadow_flips.delete().where(old))
            connection.execute(shadow_days.delete().where(shadow_days.c.day < first))
            connection.execute(shadow_hours.delete().where(shadow_hours.c.hour < first))

    def of(self, champion: str, challenger: str) -> Shadowed:
        """How a challenger did beside a champion on all sites; `hours` are those with comments."""
        c, h = shadow_days.c, shadow_hours.c
        by_kind = sa.select(c.was, c.would, sa.func.sum(c.times)).group_by(c.was, c.would)
        by_kind = by_kind.where(c.challenger == challenger, c.champion == champion)
        hours = sa.select(sa.func.count()).select_from(shadow_hours)
        hours = hours.where(h.challenger == challenger, h.champion == champion)
        with self._store.reads() as connection:
            found = {(was, would): int(n) for was, would, n in connection.execute(by_kind)}
            return Shadowed(
                comments=sum(found.values()),
                hours=connection.execute(hours).scalar_one(),
                agreed=sum(n for (was, would), n in found.items() if was == would),
                would_be={f"{a}>{b}": n for (a, b), n in sorted(found.items()) if a != b},
            )

    def shadowing(self, scope: Scope) -> Shadowing | None:
        """What was compared on some sites and days, of the pair compared last; None for nothing."""
        return self._store.read_aside(lambda connection: _shadowing(connection, scope))


# ------------------------------------------------------------------ writing


def _keep(connection: sa.Connection, flips: Sequence[Flipped]) -> None:
    ids = [flip.comment_id for flip in flips]
    # What was forgotten or erased meanwhile leaves nothing behind.
    there = set(connection.scalars(sa.select(comments.c.id).where(comments.c.id.in_(ids))))
    found = [flip for flip in flips if flip.comment_id in there]
    if not found:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    rows = [flip.row() for flip in sorted(found, key=lambda flip: flip.comment_id)]
    connection.execute(insert(shadow_flips).on_conflict_do_nothing(), rows)
    kinds = {(f.kind.site_id, *f.kind.pair, f.kind.was, f.kind.would) for f in found}
    for kind in sorted(kinds):
        _cut(connection, kind)


def _cut(connection: sa.Connection, kind: tuple[str, ...]) -> None:
    """Leave the first of a kind by their draw."""
    c = shadow_flips.c
    columns = (c.site_id, c.challenger, c.champion, c.was, c.would)
    of_kind = [column == value for column, value in zip(columns, kind, strict=True)]
    last = sa.select(c.draw).where(*of_kind).order_by(c.draw).offset(FLIPS_KEPT - 1).limit(1)
    edge = connection.execute(last).scalar_one_or_none()
    if edge is not None:
        connection.execute(shadow_flips.delete().where(*of_kind, c.draw > edge))


# ------------------------------------------------------------------ reading


def _shadowing(connection: sa.Connection, scope: Scope) -> Shadowing | None:
    c = shadow_days.c
    within = (
        *on(c.site_id, scope.sites),
        c.day >= scope.first.isoformat(),
        c.day <= scope.last.isoformat(),
    )
    last = sa.select(c.challenger, c.champion).where(*within).group_by(c.challenger, c.champion)
    last = last.order_by(sa.func.max(c.day).desc(), sa.func.sum(c.times).desc(), c.challenger)
    pair = connection.execute(last.limit(1)).first()
    if pair is None:
        return None
    of_pair = (*within, c.challenger == pair.challenger, c.champion == pair.champion)
    by_day: dict[date, dict[Way, int]] = defaultdict(dict)
    layered = 0
    for day, was, would, times, of_layer in _sums(connection, of_pair, c.day):
        by_day[date.fromisoformat(day)][Outcome.of(was), Outcome.of(would)] = int(times)
        layered += int(of_layer)
    by_place: dict[tuple[str, str], dict[Way, int]] = defaultdict(dict)
    for site_id, language, was, would, times, _ in _sums(
        connection, of_pair, c.site_id, c.language
    ):
        by_place[site_id, language][Outcome.of(was), Outcome.of(would)] = int(times)
    flips = _flips(connection, scope.sites, pair.challenger, pair.champion)
    return Shadowing(pair.challenger, pair.champion, by_day, by_place, layered, flips)


def _sums(
    connection: sa.Connection, which: Sequence[sa.ColumnElement[bool]], *by: sa.Column[str]
) -> Iterator[tuple[Any, ...]]:
    c = shadow_days.c
    groups = (*by, c.was, c.would)
    sums = (sa.func.sum(c.times), sa.func.sum(c.layered))
    statement = sa.select(*groups, *sums).where(*which).group_by(*groups)
    for row in connection.execute(statement):
        yield tuple(row)


def _flips(
    connection: sa.Connection, site_ids: SiteIds, challenger: str, champion: str
) -> tuple[Flip, ...]:
    c = shadow_flips.c
    statement = (
        sa.select(c.comment_id, c.site_id, c.at, c.language, c.was, c.would)
        .join(comments, comments.c.id == c.comment_id)
        .where(c.challenger == challenger, c.champion == champion, *on(c.site_id, site_ids))
        .order_by(c.was, c.would.desc(), c.at.desc(), c.comment_id)
    )
    return tuple(
        Flip(id_, site_id, at, language, Outcome.of(was), Outcome.of(would))
        for id_, site_id, at, language, was, would in connection.execute(statement)
    )
