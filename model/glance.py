"""What a glance at texts tells, read off single characters and words: `model/glance.c`, opened.

Knows what each character is, C's structures, and how words and steps are laid out. What words
say and what numbers mean stands in `model.language`, `model.asking` and `model.signs`, which
hand theirs over from here on. Calls are short, so that other threads of Python wait for them.
"""

import ctypes
import re
import sys
import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.library import opened
from model.text import belongs_to_what_is_before, is_composing, is_disguised, is_invisible

_LIBRARY = opened(alone=True)

CODEC = f"utf-32-{sys.byteorder[0]}e"
"""How C reads texts; lone surrogates pass."""


def codes_of(text: str) -> bytes:
    """The code points of a text, as C reads them."""
    return text.encode(CODEC, "surrogatepass")


# ------------------------------------------------------------------ characters

# What each code point met so far is, for C, and 0 for what was not. Memory is taken only for
# pages written.
_TRAITS: NDArray[np.uint64] = np.zeros(0x110000, np.uint64)

# What stands between words where a language is guessed, beside blanks.
_BETWEEN_WORDS = frozenset('.,;:!?"()[]{}<>*/\\|_=+~…“”–—-')
# What may end a sentence or begin a line.
_BREAKS = frozenset(".!?,;:*>(\n-")
_NOT_LATIN = re.compile(
    r"[^\x00-\u036f\u1e00-\u1eff\u2000-\u2fff\ufe00-\ufe0f\U0001f000-\U0001ffff]"
)
_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u2066\u2067\u2068\u2069")
_RIGHT_TO_LEFT = ("R", "AL")
_SCRIPTS_THAT_JOIN_NOTHING = ("LATIN", "GREEK", "CYRILLIC")

TALLIES = ("!\uff01", "?\uff1f", "@\uff20", "#\uff03", "$€£₫%")
"""Characters that are counted together, in the order of the counts."""

_TALLY = {character: tally for tally, those in enumerate(TALLIES, 1) for character in those}


def _traits_of(character: str) -> int:
    """A character's entry: its lower case, and bits in the order of `model/glance.c`."""
    # Only one becomes two: an i, and a dot above it that belongs to no word.
    lower = character.lower()[0].replace("’", "'")
    category = unicodedata.category(character)
    bits = (
        True,
        is_composing(character),
        lower.isalnum() or lower == "_",
        len(character.lower()) > 1,
        lower.isspace(),
        lower in _BETWEEN_WORDS,
        lower in _BREAKS,
        _NOT_LATIN.match(character) is not None,
        is_invisible(character),
        is_disguised(character),
        category == "Mn",
        category == "Me",
        character in "\ufe0e\ufe0f",
        unicodedata.bidirectional(character) in _RIGHT_TO_LEFT and character not in "\u200f\u061c",
        character in _DIRECTION_MARKS,
        unicodedata.name(character, "").startswith(_SCRIPTS_THAT_JOIN_NOTHING),
        not " " <= character <= "~" and belongs_to_what_is_before(character),
    )
    return (
        ord(lower)
        | sum(bit << at for at, bit in enumerate(bits, 21))
        | _TALLY.get(character, 0) << 38
    )


def _meet(text: str) -> None:
    for character in set(text):
        if not _TRAITS[ord(character)]:
            _TRAITS[ord(character)] = _traits_of(character)


# ------------------------------------------------------------------ C's structures

_int64, _pointer = ctypes.c_int64, ctypes.c_void_p


class _Lexicon(ctypes.Structure):
    _fields_ = (
        ("slots", _pointer),
        ("mask", _int64),
        ("begins", _pointer),
        ("codes", _pointer),
        ("values", _pointer),
        ("longest", _int64),
    )


class _Telling(ctypes.Structure):
    _fields_ = (
        ("words", _Lexicon),
        ("letters", _Lexicon),
        ("has_letters", _pointer),
        ("languages", _int64),
        ("sample", _int64),
    )


class _Asking(ctypes.Structure):
    _fields_ = (("words", _Lexicon), ("sample", _int64))


class _Steps(ctypes.Structure):
    _fields_ = (("bounds", _pointer), ("ends", _pointer))


def _declared(name: str, returned: type | None, *arguments: type) -> Any:
    function = getattr(_LIBRARY, name)
    function.argtypes, function.restype = arguments, returned
    return function


_codes = ctypes.c_char_p
_glance = _declared("duyet_glance", ctypes.c_int, _pointer, _pointer, _codes, _int64, _pointer)
_language = _declared("duyet_language", _int64, _pointer, _pointer, _codes, _int64, ctypes.c_int)
_flags = _declared("duyet_flags", ctypes.c_int, _pointer, _pointer, _int64, _codes, _pointer)
_asking = _declared("duyet_asking", _int64, _pointer, _pointer, _codes, _int64)
_signs = _declared("duyet_signs", _int64, *[_pointer] * 4, _int64, _codes, *[_pointer] * 5)
_widen = _declared("duyet_widen", None, _pointer, _pointer, _codes, _pointer, _int64)

