"""What is found of campaigns as comments come: who is in one, and what follows a decision.

While a decision on a campaign stands and its time has not run out, later arrivals that wait as
well follow it, as part of the same act, so that one undo brings all back. Nothing follows but what
waits for a person anyway: a verdict is never touched.

Which comments are alike is `model.campaigns`, and who looks is `service.campaigns`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.campaigns import Trait
from service.storage import review
from service.storage.acts import Acts, ActState
from service.storage.campaigns import KIND
from service.storage.events import Actor, tell
from service.storage.kin import NONE
from service.storage.records import StoredComment, new_id
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import (
    IN_CAMPAIGN_INDEX,
    act_comments,
    acts,
    campaign_members,
    campaigns,
    comments,
    queue,
    sites,
    waiting,
)


@dataclass(frozen=True, slots=True)
class Known:
    """A comment that was looked at, and its campaign, "" for none.

    `own` is whether that is one without the comments of other sites.
    """

    comment: StoredComment
    campaign: str
    trait: Trait | None
    kin: str | None
    own: bool


class CampaignFinds:
    """What the process that looks for campaigns reads and writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._acts = Acts(store)

    def unlooked(self, *, limit: int) -> list[StoredComment]:
        """Waiting comments that nobody has looked at yet, the oldest first."""
        statement = (
            sa.select(waiting.c.comment_id)
            .where(waiting.c.campaign.is_(None), IN_CAMPAIGN_INDEX)
            .order_by(waiting.c.comment_id)
            .limit(limit)
        )
        with self._store.reads() as connection:
            ids = connection.execute(statement).scalars().all()
            return _stored(connection, ids)

    def looked_at(self, *, after: str, limit: int) -> list[Known]:
        """What waits and was looked at, by id from behind one."""
        statement = (
            sa.select(waiting.c.comment_id, waiting.c.campaign, *_OF_CAMPAIGN)
            .outerjoin(campaigns, campaigns.c.id == waiting.c.campaign)
            .where(waiting.c.campaign.is_not(None), waiting.c.comment_id > after)
            .order_by(waiting.c.comment_id)
            .limit(limit)
        )
        return self._with_comments(statement)

    def followed_samples(self, *, each: int = 20) -> list[Known]:
        """The first members of the campaigns that arrivals follow now."""
        live = (
            sa.select(campaigns.c.id)
            .join(acts, acts.c.id == campaigns.c.act_id)
            .where(acts.c.state != ActState.UNDONE.value)
            .where(campaigns.c.follows_until > self._store.now())
        )
        with self._store.reads() as connection:
            ids = connection.execute(live).scalars().all()
        found: list[Known] = []
        for campaign_id in ids:
            found += self._with_comments(
                sa.select(
                    campaign_members.c.comment_id,
                    campaign_members.c.campaign_id.label("campaign"),
                    *_OF_CAMPAIGN,
                )
                .join(campaigns, campaigns.c.id == campaign_members.c.campaign_id)
                .where(campaign_members.c.campaign_id == campaign_id)
                .order_by(campaign_members.c.comment_id)
                .limit(each)
            )
        return found

    def _with_comments(self, statement: sa.Select[Any]) -> list[Known]:
        with self._store.reads() as connection:
            rows = {row.comment_id: row for row in connection.execute(statement)}
            found = _stored(connection, list(rows))
        return [_known(comment, rows[comment.id]) for comment in found]

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
        """A campaign of waiting comments of a site; its id.

        A new one, or what was one together with other sites' comments and now is by itself.
        """
        now = self._store.now()
        said = mask_addresses(said)
        with self._store.writes() as connection:
            campaign_id = _grown(connection, trait, ids)
            if campaign_id is None:
                kin = f"{trait.value}:{said}" if said else None
                row = {"site_id": site_id, "trait": trait.value, "said": said, "kin": kin}
                campaign_id = _insert(connection, row | {"own": True, "made_at": now})
            count = _join(connection, campaign_id, ids)
            body = {"campaign": campaign_id, "trait": trait.value, "comments": count}
            tell(connection, "campaign_found", Actor(KIND, now), site_id=site_id, body=body)
        return campaign_id

    def relate(self, kin: str, ids: Mapping[str, Sequence[str]]) -> None:
        """Note that waiting comments of several sites, by site, have nearly the same words.

        Their campaigns are of that kin; what is in none is in one that is not its site's own.
        """
        now = self._store.now()
        for site_id, of_site in ids.items():
            with self._store.writes() as connection:
                mine = sa.select(campaign_members.c.campaign_id).where(
                    campaign_members.c.comment_id.in_(of_site)
                )
                of_them = campaigns.update().where(
                    campaigns.c.id.in_(mine),
                    campaigns.c.trait == Trait.TEXT.value,
                    campaigns.c.kin.is_(None),
                )
                connection.execute(of_them.values(kin=kin))
                member = sa.select(campaign_members.c.comment_id).where(
                    campaign_members.c.comment_id.in_(of_site)
                )
                known = set(connection.execute(member).scalars())
                new = [one for one in of_site if one not in known]
                if new:
                    _join(connection, _of_kin(connection, site_id, kin, now), new)

    def sharing(self) -> frozenset[str]:
        """The sites that allow that their campaigns are seen with those of others."""
        statement = sa.select(sites.c.id).where(sites.c.shares_campaigns.is_(True))
        with self._store.reads() as connection:
            return frozenset(connection.execute(statement).scalars())

    def join(self, campaign_id: str, ids: Sequence[str], *, follow: bool = True) -> int:
        """Put waiting comments in a campaign; what stands of it is followed. How many followed.

        Without `follow` they wait, whatever was decided of the others.
        """
        with self._store.writes() as connection:
            _join(connection, campaign_id, ids)
            return self._follow(connection, campaign_id, ids) if follow else 0

    def settle(self, ids: Sequence[str]) -> None:
        """Note that somebody looked, and that these are in no campaign."""
        with self._store.writes() as connection:
            new = waiting.update().where(
                waiting.c.comment_id.in_(ids), waiting.c.campaign.is_(None)
            )
            connection.execute(new.values(campaign=NONE))

    def _follow(self, connection: sa.Connection, campaign_id: str, ids: Sequence[str]) -> int:
        of_it = sa.select(campaigns).where(campaigns.c.id == campaign_id)
        row = connection.execute(of_it).mappings().one()
        now = self._store.now()
        if not row["own"]:  # else the site's log would tell of what is on other sites
            return 0
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


