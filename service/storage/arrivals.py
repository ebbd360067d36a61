"""Count what came and what was said of it by day, and note how long the queue is.

Comments are counted in the order of their ids, which begin with the time, up to a few minutes
ago: by then whatever has such an id is committed, but for what was kept in the spool, which
`count_late` counts as it is replayed. A comment that came with a site's history did not arrive
here and is not counted. The database adds up itself; only languages and shapes are read off texts,
of some when many came. Days are in UTC.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.judging import NO_MODEL
from model.language import language_of
from service.storage.counts import Counts, add, hold_mark, marks_of, move_mark, tally
from service.storage.partitions import first_id
from service.storage.shapes import shapes_of
from service.storage.tables import (
    EPOCH,
    arrival_days,
    comments,
    language_days,
    queue,
    queue_samples,
    score_days,
    shape_days,
    verdicts,
)

ARRIVALS = "arrivals"
SETTLED = timedelta(minutes=2)
"""After so long a comment that is being judged is committed, or was answered 503."""

PAGE = 20_000
"""Comments counted in one transaction."""

MOST_READ = 2000
"""From so many comments on, languages and shapes of one in sixteen stand for those of all."""

BINS = 20
SAMPLE_EVERY = timedelta(minutes=5)
SAMPLES_KEPT = timedelta(days=400)
_IMPORTED = '%"history.imported"%'


_Counted = dict[sa.Table, Counts]


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts whose languages and shapes are not among the counts yet, with what each stands for."""

    found: Sequence[Sequence[Any]] = field(repr=False)
    weight: int
    counted: _Counted = field(repr=False)

    def count(self, give_way: Callable[[], object] = lambda: None) -> None:
        """Read them, which takes some 0.1 ms of each, with `give_way` after each."""
        for site_id, on, content, outcome in self.found:
            key = (site_id, on, language_of(content), outcome)
            tally(self.counted[language_days], key, self.weight)
            for shape, step in shapes_of(content):
                tally(self.counted[shape_days], (site_id, on, shape, step), 1, self.weight)
            give_way()


@dataclass(frozen=True, slots=True)
class Page:
    """What was counted of the comments after the mark `start`, up to the one `end`.

    Of `texts` only when they have been counted, which needs no transaction.
    """

    start: str
    end: str
    number: int
    texts: _Texts

    @property
    def counted(self) -> _Counted:
        """The counts by table."""
        return self.texts.counted


def next_page(connection: sa.Connection, now: datetime) -> Page | None:
    """The counts of the next comments; None when all that have settled are counted."""
    start = marks_of(connection, ARRIVALS).get("", "")
    settled = sa.select(comments.c.id).where(
        comments.c.id > start, comments.c.id < first_id(now - SETTLED)
    )
    # By number and not by time, so that a flood is no longer transaction than a quiet day.
    among = settled.order_by(comments.c.id).limit(PAGE).subquery()
    statement = sa.select(sa.func.max(among.c.id), sa.func.count())
    end, number = connection.execute(statement).one()
    if not number:
        return None
    within = (comments.c.id > start, comments.c.id <= end)
    return Page(start, end, number, _counts(connection, within, number))


def write_page(connection: sa.Connection, page: Page) -> bool:
    """Add a page's counts; False, and nothing, when another process has done so."""
    if hold_mark(connection, ARRIVALS, "") != page.start:
        return False
    for table in sorted(page.counted, key=str):
        add(connection, table, page.counted[table])
    move_mark(connection, ARRIVALS, "", page.end)
    return True


def count_late(connection: sa.Connection, ids: list[str]) -> None:
    """Count those of some new comments that the count has gone past already."""
    mark = hold_mark(connection, ARRIVALS, "")
    late = [comment_id for comment_id in ids if comment_id <= mark]
    if late:
        texts = _counts(connection, (comments.c.id.in_(late),), len(late))
        texts.count()
        for table in sorted(texts.counted, key=str):
            add(connection, table, texts.counted[table])


