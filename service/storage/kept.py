"""All comments of a site as they stand, in pages: what an export writes out.

Knows the order of receipt, and that of articles. No address comes out.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from service.storage.records import StoredComment
from service.storage.rows import STORED, stored_comment
from service.storage.tables import comments

Mark = tuple[Any, str]
"""Where a page ended: the time of receipt and the id."""


def page(
    connection: sa.Connection, site_id: str, after: Mark | None, *, limit: int
) -> tuple[list[StoredComment], Mark | None]:
    """Up to `limit` comments in order of receipt, and where to go on; None at the end."""
    order = (comments.c.received_at, comments.c.id)
    statement = STORED.where(comments.c.site_id == site_id).order_by(*order).limit(limit)
    if after is not None:
        start = sa.tuple_(sa.literal(after[0], comments.c.received_at.type), sa.literal(after[1]))
        statement = statement.where(sa.tuple_(*order) > start)
    found = connection.execute(statement).mappings().all()
    mark = (found[-1]["received_at"], found[-1]["id"]) if len(found) == limit else None
    return [stored_comment(row) for row in found], mark


def ids_by_article(connection: sa.Connection, site_id: str) -> list[str]:
    """The ids of all comments, those of an article together, in order of receipt."""
    order = (comments.c.permalink, comments.c.received_at, comments.c.id)
    statement = sa.select(comments.c.id).where(comments.c.site_id == site_id).order_by(*order)
    return list(connection.scalars(statement))


def of_ids(connection: sa.Connection, ids: Sequence[str]) -> list[StoredComment]:
    """Those comments of these ids that are there, in this order."""
    statement = STORED.where(comments.c.id.in_(ids))
    stored = {row["id"]: row for row in connection.execute(statement).mappings()}
    return [stored_comment(stored[id_]) for id_ in ids if id_ in stored]
