"""What is still to be told to a site: written with what happened, claimed, delivered or given up.

Knows when a delivery is due again. Does not know how one is made.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from model.outcome import Outcome
from service.keyring import Keyring, UnreadableAddress
from service.storage import akismet
from service.storage.akismet import AkismetChoices
from service.storage.records import new_id
from service.storage.tables import akismet_checks, akismet_sites, comments, outbox

LEASE = timedelta(minutes=2)
"""How long a delivery is left to who claimed it; a process may die with it."""

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(hours=3)
MOST_ATTEMPTS = 16
"""Pauses double up to the longest: the last attempt is about a day after the first."""

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"


@dataclass(frozen=True, slots=True)
class LateVerdict:
    """What is to be told: what is in force for a comment now, to the address its check gave.

    `key` is the site's Akismet key in clear. `is_spam` is None when a person took the decision
    back, so that there is nothing to tell.
    """

    id: str
    site_id: str
    comment_id: str
    url: str = field(repr=False)
    key: str = field(repr=False)
    choices: AkismetChoices
    is_spam: bool | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A delivery that waits or was given up, as an operator sees it."""

    id: str
    site_id: str
    comment_id: str
    state: str
    attempts: int
    due_at: datetime
    problem: str


def note(connection: sa.Connection, comment_id: str, *, at: datetime) -> None:
    """A person decided or took it back: tell it, if the comment's check said where."""
    statement = sa.select(akismet_checks.c.site_id).where(
        akismet_checks.c.comment_id == comment_id, akismet_checks.c.callback != ""
    )
    site_id = connection.execute(statement).scalar_one_or_none()
    if site_id is None:
        return
    row = {"id": new_id(at), "site_id": site_id, "comment_id": comment_id, "state": WAITING}
    connection.execute(outbox.insert(), row | {"attempts": 0, "due_at": at, "problem": ""})


def is_due(connection: sa.Connection, now: datetime) -> bool:
    """Whether there is anything to claim; cheaper to ask than to claim nothing."""
    due = sa.exists().where(outbox.c.state == WAITING, outbox.c.due_at <= now)
    return bool(connection.execute(sa.select(due)).scalar_one())


def claim(
    connection: sa.Connection, keyring: Keyring, *, due: datetime, now: datetime
) -> LateVerdict | None:
    """What was due first, at that time at the latest, for nobody else until the lease ends.

    What can never be told is dealt with on the way: forgotten where its comment or its site's
    key is gone, given up where that key cannot be opened.
    """
    while (id_ := _first_due(connection, due)) is not None:
        own = outbox.c.id == id_
        row = connection.execute(_TOLD.where(own)).one_or_none()
        if row is None:
            connection.execute(outbox.delete().where(own))
            continue
        try:
            key = keyring.unseal(row.key_cipher, site_id=row.site_id)
        except UnreadableAddress:
            problem = "the site's key cannot be opened: a file of the keyring is missing"
            connection.execute(outbox.update().where(own).values(state=DEAD, problem=problem))
            continue
        connection.execute(outbox.update().where(own).values(due_at=now + LEASE))
        return _late_verdict(row, key)
    return None


def _first_due(connection: sa.Connection, at: datetime) -> str | None:
    due = sa.select(outbox.c.id).where(outbox.c.state == WAITING, outbox.c.due_at <= at)
    first = due.order_by(outbox.c.due_at).limit(1).with_for_update(skip_locked=True)
    return connection.execute(first).scalar_one_or_none()


_TOLD = (
    sa.select(
        outbox.c.id,
        outbox.c.comment_id,
        outbox.c.attempts,
        akismet_checks.c.callback,
        comments.c.state,
        akismet_sites,
    )
    .join(akismet_checks, akismet_checks.c.comment_id == outbox.c.comment_id)
    .join(comments, comments.c.id == outbox.c.comment_id)
    .join(akismet_sites, akismet_sites.c.site_id == outbox.c.site_id)
)


def _late_verdict(row: sa.Row[Any], key: str) -> LateVerdict:
    state = Outcome.of(row.state)
    return LateVerdict(
        id=row.id,
        site_id=row.site_id,
        comment_id=row.comment_id,
        url=row.callback,
        key=key,
        choices=akismet.choices_in(row),
        is_spam=None if state is Outcome.QUEUE else state is Outcome.REJECT,
        attempts=row.attempts,
    )


def settle(
    connection: sa.Connection,
    delivery: LateVerdict,
    *,
    now: datetime,
    problem: str = "",
    is_final: bool = True,
) -> None:
    """Note what became of a delivery: done without a problem, else tried again or given up."""
    attempts = delivery.attempts + 1
    is_dead = bool(problem) and (is_final or attempts >= MOST_ATTEMPTS)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))
    state = DELIVERED if not problem else DEAD if is_dead else WAITING
    values = {"state": state, "attempts": attempts, "problem": problem[:200]}
    due = {"due_at": now + pause if state == WAITING else now}
    connection.execute(outbox.update().where(outbox.c.id == delivery.id).values(values | due))


def size(connection: sa.Connection) -> int:
    """How many deliveries wait."""
    statement = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == WAITING)
    return int(connection.execute(statement).scalar_one())


def undelivered(connection: sa.Connection, *, limit: int) -> list[Undelivered]:
    """What waits or was given up, oldest first."""
    columns = (outbox.c.id, outbox.c.site_id, outbox.c.comment_id, outbox.c.state)
    more = (outbox.c.attempts, outbox.c.due_at, outbox.c.problem)
    statement = sa.select(*columns, *more).where(outbox.c.state != DELIVERED)
    found = connection.execute(statement.order_by(outbox.c.id).limit(limit))
    return [Undelivered(*row) for row in found]


def retry_dead(connection: sa.Connection, *, now: datetime) -> int:
    """Try again at once what was given up; how many."""
    statement = outbox.update().where(outbox.c.state == DEAD)
    values = {"state": WAITING, "attempts": 0, "due_at": now}
    return int(connection.execute(statement.values(values)).rowcount)


def forget(connection: sa.Connection, older_than: datetime) -> int:
    """Forget what was delivered, or given up, before then; how many."""
    statement = outbox.delete().where(outbox.c.state != WAITING, outbox.c.due_at < older_than)
    return int(connection.execute(statement).rowcount)
