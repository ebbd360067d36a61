"""What the classifier looks at: hashed n-grams of each field, and signs of form.

Every feature is a place in one table of 2**bits weights. A submission is a set of places with
a value each; nothing is looked up in a vocabulary, so no text of the training data is in a
model. Fields never share places: each block of features has its own salt.

Rolling hashes are polynomials over code points modulo 2**64 (Karp and Rabin 1987), mixed by
Stafford's variant 13 before the high bits are taken, as the low bits of a polynomial are poor.
Cost: linear in the length of the fields.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.text import Form, folded, typed

FEATURES_VERSION = 2
"""Changes whenever the same submission would get other features; a model is fitted to one."""

Places = NDArray[np.int32]
Codes = NDArray[np.uint64]
Positions = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that features are read off, of one submission.

    `signs` are words for what was seen in the form of it (see `model.facts`), each a feature.
    """

    content: str = field(repr=False)
    name: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    signs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the n-grams of one normal form are, in characters and in words."""

    chars: tuple[int, ...]
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """Which features there are.

    `bits` is the table's size as a power of two, 10 to 24; `typed` and `folded` say what is
    read off the two normal forms of a field. `shares` is the length that each field's features
    have together, for signs each alone.

    What a text says survives folding, so the long n-grams are of that form alone; the form as
    typed adds its letters and words. The whole set of both costs twice as much and ranks no
    better (leaving one YouTube video out: AUC .985 either way).
    """

    bits: int = 18
    typed: Lengths = Lengths(chars=(1, 2), words=(1,))
    folded: Lengths = Lengths(chars=(3, 4, 5), words=(1, 2))
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "content": 1.0,
            "author.name": 0.3,
            "author.url": 0.3,
            "signs": 0.1,
        }
    )


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where the features of one block stand.

    `places` index the table (int32, shape (n,)); `starts` and `ends` are code points of the
    field as typed (int64, shape (n,); empty for signs). `distinct` are the places each once,
    ascending, and `value` is what each of them counts.
    """

    field: str
    places: Places
    starts: Positions
    ends: Positions
    distinct: Places
    value: float


def occurrences(texts: Texts, spec: Spec) -> list[Occurrences]:
    """All features of a submission with where they stand, block by block.

    Each field's distinct features have one length together (its share times 1/sqrt(count)),
    so that a long comment says no more than a short one and a missing name changes no other
    field.
    """
    blocks = [
        _field_block(field, text, spec)
        for field, text in (
            ("content", texts.content),
            ("author.name", texts.name),
            ("author.url", texts.url),
        )
        if text
    ]
    if texts.signs:
        blocks.append(_signs_block(texts.signs, spec))
    # A text that shows nothing has no n-grams of some lengths; then it has no block.
    return [block for block in blocks if block.places.size]


def row(texts: Texts, spec: Spec) -> tuple[Places, NDArray[np.float32]]:
    """The places of a submission and their values: a row of a sparse matrix.

    A place stands once for each block that has it; blocks share places only by chance, and
    the values then add up.
    """
    parts = [(block.distinct, block.value) for block in occurrences(texts, spec)]
    if not parts:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    return (
        np.concatenate([places for places, _ in parts]),
        np.concatenate([np.full(places.size, value, np.float32) for places, value in parts]),
    )


def _field_block(field: str, text: str, spec: Spec) -> Occurrences:
    hashes, starts, ends = [_NO_HASHES], [_NO_POSITIONS], [_NO_POSITIONS]
    typed_salt, folded_salt = _FORM_SALTS[field]
    for form, lengths, salt in (
        (_padded(typed(text)), spec.typed, typed_salt),
        (_padded(folded(text)), spec.folded, folded_salt),
    ):
        for kind, grams, first, last in (
            *_char_grams(form, lengths.chars),
            *_word_grams(form, lengths.words),
        ):
            hashes.append(grams ^ (salt + kind))
            starts.append(form.origin[first])
            ends.append(form.origin[last])
    places = _places(np.concatenate(hashes), spec.bits)
    distinct = _distinct(places)
    return Occurrences(
        field,
        places,
        np.concatenate(starts),
        np.concatenate(ends) + 1,
        distinct,
        spec.shares[field] / math.sqrt(max(distinct.size, 1)),
    )


