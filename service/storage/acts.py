"""One decision on many comments: a snapshot of their ids, worked through a part at a time.

An act is written down before its first comment is decided, so that one that was killed half way
is on record with all that it did, and is gone on with or taken back. Each part is a transaction
of its own, short enough for comments to be judged in between. What somebody else decided stays,
and is counted; an undo takes back what the act itself decided and nothing else.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage import review
from service.storage.errors import NothingToUndo, StoreError, UnknownComment
from service.storage.events import Actor, tell
from service.storage.records import new_id
from service.storage.review import SiteIds
from service.storage.rows import compact
from service.storage.store import Store
from service.storage.tables import act_comments, acts, comments

AT_ONCE = 50
"""Comments of one transaction: some 30 ms in which on SQLite nobody else writes."""

MOST = 5000
"""Comments of one act."""

PLAN_LIFETIME = timedelta(minutes=30)
"""How long after it was made a plan may be started."""

_IDS_AT_ONCE = 500


class UnknownAct(StoreError):
    """There is no such act on the sites that the caller may see."""


class ActState(StrEnum):
    """How far an act is; one that is undone is not gone on with."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    UNDONE = "undone"


class _Place(StrEnum):
    """What became of a comment of an act."""

    DUE = "due"
    DECIDED = "decided"
    LEFT = "left"  # decided by somebody else, or gone
    RESTORED = "restored"
    KEPT = "kept"  # the act was undone, but its decision did not stand any more


@dataclass(frozen=True, slots=True)
class Act:
    """An act and what became of its comments, each of which is counted once.

    `decided` are those whose decision by this act was made and not taken back by its undo, `left`
    those that somebody else had decided or that were gone, `due` those not dealt with yet,
    `restored` what its undo brought back and `kept` what that found decided otherwise meanwhile.
    `body` is what its maker noted: no content and no address.
    """

    id: str
    kind: str
    decision: Decision
    body: Mapping[str, object]
    state: ActState
    site_ids: frozenset[str]
    due: int
    decided: int
    left: int
    restored: int
    kept: int
    undone_at: datetime | None
    undone_by: str | None

    @property
    def count(self) -> int:
        """The comments of its snapshot."""
        return self.due + self.decided + self.left + self.restored + self.kept


def _yield() -> None:
    """Let those who wait to write have their turn: on SQLite they look every half millisecond."""
    time.sleep(0.002)


