"""Comments as they were judged, to be judged again: what was known, found and said then.

Reads pages of some days, the newest first. Judges nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from model.outcome import Outcome
from model.rejudging import Past
from model.submission import History
from model.verdict import RuleHit
from service.storage.partitions import first_id, time_in
from service.storage.review import SiteIds
from service.storage.rows import COMMENT, submission_of
from service.storage.rule_rows import on
from service.storage.store import Store
from service.storage.tables import comments, verdicts

IMPORTED = "history.imported"


@dataclass(frozen=True, slots=True)
class PastComment:
    """A comment of then, and what a person decided of it since: accept, reject or None.

    `policy` is the version it was judged by. `past` is None where it was not judged here, but
    came with a site's history; `is_scored` is False where no model could say anything of it.
    """

    id: str
    site_id: str
    received_at: datetime
    decided: Outcome | None
    policy: str
    is_scored: bool
    past: Past | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Comments of some sites, None for all, from one id up to another, which is not among them."""

    sites: SiteIds
    first: str
    end: str

    @classmethod
    def between(cls, sites: SiteIds, since: datetime, until: datetime) -> "Stretch":
        """What came in a time, `until` not among it."""
        return cls(sites, first_id(since), first_id(until))


def count_past(store: Store, stretch: Stretch) -> int:
    """How many comments came in a stretch."""
    counted = sa.select(sa.func.count()).select_from(comments).where(*_within(stretch))
    return store.read_aside(lambda c: c.execute(counted).scalar_one())


def first_past(store: Store) -> datetime:
    """When the oldest comment came that there is; now where there is none."""
    first = store.read_aside(lambda c: c.execute(sa.select(sa.func.min(comments.c.id))).scalar())
    return time_in(first) if first else store.now()


def past_page(store: Store, stretch: Stretch, *, before: str, limit: int) -> list[PastComment]:
    """The newest of a stretch below the id `before`, "" for its end. In a short transaction."""
    statement = _PAST.where(*_within(stretch))
    if before:
        statement = statement.where(comments.c.id < before)
    statement = statement.order_by(comments.c.id.desc()).limit(limit)
    rows = store.read_aside(lambda c: c.execute(statement).mappings().all())
    return [_comment(row) for row in rows]


_PAST = sa.select(
    *COMMENT,
    verdicts.c.outcome,
    verdicts.c.spam,
    verdicts.c.explanation,
    verdicts.c.model,
    verdicts.c.policy,
    verdicts.c.unaudited,
).join(verdicts, verdicts.c.comment_id == comments.c.id)


def _within(stretch: Stretch) -> Sequence[sa.ColumnElement[bool]]:
    id_ = comments.c.id
    return (*on(comments.c.site_id, stretch.sites), id_ >= stretch.first, id_ < stretch.end)


def _comment(row: sa.RowMapping) -> PastComment:
    told = json.loads(row["explanation"])
    is_own = all(reason["code"] != IMPORTED for reason in told["reasons"])
    return PastComment(
        id=row["id"],
        site_id=row["site_id"],
        received_at=row["received_at"],
        decided=Outcome.of(row["decided"]) if row["decided"] else None,
        policy=row["policy"],
        is_scored=row["spam"] is not None,
        past=Past(
            submission=submission_of(row),
            history=History(**json.loads(row["history"])),
            outcome=Outcome.of(row["unaudited"] or row["outcome"]),
            model=row["model"],
            hits=tuple(
                RuleHit(**hit | {"effect": Outcome.of(hit["effect"])}) for hit in told["hits"]
            ),
            added=told.get("learnt", {}).get("added", 0.0),
            address_domain=row["email_masked"].rpartition("@")[2].lower(),
        )
        if is_own
        else None,
    )
