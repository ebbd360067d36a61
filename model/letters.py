"""The letters of texts, one after another, with the words and parts that they make up.

What people do to words so that a filter misses them is undone here: letters drawn out or set
apart, words run together, digits and signs for letters, markup inside words. Runs of letters
over word boundaries then are the same however a text was disguised; words are nearly so.

`model/kernel.c` reads them; here stands what it goes by, and what it saw as arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from model import kernel
from model.kernel import Laid, Plan
from model.spans import DENSITY

PART_LETTERS = 80
"""A part of a text, a sentence or several, has at least so many letters."""

PARTS_APART = 62
"""What comes after so many parts of a text is one part."""

Codes = NDArray[np.uint32]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

COUNTED = ("letters", "digits", "longest number", "capitals", "symbols", "lines")
"""What is counted of a text: letters and digits, digits alone, digits of the longest number with
whatever parts them, letters in upper case, emoji and signs like them, and line ends."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it reads.

    `plain` are its code points as they read to the eye: compatibility forms undone (NFKC),
    invisible characters and marks dropped, look-alike letters turned Latin (the confusables of
    UTS #39), lower case, digits as ASCII, every blank as a space. `marked` are the same but with
    the marks of Latin letters. `kinds` says what each is; `origin` holds the index of the code
    point of the original text that it came from, never falling. All are of shape (n,).
    """

    plain: Codes
    marked: Codes
    kinds: NDArray[np.uint16]
    origin: Positions


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters and digits of some texts, one text after another.

    `plain` and `marked` are code points without and with the marks of Latin letters, every
    digit a nought. Letter i is of the text numbered `text[i]`, came from its code point
    `place[i]` as typed, and stands in part `part[i]` of it, counted from 0. It is `spoken` unless
    it is a sign or blank between words. `words` are the indices of letters that begin a word, in
    order.

    `symbols` are the code points of emoji and signs like them, each of the text
    `symbol_text[i]` at `symbol_place[i]`, in the part of the letter before it. `counts` has a
    row for each text and a column for each of `COUNTED`.
    """

    plain: Codes
    marked: Codes
    text: Positions
    place: Positions
    part: Positions
    spoken: Mask
    words: Positions
    symbols: Codes
    symbol_text: Positions
    symbol_place: Positions
    symbol_part: Positions
    counts: Positions


_NOUGHT = ord("0")

# What each ASCII digit and sign stands for in a word; those that stand for none are noughts.
_LEET = np.full(128, _NOUGHT, np.uint32)
for _figure, _letter in zip("0134567@$!", "oieasgtasi", strict=True):
    _LEET[ord(_figure)] = ord(_letter)


plan_of = partial(
    Plan, part_letters=PART_LETTERS, parts_apart=PARTS_APART, leet=_LEET, density=DENSITY
)
"""A plan by which texts are read as this module and `model.spans` say."""

_LETTERS_ALONE = plan_of(
    lengths=((), (), ()),
    salts=np.zeros((2, 4), np.uint64),
    shares=np.zeros((2, 3)),
    bits=1,
)


def letters_of(texts: Sequence[str], whole: Sequence[bool]) -> Letters:
    """The letters of texts, one or more, none of them empty.

    Of what is `whole`, names and URLs, what stands between the words is kept too, the edges as
    blanks: "/", "." and "-" tell of what kind a URL is.
    """
    laid = Laid(texts, range(len(texts)), list(map(int, whole)))
    found = kernel.letters(_LETTERS_ALONE, laid)
    return Letters(
        plain=found["plain"],
        marked=found["marked"],
        text=numbers(found["letter_ends"]),
        place=found["places"],
        part=found["parts"],
        spoken=found["spoken"],
        words=found["begins"].nonzero()[0],
        symbols=found["symbols"],
        symbol_text=numbers(found["symbol_ends"]),
        symbol_place=found["symbol_places"],
        symbol_part=found["symbol_parts"],
        counts=found["counts"],
    )


def numbers(ends: Positions) -> Positions:
    """Which text each thing is of, where those of each end before `ends`."""
    return np.arange(ends.size).repeat(np.diff(ends, prepend=0))


def read(text: str) -> Reading:
    """A text as it reads. Takes any text, lone surrogates too; markup stays as it is."""
    found = kernel.reading(_LETTERS_ALONE, Laid([text], [0], [0], markup=False))
    columns = ("reading_plain", "reading_marked", "reading_kinds", "reading_places")
    return Reading(*(found[name] for name in columns))
