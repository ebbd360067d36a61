"""Signs: what the form of a submission says, as words that the classifier can weigh.

A sign says that something is there, never that a field is missing: which fields a site sends
is no sign of spam. Numbers become a few steps, so that the weight of each can be read.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from model.submission import Submission
from model.text import code_points, is_invisible, readable

# ------------------------------------------------------------------ kinds of characters

LETTER, CAPITAL, DIGIT, INVISIBLE, DISGUISED, SYMBOL, NONSPACING, ENCLOSING = (
    1 << bit for bit in range(8)
)
"""What a character may be; a character may be several."""

_MET = 1 << 8

Kinds: TypeAlias = NDArray[np.uint16]


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


# Filled as characters are met; 0 for what was not. Only pages that are written take memory.
_TABLE: Kinds = np.zeros(0x110000, np.uint16)


def _kinds_of_character(character: str) -> int:
    category = unicodedata.category(character)
    return (
        LETTER * character.isalpha()
        + CAPITAL * character.isupper()
        + DIGIT * character.isdigit()
        + INVISIBLE * is_invisible(character)
        + DISGUISED * is_disguised(character)
        + SYMBOL * (category == "So")
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


# ------------------------------------------------------------------ signs


def signs_of(submission: Submission, *, links: int, kinds: Kinds | None = None) -> tuple[str, ...]:
    """The signs of a submission; `links` is how many links its content holds.

    `kinds` are those of the content, where they are known already.
    """
    author, content = submission.author, submission.content
    return (
        *_content_signs(content, links, kinds_of(content) if kinds is None else kinds),
        *(_name_signs(author.name) if author.name else ()),
        *(_url_signs(author.url, author.name) if author.url else ()),
    )


def _step(name: str, value: float, bounds: tuple[float, ...]) -> str:
    return f"{name}:{bisect_right(bounds, value)}"


def _content_signs(text: str, links: int, kinds: Kinds) -> Iterator[str]:
    length = max(len(text), 1)
    yield _step("length", length, (20, 50, 100, 200, 400, 800, 1600, 3200))
    yield _step("links", links, (1, 2, 3, 5, 10))
    if links:
        yield _step("links per length", 100 * links / length, (0.2, 0.5, 1, 2, 5))
    letters, digits = count_of(LETTER, kinds), count_of(DIGIT, kinds)
    yield _step("capitals", count_of(CAPITAL, kinds) / max(letters, 1), (0.02, 0.1, 0.3, 0.6))
    yield _step("digits", digits / length, (0.001, 0.03, 0.1, 0.25))
    yield _step("exclamations", text.count("!"), (1, 2, 4))
    yield _step("lines", text.count("\n"), (1, 3, 8))
    for name, least_digits, within, pattern in _PATTERNS:
        if digits >= least_digits and within in text and pattern.search(text):
            yield name
    if not text.isascii():
        yield from _character_signs(kinds)


# Each with how many digits and which text it cannot do without: looking for those is far cheaper.
_PATTERNS = (
    ("anchor", 0, "<", re.compile(r"<a\s", re.I)),
    ("bbcode", 0, "[", re.compile(r"\[(?:url|link)\b", re.I)),
    ("markup", 0, "<", re.compile(r"</?(?:b|i|strong|em|code|pre|blockquote|p|br)\b", re.I)),
    # (?<!\d)(?:\+?\d{1,3}[ .-]?)?(?:\d[ .-]?){8,10}\d(?!\d), found by its first digit.
    (
        "phone",
        9,
        "",
        re.compile(
            r"\d(?<!\d\d)(?:[ .-]?(?:\d[ .-]?){7,10}|\d{1,2}[ .-]?(?:\d[ .-]?){8,10})\d(?!\d)"
        ),
    ),
    ("price", 1, "", re.compile(r"[$€£₫]\s?\d|\d\s?(?:[$€£₫%]|usd|vnd|tr\b|triệu|k\b)", re.I)),
    ("repeated", 0, "", re.compile(r"(\S)\1\1\1")),
    # (?:\b\w[ .·_-]){4}, found by its first separator and what follows that.
    (
        "spaced out",
        0,
        "",
        re.compile(r"[ .·_-](?=\w[ .·_-])(?<=\b\w[ .·_-])(?:\b\w[ .·_-]){3}"),
    ),
    ("brand with digits", 2, "", re.compile(r"\b[^\W\d_]{3,}+\d{2,3}\b")),
    ("handle", 0, "@", re.compile(r"(?<!\w)@\w{3,}")),
    ("hashtag", 0, "#", re.compile(r"(?<!\w)#\w{3,}")),
    ("question", 0, "?", re.compile(r"\?")),
)


def _character_signs(kinds: Kinds) -> Iterator[str]:
    if not has(INVISIBLE | DISGUISED | SYMBOL, kinds):
        return
    for name, kind, bounds in (
        ("invisible", INVISIBLE, (1, 3, 10)),
        ("disguised", DISGUISED, (1, 3, 10)),
        ("emoji", SYMBOL, (1, 2, 4, 10)),
    ):
        count = count_of(kind, kinds)
        if count:
            yield _step(name, count, bounds)


def _name_signs(name: str) -> Iterator[str]:
    words = name.split()
    yield _step("name words", len(words), (2, 3, 4, 6))
    yield _step("name length", len(name), (5, 12, 20, 30, 50))
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
    yield _step("url depth", sum(map(bool, parts.path.split("/"))), (1, 2, 3, 5))
    yield _step("host hyphens", host.count("-"), (1, 2, 3))
    yield _step("host length", len(host), (10, 15, 20, 30))
    yield _step("host labels", host.count("."), (2, 3, 4))
    if any(map(str.isdigit, host)):
        yield "host digits"
    if parts.query:
        yield "url query"
    letters = "".join(filter(str.isalnum, readable(name)))
    if len(letters) >= 4 and letters in "".join(filter(str.isalnum, readable(host))):
        yield "name in host"
