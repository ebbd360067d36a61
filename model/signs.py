"""Signs: what the form of a submission says, as words that the classifier can weigh.

A sign says that something is there, never that a field is missing: which fields a site sends
is no sign of spam. Numbers become a few steps, so that the weight of each can be read.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from model.asking import asking_signs
from model.submission import Submission
from model.text import code_points, composed, is_invisible, readable

# ------------------------------------------------------------------ kinds of characters

INVISIBLE, DISGUISED, NONSPACING, ENCLOSING = (1 << bit for bit in range(4))
"""What a character may be; a character may be several."""

_MET = 1 << 4

Kinds: TypeAlias = NDArray[np.uint8]


def kinds_of(text: str) -> Kinds:
    """What each character is, as a sum of kinds, shape (n,)."""
    codes = code_points(text)
    kinds = _TABLE[codes]
    if not kinds.all():
        for code in np.unique(codes[kinds == 0]).tolist():
            _TABLE[code] = _MET + _kinds_of_character(chr(code))
        kinds = _TABLE[codes]
    return kinds


def count_of(kind: int, kinds: Kinds) -> int:
    """How many characters are of a kind, or of one of several."""
    return int(np.count_nonzero(kinds & kind))


def has(kind: int, kinds: Kinds) -> bool:
    """Whether there is a character of a kind, or of one of several."""
    return bool(np.bitwise_or.reduce(kinds) & kind)


def is_ordinary(text: str) -> bool:
    """Whether the text surely holds nothing of any kind that is not ASCII.

    Far cheaper than `kinds_of`, and true of most comments; other texts may still hold nothing.
    """
    return text.isascii() or _UNUSUAL.search(text) is None


# All but letters, signs and emoji of common scripts, in runs that hold nothing of any kind.
_UNUSUAL = re.compile(
    "[^\u0000-\u007f\u00ae-\u017e\u0180-\u02af\u0370-\u0482\u048a-\u0590\u0620-\u064a\u0e01-\u0e30"
    "\u1e00-\u1fff\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u245f\u2500-\u27ff\u3000-\u3029"
    "\u3041-\u3096\u309b-\u3163\u3400-\u9fff\uac00-\ud7a3\U0001f300-\U0001faff]"
)

# Filled as characters are met; 0 for what was not. Only pages that are written take memory.
_TABLE: Kinds = np.zeros(0x110000, np.uint8)


def _kinds_of_character(character: str) -> int:
    category = unicodedata.category(character)
    return (
        INVISIBLE * is_invisible(character)
        + DISGUISED * is_disguised(character)
        + NONSPACING * (category == "Mn")
        + ENCLOSING * (category == "Me")
    )


def is_disguised(character: str) -> bool:
    """Whether a character only stands for an ASCII letter or digit: 𝐚, ａ, ⓐ, 🄰.

    Vietnamese letters are themselves, and so are Cyrillic and Greek ones. What is written for
    its own sake is no disguise: ™ and №, the digits of H₂O and m³, the ① of a list.
    """
    if character.isascii():
        return False
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) != 1 or not plain.isascii() or not plain.isalnum() or character in "ªº":
        return False
    kind = unicodedata.decomposition(character).partition(" ")[0]
    return plain.isalpha() or kind not in {"<super>", "<sub>", "<circle>"}


# ------------------------------------------------------------------ letters


def letters_as_read(text: str) -> str:
    """The letters and digits of a text as `readable` has them, without what stands between."""
    return "".join(map(_letters_of.__getitem__, text))


class _Letters(dict[str, str]):
    """What each character met so far leaves: most texts are made of the same few."""

    def __missing__(self, character: str) -> str:
        letters = "".join(filter(str.isalnum, readable(character)))
        if len(self) < _CHARACTERS_KEPT:
            self[character] = letters
        return letters


_CHARACTERS_KEPT = 20_000
_letters_of = _Letters()


# ------------------------------------------------------------------ signs


def signs_of(submission: Submission, *, links: int) -> tuple[str, ...]:
    """The signs of a submission but for those of its letters; `links` is how many it holds."""
    name, url = composed(submission.author.name)[0], composed(submission.author.url)[0]
    return (
        *_link_signs(submission.content, links),
        *(_name_signs(name) if name else ()),
        *(_url_signs(url, name) if url else ()),
    )


def content_signs(text: str, counts: Sequence[int]) -> tuple[str, ...]:
    """The signs of what a text says; `counts` are those of `model.letters.COUNTED`."""
    letters, digits, number, capitals, symbols, lines = counts
    count = text.count
    return (
        _LETTERS.of(letters),
        _DIGITS.of(digits / max(letters, 1)),
        _NUMBER.of(number),
        _CAPITALS.of(capitals / max(letters, 1)),
        _SYMBOLS.of(symbols),
        _LINES.of(lines),
        _EXCLAMATIONS.of(count("!") + count("\uff01")),
        _QUESTIONS.of(count("?") + count("\uff1f")),
        _HANDLES.of(count("@") + count("\uff20")),
        _HASHTAGS.of(count("#") + count("\uff03")),
        _MONEY.of(count("$") + count("€") + count("£") + count("₫") + count("%")),
        *[name for name, within, pattern in _PATTERNS if within in text and pattern.search(text)],
        *asking_signs(text),
    )


class _Steps:
    """The signs of one number, a step each, with the bounds between them; made once."""

    __slots__ = ("_bounds", "_names")

    def __init__(self, name: str, *bounds: float) -> None:
        self._bounds = bounds
        self._names = tuple(f"{name}:{step}" for step in range(len(bounds) + 1))

    def of(self, value: float) -> str:
        """The sign of a value; one at a bound is above it."""
        return self._names[bisect_right(self._bounds, value)]


_LETTERS = _Steps("letters", 10, 20, 40, 80, 160, 320, 640, 1280, 2560)
_DIGITS = _Steps("digits", 0.001, 0.03, 0.1, 0.25)
_NUMBER = _Steps("longest number", 3, 5, 7, 9, 12)
_CAPITALS = _Steps("capitals", 0.02, 0.1, 0.3, 0.6)
_SYMBOLS = _Steps("symbols", 1, 2, 4, 10)
_LINES = _Steps("lines", 1, 3, 8)
_EXCLAMATIONS = _Steps("exclamations", 1, 2, 4)
_QUESTIONS = _Steps("questions", 1, 2, 4)
_HANDLES = _Steps("handles", 1, 2)
_HASHTAGS = _Steps("hashtags", 1, 2, 4)
_MONEY = _Steps("money", 1, 2, 4)
_LINKS = _Steps("links", 1, 2, 3, 5, 10)
_LINKS_PER_LENGTH = _Steps("links per length", 0.2, 0.5, 1, 2, 5)
_NAME_WORDS = _Steps("name words", 2, 3, 4, 6)
_NAME_LENGTH = _Steps("name length", 5, 12, 20, 30, 50)
_URL_DEPTH = _Steps("url depth", 1, 2, 3, 5)
_HOST_HYPHENS = _Steps("host hyphens", 1, 2, 3)
_HOST_LENGTH = _Steps("host length", 10, 15, 20, 30)
_HOST_LABELS = _Steps("host labels", 2, 3, 4)

# Each with what it cannot do without: looking for that is far cheaper.
_PATTERNS = (
    ("anchor", "<", re.compile(r"<a\s", re.I)),
    ("bbcode", "[", re.compile(r"\[(?:url|link)[\]=\s]", re.I)),
)


def _link_signs(content: str, links: int) -> Iterator[str]:
    yield _LINKS.of(links)
    if links:
        length = len(composed(content)[0])
        yield _LINKS_PER_LENGTH.of(100 * links / length)


def _name_signs(name: str) -> Iterator[str]:
    words = name.split()
    yield _NAME_WORDS.of(len(words))
    yield _NAME_LENGTH.of(len(name))
    if any(map(str.isdigit, name)):
        yield "name digits"
    if "://" in name or "www." in name:
        yield "name is link"
    if len(words) > 1 and name.islower():
        yield "name lower"


def _url_signs(url: str, name: str) -> Iterator[str]:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host = parts.hostname or ""
    except ValueError:
        yield "url broken"
        return
    yield _URL_DEPTH.of(sum(map(bool, parts.path.split("/"))))
    yield _HOST_HYPHENS.of(host.count("-"))
    yield _HOST_LENGTH.of(len(host))
    yield _HOST_LABELS.of(host.count("."))
    if any(map(str.isdigit, host)):
        yield "host digits"
    if parts.query:
        yield "url query"
    letters = letters_as_read(name)
    if len(letters) >= 4 and letters in letters_as_read(host):
        yield "name in host"
