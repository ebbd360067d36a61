"""The hot path: what is known of a batch, in one read.

Knows the matching of authors, IPs, texts and repeated requests. Judges nothing. Its statements
go to the driver itself: what SQLAlchemy does for each of them cost as much as the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from model.submission import History
from service.storage import rows
from service.storage.direct import Driver
from service.storage.records import Asked, Changes, Known, MatchKeys, StoredComment
from service.storage.tables import comments, idempotency, in_utc, time_of

COUNT_LIMIT = 1000
"""Counts of a History stop here, so that a flood cannot make its own check slow."""

_ITEMS = {
    "sqlite": """
        SELECT key AS place, value ->> 0 AS author, value ->> 1 AS ip, value ->> 2 AS text,
               value ->> 3 AS twin, value ->> 4 AS idempotency, value ->> 5 AS site
        FROM json_each(?)""",
    "postgresql": """
        SELECT place, value ->> 0 AS author, value ->> 1 AS ip, value ->> 2 AS text,
               value ->> 3 AS twin, value ->> 4 AS idempotency, value ->> 5 AS site
        FROM jsonb_array_elements(CAST(%s AS jsonb)) WITH ORDINALITY AS item (value, place)""",
}
_TIME: dict[str, Callable[[Any], datetime]] = {"sqlite": time_of, "postgresql": in_utc}


def _counted(condition: str) -> str:
    return f"""(SELECT count(*) FROM (
        SELECT 1 FROM comments WHERE {condition} LIMIT {COUNT_LIMIT}) AS counted)"""


def _known_statement(items: str) -> str:
    """One row per item of the batch, in order. Each count is a short walk along an index.

    Subqueries and no joins, and none that asks whether something EXISTS: a planner that expects
    many items would read a table whole. What is asked for NULL is not looked for, and of an author
    or a text that nobody has seen nothing else is: each question is a page of an index that may
    have to be read, and most texts are new.
    """

    def of_seen(column: str, asked: str, otherwise: str) -> str:
        return f"CASE WHEN {column} > 0 THEN {asked} ELSE {otherwise} END"

    last_at = """(SELECT received_at FROM comments WHERE author_key = item.author
            ORDER BY received_at DESC LIMIT 1)"""
    twin = """(SELECT 1 FROM comments WHERE text_key = item.text AND twin_key = item.twin
            LIMIT 1) IS NOT NULL"""
    accepted = _counted("author_key = item.author AND decided = 'accept'")
    rejected = _counted("author_key = item.author AND decided = 'reject'")
    text_rejected = _counted("text_key = item.text AND decided = 'reject'")
    return f"""
        WITH asked AS MATERIALIZED ({items}),
        item AS MATERIALIZED (
          SELECT item.*, {_counted("author_key = item.author")} AS author_seen,
            {_counted("text_key = item.text")} AS text_seen
          FROM asked AS item)
        SELECT
          author_seen,
          {of_seen("author_seen", accepted, "0")} AS author_accepted,
          {of_seen("author_seen", rejected, "0")} AS author_rejected,
          {_counted("ip_key = item.ip AND decided = 'reject'")} AS ip_rejected,
          text_seen,
          {of_seen("text_seen", text_rejected, "0")} AS text_rejected,
          {of_seen("author_seen", last_at, "NULL")} AS author_last_at,
          {of_seen("text_seen", twin, "false")} AS twin,
          (SELECT body_mac FROM idempotency WHERE key_mac = item.idempotency) AS body_mac,
          (SELECT comment_id FROM idempotency WHERE key_mac = item.idempotency) AS comment_id,
          (SELECT last_change FROM sites WHERE id = item.site) AS last_change,
          (SELECT last_undo FROM sites WHERE id = item.site) AS last_undo,
          (SELECT last_reset FROM sites WHERE id = item.site) AS last_reset,
          (SELECT rules_version FROM sites WHERE id = item.site) AS rules_version
        FROM item ORDER BY item.place"""


_KNOWN = {dialect: _known_statement(items) for dialect, items in _ITEMS.items()}


class FoundRow(NamedTuple):
    """What the statement says of an item, in its order."""

    author_seen: int
    author_accepted: int
    author_rejected: int
    ip_rejected: int
    text_seen: int
    text_rejected: int
    author_last_at: datetime | None
    twin: bool
    body_mac: str | None
    comment_id: str | None
    last_change: int | None
    last_undo: int | None
    last_reset: int | None
    rules_version: int | None


def look_up(driver: Driver, batch: Sequence[Asked], keys: Sequence[MatchKeys]) -> list[FoundRow]:
    """What the database says of each item, in order, in one statement.

    How far a site's decisions have come is said with the first item of each site only.
    """
    sites: set[str] = set()
    items = []
    for asked, k in zip(batch, keys, strict=True):
        site = None if asked.site_id in sites else asked.site_id
        sites.add(asked.site_id)
        items.append((k.author or None, k.ip or None, k.text, k.twin, k.idempotency or None, site))
    found = driver.fetch(_KNOWN[driver.dialect], (rows.compact(items),))
    time = _TIME[driver.dialect]
    return [
        FoundRow._make(row if row[6] is None else (*row[:6], time(row[6]), *row[7:]))
        for row in found
    ]


def replayed_ids(keys: Sequence[MatchKeys], found: Sequence[FoundRow]) -> list[str]:
    """The comments that the same requests made before."""
    again = zip(keys, found, strict=True)
    return [row.comment_id for key, row in again if row.comment_id and row.body_mac == key.body]


def replays(connection: sa.Connection, ids: Sequence[str]) -> dict[str, StoredComment]:
    """Comments by their ids."""
    stored = connection.execute(rows.STORED.where(comments.c.id.in_(ids))).mappings()
    return {row["id"]: rows.stored_comment(row) for row in stored}


def known(
    batch: Sequence[Asked],
    keys: Sequence[MatchKeys],
    found: Sequence[FoundRow],
    replays: Mapping[str, StoredComment],
) -> list[Known]:
    """What is known of each submission of a batch, in order.

    Earlier items of the batch count as seen by later ones.
    """
    # A site that is gone is told by its key, or at last when the comment is recorded.
    changes = {
        asked.site_id: Changes(
            row.last_change, row.last_undo or 0, row.last_reset or 0, row.rules_version or 0
        )
        for asked, row in zip(batch, found, strict=True)
        if row.last_change is not None
    }
    unknown = Changes()
    earlier = _Earlier()
    known = []
    for asked, key, row in zip(batch, keys, found, strict=True):
        so_far = changes.get(asked.site_id, unknown)
        one = _known_of(asked, key, row, changes=so_far, replays=replays, earlier=earlier)
        earlier.note(asked, one)
        known.append(one)
    return known


class _Earlier:
    """What the items of a batch so far will have left in the database for the next one."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}  # by author, text and twin key, which never collide
        self.last_at: dict[str, datetime] = {}
        self.requests: dict[str, tuple[int, str]] = {}
        self._place = 0

    def note(self, asked: Asked, known: Known) -> None:
        """Remember an item, unless it will not be recorded."""
        place, keys = self._place, known.keys
        self._place += 1
        if asked.is_test or known.replay or known.conflict or known.same_as is not None:
            return
        for key in (keys.author, keys.text, keys.twin):
            self.seen[key] = self.seen.get(key, 0) + 1
        self.last_at[keys.author] = max(
            asked.received_at, self.last_at.get(keys.author, asked.received_at)
        )
        if keys.idempotency:
            self.requests[keys.idempotency] = (place, keys.body)


