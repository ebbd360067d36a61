"""What a reader sees of a text with markup: tags and character references undone.

Spammers hide words in them from filters, and a browser shows the words. Links that a tag holds
are part of what is shown here, as a click follows them. Nothing here makes a text safe to
publish: that is `model.publishable`.
"""

import html
import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.glance import origins_of
from model.text import composed


class Shown(NamedTuple):
    """A text without markup, and for each code point of it the index of the one it came from."""

    text: str
    origin: NDArray[np.int64]


def shown(text: str) -> Shown | None:
    """What is shown of a text, in NFC; None where that is the text itself.

    Linear in its length.
    """
    whole, starts = composed(text)
    bare = _without_markup(whole) if _may_change(whole) else None
    if starts is None:
        return bare
    return Shown(whole, starts) if bare is None else Shown(bare.text, starts.take(bare.origin))


def shown_text(text: str) -> str:
    """The same without telling where each code point came from, in less time."""
    whole, _ = composed(text)
    changes = _changes(whole) if _may_change(whole) else []
    parts: list[str] = []
    at = 0
    for start, end, written in changes:
        parts += (whole[at:start], written)
        at = end
    return "".join([*parts, whole[at:]]) if changes else whole


def _may_change(text: str) -> bool:
    # Far cheaper than the search: most texts hold none of these.
    return "<" in text or "&" in text or _says_dot(text)


def _without_markup(text: str) -> Shown | None:
    changes = _changes(text)
    if not changes:
        return None
    parts: list[str] = []
    origins: list[int] = []  # of each part: where it came from, and how, and how long it is
    at = 0
    for start, end, written in changes:
        if start > at:
            parts.append(text[at:start])
            origins += (at, 1, start - at)
        if written:
            parts.append(written)
            origins += (start, 0, len(written))
        at = end
    parts.append(text[at:])
    origins += (at, 1, len(text) - at)
    return Shown("".join(parts), origins_of(origins))


@lru_cache(maxsize=4096)
def _character(reference: str) -> str:
    """What a reference stands for; texts from forms that escape are full of the same few."""
    return html.unescape(reference)


_Change = tuple[int, int, str]
"""Where something begins and ends, and what it shows as."""


def _changes(text: str) -> list[_Change]:
    """What markup and spelled out dots show as, in order and apart."""
    markup = list(_MARKUP.finditer(text)) if "<" in text or "&" in text else []
    changes = [change for change in map(_change, markup) if change]
    if _says_dot(text):
        changes += _dots(text, markup)
        changes.sort()
    return changes


def _dots(text: str, markup: Sequence[re.Match[str]]) -> Iterator[_Change]:
    """The dots spelled out beside markup: "(dot)" with the blanks around it, before "com"."""
    ahead = deque(markup)
    free = 0  # where what was found before ends
    for dot in _DOT.finditer(text):
        at = dot.start()
        while ahead and ahead[0].start() < at:
            free = ahead.popleft().end()
        starts = range(max(free, at - _LONGEST_BEFORE_DOT), at + 1)
        start = next((one for one in starts if _BEFORE_DOT.fullmatch(text, one, at)), None)
        if start is not None:
            free = dot.end()
            yield start, free, "."


def _says_dot(text: str) -> bool:
    # Searches of the text in lower case cost a tenth of a pattern that ignores case.
    lower = text.lower()
    return "dot" in lower or "cham" in lower or (not text.isascii() and "chấm" in lower)


# A tag is read up to a length, and none over the next "<": no text takes time by its square.
# Browsers read numbers with any noughts before them and without the semicolon.
_MARKUP = re.compile(
    r"&(?:\#(?:[xX]0{0,99}[1-9a-fA-F][0-9a-fA-F]{0,5}|0{0,99}[1-9][0-9]{0,6});?"
    r"|[a-zA-Z][a-zA-Z0-9]{1,30};)"
    r"|<!--[^<>]{0,500}-->"
    r"|</?(?P<name>[a-zA-Z][a-zA-Z0-9]{0,15})(?![\w:@.])[^<>]{0,2000}>",
    re.IGNORECASE,
)
# Written so that the search skips to the next "d" or "c": one that ignores case, or begins with
# anything but a set, is tried at every character.
_DOT = re.compile(
    r"[dDcC](?<!\w[dDcC])(?:(?<=[dD])[oO][tT]|(?<=[cC])[hH][aAấẤ][mM])\b\s?[\])]?\s{0,2}"
    r"(?=(?i:com|net|org|info|biz|vn|ru|co|io|me|xyz|top|club|shop|site|online|vip|bet|win|asia"
    r"|link|app|live|pro|example)\b)"
)
_BEFORE_DOT = re.compile(r"(?<=\w)\s{0,2}[\[(]?\s?")
_LONGEST_BEFORE_DOT = 4
_HREF = re.compile(r"""href\s{0,9}=\s{0,9}["']?([^"'\s>]+)""", re.IGNORECASE)

# A browser shows no gap where these stand.
_INLINE = frozenset(
    (
        *("a", "abbr", "b", "big", "code", "del", "em", "font", "i", "ins", "mark", "s", "small"),
        *("span", "strike", "strong", "sub", "sup", "tt", "u", "wbr"),
    )
)


def _change(found: re.Match[str]) -> _Change | None:
    """What stands for a piece of markup: its range, and what it shows as."""
    written = found.group()
    if written[0] == "&":
        plain = _character(written)
        return (found.start(), found.end(), plain) if plain != written else None
    name = found["name"]
    if name is None:  # a comment
        return found.start(), found.end(), ""
    link = _HREF.search(written)
    if link:
        return found.start(), found.end(), f" {html.unescape(link[1])} "
    return found.start(), found.end(), "" if name.lower() in _INLINE else " "
