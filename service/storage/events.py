"""The log of what happened: appended to, never changed.

Knows who, when and what kind. An address in a word of a person is masked before it is kept.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from model.addresses import mask_addresses
from service.storage.records import Event
from service.storage.rows import compact
from service.storage.tables import events


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and when."""

    name: str
    at: datetime


def tell(
    connection: sa.Connection,
    kind: str,
    actor: Actor,
    *,
    site_id: str | None = None,
    comment_id: str | None = None,
    body: Mapping[str, object],
) -> None:
    """Append an event."""
    connection.execute(
        events.insert(),
        {
            "at": actor.at,
            "site_id": site_id,
            "kind": kind,
            "comment_id": comment_id,
            "actor": mask_addresses(actor.name),
            "body": mask_addresses(compact(body)),
        },
    )


def events_after(
    connection: sa.Connection, site_ids: Collection[str] | None, number: int, *, limit: int
) -> list[Event]:
    """Up to `limit` events that came after the one with this number, oldest first.

    On PostgreSQL a number is taken before its transaction commits, so that an event may
    appear a moment after one with a higher number.
    """
    statement = sa.select(events).where(events.c.number > number)
    if site_ids is not None:
        statement = statement.where(events.c.site_id.in_(list(site_ids)))
    found = connection.execute(statement.order_by(events.c.number).limit(limit)).mappings()
    return [Event(**row) for row in found]
