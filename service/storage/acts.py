"""Acts on many comments at once: a snapshot of ids, decided step by step, taken back whole.

An act is planned first: its ids are written down, so that what is done is what was shown, whatever
arrives or is decided meanwhile. Then it is begun and run in short transactions, between which
comments are judged and others decide. What has become of each comment is written with the decision
itself, so an act that was killed half way can be gone on with, or taken back.

Knows nothing of how its ids were found.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage.errors import NothingToUndo, UnknownAct
from service.storage.events import Actor, tell
from service.storage.many import decide_all, undo_all
from service.storage.records import new_id
from service.storage.review import SiteIds
from service.storage.rows import compact
from service.storage.store import Store
from service.storage.tables import act_items, acts, comments

STEP = 100
"""Comments decided in one transaction."""

PLAN_LIFETIME = timedelta(minutes=30)
"""How long a plan may be begun after it was made."""

_PAUSE_SECONDS = 0.002  # between transactions, so that on SQLite those who wait get their turn
_LONGEST_ID = 64


class ActState(StrEnum):
    """How far an act has come."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class ItemState(StrEnum):
    """What has become of a comment of an act.

    `left` is one that somebody else had decided, or that is gone; `kept` one whose decision by
    this act no longer stood when the act was taken back.
    """

    WAITS = "waits"
    DONE = "done"
    LEFT = "left"
    UNDONE = "undone"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Act:
    """An act, as far as somebody may see it: `counts` are of comments on their sites.

    `kind` and `body` are whatever the maker of the act wrote down ("bulk", "campaign").
    """

    id: str
    kind: str
    outcome: Outcome
    reason: RejectReason | None
    moderator: str
    created_at: datetime
    state: ActState
    body: Mapping[str, object]
    undone_by: str | None
    undone_at: datetime | None
    counts: Mapping[ItemState, int]

    @property
    def size(self) -> int:
        """How many comments it is about."""
        return sum(self.counts.values())

    def count(self, state: ItemState) -> int:
        """How many of its comments have come to that."""
        return self.counts.get(state, 0)


def always() -> bool:
    """To the end, in one go."""
    return True


