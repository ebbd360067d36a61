"""What the classifier looks at: hashed n-grams of each field, and signs of form.

Every feature is a place in one table of 2**bits weights. A submission is a set of places with
a value each; nothing is looked up in a vocabulary, so no text of the training data is in a
model. Fields never share places: each block of features has its own salt.

Rolling hashes are polynomials over code points modulo 2**64 (Karp and Rabin 1987), mixed by
Stafford's variant 13 before the high bits are taken, as the low bits of a polynomial are poor.
Cost: linear in the length of the fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from model.text import typed_and_folded

FEATURES_VERSION = 2
"""Changes whenever the same submission would get other features; a model is fitted to one."""

Places = NDArray[np.int32]
Codes = NDArray[np.uint64]
Positions = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))


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
class Features:
    """The features of a batch of submissions, block by block, in order.

    A block is one field of one submission: of block b, `owners[b]` is the submission's index
    in the batch, `fields[b]` the field's in `FIELDS`, `values[b]` what each distinct place
    counts. `blocks` (ascending) and `places` are the distinct places, shape (n,), with the
    block of each.
    """

    size: int
    owners: Positions
    fields: Positions
    values: NDArray[np.float64]
    blocks: Positions
    places: Places

    def rows(self) -> tuple[Positions, Places, NDArray[np.float32]]:
        """A sparse matrix with a row for each submission, as CSR's indptr, indices and data.

        A place that two blocks share by chance stands twice in a row; the values add up.
        """
        counts = np.bincount(self.owners[self.blocks], minlength=self.size)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return indptr, self.places, self.values[self.blocks].astype(np.float32)


FIELDS = ("content", "author.name", "author.url", "signs")
_SIGNS = FIELDS.index("signs")


def features(batch: Sequence[Texts], spec: Spec) -> Features:
    """All features of a batch. Cheaper for many at once: the cost of a call is shared.

    Each field's distinct features have one length together (its share times 1/sqrt(count)),
    so that a long comment says no more than a short one and a missing name changes no other
    field.
    """
    return Occurrences.of(batch, spec).features()


def row(texts: Texts, spec: Spec) -> tuple[Places, NDArray[np.float32]]:
    """The places of one submission and their values, as in `Features.rows`."""
    _, places, values = features([texts], spec).rows()
    return places, values


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Every occurrence of every feature of a batch of submissions.

    A block is one field of one submission: of block b, `owners[b]` is the submission's index
    in the batch, `fields[b]` the field's in `FIELDS`, `texts[b]` its text, empty for signs.
    `blocks` and `places` say what occurs, each of shape (n,); the first `starts.size` of them
    are n-grams and stand at code points `starts` to `ends` of their text, the rest are signs.
    """

    spec: Spec
    size: int
    owners: Positions
    fields: Positions
    texts: tuple[str, ...]
    blocks: Positions
    places: Places
    starts: Positions
    ends: Positions

    @classmethod
    def of(cls, batch: Sequence[Texts], spec: Spec) -> "Occurrences":
        """Those of a batch, in one pass."""
        owners: list[int] = []
        fields: list[int] = []
        texts: list[str] = []
        signs: list[tuple[int, tuple[str, ...]]] = []
        written: list[tuple[int, str]] = []  # block and text of what has n-grams
        for owner, one in enumerate(batch):
            for index, text in enumerate((one.content, one.name, one.url)):
                if text:
                    written.append((len(owners), text))
                    owners.append(owner)
                    fields.append(index)
                    texts.append(text)
            if one.signs:
                signs.append((len(owners), one.signs))
                owners.append(owner)
                fields.append(_SIGNS)
                texts.append("")
        field_of = np.array(fields, np.int64)
        grams = _Grams.of(written, field_of, spec)
        sign_blocks = [block for block, names in signs for _ in names]
        sign_places = [_sign_place(name, spec.bits) for _, names in signs for name in names]
        return cls(
            spec,
            len(batch),
            np.array(owners, np.int64),
            field_of,
            tuple(texts),
            np.concatenate([grams.blocks, np.array(sign_blocks, np.int64)]),
            np.concatenate([_places(grams.hashes, spec.bits), np.array(sign_places, np.int32)]),
            grams.starts,
            grams.ends,
        )

    def features(self) -> Features:
        """What occurs, each place once a block."""
        keys = np.sort((self.blocks << np.int64(self.spec.bits)) | self.places)
        return self._features(keys[_is_new(keys)])

    def indexed(self) -> tuple[Features, Positions]:
        """`features`, and for each occurrence its index among them.

        For batches of which block, place and number of an occurrence fit in 63 bits together.
        """
        bits, width = np.int64(self.spec.bits), np.int64(self.places.size.bit_length())
        keys = (self.blocks << bits) | self.places
        # The number goes into the key: sorting that and masking is faster than to argsort.
        ordered = np.sort((keys << width) | np.arange(keys.size))
        order = ordered & ((np.int64(1) << width) - 1)
        ordered >>= width
        new = _is_new(ordered)
        index = np.empty(keys.size, np.int64)
        numbers = np.cumsum(new, dtype=np.int64)
        numbers -= 1
        index[order] = numbers
        return self._features(ordered[new]), index

    def _features(self, distinct: Positions) -> Features:
        bits = np.int64(self.spec.bits)
        blocks = distinct >> bits
        counts = np.bincount(blocks, minlength=self.owners.size)
        shares = np.array([self.spec.shares[name] for name in FIELDS])[self.fields]
        lengths = np.where(self.fields == _SIGNS, 1.0, np.sqrt(np.maximum(counts, 1)))
        places = (distinct & ((1 << self.spec.bits) - 1)).astype(np.int32)
        return Features(self.size, self.owners, self.fields, shares / lengths, blocks, places)


