"""Everything read off a submission once: links, language, address, disguises, signs.

`gather` is pure and total: it takes any text and never raises. Rules and classifier read
only what stands here.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from model.addresses import AddressFacts, AddressProblem, facts_of_address, read_address
from model.features import Texts
from model.language import language_of
from model.links import Link, links_in
from model.outcome import Outcome
from model.signs import (
    DISGUISED,
    ENCLOSING,
    INVISIBLE,
    NONSPACING,
    Kinds,
    count_of,
    has,
    is_ordinary,
    kinds_of,
    signs_of,
)
from model.site_rules import Met
from model.submission import History, Submission
from model.text import is_invisible


@dataclass(frozen=True, slots=True)
class DecidedTwin:
    """A comment that people decided, which another one is nearly the same as.

    `likeness` is from 0 to 1, `decisions` how many there were on comments like it, and
    `settles` what they ask for; None when they disagree or say too little.
    """

    id: str
    likeness: float
    decisions: int
    settles: Outcome | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A submission, its history, and what was read off them.

    `links` are those of the content, in order, with their offsets; `language` is a BCP 47
    primary tag or `und`. Of the content, `invisible` counts characters that show nothing
    where no emoji or script needs them, `disguised` those that only stand for an ASCII letter
    or digit, and `marks` is the longest run of combining marks. `twin` is what the site's
    memory of decided comments knows of it,
    `met` what of the site's own rules does, None where it has none.
    """

    submission: Submission
    history: History
    links: tuple[Link, ...] = field(repr=False)
    language: str
    address: AddressFacts | None
    invisible: int
    disguised: int
    marks: int
    texts: Texts
    twin: DecidedTwin | None = None
    met: Met | None = None


def gather(submission: Submission, history: History | None = None) -> Facts:
    """What can be read off a submission, with what was known when it came."""
    content, author = submission.content, submission.author
    links = links_in(content)
    language = language_of(content)
    invisible, disguised, marks = _hiding(content, language)
    return Facts(
        submission=submission,
        history=history or History(),
        links=links,
        language=language,
        address=_address(author.email),
        invisible=invisible,
        disguised=disguised,
        marks=marks,
        texts=Texts(content, author.name, author.url, signs_of(submission, links=len(links))),
    )


def _address(email: str) -> AddressFacts | None:
    if not email:
        return None
    try:
        return facts_of_address(read_address(email))
    except AddressProblem:
        return None


def _hiding(text: str, language: str) -> tuple[int, int, int]:
    """How many characters hide something, how many are disguised, the longest run of marks."""
    if is_ordinary(text):
        return 0, 0, 0
    kinds = kinds_of(text)
    return (
        _invisible(text) if has(INVISIBLE, kinds) else 0,
        _disguised(text, language) if has(DISGUISED, kinds) else 0,
        _longest_run(kinds) if has(_MARK, kinds) else 0,
    )


def _disguised(text: str, language: str) -> int:
    """Characters that stand for ASCII ones, the wide forms only where they are no habit."""
    if language in {"ja", "zh", "ko"}:
        text = "".join(c for c in text if not "\uff00" <= c <= "\uff5e")
    return count_of(DISGUISED, kinds_of(text))


def _invisible(text: str) -> int:
    """Characters that hide something; see `_needs` for those that do not."""
    common = _DIRECTION_MARKS if _is_right_to_left(text) else ""
    common += _BRAILLE_BLANK if any("\u2801" <= c <= "\u28ff" for c in text) else ""
    return sum(
        not (character in common or _needs(shown, previous, character))
        for shown, previous, character in _hidden(text.removeprefix("\ufeff"))
    )


def _hidden(text: str) -> Iterator[tuple[str, str, str]]:
    """Each invisible character that is not ASCII, after the last letter or symbol that shows
    and the character right before it."""
    kinds = kinds_of(text)
    at = np.arange(kinds.size)
    # A mark belongs to its letter.
    shown = np.maximum.accumulate(np.where(kinds & (INVISIBLE | NONSPACING), -1, at))
    for here in np.flatnonzero(kinds & INVISIBLE).tolist():
        if not text[here].isascii():
            last = shown[here]
            yield text[last] if last >= 0 else " ", text[here - 1] if here else " ", text[here]


def _needs(shown: str, previous: str, character: str) -> bool:
    """Whether what shows may need an invisible character after it: one selector each, joiners
    between emoji and in scripts whose letters they join, and the tags of a flag."""
    if character in _SELECTORS:
        return not is_invisible(previous)
    if shown == _FLAG:
        return "\U000e0020" <= character <= "\U000e007f"
    single = not is_invisible(previous) or previous in _SELECTORS
    return single and not (shown.isascii() or shown.isspace() or _is_plain_letter(shown))


_SELECTORS = "\ufe0e\ufe0f"
_DIRECTION_MARKS = "\u061c\u200e\u200f\u2066\u2067\u2068\u2069"
_BRAILLE_BLANK = "\u2800"
_FLAG = "\U0001f3f4"


def _is_right_to_left(text: str) -> bool:
    return any(
        unicodedata.bidirectional(c) in {"R", "AL"} and c not in "\u200f\u061c" for c in set(text)
    )


def _is_plain_letter(character: str) -> bool:
    """Whether it is a letter of a script that joins nothing by invisible characters."""
    return unicodedata.name(character, "").startswith(("LATIN", "GREEK", "CYRILLIC"))


def _longest_run(kinds: Kinds) -> int:
    """How many marks stand in a row at most."""
    clear = np.flatnonzero(np.concatenate([[0], kinds & _MARK, [0]]) == 0)
    return int(np.diff(clear).max()) - 1


_MARK = NONSPACING | ENCLOSING
