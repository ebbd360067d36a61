"""Which of the comments that wait are one campaign: the same words, links or names again and again.

Knows what makes two comments alike, and what is too common to say anything. Holds no text, reads
no store and decides nothing. Likeness of texts is that of `model.memory`.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from model.addresses import registered_domain
from model.facts import Facts
from model.links import host_of
from model.memory import ALIKE, COPIES, TELLING_RUNS, Sketch, TwinIndex, sketch_of

LEAST_ALIKE = 3
"""So many comments of nearly the same words are a campaign."""

LEAST_SHARED = 5
"""So many that share a link's domain, or a pattern of names, are one."""

LEAST_AUTHORS = 2
"""From so many different names: one reader who writes often is none."""

KNOWN_AUTHORS = 3
"""What so many known readers link to says nothing of who links to it as well."""

NAME_LETTERS = 8
"""A pattern of names has so many letters: many readers are called "minh95"."""

MOST_WAITING = 50_000
"""Comments of one site that are looked at, the newest: each takes some two kilobytes."""

# Where readers link to as well; that two do says nothing of either.
COMMON_DOMAINS = frozenset(
    {
        "amazon.com",
        "apple.com",
        "archive.org",
        "bbc.co.uk",
        "bbc.com",
        "bing.com",
        "bitbucket.org",
        "blogspot.com",
        "chinhphu.vn",
        "dantri.com.vn",
        "facebook.com",
        "fb.com",
        "github.com",
        "gitlab.com",
        "google.com",
        "imgur.com",
        "instagram.com",
        "laodong.vn",
        "lazada.vn",
        "linkedin.com",
        "medium.com",
        "microsoft.com",
        "nhandan.vn",
        "nytimes.com",
        "reddit.com",
        "reuters.com",
        "shopee.vn",
        "sourceforge.net",
        "stackexchange.com",
        "stackoverflow.com",
        "thanhnien.vn",
        "tiki.vn",
        "tiktok.com",
        "tuoitre.vn",
        "twitter.com",
        "vietnamnet.vn",
        "vimeo.com",
        "vnexpress.net",
        "vtv.vn",
        "wikipedia.org",
        "wordpress.com",
        "x.com",
        "yahoo.com",
        "youtu.be",
        "youtube.com",
        "zalo.me",
        "znews.vn",
    }
)

# What forms and shops call everybody who gave no name.
_GENERIC = re.compile(
    r"anonymous|customer|facebook|google|kh[aá]ch ?h[aà]ng"
    r"|ng[uư][oờ]i ?d[uù]ng|[dđ][oộ]c ?gi[aả]|b[aạ]n ?[dđ][oọ]c"
)
_DIGITS = re.compile(r"[0-9]+")
_LONGEST_NAME = 60


class Trait(StrEnum):
    """What the comments of a campaign share."""

    TEXT = "text"
    DOMAIN = "domain"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Look:
    """What a comment is grouped by: 1.5 kB, no text but domains and its author's folded name.

    `domains` are the registered domains that it or its author links to, without common ones
    and the site's own. `name` is the pattern of the author's name when that has digits in it
    ("vaytien00": every number is 0), else "".
    """

    sketch: Sketch = field(repr=False)
    domains: frozenset[str]
    author: str = field(repr=False)
    name: str = field(repr=False)


def look_of(facts: Facts) -> Look:
    """What to group a comment by. Its author's address and IP are not looked at."""
    submission = facts.submission
    own = _domain_of(submission.permalink)
    found = {link.registered_domain or link.host for link in facts.links}
    found.add(_domain_of(submission.author.url))
    author = _folded(submission.author.name)
    pattern = _DIGITS.sub("0", author)
    return Look(
        sketch=sketch_of(facts),
        domains=frozenset(one for one in found - COMMON_DOMAINS - {own} if "." in one),
        author=author,
        name=pattern if _says_something(pattern) else "",
    )


def _says_something(pattern: str) -> bool:
    """Whether names after this pattern have more in common than a first name, or than a mask."""
    if "0" not in pattern or "*" in pattern or "•" in pattern:
        return False
    return sum(c.isalpha() for c in pattern) >= NAME_LETTERS and not _GENERIC.search(pattern)


def _domain_of(url: str) -> str:
    host = host_of(url) if url else ""
    return (registered_domain(host) or host) if host else ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name[:_LONGEST_NAME]).casefold().strip()


@dataclass(slots=True)
class Group:
    """Comments that are alike in one way, in the order they were put; `campaign` once it is one.

    `said` is the shared domain or pattern of names; "" for texts. Those of its comments that new
    texts are compared with are `shown`.
    """

    trait: Trait
    key: str = field(repr=False)
    said: str
    ids: dict[str, str] = field(default_factory=dict)  # comment: author's folded name
    campaign: str = ""
    shown: list[str] = field(default_factory=list)

    @property
    def is_campaign(self) -> bool:
        """Whether there are enough of it, by enough different names."""
        least = LEAST_ALIKE if self.trait is Trait.TEXT else LEAST_SHARED
        # The same words under one name are a flood all the same; a link under one is a habit.
        authors = {Trait.TEXT: 1, Trait.DOMAIN: LEAST_AUTHORS, Trait.NAME: LEAST_SHARED}[self.trait]
        return len(self.ids) >= least and self._has_authors(authors)

    def _has_authors(self, least: int) -> bool:
        seen = set()
        for author in self.ids.values():
            seen.add(author)
            if len(seen) >= least:
                return True
        return False


