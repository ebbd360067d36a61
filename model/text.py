"""Normal forms of a text, each with the way back to what was typed.

A form is a character-wise rewriting, so every character of it knows the code point of the
original it came from; spans found in a form can then be shown in the original. Cost is linear
in the length of the text.
"""

import json
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Form:
    """A rewritten text.

    `codes` are its code points (uint64, shape (n,)); `origin` holds for each the index of the
    code point of the original text that it came from (int64, shape (n,), never falling).
    """

    codes: NDArray[np.uint64]
    origin: NDArray[np.int64]


def typed(text: str) -> Form:
    """The text as typed, but composed (NFC), in lower case, and with one kind of blank."""
    composed, starts = _composed(text)
    return _LOWERED.of(composed, code_points(composed), starts)


def folded(text: str) -> Form:
    """The text as it reads to the eye.

    Compatibility forms undone (NFKC), invisible characters and marks dropped, look-alike
    letters turned Latin (the confusables of UTS #39), lower case, every digit as 0. What a
    spammer disguises and what a reader types without diacritics meet here.
    """
    composed, starts = _composed(text)
    return _FOLDED.of(composed, code_points(composed), starts)


def typed_and_folded(text: str) -> tuple[Form, Form]:
    """Both forms of a text, for less than one after the other."""
    composed, starts = _composed(text)
    codes = code_points(composed)
    return _LOWERED.of(composed, codes, starts), _FOLDED.of(composed, codes, starts)


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of a text, lone surrogates among them."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def readable(text: str) -> str:
    """`folded` as a string: for comparing texts and matching words. Digits are kept as 0."""
    return text.translate(_FOLDED)


def whole_characters(text: str, start: int, end: int) -> tuple[int, int]:
    """A range of code points widened so that it cuts no letter from its marks or joiners."""
    while 0 < start < len(text) and _clings(text, start):
        start -= 1
    while end < len(text) and _clings(text, end):
        end += 1
    return start, end


def _clings(text: str, at: int) -> bool:
    """Whether the character there belongs to the one before it, to the eye."""
    character = text[at]
    if " " <= character <= "~":
        return text[at - 1] == "\u200d"
    return (
        unicodedata.category(character) in {"Mn", "Mc", "Me"}
        or character in _COMPOSING
        or is_invisible(character)
        or text[at - 1] == "\u200d"
    )


def is_invisible(character: str) -> bool:
    """Whether a character shows nothing: controls, format characters, fillers, selectors."""
    code = ord(character)
    if unicodedata.category(character) in {"Cc", "Cf"}:
        return not character.isspace() and code not in _SHOWN_FORMATS
    # The last range holds all tags and variation selectors, and is reserved for more.
    return code in _FILLERS or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF


# Hangul and Khmer fillers, the braille blank, the combining grapheme joiner, the selectors of
# Mongolian, and code points kept for format characters to come: letters, marks, symbols or
# nothing yet by category, nothing to the eye. Unassigned characters as such are not among
# them: a new emoji is unassigned until Python's tables know it.
_FILLERS = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFFF0, 0xFFF9)}
)

# Format characters that show: number signs and verse marks of Arabic, Syriac and Kaithi.
_SHOWN_FORMATS = frozenset(
    {*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD}
)


