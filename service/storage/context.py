"""What is around a comment: its thread, what else its author wrote, what is like it or links alike.

Knows which columns lead there quickly. An article's comments have no index, which every comment
judged would pay for: the thread is looked for among those received shortly before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from model.campaigns import look_of
from model.facts import gather
from service.storage.records import StoredComment
from service.storage.review import SiteIds
from service.storage.review import comment as one_comment
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import campaign_members, comments, waiting

LOOKED_AT = 10_000
"""Of all sites' comments, so many before and after are looked at for those of a thread."""

MOST_OF_THREAD = 4
MOST_OF_AUTHOR = 8
MOST_ALIKE = 6
MOST_LINKED = 6
MOST_DOMAINS = 3
"""Of the domains that a comment links to, so many are looked for."""


@dataclass(frozen=True, slots=True)
class Context:
    """A comment and what is around it.

    `before` and `after` are of the same article, in order; `parent` and `replies` are not among
    them. `of_author`, `alike` (of the same text, or found to be of one campaign) and `linked` (to
    one of `domains`) begin with the newest. `has_author` is whether the author left an address, by
    which others of theirs are known. `domains` are those of which a link says something.
    """

    comment: StoredComment
    parent: StoredComment | None
    before: tuple[StoredComment, ...]
    after: tuple[StoredComment, ...]
    replies: tuple[StoredComment, ...]
    of_author: tuple[StoredComment, ...]
    alike: tuple[StoredComment, ...]
    has_author: bool
    linked: tuple[StoredComment, ...]
    domains: tuple[str, ...]


def context_of(store: Store, site_ids: SiteIds, comment_id: str) -> Context | None:
    """What is around a comment, None if there is none of that id on these sites."""
    with store.reads() as connection:
        comment = one_comment(connection, site_ids, comment_id)
        if comment is None:
            return None
        keys = connection.execute(_KEYS.where(comments.c.id == comment_id)).one()
        author = comments.c.author_key == keys.author_key
        has_author = keys.author_key is not None
        domains = _domains_of(comment)[:MOST_DOMAINS]
        text = comments.c.text_key == keys.text_key
        has_text = keys.text_key is not None
        of_text = _newest(connection, text, MOST_ALIKE) if has_text else []
        found = {
            "parent": _parent(connection, comment),
            "replies": _replies(connection, comment),
            "before": _of_article(connection, comment, before=True),
            "after": _of_article(connection, comment, before=False),
            "of_author": _newest(connection, author, MOST_OF_AUTHOR) if has_author else [],
            "alike": sorted({*of_text, *_of_campaign(connection, comment)}, reverse=True),
            "linked": _linked(connection, comment, domains) if domains else [],
        }
        stored = _stored(connection, comment, {one for ids in found.values() for one in ids})
    linked = [one for one in found["linked"] if one in stored]
    found["linked"] = [one for one in linked if {*domains} & {*_domains_of(stored[one])}]
    near = {*found["parent"], *found["replies"]}
    parts = {
        part: tuple(
            stored[one]
            for one in ids
            if one in stored and (one not in near or part not in {"before", "after"})
        )
        for part, ids in found.items()
    }
    return Context(
        comment,
        next((stored[one] for one in found["parent"] if one in stored), None),
        parts["before"][::-1],
        parts["after"],
        parts["replies"],
        parts["of_author"],
        parts["alike"][:MOST_ALIKE],
        has_author,
        parts["linked"][:MOST_LINKED],
        tuple(domains),
    )


_KEYS = sa.select(comments.c.author_key, comments.c.text_key)


def _stored(
    connection: sa.Connection, comment: StoredComment, ids: set[str]
) -> dict[str, StoredComment]:
    """Those of the same site, without the comment itself."""
    wanted = STORED.where(comments.c.id.in_(ids - {comment.id}))
    rows = connection.execute(wanted.where(comments.c.site_id == comment.site_id)).mappings()
    return {row["id"]: stored_comment(row) for row in rows}


def _domains_of(comment: StoredComment) -> list[str]:
    """Where it links to: neither its own site nor where everybody links to."""
    return sorted(look_of(gather(comment.submission)).domains)


