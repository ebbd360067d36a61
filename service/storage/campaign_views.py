"""What a campaign's card says of its comments that wait: some of them, and how far they differ.

For some campaigns at once, in as many statements as for one. Each goes by the index of campaigns,
and reads no more of what waits than the campaigns hold.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from service.storage.records import QueueItem, Waiting
from service.storage.review import SiteIds
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import IN_CAMPAIGN_INDEX, campaigns, comments, waiting
from service.storage.traits import BINS, NO_BIN, Band

SAMPLES = 3
"""The first comment of a campaign, and the last ones."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the machine saw what waits of a campaign: how many in each band, and the scores.

    `low` and `high` are the spam scores of the least and the most likely one, to a twentieth, in
    [0, 1]; None when none has a score. `articles` and `languages` count different ones.
    """

    bands: Mapping[Band, int]
    low: float | None
    high: float | None
    articles: int
    languages: int


@dataclass(frozen=True, slots=True)
class View:
    """Some of a campaign's waiting comments, how they differ, and how many may be decided."""

    samples: tuple[QueueItem, ...]
    spread: Spread
    may_decide: int


def views_of(
    store: Store, parts_of_each: Sequence[Sequence[str]], may_decide: SiteIds
) -> list[View]:
    """The view of each of some campaigns, by the ids of its parts, in that order.

    `may_decide` are the sites on which the caller decides.
    """
    if not parts_of_each:
        return []
    asked = {"ids": [one for parts in parts_of_each for one in parts]}
    with store.reads() as connection:
        ends = {row.id: row for row in connection.execute(_ENDS, asked)}
        ids = [_sample_ids(ends[one] for one in parts if one in ends) for parts in parts_of_each]
        shown = {"ids": [one for some in ids for one in some]}
        stored = {row["id"]: row for row in connection.execute(_SHOWN, shown).mappings()}
        kinds = connection.execute(_KINDS, asked).all()
    return [
        View(
            samples=tuple(
                QueueItem(stored_comment(stored[one]), Waiting(stored[one]["why"]))
                for one in some
                if one in stored and stored[one]["why"]  # else it was decided in between
            ),
            spread=_spread([row for row in kinds if row.campaign in parts]),
            may_decide=sum(
                ends[one].number
                for one in parts
                if one in ends and (may_decide is None or ends[one].site_id in may_decide)
            ),
        )
        for parts, some in zip(parts_of_each, ids, strict=True)
    ]


def _sample_ids(ends: Iterable[sa.Row[Any]]) -> list[str]:
    """The first comment and the last ones, each once, of what the parts begin and end with."""
    rows = list(ends)
    first = min((row.first for row in rows if row.first), default=None)
    last = sorted({one for row in rows for one in tuple(row)[-_LAST:] if one})[-_LAST:]
    return [] if first is None else [first, *(one for one in last if one != first)]


def _spread(kinds: Sequence[sa.Row[Any]]) -> Spread:
    bands: Counter[Band] = Counter()
    for row in kinds:
        bands[Band(row.band)] += row.number
    low = min((row.low for row in kinds if row.low is not None), default=None)
    high = max((row.high for row in kinds if row.high is not None), default=None)
    return Spread(
        bands=bands,
        low=None if low is None else low / BINS,
        high=None if high is None else (high + 1) / BINS,
        articles=len({row.article for row in kinds}),
        languages=len({row.language for row in kinds}),
    )


# ------------------------------------------------------------------ statements

_LAST = SAMPLES - 1
_ASKED: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)


def _of_part(select: sa.Select[tuple[str]]) -> sa.Select[tuple[str]]:
    of_it = select.where(waiting.c.campaign == campaigns.c.id, IN_CAMPAIGN_INDEX)
    return of_it.correlate(campaigns)


def _from_the_last(place: int) -> sa.ScalarSelect[str]:
    newest = _of_part(sa.select(waiting.c.comment_id)).order_by(waiting.c.comment_id.desc())
    return newest.limit(1).offset(place).scalar_subquery()


# The last columns are the last comments.
_ENDS = sa.select(
    campaigns.c.id,
    campaigns.c.site_id,
    _of_part(sa.select(sa.func.count())).scalar_subquery().label("number"),
    _of_part(sa.select(sa.func.min(waiting.c.comment_id))).scalar_subquery().label("first"),
    *(_from_the_last(place).label(f"last_{place}") for place in range(_LAST)),
).where(campaigns.c.id.in_(_ASKED))

_SHOWN = STORED.where(comments.c.id.in_(_ASKED))

_SCORED = sa.func.nullif(waiting.c.spam_bin, NO_BIN)
_KIND = (waiting.c.campaign, waiting.c.band, waiting.c.language, waiting.c.article)
_KINDS = (
    sa.select(
        *_KIND,
        sa.func.count().label("number"),
        sa.func.min(_SCORED).label("low"),
        sa.func.max(_SCORED).label("high"),
    )
    .where(waiting.c.campaign.in_(_ASKED), IN_CAMPAIGN_INDEX)
    .group_by(*_KIND)
)