class Acts:
    """Acts on many comments. Every method raises StoreUnavailable when the database is away."""

    def __init__(self, store: Store, *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._store = store
        self._pause_seconds = pause_seconds

    # -------------------------------------------------------------- whole

    def decide(
        self,
        site_ids: SiteIds,
        ids: Sequence[str],
        decision: Decision,
        *,
        kind: str,
        body: Mapping[str, object],
    ) -> Act:
        """Decide these comments: plan, begin and run in one. Those of other sites are left out.

        Raises UnknownAct when not one of the ids is on these sites.
        """
        planned = self.plan(site_ids, ids, decision, kind=kind, body=body)
        self.begin(site_ids, planned.id, decision.moderator)
        return self.run(site_ids, planned.id)

    def undo(
        self,
        site_ids: SiteIds,
        act_id: str,
        moderator: str,
        *,
        only_own: bool,
        goes_on: Callable[[], bool] = always,
    ) -> Act:
        """Bring back exactly what was before the act, where its decisions still stand.

        Goes on with an undo that was stopped half way. `goes_on` is asked between transactions.
        Raises UnknownAct, NothingToUndo.
        """
        while self._undo_step(site_ids, act_id, moderator, only_own=only_own):
            time.sleep(self._pause_seconds)
            if not goes_on():
                break
        return self.act(site_ids, act_id)

    # -------------------------------------------------------------- step by step

    def plan(
        self,
        site_ids: SiteIds,
        ids: Sequence[str],
        decision: Decision,
        *,
        kind: str,
        body: Mapping[str, object],
    ) -> Act:
        """Write down which comments an act is about; nothing is decided.

        Ids that are on none of the sites are left out. Raises UnknownAct when none is left.
        """
        now = self._store.now()
        act_id = new_id(now)
        row = {
            "id": act_id,
            "kind": kind,
            "outcome": decision.outcome.word,
            "reason": decision.reason,
            "moderator": mask_addresses(decision.moderator),
            "created_at": now,
            "expires_at": now + PLAN_LIFETIME,
            "state": ActState.PLANNED,
            "body": mask_addresses(compact(body)),
        }
        with self._store.writes() as connection:
            _forget_plans(connection, now)
            connection.execute(acts.insert(), row)
            _add(connection, site_ids, act_id, ids)
            return _read(connection, site_ids, act_id)

    def begin(self, site_ids: SiteIds, act_id: str, moderator: str) -> Act:
        """Let a plan of this moderator's be run; one that was begun before stays as it is.

        Raises UnknownAct.
        """
        with self._store.writes() as connection:
            held = _held(connection, site_ids, act_id)
            if held["moderator"] != mask_addresses(moderator):
                raise UnknownAct("this plan is somebody else's")
            if held["state"] == ActState.PLANNED:
                if held["expires_at"] < self._store.now():
                    raise UnknownAct("this plan's time is over")
                _set(connection, act_id, state=ActState.RUNNING, expires_at=None)
                self._tell(connection, "act_begun", held, held["moderator"])
            return _read(connection, site_ids, act_id)

    def run(self, site_ids: SiteIds, act_id: str, *, goes_on: Callable[[], bool] = always) -> Act:
        """Decide what is still to be decided of an act that was begun.

        `goes_on` is asked between transactions. An act that is at its end stays as it is, and so
        does one that is being taken back. Raises UnknownAct.
        """
        while self._run_step(site_ids, act_id):
            time.sleep(self._pause_seconds)
            if not goes_on():
                break
        return self.act(site_ids, act_id)

    def _run_step(self, site_ids: SiteIds, act_id: str) -> bool:
        """Whether there is more to do."""
        with self._store.writes() as connection:
            held = _held(connection, site_ids, act_id)
            if held["state"] != ActState.RUNNING:
                return False
            ids = _next(connection, site_ids, act_id, ItemState.WAITS)
            if ids:
                decision = _decision(held, self._store.now())
                made = decide_all(connection, ids, decision, body={"act": act_id})
                _note(connection, act_id, ItemState.DONE, made)
                left = [one for one in ids if one not in made]
                _note(connection, act_id, ItemState.LEFT, dict.fromkeys(left))
                return True
            # What may no longer be decided by whoever asks is left as well.
            rest = act_items.update().where(
                act_items.c.act_id == act_id, act_items.c.state == ItemState.WAITS
            )
            connection.execute(rest.values(state=ItemState.LEFT))
            _set(connection, act_id, state=ActState.DONE)
            self._tell(connection, "act_done", held, held["moderator"])
            return False

    def _undo_step(self, site_ids: SiteIds, act_id: str, moderator: str, *, only_own: bool) -> bool:
        now = self._store.now()
        with self._store.writes() as connection:
            held = _held(connection, site_ids, act_id)
            if only_own and held["moderator"] != mask_addresses(moderator):
                raise NothingToUndo("the act is somebody else's")
            if held["state"] in (ActState.PLANNED, ActState.UNDONE):
                raise NothingToUndo("the act was taken back before, or never begun")
            ids = _next(connection, site_ids, act_id, ItemState.DONE)
            if ids:
                if held["state"] != ActState.UNDOING:
                    _set(connection, act_id, state=ActState.UNDOING)
                decided = _decision_ids(connection, act_id, ids)
                actor = Actor(moderator, now)
                back = undo_all(connection, decided, actor=actor, body={"act": act_id})
                _note(connection, act_id, ItemState.UNDONE, {one: decided[one] for one in back})
                kept = {one: decided[one] for one in decided if one not in set(back)}
                _note(connection, act_id, ItemState.KEPT, kept)
                return True
            by = mask_addresses(moderator)
            _set(connection, act_id, state=ActState.UNDONE, undone_by=by, undone_at=now)
            self._tell(connection, "act_undone", held, moderator)
            return False

    # -------------------------------------------------------------- what is known

    def act(self, site_ids: SiteIds, act_id: str) -> Act:
        """An act, as far as it is about these sites. Raises UnknownAct."""
        with self._store.reads() as connection:
            return _read(connection, site_ids, act_id)

    def comments_of(
        self, site_ids: SiteIds, act_id: str, *, state: ItemState | None = None, limit: int = 1000
    ) -> list[str]:
        """The ids of an act's comments on these sites, in order."""
        with self._store.reads() as connection:
            return _next(connection, site_ids, act_id, state, limit=limit)

    def add(self, site_ids: SiteIds, act_id: str, ids: Sequence[str]) -> Act:
        """Have an act decide more comments, which arrived later; undone with the rest.

        An act that was taken back, or is being so, stays as it is. Raises UnknownAct.
        """
        with self._store.writes() as connection:
            held = _held(connection, site_ids, act_id)
            if held["state"] not in (ActState.RUNNING, ActState.DONE):
                return _read(connection, site_ids, act_id)
            _add(connection, site_ids, act_id, ids)
            _set(connection, act_id, state=ActState.RUNNING)
        return self.run(site_ids, act_id)

    def _tell(self, connection: sa.Connection, kind: str, held: sa.RowMapping, by: str) -> None:
        """Told to each site with its own counts: nobody learns of another site's comments."""
        statement = sa.select(act_items.c.site_id, act_items.c.state, sa.func.count())
        statement = statement.where(act_items.c.act_id == held["id"])
        counts: dict[str, dict[str, int]] = {}
        for site_id, state, count in connection.execute(
            statement.group_by(act_items.c.site_id, act_items.c.state)
        ):
            counts.setdefault(site_id, {})[state] = count
        what = {"act": held["id"], "kind": held["kind"]}
        said = {"outcome": held["outcome"], "reason": held["reason"]}
        actor = Actor(by, self._store.now())
        for site_id, of_site in sorted(counts.items()):
            body = what | said | {"counts": of_site}
            tell(connection, kind, actor, site_id=site_id, body=body)


# ------------------------------------------------------------------ rows


def _on(site_ids: SiteIds, table: sa.Table = act_items) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)


