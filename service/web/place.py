"""Where in the queue somebody is: what is looked for, in which order, from which comment on.

All of it is in the address, so that any view can be kept as a bookmark. What an address or a form
names that is nothing of the kind is left out.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl, urlencode

from model.folding import folded, words_of
from model.outcome import Head
from service.storage.finding import Filter, Order
from service.storage.traits import BINS, Band

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a comment's id looks like: databases take offence at some of what is none."""

LONGEST_TYPED = 200
STEP = 100 // BINS
_LONGEST_VIEW = 4000

# What cursors are made of. Whatever else an address names, no page repeats.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,200}")
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
_CODE = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")


class State:
    """Which comments are looked through; the empty one is those that wait."""

    WAITING = ""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DECIDED = "decided"


STATES = (State.WAITING, State.ACCEPTED, State.REJECTED, State.DECIDED)


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked for, as typed and chosen; each part is "" when it does not matter.

    `above` and `below` are what the score of `head` lies between, in percent and steps of 5.
    """

    q: str = ""
    state: str = ""
    site: str = ""
    article: str = ""
    language: str = ""
    reason: str = ""
    band: str = ""
    domain: str = ""
    new: str = ""
    reported: str = ""
    head: str = ""
    above: str = ""
    below: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Look":
        """What an address or a form asks for."""
        band, head, state = (asked.get(name, "") for name in ("band", "head", "state"))
        above, below = _range(asked.get("above", ""), asked.get("below", ""))
        return cls(
            q=_typed(asked.get("q", "")),
            state=state if state in STATES else "",
            site=_matching(ID, asked.get("site", "")),
            article=_typed(asked.get("article", "")),
            language=_matching(_TAG, asked.get("language", "")),
            reason=_matching(_CODE, asked.get("reason", "")),
            band=band if band in set(Band) else "",
            domain=_typed(asked.get("domain", "")).lower().replace(" ", ""),
            new="1" if asked.get("new") else "",
            reported="1" if asked.get("reported") else "",
            head=head if head == Head.TOXICITY.value else "",
            above=above,
            below=below,
        )

    @classmethod
    def of_query(cls, query: str) -> "Look":
        """What the query of an address asks for, as forms carry it along."""
        try:
            pairs = parse_qsl(query[:_LONGEST_VIEW], max_num_fields=40)
        except ValueError:
            pairs = []
        return cls.of(dict(pairs))

    @property
    def asked(self) -> dict[str, str]:
        """All that matters, by its name in an address."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in pairs if value}

    @property
    def query(self) -> str:
        """The same as a query."""
        return urlencode(self.asked)

    @property
    def has_range(self) -> bool:
        """Whether a range of scores was chosen."""
        return bool(self.above or self.below)

    @property
    def low(self) -> int:
        """Where the range begins, in percent."""
        return int(self.above or 0)

    @property
    def high(self) -> int:
        """Where the range ends, in percent."""
        return int(self.below or 100)

    def without(self, *names: str) -> "Look":
        """The same, but that these do not matter."""
        return replace(self, **dict.fromkeys(names, ""))

    @property
    def filter(self) -> Filter:
        """What that is to the store."""
        return Filter(
            site_id=self.site,
            article=words_of(self.article),
            language=self.language,
            code=self.reason,
            band=Band(self.band) if self.band else None,
            domain=folded(self.domain),
            is_new_author=bool(self.new),
            is_reported=bool(self.reported),
            words=words_of(self.q, longest=LONGEST_TYPED),
            head=Head(self.head or Head.SPAM.value),
            first=self.low // STEP,
            last=self.high // STEP - 1,
        )


def _typed(text: str) -> str:
    """What somebody typed, as one line that may be shown again."""
    shown = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text[:LONGEST_TYPED])
    return " ".join(shown.split())


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _range(above: str, below: str) -> tuple[str, str]:
    """Two percentages in order, a step apart; "" for what is at the end of the scale anyway."""
    low, high = sorted((_percent(above, 0), _percent(below, 100)))
    low = min(low, 100 - STEP)
    high = max(high, low + STEP)
    return str(low) if low > 0 else "", str(high) if high < 100 else ""


def _percent(text: str, otherwise: int) -> int:
    is_one = text.isascii() and text.isdigit() and len(text) <= len("100")
    return int(text) // STEP * STEP if is_one and int(text) <= 100 else otherwise


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the queue somebody is."""

    order: Order
    after: str
    look: Look = Look()

    @classmethod
    def of(cls, order: str, after: str, view: str = "") -> "Place":
        """The place that a form names; `view` is the query of what is looked for."""
        return cls.looking(order, after, Look.of_query(view))

    @classmethod
    def looking(cls, order: str, after: str, look: Look) -> "Place":
        """The place that an address names; what is none is the usual first page."""
        known = Order(order) if order in set(Order) else Order.OLDEST
        return cls(known, after if _PLAIN.fullmatch(after) else "", look)

    @property
    def view(self) -> str:
        """What is looked for, as forms carry it along."""
        return self.look.query

    @property
    def query(self) -> dict[str, str]:
        """All that makes this place, by its name in an address."""
        order = "" if self.order is Order.OLDEST else self.order.value
        pairs = (self.look.asked | {"order": order, "after": self.after}).items()
        return {name: value for name, value in pairs if value}

    def path(self, *, after: str | None = None, fragment: str = "", **more: str) -> str:
        """The address of the queue at this place, or another one of the same order."""
        asked = self.query | ({} if after is None else {"after": after}) | more
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/queue{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}"