def _counts(
    connection: sa.Connection, which: tuple[sa.ColumnElement[bool], ...], number: int
) -> _Texts:
    is_postgres = connection.dialect.name == "postgresql"
    day = _day(is_postgres)
    verdict = (verdicts.c.outcome, verdicts.c.model, verdicts.c.policy)
    bins = (_bin(verdicts.c.spam, is_postgres), _bin(verdicts.c.toxicity, is_postgres))
    groups = (comments.c.site_id, day, *verdict, *bins)
    arrived = (*which, *_ARRIVED)
    statement = sa.select(*groups, sa.func.count()).select_from(_BOTH).where(*arrived)
    found = connection.execute(statement.group_by(*groups)).all()
    counted: _Counted = {arrival_days: {}, score_days: {}}
    counted |= {language_days: {}, shape_days: {}}
    for site_id, on, outcome, model, policy, spam, toxicity, times in found:
        tally(counted[arrival_days], (site_id, on, outcome, model, policy), times)
        for head, at in (("spam", spam), ("toxicity", toxicity)):
            if at is not None:
                tally(counted[score_days], (site_id, on, model, head, at), times)
    weight, some = (1, ()) if number <= MOST_READ else (16, (comments.c.id.like("%0"),))
    texts = sa.select(comments.c.site_id, day, comments.c.content, verdicts.c.outcome)
    read = connection.execute(texts.select_from(_BOTH).where(*arrived, *some))
    return _Texts(read.all(), weight, counted)


_BOTH = comments.join(verdicts, verdicts.c.comment_id == comments.c.id)
_ARRIVED = (sa.or_(verdicts.c.model != NO_MODEL, sa.not_(verdicts.c.explanation.like(_IMPORTED))),)


def _day(is_postgres: bool) -> sa.ColumnElement[str]:
    if is_postgres:
        return sa.func.to_char(sa.func.timezone("UTC", comments.c.received_at), "YYYY-MM-DD")
    seconds = sa.type_coerce(comments.c.received_at, sa.BigInteger) / 1_000_000
    return sa.func.date(seconds, "unixepoch")


def _bin(score: sa.Column[Any], is_postgres: bool) -> sa.ColumnElement[int | None]:
    # One database rounds where the other cuts off.
    cut = sa.func.floor(score * BINS) if is_postgres else score * BINS
    return sa.case((score >= 1, BINS - 1), else_=sa.cast(cut, sa.Integer))


# ------------------------------------------------------------------ the queue

Sample = dict[str, Any]


def queue_now(connection: sa.Connection, now: datetime) -> list[Sample]:
    """How many wait and for how long, by site, and of all sites under ""."""
    statement = sa.select(queue.c.site_id, sa.func.count()).group_by(queue.c.site_id)
    sizes = {site_id: number for site_id, number in connection.execute(statement)}
    samples = [_sample(connection, site_id, number, now) for site_id, number in sizes.items()]
    return [*samples, _sample(connection, "", sum(sizes.values()), now)]


def _sample(connection: sa.Connection, site_id: str, number: int, now: datetime) -> Sample:
    def waited(share: float) -> float:
        # The nearest rank; those who have waited longest come first.
        statement = sa.select(queue.c.waiting_since).order_by(queue.c.waiting_since)
        if site_id:
            statement = statement.where(queue.c.site_id == site_id)
        place = statement.offset(int((1 - share) * number)).limit(1)
        since = connection.execute(place).scalar_one_or_none()
        return 0.0 if since is None else max(0.0, (now - since).total_seconds())

    at = EPOCH + (now - EPOCH) // SAMPLE_EVERY * SAMPLE_EVERY
    figures = {"waiting": number, "p50_seconds": waited(0.5), "p95_seconds": waited(0.95)}
    return {"at": at, "site_id": site_id} | figures


def write_samples(connection: sa.Connection, samples: list[Sample], now: datetime) -> None:
    """Keep samples, unless another process has kept some of these minutes; forget old ones."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(queue_samples).on_conflict_do_nothing(), samples)
    old = queue_samples.c.at < now - SAMPLES_KEPT
    connection.execute(queue_samples.delete().where(old))
