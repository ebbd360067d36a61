"""Comments that could not be recorded when they were answered: as rows, and into the database.

Knows which tables such a comment has rows in. Does not know where they are kept meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from model.submission import History
from service.keyring import Keyring
from service.storage import arrivals, rows
from service.storage.records import Asked, Checked, Known
from service.storage.tables import akismet_checks, comments, idempotency, in_utc, queue, verdicts

NamedRow = dict[str, Any]
"""A row by the names of its columns, so that it outlives a change of their order."""


@dataclass(frozen=True, slots=True)
class SpooledComment:
    """A queued comment as the rows that it will have, by table. Its address is sealed."""

    by_table: dict[str, NamedRow] = field(repr=False)

    @property
    def id(self) -> str:
        """The comment's id."""
        return str(self.by_table["comments"]["id"])

    @property
    def key_mac(self) -> str:
        """What the request is recognised by; "" when it had no idempotency key."""
        return str(self.by_table.get("idempotency", {}).get("key_mac", ""))

    @property
    def body_mac(self) -> str:
        """What tells the request from another with the same key."""
        return str(self.by_table.get("idempotency", {}).get("body_mac", ""))


def known_of_nobody(keyring: Keyring, asked: Asked) -> Known:
    """What is known when nothing can be read: the keys alone."""
    return Known(History(), rows.match_keys(keyring, asked))


def as_rows(keyring: Keyring, checked: Checked) -> SpooledComment:
    """A comment whose verdict is `queue`, sealed for keeping."""
    found = {
        comments: rows.comment_row(keyring, checked, in_utc),
        verdicts: rows.verdict_row(checked),
        queue: rows.queue_row(checked, in_utc),
    }
    if checked.known.keys.idempotency:
        found[idempotency] = rows.idempotency_row(checked, in_utc)
    if checked.asked.origin is not None:
        found[akismet_checks] = rows.akismet_row(keyring, checked)
    return SpooledComment(
        {
            table.name: dict(zip(table.columns.keys(), values, strict=True))
            for table, values in found.items()
        }
    )


def replay(connection: sa.Connection, batch: Sequence[SpooledComment]) -> None:
    """Write what is not there yet.

    A comment is there when a commit went through whose answer was lost, or when an earlier
    replay was cut short. Its caller was told `queue`: so it waits, whatever was recorded,
    unless a person decided already.
    """
    by_id = {comment.id: comment for comment in batch}
    there = _ids(connection, comments.c.id, list(by_id))
    fresh = [comment for id_, comment in by_id.items() if id_ not in there]
    for table in (comments, verdicts, queue):
        _insert(connection, table, [comment.by_table[table.name] for comment in fresh])
    checked = [c.by_table for c in fresh if "akismet_checks" in c.by_table]
    _insert(connection, akismet_checks, [tables["akismet_checks"] for tables in checked])
    _insert(connection, idempotency, _new_requests(connection, fresh))
    arrivals.count_late(connection, [comment.id for comment in fresh])
    _let_wait(connection, [by_id[id_] for id_ in there])


def _new_requests(connection: sa.Connection, fresh: Sequence[SpooledComment]) -> list[NamedRow]:
    """The first of each request that the database does not know.

    One that it does know was answered before the database went away, and again, with another
    id, when it could not be asked. Both answers were given, so both comments stay.
    """
    asked = {c.key_mac: c.by_table["idempotency"] for c in reversed(fresh) if c.key_mac}
    known = _ids(connection, idempotency.c.key_mac, list(asked))
    return [asked[key] for key in sorted(asked) if key not in known]


def _let_wait(connection: sa.Connection, there: Sequence[SpooledComment]) -> None:
    open_ids = connection.scalars(
        sa.select(comments.c.id).where(
            comments.c.id.in_([c.id for c in there]), comments.c.decided.is_(None)
        )
    ).all()
    waiting = _ids(connection, queue.c.comment_id, list(open_ids))
    for comment in there:
        if comment.id in open_ids and comment.id not in waiting:
            verdict = comment.by_table["verdicts"]  # the only one that anybody was told
            connection.execute(
                verdicts.update().where(verdicts.c.comment_id == comment.id).values(verdict)
            )
            connection.execute(
                comments.update().where(comments.c.id == comment.id).values(state="queue")
            )
            connection.execute(queue.insert(), comment.by_table["queue"])


def _ids(connection: sa.Connection, column: sa.Column[str], among: Sequence[str]) -> set[str]:
    return set(connection.scalars(sa.select(column).where(column.in_(among))).all())


def _insert(connection: sa.Connection, table: sa.Table, found: list[NamedRow]) -> None:
    if found:
        connection.execute(table.insert(), found)
