"""The last report on labels and the last audit of them, and what people said one after another.

Bodies hold figures and ids, no text: whoever shows a comment reads it from the store, where it is
gone when it was forgotten or erased.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.decision import ReportKind
from service.storage.events import Actor, tell
from service.storage.review import SiteIds
from service.storage.rows import compact
from service.storage.store import Store
from service.storage.tables import (
    comments,
    decisions,
    following,
    label_findings,
    reports,
    undos,
)


class FindingKind(StrEnum):
    """What was looked for in labels."""

    REPORT = "report"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """What was found, and when."""

    at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """So many words of one kind on a site's comments: a decision's outcome or reason, or a report.

    `word` is accept, spam, toxic, off_topic or other of a decision, spam, ham or toxic of a report.
    """

    site_id: str
    kind: str
    word: str
    number: int


class LabelFindings:
    """What is known of labels. Every method raises StoreUnavailable as the store's do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, kind: FindingKind, body: dict[str, Any], *, by: str) -> None:
        """Keep what was found in place of what was found before, and put it on record."""
        now = self._store.now()
        with self._store.writes() as connection:
            row = {"kind": kind.value, "at": now, "body": compact(body)}
            # Of two who look at once, either may be the last.
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            put = insert(label_findings).values(row)
            connection.execute(put.on_conflict_do_update(index_elements=["kind"], set_=row))
            tell(connection, "labels_looked_at", Actor(by, now), body={"what": kind.value})

    def last(self, kind: FindingKind) -> LabelFinding | None:
        """What was found last."""
        statement = sa.select(label_findings).where(label_findings.c.kind == kind.value)
        with self._store.reads() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else LabelFinding(row.at, json.loads(row.body))

    def spoken(self, site_ids: SiteIds) -> list[Spoken]:
        """How many words of people and sites stand, by site; followed decisions left out."""
        followed = sa.exists().where(following.c.decision_id == decisions.c.id)
        word = sa.func.coalesce(decisions.c.reason, "accept")
        kind = sa.case((decisions.c.change > 0, "decision"), else_="import")
        by_people = (
            sa.select(decisions.c.site_id, kind, word, sa.func.count())
            .where(_stands(), ~followed, *_on(decisions.c.site_id, site_ids))
            .group_by(decisions.c.site_id, kind, word)
        )
        by_sites = (
            sa.select(comments.c.site_id, reports.c.kind, sa.func.count())
            .join(comments, comments.c.id == reports.c.comment_id)
            .where(comments.c.decided.is_(None), *_on(comments.c.site_id, site_ids))
            .group_by(comments.c.site_id, reports.c.kind)
        )

        def read(connection: sa.Connection) -> list[Spoken]:
            people = [Spoken(*row) for row in connection.execute(by_people)]
            sites = [
                Spoken(row[0], "report", ReportKind(row[1]).value, row[2])
                for row in connection.execute(by_sites)
            ]
            return sorted(people + sites, key=lambda one: (one.site_id, one.kind, one.word))

        return self._store.read_aside(read)

    def said_again(self, site_ids: SiteIds) -> Iterator[dict[str, str]]:
        """For comments that several people decided one after another, what each of them said last.

        Most who decide again saw what was said before: they agree less than two who do not know of
        each other.
        """
        followed = sa.exists().where(following.c.decision_id == decisions.c.id)
        several = (
            sa.select(decisions.c.comment_id)
            .where(decisions.c.change > 0, ~followed, *_on(decisions.c.site_id, site_ids))
            .group_by(decisions.c.comment_id)
            .having(sa.func.count(sa.distinct(decisions.c.moderator)) > 1)
        )
        statement = (
            sa.select(
                decisions.c.comment_id,
                decisions.c.moderator,
                sa.func.coalesce(decisions.c.reason, "accept").label("word"),
            )
            .where(decisions.c.comment_id.in_(several), decisions.c.change > 0, ~followed)
            .order_by(decisions.c.comment_id, decisions.c.change)
        )
        said: dict[str, dict[str, str]] = {}
        for row in self._store.read_aside(lambda c: c.execute(statement).all()):
            said.setdefault(row.comment_id, {})[row.moderator] = row.word
        yield from said.values()


def _stands() -> sa.ColumnElement[bool]:
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    return ~undone


def _on(column: sa.Column[str], site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (column.in_(list(site_ids)),)
