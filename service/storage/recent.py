"""What came in the last days, as far as a change of a site's rules is tried on it.

Knows comments and what the machine said of them. Judges nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from model.outcome import Outcome
from model.verdict import RuleHit
from service.storage.partitions import first_id
from service.storage.tables import comments, verdicts


@dataclass(frozen=True, slots=True)
class Recent:
    """A comment that a change is tried on; `decided` is "accept", "reject" or None."""

    id: str
    content: str = field(repr=False)
    name: str = field(repr=False)
    url: str = field(repr=False)
    address_domain: str = field(repr=False)
    decided: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the machine said of a comment then, as far as another outcome depends on it."""

    outcome: Outcome
    codes: frozenset[str]
    hits: tuple[RuleHit, ...]


_RECENT = sa.select(
    comments.c.id,
    comments.c.content,
    comments.c.author_name,
    comments.c.author_url,
    comments.c.email_masked,
    comments.c.decided,
)


def count_recent(connection: sa.Connection, site_id: str, since: datetime) -> int:
    """How many comments of a site came since then."""
    counted = sa.select(sa.func.count()).select_from(comments)
    counted = counted.where(comments.c.site_id == site_id, comments.c.id >= first_id(since))
    return connection.execute(counted).scalar_one()


def recent_page(
    connection: sa.Connection, site_id: str, since: datetime, *, before: str, limit: int
) -> list[Recent]:
    """Comments of a site since then, the newest first, from below the id `before` ("" for all)."""
    statement = _RECENT.where(comments.c.site_id == site_id, comments.c.id >= first_id(since))
    if before:
        statement = statement.where(comments.c.id < before)
    found = connection.execute(statement.order_by(comments.c.id.desc()).limit(limit))
    return [
        Recent(id_, content, name, url, masked.rpartition("@")[2].lower(), decided)
        for id_, content, name, url, masked, decided in found
    ]


def judged_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Judged]:
    """What the machine said of some comments, by their ids."""
    columns = (
        verdicts.c.comment_id,
        verdicts.c.outcome,
        verdicts.c.unaudited,
        verdicts.c.explanation,
    )
    statement = sa.select(*columns).where(verdicts.c.comment_id.in_(ids))
    judged = {}
    for id_, outcome, unaudited, explanation in connection.execute(statement):
        told = json.loads(explanation)
        judged[id_] = Judged(
            Outcome.of(unaudited or outcome),
            frozenset(reason["code"] for reason in told["reasons"]),
            tuple(RuleHit(**hit | {"effect": Outcome.of(hit["effect"])}) for hit in told["hits"]),
        )
    return judged
