"""Find comments that wait: by what they are, by words in them, in any order, a page at a time.

Knows the table of traits and how each database looks through it. Every page begins where the one
before ended (a cursor), never by counting over what was skipped. Who may see what is the caller's
to say, by `site_ids`.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from model.outcome import Head
from service.storage.errors import BadCursor
from service.storage.records import QueueItem, QueuePage, Waiting
from service.storage.review import SiteIds, still_waiting
from service.storage.rows import STORED, compact, stored_comment
from service.storage.store import Store
from service.storage.tables import (
    UtcTime,
    comments,
    microseconds_of,
    time_of,
    waiting,
    waiting_texts,
)
from service.storage.traits import BATCH, Band, catch_up

MOST_COUNTED = 10_000
"""Counts stop here: what they are for is to know whether it is worth looking."""

BINS = 20
"""Bars of a histogram, of equal width over [0, 1]; the last one takes 1 as well."""

_LONGEST_ID = 64
AnySelect = sa.Select[*tuple[Any, ...]]


class Order(StrEnum):
    """Which comment comes first: the first three for people, the last one to learn most."""

    OLDEST = "oldest"
    NEWEST = "newest"
    RISKIEST = "riskiest"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of the waiting comments; what is empty does not matter.

    `words` are folded and all have to be there. The score of `head` is from `low`, up to and
    without `high`, unless that is 1; a comment without a score is in no such range.
    """

    site_id: str = ""
    article: str = ""
    language: str = ""
    code: str = ""
    band: Band | None = None
    domain: str = ""
    is_new_author: bool = False
    is_reported: bool = False
    words: tuple[str, ...] = ()
    head: Head = Head.SPAM
    low: float = 0.0
    high: float = 1.0

    @property
    def has_range(self) -> bool:
        """Whether only some scores count."""
        return (self.low, self.high) != (0.0, 1.0)

    def without_range(self) -> "Filter":
        """The same with any score."""
        return replace(self, low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with `more`, at least as many."""

    number: int
    more: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter may take, and how many comments it would leave."""

    value: str
    count: int


class Finding:
    """What waits, looked through. Every method raises StoreUnavailable as the store's do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def catch_up(self, *, most: int = 2 * BATCH) -> int:
        """Read what can be found of up to `most` new comments; how many have still to be read."""
        return catch_up(self._store, most=most)

    def page(
        self, site_ids: SiteIds, wanted: Filter, order: Order, *, limit: int, after: str = ""
    ) -> QueuePage:
        """Part of what is wanted, in order, from where `after` left off. Raises BadCursor.

        A cursor is good for its order only; with another filter it goes on from the same place.
        """
        start = _read_cursor(after, order) if after else None
        statement = _page_statement(site_ids, wanted, order, limit=limit + 1, start=start)

        def read(connection: sa.Connection) -> tuple[list[sa.RowMapping], dict[str, sa.RowMapping]]:
            found = [*connection.execute(statement).mappings()]
            of_page = STORED.where(comments.c.id.in_([r["comment_id"] for r in found[:limit]]))
            return found, {row["id"]: row for row in connection.execute(of_page).mappings()}

        found, stored = self._store.read_aside(read)
        shown = [r["comment_id"] for r in found[:limit]]
        with self._store.reads() as connection:  # a replica is behind: what is decided is gone
            waits = still_waiting(connection, shown)
        rows = [stored[one] for one in shown if one in stored and one in waits]
        return QueuePage(
            items=tuple(QueueItem(stored_comment(r), Waiting(r["why"])) for r in rows if r["why"]),
            after=_cursor(found[limit - 1], order) if len(found) > limit else "",
        )

    def count(self, site_ids: SiteIds, wanted: Filter, *, most: int = MOST_COUNTED) -> Count:
        """How many there are, up to `most`."""
        some = _wanted(sa.select(sa.literal(1)), site_ids, wanted).limit(most + 1).subquery()
        statement = sa.select(sa.func.count()).select_from(some)
        found = self._store.read_aside(lambda c: c.execute(statement).scalar_one())
        return Count(min(found, most), found > most)

    def ids(self, site_ids: SiteIds, wanted: Filter, order: Order, *, limit: int) -> list[str]:
        """The ids of the first of them, in order."""
        statement = _page_statement(site_ids, wanted, order, limit=limit, start=None)
        with self._store.reads() as connection:
            return [row["comment_id"] for row in connection.execute(statement).mappings()]

    def histogram(self, site_ids: SiteIds, wanted: Filter) -> list[int]:
        """How many of what is wanted, whatever its range, lie in each of `BINS` bins of `head`."""
        score = waiting.c[wanted.head.value]
        place = _Whole(score * BINS)
        select: AnySelect = sa.select(place.label("bin"), sa.func.count())
        select = select.where(score.is_not(None))
        statement = _wanted(select, site_ids, wanted.without_range()).group_by(sa.text("bin"))
        bins = [0] * BINS
        for at, count in self._store.read_aside(lambda c: c.execute(statement).all()):
            bins[min(max(at, 0), BINS - 1)] += count
        return bins

    def choices(self, site_ids: SiteIds, column: str, *, limit: int = 50) -> list[Choice]:
        """The most frequent values of a trait that waiting comments have, most frequent first."""
        value, count = waiting.c[column], sa.func.count()
        select: AnySelect = sa.select(value, count).where(value != "")
        statement = _wanted(select, site_ids, Filter()).group_by(value)
        statement = statement.order_by(count.desc(), value).limit(limit)
        found = self._store.read_aside(lambda c: c.execute(statement).all())
        return [Choice(*row) for row in found]


# ------------------------------------------------------------------ statements


def _wanted(select: AnySelect, site_ids: SiteIds, wanted: Filter) -> AnySelect:
    """What is wanted of `waiting`, beside the texts if words are looked for."""
    conditions = [*_equals(site_ids, wanted), *_in_range(wanted)]
    if not wanted.words:
        return select.select_from(waiting).where(*conditions)
    on = waiting_texts.c.comment_id == waiting.c.comment_id
    conditions += [_Holds(waiting_texts.c.text, sa.literal(word)) for word in wanted.words]
    return select.select_from(waiting.join(waiting_texts, on)).where(*conditions)


def _equals(site_ids: SiteIds, wanted: Filter) -> list[sa.ColumnElement[bool]]:
    columns = waiting.c
    exact = {
        columns.site_id: wanted.site_id,
        columns.article: wanted.article,
        columns.language: wanted.language,
        columns.band: "" if wanted.band is None else wanted.band.value,
    }
    listed = {columns.codes: wanted.code, columns.domains: wanted.domain}
    flags = {columns.is_new_author: wanted.is_new_author, columns.is_reported: wanted.is_reported}
    return [
        *(() if site_ids is None else (columns.site_id.in_(list(site_ids)),)),
        *(column == value for column, value in exact.items() if value),
        *(_Holds(c, sa.literal(f" {value} ")) for c, value in listed.items() if value),
        *(column.is_(True) for column, is_asked in flags.items() if is_asked),
    ]


def _in_range(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    if not wanted.has_range:
        return []
    score = waiting.c[wanted.head.value]
    return [score >= wanted.low, *(() if wanted.high >= 1 else (score < wanted.high,))]


class _Holds(FunctionElement[bool]):
    """Whether a text holds another one; no character has a meaning of its own, as LIKE's have."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_Holds)
def _holds(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **options)}) > 0)"