class _Rewriting(dict[int, str]):
    """What each code point becomes, worked out when it is first met; at most 0x110000 entries.

    `table` says the same for NumPy: 0 for what was not met yet, one more than the code point
    where it becomes one character, else `_UNEVEN` and the number of characters. Memory is taken
    only for the pages that are written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = np.zeros(0x110000, np.uint32)

    def rewrite(self, character: str) -> str:
        raise NotImplementedError

    def __missing__(self, code: int) -> str:
        written = self[code] = self.rewrite(chr(code))
        self.table[code] = ord(written) + 1 if len(written) == 1 else _UNEVEN + len(written)
        return written

    def of(self, text: str, codes: NDArray[np.uint32], starts: NDArray[np.int64]) -> Form:
        """The form of a text with these code points, which began at `starts` in the original."""
        written = self.table[codes]
        if not written.all():
            for code in np.unique(codes[written == 0]).tolist():
                self[code]
            written = self.table[codes]
        if written.max(initial=0) < _UNEVEN:
            return Form((written - np.uint32(1)).astype(np.uint64), starts)
        lengths = np.where(written < _UNEVEN, 1, written.astype(np.int64) - _UNEVEN)
        return Form(code_points(text.translate(self)).astype(np.uint64), np.repeat(starts, lengths))


_UNEVEN = 0x200000


class _Lowered(_Rewriting):
    def rewrite(self, character: str) -> str:
        return " " if character.isspace() else character.lower()


class _Folded(_Rewriting):
    def rewrite(self, character: str) -> str:
        return "".join(map(self._plain, unicodedata.normalize("NFKD", character).lower()))

    def _plain(self, character: str) -> str:
        if character.isspace():
            return " "
        if is_invisible(character) or unicodedata.category(character) == "Mn":
            return ""
        if character.isdigit():
            return "0"
        return character if character.isascii() else _latin_look_alikes().get(character, character)


# Letters that look Latin only to UTS #39's tables, or whose Latin base is no decomposition.
_OWN_LOOK_ALIKES = {"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ı": "i", "ħ": "h", "ŧ": "t", "ƀ": "b"}

_latin: dict[str, str] = {}


def _latin_look_alikes() -> dict[str, str]:
    """Each lower-case non-ASCII letter that is confusable with one ASCII letter."""
    if not _latin:
        table = files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
        for character, twins in json.loads(table).items():
            latin = sorted({t["c"].lower() for t in twins if len(t["c"]) == 1 and t["c"].isascii()})
            letters = [c for c in latin if c.isalpha()]
            if len(character) == 1 and not character.isascii() and letters:
                _latin.setdefault(character.lower(), letters[0])
        _latin.update(_OWN_LOOK_ALIKES)
    return _latin


_LOWERED = _Lowered()
_FOLDED = _Folded()


def _composed(text: str) -> tuple[str, NDArray[np.int64]]:
    """The text in NFC and, for each of its characters, where it began in the original."""
    if unicodedata.is_normalized("NFC", text):
        return text, np.arange(len(text))
    clusters = _clusters(text)
    composed = [unicodedata.normalize("NFC", cluster) for cluster in clusters]
    begins = np.fromiter(accumulate(map(len, clusters), initial=0), np.int64, len(clusters) + 1)
    lengths = np.fromiter(map(len, composed), np.int64, len(composed))
    return "".join(composed), np.repeat(begins[:-1], lengths)


def _clusters(text: str) -> list[str]:
    """The text cut before each character that does not combine with the one before it.

    Longer runs are cut as in UAX #15's stream-safe format: putting a run of marks in order
    takes time by the square of its length, seconds for one comment of nothing else.
    """
    clusters: list[str] = []
    start = 0
    for at in range(1, len(text)):
        character = text[at]
        joins = unicodedata.combining(character) or character in _COMPOSING
        if not joins or at - start > _LONGEST_RUN:
            clusters.append(text[start:at])
            start = at
    clusters.append(text[start:])
    return clusters


_LONGEST_RUN = 30

# What composes with the character before it, or decomposes into marks that reorder with it,
# without being a combining mark by its class: vowel signs of Indic scripts, and Hangul jamo.
_COMPOSING = frozenset(
    map(
        chr,
        (
            *(0x09BE, 0x09D7, 0x0B3E, 0x0B56, 0x0B57, 0x0BBE, 0x0BD7, 0x0CC2, 0x0CD5, 0x0CD6),
            *(0x0D3E, 0x0D57, 0x0DCF, 0x0DDF, 0x0F73, 0x0F75, 0x0F81, 0x102E, 0x1B35),
            *range(0x1160, 0x1200),
            *(0x11127, 0x1133E, 0x11357, 0x113B8, 0x113BB, 0x113C2, 0x113C5),
            *(0x113C7, 0x113C8, 0x113C9, 0x114B0, 0x114BA, 0x114BD, 0x115AF, 0x11930),
            *range(0x1611E, 0x1612A),
            *(0x16D63, 0x16D67),
        ),
    )
)