_origins = _declared("duyet_origins", None, _pointer, _int64, _pointer)

_TRAITS_AT = _TRAITS.ctypes.data
_MOST_LANGUAGES = 31
_LONGEST_WORD = 64


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Words, each with a number above 0 that says something of it, laid out for C.

    Raises ValueError for words of no letters or too many, and numbers of more than 32 bits.
    """

    words: Mapping[str, int]
    _c: _Lexicon = field(init=False, repr=False)
    _kept: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        words = list(self.words)
        if not all(0 < len(word) <= _LONGEST_WORD for word in words) or not all(
            0 < value < 1 << 32 for value in self.words.values()
        ):
            raise ValueError("no such lexicon")
        size = 1 << (2 * len(words) + 1).bit_length()
        slots = np.full(size, -1, np.int32)
        for number, word in enumerate(words):
            at = _hashed(word) & size - 1
            while slots[at] >= 0:
                at = at + 1 & size - 1
            slots[at] = number
        begins = np.array([*accumulate(map(len, words), initial=0)], np.int32)
        codes = np.array([ord(letter) for letter in chain(*words)], np.uint32)
        values = np.array([self.words[word] for word in words], np.uint32)
        kept = (slots, begins, codes, values)
        addresses = [one.ctypes.data for one in (begins, codes, values)]
        longest = max(map(len, words), default=0)
        object.__setattr__(self, "_kept", kept)
        object.__setattr__(self, "_c", _Lexicon(slots.ctypes.data, size - 1, *addresses, longest))


def _hashed(word: str) -> int:
    """FNV-1a over code points, in 32 bits."""
    value = 0x811C9DC5
    for letter in word:
        value = (value ^ ord(letter)) * 0x01000193 & 0xFFFFFFFF
    return value


# ------------------------------------------------------------------ language and what hides


LINKS, MARKUP, UNCOMPOSED = 1, 2, 4
"""Flags: what whoever looks closer may find in a text, and what is not in NFC or only just is."""

UNSURE, BY_SCRIPT, _NOT_COMPOSED, _NOT_MET = -1, -2, -3, -4
"""What may come in place of a language: none is told by words, or the script tells."""


class Told(NamedTuple):
    """What a glance tells of a text.

    `flags` is a sum of `LINKS`, `MARKUP` and `UNCOMPOSED`; `language` the number of one in order
    of their tags, `UNSURE` or `BY_SCRIPT`. `invisible` counts characters that show nothing where
    no emoji or script needs them, `disguised` those that only stand for an ASCII letter or
    digit, of which `wide` are the wide forms; `marks` is the longest run of combining marks.
    """

    flags: int
    language: int
    invisible: int
    disguised: int
    wide: int
    marks: int


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """What tells languages apart.

    `words` say twice the number of their language, from 1, less one, and that itself where they
    tell without their diacritics: 1 and 2 for the first. `letters`, none of them ASCII, say
    whose own they are, a bit for each language. The first `sample` characters of a text are
    looked at.

    Raises ValueError for more than 31 languages, or what else C has no room for.
    """

    words: Lexicon
    letters: Lexicon
    languages: int
    sample: int
    _c: _Telling = field(init=False, repr=False)
    _at: int = field(init=False, repr=False)
    _kept: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers, letters = self.words.words.values(), self.letters.words
        whose = [any(bits >> n & 1 for bits in letters.values()) for n in range(self.languages)]
        if (
            not 0 < self.languages <= _MOST_LANGUAGES
            or max(numbers, default=0) > 2 * self.languages
            or any(bits >> self.languages for bits in letters.values())
            or any(len(letter) != 1 or letter.isascii() for letter in letters)
            or not 0 < self.sample <= 256
        ):
            raise ValueError("no such languages")
        has_letters = np.array(whose, np.uint8)
        c = _Telling(
            self.words._c, self.letters._c, has_letters.ctypes.data, self.languages, self.sample
        )
        object.__setattr__(self, "_kept", (has_letters,))
        object.__setattr__(self, "_c", c)
        object.__setattr__(self, "_at", ctypes.addressof(c))

    def language_of(self, text: str) -> int:
        """The number of the text's language, `UNSURE` or `BY_SCRIPT`."""
        sample = text[: self.sample]
        found: int = _language(_TRAITS_AT, self._at, codes_of(sample), len(sample), 0)
        if found == _NOT_MET:
            _meet(sample)
            return self.language_of(sample)
        return self._composed(sample) if found == _NOT_COMPOSED else found

    def told(self, text: str) -> Told:
        """All that a glance tells of a text."""
        found = _TOLD()
        if _glance(_TRAITS_AT, self._at, codes_of(text), len(text), found):
            _meet(text)
            return self.told(text)
        if found[1] == _NOT_COMPOSED:
            found[1] = self._composed(text[: self.sample])
        return Told._make(found)

    def _composed(self, sample: str) -> int:
        whole = unicodedata.normalize("NFC", sample)
        _meet(whole)
        found: int = _language(_TRAITS_AT, self._at, codes_of(whole), len(whole), 1)
        return found


