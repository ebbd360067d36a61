"""Signs: what the form of a submission says, as words that the classifier can weigh.

A sign says that something is there, never that a field is missing: which fields a site sends
is no sign of spam. Numbers become a few steps, so that the weight of each can be read.
"""

from bisect import bisect_right
from collections.abc import Iterator
from urllib.parse import urlsplit

from model.asking import ASKING
from model.asking import SIGNS as SIGNS_OF_ASKING
from model.glance import Steps
from model.submission import Submission
from model.text import composed, readable

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


class _Steps:
    """The signs of one number, a step each, with the bounds between them; made once."""

    __slots__ = ("_bounds", "_names")

    def __init__(self, name: str, *bounds: float) -> None:
        self._bounds = bounds
        self._names = tuple(f"{name}:{step}" for step in range(len(bounds) + 1))

    def of(self, value: float) -> str:
        """The sign of a value; one at a bound is above it."""
        return self._names[bisect_right(self._bounds, value)]


_LINKS = _Steps("links", 1, 2, 3, 5, 10)
_LINKS_PER_LENGTH = _Steps("links per length", 0.2, 0.5, 1, 2, 5)
_NAME_WORDS = _Steps("name words", 2, 3, 4, 6)
_NAME_LENGTH = _Steps("name length", 5, 12, 20, 30, 50)
_URL_DEPTH = _Steps("url depth", 1, 2, 3, 5)
_HOST_HYPHENS = _Steps("host hyphens", 1, 2, 3)
_HOST_LENGTH = _Steps("host length", 10, 15, 20, 30)
_HOST_LABELS = _Steps("host labels", 2, 3, 4)


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


# ------------------------------------------------------------------ what a text says

# The counts of `model.letters`, digits and capitals by letters, then those of
# `model.glance.TALLIES`.
_MEASURES = {
    "letters": (10, 20, 40, 80, 160, 320, 640, 1280, 2560),
    "digits": (0.001, 0.03, 0.1, 0.25),
    "longest number": (3, 5, 7, 9, 12),
    "capitals": (0.02, 0.1, 0.3, 0.6),
    "symbols": (1, 2, 4, 10),
    "lines": (1, 3, 8),
    "exclamations": (1, 2, 4),
    "questions": (1, 2, 4),
    "handles": (1, 2),
    "hashtags": (1, 2, 4),
    "money": (1, 2, 4),
}

STEPS = Steps(tuple(_MEASURES.values()), ASKING)
"""How the signs of what a text says are read off it, by `model/glance.c`."""

CONTENT_SIGNS = (
    *(f"{name}:{step}" for name, of in _MEASURES.items() for step in range(len(of) + 1)),
    "anchor",  # "<a ", in whatever case
    "bbcode",  # "[url" or "[link", with what may follow
    *SIGNS_OF_ASKING,
)
"""The signs of what a text says, in the order of `STEPS`."""
