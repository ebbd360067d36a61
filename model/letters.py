"""The letters of texts, one after another, with the words and parts that they make up.

What people do to words so that a filter misses them is undone here: letters drawn out or set
apart, words run together, digits and signs for letters, markup inside words. Runs of letters
over word boundaries then are the same however a text was disguised; words are nearly so.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.shown import shown
from model.text import BLANK, DIGIT, LETTER, LINE, LOWER, SIGN, STOP, SYMBOL, UPPER, read

PART_LETTERS = 25
"""A part of a text, a sentence or several, has at least so many letters."""

PARTS_APART = 62
"""What comes after so many parts of a text is one part."""

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
    sizes = np.array([len(text) + 4 for text in bare], np.int64)
    reading = read("".join([f"  {text}  " for text in bare]))
    text_of = np.repeat(np.arange(sizes.size), sizes)
    place_of = np.arange(text_of.size) - (np.cumsum(sizes) - sizes + 2).take(text_of)
    np.clip(place_of, 0, np.repeat(np.maximum(sizes - 5, 0), sizes), out=place_of)
    text_at, place_at = text_of.take(reading.origin), place_of.take(reading.origin)
    kinds = reading.kinds
    plain, inside = _without_leet(reading.plain, kinds)
    begins_word = inside.copy()
    begins_word[1:] &= ~inside[:-1]
    _join_single_letters(begins_word, inside, reading.plain)
    _part_run_together(begins_word, kinds)
    kept = inside
    if any(whole):
        blank = (kinds & BLANK) != 0
        # Of several blanks the first is kept.
        blank[1:] &= blank[:-1] & (text_at[1:] == text_at[:-1])
        blank[0] = False
        kept = inside | (np.array(whole, bool).take(text_at) & ~blank)
    at = kept.nonzero()[0]
    at = at[_is_not_drawn_out(plain.take(at), begins_word.take(at) | (kept & ~inside).take(at))]
    text, place = text_at.take(at), place_at.take(at)
    symbols = ((kinds & SYMBOL) != 0).nonzero()[0]
    symbol_text, symbol_place = text_at.take(symbols), place_at.take(symbols)
    for number, found in enumerate(seen):
        if found is not None and found.text:
            for of, where in ((text, place), (symbol_text, symbol_place)):
                own = slice(*of.searchsorted([number, number + 1]))
                where[own] = found.origin.take(where[own])
    part = _parts(at, text, kinds, sizes.size)
    before = at.searchsorted(symbols) - 1
    symbol_part = np.zeros_like(symbols)
    if at.size and symbols.size:
        symbol_part = part.take(before) * ((before >= 0) & (text.take(before) == symbol_text))
    letters = plain.take(at)
    figures = letters == _NOUGHT
    return Letters(
        plain=letters.astype(np.uint64),
        marked=np.where(plain == reading.plain, reading.marked, plain).take(at).astype(np.uint64),
        text=text,
        place=place,
        part=part,
        spoken=inside.take(at),
        words=begins_word.take(at).nonzero()[0],
        symbols=reading.plain.take(symbols).astype(np.uint64),
        symbol_text=symbol_text,
        symbol_place=symbol_place,
        symbol_part=symbol_part,
        counts=np.stack(
            [
                np.bincount(text, minlength=sizes.size),
                np.bincount(text[figures], minlength=sizes.size),
                _longest_number(figures, text, sizes.size),
                *(
                    np.add.reduceat(
                        (kinds & kind) != 0,
                        text_at.searchsorted(np.arange(sizes.size)),
                        dtype=np.int64,
                    )
                    for kind in (UPPER, SYMBOL, LINE)
                ),
            ],
            axis=1,
        ),
    )


_NOUGHT = ord("0")

# What each ASCII digit and sign stands for in a word; those that stand for none are noughts.
_LEET = np.full(128, _NOUGHT, np.uint32)
for _figure, _letter in zip("0134567@$!", "oieasgtasi", strict=True):
    _LEET[ord(_figure)] = ord(_letter)


def _without_leet(
    plain: NDArray[np.uint32], kinds: NDArray[np.uint16]
) -> tuple[NDArray[np.uint32], Mask]:
    """The code points with leet undone and digits as noughts, and which belong to words.

    One digit or two stand for letters in a word that has letters too, if it does not begin with
    two digits as a price does. A sign counts between letters.
    """
    inside = (kinds & (LETTER | DIGIT)) != 0
    figures = (kinds & DIGIT) != 0
    signs = (kinds & SIGN) != 0
    signs[1:-1] &= inside[:-2] & inside[2:]
    signs[[0, -1]] = False
    if not (figures.any() or signs.any()):
        return plain, inside
    begins_two = figures[:-1] & figures[1:]
    figures |= signs
    inside |= signs
    number = figures[:-2] & figures[1:-1] & figures[2:]
    lone = figures.copy()
    for shift in range(3):
        lone[shift : lone.size - 2 + shift] &= ~number
    begins = (inside[1:] & ~inside[:-1]).nonzero()[0] + 1
    is_leet = np.logical_or.reduceat(inside & ~figures, begins) & ~begins_two.take(begins)
    word = np.zeros(plain.size, np.int64)
    word[begins] = 1
    leet = lone & is_leet.take(np.cumsum(word) - 1)
    inside &= ~signs | leet
    return np.where(figures, np.where(leet, _LEET.take(plain, mode="clip"), _NOUGHT), plain).astype(
        np.uint32
    ), inside


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


def _longest_number(figures: Mask, text: Positions, texts: int) -> Positions:
    longest = np.zeros(texts, np.int64)
    at = figures.nonzero()[0]
    if at.size:
        begins = np.ones(at.size, bool)
        begins[1:] = (np.diff(at) != 1) | (np.diff(text.take(at)) != 0)
        starts = begins.nonzero()[0]
        np.maximum.at(longest, text.take(at.take(starts)), np.diff(starts, append=at.size))
    return longest


def _parts(at: Positions, text: Positions, kinds: NDArray[np.uint16], texts: int) -> Positions:
    """The part that each letter is in: a text is cut where sentences and lines end."""
    ends = (kinds & LINE) != 0
    ends[:-1] |= ((kinds[:-1] & STOP) != 0) & ((kinds[1:] & BLANK) != 0)
    cuts = at.searchsorted(ends.nonzero()[0])  # how many letters stand before each end
    part = np.zeros(at.size, np.int64)
    if not cuts.size:
        return part
    bounds = text.searchsorted(np.arange(texts + 1)).tolist()
    where = cuts.tolist()
    for begin, end in pairwise(bounds):
        kept = [begin]
        while len(kept) <= PARTS_APART:
            following = bisect_left(where, kept[-1] + PART_LETTERS)
            if following == len(where) or where[following] > end - PART_LETTERS:
                break
            kept.append(where[following])
        for cut in kept[1:]:
            part[cut:end] += 1
    return part
