"""What filters and orders need to know of a comment that waits, kept beside the queue.

Nothing here is on the path of judging: what is missing is read off the comments when somebody
looks (`finding.catch_up`), a batch at a time. Rows go by themselves when a comment no longer waits.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.addresses import mask_addresses
from model.folding import folded
from model.language import language_of
from model.links import links_in
from model.memory import cell_of
from model.outcome import Head, Scores
from service.storage.records import StoredComment, Waiting
from service.storage.rows import compact
from service.storage.tables import (
    campaign_members,
    comments,
    queue,
    reports,
    verdicts,
    waiting,
    waiting_texts,
)

BATCH = 200
"""Comments read and written at a time: some 50 ms, a few of them in the transaction."""

MOST_DOMAINS = 20

BINS = 20
"""Of the scores of a head, of equal width over [0, 1]; the last one takes 1 as well."""

NO_BIN = -1
"""Where a comment is that has no scores."""


class Band(StrEnum):
    """How sure the machine was of a comment, by the thresholds then in force."""

    FINE = "fine"
    UNSURE = "unsure"
    SPAM = "spam"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a comment can be found by.

    `language` is "und" when unknown; `codes` are those of its reasons. `article` (its address and
    title) and `text` (of comment, name, URL and title) are folded and hold no email address.
    `cell` is `model.memory.cell_of` its text.
    """

    band: Band
    language: str
    article: str
    is_new_author: bool
    codes: tuple[str, ...]
    domains: tuple[str, ...]
    text: str = field(repr=False)
    cell: int


class Read(NamedTuple):
    """What traits are read off; `codes` are those of its reasons."""

    site_id: str
    content: str
    name: str
    url: str
    permalink: str
    title: str
    author_accepted: int
    codes: tuple[str, ...]
    scores: Scores | None

    @classmethod
    def of(cls, comment: StoredComment) -> "Read":
        """That of a whole comment."""
        sent, verdict = comment.submission, comment.verdict
        return cls(
            site_id=comment.site_id,
            content=sent.content,
            name=sent.author.name,
            url=sent.author.url,
            permalink=sent.permalink,
            title=sent.article.title,
            author_accepted=comment.history.author_accepted,
            codes=tuple(reason.code for reason in verdict.reasons),
            scores=verdict.scores,
        )


def traits_of(read: Read) -> Traits:
    """The traits of a comment."""
    codes = tuple(dict.fromkeys(read.codes))
    # The author's own site last: a link in the text says more.
    links = (*links_in(read.content), *links_in(read.url))
    domains = dict.fromkeys(link.registered_domain or link.host for link in links)
    said = (read.content, read.name, read.url, read.title)
    return Traits(
        band=_band(codes, read.scores),
        language=language_of(read.content),
        article=folded(mask_addresses(f"{read.permalink} {read.title}")),
        is_new_author=read.author_accepted == 0,
        codes=codes,
        # A host may hold a line's end, as browsers leave it out; here it would be two.
        domains=tuple(one for one in domains if one.split() == [one])[:MOST_DOMAINS],
        # What is shown masked must not be found letter by letter either.
        text=folded(mask_addresses("\n".join(said))),
        cell=cell_of(read.content),
    )


_LIKELY_SPAM = f"score.{Head.SPAM}_likely"
_DOUBTED = frozenset(f"score.{head}_{how}" for head in Head for how in ("likely", "unsure"))


def _band(codes: Sequence[str], scores: Scores | None) -> Band:
    if _LIKELY_SPAM in codes:
        return Band.SPAM
    return Band.FINE if scores is not None and _DOUBTED.isdisjoint(codes) else Band.UNSURE


def doubt_of(scores: Scores | None) -> float:
    """How little the machine knows, in [0, 1]: 1 when a score is 0.5, or there is none.

    A score is a calibrated probability, so a person's word teaches most where it is a half,
    whatever the thresholds are at the time.
    """
    if scores is None:
        return 1.0
    return max(1 - abs(2 * score - 1) for score in (scores.spam, scores.toxicity))


def teaches(doubt: float, alike: int) -> float:
    """How much a person's word on a comment would teach, in [0, 1]: doubt that is not alike.

    `alike` is how many comments of its site wait that share its cell, each as likely as it is like
    this one: the first of a kind comes with all its doubt, the second with half of it. So what
    comes first in this order is unsure and of many kinds, as greedy choices of k centres are
    (Sener and Savarese 2018), at the price of one look into an index.
    """
    return doubt / (1 + alike)


