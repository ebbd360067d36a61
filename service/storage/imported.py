"""A site's history from elsewhere, in batches: each with the place that it came to.

Knows which tables a comment with a decision has rows in, and how a record that came before is
recognised. A decision taken over is numbered downwards from 0: it is a label like any other, but
not one of those that a site is learnt from as they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import Decision
from service.keyring import Keyring
from service.storage import rows
from service.storage.errors import UnknownSite, Unstorable
from service.storage.events import Actor, tell
from service.storage.records import Checked, Waiting, new_id
from service.storage.tables import (
    comments,
    decisions,
    imported,
    imports,
    in_utc,
    queue,
    sites,
    verdicts,
)

NamedRow = dict[str, Any]
"""A row by the names of its columns."""

_ID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Arrival:
    """A comment that comes with what was decided of it elsewhere.

    `origin` is what it is recognised by, `body` what tells it from another one with the same
    origin; `id` is its id in the file, which is ours where the file is an export of ours.
    Without a decision it waits if its verdict is `queue`, else it is as the verdict says.
    """

    checked: Checked
    decision: Decision | None
    origin: str = field(repr=False)
    body: str = field(repr=False)
    id: str = field(default="", repr=False)


class Taken(StrEnum):
    """What became of an arrival."""

    NEW = "new"
    KNOWN = "known"
    OTHER = "other"  # its origin is known, with another text, author or time
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True)
class Place:
    """How far an import has come: records read, whether taken or not.

    `job` names the file and what was asked for; `format` is the format's name.
    """

    site_id: str
    job: str
    format: str
    position: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """An arrival as the rows that it will have. Made before the transaction: sealing takes time."""

    origin: str
    body: str
    id: str
    by_table: dict[sa.Table, NamedRow]


def prepared(keyring: Keyring, arrival: Arrival, now: datetime) -> Prepared:
    """The rows of an arrival. Raises Unstorable."""
    checked, decision = arrival.checked, arrival.decision
    asked = checked.asked
    if not rows.is_storable(asked.submission):
        raise Unstorable(0)
    comment = _named(comments, rows.comment_row(keyring, checked, in_utc))
    by_table = {comments: comment, verdicts: _named(verdicts, rows.verdict_row(checked))}
    # Not since it was written: it waits here from now on.
    waits = {"waiting_since": now, "why": Waiting.IMPORT.value, "risk": 1.0}
    if decision is not None:
        word = decision.outcome.word
        comment |= {"state": word, "decided": word}
        by_table[decisions] = {
            "id": new_id(decision.at),
            "comment_id": asked.comment_id,
            "site_id": asked.site_id,
            "change": 0,  # known when the site's row is held
            "outcome": word,
            "reason": decision.reason,
            "moderator": mask_addresses(decision.moderator),
            "at": decision.at,
            "was_state": "queue",  # whoever takes it back is asked for a decision
        } | {f"was_{name}": value for name, value in waits.items()}
    elif comment["state"] == "queue":
        by_table[queue] = waits | {"comment_id": asked.comment_id, "site_id": asked.site_id}
    return Prepared(
        keyring.match_key("origin", asked.site_id, arrival.origin),
        keyring.match_key("import body", asked.site_id, arrival.body),
        arrival.id,
        by_table,
    )


def _named(table: sa.Table, row: rows.Row) -> NamedRow:
    return dict(zip(table.columns.keys(), row, strict=True))


def position(connection: sa.Connection, keyring: Keyring, site_id: str, job: str) -> int:
    """How many records of a job were dealt with; 0 for a new one."""
    key = keyring.match_key("import", site_id, job)
    found = connection.execute(sa.select(imports.c.position).where(imports.c.job_mac == key))
    return found.scalar_one_or_none() or 0


def take_in(
    connection: sa.Connection,
    keyring: Keyring,
    batch: Sequence[Prepared],
    place: Place,
    now: datetime,
) -> list[Taken]:
    """Write what is not there yet, and how far the import has come. Raises UnknownSite."""
    _hold_site(connection, place.site_id)
    known = _known(connection, batch, place.site_id)
    fresh: list[Prepared] = []
    taken: list[Taken] = []
    for one in batch:
        body = known.get(one.origin)
        if body is None:
            known[one.origin] = one.body
            fresh.append(one)
        same = body is None or body in (one.body, _ANY)
        taken.append(Taken.NEW if body is None else Taken.KNOWN if same else Taken.OTHER)
    _insert(connection, fresh, place.site_id)
    _note(connection, keyring, place, now)
    return taken


def tell_end(connection: sa.Connection, place: Place, actor: Actor, counts: dict[str, int]) -> None:
    """Put on record that an import came to its end."""
    body = {"format": place.format, "records": place.position} | counts
    tell(connection, "history_imported", actor, site_id=place.site_id, body=body)


def _hold_site(connection: sa.Connection, site_id: str) -> None:
    # Of two imports at once each sees what the other has committed.
    held = sa.select(sites.c.id).where(sites.c.id == site_id).with_for_update()
    if connection.execute(held).scalar_one_or_none() is None:
        raise UnknownSite("there is no such site")


_ANY = ""  # in the place of a body: it is there, whatever it holds


def _known(
    connection: sa.Connection, batch: Sequence[Prepared], site_id: str
) -> dict[str, str | None]:
    """The bodies by their origins of what is there, and of what was exported from here."""
    origins = [one.origin for one in batch]
    statement = sa.select(imported.c.origin_mac, imported.c.body_mac)
    found = connection.execute(statement.where(imported.c.origin_mac.in_(origins)))
    known: dict[str, str | None] = {row.origin_mac: row.body_mac for row in found}
    ours = [one for one in batch if len(one.id) == _ID_LENGTH]
    ids = sa.select(comments.c.id).where(comments.c.id.in_([one.id for one in ours]))
    there = set(connection.scalars(ids.where(comments.c.site_id == site_id))) if ours else set()
    return known | {one.origin: _ANY for one in ours if one.id in there}


def _insert(connection: sa.Connection, fresh: Sequence[Prepared], site_id: str) -> None:
    by_table: dict[sa.Table, list[NamedRow]] = {}
    for one in fresh:
        for table, row in one.by_table.items():
            by_table.setdefault(table, []).append(row)
        key = {"origin_mac": one.origin, "body_mac": one.body}
        row = key | {"comment_id": one.by_table[comments]["id"]}
        by_table.setdefault(imported, []).append(row)
    if decisions in by_table:
        least = sa.select(sa.func.min(decisions.c.change)).where(decisions.c.site_id == site_id)
        change = min(0, connection.execute(least).scalar_one() or 0)
        for number, row in enumerate(by_table[decisions], 1):
            row["change"] = change - number
    for table in (comments, verdicts, queue, decisions, imported):
        if found := by_table.get(table):
            connection.execute(table.insert(), found)


def _note(connection: sa.Connection, keyring: Keyring, place: Place, now: datetime) -> None:
    key = keyring.match_key("import", place.site_id, place.job)
    # Never back: of two imports of one file the slower one would undo the faster one's.
    further = sa.case(
        (imports.c.position < place.position, place.position), else_=imports.c.position
    )
    update = imports.update().where(imports.c.job_mac == key)
    if connection.execute(update.values(position=further, committed_at=now)).rowcount:
        return
    row: NamedRow = {"job_mac": key, "site_id": place.site_id, "format": place.format}
    row |= {"position": place.position, "started_at": now, "committed_at": now}
    connection.execute(imports.insert(), row)
