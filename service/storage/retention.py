"""What is forgotten when it is old: what no person ever spoke of.

A comment stays for ever while it waits in the queue, and once there is a decision (standing or
taken back) or a report, unless an end is set for those as well. Events stay in any case. Knows
what is kept and in which order things go; whole partitions are `partitions`' to drop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.storage import partitions
from service.storage.engine import transaction
from service.storage.partitions import Partition, first_id
from service.storage.tables import (
    act_comments,
    akismet_checks,
    appeals,
    campaign_members,
    claims,
    comments,
    decisions,
    following,
    queue,
    reports,
    shadow_flips,
    site_rule_changes,
    site_rules,
    undos,
    verdicts,
)

HANGING = (
    akismet_checks,
    act_comments,
    appeals,
    campaign_members,
    claims,
    shadow_flips,
)  # what goes with its comment, and has no key to it

BATCH = 500
"""Comments forgotten in one transaction."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days comments are kept; 0 is for ever.

    `spoken_days` is for those that a person decided or a site reported.
    """

    days: int = 0
    spoken_days: int = 0

    @property
    def period_days(self) -> int:
        """The days in a partition."""
        return partitions.period_of(self.days)

    def ends(self, now: datetime) -> tuple[str, str]:
        """The ids that those to be kept begin with: of all, and of those spoken of."""
        return _end(now, self.days), _end(now, self.spoken_days if self.days else 0)


def _end(now: datetime, days: int) -> str:
    return first_id(now - timedelta(days=days)) if days else ""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a run forgot, or would: partitions by name, comments one by one.

    `dropped` are the comments in those partitions; what was kept of them is not among them.
    """

    partitions: tuple[str, ...] = ()
    dropped: int = 0
    comments: int = 0
    decisions: int = 0


def plan(connection: sa.Connection, retention: Retention, now: datetime) -> Forgotten:
    """What `forget` would do now. Counts, so it reads all that is old."""
    end, spoken_end = retention.ends(now)
    whole = _expired(connection, end)
    edge = whole[-1].end if whole else ""
    return Forgotten(
        tuple(p.name for p in whole),
        _count(connection, _forgettable("", edge, spoken_end)) if whole else 0,
        _count(connection, _forgettable(edge, end, spoken_end)),
        _count(connection, _said(decisions, spoken_end)),
    )


def _count(connection: sa.Connection, which: sa.Select[str]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(which.subquery())).scalar_one()


def _expired(connection: sa.Connection, end: str) -> list[Partition]:
    """The partitions to be let go, which are always the first; none is worth it for itself."""
    if not end or not partitions.are_made(connection):
        return []
    found = [p for p in partitions.all_of(connection) if p.end and p.end <= end]
    return [] if all(p.name.startswith("k") for p in found) else found


