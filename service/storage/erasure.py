"""Erase a person: all comments that came with an address, and all that was said of them.

Knows what hangs on a comment and in which order it goes. Nothing of it can be brought back. What
stays names nobody: counts by day, the log's lines, and that so many comments were erased. The
address is never stored, as it is only needed to make the keyed hash that a site knows it by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from service.storage.events import Actor, tell
from service.storage.records import Site, new_id
from service.storage.retention import HANGING
from service.storage.review import SiteIds
from service.storage.sites import next_change
from service.storage.store import Store
from service.storage.tables import (
    campaign_members,
    campaigns,
    comments,
    decisions,
    erasures,
    following,
    idempotency,
    outbox,
    queue,
    reports,
    site_rule_changes,
    site_rules,
    undos,
    verdicts,
    waiting,
    waiting_texts,
)

BATCH = 200
"""Comments erased in one transaction."""

LONGEST_WHY = 500


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased of a person, or would be.

    Of the comments so many were `labelled`, by a person's decision or a site's report, and so
    many wait. `rules` that a site had for the author are known by nothing but their keyed hash
    from then on.
    """

    comments: int = 0
    labelled: int = 0
    waiting: int = 0
    rules: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Erasure:
    """That a person was erased on a site: when, by whom and why, and how much that was."""

    id: str
    site_id: str
    at: datetime
    made_by: str
    why: str
    comments: int
    labelled: int


class Erasures:
    """Erasing, over a store. Raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keys_of(self, address: str, sites_: Sequence[Site]) -> dict[str, str]:
        """What each site knows whoever uses an address by: the site's id to a keyed hash.

        The form of the address does not matter as far as `Keyring.author_key` says.
        """
        keyring = self._store.keyring
        keys = {site.id: keyring.author_key(site.id, address) for site in sites_}
        return {site_id: key for site_id, key in keys.items() if key}

    def keys_like(self, site_ids: SiteIds, comment_id: str) -> dict[str, str]:
        """The same of whoever wrote a comment, on its site alone; {} where it had no address."""
        comment = self._store.comment(site_ids, comment_id)
        if comment is None:
            return {}
        with self._store.reads() as connection:
            key = connection.execute(
                sa.select(comments.c.author_key).where(comments.c.id == comment_id)
            ).scalar_one_or_none()
        return {comment.site_id: key} if key else {}

    def found(self, keys: Mapping[str, str]) -> Erased:
        """What erasing would erase now."""
        with self._store.reads() as connection:
            return sum((_found(connection, *of) for of in keys.items()), Erased())

    def erase(
        self,
        keys: Mapping[str, str],
        *,
        by: str,
        why: str = "",
        pause: Callable[[], object] = lambda: None,
    ) -> Erased:
        """Erase whoever is known by these keys, a site after the other.

        In short transactions, `pause` between them. When it is stopped half way, what is left
        goes with the next time. What a site's decisions taught is learnt again without them.
        """
        return sum((self._erase(*of, by, why, pause) for of in keys.items()), Erased())

    def since(self, site_ids: SiteIds, at: datetime | None) -> list[Erasure]:
        """The erasures on some sites after a time, the newest first."""
        statement = sa.select(erasures).order_by(erasures.c.at.desc(), erasures.c.id.desc())
        if site_ids is not None:
            statement = statement.where(erasures.c.site_id.in_(list(site_ids)))
        if at is not None:
            statement = statement.where(erasures.c.at > at)
        with self._store.reads() as connection:
            return [Erasure(**row) for row in connection.execute(statement).mappings()]

    def _erase(
        self, site_id: str, key: str, by: str, why: str, pause: Callable[[], object]
    ) -> Erased:
        # Its rules first: what is stopped half way is done again as long as there are comments.
        with self._store.writes() as connection:
            done = Erased(rules=_forget_name(connection, site_id, key))
        while (gone := self._erase_batch(site_id, key, Actor(by, self._store.now()), why)).comments:
            done += gone
            pause()
        return done

    def _erase_batch(self, site_id: str, key: str, actor: Actor, why: str) -> Erased:
        # Without foreign keys, as in `retention`: SQLite would look through all idempotency keys
        # for each comment.
        with self._store.writes(foreign_keys=False) as connection:
            found = _ids(site_id, key).limit(BATCH).with_for_update()
            ids = connection.execute(found).scalars().all()
            if not ids:
                return Erased()
            gone = Erased(len(ids), *_said_of(connection, ids))
            _erase(connection, ids)
            _forget_campaigns(connection, site_id)
            if gone.labelled:
                # As when a decision is taken back: layers are folded again from those that stand.
                next_change(connection, site_id, undoes=True)
            _note(connection, site_id, actor, why, gone)
            return gone


def _ids(site_id: str, key: str) -> sa.Select[Any]:
    of = (comments.c.author_key == key, comments.c.site_id == site_id)
    return sa.select(comments.c.id).where(*of).order_by(comments.c.id)


def _found(connection: sa.Connection, site_id: str, key: str) -> Erased:
    ids = connection.execute(_ids(site_id, key)).scalars().all()
    names = connection.execute(_rules(sa.select(sa.func.count()), site_id, key)).scalar_one()
    total = Erased(rules=names)
    for at in range(0, len(ids), BATCH):
        batch = ids[at : at + BATCH]
        total += Erased(len(batch), *_said_of(connection, batch))
    return total


def _rules(statement: sa.Select[Any], site_id: str, key: str) -> sa.Select[Any]:
    return statement.select_from(site_rules).where(
        site_rules.c.site_id == site_id, site_rules.c.kind == "author", site_rules.c.key == key
    )


def _said_of(connection: sa.Connection, ids: Sequence[str]) -> tuple[int, int]:
    """How many of some comments are labelled, and how many wait."""
    spoken = sa.union(
        *(sa.select(t.c.comment_id).where(t.c.comment_id.in_(ids)) for t in (decisions, reports))
    )
    held = sa.select(queue.c.comment_id).where(queue.c.comment_id.in_(ids))
    labelled, held_count = (
        connection.execute(sa.select(sa.func.count()).select_from(which.subquery())).scalar_one()
        for which in (spoken, held)
    )
    return labelled, held_count


def _erase(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Comments with all that hangs on them, what refers to another before that."""
    decided = sa.select(decisions.c.id).where(decisions.c.comment_id.in_(ids))
    for table in (following, undos):
        connection.execute(table.delete().where(table.c.decision_id.in_(decided)))
    hanging = (waiting_texts, waiting, queue, idempotency, outbox, decisions, reports, verdicts)
    for table in (*hanging, *HANGING):
        connection.execute(table.delete().where(table.c.comment_id.in_(ids)))
    connection.execute(comments.delete().where(comments.c.id.in_(ids)))


