"""The letters of texts, one after another, with the words and parts that they make up.

What people do to words so that a filter misses them is undone here: letters drawn out or set
apart, words run together, digits and signs for letters, markup inside words. Runs of letters
over word boundaries then are the same however a text was disguised; words are nearly so.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from model.shown import Shown, shown
from model.text import BLANK, DIGIT, LETTER, LINE, LOWER, SIGN, STOP, SYMBOL, UPPER, read

PART_LETTERS = 80
"""A part of a text, a sentence or several, has at least so many letters."""

PARTS_APART = 62
"""What comes after so many parts of a text is one part."""

PARTS = PARTS_APART + 1

Codes = NDArray[np.uint64]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


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


COUNTED = ("letters", "digits", "longest number", "capitals", "symbols", "lines")
"""What is counted of a text: letters and digits, digits alone, digits of the longest number with
whatever parts them, letters in upper case, emoji and signs like them, and line ends."""


def letters_of(texts: Sequence[str], whole: Sequence[bool]) -> Letters:
    """The letters of texts, one or more, read in one go: the cost of a call is shared.

    Of what is `whole`, names and URLs, what stands between the words is kept too, the edges as
    blanks: "/", "." and "-" tell of what kind a URL is.
    """
    seen = [shown(text) for text in texts]
    bare = [text if found is None else found.text for text, found in zip(texts, seen, strict=True)]
    # Two blanks at either end, so that neighbours of a letter can be looked at without care.
    reading = read(f"  {'    '.join(bare)}  ")
    begins = np.array([0, *accumulate([len(text) + 4 for text in bare])])
    kinds, firsts = reading.kinds, reading.origin.searchsorted(begins[:-1])
    present = int(np.bitwise_or.reduce(kinds))
    plain, inside = _without_leet(reading.plain, kinds, present)
    begins_word = inside.copy()
    begins_word[1:] &= ~inside[:-1]
    _join_single_letters(begins_word, inside, reading.plain)
    if present & UPPER:
        _part_run_together(begins_word, kinds)
    kept, stays = inside, begins_word
    if any(whole):
        blank = (kinds & BLANK) != 0
        # Of several blanks the first is kept.
        blank[1:] &= blank[:-1]
        blank[firsts] = False
        kept = inside | (np.repeat(whole, _gaps(firsts, kinds.size)) & ~blank)
        stays = begins_word | ~inside
    at = kept.nonzero()[0]
    at = at[_is_not_drawn_out(plain.take(at), stays.take(at))]
    letters, bounds = plain.take(at), at.searchsorted(firsts)
    sizes = _gaps(bounds, at.size)
    text = np.repeat(np.arange(sizes.size), sizes)
    part = _parts(at, [*bounds.tolist(), at.size], kinds, present)
    symbols = symbol_text = symbol_place = symbol_part = _NONE
    if present & SYMBOL:
        symbols = ((kinds & SYMBOL) != 0).nonzero()[0]
        symbol_text = firsts.searchsorted(symbols, "right") - 1
        before = at.searchsorted(symbols) - 1
        follows = before >= bounds.take(symbol_text)
        symbol_part = np.zeros_like(symbols)
        symbol_part[follows] = part.take(before[follows])
        symbol_place = _typed_places(reading.origin.take(symbols), symbol_text, begins, seen)
    marked = reading.marked
    if plain is not reading.plain:
        marked = np.where(plain == reading.plain, marked, plain)
    return Letters(
        plain=letters.astype(np.uint64),
        marked=marked.take(at).astype(np.uint64),
        text=text,
        place=_typed_places(reading.origin.take(at), text, begins, seen),
        part=part,
        spoken=inside.take(at),
        words=begins_word.take(at).nonzero()[0],
        symbols=reading.plain.take(symbols).astype(np.uint64),
        symbol_text=symbol_text,
        symbol_place=symbol_place,
        symbol_part=symbol_part,
        counts=_counts(sizes, letters, text, kinds, firsts, present),
    )


_NONE = np.empty(0, np.intp)


def _gaps(begins: Positions, end: int) -> Positions:
    """How far it is from each beginning to the next, and from the last to the end."""
    gaps = np.empty_like(begins)
    gaps[:-1] = begins[1:]
    gaps[-1] = end
    gaps -= begins
    return gaps


def _typed_places(
    origin: Positions, text: Positions, begins: Positions, seen: Sequence[Shown | None]
) -> Positions:
    """Where letters stand in the texts as typed; `begins` are of the texts within all as shown."""
    place = origin - (begins + 2).take(text)
    np.maximum(place, 0, out=place)  # what stands for the edges of a text
    np.minimum(place, (begins[1:] - begins[:-1] - 5).take(text), out=place)
    for number, found in enumerate(seen):
        if found is not None:
            own = slice(*text.searchsorted([number, number + 1]))
            place[own] = found.origin.take(place[own]) if found.text else 0
    return place


def _counts(
    sizes: Positions,
    letters: NDArray[np.uint32],
    text: Positions,
    kinds: NDArray[np.uint16],
    firsts: Positions,
    present: int,
) -> Positions:
    counts = np.zeros((sizes.size, len(COUNTED)), np.int64)
    counts[:, 0] = sizes
    if present & (DIGIT | SIGN):
        figures = (letters == _NOUGHT).nonzero()[0]
        of = text.take(figures)
        counts[:, 1] = np.bincount(of, minlength=sizes.size)
        counts[:, 2] = _longest_number(figures, of, sizes.size)
    for column, kind in ((3, UPPER), (4, SYMBOL), (5, LINE)):
        if present & kind:
            counts[:, column] = np.add.reduceat((kinds & kind) != 0, firsts, dtype=np.int64)
    return counts


_NOUGHT = ord("0")

# What each ASCII digit and sign stands for in a word; those that stand for none are noughts.
_LEET = np.full(128, _NOUGHT, np.uint32)
for _figure, _letter in zip("0134567@$!", "oieasgtasi", strict=True):
    _LEET[ord(_figure)] = ord(_letter)


def _without_leet(
    plain: NDArray[np.uint32], kinds: NDArray[np.uint16], present: int
) -> tuple[NDArray[np.uint32], Mask]:
    """The code points with leet undone and digits as noughts, and which belong to words.

    One digit or two stand for letters in a word that has letters too, if it does not begin with
    two digits as a price does. A sign counts between letters.
    """
    inside = (kinds & (LETTER | DIGIT)) != 0
    if not present & (DIGIT | SIGN):
        return plain, inside
    digits = (kinds & DIGIT) != 0
    figures = digits
    if present & SIGN:
        signs = ((kinds & SIGN) != 0).nonzero()[0]
        signs = signs[inside.take(signs - 1) & inside.take(signs + 1)]
        figures = digits.copy()
        figures[signs] = inside[signs] = True
    at = figures.nonzero()[0]
    if not at.size:
        return plain, inside
    leet = _leet_among(at, digits, inside)
    plain, letters = plain.copy(), _LEET.take(plain.take(leet))
    plain[at] = _NOUGHT
    plain[leet] = letters
    if figures is not digits:
        inside[signs] = False
        inside[leet] = True
    return plain, inside


def _leet_among(figures: Positions, digits: Mask, inside: Mask) -> Positions:
    """Which of the places of digits, and signs between letters, stand for letters."""
    begins = np.ones(figures.size + 1, bool)
    np.not_equal(figures[1:], figures[:-1] + 1, out=begins[1:-1])
    first, last = figures[begins[:-1]], figures[begins[1:]]
    # Runs take up all figures side by side, so what is next to one in its word is a letter.
    few = (last - first < 2) & (inside.take(first - 1) | inside.take(last + 1))
    first, last = first[few], last[few]
    if not first.size:
        return first
    outside = (~inside).nonzero()[0]
    word = outside.take(outside.searchsorted(first) - 1) + 1
    stands = ~(digits.take(word) & digits.take(word + 1))
    return np.concatenate([first[stands], last[stands]])


def _join_single_letters(begins_word: Mask, inside: Mask, plain: NDArray[np.uint32]) -> None:
    """Make one word of letters that the same character parts: c a s i n o, v.a.y."""
    single = begins_word.copy()
    single[:-1] &= ~inside[1:]
    if np.count_nonzero(single) > 1:
        # Blanks between words so written, dots within: only like gaps join.
        gap = plain[2:-2]
        alike = (gap == plain[:-4]) | (gap == plain[4:])
        begins_word[3:-1] &= ~(single[3:-1] & single[1:-3] & alike)


def _part_run_together(begins_word: Mask, kinds: NDArray[np.uint16]) -> None:
    """Begin a word at a capital after two small letters and before one: ClickHere."""
    capital = (kinds & UPPER) != 0
    if capital.any():
        small = (kinds & LOWER) != 0
        begins_word[2:-1] |= capital[2:-1] & small[1:-2] & small[:-3] & small[3:]


def _is_not_drawn_out(letters: NDArray[np.uint32], begins_word: Mask) -> Mask:
    """Which letters do not repeat the one before in their word; digits may."""
    kept = np.ones(letters.size, bool)
    kept[1:] = (letters[1:] != letters[:-1]) | begins_word[1:] | (letters[1:] == _NOUGHT)
    return kept


def _longest_number(figures: Positions, text: Positions, texts: int) -> Positions:
    """Of the longest run of figures in each text; `figures` are their letters' numbers."""
    longest = np.zeros(texts, np.int64)
    if figures.size:
        begins = np.ones(figures.size, bool)
        begins[1:] = (figures[1:] != figures[:-1] + 1) | (text[1:] != text[:-1])
        starts = begins.nonzero()[0]
        lengths = _gaps(starts, figures.size)
        by_length = lengths.argsort(kind="stable")
        longest[text.take(starts.take(by_length))] = lengths.take(by_length)  # the last one stays
    return longest


def _parts(at: Positions, bounds: list[int], kinds: NDArray[np.uint16], present: int) -> Positions:
    """The part that each letter is in: a text is cut where sentences and lines end.

    `bounds` are the first letters of the texts, and the end.
    """
    part = np.zeros(at.size, np.intp)
    if not present & (LINE | STOP) or at.size < 2 * PART_LETTERS:
        return part
    ends = ((kinds & (LINE | STOP)) != 0).nonzero()[0]  # the last of all is a blank
    ends = ends[((kinds.take(ends) & LINE) != 0) | ((kinds.take(ends + 1) & BLANK) != 0)]
    where = at.searchsorted(ends).tolist()  # how many letters stand before each end
    for begin, end in pairwise(bounds):
        cuts = [begin]
        while len(cuts) <= PARTS_APART:
            following = bisect_left(where, cuts[-1] + PART_LETTERS)
            if following == len(where) or where[following] > end - PART_LETTERS:
                break
            cuts.append(where[following])
        for number, (cut, next_cut) in enumerate(pairwise([*cuts, end])):
            if number:
                part[cut:next_cut] = number
    return part
