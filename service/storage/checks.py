"""The hot path: what is known of a batch in one read, a judged batch in one write.

Knows the matching of authors, IPs, texts and repeated requests. Judges nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from model.outcome import Outcome
from model.submission import History
from service.keyring import Keyring
from service.storage import rows
from service.storage.errors import IdempotencyRace, Unstorable
from service.storage.records import Asked, Changes, Checked, Known, MatchKeys, StoredComment
from service.storage.tables import UtcTime, comments, idempotency, queue, verdicts

COUNT_LIMIT = 1000
"""Counts of a History stop here, so that a flood cannot make its own check slow."""

_ITEMS = {
    "sqlite": """
        SELECT key AS place, value ->> 0 AS author, value ->> 1 AS ip, value ->> 2 AS text,
               value ->> 3 AS twin, value ->> 4 AS idempotency, value ->> 5 AS site
        FROM json_each(:items)""",
    "postgresql": """
        SELECT place, value ->> 0 AS author, value ->> 1 AS ip, value ->> 2 AS text,
               value ->> 3 AS twin, value ->> 4 AS idempotency, value ->> 5 AS site
        FROM jsonb_array_elements(CAST(:items AS jsonb)) WITH ORDINALITY AS item (value, place)""",
}


def _counted(condition: str) -> str:
    return f"""(SELECT count(*) FROM (
        SELECT 1 FROM comments WHERE {condition} LIMIT {COUNT_LIMIT}) AS counted)"""


def _known_statement(items: str) -> sa.TextualSelect:
    """One row per item of the batch, in order. Each count is a short walk along an index.

    Subqueries and no joins: a planner that expects many items would read a table whole.
    """
    text = f"""
        WITH item AS MATERIALIZED ({items})
        SELECT
          {_counted("author_key = item.author")} AS author_seen,
          {_counted("author_key = item.author AND decided = 'accept'")} AS author_accepted,
          {_counted("author_key = item.author AND decided = 'reject'")} AS author_rejected,
          {_counted("ip_key = item.ip AND decided = 'reject'")} AS ip_rejected,
          {_counted("text_key = item.text")} AS text_seen,
          {_counted("text_key = item.text AND decided = 'reject'")} AS text_rejected,
          (SELECT received_at FROM comments WHERE author_key = item.author
            ORDER BY received_at DESC LIMIT 1) AS author_last_at,
          EXISTS (SELECT 1 FROM comments WHERE twin_key = item.twin) AS twin,
          (SELECT body_mac FROM idempotency WHERE key_mac = item.idempotency) AS body_mac,
          (SELECT comment_id FROM idempotency WHERE key_mac = item.idempotency) AS comment_id,
          (SELECT last_change FROM sites WHERE id = item.site) AS last_change,
          (SELECT last_undo FROM sites WHERE id = item.site) AS last_undo,
          (SELECT last_reset FROM sites WHERE id = item.site) AS last_reset
        FROM item ORDER BY item.place"""
    return sa.text(text).columns(author_last_at=UtcTime)


_KNOWN = {dialect: _known_statement(items) for dialect, items in _ITEMS.items()}


class _Row(NamedTuple):
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


def gather(connection: sa.Connection, keyring: Keyring, batch: Sequence[Asked]) -> list[Known]:
    """What is known of each submission of a batch, in order.

    One statement, and a second only where a request is repeated. Earlier items of the batch
    count as seen by later ones.
    """
    keys = [rows.match_keys(keyring, asked) for asked in batch]
    items = rows.compact(
        [
            (k.author, k.ip, k.text, k.twin, k.idempotency, asked.site_id)
            for k, asked in zip(keys, batch, strict=True)
        ]
    )
    statement = _KNOWN[connection.dialect.name]
    found = [_Row(*row) for row in connection.execute(statement, {"items": items})]
    replays = _replays(connection, keys, found)
    earlier = _Earlier()
    known = []
    for asked, key, row in zip(batch, keys, found, strict=True):
        one = _known_of(asked, key, row, replays=replays, earlier=earlier)
        earlier.note(asked, one)
        known.append(one)
    return known


def _replays(
    connection: sa.Connection, keys: Sequence[MatchKeys], found: Sequence[_Row]
) -> dict[str, StoredComment]:
    again = zip(keys, found, strict=True)
    ids = [row.comment_id for key, row in again if row.body_mac == key.body and key.body]
    if not ids:
        return {}
    stored = connection.execute(rows.STORED.where(comments.c.id.in_(ids))).mappings()
    return {row["id"]: rows.stored_comment(row) for row in stored}


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
        if known.replay or known.conflict or known.same_as is not None:
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
    row: _Row,
    *,
    replays: Mapping[str, StoredComment],
    earlier: _Earlier,
) -> Known:
    history = _history(asked, keys, row, earlier=earlier)
    # A site that is gone is told by its key, or at last when the comment is recorded.
    changes = Changes(row.last_change or 0, row.last_undo or 0, row.last_reset or 0)
    if row.body_mac is not None:
        # Another item of the batch may have asked for that comment with the right body.
        replay = replays.get(row.comment_id or "") if row.body_mac == keys.body else None
        return Known(history, keys, changes, replay=replay, conflict=replay is None)
    place, body = earlier.requests.get(keys.idempotency, (None, ""))
    if place is None or not keys.idempotency:
        return Known(history, keys, changes)
    same = body == keys.body
    return Known(history, keys, changes, same_as=place if same else None, conflict=not same)


def _history(asked: Asked, keys: MatchKeys, row: _Row, *, earlier: _Earlier) -> History:
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


class _Insert:
    """An insert of many rows, compiled once for a database.

    What is compiled and the values bound are the tables' own; only what SQLAlchemy would
    work out anew for each row is worked out once, which halves its share of a write.
    """

    def __init__(self, table: sa.Table, dialect: sa.Dialect) -> None:
        compiled = table.insert().compile(dialect=dialect)
        self._statement = compiled.string
        processors = ((c.name, c.type.dialect_impl(dialect)) for c in table.columns)
        bound = ((name, kind.bind_processor(dialect)) for name, kind in processors)
        self._bound = [(name, bind) for name, bind in bound if bind is not None]
        self._in_order = itemgetter(*compiled.positiontup) if compiled.positiontup else None

    def __call__(self, connection: sa.Connection, found: list[rows.Row]) -> None:
        for row in found:
            for name, bind in self._bound:
                row[name] = bind(row[name])
        values = [self._in_order(row) for row in found] if self._in_order else found
        connection.exec_driver_sql(self._statement, values)


_compiled = lru_cache(maxsize=32)(_Insert)  # a few tables for each engine


def insert_all(connection: sa.Connection, table: sa.Table, found: list[rows.Row]) -> None:
    """Insert rows that have every column of the table; they are changed on the way."""
    if found:
        _compiled(table, connection.dialect)(connection, found)


def record(connection: sa.Connection, keyring: Keyring, batch: Sequence[Checked]) -> None:
    """Write a judged batch: submissions, verdicts, queue, idempotency keys.

    Raises Unstorable before anything is written, IdempotencyRace when a request with the same
    key was recorded since `gather`.
    """
    for index, checked in enumerate(batch):
        if not rows.is_storable(checked.asked.submission):
            raise Unstorable(index)
    waiting = [rows.queue_row(c) for c in batch if c.verdict.outcome is Outcome.QUEUE]
    requests = [rows.idempotency_row(c) for c in batch if c.known.keys.idempotency]
    insert_all(connection, comments, [rows.comment_row(keyring, c) for c in batch])
    insert_all(connection, verdicts, [rows.verdict_row(c) for c in batch])
    insert_all(connection, queue, waiting)
    # In order of the key, so that two processes never wait for each other crosswise.
    _record_requests(connection, sorted(requests, key=itemgetter("key_mac")))


def _record_requests(connection: sa.Connection, requests: list[rows.Row]) -> None:
    raced = False
    try:
        insert_all(connection, idempotency, requests)
    except IntegrityError:
        raced = True
    if raced:  # outside the handler: a chained error would carry the driver's message
        raise IdempotencyRace("a request with the same idempotency key was recorded meanwhile")


def prune_idempotency(connection: sa.Connection, older_than: datetime) -> int:
    """Forget the idempotency keys of requests from before then; how many."""
    statement = idempotency.delete().where(idempotency.c.created_at < older_than)
    return connection.execute(statement).rowcount