class Acts:
    """Makes acts, goes on with them and takes them back. Safe to share between threads.

    `site_ids` are the sites a caller may act on, None for all. An act that touches any other site
    is not there for them.
    """

    most = MOST

    def __init__(self, store: Store, *, pause: Callable[[], object] = _yield) -> None:
        self._store = store
        self._pause = pause

    @staticmethod
    def act_in(connection: sa.Connection, act_id: str) -> Act:
        """An act as a transaction sees it, whoever may."""
        return _act(connection, act_id)

    @staticmethod
    def decision_in(act: sa.RowMapping) -> Decision:
        """The decision in the row of an act."""
        return _decision(act)

    def decide(
        self,
        site_ids: SiteIds,
        ids: Iterable[str],
        decision: Decision,
        *,
        kind: str,
        body: Mapping[str, object] | None = None,
    ) -> Act:
        """Begin an act and go on to its end."""
        return self.go_on(site_ids, self.begin(site_ids, ids, decision, kind=kind, body=body).id)

    def begin(
        self,
        site_ids: SiteIds,
        ids: Iterable[str],
        decision: Decision,
        *,
        kind: str,
        body: Mapping[str, object] | None = None,
    ) -> Act:
        """Write an act down; nothing is decided yet.

        Ids of other sites' comments, and of none, are no part of it; one that comes twice is one.
        Raises ValueError for more than `MOST` ids, UnknownComment when none is there.
        """
        now = Actor(decision.moderator, decision.at)
        with self._store.writes() as connection:
            act_id = _write_down(connection, site_ids, ids, decision, kind=kind, body=body or {})
            _begin(connection, act_id, now)
            return _act(connection, act_id)

    def plan(
        self,
        site_ids: SiteIds,
        ids: Iterable[str],
        decision: Decision,
        *,
        kind: str,
        body: Mapping[str, object] | None = None,
    ) -> Act:
        """Write down what an act would be, to be looked at first; `start` begins it.

        Plans that nobody started in time are forgotten on the way. Raises as `begin` does.
        """
        with self._store.writes() as connection:
            _forget_plans(connection, self._store.now() - PLAN_LIFETIME)
            act_id = _write_down(connection, site_ids, ids, decision, kind=kind, body=body or {})
            return _act(connection, act_id)

    def start(self, site_ids: SiteIds, act_id: str, moderator: str) -> Act:
        """Begin what this moderator planned; an act that has begun is left as it is.

        Raises UnknownAct for another's plan, or one that is older than `PLAN_LIFETIME`.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            act = _held_act(connection, site_ids, act_id)
            if act["moderator"] != mask_addresses(moderator):
                raise UnknownAct("the plan is somebody else's")
            if act["state"] == ActState.PLANNED:
                if act["at"] < now - PLAN_LIFETIME:
                    raise UnknownAct("the plan is too old")
                _begin(connection, act_id, Actor(moderator, now))
            return _act(connection, act_id)

    def go_on(
        self,
        site_ids: SiteIds,
        act_id: str,
        *,
        most: int = MOST,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Act:
        """Decide what of an act is due, up to about `most` comments; one at its end is left alone.

        Several may go on with one act at once: each comment is decided once. `progress` is told
        after each transaction how many are dealt with. Raises UnknownAct.
        """
        done = 0
        while True:
            with self._store.writes() as connection:
                act = _held_act(connection, site_ids, act_id)
                if act["state"] == ActState.RUNNING:
                    count = _decide_some(connection, act)
                    if count < AT_ONCE:
                        _set_state(connection, act_id, ActState.DONE)
                    done += count
                found = _act(connection, act_id)
            progress(done)
            if found.state is not ActState.RUNNING or done >= most:
                return found
            self._pause()

    def undo(
        self, site_ids: SiteIds, act_id: str, *, moderator: str, only_own: bool = False
    ) -> Act:
        """Bring back what was before each of an act's decisions that still stands.

        What was not decided yet never is. An undo that was killed half way is gone on with by
        another one. Raises UnknownAct, NothingToUndo.
        """
        with self._store.writes() as connection:
            act = _held_act(connection, site_ids, act_id)
            if only_own and act["moderator"] != mask_addresses(moderator):
                raise NothingToUndo("the act is somebody else's")
            if act["state"] == ActState.PLANNED:
                raise NothingToUndo("the act was never begun")
            if act["state"] == ActState.UNDONE and not _places(connection, act_id, _Place.DECIDED):
                raise NothingToUndo("the act is undone")
            if act["state"] != ActState.UNDONE:
                actor = Actor(moderator, self._store.now())
                _begin_undo(connection, act, actor)
        while self._undo_some(site_ids, act_id, moderator) == AT_ONCE:
            self._pause()
        with self._store.reads() as connection:
            return _act(connection, act_id)

    def _undo_some(self, site_ids: SiteIds, act_id: str, moderator: str) -> int:
        with self._store.writes() as connection:
            _held_act(connection, site_ids, act_id)
            places = _places(connection, act_id, _Place.DECIDED)
            held = review.held_of(connection, [place["comment_id"] for place in places])
            actor = Actor(moderator, self._store.now())
            for place in places:
                comment = held.get(place["comment_id"])
                is_back = comment is not None and review.undo_held(
                    connection, comment, place["decision_id"], actor=actor
                )
                _settle(connection, place, _Place.RESTORED if is_back else _Place.KEPT)
            return len(places)

    def act(self, site_ids: SiteIds, act_id: str) -> Act | None:
        """An act, None if there is none on these sites alone."""
        with self._store.reads() as connection:
            try:
                _seen(connection, site_ids, act_id)
            except UnknownAct:
                return None
            return _act(connection, act_id)

    def comments_of(
        self, site_ids: SiteIds, act_id: str, *, after: int = -1, limit: int = 20
    ) -> list[tuple[int, str]]:
        """Place and id of an act's comments, in order, from behind a place. Raises UnknownAct."""
        with self._store.reads() as connection:
            _seen(connection, site_ids, act_id)
            statement = (
                sa.select(act_comments.c.place, act_comments.c.comment_id)
                .where(act_comments.c.act_id == act_id, act_comments.c.place > after)
                .order_by(act_comments.c.place)
                .limit(limit)
            )
            return [(row.place, row.comment_id) for row in connection.execute(statement)]

    def unfinished(self, site_ids: SiteIds, *, limit: int = 20) -> list[Act]:
        """Acts that are not at their end, oldest first: somebody is at it, or it was killed."""
        with self._store.reads() as connection:
            statement = sa.select(acts.c.id).where(acts.c.state == ActState.RUNNING.value)
            ids = connection.execute(statement.order_by(acts.c.id)).scalars().all()
            found = [_act(connection, act_id) for act_id in ids]
        return [act for act in found if _is_seen(act.site_ids, site_ids)][:limit]