def _forget_campaigns(connection: sa.Connection, site_id: str) -> None:
    """What those had in common of which none is left: it may be a name."""
    left = sa.exists().where(campaign_members.c.campaign_id == campaigns.c.id)
    empty = campaigns.update().where(campaigns.c.site_id == site_id, campaigns.c.said != "", ~left)
    connection.execute(empty.values(said=""))


def _forget_name(connection: sa.Connection, site_id: str, key: str) -> int:
    """Leave of a site's rules for an author what is needed to keep to them, and count those."""
    of = _rules(sa.select(site_rules.c.since, site_rules.c.ended), site_id, key)
    versions = {v for row in connection.execute(of) for v in row if v is not None}
    if not versions:
        return 0
    named = site_rules.update().where(
        site_rules.c.site_id == site_id, site_rules.c.kind == "author", site_rules.c.key == key
    )
    count: int = connection.execute(named.values(label="", why="")).rowcount
    changes = site_rule_changes.update().where(
        site_rule_changes.c.site_id == site_id,
        site_rule_changes.c.version.in_(versions),
        site_rule_changes.c.kind.in_(["author", "undo"]),
    )
    connection.execute(changes.values(what="", why=""))
    return count


def _note(connection: sa.Connection, site_id: str, actor: Actor, why: str, gone: Erased) -> None:
    row = {
        "id": new_id(actor.at),
        "site_id": site_id,
        "at": actor.at,
        "made_by": mask_addresses(actor.name),
        "why": mask_addresses(why)[:LONGEST_WHY],
        "comments": gone.comments,
        "labelled": gone.labelled,
    }
    connection.execute(erasures.insert(), row)
    body = {"comments": gone.comments, "labelled": gone.labelled, "why": row["why"]}
    tell(connection, "person_erased", actor, site_id=site_id, body=body)
