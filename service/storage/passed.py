"""Look through what does not wait: what the machine accepted or rejected, what people decided.

Nothing is kept ready for that, so a look goes back from the newest, a stretch at a time, and says
where it has come to. Each comment's traits are read on the way.
"""

from functools import partial
from typing import Any

import sqlalchemy as sa

from model.outcome import Outcome
from service.storage.cursors import cursor_of, place_of
from service.storage.finding import Count, Filter, Found
from service.storage.records import QueueItem, QueuePage, StoredComment, Waiting
from service.storage.review import SiteIds, may_be_id
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import comments, decisions, reports, undos
from service.storage.traits import Read, bin_of, traits_of

STRETCH = 5_000
"""Rows that the database goes through in one look."""

READ = 300
"""Comments whose traits are read in one look."""

MOST_LOOKS = 40
"""So many looks for all that is wanted take about five seconds."""

_AT_ONCE = 60
_STATES = {"accepted": Outcome.ACCEPT, "rejected": Outcome.REJECT, "decided": None}
_Candidates = list[tuple[str, str]]  # the key of a place, and the comment there


class Passed:
    """What does not wait, looked through from the newest on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(
        self, site_ids: SiteIds, state: str, wanted: Filter, *, limit: int, after: str = ""
    ) -> Found:
        """Some of what is wanted, newest first; `state` is accepted, rejected or decided.

        A page may have fewer than `limit`, or none, and still go on: that is how far one look
        goes. Raises BadCursor.
        """
        start = _key_of(after, state) if after else ""

        def read(connection: sa.Connection) -> tuple[_Candidates, str]:
            if state == "decided":
                return _decided(connection, site_ids, start)
            return _judged(connection, site_ids, _STATES[state], start)

        candidates, end = self._store.read_aside(read)
        reported = wanted.is_reported
        items: list[QueueItem] = []
        for at in range(0, len(candidates), _AT_ONCE):
            some = candidates[at : at + _AT_ONCE]
            ids = [comment_id for _, comment_id in some]
            stored = self._store.read_aside(partial(_stored, ids=ids, reported=reported))
            for key, comment_id in some:
                comment = stored.get(comment_id)
                if comment is not None and _is_wanted(comment, wanted):
                    items.append(QueueItem(comment, Waiting.VERDICT))
                if len(items) == limit:
                    return Found(QueuePage(tuple(items), cursor_of(state, key)), Count(limit, True))
        page = QueuePage(tuple(items), cursor_of(state, end) if end else "")
        return Found(page, Count(len(items), more=bool(end)))

    def ids(
        self, site_ids: SiteIds, state: str, wanted: Filter, *, limit: int
    ) -> tuple[list[str], bool]:
        """The ids of the newest of what is wanted, and whether all of it was looked through.

        After `MOST_LOOKS` it was not, and older comments may be wanted as well.
        """
        found: list[str] = []
        after = ""
        for _ in range(MOST_LOOKS):
            page = self.find(site_ids, state, wanted, limit=limit - len(found), after=after).page
            found += [item.comment.id for item in page.items]
            after = page.after
            if not after or len(found) >= limit:
                break
        return found, not after


def _decided(connection: sa.Connection, site_ids: SiteIds, start: str) -> tuple[_Candidates, str]:
    """Comments by their standing decisions, and the key to go on from."""
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    statement = sa.select(decisions.c.id, decisions.c.comment_id).where(~undone)
    if start:
        statement = statement.where(decisions.c.id < start)
    if site_ids is not None:
        statement = statement.where(decisions.c.site_id.in_(list(site_ids)))
    rows = connection.execute(statement.order_by(decisions.c.id.desc()).limit(READ)).all()
    found = [(row.id, row.comment_id) for row in rows]
    return found, found[-1][0] if len(found) == READ else ""


def _judged(
    connection: sa.Connection, site_ids: SiteIds, outcome: Outcome | None, start: str
) -> tuple[_Candidates, str]:
    """Comments that stand as the machine said, and the key to go on from."""
    assert outcome is not None, "what people decided is found by their decisions"
    columns = (comments.c.id, comments.c.site_id, comments.c.state, comments.c.decided)
    walk = sa.select(*columns).order_by(comments.c.id.desc()).limit(STRETCH)
    if start:
        walk = walk.where(comments.c.id < start)
    stretch = walk.subquery()
    wanted = [stretch.c.state == outcome.word, stretch.c.decided.is_(None)]
    if site_ids is not None:
        wanted.append(stretch.c.site_id.in_(list(site_ids)))
    statement = sa.select(stretch.c.id).where(*wanted).order_by(stretch.c.id.desc())
    found = [(one, one) for one in connection.execute(statement.limit(READ)).scalars()]
    if len(found) == READ:
        return found, found[-1][0]
    size = sa.select(sa.func.count(), sa.func.min(stretch.c.id))
    count, last = connection.execute(size).one()
    return found, last if count == STRETCH else ""


def _stored(
    connection: sa.Connection, *, ids: list[str], reported: bool
) -> dict[str, StoredComment]:
    statement = STORED.where(comments.c.id.in_(ids))
    if reported:
        statement = statement.where(sa.exists().where(reports.c.comment_id == comments.c.id))
    rows = connection.execute(statement).mappings()
    return {row["id"]: stored_comment(row) for row in rows}


def _is_wanted(comment: StoredComment, wanted: Filter) -> bool:
    """What `finding` asks of the database, asked of a comment."""
    if wanted.site_id and comment.site_id != wanted.site_id:
        return False
    if wanted.is_all:
        return True
    traits = traits_of(Read.of(comment))
    scores = comment.verdict.scores
    place = bin_of(scores.of(wanted.head) if scores else None)
    return (
        wanted.language in ("", traits.language)
        and wanted.band in (None, traits.band)
        and (not wanted.code or wanted.code in traits.codes)
        and (not wanted.domain or wanted.domain in traits.domains)
        and (not wanted.is_new_author or traits.is_new_author)
        and all(word in traits.article for word in wanted.article)
        and all(word in traits.text for word in wanted.words)
        and (not wanted.has_range or wanted.first <= place <= wanted.last)
    )


def _key_of(cursor: str, state: str) -> str:
    def read(word: Any, key: Any) -> str:
        if word != state or not may_be_id(key):
            raise ValueError
        return str(key)

    return place_of(cursor, read)
