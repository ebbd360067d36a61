"""Campaigns as people see and decide them: what is one, and what was decided of all.

What a moderator decides of a campaign is an act on a snapshot of its waiting comments
(`service.storage.acts`), one act for each site that it is of (`service.storage.kin`): who may see
one of these sites alone finds an act on that site alone. One undo takes back all of one press.

What comes later and follows is `service.storage.campaign_finds`; which comments are alike is
`model.campaigns`, and who looks is `service.campaigns`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from model.campaigns import Trait
from model.decision import Decision
from service.storage import review
from service.storage.acts import Act, Acts, ActState
from service.storage.errors import NothingToUndo, StoreError, UnknownComment, UnknownSite
from service.storage.events import Actor, tell
from service.storage.kin import NONE, Open, Part, open_campaigns, parts_of
from service.storage.records import QueueItem, Waiting
from service.storage.review import SiteIds
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import (
    IN_CAMPAIGN_INDEX,
    acts,
    campaign_members,
    campaigns,
    comments,
    sites,
    waiting,
)

KIND = "campaign"
"""What acts on a campaign are called in the log."""

LONGEST_FOLLOWING = timedelta(days=7)


class UnknownCampaign(StoreError):
    """There is no such campaign on the sites that the caller may see."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as a caller sees it: of one site, or of several that allow it.

    `ids` are its parts, one or more for each of `sites`, which has the site of each; `id` is the
    first, and `site_id` the site of that. `said` is the domain or pattern of names that they
    share, "" for nearly the same words. `waiting` counts those that wait, `members` all there ever
    were. `acts` are what one press decided of it and was not undone.
    """

    ids: tuple[str, ...]
    sites: tuple[str, ...]
    trait: Trait
    said: str
    made_at: datetime
    waiting: int
    members: int
    newest: str
    acts: tuple[Act, ...]
    follows_until: datetime | None

    @property
    def id(self) -> str:
        """What it is called by."""
        return self.ids[0]

    @property
    def site_id(self) -> str:
        """The site of its first part."""
        return self.sites[0]

    @property
    def act(self) -> Act | None:
        """What was decided of it, None when nothing or it was undone."""
        return self.acts[0] if self.acts else None

    @property
    def decided(self) -> int:
        """The comments that the press decided, with those that followed."""
        return sum(act.decided for act in self.acts)

    @property
    def left(self) -> int:
        """Those that others had decided before."""
        return sum(act.left for act in self.acts)

    def is_followed(self, now: datetime) -> bool:
        """Whether arrivals follow what was decided at this time."""
        return self.act is not None and self.follows_until is not None and now < self.follows_until


@dataclass(frozen=True, slots=True)
class Settled:
    """What a press did: an act for each part of the campaign that it decided something of."""

    acts: tuple[Act, ...]

    @property
    def decided(self) -> int:
        """Comments decided by it."""
        return sum(act.decided for act in self.acts)

    @property
    def left(self) -> int:
        """Comments that others had decided before."""
        return sum(act.left for act in self.acts)


class Campaigns:
    """Campaigns on the sites that a caller may see or act on; None is every site."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._acts = Acts(store)

    # -------------------------------------------------------------- what there is

    def open(self, site_ids: SiteIds, *, limit: int) -> list[Campaign]:
        """Those of which most wait, the largest first."""
        return self.of(self.all_open(site_ids)[:limit])

    def all_open(self, site_ids: SiteIds) -> list[Open]:
        """All that stand for comments that wait, the largest first."""
        with self._store.reads() as connection:
            return open_campaigns(connection, site_ids)

    def of(self, found: Sequence[Open]) -> list[Campaign]:
        """Campaigns that the caller may see, whole."""
        with self._store.reads() as connection:
            rows = _rows_of(connection, [one for open_ in found for one in open_.ids])
            return [self._from(connection, rows, one.ids) for one in found]

    def decided(self, site_ids: SiteIds, *, limit: int) -> list[Campaign]:
        """Those that were decided and not undone, the newest decision first.

        What one press decided on several sites is there once, as far as the caller sees it.
        """
        statement = (
            sa.select(campaigns.c.id)
            .join(acts, acts.c.id == campaigns.c.act_id)
            .where(acts.c.state != ActState.UNDONE.value, *_on(campaigns, site_ids))
            .order_by(acts.c.at.desc(), campaigns.c.id)
            .limit(limit)
        )
        found: list[Campaign] = []
        known: set[str] = set()
        with self._store.reads() as connection:
            for campaign_id in connection.execute(statement).scalars().all():
                parts = parts_of(connection, site_ids, campaign_id)
                if not parts or campaign_id in known:
                    continue
                campaign = self._of(connection, [part.id for part in parts])
                known |= {
                    one
                    for one, act_id in _act_ids(connection, campaign.ids).items()
                    if act_id in {act.id for act in campaign.acts}
                }
                found.append(campaign)
        return found

    def campaign(self, site_ids: SiteIds, campaign_id: str) -> Campaign:
        """One campaign. Raises UnknownCampaign."""
        with self._store.reads() as connection:
            return self._of(connection, [p.id for p in _seen(connection, site_ids, campaign_id)])

    def page(
        self, site_ids: SiteIds, campaign_id: str, *, after: str = "", limit: int = 20
    ) -> list[QueueItem]:
        """Waiting comments of a campaign in order of receipt, from behind an id.

        Raises UnknownCampaign.
        """
        with self._store.reads() as connection:
            ids = [part.id for part in _seen(connection, site_ids, campaign_id)]
            after = after if review.may_be_id(after) else ""
            return _items(connection, ids, after=after, limit=limit)

    def is_in(self, comment_id: str) -> bool:
        """Whether a comment is in a campaign; one that was taken out is in none."""
        statement = sa.select(campaign_members.c.campaign_id).where(
            campaign_members.c.comment_id == comment_id
        )
        with self._store.reads() as connection:
            return connection.execute(statement).scalar_one_or_none() is not None

    def _of(self, connection: sa.Connection, ids: Sequence[str]) -> Campaign:
        return self._from(connection, _rows_of(connection, ids), ids)

    def _from(
        self, connection: sa.Connection, rows: Mapping[str, sa.RowMapping], ids: Sequence[str]
    ) -> Campaign:
        parts = [rows[one] for one in ids]
        standing: dict[str, Act] = {}
        for row in parts:
            act = self._acts.act_in(connection, row["act_id"]) if row["act_id"] else None
            if act is not None and act.state is not ActState.UNDONE:
                standing[row["id"]] = act
        first = next(iter(standing.values()), None)
        of_press = {one: act for one, act in standing.items() if _same_press(first, act)}
        followed = [rows[one]["follows_until"] for one in of_press if rows[one]["follows_until"]]
        return Campaign(
            ids=tuple(ids),
            sites=tuple(row["site_id"] for row in parts),
            trait=Trait(parts[0]["trait"]),
            said=parts[0]["said"],
            made_at=min(row["made_at"] for row in parts),
            waiting=sum(row["waits"] for row in parts),
            members=sum(row["members"] for row in parts),
            newest=max(row["newest"] or "" for row in parts),
            acts=tuple(of_press.values()),
            follows_until=max(followed, default=None),
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
        seen_on: SiteIds = (),
    ) -> Settled:
        """Decide what waits of a campaign, up to the comment `upto`, which is the newest seen.

        `seen_on` are the sites that the caller may see beside those that they may decide on.
        Arrivals follow for so long, `LONGEST_FOLLOWING` at the most. Raises UnknownCampaign,
        UnknownComment when nothing of it waits any more.
        """
        if not timedelta(0) <= follow_for <= LONGEST_FOLLOWING:
            raise ValueError("follow_for must be from nothing to seven days")
        upto = upto if review.may_be_id(upto) else ""
        with self._store.reads() as connection:
            parts = _seen(connection, site_ids, campaign_id, seen_on)
            snapshots = {part: _waiting_upto(connection, part.id, upto) for part in parts}
        snapshots = {part: ids for part, ids in snapshots.items() if ids}
        if not snapshots:
            raise UnknownComment("nothing of this campaign waits")
        until = decision.at + follow_for
        begun = [
            (self._begin(part, ids[: self._acts.most], decision), part)
            for part, ids in snapshots.items()
        ]
        return Settled(tuple(self._go_on(act, part, until) for act, part in begun))

    def _begin(self, part: Part, ids: Sequence[str], decision: Decision) -> Act:
        # Who sees that site alone is not told of a campaign where its comments are none.
        kind, body = (KIND, {"campaign": part.id}) if part.own else ("bulk", {})
        return self._acts.begin([part.site_id], ids, decision, kind=kind, body=body)

    def _go_on(self, act: Act, part: Part, until: datetime) -> Act:
        of_it = campaigns.update().where(campaigns.c.id == part.id)
        stood = sa.select(campaigns.c.act_id, campaigns.c.follows_until)
        with self._store.writes() as connection:
            held = stood.where(campaigns.c.id == part.id).with_for_update()
            before = connection.execute(held).one()
            connection.execute(of_it.values(act_id=act.id, follows_until=until))
        act = self._acts.go_on([part.site_id], act.id)
        if act.decided == 0 and act.left and before.act_id is not None:
            # Somebody decided all of it first: theirs stands, and theirs is followed.
            with self._store.writes() as connection:
                ours = of_it.where(campaigns.c.act_id == act.id)
                connection.execute(
                    ours.values(act_id=before.act_id, follows_until=before.follows_until)
                )
        return act

    def follow_until(
        self,
        site_ids: SiteIds,
        campaign_id: str,
        until: datetime,
        *,
        moderator: str,
        seen_on: SiteIds = (),
    ) -> None:
        """Let arrivals follow until then; the present is to stop it. Raises UnknownCampaign."""
        now = self._store.now()
        until = min(until, now + LONGEST_FOLLOWING)
        with self._store.writes() as connection:
            for part in _seen(connection, site_ids, campaign_id, seen_on):
                of_it = campaigns.update().where(campaigns.c.id == part.id)
                connection.execute(of_it.values(follows_until=until))
                if part.own:
                    body = {"campaign": part.id, "until": until.isoformat()}
                    actor = Actor(moderator, now)
                    tell(connection, "campaign_timed", actor, site_id=part.site_id, body=body)

    def undo(
        self,
        site_ids: SiteIds,
        campaign_id: str,
        *,
        moderator: str,
        only_own: bool,
        seen_on: SiteIds = (),
    ) -> Settled:
        """Take back what one press decided of a campaign, and all that followed.

        Raises UnknownCampaign, NothingToUndo.
        """
        with self._store.reads() as connection:
            parts = [part.id for part in _seen(connection, site_ids, campaign_id, seen_on)]
            campaign = self._of(connection, parts)
            # What an undo that was killed half way left is taken back as well.
            begun = _act_ids(connection, parts[:1]).get(parts[0])
        due = [act.id for act in campaign.acts] or ([begun] if begun else [])
        undone = []
        for act_id in due:
            try:
                undone.append(
                    self._acts.undo(site_ids, act_id, moderator=moderator, only_own=only_own)
                )
            except NothingToUndo:
                continue
        if not undone:
            raise NothingToUndo("nothing that was decided of this campaign can be undone")
        return Settled(tuple(undone))

    def leave(
        self,
        site_ids: SiteIds,
        campaign_id: str,
        comment_id: str,
        *,
        moderator: str,
        seen_on: SiteIds = (),
    ) -> None:
        """Take a waiting comment out of a campaign: it waits by itself.

        Raises UnknownCampaign, UnknownComment.
        """
        with self._store.writes() as connection:
            parts = {p.id: p for p in _seen(connection, site_ids, campaign_id, seen_on)}
            if not review.may_be_id(comment_id):
                raise UnknownComment("there is no such comment")
            held = sa.select(waiting.c.campaign).where(
                waiting.c.comment_id == comment_id, waiting.c.campaign.in_(list(parts))
            )
            left = connection.execute(held.with_for_update()).scalar_one_or_none()
            if left is None:
                raise UnknownComment("there is no such comment")
            own = waiting.update().where(waiting.c.comment_id == comment_id)
            connection.execute(own.values(campaign=NONE))
            gone = campaign_members.c.comment_id == comment_id
            connection.execute(campaign_members.update().where(gone).values(campaign_id=None))
            part = parts[left]
            if part.own:
                tell(
                    connection,
                    "campaign_left",
                    Actor(moderator, self._store.now()),
                    site_id=part.site_id,
                    comment_id=comment_id,
                    body={"campaign": part.id},
                )

    def put_back(
        self,
        site_ids: SiteIds,
        campaign_id: str,
        comment_id: str,
        *,
        moderator: str,
        seen_on: SiteIds = (),
    ) -> None:
        """Undo that a waiting comment was taken out of a campaign.

        Raises UnknownCampaign, and NothingToUndo where it was not taken out or waits no more.
        """
        with self._store.writes() as connection:
            parts = _seen(connection, site_ids, campaign_id, seen_on)
            taken_out = sa.exists().where(
                campaign_members.c.comment_id == waiting.c.comment_id,
                campaign_members.c.campaign_id.is_(None),
            )
            held = sa.select(waiting.c.site_id).where(
                waiting.c.comment_id == (comment_id if review.may_be_id(comment_id) else ""),
                waiting.c.campaign == NONE,
                taken_out,
            )
            site_id = connection.execute(held.with_for_update()).scalar_one_or_none()
            of_site = [part for part in parts if part.site_id == site_id]
            if not of_site:
                raise NothingToUndo("that comment was not taken out of this campaign")
            part = next((p for p in of_site if p.id == campaign_id), of_site[0])
            own = waiting.update().where(waiting.c.comment_id == comment_id)
            connection.execute(own.values(campaign=part.id))
            gone = campaign_members.c.comment_id == comment_id
            connection.execute(campaign_members.update().where(gone).values(campaign_id=part.id))
            if part.own:
                actor = Actor(moderator, self._store.now())
                of_it: dict[str, str] = {"site_id": part.site_id, "comment_id": comment_id}
                body = {"campaign": part.id}
                tell(connection, "campaign_joined", actor, **of_it, body=body)

    # -------------------------------------------------------------- what a site allows

    def sharing(self, site_ids: SiteIds = None) -> frozenset[str]:
        """Which of some sites allow that their campaigns are seen with those of others."""
        statement = sa.select(sites.c.id).where(sites.c.shares_campaigns.is_(True))
        if site_ids is not None:
            statement = statement.where(sites.c.id.in_(list(site_ids)))
        with self._store.reads() as connection:
            return frozenset(connection.execute(statement).scalars())

    def share(self, site_id: str, *, allowed: bool, by: str) -> None:
        """Allow that, or not any more. Raises UnknownSite."""
        with self._store.writes() as connection:
            held = sa.select(sites.c.shares_campaigns).where(sites.c.id == site_id)
            was = connection.execute(held.with_for_update()).scalar_one_or_none()
            if was is None:
                raise UnknownSite("there is no such site")
            if was == allowed:
                return
            own = sites.update().where(sites.c.id == site_id)
            connection.execute(own.values(shares_campaigns=allowed))
            body = {"from": bool(was), "to": allowed}
            actor = Actor(by, self._store.now())
            tell(connection, "campaigns_shared", actor, site_id=site_id, body=body)


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
).where(campaigns.c.id.in_(sa.bindparam("ids", expanding=True)))


