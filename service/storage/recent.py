"""What came in the last days, as far as a change of a site's rules is tried on it.

Knows comments and what the machine said of them. Judges nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from model.outcome import Outcome
from model.verdict import RuleHit
from service.storage.partitions import first_id
from service.storage.tables import comments, verdicts


class Recent(NamedTuple):  # made of a row as it is: most are looked at once, and left
    """A comment that a change is tried on; `decided` is "accept", "reject" or None."""

    id: str
    content: str
    name: str
    url: str
    address: str
    """Masked."""

    decided: str | None

    @property
    def address_domain(self) -> str:
        """What the author's address ends with."""
        return self.address.rpartition("@")[2].lower()

    def __repr__(self) -> str:
        return f"Recent({self.id!r})"


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


@dataclass(frozen=True, slots=True)
class Stretches:
    """How many comments of a site came since a time, and where each so many of them begin.

    `starts` are the ids of the first of each, in order.
    """

    number: int
    starts: tuple[str, ...]


def stretches(connection: sa.Connection, site_id: str, since: datetime, size: int) -> Stretches:
    """The comments of a site since a time, in stretches of `size`."""
    place = sa.func.row_number().over(order_by=comments.c.id)
    numbered = (
        sa.select(comments.c.id, place.label("place"))
        .where(comments.c.site_id == site_id, comments.c.id >= first_id(since))
        .subquery()
    )
    each = sa.select(numbered.c.id, numbered.c.place).order_by(numbered.c.place)
    found = connection.execute(each.where(numbered.c.place % size == 1 % size)).all()
    if not found:
        return Stretches(0, ())
    rest = sa.select(sa.func.count()).select_from(comments)
    rest = rest.where(comments.c.site_id == site_id, comments.c.id > found[-1].id)
    number = found[-1].place + connection.execute(rest).scalar_one()
    return Stretches(number, tuple(row.id for row in found))


def recent_between(connection: sa.Connection, site_id: str, start: str, end: str) -> list[Recent]:
    """Comments of a site from the id `start` up to before `end` ("" for all), newest first."""
    statement = _RECENT.where(comments.c.site_id == site_id, comments.c.id >= start)
    if end:
        statement = statement.where(comments.c.id < end)
    return [*map(Recent._make, connection.execute(statement.order_by(comments.c.id.desc())))]


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