def _waits(comment_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.exists().where(queue.c.comment_id == comment_id)


def _forgettable(start: str, end: str, spoken_end: str) -> sa.Select[str]:
    """The ids from `start` up to `end` that nobody spoke of, or long ago, and that do not wait."""
    id_ = comments.c.id
    spoken = sa.or_(
        sa.exists().where(decisions.c.comment_id == id_),
        sa.exists().where(reports.c.comment_id == id_),
    )
    forgotten = sa.and_(~_waits(id_), sa.or_(~spoken, id_ < spoken_end))
    return sa.select(id_).where(id_ >= start, id_ < end, forgotten).order_by(id_)


def _said(table: sa.Table, spoken_end: str) -> sa.Select[str]:
    """The comments that words are to be forgotten of."""
    id_ = table.c.comment_id
    return sa.select(id_).where(id_ < spoken_end, ~_waits(id_)).order_by(id_)


def forget(
    engine: sa.Engine,
    retention: Retention,
    now: datetime,
    *,
    pause: Callable[[], object],
    progress: Callable[[int], None] = lambda _: None,
) -> Forgotten:
    """Forget what is old: words first, then whole partitions, then comments in batches.

    `pause` is called between batches, so that others may write; `progress` with the comments
    forgotten so far. May be stopped at any point and run again.
    """
    end, spoken_end = retention.ends(now)
    words = sum(_forget_words(engine, table, spoken_end, pause) for table in (decisions, reports))
    if spoken_end:
        _forget_names(engine, now - timedelta(days=retention.spoken_days))
    with transaction(engine, writes=False) as connection:
        whole = _expired(connection, end)
        dropped = 0
        if whole:
            dropped = _count(connection, _forgettable("", whole[-1].end, spoken_end))
    if whole:
        partitions.keep_of(engine, whole, _kept_within(whole))
        _forget_hanging(engine, whole[-1].end)
    count, last = 0, ""
    while end and (batch := _forget_batch(engine, _forgettable(last, end, spoken_end))):
        gone, last = batch
        count += gone
        progress(count)
        pause()
    return Forgotten(tuple(p.name for p in whole), dropped, count, words)


def _forget_hanging(engine: sa.Engine, end: str) -> None:
    """What hung on the comments that went with their partitions."""
    with transaction(engine, writes=True, foreign_keys=False) as connection:
        for table in HANGING:
            gone = ~sa.exists().where(comments.c.id == table.c.comment_id)
            connection.execute(table.delete().where(table.c.comment_id < end, gone))


def _forget_names(engine: sa.Engine, before: datetime) -> None:
    """What authors were known by whom a site had rules for, where those ended long ago.

    The rules stay, by their keyed hashes: a verdict can still be judged again.
    """
    over = sa.or_(site_rules.c.ended.is_not(None), site_rules.c.expires_at < before)
    of_authors = site_rules.c.kind.in_(["author", "network"])
    told = site_rule_changes.c.kind.in_(["author", "undo"])
    with transaction(engine, writes=True) as connection:
        names = site_rules.update().where(of_authors, over, site_rules.c.made_at < before)
        connection.execute(names.values(label="", why=""))
        changes = site_rule_changes.update().where(told, site_rule_changes.c.at < before)
        connection.execute(changes.values(what="", why=""))


def _kept_within(whole: list[Partition]) -> str:
    """Selects the ids that stay of partitions; what was said too long ago is gone by now."""
    end = whole[-1].end
    return " UNION ".join(
        f"SELECT comment_id FROM {table.name} WHERE comment_id < '{end}'"
        for table in (decisions, reports, queue)
    )


def _forget_words(
    engine: sa.Engine, table: sa.Table, spoken_end: str, pause: Callable[[], object]
) -> int:
    count = 0
    while spoken_end:
        with transaction(engine, writes=True, foreign_keys=False) as connection:
            found = connection.execute(_said(table, spoken_end).limit(BATCH)).scalars().all()
            if not found:
                break
            if table is decisions:
                of_them = sa.select(decisions.c.id).where(decisions.c.comment_id.in_(found))
                connection.execute(following.delete().where(following.c.decision_id.in_(of_them)))
                connection.execute(undos.delete().where(undos.c.decision_id.in_(of_them)))
            gone = connection.execute(table.delete().where(table.c.comment_id.in_(found)))
            count += gone.rowcount
            # Its author's record ends with it, in the same transaction.
            connection.execute(
                comments.update().where(comments.c.id.in_(found)).values(decided=None)
            )
        pause()
    return count


def _forget_batch(engine: sa.Engine, which: sa.Select[str]) -> tuple[int, str] | None:
    """How many, and the last id looked at; None when there was none."""
    # Without keys: the code looks itself, where SQLite would search all idempotency keys for
    # each comment. Those are forgotten after a week, before any comment is.
    with transaction(engine, writes=True, foreign_keys=False) as connection:
        held = which.limit(BATCH).with_for_update(skip_locked=True)
        found = connection.execute(held).scalars().all()
        # Once more, now that nobody else can say a word: PostgreSQL looked before it had them.
        still = which.where(comments.c.id.in_(found))
        gone = connection.execute(still).scalars().all() if found else []
        if gone:
            connection.execute(verdicts.delete().where(verdicts.c.comment_id.in_(gone)))
            for table in HANGING:
                connection.execute(table.delete().where(table.c.comment_id.in_(gone)))
            connection.execute(comments.delete().where(comments.c.id.in_(gone)))
    return (len(gone), found[-1]) if found else None
