"""One comment of a site's history, as any format gives it, and what makes it whole.

Knows what is asked of a record. Knows no format and no store. A problem names a place and a
field, never what the record holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from model.decision import RejectReason
from model.submission import Author, CommentType

LONGEST_CONTENT = 1024 * 1024
"""Characters of a comment. Comment forms send 64 KiB at the most; more is refused, not cut."""

LONGEST_FIELD = 16 * 1024
"""Characters of any other field of a record."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MILLISECONDS_FROM = 1e11  # as seconds that is the year 5138, as milliseconds 1973


class HistoryError(Exception):
    """A file that cannot be read any further. The message says where and why, and no content."""


class Status(StrEnum):
    """What became of a comment where it was."""

    APPROVED = "approved"
    SPAM = "spam"
    TRASH = "trash"
    WAITING = "waiting"


STATUS_WORDS = {
    word: status
    for status, words in {
        Status.APPROVED: "approved approve accept accepted published publish ham 1 true yes",
        Status.SPAM: "spam",
        Status.TRASH: "trash trashed post-trashed deleted reject rejected",
        Status.WAITING: "waiting wait pending hold unapproved queue queued 0 false no",
    }.items()
    for word in words.split()
}
"""How files spell a status, in lower case."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A comment as another system kept it.

    `origin` is what it is recognised by there, unique within its format; `place` says where in
    the file it stands, for a person. `reason` is given for what a person rejected for another
    reason than the status tells; `by_person` is False where only a machine has had a say.
    """

    place: str
    origin: str = field(repr=False)
    id: str = field(repr=False)
    status: Status
    content: str = field(repr=False)
    author: Author
    written_at: datetime
    permalink: str = field(default="", repr=False)
    title: str = field(default="", repr=False)
    language: str = field(default="", repr=False)
    external_id: str = field(default="", repr=False)
    parent_id: str = field(default="", repr=False)
    type: CommentType = CommentType.COMMENT
    reason: RejectReason | None = None
    by_person: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not taken, and why. `is_fault` unless it is not meant to be a comment."""

    place: str
    problem: str
    is_fault: bool = True


Record: TypeAlias = Imported | Refused
Records: TypeAlias = Iterator[Record]


@dataclass(slots=True)
class Draft:
    """A record in the making: texts as the file has them, "" for what it lacks.

    `scope` is what `id` is unique within. `status` is None where the file says nothing of it,
    or something that nobody knows.
    """

    place: str
    scope: str = ""
    id: str = ""
    status: Status | None = None
    content: str = ""
    name: str = ""
    email: str = ""
    url: str = ""
    ip: str = ""
    user_agent: str = ""
    written: datetime | None = None
    permalink: str = ""
    title: str = ""
    language: str = ""
    parent_id: str = ""
    external_id: str = ""
    type: CommentType = CommentType.COMMENT
    reason: RejectReason | None = None
    by_person: bool = True

    def finished(self) -> Record:
        """The record, or what is wrong with it."""
        if self.status is Status.TRASH and not self.content.strip():
            return Refused(self.place, "it was deleted there, and its text with it", is_fault=False)
        problem = self._problem()
        if problem:
            return Refused(self.place, problem)
        assert self.status is not None, "looked at above"
        assert self.written is not None, "looked at above"
        external_id = self.external_id or self.id
        is_reply = self.parent_id and self.type is CommentType.COMMENT
        return Imported(
            place=self.place,
            origin=self._origin(),
            id=storable(self.id),
            status=self.status,
            content=storable(self.content),
            author=Author(
                storable(self.name),
                "" if "•" in self.email else storable(self.email),  # masked, by an export of ours
                storable(self.url),
                storable(self.ip),
                storable(self.user_agent),
            ),
            written_at=self.written,
            permalink=storable(self.permalink),
            title=storable(self.title),
            language=storable(self.language),
            external_id=storable(external_id),
            parent_id=storable(self.parent_id),
            type=CommentType.REPLY if is_reply else self.type,
            reason=self.reason,
            by_person=self.by_person,
        )

    def _problem(self) -> str:
        if not self.content.strip():
            return "it has no text"
        if len(self.content) > LONGEST_CONTENT:
            return f"its text is longer than {LONGEST_CONTENT:,} characters"
        if max(map(len, self._others())) > LONGEST_FIELD:
            return f"a field beside its text is longer than {LONGEST_FIELD:,} characters"
        if self.status is None:
            return "its status is missing or unknown"
        if self.written is None:
            return "its date is missing or unreadable"
        return ""

    def _others(self) -> tuple[str, ...]:
        return (
            self.id,
            self.name,
            self.email,
            self.url,
            self.ip,
            self.user_agent,
            self.permalink,
            self.title,
            self.language,
            self.parent_id,
            self.external_id,
        )

    def _origin(self) -> str:
        """Its id there, or for want of one all that tells it from others."""
        if self.id:
            return "\0".join(("id", self.scope, self.id))
        at = self.written.isoformat() if self.written else ""
        return "\0".join(("text", self.scope, self.permalink, self.name, self.email, at,
                          self.content))  # fmt: skip


def storable(text: str) -> str:
    """The text with NUL and lone surrogates, which no store takes, as U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def status_of(word: str) -> Status | None:
    """The status that a word stands for in any case; None for one that nobody knows."""
    return STATUS_WORDS.get(word.strip().casefold())


def time_of(text: str) -> datetime | None:
    """The time that ISO 8601 or seconds (or milliseconds) since 1970 say; None for anything else.

    One without a zone is taken as UTC: a guess, but by less than a day. Before 1990 there was no
    site to write to; programs write such years for a time they do not know, and a day such as
    20240102 or a spreadsheet's 45293 is one when it is taken for seconds.
    """
    at = _read_time(text)
    return None if at is None or at.year < 1990 else at


def _read_time(text: str) -> datetime | None:
    text = text.strip()
    if not text[:4].isdigit() or "-" not in text[:8]:
        return _time_since_1970(text)
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time_since_1970(text: str) -> datetime | None:
    try:
        seconds = float(text)
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
