"""What is new on the desk: decisions, undos, claims, arrivals, as every process can read them.

Goes by the numbers of the sites' changes, which are given in the order in which they are
committed: whoever has read up to one has missed none before it, however many machines write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from model.decision import Decision
from service.storage import claims
from service.storage.claims import Claim
from service.storage.records import QueueItem, StoredComment, Waiting
from service.storage.review import SiteIds
from service.storage.rows import DECISION, STORED, decision_of, stored_comment
from service.storage.store import Store
from service.storage.tables import comments, decisions, queue, sites, undos

MOST_CHANGES = 500
"""Changes of a site that are read one by one; of more than that, only that there were more."""

MOST_ARRIVALS = 1000
_COMMITTED_LATE = timedelta(seconds=10)
"""How long after it was received a comment may be seen for the first time."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision, or with None an undo, by a person."""

    site_id: str
    number: int
    comment_id: str
    moderator: str
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class News:
    """What was new at a moment.

    `marks` has the number of each site's last change, `changes` those since the marks before, in
    the order of each site; `many` are the sites that had too many to tell. `arrived` are comments
    that wait since lately, with their sites; some of them were in the news before.
    """

    marks: Mapping[str, int]
    changes: tuple[Change, ...]
    many: frozenset[str]
    arrived: tuple[tuple[str, str], ...]
    claims: tuple[Claim, ...]


class NewsDesk:
    """Reads what is new in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self, latest: datetime) -> News:
        """How far all sites have come, who looks at what, and what arrived after about `latest`."""
        with self._store.reads() as connection:
            marks = _marks(connection)
        return self.since(marks, latest)

    def since(self, marks: Mapping[str, int], latest: datetime) -> News:
        """What is new since these marks, and what arrived after about `latest`."""
        with self._store.reads() as connection:
            now_at = _marks(connection)
            changes: list[Change] = []
            many = set()
            for site_id, last in now_at.items():
                known = marks.get(site_id, 0)
                if last - known > MOST_CHANGES or last < known:
                    many.add(site_id)
                elif last > known:
                    changes += _changes(connection, site_id, known, last)
            return News(
                marks=now_at,
                changes=tuple(changes),
                many=frozenset(many),
                arrived=_arrived(connection, latest - _COMMITTED_LATE),
                claims=tuple(claims.standing(connection, self._store.now())),
            )

    def waiting(self, site_ids: SiteIds, comment_id: str) -> QueueItem | None:
        """A comment of these sites that waits, None if there is none of that id."""
        statement = STORED.where(comments.c.id == comment_id, *_on(site_ids))
        with self._store.reads() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None or row["why"] is None:
            return None
        return QueueItem(stored_comment(row), Waiting(row["why"]))

    def of(self, site_ids: SiteIds, comment_ids: list[str]) -> list[StoredComment]:
        """Those of some comments that are on these sites and do not wait."""
        statement = STORED.where(
            comments.c.id.in_(comment_ids),
            queue.c.comment_id.is_(None),
            *_on(site_ids),
        )
        with self._store.reads() as connection:
            return [stored_comment(row) for row in connection.execute(statement).mappings()]


def _on(site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (comments.c.site_id.in_(list(site_ids)),)


def _marks(connection: sa.Connection) -> dict[str, int]:
    return {row.id: row.last_change for row in connection.execute(_MARKS)}


_MARKS = sa.select(sites.c.id, sites.c.last_change)


def _changes(connection: sa.Connection, site_id: str, after: int, upto: int) -> list[Change]:
    """The changes of a site in order. A number without one was that of a reset."""
    on_site = decisions.c.site_id == site_id
    columns = (decisions.c.change, decisions.c.comment_id, *DECISION)
    decided = sa.select(*columns).where(
        on_site, decisions.c.change > after, decisions.c.change <= upto
    )
    undone = (
        sa.select(undos.c.change, decisions.c.comment_id, undos.c.moderator)
        .join(decisions, decisions.c.id == undos.c.decision_id)
        .where(on_site, undos.c.change > after, undos.c.change <= upto)
    )
    found = [_decided(site_id, row) for row in connection.execute(decided).mappings()] + [
        Change(site_id, row.change, row.comment_id, row.moderator, None)
        for row in connection.execute(undone)
    ]
    return sorted(found, key=lambda change: change.number)


def _decided(site_id: str, row: Any) -> Change:
    decision = decision_of(row)
    return Change(site_id, row["change"], row["comment_id"], decision.moderator, decision)


def _arrived(connection: sa.Connection, after: datetime) -> tuple[tuple[str, str], ...]:
    statement = (
        sa.select(queue.c.comment_id, queue.c.site_id)
        .where(queue.c.waiting_since > after)
        .order_by(queue.c.waiting_since.desc())
        .limit(MOST_ARRIVALS)
    )
    return tuple((row.comment_id, row.site_id) for row in connection.execute(statement))