def _of_campaign(connection: sa.Connection, comment: StoredComment) -> list[str]:
    """The newest that were found to belong with it, on its own site."""
    its = sa.select(campaign_members.c.campaign_id).where(
        campaign_members.c.comment_id == comment.id
    )
    statement = (
        sa.select(campaign_members.c.comment_id)
        .where(campaign_members.c.campaign_id == its.scalar_subquery())
        .order_by(campaign_members.c.comment_id.desc())
        .limit(MOST_ALIKE + 1)
    )
    return list(connection.execute(statement).scalars())


def _linked(connection: sa.Connection, comment: StoredComment, domains: Sequence[str]) -> list[str]:
    """What may link to one of some domains: of what waits, and of what came before and after."""
    listed = [waiting.c.domains.contains(f" {one} ", autoescape=True) for one in domains]
    waits = (
        sa.select(waiting.c.comment_id)
        .where(waiting.c.site_id == comment.site_id, sa.or_(*listed))
        .order_by(waiting.c.comment_id.desc())
        .limit(MOST_LINKED + 1)
    )
    found = set(connection.execute(waits).scalars())
    for before in (True, False):
        near = _near(comment, before=before)
        named = [
            column.icontains(one, autoescape=True)
            for one in domains
            for column in (near.c.content, near.c.author_url)
        ]
        statement = sa.select(near.c.id).where(near.c.site_id == comment.site_id, sa.or_(*named))
        way = near.c.id.desc() if before else near.c.id
        found |= set(connection.execute(statement.order_by(way).limit(MOST_LINKED)).scalars())
    return sorted(found, reverse=True)


def _near(comment: StoredComment, *, before: bool) -> sa.Subquery:
    """What is looked at for a thread, the nearest first."""
    columns = (
        "id",
        "site_id",
        "permalink",
        "external_id",
        "parent_id",
        "content",
        "author_url",
    )
    statement = sa.select(*(comments.c[name] for name in columns)).limit(LOOKED_AT)
    if before:
        statement = statement.where(comments.c.id < comment.id).order_by(comments.c.id.desc())
    else:
        statement = statement.where(comments.c.id > comment.id).order_by(comments.c.id)
    return statement.subquery()


def _of_article(connection: sa.Connection, comment: StoredComment, *, before: bool) -> list[str]:
    permalink = comment.submission.permalink
    if not permalink:
        return []
    near = _near(comment, before=before)
    statement = sa.select(near.c.id).where(
        near.c.site_id == comment.site_id, near.c.permalink == permalink
    )
    way = near.c.id.desc() if before else near.c.id
    return list(connection.execute(statement.order_by(way).limit(MOST_OF_THREAD)).scalars())


def _parent(connection: sa.Connection, comment: StoredComment) -> list[str]:
    """By the site's own id of it, or by ours."""
    parent_id = comment.submission.parent_id
    if parent_id in {"", "0"}:
        return []
    near = _near(comment, before=True)
    statement = sa.select(near.c.id).where(
        near.c.site_id == comment.site_id,
        sa.or_(near.c.external_id == parent_id, near.c.id == parent_id),
    )
    return list(connection.execute(statement.order_by(near.c.id.desc()).limit(1)).scalars())


def _replies(connection: sa.Connection, comment: StoredComment) -> list[str]:
    known_as = [one for one in (comment.id, comment.submission.external_id) if one]
    near = _near(comment, before=False)
    statement = sa.select(near.c.id).where(
        near.c.site_id == comment.site_id, near.c.parent_id.in_(known_as)
    )
    return list(connection.execute(statement.order_by(near.c.id).limit(MOST_OF_THREAD)).scalars())


def _newest(connection: sa.Connection, condition: sa.ColumnElement[bool], most: int) -> list[str]:
    """The newest of those that a condition is true of."""
    statement = sa.select(comments.c.id).where(condition)
    # One more, as the comment itself is among them.
    newest = statement.order_by(comments.c.received_at.desc()).limit(most + 1)
    return sorted(connection.execute(newest).scalars(), reverse=True)