_OF_CAMPAIGN = (campaigns.c.trait, campaigns.c.kin, campaigns.c.own)


def _known(comment: StoredComment, row: sa.Row[Any]) -> Known:
    trait = Trait(row.trait) if row.trait else None
    return Known(comment, row.campaign or NONE, trait, row.kin, bool(row.own))


def _insert(connection: sa.Connection, row: Mapping[str, object]) -> str:
    made_at = row["made_at"]
    assert isinstance(made_at, datetime)
    campaign_id = new_id(made_at)
    connection.execute(campaigns.insert(), dict(row) | {"id": campaign_id})
    return campaign_id


def _grown(connection: sa.Connection, trait: Trait, ids: Sequence[str]) -> str | None:
    """What some comments were together with other sites' and are by themselves from now on."""
    candidates = sorted(set(_not_own(connection, ids).values()))
    statement = sa.select(campaigns.c.id).where(
        campaigns.c.id.in_(candidates), campaigns.c.trait == trait.value
    )
    found = connection.execute(statement.order_by(campaigns.c.id)).scalars().first()
    if found is not None:
        connection.execute(campaigns.update().where(campaigns.c.id == found).values(own=True))
    return found


def _of_kin(connection: sa.Connection, site_id: str, kin: str, now: datetime) -> str:
    """The campaign of a site that is one only with its kin."""
    statement = sa.select(campaigns.c.id).where(
        campaigns.c.kin == kin, campaigns.c.site_id == site_id, campaigns.c.own.is_(False)
    )
    known = connection.execute(statement.order_by(campaigns.c.id.desc())).scalars().first()
    row = {"site_id": site_id, "trait": Trait.TEXT.value, "said": "", "kin": kin}
    return known or _insert(connection, row | {"own": False, "made_at": now})


def _stored(connection: sa.Connection, ids: Sequence[str]) -> list[StoredComment]:
    found = STORED.where(comments.c.id.in_(ids)).order_by(comments.c.id)
    return [stored_comment(row) for row in connection.execute(found).mappings()]


def _not_own(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Those of some comments that are in a campaign only together with other sites', and which."""
    statement = (
        sa.select(campaign_members.c.comment_id, campaigns.c.id)
        .join(campaigns, campaigns.c.id == campaign_members.c.campaign_id)
        .where(campaign_members.c.comment_id.in_(ids), campaigns.c.own.is_(False))
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def _join(connection: sa.Connection, campaign_id: str, ids: Sequence[str]) -> int:
    """Those of some comments that wait and are in no campaign are in this one; how many.

    One that is a campaign by itself takes comments from one that is not.
    """
    still = sa.select(queue.c.comment_id).where(queue.c.comment_id.in_(ids)).with_for_update()
    waits = set(connection.execute(still).scalars())
    known = sa.select(campaign_members.c.comment_id).where(campaign_members.c.comment_id.in_(ids))
    taken = set(connection.execute(known).scalars())
    is_own = sa.select(campaigns.c.own).where(campaigns.c.id == campaign_id)
    if connection.execute(is_own).scalar_one():
        moved = [one for one, of in _not_own(connection, ids).items() if of != campaign_id]
        of_those = campaign_members.c.comment_id.in_(moved)
        connection.execute(
            campaign_members.update().where(of_those).values(campaign_id=campaign_id)
        )
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