# ------------------------------------------------------------------ steps


def _write_down(
    connection: sa.Connection,
    site_ids: SiteIds,
    ids: Iterable[str],
    decision: Decision,
    *,
    kind: str,
    body: Mapping[str, object],
) -> str:
    """The id of a new plan. Raises ValueError, UnknownComment."""
    wanted = list(dict.fromkeys(ids))
    if len(wanted) > MOST:
        raise ValueError(f"an act is on {MOST} comments at the most")
    sites = _sites_of(connection, site_ids, wanted)
    if not sites:
        raise UnknownComment("none of these comments is there")
    act_id = new_id(decision.at)
    row = {
        "id": act_id,
        "kind": kind,
        "outcome": decision.outcome.word,
        "reason": decision.reason,
        "moderator": mask_addresses(decision.moderator),
        "at": decision.at,
        "body": mask_addresses(compact(body)),
        "state": ActState.PLANNED.value,
    }
    connection.execute(acts.insert(), row)
    places = [
        {
            "act_id": act_id,
            "place": place,
            "comment_id": comment_id,
            "site_id": sites[comment_id],
            "state": _Place.DUE.value,
        }
        for place, comment_id in enumerate(one for one in wanted if one in sites)
    ]
    connection.execute(act_comments.insert(), places)
    return act_id


def _begin(connection: sa.Connection, act_id: str, actor: Actor) -> None:
    _set_state(connection, act_id, ActState.RUNNING, at=actor.at)
    act = connection.execute(sa.select(acts).where(acts.c.id == act_id)).mappings().one()
    statement = sa.select(act_comments.c.site_id).where(act_comments.c.act_id == act_id)
    places = connection.execute(statement).mappings().all()
    told: dict[str, object] = {
        "act": act_id,
        "what": act["kind"],
        "outcome": act["outcome"],
        "reason": act["reason"],
    }
    _tell(connection, "acted", actor, [dict(place) for place in places], told)


def _forget_plans(connection: sa.Connection, before: datetime) -> None:
    """Forget what was planned before then and never begun."""
    old = sa.select(acts.c.id).where(acts.c.state == ActState.PLANNED.value, acts.c.at < before)
    ids = connection.execute(old).scalars().all()
    connection.execute(act_comments.delete().where(act_comments.c.act_id.in_(ids)))
    connection.execute(acts.delete().where(acts.c.id.in_(ids)))


def _sites_of(connection: sa.Connection, site_ids: SiteIds, ids: Sequence[str]) -> dict[str, str]:
    """The site of each comment that there is on these sites."""
    found: dict[str, str] = {}
    usable = [one for one in ids if review.may_be_id(one)]
    for start in range(0, len(usable), _IDS_AT_ONCE):
        statement = sa.select(comments.c.id, comments.c.site_id).where(
            comments.c.id.in_(usable[start : start + _IDS_AT_ONCE])
        )
        if site_ids is not None:
            statement = statement.where(comments.c.site_id.in_(list(site_ids)))
        found |= {row.id: row.site_id for row in connection.execute(statement)}
    return found


def _is_seen(sites: Collection[str], site_ids: SiteIds) -> bool:
    return site_ids is None or (bool(sites) and set(sites) <= set(site_ids))


def _sites_of_act(connection: sa.Connection, act_id: str) -> frozenset[str]:
    statement = sa.select(act_comments.c.site_id).where(act_comments.c.act_id == act_id)
    return frozenset(connection.execute(statement.distinct()).scalars())


def _seen(connection: sa.Connection, site_ids: SiteIds, act_id: str) -> None:
    if not review.may_be_id(act_id) or not _is_seen(_sites_of_act(connection, act_id), site_ids):
        raise UnknownAct("there is no such act")
    known = sa.select(sa.exists().where(acts.c.id == act_id))
    if not connection.execute(known).scalar_one():
        raise UnknownAct("there is no such act")


