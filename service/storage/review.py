"""The queue, and what people say of a comment: decisions, undos, reports, reveals.

Knows what a decision changes and how it is taken back. Each function is part of one
transaction that writes everything or nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import Decision, ReportKind
from model.outcome import Outcome, Scores
from service.keyring import Keyring
from service.storage import outbox
from service.storage.cursors import cursor_of, place_of
from service.storage.errors import (
    AlreadyDecided,
    NoAddress,
    NothingToUndo,
    UnknownComment,
)
from service.storage.events import Actor, tell
from service.storage.records import (
    QueueItem,
    QueuePage,
    Report,
    StoredComment,
    Waiting,
    new_id,
)
from service.storage.rows import STORED, risk_of, stored_comment
from service.storage.sites import next_change
from service.storage.tables import (
    appeals,
    comments,
    decisions,
    following,
    microseconds_of,
    queue,
    reports,
    time_of,
    undos,
    verdicts,
)
from service.storage.traits import note_report

_LONGEST_ID = 64
SiteIds = Collection[str] | None
"""The sites a caller may see; None is all of them."""


def comment(connection: sa.Connection, site_ids: SiteIds, comment_id: str) -> StoredComment | None:
    """One comment, None if there is none on these sites."""
    if not may_be_id(comment_id):
        return None
    statement = STORED.where(comments.c.id == comment_id, *_on(comments, site_ids))
    row = connection.execute(statement).mappings().one_or_none()
    return stored_comment(row) if row else None


def may_be_id(text: str) -> bool:
    """Whether a text could be an id: PostgreSQL would not even look for NUL and the like."""
    return text.isascii() and text.isprintable() and len(text) <= _LONGEST_ID


def _on(table: sa.Table, site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)


# ------------------------------------------------------------------ the queue


def queue_size(connection: sa.Connection, site_ids: SiteIds) -> int:
    """How many comments wait."""
    statement = sa.select(sa.func.count()).select_from(queue).where(*_on(queue, site_ids))
    return connection.execute(statement).scalar_one()


def oldest_waiting(connection: sa.Connection, site_ids: SiteIds) -> datetime | None:
    """Since when the comment has waited that waits longest; None when none does."""
    statement = sa.select(sa.func.min(queue.c.waiting_since)).where(*_on(queue, site_ids))
    since: datetime | None = connection.execute(statement).scalar_one()
    return since


def still_waiting(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Which of these comments wait at this moment."""
    statement = sa.select(queue.c.comment_id).where(queue.c.comment_id.in_(ids))
    return frozenset(connection.execute(statement).scalars())


def queue_page(
    connection: sa.Connection, site_ids: SiteIds, *, limit: int, after: str
) -> QueuePage:
    """Up to `limit` waiting comments, oldest first, from where `after` left off."""
    columns = (queue.c.waiting_since, queue.c.comment_id)
    statement = sa.select(queue).where(*_on(queue, site_ids)).order_by(*columns).limit(limit + 1)
    if after:
        since, comment_id = place_of(after, _place)
        start = sa.tuple_(sa.literal(since, columns[0].type), sa.literal(comment_id))
        statement = statement.where(sa.tuple_(*columns) > start)
    waiting = connection.execute(statement).mappings().all()
    page = waiting[:limit]
    statement = STORED.where(comments.c.id.in_([row["comment_id"] for row in page]))
    stored = {row["id"]: row for row in connection.execute(statement).mappings()}
    # One who decided between the two statements took the comment out of the page.
    found = [stored[row["comment_id"]] for row in page if row["comment_id"] in stored]
    end = ""
    if len(waiting) > limit:
        last = page[-1]
        end = cursor_of(_OLDEST, microseconds_of(last["waiting_since"]), last["comment_id"])
    return QueuePage(
        items=tuple(
            QueueItem(stored_comment(row), Waiting(row["why"])) for row in found if row["why"]
        ),
        after=end,
    )


_OLDEST = "oldest"
"""What a cursor begins with: `service.storage.finding` has other orders."""