_TOLD = _int64 * len(Told._fields)


def flags_of(typed: bytes, rows: "array[int]", size: int) -> "array[int]":
    """The flags of texts laid out as `model.kernel.Laid` does, a byte each."""
    found = array("B", bytes(size))
    if _flags(_TRAITS_AT, rows.buffer_info()[0], size, typed, found.buffer_info()[0]):
        _meet(typed.decode(CODEC, "surrogatepass"))
        return flags_of(typed, rows, size)
    return found


def widen(typed: bytes, rows: "array[int]", spans: NDArray[np.int64]) -> None:
    """Widen spans of texts so laid out, so that they cut no letter from its marks or joiners.

    They are (owner, head, text, start, end), shape (n, 5), and changed in place.
    """
    _widen(_TRAITS_AT, rows.buffer_info()[0], typed, spans.ctypes.data, len(spans))


def origins_of(parts: Sequence[int]) -> NDArray[np.int64]:
    """Where each character of a text made of parts came from.

    `parts` are three numbers for each: where its first character came from, 1 if the others
    follow that one and 0 if they came from the same place, and how many there are.
    """
    told = array("q", parts)
    found = array("q", bytes(8 * sum(told[2::3])))
    _origins(told.buffer_info()[0], len(told) // 3, found.buffer_info()[0])
    return np.frombuffer(found, np.int64)


# ------------------------------------------------------------------ signs


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """What the words of a comment that asks say, and of how many characters it is looked for."""

    words: Lexicon
    sample: int
    _c: _Asking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.sample <= _MOST_ASKED:
            raise ValueError("no such sample")
        object.__setattr__(self, "_c", _Asking(self.words._c, self.sample))

    def of_uncomposed(self, text: str) -> list[int]:
        """The signs of a text that is not in NFC, from that of asking for nothing."""
        whole = unicodedata.normalize("NFC", text[: self.sample])
        _meet(whole)
        found: int = _asking(_TRAITS_AT, ctypes.addressof(self._c), codes_of(whole), len(whole))
        return [found & 3, *[3 + way for way in range(3) if found & 4 << way]]


_MOST_ASKED = 5_000  # a third of what there is room for: NFC may be longer
_MOST_SIGNS = 17


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The bounds between the steps of each measure: the counts of `model.letters`, and of
    `TALLIES`. After the signs of all steps come those of a tag, of BBCode, and of asking."""

    bounds: Sequence[Sequence[float]]
    asking: Asking
    _c: _Steps = field(init=False, repr=False)
    _kept: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.bounds) != _COUNTED + len(TALLIES):
            raise ValueError("no such measures")
        bounds = np.array([*chain(*self.bounds)], np.float64)
        ends = np.array([*accumulate(map(len, self.bounds))], np.int64)
        object.__setattr__(self, "_kept", (bounds, ends))
        object.__setattr__(self, "_c", _Steps(bounds.ctypes.data, ends.ctypes.data))

    @property
    def signs(self) -> int:
        """How many signs there are."""
        return sum(len(bounds) + 1 for bounds in self.bounds) + 2 + _SIGNS_OF_ASKING

    def add_signs(
        self,
        signs: "tuple[array[int], array[int]]",
        texts: Sequence[str],
        laid: "tuple[bytes, array[int]]",
        counts: NDArray[np.int64],
        places: "array[int]",
    ) -> None:
        """Add to `signs` where those of what texts say stand in the table, and whose they are.

        The texts are laid out as `model.kernel.Laid` does, code points and rows, and of these
        only the first field of an owner is read; `counts` has a row for each text, `places` the
        place of each sign. Those of an owner are in order. Raises ValueError for counts or
        places of another shape.
        """
        typed, rows = laid
        size = len(texts)
        if counts.shape != (size, _COUNTED) or len(places) != self.signs:
            raise ValueError("there must be counts for each text, and a place for each sign")
        begin, uncomposed = len(signs[0]), array("q", bytes(8 * size + 8))
        for column in signs:
            column.frombytes(bytes(8 * _MOST_SIGNS * size))
        found = begin + _signs(
            *(_TRAITS_AT, ctypes.addressof(self.asking._c), ctypes.addressof(self._c)),
            *(rows.buffer_info()[0], size, typed, counts.ctypes.data, places.buffer_info()[0]),
            *(column.buffer_info()[0] + 8 * begin for column in signs),
            uncomposed.buffer_info()[0],
        )
        for column in signs:
            del column[found:]
        for number in uncomposed[1 : uncomposed[0] + 1]:
            of_asking = self.asking.of_uncomposed(texts[number])
            signs[0].extend(places[self.signs - _SIGNS_OF_ASKING + sign] for sign in of_asking)
            signs[1].extend(rows[_COLUMNS * number] for _ in of_asking)


_COUNTED = 6  # of a text
_COLUMNS = 6  # of its row
_SIGNS_OF_ASKING = 6