_NO_HASHES = np.empty(0, np.uint64)
_NO_POSITIONS = np.empty(0, np.int64)


def _signs_block(signs: tuple[str, ...], spec: Spec) -> Occurrences:
    hashes = np.array([_salt(f"sign/{sign}") for sign in signs], np.uint64)
    places, value = _places(hashes, spec.bits), spec.shares["signs"]
    return Occurrences("signs", places, _NO_POSITIONS, _NO_POSITIONS, _distinct(places), value)


def _distinct(places: Places) -> Places:
    """Each place once, ascending. Faster than np.unique, whose sort is not for small integers."""
    ordered = np.sort(places)
    first = np.empty(ordered.size, bool)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def _padded(form: Form) -> Form:
    """With a blank before and after, so that n-grams know the edges."""
    codes = np.full(form.codes.size + 2, 32, np.uint64)
    codes[1:-1] = form.codes
    origin = np.zeros(form.origin.size + 2, np.int64)
    origin[1:-1] = form.origin
    origin[-1] = form.origin[-1] if form.origin.size else 0
    return Form(codes, origin)


Where = slice | Positions
Grams = Iterator[tuple[np.uint64, Codes, Where, Where]]


def _char_grams(form: Form, lengths: tuple[int, ...]) -> Grams:
    """Hashes of all n-grams of characters, with the index of first and last character."""
    codes = form.codes
    rolling = codes
    for length in range(1, max(lengths, default=0) + 1):
        if length > codes.size:
            return
        if length > 1:
            rolling = rolling[:-1] * _BASE + codes[length - 1 :]
        if length in lengths:
            yield np.uint64(length), rolling, slice(0, rolling.size), slice(length - 1, None)


def _word_grams(form: Form, lengths: tuple[int, ...]) -> Grams:
    """Hashes of all runs of words (what blanks and ASCII punctuation part)."""
    codes = form.codes
    inside = _IS_WORD[np.minimum(codes, 128)]
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, stops = edges[0::2], edges[1::2]  # padded with blanks: begins and ends outside
    if not starts.size:
        return
    # A word is the sum of its codes, each times a power by its distance from the word's start.
    spoken = np.where(inside, codes, 0)[starts[0] :]
    rank = np.arange(spoken.size) - np.repeat(
        starts - starts[0], np.diff(starts, append=codes.size)
    )
    hashes = np.add.reduceat(spoken * _powers(rank), starts - starts[0])
    run = hashes
    for length in range(1, max(lengths, default=0) + 1):
        if length > hashes.size:
            return
        if length > 1:
            run = _mixed(run[:-1]) * _BASE + hashes[length - 1 :]
        if length in lengths:
            yield np.uint64(64 + length), run, starts[: run.size], stops[length - 1 :] - 1


_IS_WORD = np.array([chr(c).isalnum() for c in range(128)] + [True])

_power_table = np.array([1], np.uint64)


def _powers(exponents: Positions) -> Codes:
    """_BASE to each exponent modulo 2**64; the table grows to the longest word met."""
    global _power_table  # noqa: PLW0603  one growing table, the same for all
    longest = int(exponents.max(initial=0)) + 1
    table = _power_table  # another thread may put a shorter one in its place at any time
    if longest > table.size:
        factors = np.full(max(longest, 64), _BASE, np.uint64)
        factors[0] = 1
        _power_table = table = np.multiply.accumulate(factors)
    return table[exponents]


def _places(hashes: Codes, bits: int) -> Places:
    return (_mixed(hashes) >> np.uint64(64 - bits)).astype(np.int32)


def _mixed(hashes: Codes) -> Codes:
    """Stafford's mix 13, the finaliser of SplitMix64."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _salt(name: str) -> np.uint64:
    """FNV-1a over UTF-8: a fixed number for a fixed name, on every machine."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return np.uint64(value)


# The hash of a form's n-grams is salted by form, and the kind of n-gram is added to the salt.
_FORM_SALTS = {
    field: (_salt(f"{field}/typed"), _salt(f"{field}/folded"))
    for field in ("content", "author.name", "author.url")
}