def _place(word: Any, since: Any, comment_id: Any) -> tuple[datetime, str]:
    if word != _OLDEST or not may_be_id(comment_id):
        raise ValueError
    return time_of(int(since)), comment_id


# ------------------------------------------------------------------ decisions


def decide(
    connection: sa.Connection, site_ids: SiteIds, comment_id: str, *, decision: Decision
) -> StoredComment:
    """Make a person's decision stand. Raises UnknownComment, AlreadyDecided."""
    decide_held(connection, _held(connection, site_ids, comment_id), decision)
    return _one(connection, comment_id)


def decide_held(
    connection: sa.Connection,
    held: sa.RowMapping,
    decision: Decision,
    *,
    follows: str | None = None,
) -> str:
    """Make a decision on a comment of `held` stand; the decision's id. Raises AlreadyDecided.

    `follows` is the campaign whose decision was carried over to this comment, which nobody looked
    at: it counts for nothing that is learnt.

    One that its author appealed against gives way to the answer, which an undo turns around.
    """
    comment_id = held["id"]
    waiting = _waiting(connection, comment_id)
    is_appealed = waiting is not None and waiting["why"] == Waiting.APPEAL
    if held["decided"] is not None and not is_appealed:
        raise AlreadyDecided(_standing(connection, comment_id))
    if is_appealed:
        _supersede(connection, held, decision)
    decision_id = new_id(decision.at)
    connection.execute(
        decisions.insert(),
        {
            "id": decision_id,
            "comment_id": comment_id,
            "site_id": held["site_id"],
            "change": next_change(connection, held["site_id"]),
            "outcome": decision.outcome.word,
            "reason": decision.reason,
            "moderator": mask_addresses(decision.moderator),
            "at": decision.at,
            "was_state": held["state"],
            "was_waiting_since": waiting["waiting_since"] if waiting else None,
            "was_why": waiting["why"] if waiting else None,
            "was_risk": waiting["risk"] if waiting else None,
        },
    )
    if follows is not None:
        connection.execute(following.insert(), {"decision_id": decision_id, "campaign_id": follows})
    connection.execute(queue.delete().where(queue.c.comment_id == comment_id))
    _set_state(connection, comment_id, state=decision.outcome.word, decided=decision.outcome.word)
    body: dict[str, object] = {"outcome": decision.outcome.word, "reason": decision.reason}
    if follows is not None:
        body["follows"] = follows
    if is_appealed:
        body["answers"] = "appeal"
    actor = Actor(decision.moderator, decision.at)
    _tell(connection, "decided", held, actor=actor, body=body)
    outbox.note(connection, comment_id, at=decision.at)
    return decision_id


def undo(
    connection: sa.Connection,
    site_ids: SiteIds,
    comment_id: str,
    *,
    actor: Actor,
    only_of: str | None = None,
) -> StoredComment:
    """Bring back exactly what was before the standing decision, which stays on record.

    With `only_of` a decision by anybody else stays. Raises UnknownComment, NothingToUndo.
    """
    held = _held(connection, site_ids, comment_id)
    if held["decided"] is None:
        raise NothingToUndo("no person's decision stands on this comment")
    was = _standing_row(connection, comment_id)
    if only_of is not None and was["moderator"] != mask_addresses(only_of):
        raise NothingToUndo("the decision that stands is somebody else's")
    _take_back(connection, held, was, actor)
    return _one(connection, comment_id)


def undo_held(
    connection: sa.Connection, held: sa.RowMapping, decision_id: str, *, actor: Actor
) -> bool:
    """Take back one decision on a comment of `held`; False where it does not stand any more."""
    if held["decided"] is None:
        return False
    was = _standing_row(connection, held["id"])
    if was["id"] != decision_id:
        return False
    _take_back(connection, held, was, actor)
    return True


