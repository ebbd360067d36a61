"""What a site sends to be judged, as claimed.

Knows the shape of a submission. Checks nothing about its truth: the form's rules are in
`model.form`, what can be read off it is in `model.facts`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class CommentType(StrEnum):
    """How a submission came to be, in the words WordPress uses."""

    COMMENT = "comment"
    REPLY = "reply"
    PINGBACK = "pingback"
    TRACKBACK = "trackback"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it, as claimed. An empty string is a field that was left empty or not sent.

    The repr shows neither address nor IP, nor what could hold one.
    """

    name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    ip: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Article:
    """What was commented on, as far as the site told. `language` is a BCP 47 tag or empty."""

    title: str = field(default="", repr=False)
    language: str = field(default="", repr=False)
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FormFacts:
    """What the site's form observed.

    `honeypot` is what was typed into the field people do not see; `seconds_to_fill` is how
    long the form was open, at least 0, None when not measured.
    """

    honeypot: str = field(default="", repr=False)
    seconds_to_fill: float | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One comment as a site sent it. Text is as typed; only NUL has been replaced (U+FFFD)."""

    content: str = field(repr=False)
    author: Author = field(default_factory=Author)
    permalink: str = field(default="", repr=False)
    article: Article = field(default_factory=Article)
    parent_id: str = field(default="", repr=False)
    type: CommentType = CommentType.COMMENT
    form: FormFacts = field(default_factory=FormFacts)
    external_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class History:
    """What was known at that moment on this site. Counts only, so that it can be stored.

    `author_*` is by the keyed hash of the address, `ip_*` by that of the IP, `text_*` by that
    of the normalised content. "accepted" and "rejected" count what a person decided;
    `seconds_since_author` is None when this author was not seen before.
    """

    author_seen: int = 0
    author_accepted: int = 0
    author_rejected: int = 0
    ip_rejected: int = 0
    text_seen: int = 0
    text_rejected: int = 0
    seconds_since_author: float | None = None
    same_article_twin: bool = False