def bin_of(score: float | None) -> int:
    """The bin of a score in [0, 1]."""
    return NO_BIN if score is None else min(BINS - 1, int(score * BINS))


def level_of(codes: Sequence[str], head: Head) -> int:
    """0 below the thresholds of a head that were in force, 1 where it was unsure, 2 likely."""
    return 2 if f"score.{head}_likely" in codes else int(f"score.{head}_unsure" in codes)


def listed(words: Sequence[str]) -> str:
    """Words as a column holds them, so that each is found between spaces."""
    return f" {' '.join(words)} " if words else ""


# ------------------------------------------------------------------ kept beside the queue


def sizes(connection: sa.Connection) -> tuple[int, int]:
    """How many comments wait, and of how many of them the traits are known."""
    counts = [sa.select(sa.func.count()).select_from(t).scalar_subquery() for t in (queue, waiting)]
    waits, known = connection.execute(sa.select(*counts)).one()
    return waits, known


def unread(connection: sa.Connection, limit: int) -> dict[str, Read]:
    """What the traits of some waiting comments that have none are read off, the newest first."""
    known = sa.exists().where(waiting.c.comment_id == queue.c.comment_id)
    newest = sa.select(queue.c.comment_id).where(~known).order_by(queue.c.comment_id.desc())
    ids = connection.execute(newest.limit(limit)).scalars().all()
    found = connection.execute(_READ.where(comments.c.id.in_(ids))).all()
    return {row[0]: _read(row[1:]) for row in found}


# Whole comments would cost as much again as their traits: every queued one is read here.
_READ = sa.select(
    comments.c.id,
    comments.c.site_id,
    comments.c.content,
    comments.c.author_name,
    comments.c.author_url,
    comments.c.permalink,
    comments.c.article_title,
    comments.c.history,
    verdicts.c.explanation,
    verdicts.c.spam,
    verdicts.c.toxicity,
).join(verdicts, verdicts.c.comment_id == comments.c.id)


def _read(row: Sequence[Any]) -> Read:
    site_id, content, name, url, permalink, title, history, explanation, spam, toxicity = row
    return Read(
        site_id=site_id,
        content=content,
        name=name,
        url=url,
        permalink=permalink,
        title=title,
        author_accepted=json.loads(history).get("author_accepted", 0),
        codes=tuple(reason["code"] for reason in json.loads(explanation)["reasons"]),
        scores=None if spam is None else Scores(spam, toxicity),
    )


class Rows(NamedTuple):
    """What is kept of some comments that wait, as JSON: rows of ids with what `_GIVEN` names, and
    of ids with texts."""

    traits: str
    texts: str


_GIVEN = (
    waiting.c.doubt,
    waiting.c.teaches,
    waiting.c.cell,
    waiting.c.spam_bin,
    waiting.c.spam_level,
    waiting.c.toxicity_bin,
    waiting.c.toxicity_level,
    waiting.c.band,
    waiting.c.language,
    waiting.c.article,
    waiting.c.is_new_author,
    waiting.c.codes,
    waiting.c.domains,
)


def rows_of(read: Mapping[str, tuple[Read, Traits]], of_cell: Counter[tuple[str, int]]) -> Rows:
    """What is kept of some comments; `of_cell` is as of `in_cells`, and counts them afterwards."""
    rows = []
    for comment_id, (one, traits) in read.items():
        scores, place = one.scores, (one.site_id, traits.cell)
        doubt = doubt_of(scores)
        rows.append(
            [
                comment_id,
                doubt,
                teaches(doubt, of_cell[place]),
                traits.cell,
                bin_of(scores.spam if scores else None),
                level_of(traits.codes, Head.SPAM),
                bin_of(scores.toxicity if scores else None),
                level_of(traits.codes, Head.TOXICITY),
                traits.band.value,
                traits.language,
                traits.article,
                traits.is_new_author,
                listed(traits.codes),
                listed(traits.domains),
            ]
        )
        of_cell[place] += 1
    texts = [[comment_id, traits.text] for comment_id, (_, traits) in read.items()]
    return Rows(compact(rows), compact(texts))


