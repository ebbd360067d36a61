"""Which campaigns of several sites stand as one, for whoever may see those sites.

Each site has campaigns of its own. Two are kin when their comments are alike; they are seen as one
by whoever may see both, while both sites allow it. A few comments of a site that are a campaign
only together with those of others are kept as one that is not its `own`: it is there for nobody
who does not see enough of the others, so that nothing on a site tells that there are any.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from model.campaigns import LEAST_ALIKE
from service.storage import review
from service.storage.acts import ActState
from service.storage.review import SiteIds
from service.storage.tables import (
    IN_CAMPAIGN_INDEX,
    acts,
    campaign_members,
    campaigns,
    sites,
    waiting,
)

LEAST_SHOWN = 2
"""A campaign of which fewer comments wait is no card of its own: they are shown singly."""

NONE = ""
"""In `waiting.campaign`: somebody looked, and it is in none."""

_MOST_OPEN = 2_000
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Part:
    """A site's part of what stands as one campaign."""

    id: str
    site_id: str
    kin: str | None
    own: bool
    shares: bool

    @property
    def name(self) -> str:
        """The same for all that may stand as one."""
        return self.kin if self.kin is not None and self.shares else self.id


@dataclass(frozen=True, slots=True)
class Open:
    """The parts of one campaign that a caller sees, the largest first, and how many wait."""

    ids: tuple[str, ...]
    waiting: int


def open_campaigns(connection: sa.Connection, site_ids: SiteIds) -> list[Open]:
    """What stands for at least `LEAST_SHOWN` waiting comments on some sites, the largest first."""
    number = sa.func.count().label("number")
    statement = (
        sa.select(waiting.c.campaign, number)
        # Greater than "", so that the index is not read where nobody has looked yet.
        .where(waiting.c.campaign > NONE, IN_CAMPAIGN_INDEX)
        .where(*_on(waiting, site_ids))
        .group_by(waiting.c.campaign)
        .order_by(number.desc(), waiting.c.campaign)
        .limit(_MOST_OPEN)
    )
    counts = {row.campaign: row.number for row in connection.execute(statement)}
    kinds: dict[str, list[Part]] = defaultdict(list)
    for part in _parts(connection, counts):
        kinds[part.name].append(part)
    members = _members(connection, [p.id for parts in kinds.values() for p in parts if not p.own])
    found = []
    for parts in kinds.values():
        waits = sum(counts[part.id] for part in parts)
        if waits >= LEAST_SHOWN and _stands(parts, members):
            parts.sort(key=lambda part: (-counts[part.id], part.id))
            found.append(Open(tuple(part.id for part in parts), waits))
    return sorted(found, key=lambda one: (-one.waiting, one.ids))


def parts_of(connection: sa.Connection, site_ids: SiteIds, campaign_id: str) -> list[Part]:
    """A campaign and those that stand as one with it on some sites, itself first.

    Those are of its kin and have comments that wait, or were decided in the same press. Nothing
    when the caller may not see it.
    """
    if not review.may_be_id(campaign_id):
        return []
    asked = _parts(connection, [campaign_id], site_ids)
    if not asked:
        return []
    kin = asked[0].kin
    others: list[Part] = []
    if kin is not None and asked[0].shares:
        waits = sa.exists().where(waiting.c.campaign == campaigns.c.id, IN_CAMPAIGN_INDEX)
        of_kin = sa.select(campaigns.c.id).where(
            campaigns.c.kin == kin,
            campaigns.c.id != campaign_id,
            sa.or_(waits, campaigns.c.id.in_(_of_one_press(connection, campaign_id))),
            *_on(campaigns, site_ids),
        )
        ids = connection.execute(of_kin.order_by(campaigns.c.id)).scalars().all()
        others = [part for part in _parts(connection, ids, site_ids) if part.shares]
    parts = [*asked, *others]
    return parts if _stands(parts, _members(connection, [part.id for part in parts])) else []


def _of_one_press(connection: sa.Connection, campaign_id: str) -> Sequence[str]:
    """The campaigns that were decided with one: by the same person at the same moment."""
    statement = (
        sa.select(acts.c.moderator, acts.c.at)
        .join(campaigns, campaigns.c.act_id == acts.c.id)
        .where(campaigns.c.id == campaign_id, acts.c.state != ActState.UNDONE.value)
    )
    act = connection.execute(statement).one_or_none()
    if act is None:
        return ()
    same = (
        sa.select(campaigns.c.id)
        .join(acts, acts.c.id == campaigns.c.act_id)
        .where(acts.c.moderator == act.moderator, acts.c.at == act.at)
    )
    return connection.execute(same).scalars().all()


def _parts(connection: sa.Connection, ids: Iterable[str], site_ids: SiteIds = None) -> list[Part]:
    wanted = list(ids)
    found: list[Part] = []
    for start in range(0, len(wanted), _AT_ONCE):
        statement = (
            sa.select(
                campaigns.c.id,
                campaigns.c.site_id,
                campaigns.c.kin,
                campaigns.c.own,
                sites.c.shares_campaigns.label("shares"),
            )
            .join(sites, sites.c.id == campaigns.c.site_id)
            .where(campaigns.c.id.in_(wanted[start : start + _AT_ONCE]))
            .where(*_on(campaigns, site_ids))
            .order_by(campaigns.c.id)
        )
        found += [Part(**row._mapping) for row in connection.execute(statement)]
    return found


def _members(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """How many comments there ever were of each of some campaigns."""
    found: dict[str, int] = {}
    of_it = campaign_members.c.campaign_id
    for start in range(0, len(ids), _AT_ONCE):
        statement = sa.select(of_it, sa.func.count()).where(
            of_it.in_(ids[start : start + _AT_ONCE])
        )
        found |= {row[0]: row[1] for row in connection.execute(statement.group_by(of_it))}
    return found


def _stands(parts: Sequence[Part], members: Mapping[str, int]) -> bool:
    """Whether what a caller sees of a campaign is one by itself."""
    return any(p.own for p in parts) or sum(members.get(p.id, 0) for p in parts) >= LEAST_ALIKE


def _on(table: sa.Table, site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (table.c.site_id.in_(list(site_ids)),)