def _take_back(
    connection: sa.Connection, held: sa.RowMapping, was: sa.RowMapping, actor: Actor
) -> None:
    comment_id = held["id"]
    by = {"moderator": mask_addresses(actor.name), "at": actor.at}
    change = next_change(connection, held["site_id"], undoes=True)
    connection.execute(undos.insert(), {"decision_id": was["id"], "change": change} | by)
    decided = _reinstated(connection, held) if was["was_why"] == Waiting.APPEAL else None
    _set_state(connection, comment_id, state=was["was_state"], decided=decided)
    # One that waits because of an appeal goes on to, whatever becomes of the decision before.
    if was["was_waiting_since"] is not None and _waiting(connection, comment_id) is None:
        _enqueue(
            connection,
            held,
            since=was["was_waiting_since"],
            why=was["was_why"],
            risk=was["was_risk"],
        )
    body = {"outcome": was["outcome"], "by": was["moderator"]}
    _tell(connection, "undone", held, actor=actor, body=body)
    outbox.note(connection, comment_id, at=actor.at)


def _supersede(connection: sa.Connection, held: sa.RowMapping, answer: Decision) -> None:
    """Take the standing decision back, if there is one, and note which that was."""
    earlier = None
    if held["decided"] is not None:
        earlier = _standing_row(connection, held["id"])["id"]
        change = next_change(connection, held["site_id"], undoes=True)
        by = {"moderator": mask_addresses(answer.moderator), "at": answer.at}
        connection.execute(undos.insert(), {"decision_id": earlier, "change": change} | by)
    of_it = appeals.update().where(appeals.c.comment_id == held["id"])
    connection.execute(of_it.values(superseded=earlier))


def _reinstated(connection: sa.Connection, held: sa.RowMapping) -> str | None:
    """Let the decision stand again that an answer took the place of; its outcome, None for none.

    As a decision with a number of its own: whoever learns has read that it was taken back.
    """
    of_it = appeals.c.comment_id == held["id"]
    earlier = (
        sa.select(decisions)
        .join(appeals, appeals.c.superseded == decisions.c.id)
        .where(of_it, decisions.c.comment_id == held["id"])
    )
    row = connection.execute(earlier).mappings().one_or_none()
    if row is None:
        return None
    change = next_change(connection, held["site_id"])
    again = dict(row) | {"id": new_id(row["at"]), "change": change}
    connection.execute(decisions.insert(), again)
    connection.execute(appeals.update().where(of_it).values(superseded=None))
    outcome: str = row["outcome"]
    return outcome


_QUEUED_BY_REPORT = {
    (ReportKind.HAM, Outcome.REJECT),
    (ReportKind.SPAM, Outcome.ACCEPT),
    (ReportKind.TOXIC, Outcome.ACCEPT),
}


def report(
    connection: sa.Connection, site_ids: SiteIds, comment_id: str, *, kind: ReportKind, at: datetime
) -> StoredComment:
    """Note a site's word that a verdict was wrong; the same word twice is noted once.

    A report against what is in force puts the comment in the queue, unless a person's
    decision stands. Raises UnknownComment.
    """
    held = _held(connection, site_ids, comment_id)
    if any(noted.kind is kind for noted in reports_of(connection, comment_id)):
        return _one(connection, comment_id)
    connection.execute(reports.insert(), {"comment_id": comment_id, "kind": kind.value, "at": at})
    note_report(connection, comment_id)
    if held["decided"] is None and (kind, Outcome.of(held["state"])) in _QUEUED_BY_REPORT:
        if _waiting(connection, comment_id) is None:  # its author may have appealed
            risk = _risk(connection, comment_id)
            _enqueue(connection, held, since=at, why=Waiting.REPORT.value, risk=risk)
        _set_state(connection, comment_id, state=Outcome.QUEUE.word, decided=None)
    _tell(connection, "reported", held, actor=Actor("site", at), body={"kind": kind.value})
    return _one(connection, comment_id)


def reports_of(connection: sa.Connection, comment_id: str) -> list[Report]:
    """A site's reports on a comment, oldest first."""
    statement = sa.select(reports.c.kind, reports.c.at).where(reports.c.comment_id == comment_id)
    found = connection.execute(statement.order_by(reports.c.at, reports.c.kind))
    return [Report(ReportKind(row.kind), row.at) for row in found]