def write(connection: sa.Connection, rows: Rows) -> None:
    """Keep the traits of those that wait and have none.

    SQLite is locked meanwhile, and comments wait to be recorded. So it is two statements however
    many there are, and all that can be made before is: with one for each, this thread would wait
    for the interpreter as often.
    """
    written = _WRITTEN[connection.dialect.name]
    connection.execute(written.traits, {"rows": rows.traits})
    connection.execute(written.texts, {"rows": rows.texts})
    if connection.dialect.name == "postgresql":
        connection.execute(written.reported, {"rows": rows.traits})


class _Statements(NamedTuple):
    traits: sa.Insert
    texts: sa.Insert
    reported: sa.Update
    """Notes what was reported before the first one held a comment, and after it began: on SQLite
    nothing is, as writers take turns."""


def _written(is_postgres: bool) -> _Statements:
    given = sa.bindparam("rows", type_=sa.Text)
    if is_postgres:
        each = sa.func.jsonb_array_elements(sa.cast(given, postgresql.JSONB))
    else:
        each = sa.func.json_each(given)
    row = each.table_valued("value").render_derived() if is_postgres else each.table_valued("value")

    def at(place: int, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        text: sa.ColumnElement[Any] = row.c.value.op("->>")(sa.literal_column(str(place)))
        return sa.cast(text, column.type).label(column.name)

    comment_id = at(0, queue.c.comment_id)
    given_columns = [at(place, column) for place, column in enumerate(_GIVEN, 1)]
    reported = sa.exists().where(reports.c.comment_id == queue.c.comment_id)
    # One that waited before, as its decision was undone, may be of a campaign, or taken out of one.
    member = campaign_members.c
    campaign = sa.case(
        (member.comment_id.is_(None), None), else_=sa.func.coalesce(member.campaign_id, "")
    )
    columns: dict[str, sa.ColumnElement[Any]] = {
        "comment_id": queue.c.comment_id,
        "site_id": queue.c.site_id,
        "waiting_since": queue.c.waiting_since,
        "risk": queue.c.risk,
        "is_reported": sa.or_(queue.c.why == Waiting.REPORT.value, reported),
        "campaign": campaign,
    }
    columns |= {column.name: column for column in given_columns}
    still = (
        sa.select(*columns.values())
        .select_from(
            row.join(queue, queue.c.comment_id == comment_id.element).outerjoin(
                campaign_members, member.comment_id == queue.c.comment_id
            )
        )
        .where(sa.true())  # SQLite would take ON CONFLICT for a condition of the join
        .order_by(queue.c.comment_id)
        .with_for_update(of=queue)  # none is decided before its traits are there
    )
    known = sa.exists().where(waiting.c.comment_id == comment_id.element)
    said = sa.select(comment_id, at(1, waiting_texts.c.text)).where(known)
    reported_since = sa.exists().where(reports.c.comment_id == waiting.c.comment_id)
    of_these = waiting.c.comment_id.in_(sa.select(comment_id.element))
    insert = postgresql.insert if is_postgres else sqlite.insert
    return _Statements(
        insert(waiting).from_select([*columns], still).on_conflict_do_nothing(),
        insert(waiting_texts).from_select(["comment_id", "text"], said).on_conflict_do_nothing(),
        waiting.update().where(of_these, reported_since).values(is_reported=True),
    )


_WRITTEN = {"sqlite": _written(is_postgres=False), "postgresql": _written(is_postgres=True)}


def in_cells(connection: sa.Connection, cells: Collection[int]) -> Counter[tuple[str, int]]:
    """How many comments of each site are in each of some cells."""
    kind = (waiting.c.site_id, waiting.c.cell)
    statement = sa.select(*kind, sa.func.count()).where(waiting.c.cell.in_(list(cells)))
    found = connection.execute(statement.group_by(*kind))
    return Counter({(row[0], row[1]): row[2] for row in found})


def note_report(connection: sa.Connection, comment_id: str) -> None:
    """A site reported a comment that may wait already, and whose traits may just be written."""
    held = sa.select(queue.c.comment_id).where(queue.c.comment_id == comment_id)
    connection.execute(held.with_for_update())
    statement = waiting.update().where(waiting.c.comment_id == comment_id)
    connection.execute(statement.values(is_reported=True))