def _rows_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, sa.RowMapping]:
    found = connection.execute(_CAMPAIGN, {"ids": list(ids)}).mappings()
    return {row["id"]: row for row in found}


def _on(table: sa.Table, site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)


def _seen(
    connection: sa.Connection, site_ids: SiteIds, campaign_id: str, seen_on: SiteIds = ()
) -> list[Part]:
    """The parts of a campaign on some sites, as it stands for who sees `seen_on` as well.

    Raises UnknownCampaign.
    """
    seen = None if site_ids is None or seen_on is None else {*site_ids, *seen_on}
    parts = parts_of(connection, seen, campaign_id)
    found = [part for part in parts if site_ids is None or part.site_id in site_ids]
    if not found:
        raise UnknownCampaign("there is no such campaign")
    return found


def _same_press(one: Act | None, other: Act) -> bool:
    if one is None:
        return False
    mine, theirs = one.decision, other.decision
    return (mine.moderator, mine.at) == (theirs.moderator, theirs.at)


def _act_ids(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    statement = sa.select(campaigns.c.id, campaigns.c.act_id).where(
        campaigns.c.id.in_(ids), campaigns.c.act_id.is_not(None)
    )
    return {row.id: row.act_id for row in connection.execute(statement)}


def _waiting_upto(connection: sa.Connection, campaign_id: str, upto: str) -> list[str]:
    statement = sa.select(waiting.c.comment_id).where(
        waiting.c.campaign == campaign_id, waiting.c.comment_id <= upto, IN_CAMPAIGN_INDEX
    )
    return list(connection.execute(statement.order_by(waiting.c.comment_id)).scalars())


def _items(
    connection: sa.Connection, ids: Sequence[str], *, after: str = "", limit: int
) -> list[QueueItem]:
    statement = (
        sa.select(waiting.c.comment_id)
        .where(waiting.c.campaign.in_(ids), waiting.c.comment_id > after, IN_CAMPAIGN_INDEX)
        .order_by(waiting.c.comment_id)
        .limit(limit)
    )
    return _items_of(connection, connection.execute(statement).scalars().all())


def _items_of(connection: sa.Connection, ids: Sequence[str]) -> list[QueueItem]:
    found = STORED.where(comments.c.id.in_(ids)).order_by(comments.c.id)
    rows = connection.execute(found).mappings().all()
    return [QueueItem(stored_comment(row), Waiting(row["why"])) for row in rows if row["why"]]