def reveal_address(
    connection: sa.Connection,
    keyring: Keyring,
    site_ids: SiteIds,
    comment_id: str,
    *,
    why: str,
    actor: Actor,
) -> str:
    """The address of a comment's author in clear, on record in the same transaction.

    Raises UnknownComment, NoAddress, service.keyring.UnreadableAddress.
    """
    held = _held(connection, site_ids, comment_id)
    if held["email_cipher"] is None:
        raise NoAddress("the comment came without an address")
    address = keyring.decrypt_address(
        held["email_cipher"], site_id=held["site_id"], comment_id=comment_id
    )
    _tell(connection, "address_revealed", held, actor=actor, body={"why": why})
    return address


# ------------------------------------------------------------------ steps


_HELD = sa.select(
    comments.c.id,
    comments.c.site_id,
    comments.c.state,
    comments.c.decided,
    comments.c.email_cipher,
).with_for_update()


def enqueue_appeal(connection: sa.Connection, held: sa.RowMapping, *, at: datetime) -> None:
    """Put a comment of `held` that does not wait before moderators; what is in force stays so."""
    risk = _risk(connection, held["id"])
    _enqueue(connection, held, since=at, why=Waiting.APPEAL.value, risk=risk)


def held_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, sa.RowMapping]:
    """Comments' own rows by id, kept from other writers until the transaction ends.

    In the order of their ids, so that of two who want the same ones the second waits.
    """
    statement = _HELD.where(comments.c.id.in_(ids)).order_by(comments.c.id)
    return {row["id"]: row for row in connection.execute(statement).mappings()}


def _held(connection: sa.Connection, site_ids: SiteIds, comment_id: str) -> sa.RowMapping:
    """One comment's own row, kept likewise."""
    statement = _HELD.where(comments.c.id == comment_id, *_on(comments, site_ids))
    known = may_be_id(comment_id)
    held = connection.execute(statement).mappings().one_or_none() if known else None
    if held is None:
        raise UnknownComment("there is no such comment")
    return held


def _one(connection: sa.Connection, comment_id: str) -> StoredComment:
    found = connection.execute(STORED.where(comments.c.id == comment_id)).mappings().one()
    return stored_comment(found)


def _waiting(connection: sa.Connection, comment_id: str) -> sa.RowMapping | None:
    statement = sa.select(queue).where(queue.c.comment_id == comment_id)
    return connection.execute(statement).mappings().one_or_none()


def _standing(connection: sa.Connection, comment_id: str) -> Decision:
    standing = _one(connection, comment_id).decision
    assert standing is not None, "a comment marked as decided has a standing decision"
    return standing


def _standing_row(connection: sa.Connection, comment_id: str) -> sa.RowMapping:
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    statement = sa.select(decisions).where(decisions.c.comment_id == comment_id, ~undone)
    return connection.execute(statement).mappings().one()


def _set_state(
    connection: sa.Connection, comment_id: str, *, state: str, decided: str | None
) -> None:
    statement = comments.update().where(comments.c.id == comment_id)
    connection.execute(statement.values(state=state, decided=decided))


def _risk(connection: sa.Connection, comment_id: str) -> float:
    statement = sa.select(verdicts.c.spam, verdicts.c.toxicity)
    scores = connection.execute(statement.where(verdicts.c.comment_id == comment_id)).one()
    return risk_of(None if scores.spam is None else Scores(scores.spam, scores.toxicity))


def _enqueue(
    connection: sa.Connection, held: sa.RowMapping, *, since: datetime, why: str, risk: float
) -> None:
    row = {"waiting_since": since, "why": why, "risk": risk}
    enqueue_all(connection, [row | {"comment_id": held["id"], "site_id": held["site_id"]}])


def enqueue_all(connection: sa.Connection, waiting: Sequence[Mapping[str, object]]) -> None:
    """Have comments wait: rows of `queue`."""
    if waiting:
        connection.execute(queue.insert(), waiting)


def _tell(
    connection: sa.Connection,
    kind: str,
    held: sa.RowMapping,
    *,
    actor: Actor,
    body: Mapping[str, object],
) -> None:
    tell(connection, kind, actor, site_id=held["site_id"], comment_id=held["id"], body=body)
