"""Find comments that wait: by what they are, by words in them, in any order, a page at a time.

Knows the table of traits and how each database looks through it. Every page begins where the one
before ended (a cursor), never by counting over what was skipped. Who may see what is the caller's
to say, by `site_ids`.

What is rare is found by looking through all that waits, which takes the same time in any order;
what is frequent by walking along the order until there is enough. One look tells which it is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from model.outcome import Head
from service.storage.cursors import cursor_of, place_of
from service.storage.records import QueueItem, QueuePage, StoredComment, Waiting
from service.storage.review import SiteIds, may_be_id, still_waiting
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import (
    UtcTime,
    act_comments,
    comments,
    microseconds_of,
    time_of,
    waiting,
)
from service.storage.tables import waiting_texts as texts
from service.storage.traits import (
    BATCH,
    BINS,
    Band,
    in_cells,
    rows_of,
    sizes,
    traits_of,
    unread,
    write,
)

MOST_COUNTED = 10_000
"""Counts stop here: what they are for is to know whether it is worth looking."""

RARE = 500
"""Of so few, all are read and put in order."""

AnySelect = sa.Select[*tuple[Any, ...]]
_Start = tuple[datetime | float, str]


class Order(StrEnum):
    """Which comment comes first: the first three for people, the last two to learn most."""

    OLDEST = "oldest"
    NEWEST = "newest"
    RISKIEST = "riskiest"
    UNSURE = "unsure"
    TEACHES = "teaches"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of the waiting comments; what is empty does not matter.

    `words` and `article` are folded words that all have to be there. The score of `head` lies in
    the bins from `first` up to and including `last`; one without a score lies in all or none.
    `but` are campaigns that stand for their comments.
    """

    site_id: str = ""
    article: tuple[str, ...] = ()
    language: str = ""
    code: str = ""
    band: Band | None = None
    domain: str = ""
    is_new_author: bool = False
    is_reported: bool = False
    words: tuple[str, ...] = ()
    head: Head = Head.SPAM
    first: int = 0
    last: int = BINS - 1
    but: tuple[str, ...] = ()

    @property
    def has_range(self) -> bool:
        """Whether only some scores count."""
        return (self.first, self.last) != (0, BINS - 1)

    def without_range(self) -> "Filter":
        """The same with any score."""
        return replace(self, first=0, last=BINS - 1)

    @property
    def is_all(self) -> bool:
        """Whether nothing but the site matters, beside what campaigns stand for."""
        return replace(self, site_id="", head=Head.SPAM, but=()) == Filter()


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with `more`, at least as many."""

    number: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was looked for, and how many there are in all."""

    page: QueuePage
    count: Count


def catch_up(
    store: Store, *, most: int, at_once: int = BATCH, pause: Callable[[], object] | None = None
) -> int:
    """Read the traits of up to `most` waiting comments that have none; how many are left.

    So many are written at once, and `pause` is called after each that was read.
    """
    with store.reads() as connection:
        waits, known = sizes(connection)
    left = max(0, waits - known)
    while left and most > 0:
        with store.reads() as connection:
            new = unread(connection, at_once)
        if not new:
            break
        read = {}
        for comment_id, one in new.items():  # most of the time; no transaction waits for it
            read[comment_id] = (one, traits_of(one))
            if pause is not None:
                pause()
        with store.reads() as connection:
            of_cell = in_cells(connection, {traits.cell for _, traits in read.values()})
        rows = rows_of(read, of_cell)
        with store.writes() as connection:
            write(connection, rows)
        left, most = max(0, left - len(read)), most - len(read)
    return left


Levels = tuple[int, int, int]
"""Comments below the thresholds in force, unsure, likely."""


@dataclass(frozen=True, slots=True)
class Part:
    """So many of some comments are of a site, a band and a language."""

    site_id: str
    band: Band
    language: str
    number: int