def _is_new(ordered: Positions) -> NDArray[np.bool_]:
    """Which of some numbers in order differ from the one before."""
    new = np.empty(ordered.size, bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


@dataclass(frozen=True, slots=True)
class _Grams:
    """Hashes of n-grams with the block of each and where it stands in its text."""

    hashes: Codes
    blocks: Positions
    starts: Positions
    ends: Positions

    @classmethod
    def of(cls, written: Sequence[tuple[int, str]], field_of: Positions, spec: Spec) -> "_Grams":
        """Of texts, all in one go: joined, with a blank before and after each.

        So n-grams know the edges of a text, and a word never runs into the next one.
        """
        none = np.empty(0, np.int64)
        if not written:
            return cls(np.empty(0, np.uint64), none, none, none)
        block_of = np.array([block for block, _ in written], np.int64)
        lengths = np.array([len(text) for _, text in written], np.int64)
        padded = lengths + 2
        stops = np.cumsum(padded)
        begins = stops - padded
        forms = typed_and_folded("".join([f" {text} " for _, text in written]))
        codes = np.concatenate([form.codes for form in forms])
        origin = np.concatenate([form.origin for form in forms])
        text_at = np.repeat(np.arange(lengths.size), padded)
        # Where the blanks stand is no place of the text: its first and last character are near.
        place_at = np.arange(text_at.size) - (begins + 1).take(text_at)
        place_at[begins] = 0
        place_at[stops - 1] = lengths - 1
        text_of, place = text_at.take(origin), place_at.take(origin)
        parted = forms[0].codes.size
        halves = (slice(0, parted), slice(parted, codes.size))
        salts = np.empty(codes.size, np.uint64)
        for half, of_fields in zip(halves, _FORM_SALTS, strict=True):
            salts[half] = of_fields[field_of[block_of]].take(text_of[half])
        kinds = [
            *_char_grams(codes, salts, halves, (spec.typed.chars, spec.folded.chars)),
            *_word_grams(codes, salts, halves, (spec.typed.words, spec.folded.words)),
        ]
        if not kinds:
            return cls(np.empty(0, np.uint64), none, none, none)
        hashes, first, last = map(np.concatenate, zip(*kinds, strict=True))
        of = text_of.take(first)
        if lengths.size > 1:
            within = (of == text_of.take(last)).nonzero()[0]  # not from one text into the next
            hashes, of = hashes.take(within), of.take(within)
            first, last = first.take(within), last.take(within)
        ends = place.take(last)
        ends += 1
        return cls(hashes, block_of.take(of), place.take(first), ends)


Found = Iterator[tuple[Codes, Positions, Positions]]
Halves = tuple[slice, slice]
Wanted = tuple[tuple[int, ...], tuple[int, ...]]


def _char_grams(codes: Codes, salts: Codes, halves: Halves, wanted: Wanted) -> Found:
    """Hashes of all n-grams of characters, with the index of first and last character.

    Those of two forms, each a half of `codes`; into the next text they run, not the next form.
    """
    at = np.arange(codes.size)
    rolling = codes
    for length in range(1, max(*wanted[0], *wanted[1], 0, 0) + 1):
        if length > 1:
            rolling = rolling[:-1] * _BASE
            rolling += codes[length - 1 :]
        for half, lengths in zip(halves, wanted, strict=True):
            end = half.stop - length + 1
            if length in lengths and end > half.start:
                first, last = slice(half.start, end), slice(half.start + length - 1, half.stop)
                yield rolling[first] ^ (salts[first] + np.uint64(length)), at[first], at[last]


def _word_grams(codes: Codes, salts: Codes, halves: Halves, wanted: Wanted) -> Found:
    """Hashes of all runs of words (what blanks and ASCII punctuation part)."""
    inside = _IS_WORD.take(codes.astype(np.int64), mode="clip")
    edges = (inside[1:] != inside[:-1]).nonzero()[0] + 1
    starts, stops = edges[0::2], edges[1::2]  # blanks at the edges: begins and ends outside
    if not starts.size:
        return
    # A word is the sum of its codes, each times a power by its distance from the word's start:
    # by its distance from the very first, then divided by that of the start.
    powers, inverses = _powers(codes.size)
    spoken = codes * powers[: codes.size]
    spoken *= inside
    hashes = np.add.reduceat(spoken, starts)
    hashes *= inverses.take(starts)
    parted = int(starts.searchsorted(halves[1].start))
    words = (slice(0, parted), slice(parted, starts.size))
    salts, lasts = salts.take(starts), stops - 1
    run = hashes
    for length in range(1, max(*wanted[0], *wanted[1], 0, 0) + 1):
        if length > hashes.size:
            return
        if length > 1:
            run = _mixed(run[:-1]) * _BASE + hashes[length - 1 :]
        for half, lengths in zip(words, wanted, strict=True):
            end = half.stop - length + 1
            if length in lengths and end > half.start:
                first, last = slice(half.start, end), slice(half.start + length - 1, half.stop)
                kind = np.uint64(64 + length)
                yield run[first] ^ (salts[first] + kind), starts[first], lasts[last]


_IS_WORD = np.array([chr(c).isalnum() for c in range(128)] + [True])

_power_table = np.ones((2, 1), np.uint64)
_POWERS_KEPT = 2**18  # 4 MiB: enough for both forms of what a classifier takes at once


def _powers(count: int) -> Codes:
    """_BASE to each exponent from 0 modulo 2**64, and its inverse: shape (2, `count` or more)."""
    global _power_table  # noqa: PLW0603  one growing table, the same for all
    table = _power_table  # another thread may put a shorter one in its place at any time
    if count > table.shape[-1]:
        factors = np.empty((2, max(count, 4096)), np.uint64)
        factors[:] = [[_BASE], [_INVERSE]]
        factors[:, 0] = 1
        table = np.multiply.accumulate(factors, axis=1)
        if count <= _POWERS_KEPT:
            _power_table = table
    return table


def _places(hashes: Codes, bits: int) -> Places:
    return (_mixed(hashes) >> np.uint64(64 - bits)).astype(np.int32)


def _mixed(hashes: Codes) -> Codes:
    """Stafford's mix 13, the finaliser of SplitMix64."""
    mixed = hashes >> np.uint64(30)
    mixed ^= hashes
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _salt(name: str) -> np.uint64:
    """FNV-1a over UTF-8: a fixed number for a fixed name, on every machine."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return np.uint64(value)


# The hash of an n-gram is salted by form (first index) and field; its kind is added to the salt.
_FORM_SALTS = np.array(
    [[_salt(f"{name}/{form}") for name in FIELDS] for form in ("typed", "folded")], np.uint64
)


@cache
def _sign_place(sign: str, bits: int) -> int:
    """A sign's place. There are a few hundred signs, so each is hashed once."""
    return int(_places(np.array([_salt(f"sign/{sign}")], np.uint64), bits)[0])
