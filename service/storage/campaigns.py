"""Campaigns as they are kept: who is in one, what was decided of all, and for how long that holds.

A campaign belongs to one site. What a moderator decides of it is an act on a snapshot of its
waiting comments (`service.storage.acts`); while that stands and its time has not run out, later
arrivals that wait as well follow it, as part of the same act, so that one undo brings all back.
Nothing follows but what waits for a person anyway: a verdict is never touched.

Knows how it is written down. Which comments are alike is `model.campaigns`, and who looks is
`service.campaigns`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.campaigns import Trait
from model.decision import Decision
from service.storage import review
from service.storage.acts import Act, Acts, ActState
from service.storage.errors import NothingToUndo, StoreError, UnknownComment
from service.storage.events import Actor, tell
from service.storage.records import QueueItem, StoredComment, Waiting, new_id
from service.storage.review import SiteIds
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import (
    IN_CAMPAIGN_INDEX,
    act_comments,
    acts,
    campaign_members,
    campaigns,
    chore_leases,
    comments,
    queue,
    waiting,
)

KIND = "campaign"
"""What acts on a campaign are called in the log."""

LONGEST_FOLLOWING = timedelta(days=7)
SAMPLES = 3
LEAST_SHOWN = 2
"""A campaign of which fewer comments wait is no card of its own: they are shown singly."""

NONE = ""
"""In `waiting.campaign`: somebody looked, and it is in none."""


class UnknownCampaign(StoreError):
    """There is no such campaign on the sites that the caller may see."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: what its comments share, how many wait and since when, and what was decided.

    `said` is the domain or pattern of names that they share, "" for nearly the same words.
    `waiting` counts those that wait, `members` all there ever were. `act` is the act that stands,
    None when there is none or it was undone; `followed` counts what came after it and followed.
    """

    id: str
    site_id: str
    trait: Trait
    said: str
    made_at: datetime
    waiting: int
    members: int
    newest: str
    act: Act | None
    follows_until: datetime | None

    def is_followed(self, now: datetime) -> bool:
        """Whether arrivals follow what was decided at this time."""
        return self.act is not None and self.follows_until is not None and now < self.follows_until


class Campaigns:
    """Campaigns on the sites that a caller may see or act on; None is every site."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._acts = Acts(store)

    # -------------------------------------------------------------- what there is

    def open(self, site_ids: SiteIds, *, limit: int) -> list[Campaign]:
        """Those of which most wait, the largest first, `LEAST_SHOWN` comments at the least."""
        return self.of(self.open_ids(site_ids, limit=limit))

    def of(self, ids: Sequence[str]) -> list[Campaign]:
        """Campaigns by their ids, which the caller may see."""
        with self._store.reads() as connection:
            return [self._of(connection, campaign_id) for campaign_id in ids]

    def open_ids(self, site_ids: SiteIds, *, limit: int) -> list[str]:
        """The ids of those."""
        number = sa.func.count()
        statement = (
            sa.select(waiting.c.campaign)
            .where(waiting.c.campaign.is_not(None), waiting.c.campaign != NONE)
            .where(*_on(waiting, site_ids))
            .group_by(waiting.c.campaign)
            .having(number >= LEAST_SHOWN)
            .order_by(number.desc(), waiting.c.campaign)
            .limit(limit)
        )
        with self._store.reads() as connection:
            return list(connection.execute(statement).scalars())

    def decided(self, site_ids: SiteIds, *, limit: int) -> list[Campaign]:
        """Those that were decided and not undone, the newest decision first."""
        statement = (
            sa.select(campaigns.c.id)
            .join(acts, acts.c.id == campaigns.c.act_id)
            .where(acts.c.state != ActState.UNDONE.value, *_on(campaigns, site_ids))
            .order_by(acts.c.at.desc(), campaigns.c.id)
            .limit(limit)
        )
        with self._store.reads() as connection:
            ids = connection.execute(statement).scalars().all()
            return [self._of(connection, campaign_id) for campaign_id in ids]

    def campaign(self, site_ids: SiteIds, campaign_id: str) -> Campaign:
        """One campaign. Raises UnknownCampaign."""
        with self._store.reads() as connection:
            _seen(connection, site_ids, campaign_id)
            return self._of(connection, campaign_id)

    def page(
        self, site_ids: SiteIds, campaign_id: str, *, after: str = "", limit: int = 20
    ) -> list[QueueItem]:
        """Waiting comments of a campaign in order of receipt, from behind an id.

        Raises UnknownCampaign.
        """
        with self._store.reads() as connection:
            _seen(connection, site_ids, campaign_id)
            after = after if review.may_be_id(after) else ""
            return _items(connection, campaign_id, after=after, limit=limit)

    def samples(self, campaign: Campaign) -> list[QueueItem]:
        """Some of its waiting comments: the first, and the last ones."""
        newest = (
            sa.select(waiting.c.comment_id)
            .where(waiting.c.campaign == campaign.id, IN_CAMPAIGN_INDEX)
            .order_by(waiting.c.comment_id.desc())
            .limit(SAMPLES - 1)
        )
        with self._store.reads() as connection:
            first = _items(connection, campaign.id, limit=1)
            last = _items_of(connection, connection.execute(newest).scalars().all())
        known = {item.comment.id for item in first}
        return first + [item for item in last if item.comment.id not in known]

    def _of(self, connection: sa.Connection, campaign_id: str) -> Campaign:
        row = connection.execute(_CAMPAIGN, {"id": campaign_id}).mappings().one()
        act = None
        if row["act_id"] is not None:
            act = self._acts.act_in(connection, row["act_id"])
        return Campaign(
            id=campaign_id,
            site_id=row["site_id"],
            trait=Trait(row["trait"]),
            said=row["said"],
            made_at=row["made_at"],
            waiting=row["waits"],
            members=row["members"],
            newest=row["newest"] or "",
            act=None if act is None or act.state is ActState.UNDONE else act,
            follows_until=row["follows_until"],
        )

    # -------------------------------------------------------------- what people do

    def decide(
        self,
        site_ids: SiteIds,
        campaign_id: str,
        decision: Decision,
        *,
        upto: str,
        follow_for: timedelta,
    ) -> Act:
        """Decide what waits of a campaign, up to the comment `upto`, which is the newest seen.

        Arrivals follow for so long, `LONGEST_FOLLOWING` at the most. Raises UnknownCampaign,
        UnknownComment when nothing of it waits any more.
        """
        if not timedelta(0) <= follow_for <= LONGEST_FOLLOWING:
            raise ValueError("follow_for must be from nothing to seven days")
        upto = upto if review.may_be_id(upto) else ""
        with self._store.reads() as connection:
            _seen(connection, site_ids, campaign_id)
            statement = sa.select(waiting.c.comment_id).where(
                waiting.c.campaign == campaign_id,
                waiting.c.comment_id <= upto,
                IN_CAMPAIGN_INDEX,
            )
            ids = connection.execute(statement.order_by(waiting.c.comment_id)).scalars().all()
        if not ids:
            raise UnknownComment("nothing of this campaign waits")
        act = self._acts.begin(
            site_ids, ids[: self._acts.most], decision, kind=KIND, body={"campaign": campaign_id}
        )
        until = decision.at + follow_for
        of_it = campaigns.update().where(campaigns.c.id == campaign_id)
        stood = sa.select(campaigns.c.act_id, campaigns.c.follows_until)
        with self._store.writes() as connection:
            held = stood.where(campaigns.c.id == campaign_id).with_for_update()
            before = connection.execute(held).one()
            connection.execute(of_it.values(act_id=act.id, follows_until=until))
        act = self._acts.go_on(site_ids, act.id)
        if act.decided == 0 and act.left and before.act_id is not None:
            # Somebody decided all of it first: theirs stands, and theirs is followed.
            with self._store.writes() as connection:
                ours = of_it.where(campaigns.c.act_id == act.id)
                connection.execute(
                    ours.values(act_id=before.act_id, follows_until=before.follows_until)
                )
        return act

    def follow_until(
        self, site_ids: SiteIds, campaign_id: str, until: datetime, *, moderator: str
    ) -> None:
        """Let arrivals follow until then; the present is to stop it. Raises UnknownCampaign."""
        now = self._store.now()
        with self._store.writes() as connection:
            site_id = _seen(connection, site_ids, campaign_id)
            until = min(until, now + LONGEST_FOLLOWING)
            of_it = campaigns.update().where(campaigns.c.id == campaign_id)
            connection.execute(of_it.values(follows_until=until))
            body = {"campaign": campaign_id, "until": until.isoformat()}
            tell(connection, "campaign_timed", Actor(moderator, now), site_id=site_id, body=body)

    def undo(self, site_ids: SiteIds, campaign_id: str, *, moderator: str, only_own: bool) -> Act:
        """Take back what was decided of a campaign, and of all that followed.

        Raises UnknownCampaign, NothingToUndo.
        """
        with self._store.reads() as connection:
            _seen(connection, site_ids, campaign_id)
            act_id = connection.execute(_CAMPAIGN, {"id": campaign_id}).mappings().one()["act_id"]
        if act_id is None:
            raise NothingToUndo("nothing was decided of this campaign")
        return self._acts.undo(site_ids, act_id, moderator=moderator, only_own=only_own)

    def leave(
        self, site_ids: SiteIds, campaign_id: str, comment_id: str, *, moderator: str
    ) -> None:
        """Take a waiting comment out of a campaign: it waits by itself.

        Raises UnknownCampaign, UnknownComment.
        """
        with self._store.writes() as connection:
            site_id = _seen(connection, site_ids, campaign_id)
            if not review.may_be_id(comment_id):
                raise UnknownComment("there is no such comment")
            own = waiting.update().where(
                waiting.c.comment_id == comment_id, waiting.c.campaign == campaign_id
            )
            if not connection.execute(own.values(campaign=NONE)).rowcount:
                raise UnknownComment("there is no such comment")
            gone = campaign_members.c.comment_id == comment_id
            connection.execute(campaign_members.update().where(gone).values(campaign_id=None))
            tell(
                connection,
                "campaign_left",
                Actor(moderator, self._store.now()),
                site_id=site_id,
                comment_id=comment_id,
                body={"campaign": campaign_id},
            )

    # -------------------------------------------------------------- what comes

    def take_lease(self, name: str, holder: str, lasts: timedelta) -> bool:
        """Whether this process is the one that does a chore until then; another one is not."""
        now = self._store.now()
        with self._store.writes() as connection:
            row = connection.execute(
                sa.select(chore_leases).where(chore_leases.c.name == name).with_for_update()
            ).one_or_none()
            values = {"holder": holder, "until": now + lasts}
            if row is None:
                connection.execute(chore_leases.insert(), values | {"name": name})
                return True
            if row.holder != holder and now < row.until <= now + lasts:
                return False
            mine = chore_leases.update().where(chore_leases.c.name == name)
            connection.execute(mine.values(values))
            return True

    def unlooked(self, *, limit: int) -> list[StoredComment]:
        """Waiting comments that nobody has looked at yet, the oldest first."""
        statement = (
            sa.select(waiting.c.comment_id)
            .where(waiting.c.campaign.is_(None))
            .order_by(waiting.c.comment_id)
            .limit(limit)
        )
        with self._store.reads() as connection:
            ids = connection.execute(statement).scalars().all()
            return _stored(connection, ids)

    def looked_at(self, *, after: str, limit: int) -> list[tuple[StoredComment, str, Trait | None]]:
        """What waits and was looked at, by id from behind one: with its campaign, "" for none."""
        statement = (
            sa.select(waiting.c.comment_id, waiting.c.campaign, campaigns.c.trait)
            .outerjoin(campaigns, campaigns.c.id == waiting.c.campaign)
            .where(waiting.c.campaign.is_not(None), waiting.c.comment_id > after)
            .order_by(waiting.c.comment_id)
            .limit(limit)
        )
        return self._with_comments(statement)

    def followed_samples(self, *, each: int = 20) -> list[tuple[StoredComment, str, Trait | None]]:
        """The first members of the campaigns that arrivals follow now."""
        live = (
            sa.select(campaigns.c.id)
            .join(acts, acts.c.id == campaigns.c.act_id)
            .where(acts.c.state != ActState.UNDONE.value)
            .where(campaigns.c.follows_until > self._store.now())
        )
        with self._store.reads() as connection:
            ids = connection.execute(live).scalars().all()
        found = []
        for campaign_id in ids:
            found += self._with_comments(
                sa.select(
                    campaign_members.c.comment_id,
                    campaign_members.c.campaign_id.label("campaign"),
                    campaigns.c.trait,
                )
                .join(campaigns, campaigns.c.id == campaign_members.c.campaign_id)
                .where(campaign_members.c.campaign_id == campaign_id)
                .order_by(campaign_members.c.comment_id)
                .limit(each)
            )
        return found

    def _with_comments(
        self, statement: sa.Select[tuple[str, str | None, str | None]]
    ) -> list[tuple[StoredComment, str, Trait | None]]:
        with self._store.reads() as connection:
            rows = {row.comment_id: row for row in connection.execute(statement)}
            found = _stored(connection, list(rows))
        return [
            (comment, rows[comment.id].campaign or NONE, _trait(rows[comment.id].trait))
            for comment in found
        ]

    def members_known(self, ids: Sequence[str]) -> dict[str, str]:
        """The campaign of each of some comments that was put in one, or taken out of it ("")."""
        statement = sa.select(campaign_members).where(campaign_members.c.comment_id.in_(ids))
        with self._store.reads() as connection:
            return {
                row.comment_id: row.campaign_id or NONE for row in connection.execute(statement)
            }

    def still_waiting(self, ids: Iterable[str]) -> frozenset[str]:
        """Which of some comments wait."""
        wanted = list(ids)
        found: set[str] = set()
        with self._store.reads() as connection:
            for start in range(0, len(wanted), 500):
                found |= review.still_waiting(connection, wanted[start : start + 500])
        return frozenset(found)

    def make(self, site_id: str, trait: Trait, said: str, ids: Sequence[str]) -> str:
        """A new campaign of waiting comments of a site; its id."""
        now = self._store.now()
        campaign_id = new_id(now)
        row = {"id": campaign_id, "site_id": site_id, "trait": trait.value, "made_at": now}
        with self._store.writes() as connection:
            connection.execute(campaigns.insert(), row | {"said": mask_addresses(said)})
            count = _join(connection, campaign_id, ids)
            body = {"campaign": campaign_id, "trait": trait.value, "comments": count}
            tell(connection, "campaign_found", Actor(KIND, now), site_id=site_id, body=body)
        return campaign_id

    def join(self, campaign_id: str, ids: Sequence[str]) -> int:
        """Put waiting comments in a campaign; what stands of it is followed. How many followed."""
        with self._store.writes() as connection:
            _join(connection, campaign_id, ids)
            return self._follow(connection, campaign_id, ids)

    def settle(self, ids: Sequence[str]) -> None:
        """Note that somebody looked, and that these are in no campaign."""
        with self._store.writes() as connection:
            new = waiting.update().where(
                waiting.c.comment_id.in_(ids), waiting.c.campaign.is_(None)
            )
            connection.execute(new.values(campaign=NONE))

    def _follow(self, connection: sa.Connection, campaign_id: str, ids: Sequence[str]) -> int:
        row = connection.execute(_CAMPAIGN, {"id": campaign_id}).mappings().one()
        now = self._store.now()
        if row["act_id"] is None or row["follows_until"] is None or now >= row["follows_until"]:
            return 0
        # Held, so that nobody takes the act back meanwhile.
        held_act = sa.select(acts).where(acts.c.id == row["act_id"]).with_for_update()
        act = connection.execute(held_act).mappings().one()
        if act["state"] == ActState.UNDONE:
            return 0
        decision = replace(self._acts.decision_in(act), at=now)
        highest = sa.select(sa.func.max(act_comments.c.place)).where(
            act_comments.c.act_id == act["id"]
        )
        place = (connection.execute(highest).scalar_one() or 0) + 1
        count = 0
        for comment_id, held in sorted(review.held_of(connection, ids).items()):
            if held["decided"] is not None:
                continue
            made = review.decide_held(connection, held, decision, follows=campaign_id)
            followed = {
                "act_id": act["id"],
                "place": place + count,
                "comment_id": comment_id,
                "site_id": held["site_id"],
                "state": "decided",
                "decision_id": made,
            }
            connection.execute(act_comments.insert(), followed)
            count += 1
        return count