def _held_act(connection: sa.Connection, site_ids: SiteIds, act_id: str) -> sa.RowMapping:
    """The act's own row, kept from others who would go on with it or take it back."""
    _seen(connection, site_ids, act_id)
    statement = sa.select(acts).where(acts.c.id == act_id).with_for_update()
    return connection.execute(statement).mappings().one()


def _places(connection: sa.Connection, act_id: str, state: _Place) -> Sequence[sa.RowMapping]:
    statement = (
        sa.select(act_comments)
        .where(act_comments.c.act_id == act_id, act_comments.c.state == state.value)
        .order_by(act_comments.c.place)
        .limit(AT_ONCE)
    )
    return connection.execute(statement).mappings().all()


def _decide_some(connection: sa.Connection, act: sa.RowMapping) -> int:
    """Deal with the next comments that are due; how many there were."""
    places = _places(connection, act["id"], _Place.DUE)
    held = review.held_of(connection, [place["comment_id"] for place in places])
    decision = _decision(act)
    for place in places:
        comment = held.get(place["comment_id"])
        decision_id = None
        if comment is not None and comment["decided"] is None:
            decision_id = review.decide_held(connection, comment, decision)
        state = _Place.LEFT if decision_id is None else _Place.DECIDED
        _settle(connection, place, state, decision_id)
    return len(places)


def _settle(
    connection: sa.Connection, place: sa.RowMapping, state: _Place, decision_id: str | None = None
) -> None:
    statement = act_comments.update().where(
        act_comments.c.act_id == place["act_id"], act_comments.c.place == place["place"]
    )
    values = {"state": state.value} | ({"decision_id": decision_id} if decision_id else {})
    connection.execute(statement.values(values))


def _begin_undo(connection: sa.Connection, act: sa.RowMapping, actor: Actor) -> None:
    act_id = act["id"]
    by = {"undone_at": actor.at, "undone_by": mask_addresses(actor.name)}
    _set_state(connection, act_id, ActState.UNDONE, **by)
    due = act_comments.update().where(
        act_comments.c.act_id == act_id, act_comments.c.state == _Place.DUE.value
    )
    connection.execute(due.values(state=_Place.LEFT.value))
    sites = [{"site_id": site_id} for site_id in _sites_of_act(connection, act_id)]
    told: dict[str, object] = {"act": act_id, "what": act["kind"], "by": act["moderator"]}
    _tell(connection, "act_undone", actor, sites, told)


def _set_state(connection: sa.Connection, act_id: str, state: ActState, **values: object) -> None:
    statement = acts.update().where(acts.c.id == act_id)
    connection.execute(statement.values({"state": state.value} | values))


def _decision(act: sa.RowMapping) -> Decision:
    reason = RejectReason(act["reason"]) if act["reason"] else None
    return Decision(Outcome.of(act["outcome"]), reason, act["moderator"], act["at"])


def _act(connection: sa.Connection, act_id: str) -> Act:
    row = connection.execute(sa.select(acts).where(acts.c.id == act_id)).mappings().one()
    statement = (
        sa.select(act_comments.c.state, sa.func.count().label("number"))
        .where(act_comments.c.act_id == act_id)
        .group_by(act_comments.c.state)
    )
    counts = {one.state: one.number for one in connection.execute(statement)}
    return Act(
        id=act_id,
        kind=row["kind"],
        decision=_decision(row),
        body=json.loads(row["body"]),
        state=ActState(row["state"]),
        site_ids=_sites_of_act(connection, act_id),
        due=counts.get(_Place.DUE, 0),
        decided=counts.get(_Place.DECIDED, 0),
        left=counts.get(_Place.LEFT, 0),
        restored=counts.get(_Place.RESTORED, 0),
        kept=counts.get(_Place.KEPT, 0),
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
    )


def _tell(
    connection: sa.Connection,
    kind: str,
    actor: Actor,
    places: Iterable[Mapping[str, object]],
    body: Mapping[str, object],
) -> None:
    """Told once for each site, to those who may know of it, with the comments that are its own."""
    counts: dict[str, int] = {}
    for place in places:
        site_id = str(place["site_id"])
        counts[site_id] = counts.get(site_id, 0) + 1
    for site_id, count in counts.items():
        comments_told = {"comments": count} if kind == "acted" else {}
        tell(connection, kind, actor, site_id=site_id, body=dict(body) | comments_told)
