"""What people of a site laid down: authors, words, domains, raids; and what of it meets a comment.

Pure: the keys of authors and networks are opaque names, and times are arguments. What follows for
the outcome is in `model.rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from model.addresses import mask_addresses
from model.lists import Found, Lists


class Standing(StrEnum):
    """What a site decided of an author, or for a ban of a network as well."""

    BANNED = "ban"
    QUEUED = "queue"
    TRUSTED = "trust"


@dataclass(frozen=True, slots=True)
class AuthorRule:
    """How an author or network stands, until when; None is without an end."""

    standing: Standing
    until: datetime | None = None

    def counts(self, at: datetime) -> bool:
        """Whether it has not ended by then."""
        return self.until is None or at < self.until


@dataclass(frozen=True, slots=True)
class Raid:
    """While it lasts, comments of new authors wait: on an article, or "" for the whole site."""

    article: str
    since: datetime
    until: datetime

    def counts(self, at: datetime, article: str) -> bool:
        """Whether it is on for an article at that moment.

        Its beginning is not asked: a clock that was set back would let a raid pass.
        """
        return at < self.until and self.article in {"", article}


@dataclass(frozen=True, slots=True)
class Applied:
    """What of a site's rules, in one version, may concern a comment.

    `raid` is set when one is on and the author is new. `published` says whether the author had a
    comment published before it.
    """

    version: int
    author: AuthorRule | None = None
    network: AuthorRule | None = None
    raid: Raid | None = None
    published: bool = False
    lists: Lists | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """What was applied, and the entries of the lists that were found in the comment."""

    author: AuthorRule | None
    network: AuthorRule | None
    raid: Raid | None
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The rules of a site in one version. `authors` and `networks` are by their keys."""

    version: int
    authors: Mapping[str, AuthorRule]
    networks: Mapping[str, AuthorRule]
    raids: tuple[Raid, ...]
    lists: Lists

    def raid_on(self, at: datetime, article: str) -> Raid | None:
        """The raid that is on there at that moment, of several the one that ends last."""
        on = [raid for raid in self.raids if raid.counts(at, article)]
        return max(on, key=lambda raid: raid.until) if on else None

    def applied(
        self, at: datetime, *, author: str, network: str, raid: Raid | None, published: bool
    ) -> Applied:
        """What concerns a comment of that author, by `raid_on` and what the author published."""
        return Applied(
            version=self.version,
            author=_counting(self.authors.get(author), at),
            network=_counting(self.networks.get(network), at),
            raid=raid if raid is not None and not published else None,
            published=published,
            lists=None if self.lists.is_empty else self.lists,
        )


def _counting(rule: AuthorRule | None, at: datetime) -> AuthorRule | None:
    return rule if rule is not None and rule.counts(at) else None


def article_name(permalink: str) -> str:
    """What an article is known by: its address without fragment and last slash, masked."""
    return mask_addresses(permalink).partition("#")[0].rstrip("/")
