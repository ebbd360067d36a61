"""What a commenter may know of their comment, and their one appeal.

Knows what is in force, and how many appeals a day come before moderators. Does not know how a
commenter shows that the comment is theirs: whoever calls has seen to that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.decision import RejectReason
from model.outcome import Outcome
from service.storage import review
from service.storage.errors import StoreError, UnknownComment
from service.storage.events import Actor, tell
from service.storage.review import SiteIds
from service.storage.rows import STORED, stored_comment
from service.storage.store import Store
from service.storage.tables import appeals, comments, sites

LONGEST_APPEAL = 1000
"""Characters of an appeal."""

MOST_A_DAY = 50
"""Appeals on one site in 24 hours: about an hour of a moderator's day."""

MOST_ALIKE = 3
"""Appeals in 24 hours by one author, from one network or for one text."""

DAY = timedelta(days=1)
COMMENTER = "commenter"
"""Who appealed, in the log."""

IDS_AT_ONCE = 500
"""Comments whose appeals are looked for at once."""


class CannotAppeal(StoreError):
    """There is nothing to appeal against: the comment is published, waits, or was appealed for."""


class TooManyAppeals(StoreError):
    """The site, or somebody who comments on it, had as many appeals as a day may have."""


@dataclass(frozen=True, slots=True)
class Appeal:
    """A commenter's words, addresses masked."""

    at: datetime
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force for a comment, and as much of why as its author may know.

    `reason` is that of a person's decision, `heads` what the machine took it for; `language` is
    the article's own, `content` is for telling the comment's.
    """

    received_at: datetime
    state: Outcome
    reason: RejectReason | None
    codes: frozenset[str]
    waits: bool
    appeal: Appeal | None
    language: str
    content: str = field(repr=False)

    @property
    def may_appeal(self) -> bool:
        """Whether an appeal could be made: once, and only for what is not published."""
        return self.state is Outcome.REJECT and not self.waits and self.appeal is None


class StatusPages:
    """Standings of comments, and appeals. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def standing(self, comment_id: str) -> Standing | None:
        """What is in force for a comment, None for one that is not there any more."""
        if not review.may_be_id(comment_id):
            return None
        with self._store.reads() as connection:
            return _standing(connection, comment_id)

    def appeal(self, comment_id: str, words: str) -> Standing:
        """Put a comment before moderators once more, in its author's words; what stands then.

        What is in force stays so until one of them decides. Addresses in the words are masked
        before they are kept. Raises UnknownComment, CannotAppeal, TooManyAppeals, and ValueError
        for words that are none or too many.
        """
        words = words.strip()
        kept = mask_addresses(words)
        if not kept or len(words) > LONGEST_APPEAL or not _is_storable(kept):
            raise ValueError(f"an appeal has 1 to {LONGEST_APPEAL} characters")
        now = self._store.now()
        with self._store.writes() as connection:
            held = review.held_of(connection, [comment_id]).get(comment_id)
            standing = _standing(connection, comment_id) if held is not None else None
            if held is None or standing is None:
                raise UnknownComment("there is no such comment")
            if not standing.may_appeal:
                raise CannotAppeal("there is nothing to appeal against")
            site_id = held["site_id"]
            # One at a time on a site, or two at once would both be the last that fits.
            own = sa.select(sites.c.id).where(sites.c.id == site_id)
            connection.execute(own.with_for_update(key_share=True))
            if _are_too_many(connection, site_id, comment_id, since=now - DAY):
                raise TooManyAppeals("there were as many appeals as a day may have")
            row = {"comment_id": comment_id, "site_id": site_id, "at": now, "words": kept}
            connection.execute(appeals.insert(), row)
            review.enqueue_appeal(connection, held, at=now)
            actor = Actor(COMMENTER, now)
            body: dict[str, object] = {}
            tell(connection, "appealed", actor, site_id=site_id, comment_id=comment_id, body=body)
            after = _standing(connection, comment_id)
            assert after is not None, "the comment is held"
            return after

    def appeals_of(self, site_ids: SiteIds, ids: Collection[str]) -> Mapping[str, Appeal]:
        """The appeals for some comments of these sites, by the comment's id."""
        wanted = [one for one in ids if review.may_be_id(one)][:IDS_AT_ONCE]
        statement = sa.select(appeals).where(appeals.c.comment_id.in_(wanted))
        if site_ids is not None:
            statement = statement.where(appeals.c.site_id.in_(list(site_ids)))
        with self._store.reads() as connection:
            found = connection.execute(statement).mappings().all()
        return {row["comment_id"]: Appeal(row["at"], row["words"]) for row in found}


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _standing(connection: sa.Connection, comment_id: str) -> Standing | None:
    row = connection.execute(STORED.where(comments.c.id == comment_id)).mappings().one_or_none()
    if row is None:
        return None
    comment = stored_comment(row)
    statement = sa.select(appeals.c.at, appeals.c.words).where(appeals.c.comment_id == comment_id)
    appeal = connection.execute(statement).one_or_none()
    return Standing(
        received_at=comment.received_at,
        state=comment.state,
        reason=comment.decision.reason if comment.decision else None,
        codes=frozenset(reason.code for reason in comment.verdict.reasons),
        waits=comment.waiting_since is not None,
        appeal=None if appeal is None else Appeal(appeal.at, appeal.words),
        language=comment.submission.article.language,
        content=comment.submission.content,
    )


def _are_too_many(
    connection: sa.Connection, site_id: str, comment_id: str, *, since: datetime
) -> bool:
    """Whether the site had its appeals of a day, or those who are like this comment theirs."""
    names = (comments.c.author_key, comments.c.ip_key, comments.c.text_key)
    columns = sa.select(*names)
    own = connection.execute(columns.where(comments.c.id == comment_id)).one()
    statement = columns.join(appeals, appeals.c.comment_id == comments.c.id).where(
        appeals.c.site_id == site_id, appeals.c.at > since
    )
    earlier = connection.execute(statement).all()
    return len(earlier) >= MOST_A_DAY or any(
        sum(1 for one in earlier if one[at] == key) >= MOST_ALIKE
        for at, key in enumerate(own)
        if key
    )