class Finding:
    """What waits, looked through. Every method raises StoreUnavailable as the store's do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def catch_up(self, *, most: int = 2 * BATCH) -> int:
        """Read what can be found of up to `most` new comments; how many have still to be read."""
        return catch_up(self._store, most=most)

    def catch_up_lately(self) -> int:
        """The same, but that where much waits a comment may have come a moment ago."""
        waits, known = self._sizes()
        return catch_up(self._store, most=2 * BATCH) if waits > known else 0

    def page(self, site_ids: SiteIds, order: Order, *, limit: int, after: str = "") -> QueuePage:
        """Part of all that waits, in order, from where `after` left off. Raises BadCursor.

        Oldest first it is all; in other orders what has been read of it.
        """
        if order is Order.OLDEST:
            return self._store.queue_page(site_ids, limit=limit, after=after)
        return self.find(site_ids, Filter(), order, limit=limit, after=after).page

    def size_lately(self, site_ids: SiteIds) -> int:
        """How many wait; where that is much, a moment ago."""
        if site_ids is None:
            return self._sizes()[0]
        what = ("waiting", frozenset(site_ids))
        return self._store.lately.of(what, lambda: (self._store.queue_size(site_ids),))[0]

    def _sizes(self) -> tuple[int, ...]:
        def count() -> tuple[int, ...]:
            with self._store.reads() as connection:
                return sizes(connection)

        return self._store.lately.of("waiting", count)

    def find(
        self, site_ids: SiteIds, wanted: Filter, order: Order, *, limit: int, after: str = ""
    ) -> Found:
        """Part of what is wanted, in order, from where `after` left off. Raises BadCursor.

        A cursor is good for its order only; with another filter it goes on from the same place.
        """
        start = _start_of(after, order) if after else None

        def read(
            connection: sa.Connection,
        ) -> tuple[list[_Place], Count | None, dict[str, sa.RowMapping]]:
            places, count = _places(connection, site_ids, wanted, order, limit + 1, start)
            if count is None and not wanted.is_all:
                count = _count(connection, site_ids, wanted)
            ids = [place.comment_id for place in places[:limit]]
            of_page = STORED.where(comments.c.id.in_(ids))
            stored = {row["id"]: row for row in connection.execute(of_page).mappings()}
            return places, count, stored

        places, count, stored = self._store.read_aside(read)
        shown = [place.comment_id for place in places[:limit]]
        with self._store.reads() as connection:  # a replica is behind: what is decided is gone
            waits = still_waiting(connection, shown)
        rows = [stored[one] for one in shown if one in stored and one in waits]
        page = QueuePage(
            items=tuple(QueueItem(stored_comment(r), Waiting(r["why"])) for r in rows if r["why"]),
            after=_cursor(places[limit - 1], order) if len(places) > limit else "",
        )
        if count is None:
            count = Count(self.size_lately(_seen_of(site_ids, wanted)))
        return Found(page, count)

    def ids(self, site_ids: SiteIds, wanted: Filter, order: Order, *, limit: int) -> list[str]:
        """The ids of the first of them, in order."""
        with self._store.reads() as connection:
            found, _ = _places(connection, site_ids, wanted, order, limit, None)
        return [place.comment_id for place in found]

    def histogram(self, site_ids: SiteIds, wanted: Filter) -> list[Levels]:
        """How many of what is wanted, whatever its range, lie in each of `BINS` bins of `head`.

        Told apart by how sure the machine was at the time: below its thresholds, unsure, likely.
        """
        column = waiting.c[f"{wanted.head.value}_bin"]
        level = waiting.c[f"{wanted.head.value}_level"].label("level")
        # By its index where that knows all that is asked; else it would be read in that order.
        place = (column if wanted.is_all else column + 0).label("place")
        grouped = (waiting.c.site_id, column, level) if wanted.is_all else (place, level)
        select: AnySelect = sa.select(place, level, sa.func.count().label("number"))
        statement = _wanted(select, site_ids, wanted.without_range()).group_by(*grouped)
        bins = [[0, 0, 0] for _ in range(BINS)]
        for row in self._store.read_aside(lambda c: c.execute(statement).all()):
            if 0 <= row.place < BINS:
                bins[row.place][row.level] += row.number
        return [(low, unsure, likely) for low, unsure, likely in bins]

    def breakdown(self, site_ids: SiteIds, act_id: str) -> list[Part]:
        """What the comments of an act that wait are, most frequent first."""
        kind = (waiting.c.site_id, waiting.c.band, waiting.c.language)
        mine = act_comments.c.comment_id == waiting.c.comment_id
        statement = (
            sa.select(*kind, sa.func.count().label("number"))
            .join(act_comments, mine)
            .where(act_comments.c.act_id == act_id, *_on(site_ids))
            .group_by(*kind)
            .order_by(sa.desc("number"), *kind)
        )
        with self._store.reads() as connection:
            found = connection.execute(statement).all()
        return [Part(row[0], Band(row[1]), row[2], row[3]) for row in found]

    def comments(self, site_ids: SiteIds, ids: Sequence[str]) -> list[StoredComment]:
        """Comments by their ids, in that order; those of other sites are not there."""
        statement = STORED.where(comments.c.id.in_(ids))
        if site_ids is not None:
            statement = statement.where(comments.c.site_id.in_(list(site_ids)))
        with self._store.reads() as connection:
            found = {r["id"]: r for r in connection.execute(statement).mappings()}
        return [stored_comment(found[one]) for one in ids if one in found]


# ------------------------------------------------------------------ statements


@dataclass(frozen=True, slots=True)
class _Place:
    value: datetime | float
    comment_id: str


def _places(
    connection: sa.Connection,
    site_ids: SiteIds,
    wanted: Filter,
    order: Order,
    limit: int,
    start: _Start | None,
) -> tuple[list[_Place], Count | None]:
    """Where the first of what is wanted are; how many there are in all if that was seen."""
    first, rises = _ORDERS[order]
    select: AnySelect = sa.select(first, waiting.c.comment_id)
    if not wanted.is_all or wanted.site_id:
        few = connection.execute(_wanted(select, site_ids, wanted).limit(RARE + 1)).all()
        if len(few) <= RARE:
            found = sorted(((row[0], row[1]) for row in few), reverse=not rises)
            if start is not None:
                found = [one for one in found if (one > start if rises else one < start)]
            return [_Place(*one) for one in found[:limit]], Count(len(few))
    place = (first, waiting.c.comment_id)
    statement = _wanted(select, site_ids, wanted, walks=True)
    statement = statement.order_by(*(c.asc() if rises else c.desc() for c in place)).limit(limit)
    if start is not None:
        at = sa.tuple_(sa.literal(start[0], first.type), sa.literal(start[1]))
        here = sa.tuple_(*place)
        statement = statement.where(here > at if rises else here < at)
    places = [_Place(row[0], row[1]) for row in connection.execute(statement)]
    return places, None


def _seen_of(site_ids: SiteIds, wanted: Filter) -> SiteIds:
    if not wanted.site_id:
        return site_ids
    return [one for one in [wanted.site_id] if site_ids is None or one in site_ids]


def _count(connection: sa.Connection, site_ids: SiteIds, wanted: Filter) -> Count:
    one: AnySelect = sa.select(sa.literal(1))
    if site_ids is None and not wanted.site_id and replace(wanted, words=()).is_all:
        # Where words are all that matters, the texts know: there is one for each that waits.
        found = one.select_from(texts).where(*_words(wanted))
    else:
        found = _wanted(one, site_ids, wanted)
    some = found.limit(MOST_COUNTED + 1).subquery()
    number = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)


def _wanted(
    select: AnySelect, site_ids: SiteIds, wanted: Filter, *, walks: bool = False
) -> AnySelect:
    """What is wanted of `waiting`, beside the texts if words are looked for.

    One that `walks` along an order is not to go by the index of sites: it would sort a whole site.
    """
    columns = waiting.c
    site = columns.site_id.concat("") if walks else columns.site_id
    exact = {
        site: wanted.site_id,
        columns.language: wanted.language,
        columns.band: "" if wanted.band is None else wanted.band.value,
    }
    listed = {columns.codes: wanted.code, columns.domains: wanted.domain}
    flags = {columns.is_new_author: wanted.is_new_author, columns.is_reported: wanted.is_reported}
    conditions: list[sa.ColumnElement[bool]] = [
        *(() if site_ids is None else (site.in_(list(site_ids)),)),
        *(column == value for column, value in exact.items() if value),
        *(_holds(column, f" {value} ") for column, value in listed.items() if value),
        *(column.is_(True) for column, is_asked in flags.items() if is_asked),
        *(_holds(columns.article, word) for word in wanted.article),
        *_in_range(wanted),
    ]
    if wanted.but:
        conditions.append(sa.or_(columns.campaign.is_(None), columns.campaign.not_in(wanted.but)))
    if not wanted.words:
        return select.select_from(waiting).where(*conditions)
    both = waiting.join(texts, texts.c.comment_id == columns.comment_id)
    return select.select_from(both).where(*conditions, *_words(wanted))


def _words(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    return [_holds(texts.c.text, word) for word in wanted.words]


def _on(site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (waiting.c.site_id.in_(list(site_ids)),)


def _holds(column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a column holds a text, in which no character has a meaning of its own."""
    return column.contains(text, autoescape=True)


def _in_range(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    if not wanted.has_range:
        return []
    place = waiting.c[f"{wanted.head.value}_bin"] + 0  # not by its index, as above
    return [place.between(wanted.first, wanted.last)]


_ORDERS: Mapping[Order, tuple[sa.Column[Any], bool]] = {
    Order.OLDEST: (waiting.c.waiting_since, True),
    Order.NEWEST: (waiting.c.waiting_since, False),
    Order.RISKIEST: (waiting.c.risk, False),
    Order.UNSURE: (waiting.c.doubt, False),
    Order.TEACHES: (waiting.c.teaches, False),
}


# ------------------------------------------------------------------ cursors


def _cursor(place: _Place, order: Order) -> str:
    value = place.value
    number = microseconds_of(value) if isinstance(value, datetime) else value
    return cursor_of(order.value, number, place.comment_id)


def _start_of(cursor: str, order: Order) -> _Start:
    is_time = isinstance(_ORDERS[order][0].type, UtcTime)

    def read(word: Any, value: Any, comment_id: Any) -> _Start:
        if word != order.value or not may_be_id(comment_id):
            raise ValueError
        return (time_of(int(value)) if is_time else _finite(value)), comment_id

    return place_of(cursor, read)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return float(value)
