"""Counts by day of what people decided, and how often a reason was right.

Nothing is counted while a comment is judged or decided: what has been committed since is counted
every minute. Decisions and undos of a site are numbered in the order of their
commits, so that each is counted once whoever counts, and an undo takes away what its decision
had added. Days are in UTC.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from model.language import language_of
from service.storage import arrivals
from service.storage.counts import Counts, add, day_of, hold_mark, marks_of, move_mark, tally
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import (
    audit_days,
    audit_language_days,
    comments,
    decision_days,
    decisions,
    reason_days,
    sites,
    undos,
    verdicts,
)

PAGE = 500
"""Decisions, or undos, counted in one transaction."""

RECORD_DAYS = 90
"""The days that the record of a reason is of."""

DECISIONS = "decisions"
_AGAINST = ("score.spam_", "score.toxicity_")
_BY_SIGN = "site.learnt"


@dataclass(frozen=True, slots=True)
class Record:
    """Of `of` comments that had a reason and were decided, in how many a person agreed with it.

    A reason agrees with a rejection, whatever for, if it spoke against the comment, and with
    an acceptance if it spoke for it.
    """

    right: int
    of: int


class Statistics:
    """Counts over a store. `site_ids` are the sites the caller may see, None for all."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def records(
        self, site_ids: SiteIds, codes: Collection[str], *, days: int = RECORD_DAYS
    ) -> Mapping[tuple[str, str], Record]:
        """The record of each reason on each site over the last `days`, today among them.

        By site id and code; what was never decided upon is not there. Reads a row for each
        site, code and day.
        """
        if not codes:
            return {}
        since = day_of(self._store.now() - timedelta(days=days - 1))
        total = (sa.func.sum(reason_days.c.agreed), sa.func.sum(reason_days.c.times))
        statement = (
            sa.select(reason_days.c.site_id, reason_days.c.code, *total)
            .where(reason_days.c.code.in_(list(codes)), reason_days.c.day >= since)
            .group_by(reason_days.c.site_id, reason_days.c.code)
        )
        if site_ids is not None:
            statement = statement.where(reason_days.c.site_id.in_(list(site_ids)))
        found = self._store.read_aside(lambda c: c.execute(statement).all())
        return {
            (site_id, code): Record(int(right), int(of)) for site_id, code, right, of in found if of
        }

    def count_decisions(self) -> int:
        """Count what was decided and taken back since the last time; how many changes.

        In pages, each a short transaction. Several processes may do it at once.
        """
        with self._store.reads() as connection:
            ends = connection.execute(sa.select(sites.c.id, sites.c.last_change)).all()
            marks = marks_of(connection, DECISIONS)
        done = 0
        for site_id, last in ends:
            at = int(marks.get(site_id, "0"))
            while at < last:
                at, number = self._count_page(site_id, at)
                done += number
        return done

    def _count_page(self, site_id: str, start: int) -> tuple[int, int]:
        """How far the counting has come, and how many changes it took in."""
        counted: dict[sa.Table, Counts] = defaultdict(dict)
        with self._store.reads() as connection:
            upto = _end_of_page(connection, site_id, start)
            changes = _changes(connection, site_id, start, upto)
        for row, sign in changes:
            _count_decision(counted, row, sign)
        with self._store.writes() as connection:  # short: on SQLite comments wait for it
            if (held := int(hold_mark(connection, DECISIONS, site_id) or "0")) != start:
                return held, 0  # another process was faster
            for table in sorted(counted, key=str):
                add(connection, table, counted[table])
            move_mark(connection, DECISIONS, site_id, str(upto))
        return upto, len(changes)

    def count_arrivals(
        self,
        *,
        pause: Callable[[], object] = lambda: None,
        give_way: Callable[[], object] = lambda: None,
    ) -> int:
        """Count the comments that came since the last time, but for the last minutes; how many.

        In pages, each a short transaction, with `pause` after each and `give_way` after each text
        that is read. Several processes may do it at once.
        """
        done = 0
        while True:
            with self._store.reads() as connection:
                page = arrivals.next_page(connection, self._store.now())
            if page is None:
                return done
            page.texts.count(give_way)
            with self._store.writes() as connection:
                done += page.number if arrivals.write_page(connection, page) else 0
            pause()

    def sample_queue(self) -> None:
        """Note how many wait and for how long; once in five minutes, whoever is asked to."""
        now = self._store.now()
        with self._store.reads() as connection:
            samples = arrivals.queue_now(connection, now)
        with self._store.writes() as connection:
            arrivals.write_samples(connection, samples, now)