# ------------------------------------------------------------------ steps

_OF_IT = campaigns.c.id
_CAMPAIGN = sa.select(
    campaigns,
    sa.select(sa.func.count())
    .where(waiting.c.campaign == _OF_IT, IN_CAMPAIGN_INDEX)
    .correlate(campaigns)
    .scalar_subquery()
    .label("waits"),
    sa.select(sa.func.max(waiting.c.comment_id))
    .where(waiting.c.campaign == _OF_IT, IN_CAMPAIGN_INDEX)
    .correlate(campaigns)
    .scalar_subquery()
    .label("newest"),
    sa.select(sa.func.count())
    .where(campaign_members.c.campaign_id == _OF_IT)
    .correlate(campaigns)
    .scalar_subquery()
    .label("members"),
).where(campaigns.c.id == sa.bindparam("id"))


def _on(table: sa.Table, site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)


def _seen(connection: sa.Connection, site_ids: SiteIds, campaign_id: str) -> str:
    """The site of a campaign that the caller may see. Raises UnknownCampaign."""
    statement = sa.select(campaigns.c.site_id).where(
        campaigns.c.id == campaign_id, *_on(campaigns, site_ids)
    )
    known = review.may_be_id(campaign_id)
    site_id: str | None = connection.execute(statement).scalar_one_or_none() if known else None
    if site_id is None:
        raise UnknownCampaign("there is no such campaign")
    return site_id