@compiles(_Holds, "sqlite")
def _holds_on_sqlite(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **options)}) > 0)"


class _Whole(FunctionElement[int]):
    """The whole part of a number that is not negative. A cast rounds in one of the databases."""

    type = sa.Integer()
    inherit_cache = True


@compiles(_Whole)
def _whole(element: _Whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor({compiler.process(element.clauses, **options)}) AS integer)"


@compiles(_Whole, "sqlite")
def _whole_on_sqlite(element: _Whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS integer)"


def _page_statement(
    site_ids: SiteIds,
    wanted: Filter,
    order: Order,
    *,
    limit: int,
    start: tuple[datetime | float, str] | None,
) -> AnySelect:
    first, rises = _ORDERS[order]
    place = (first, waiting.c.comment_id)
    ways = [column.asc() if rises else column.desc() for column in place]
    select = sa.select(waiting.c.comment_id, first.label("place"))
    statement = _wanted(select, site_ids, wanted).order_by(*ways).limit(limit)
    if start is not None:
        value, comment_id = start
        at = sa.tuple_(sa.literal(value, first.type), sa.literal(comment_id))
        here = sa.tuple_(*place)
        statement = statement.where(here > at if rises else here < at)
    return statement


_ORDERS: Mapping[Order, tuple[sa.Column[Any], bool]] = {
    Order.OLDEST: (waiting.c.waiting_since, True),
    Order.NEWEST: (waiting.c.waiting_since, False),
    Order.RISKIEST: (waiting.c.risk, False),
    Order.UNSURE: (waiting.c.doubt, False),
}


# ------------------------------------------------------------------ cursors


def _cursor(row: sa.RowMapping, order: Order) -> str:
    value = row["place"]
    if isinstance(value, datetime):
        value = microseconds_of(value)
    text = compact([order.value, value, row["comment_id"]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: Order) -> tuple[datetime | float, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        word, value, comment_id = json.loads(text)
        if word != order.value or not _may_be_id(comment_id):
            raise ValueError
        is_time = isinstance(_ORDERS[order][0].type, UtcTime)
        return (time_of(int(value)) if is_time else _finite(value)), comment_id
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BadCursor("`after` must be what an earlier page in the same order gave") from None


def _may_be_id(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= _LONGEST_ID


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return float(value)