def _end_of_page(connection: sa.Connection, site_id: str, start: int) -> int:
    # Undos and decisions of a site share one row of numbers: of either there are at most PAGE.
    statement = sa.select(sites.c.last_change).where(sites.c.id == site_id)
    last: int = connection.execute(statement).scalar_one()
    return min(start + PAGE, last)


def _changes(
    connection: sa.Connection, site_id: str, start: int, upto: int
) -> list[tuple[sa.RowMapping, int]]:
    added = ((row, 1) for row in _decided(connection, site_id, start, upto))
    taken = ((row, -1) for row in _undone(connection, site_id, start, upto))
    return [*added, *taken]


# ------------------------------------------------------------------ decisions

_CHANGED = sa.select(
    decisions.c.site_id,
    decisions.c.at,
    decisions.c.moderator,
    decisions.c.outcome,
    decisions.c.reason,
    comments.c.content,
    verdicts.c.outcome.label("said"),
    verdicts.c.audit,
    verdicts.c.unaudited,
    verdicts.c.review_probability,
    verdicts.c.explanation,
).select_from(
    decisions.join(comments, comments.c.id == decisions.c.comment_id).join(
        verdicts, verdicts.c.comment_id == decisions.c.comment_id
    )
)


def _decided(
    connection: sa.Connection, site_id: str, start: int, upto: int
) -> Sequence[sa.RowMapping]:
    statement = _CHANGED.where(
        decisions.c.site_id == site_id, decisions.c.change > start, decisions.c.change <= upto
    )
    return connection.execute(statement).mappings().all()


def _undone(
    connection: sa.Connection, site_id: str, start: int, upto: int
) -> Sequence[sa.RowMapping]:
    # Decisions that came with a site's history are not counted, nor that they are taken back.
    statement = _CHANGED.where(
        decisions.c.id.in_(
            sa.select(undos.c.decision_id).where(undos.c.change > start, undos.c.change <= upto)
        ),
        decisions.c.site_id == site_id,
        decisions.c.change > 0,
    )
    return connection.execute(statement).mappings().all()


def _count_decision(counted: dict[sa.Table, Counts], row: sa.RowMapping, sign: int) -> None:
    site_id, day, outcome = row["site_id"], day_of(row["at"]), row["outcome"]
    for code, pushes_to in pushes_of(row["explanation"]).items():
        agreed = sign * (pushes_to == outcome)
        tally(counted[reason_days], (site_id, code, day), sign, agreed)
    said = row["unaudited"] if row["audit"] else row["said"]
    opinion = said in ("accept", "reject")
    key = (site_id, day, row["moderator"], outcome, row["reason"] or "")
    language = language_of(row["content"])
    agreed = sign * (said == outcome)
    tally(counted[decision_days], (*key, language), sign, sign * opinion, agreed)
    chance = row["review_probability"]
    if row["audit"] and opinion and chance > 0:
        weight = 1 / chance
        sums = (sign, sign * weight, sign * weight**2)
        tally(counted[audit_days], (site_id, day, said, outcome), *sums)
        tally(counted[audit_language_days], (site_id, day, language, said, outcome), *sums)


def pushes_of(explanation: str) -> dict[str, str]:
    """By its code what each reason of a stored explanation speaks for: `accept` or `reject`.

    Reasons that speak for neither, such as that a comment was drawn at random, are not there.
    """
    told = json.loads(explanation)
    trusted = {hit["rule"]: bool(hit["trust"]) for hit in told["hits"]}
    pushes: dict[str, str] = {}
    for reason in told["reasons"]:
        code = reason["code"]
        if code in trusted:
            pushes[code] = "accept" if trusted[code] else "reject"
        elif code.startswith(_AGAINST):
            pushes[code] = "reject"
        elif code == _BY_SIGN:
            pushes[code] = "accept" if reason["evidence"].startswith("-") else "reject"
    return pushes
