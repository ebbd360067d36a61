"""Decide many comments in one transaction, or take many decisions back: what `review` does to one.

Knows how to do it in a few statements however many there are. Which comments belong together, and
in how many transactions they are done, is known to `acts`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import Decision
from service.storage import outbox
from service.storage.events import Actor, tell_all
from service.storage.records import new_id
from service.storage.review import enqueue_all
from service.storage.sites import next_change
from service.storage.tables import comments, decisions, queue, undos


def decide_all(
    connection: sa.Connection, ids: Sequence[str], decision: Decision, *, body: Mapping[str, object]
) -> dict[str, str]:
    """Make a person's decision stand on each comment that has none; its id, by comment.

    A comment that is not in what comes back was decided before, or is gone. `body` is told with
    each.
    """
    free = [row for row in _held(connection, ids) if row["decided"] is None]
    if not free:
        return {}
    found = [row["id"] for row in free]
    waiting = {
        row["comment_id"]: row
        for row in connection.execute(
            sa.select(queue).where(queue.c.comment_id.in_(found))
        ).mappings()
    }
    changes = _numbered(connection, free, undoes=False)
    moderator = mask_addresses(decision.moderator)
    made = []
    for row in free:
        was = waiting.get(row["id"])
        made.append(
            {
                "id": new_id(decision.at),
                "comment_id": row["id"],
                "site_id": row["site_id"],
                "change": changes[row["id"]],
                "outcome": decision.outcome.word,
                "reason": decision.reason,
                "moderator": moderator,
                "at": decision.at,
                "was_state": row["state"],
                "was_waiting_since": was["waiting_since"] if was else None,
                "was_why": was["why"] if was else None,
                "was_risk": was["risk"] if was else None,
            }
        )
    connection.execute(decisions.insert(), made)
    connection.execute(queue.delete().where(queue.c.comment_id.in_(found)))
    word = decision.outcome.word
    statement = comments.update().where(comments.c.id.in_(found))
    connection.execute(statement.values(state=word, decided=word))
    told = {"outcome": word, "reason": decision.reason, **body}
    actor = Actor(decision.moderator, decision.at)
    tell_all(connection, "decided", actor, [(row["site_id"], row["id"], told) for row in free])
    outbox.note_all(connection, found, at=decision.at)
    return {row["comment_id"]: row["id"] for row in made}


def undo_all(
    connection: sa.Connection,
    decided: Mapping[str, str],
    *,
    actor: Actor,
    body: Mapping[str, object],
) -> list[str]:
    """Bring back what was before these decisions, by comment, where they still stand.

    The comments that were brought back. Of those whose decision was taken back before, or is
    forgotten, nothing changes.
    """
    held = {row["id"]: row for row in _held(connection, list(decided))}
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    standing = sa.select(decisions).where(decisions.c.id.in_(decided.values()), ~undone)
    found = [
        row
        for row in connection.execute(standing.order_by(decisions.c.comment_id)).mappings()
        if row["comment_id"] in held and held[row["comment_id"]]["decided"] is not None
    ]
    if not found:
        return []
    by_comment = [held[row["comment_id"]] for row in found]
    changes = _numbered(connection, by_comment, undoes=True)
    by = {"moderator": mask_addresses(actor.name), "at": actor.at}
    connection.execute(
        undos.insert(),
        [{"decision_id": r["id"], "change": changes[r["comment_id"]]} | by for r in found],
    )
    states: defaultdict[str, list[str]] = defaultdict(list)
    for row in found:
        states[row["was_state"]].append(row["comment_id"])
    for state, ids in states.items():
        statement = comments.update().where(comments.c.id.in_(ids))
        connection.execute(statement.values(state=state, decided=None))
    waited = [
        {
            "comment_id": row["comment_id"],
            "site_id": row["site_id"],
            "waiting_since": row["was_waiting_since"],
            "why": row["was_why"],
            "risk": row["was_risk"],
        }
        for row in found
        if row["was_waiting_since"] is not None
    ]
    enqueue_all(connection, waited)
    tell_all(
        connection,
        "undone",
        actor,
        [
            (r["site_id"], r["comment_id"], {"outcome": r["outcome"], "by": r["moderator"], **body})
            for r in found
        ],
    )
    ids = [row["comment_id"] for row in found]
    outbox.note_all(connection, ids, at=actor.at)
    return ids


def _held(connection: sa.Connection, ids: Sequence[str]) -> list[sa.RowMapping]:
    """The comments' own rows, kept from other writers until the transaction ends.

    In the order of their ids, so that two who want the same ones never wait crosswise.
    """
    columns = (comments.c.id, comments.c.site_id, comments.c.state, comments.c.decided)
    statement = sa.select(*columns).where(comments.c.id.in_(ids)).order_by(comments.c.id)
    return [*connection.execute(statement.with_for_update()).mappings()]


def _numbered(
    connection: sa.Connection, held: Sequence[sa.RowMapping], *, undoes: bool
) -> dict[str, int]:
    """The number of each comment's change, by comment; sites in the order of their ids."""
    by_site: defaultdict[str, list[str]] = defaultdict(list)
    for row in held:
        by_site[row["site_id"]].append(row["id"])
    numbers: dict[str, int] = {}
    for site_id, ids in sorted(by_site.items()):
        last = next_change(connection, site_id, undoes=undoes, count=len(ids))
        numbers |= dict(zip(ids, range(last - len(ids) + 1, last + 1), strict=True))
    return numbers