def _items(
    connection: sa.Connection, campaign_id: str, *, after: str = "", limit: int
) -> list[QueueItem]:
    statement = (
        sa.select(waiting.c.comment_id)
        .where(waiting.c.campaign == campaign_id, waiting.c.comment_id > after, IN_CAMPAIGN_INDEX)
        .order_by(waiting.c.comment_id)
        .limit(limit)
    )
    return _items_of(connection, connection.execute(statement).scalars().all())


def _items_of(connection: sa.Connection, ids: Sequence[str]) -> list[QueueItem]:
    found = STORED.where(comments.c.id.in_(ids)).order_by(comments.c.id)
    rows = connection.execute(found).mappings().all()
    return [QueueItem(stored_comment(row), Waiting(row["why"])) for row in rows if row["why"]]


def _stored(connection: sa.Connection, ids: Sequence[str]) -> list[StoredComment]:
    found = STORED.where(comments.c.id.in_(ids)).order_by(comments.c.id)
    return [stored_comment(row) for row in connection.execute(found).mappings()]


def _trait(word: str | None) -> Trait | None:
    return Trait(word) if word else None


def _join(connection: sa.Connection, campaign_id: str, ids: Sequence[str]) -> int:
    """Those of some comments that wait and are in no campaign are in this one; how many."""
    still = sa.select(queue.c.comment_id).where(queue.c.comment_id.in_(ids)).with_for_update()
    waits = set(connection.execute(still).scalars())
    known = sa.select(campaign_members.c.comment_id).where(campaign_members.c.comment_id.in_(ids))
    taken = set(connection.execute(known).scalars())
    rows: list[Mapping[str, str]] = [
        {"comment_id": one, "campaign_id": campaign_id} for one in ids if one in waits - taken
    ]
    if rows:
        connection.execute(campaign_members.insert(), rows)
    mine = sa.select(campaign_members.c.comment_id).where(
        campaign_members.c.comment_id.in_(ids), campaign_members.c.campaign_id == campaign_id
    )
    own = list(connection.execute(mine).scalars())
    connection.execute(
        waiting.update().where(waiting.c.comment_id.in_(own)).values(campaign=campaign_id)
    )
    return len(own)
