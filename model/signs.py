"""Signs: what the form of a submission says, as words that the classifier can weigh.

A sign says that something is there, never that a field is missing: which fields a site sends
is no sign of spam. Numbers become a few steps, so that the weight of each can be read.
"""

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from model.submission import Submission
from model.text import is_invisible, readable


def signs_of(submission: Submission, *, links: int) -> tuple[str, ...]:
    """The signs of a submission; `links` is how many links its content holds."""
    author = submission.author
    return (
        *_content_signs(submission.content, links),
        *(_name_signs(author.name) if author.name else ()),
        *(_url_signs(author.url, author.name) if author.url else ()),
    )


def _step(name: str, value: float, bounds: tuple[float, ...]) -> str:
    return f"{name}:{bisect_right(bounds, value)}"


def _content_signs(text: str, links: int) -> Iterator[str]:
    length = max(len(text), 1)
    yield _step("length", length, (20, 50, 100, 200, 400, 800, 1600, 3200))
    yield _step("links", links, (1, 2, 3, 5, 10))
    if links:
        yield _step("links per length", 100 * links / length, (0.2, 0.5, 1, 2, 5))
    counts = Counter(text)  # all that follows looks at each distinct character once
    letters = count_of(str.isalpha, counts)
    yield _step("capitals", count_of(str.isupper, counts) / max(letters, 1), (0.02, 0.1, 0.3, 0.6))
    yield _step("digits", count_of(str.isdigit, counts) / length, (0.001, 0.03, 0.1, 0.25))
    yield _step("exclamations", text.count("!"), (1, 2, 4))
    yield _step("lines", text.count("\n"), (1, 3, 8))
    for name, pattern in _PATTERNS:
        if pattern.search(text):
            yield name
    if not text.isascii():
        yield from _character_signs(counts)


_PATTERNS = (
    ("anchor", re.compile(r"<a\s", re.I)),
    ("bbcode", re.compile(r"\[(?:url|link)\b", re.I)),
    ("markup", re.compile(r"</?(?:b|i|strong|em|code|pre|blockquote|p|br)\b", re.I)),
    ("phone", re.compile(r"(?<!\d)(?:\+?\d{1,3}[ .-]?)?(?:\d[ .-]?){8,10}\d(?!\d)")),
    ("price", re.compile(r"[$€£₫]\s?\d|\d\s?(?:[$€£₫%]|usd|vnd|tr\b|triệu|k\b)", re.I)),
    ("repeated", re.compile(r"(\S)\1{3}")),
    ("spaced out", re.compile(r"(?:\b\w[ .·_-]){4}")),
    ("brand with digits", re.compile(r"\b[^\W\d_]{3,}\d{2,3}\b")),
    ("handle", re.compile(r"(?<!\w)@\w{3,}")),
    ("hashtag", re.compile(r"(?<!\w)#\w{3,}")),
    ("question", re.compile(r"\?")),
)


def _character_signs(counts: Mapping[str, int]) -> Iterator[str]:
    for name, kind in (
        ("invisible", is_invisible),
        ("disguised", is_disguised),
        ("emoji", _is_symbol),
    ):
        count = count_of(kind, counts)
        if count:
            yield _step(name, count, (1, 3, 10) if name != "emoji" else (1, 2, 4, 10))


def count_of(kind: Callable[[str], bool], counts: Mapping[str, int]) -> int:
    """How many characters are of a kind, from how often each one stands."""
    return sum(count for character, count in counts.items() if kind(character))


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character) == "So"


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