class Grouping:
    """Groups the waiting comments of one site as they come. Not safe for threads.

    Texts are grouped around the first ones: each that is as like one of the first
    `model.memory.COPIES` as `model.memory.ALIKE` is of their group. So a flood of copies costs no
    more, each, than a few. A text without a link has to say something (`TELLING_RUNS`), so that
    "Hay quá" and "Cảm ơn tác giả" are never a campaign, however many write so.
    """

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._most = most
        self._looks: dict[str, Look] = {}
        self._index = TwinIndex()
        self._groups: dict[tuple[Trait, str], Group] = {}
        self._in: dict[str, list[Group]] = {}
        self._known: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._looks)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._looks))

    def put(self, comment_id: str, look: Look) -> Group | None:
        """Put a comment where it belongs; the campaign that it is one of, if it is one of any.

        Of several the one whose texts are alike, then that of a domain. The oldest comment is
        forgotten when there are too many. One that is there already is not put again.
        """
        if comment_id not in self._looks:
            while len(self._looks) >= self._most:
                self.forget([next(iter(self._looks))])
            self._looks[comment_id] = look
            groups = self._groups_for(comment_id, look)
            for group in groups:
                group.ids[comment_id] = look.author
            self._in[comment_id] = groups
        return self.campaign_of(comment_id)

    def campaign_of(self, comment_id: str) -> Group | None:
        """The campaign that a comment that was put is one of now, if it is one of any."""
        of_it = self._in.get(comment_id, ())
        for one in of_it:
            if one.campaign or (one.is_campaign and not self._is_known(one)):
                return one
        return None

    def of_text(self, comment_id: str) -> Group | None:
        """The group of nearly the same words that a comment is in, campaign or not."""
        of_it = self._in.get(comment_id, ())
        return next((one for one in of_it if one.trait is Trait.TEXT), None)

    def know(self, look: Look) -> None:
        """Note where a reader links to of whom something was published before.

        What is a campaign already stays one.
        """
        for domain in look.domains:
            if len(self._known) < self._most or domain in self._known:
                authors = self._known.setdefault(domain, set())
                if len(authors) < KNOWN_AUTHORS:
                    authors.add(look.author)

    def _is_known(self, group: Group) -> bool:
        return group.trait is Trait.DOMAIN and (
            len(self._known.get(group.key, ())) >= KNOWN_AUTHORS
        )

    def mark(self, comment_id: str, trait: Trait, campaign: str) -> None:
        """Note that the group of a comment that was put is a campaign known by that id."""
        for group in self._in.get(comment_id, ()):
            if group.trait is trait:
                group.campaign = campaign

    def forget(self, ids: Iterable[str]) -> None:
        """Let comments go that do not wait any more; a group without any goes as well."""
        for comment_id in ids:
            if self._looks.pop(comment_id, None) is None:
                continue
            for group in self._in.pop(comment_id, ()):
                self._leave(group, comment_id)
        if self._index.size > 2 * len(self._looks) + 1000:  # an index forgets nothing by itself
            self._index = TwinIndex()
            for group in self._groups.values():
                for comment_id in group.shown:
                    self._index.put(comment_id, self._looks[comment_id].sketch)

    def _leave(self, group: Group, comment_id: str) -> None:
        group.ids.pop(comment_id, None)
        if comment_id in group.shown:
            group.shown.remove(comment_id)
        if not group.ids:
            self._groups.pop((group.trait, group.key), None)
        elif group.trait is Trait.TEXT and not group.shown:  # others of it take their place
            for other in islice(group.ids, COPIES):
                self._show(group, other)

    def _groups_for(self, comment_id: str, look: Look) -> list[Group]:
        found = []
        if look.sketch.runs >= TELLING_RUNS or look.domains:
            found.append(self._of_text(comment_id, look))
        found += [self._group(Trait.DOMAIN, domain) for domain in sorted(look.domains)]
        if look.name:
            found.append(self._group(Trait.NAME, look.name))
        return found

    def _of_text(self, comment_id: str, look: Look) -> Group:
        """The group of the shown comment whose words are most like these, else one of its own."""
        likeness, nearest = max(
            (
                (look.sketch.likeness(self._looks[other].sketch), other)
                for other in self._index.like(look.sketch)
                if other in self._looks
            ),
            default=(0.0, ""),
        )
        if likeness == 1.0 and look.sketch.says_as_much_as(self._looks[nearest].sketch):
            # A copy needs no sketch of its own: of a flood most are.
            self._looks[comment_id] = replace(look, sketch=self._looks[nearest].sketch)
        group = self.of_text(nearest) if likeness >= ALIKE else None
        if group is None:
            group = self._group(Trait.TEXT, comment_id)
        if len(group.shown) < COPIES:
            self._show(group, comment_id)
        return group

    def _show(self, group: Group, comment_id: str) -> None:
        group.shown.append(comment_id)
        self._index.put(comment_id, self._looks[comment_id].sketch)

    def _group(self, trait: Trait, key: str) -> Group:
        said = "" if trait is Trait.TEXT else key
        return self._groups.setdefault((trait, key), Group(trait, key, said))