def _known_of(
    asked: Asked,
    keys: MatchKeys,
    row: FoundRow,
    *,
    changes: Changes,
    replays: Mapping[str, StoredComment],
    earlier: _Earlier,
) -> Known:
    history = _history(asked, keys, row, earlier=earlier)
    if row.body_mac is not None:
        # Another item of the batch may have asked for that comment with the right body.
        replay = replays.get(row.comment_id or "") if row.body_mac == keys.body else None
        return Known(history, keys, changes, replay=replay, conflict=replay is None)
    place, body = earlier.requests.get(keys.idempotency, (None, ""))
    if place is None or not keys.idempotency:
        return Known(history, keys, changes)
    same = body == keys.body
    return Known(history, keys, changes, same_as=place if same else None, conflict=not same)


def _history(asked: Asked, keys: MatchKeys, row: FoundRow, *, earlier: _Earlier) -> History:
    def seen(key: str, before: int) -> int:
        return min(COUNT_LIMIT, before + earlier.seen.get(key, 0)) if key else 0

    last_at = row.author_last_at
    if keys.author and keys.author in earlier.last_at:
        in_batch = earlier.last_at[keys.author]
        last_at = in_batch if last_at is None else max(last_at, in_batch)
    return History(
        author_seen=seen(keys.author, row.author_seen),
        author_accepted=row.author_accepted,
        author_rejected=row.author_rejected,
        ip_rejected=row.ip_rejected,
        text_seen=seen(keys.text, row.text_seen),
        text_rejected=row.text_rejected,
        # Clocks step back, and two processes have two; nobody wrote in the future.
        seconds_since_author=None
        if last_at is None
        else max(0.0, (asked.received_at - last_at).total_seconds()),
        same_article_twin=bool(row.twin) or seen(keys.twin, 0) > 0,
    )


def prune_idempotency(connection: sa.Connection, older_than: datetime) -> int:
    """Forget the idempotency keys of requests from before then; how many."""
    statement = idempotency.delete().where(idempotency.c.created_at < older_than)
    return connection.execute(statement).rowcount
