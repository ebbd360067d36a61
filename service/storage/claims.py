"""Who is looking at which comment: soft claims, which run out by themselves and block nobody.

Knows how long a claim is good for. A claim is no deed: it is not told to the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.storage.errors import UnknownComment
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import claims, moderators, queue

LIFETIME = timedelta(seconds=60)
"""How long a claim holds that is not renewed."""

# A claim from further ahead is from before a clock was put back.
_CLOCKS_DIFFER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Claim:
    """A moderator who is looking at a waiting comment."""

    comment_id: str
    site_id: str
    moderator_id: str
    moderator: str


class Claims:
    """The claims in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, site_ids: SiteIds, comment_id: str, *, moderator_id: str) -> None:
        """Note that a moderator is looking at a waiting comment, and at no other.

        Raises UnknownComment when none of that id waits on these sites.
        """
        with self._store.writes() as connection:
            statement = sa.select(queue.c.site_id).where(queue.c.comment_id == comment_id)
            site_id = connection.execute(statement).scalar_one_or_none()
            if site_id is None or (site_ids is not None and site_id not in site_ids):
                raise UnknownComment("there is no such comment")
            row = {
                "moderator_id": moderator_id,
                "comment_id": comment_id,
                "site_id": site_id,
                "expires_at": self._store.now() + LIFETIME,
            }
            _put(connection, row)

    def leave(self, *, moderator_id: str) -> None:
        """Note that a moderator is looking at none any more."""
        with self._store.writes() as connection:
            connection.execute(claims.delete().where(claims.c.moderator_id == moderator_id))

    def on(self, site_ids: SiteIds, comment_ids: Sequence[str]) -> list[Claim]:
        """Who is looking at these comments."""
        if not comment_ids:
            return []
        with self._store.reads() as connection:
            found = standing(connection, self._store.now())
        wanted = set(comment_ids)
        return [
            one
            for one in found
            if one.comment_id in wanted and (site_ids is None or one.site_id in site_ids)
        ]


def standing(connection: sa.Connection, now: datetime) -> list[Claim]:
    """Every claim that has not run out; there are no more than moderators."""
    statement = (
        sa.select(claims, moderators.c.name)
        .join(moderators, moderators.c.id == claims.c.moderator_id)
        .where(claims.c.expires_at > now, claims.c.expires_at <= now + LIFETIME + _CLOCKS_DIFFER)
        .order_by(claims.c.moderator_id)
    )
    return [
        Claim(row.comment_id, row.site_id, row.moderator_id, row.name)
        for row in connection.execute(statement)
    ]


def _put(connection: sa.Connection, row: Mapping[str, object]) -> None:
    """Write a claim over the one before; of two pages of one moderator, either may come first."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(claims).values(row)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["moderator_id"], set_=dict(row))
    )