def _held(connection: sa.Connection, site_ids: SiteIds, act_id: str) -> sa.RowMapping:
    """The act's own row, kept from others until the transaction ends. Raises UnknownAct."""
    row = None
    if act_id.isascii() and act_id.isprintable() and len(act_id) <= _LONGEST_ID:
        seen = sa.exists().where(act_items.c.act_id == acts.c.id, *_on(site_ids))
        statement = sa.select(acts).where(acts.c.id == act_id, seen).with_for_update(of=acts)
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise UnknownAct("there is no such act")
    return row


def _read(connection: sa.Connection, site_ids: SiteIds, act_id: str) -> Act:
    if not (act_id.isascii() and act_id.isprintable() and len(act_id) <= _LONGEST_ID):
        raise UnknownAct("there is no such act")
    row = connection.execute(sa.select(acts).where(acts.c.id == act_id)).mappings().one_or_none()
    statement = sa.select(act_items.c.state, sa.func.count())
    statement = statement.where(act_items.c.act_id == act_id, *_on(site_ids))
    found = connection.execute(statement.group_by(act_items.c.state))
    counts = {ItemState(state): count for state, count in found}
    if row is None or not counts:
        raise UnknownAct("there is no such act")
    return Act(
        id=row["id"],
        kind=row["kind"],
        outcome=Outcome.of(row["outcome"]),
        reason=RejectReason(row["reason"]) if row["reason"] else None,
        moderator=row["moderator"],
        created_at=row["created_at"],
        state=ActState(row["state"]),
        body=json.loads(row["body"]),
        undone_by=row["undone_by"],
        undone_at=row["undone_at"],
        counts=counts,
    )


def _add(connection: sa.Connection, site_ids: SiteIds, act_id: str, ids: Sequence[str]) -> None:
    """Write comments into an act that are not there yet."""
    for start in range(0, len(ids), 500):
        some = list(ids[start : start + 500])
        known = sa.exists().where(
            act_items.c.act_id == act_id, act_items.c.comment_id == comments.c.id
        )
        on = sa.select(
            sa.literal(act_id),
            comments.c.id,
            comments.c.site_id,
            sa.literal(ItemState.WAITS.value),
        ).where(comments.c.id.in_(some), *_on(site_ids, comments), ~known)
        columns = ["act_id", "comment_id", "site_id", "state"]
        connection.execute(act_items.insert().from_select(columns, on))


def _next(
    connection: sa.Connection,
    site_ids: SiteIds,
    act_id: str,
    state: ItemState | None,
    *,
    limit: int = STEP,
) -> list[str]:
    in_state = () if state is None else (act_items.c.state == state,)
    statement = sa.select(act_items.c.comment_id).where(
        act_items.c.act_id == act_id, *in_state, *_on(site_ids)
    )
    return [*connection.execute(statement.order_by(act_items.c.comment_id).limit(limit)).scalars()]


def _decision_ids(connection: sa.Connection, act_id: str, ids: Sequence[str]) -> dict[str, str]:
    statement = sa.select(act_items.c.comment_id, act_items.c.decision_id).where(
        act_items.c.act_id == act_id, act_items.c.comment_id.in_(ids)
    )
    return {row.comment_id: row.decision_id for row in connection.execute(statement)}


def _note(
    connection: sa.Connection, act_id: str, state: ItemState, what: Mapping[str, str | None]
) -> None:
    """Write what has become of comments, with the ids of their decisions."""
    if not what:
        return
    own = sa.and_(
        act_items.c.act_id == act_id, act_items.c.comment_id == sa.bindparam("of_comment")
    )
    statement = act_items.update().where(own)
    values: dict[str, object] = {
        "state": state.value,
        "decision_id": sa.bindparam("by_decision"),
    }
    rows = [{"of_comment": one, "by_decision": decision} for one, decision in what.items()]
    connection.execute(statement.values(values), rows)


def _set(connection: sa.Connection, act_id: str, **values: object) -> None:
    connection.execute(acts.update().where(acts.c.id == act_id).values(values))


def _decision(held: sa.RowMapping, at: datetime) -> Decision:
    reason = RejectReason(held["reason"]) if held["reason"] else None
    return Decision(Outcome.of(held["outcome"]), reason, held["moderator"], at)


def _forget_plans(connection: sa.Connection, now: datetime) -> None:
    """Forget what was planned and never begun in its time."""
    over = sa.select(acts.c.id).where(acts.c.expires_at < now)
    connection.execute(act_items.delete().where(act_items.c.act_id.in_(over)))
    connection.execute(acts.delete().where(acts.c.expires_at < now))
