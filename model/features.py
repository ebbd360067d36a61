"""What the classifier looks at: hashed n-grams of each field, and signs of form.

Every feature is a place in one table of 2**bits weights. A submission is a set of places with
a value each; nothing is looked up in a vocabulary, so no text of the training data is in a
model. Fields never share places: each block of features has its own salt.

N-grams of characters run over word boundaries (see `model.letters`), so that spacing a word out
or running two together changes none of them.

Rolling hashes are polynomials over code points modulo 2**64 (Karp and Rabin 1987), mixed by
Stafford's variant 13 before the high bits are taken, as the low bits of a polynomial are poor.
Cost: linear in the length of the fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from model.letters import PARTS, Letters, letters_of
from model.signs import content_signs

FEATURES_VERSION = 4
"""Changes whenever the same submission would get other features; a model is fitted to one."""

Places = NDArray[np.int32]
Codes = NDArray[np.uint64]
Positions = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that features are read off, of one submission.

    `signs` are words for what was seen in the form of it beside its text (see `model.facts`),
    each a feature.
    """

    content: str = field(repr=False)
    name: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    signs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """Which features there are.

    `bits` is the table's size as a power of two, 10 to 24. `chars` and `words` are the lengths
    of n-grams of characters and of words, without marks; `marked` those of words with their
    marks, which tell Vietnamese words apart. `shares` is the length that the features of a
    field or of a kind have together, for signs each alone; those of a kind in a field have the
    product of both. `worst_part` in [0, 1] says how far a comment counts for its part that says
    most for a head, where that is more than the whole says: see `model.classifier`.
    """

    bits: int = 18
    chars: tuple[int, ...] = (2, 4, 6)
    words: tuple[int, ...] = (1, 2)
    marked: tuple[int, ...] = (1,)
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "content": 1.0,
            "author.name": 0.5,
            "author.url": 0.3,
            "signs": 0.15,
            "chars": 0.8,
            "words": 0.8,
            "marked": 0.4,
        }
    )
    worst_part: float = 1.0


FIELDS = ("content", "author.name", "author.url", "signs")
KINDS = ("chars", "words", "marked")
_CONTENT = FIELDS.index("content")


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a batch of submissions, a row for each: `rows` as CSR.

    `indptr` (int64, shape (submissions + 1,)), `places` and `values` (shape (n,)) are the
    matrix's. A place that two blocks share by chance stands twice in a row; the values add up.
    """

    indptr: Positions
    places: Places
    values: NDArray[np.float32]

    @classmethod
    def of(
        cls, size: int, owners: Positions, places: Places, values: NDArray[np.float64]
    ) -> "Features":
        """From the submission, place and value of each feature, in any order."""
        order = np.argsort(owners, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=size))])
        return cls(indptr, places.take(order), values.take(order).astype(np.float32))

    def rows(self) -> tuple[Positions, Places, NDArray[np.float32]]:
        """CSR's indptr, indices and data."""
        return self.indptr, self.places, self.values


def features(batch: Sequence[Texts], spec: Spec) -> Features:
    """All features of a batch. Cheaper for many at once: the cost of a call is shared."""
    return Occurrences.of(batch, spec).features()


def row(texts: Texts, spec: Spec) -> tuple[Places, NDArray[np.float32]]:
    """The places of one submission and their values, as in `Features.rows`."""
    found = features([texts], spec)
    return found.places, found.values


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Every occurrence of every feature of a batch of submissions.

    The texts are the fields that were filled in, those of a submission together: of text t,
    `owners[t]` is the submission's index in the batch and `fields[t]` the field's in `FIELDS`.
    A block is one kind of features of one text, numbered text * len(KINDS) + kind.

    N-gram i is of block `blocks[i]`, so of text `text_of[i]`, at place `places[i]`; it stands at
    code points `starts[i]` to `ends[i]` of its text and begins in part `parts[i]` of it. Sign i
    is of submission `sign_owners[i]` at place `sign_places[i]`.

    `keys` are the n-grams' blocks, places and parts as one number each, in order, and `order`
    the n-grams that they are of. `shares` is the length that each block's features have together.
    """

    spec: Spec
    size: int
    owners: Positions
    fields: Positions
    texts: tuple[str, ...]
    text_of: Positions
    blocks: Positions
    places: Positions
    starts: Positions
    ends: Positions
    parts: Positions
    sign_owners: Positions
    sign_places: Positions
    keys: Positions
    order: Positions
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, batch: Sequence[Texts], spec: Spec) -> "Occurrences":
        """Those of a batch, in one pass."""
        filled = [
            (owner, index, text)
            for owner, one in enumerate(batch)
            for index, text in enumerate((one.content, one.name, one.url))
            if text
        ]
        texts = tuple(text for _, _, text in filled)
        owners = np.array([owner for owner, _, _ in filled], np.int64)
        fields = np.array([index for _, index, _ in filled], np.int64)
        signs = [one.signs for one in batch]
        grams = _NO_GRAMS
        if filled:
            letters = letters_of(texts, [index != _CONTENT for _, index, _ in filled])
            grams = _grams(letters, fields, spec)
            for (owner, index, text), counts in zip(filled, letters.counts.tolist(), strict=True):
                if index == _CONTENT:
                    signs[owner] += content_signs(text, counts)
        text_of, kinds, hashes, starts, ends, parts = grams
        blocks, places = text_of * len(KINDS) + kinds, _places(hashes, spec.bits)
        keys, order = _in_order((((blocks << spec.bits) | places) << _PART_BITS) | parts)
        sign_places = [_sign_place(name, spec.bits) for names in signs for name in names]
        return cls(
            spec=spec,
            size=len(batch),
            owners=owners,
            fields=fields,
            texts=texts,
            text_of=text_of,
            blocks=blocks,
            places=places,
            starts=starts,
            ends=ends,
            parts=parts,
            sign_owners=np.array([of for of, names in enumerate(signs) for _ in names], np.intp),
            sign_places=np.array(sign_places, np.intp),
            keys=keys,
            order=order,
            shares=_shares(fields, spec),
        )

    def values(self) -> NDArray[np.float64]:
        """What each n-gram counts, shape (n,).

        The distinct n-grams of a block have one length together: its share times 1/sqrt(their
        number). One that occurs several times counts once, each occurrence its fraction.
        """
        keys = self.keys >> _PART_BITS
        firsts = _is_new(keys).nonzero()[0]
        return self._shared_out(firsts, keys.take(firsts) >> self.spec.bits, self.shares)

    def part_values(self) -> NDArray[np.float64]:
        """What each n-gram counts in its part, as if that were the whole text."""
        firsts = _is_new(self.keys).nonzero()[0]
        keys = self.keys.take(firsts)
        blocks = keys >> (self.spec.bits + _PART_BITS)
        parts = (blocks << _PART_BITS) | (keys & ((1 << _PART_BITS) - 1))
        return self._shared_out(firsts, parts, np.repeat(self.shares, 1 << _PART_BITS))

    def _shared_out(
        self, firsts: Positions, blocks: Positions, shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each n-gram counts, those from each of `firsts` to the next in order being one.

        `blocks` are those of the distinct n-grams, `shares` the lengths of each block.
        """
        copies = np.empty_like(firsts)
        np.subtract(firsts[1:], firsts[:-1], out=copies[:-1])
        copies[-1:] = self.keys.size - firsts[-1:]
        values = np.empty(self.keys.size)
        values[self.order] = np.repeat(_scaled(shares, blocks).take(blocks) / copies, copies)
        return values

    def features(self) -> Features:
        """What occurs, each n-gram once a block."""
        keys = self.keys >> _PART_BITS
        keys = keys[_is_new(keys)]
        blocks, places = keys >> self.spec.bits, keys & ((1 << self.spec.bits) - 1)
        values = _scaled(self.shares, blocks).take(blocks)
        of = self.owners.take(blocks // len(KINDS)) if blocks.size else blocks
        signs = np.full(self.sign_places.size, self.spec.shares["signs"])
        return Features.of(
            self.size,
            np.concatenate([of, self.sign_owners]),
            np.concatenate([places, self.sign_places]).astype(np.int32),
            np.concatenate([values, signs]),
        )


def _shares(fields: Positions, spec: Spec) -> NDArray[np.float64]:
    """The length that the features of each block of texts of these fields have together."""
    shares = spec.shares
    of_kinds = np.array([[shares[name] * shares[kind] for kind in KINDS] for name in FIELDS])
    return of_kinds.take(fields, axis=0).ravel()


_PART_BITS = (PARTS - 1).bit_length()


def _in_order(keys: Positions) -> tuple[Positions, Positions]:
    """Numbers in order, and where each stood."""
    width = keys.size.bit_length()
    if int(keys.max(initial=0)).bit_length() + width > 63:
        order = keys.argsort(kind="stable")
        return keys.take(order), order
    # Its place goes into the number: sorting that and masking is faster than to argsort.
    ordered = (keys << width) | np.arange(keys.size)
    ordered.sort()
    return ordered >> width, ordered & ((1 << width) - 1)


def _scaled(shares: NDArray[np.float64], blocks: Positions) -> NDArray[np.float64]:
    """What a feature of each block counts, `blocks` being those of its distinct features."""
    return shares / np.sqrt(np.maximum(np.bincount(blocks, minlength=shares.size), 1))


def _is_new(ordered: Positions) -> NDArray[np.bool_]:
    """Which of some numbers in order differ from the one before."""
    new = np.empty(ordered.size, bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


# ------------------------------------------------------------------ n-grams

_Grams = tuple[Positions, Positions, Codes, Positions, Positions, Positions]
"""Of each n-gram: text, kind, hash, first and last code point (exclusive), and part."""

_NONE = np.empty(0, np.intp)
_NO_GRAMS: _Grams = (_NONE, _NONE, np.empty(0, np.uint64), _NONE, _NONE, _NONE)


def _grams(letters: Letters, fields: Positions, spec: Spec) -> _Grams:
    """The n-grams of texts of these fields."""
    field_at = fields.take(letters.text)
    found = [*_char_grams(letters, field_at, spec.chars), *_word_grams(letters, field_at, spec)]
    grams = _NO_GRAMS
    if found:
        numbers, parts, firsts, lasts = zip(*found, strict=True)
        kinds = np.repeat(numbers, [len(part) for part in parts])
        hashes, first, last = map(np.concatenate, (parts, firsts, lasts))
        text = letters.text.take(first)
        if fields.size > 1:
            within = (text == letters.text.take(last)).nonzero()[0]  # not from one into the next
            hashes, first, last = hashes.take(within), first.take(within), last.take(within)
            kinds, text = kinds.take(within), text.take(within)
        starts, ends = letters.place.take(first), letters.place.take(last) + 1
        grams = text, kinds, hashes, starts, ends, letters.part.take(first)
    if letters.symbols.size:
        text, place = letters.symbol_text, letters.symbol_place
        hashes = letters.symbols ^ _SALTS["symbols"].take(fields.take(text))
        kinds = np.full_like(text, _WORDS)
        symbols = text, kinds, hashes, place, place + 1, letters.symbol_part
        text, kinds, hashes, starts, ends, parts = map(
            np.concatenate, zip(grams, symbols, strict=True)
        )
        grams = text, kinds, hashes, starts, ends, parts
    return grams


_Found = Iterator[tuple[int, Codes, Positions, Positions]]


def _char_grams(letters: Letters, field_at: Positions, lengths: tuple[int, ...]) -> _Found:
    """Hashes of n-grams of characters, with the indices of first and last letter.

    Of ideographs and syllables those of one and two as well: they say as much as words.
    """
    plain, at = letters.plain, np.arange(letters.plain.size)
    salts = _SALTS["chars"].take(field_at)
    if plain.max(initial=0) >= _FIRST_SYLLABIC:
        syllabic = plain >= _FIRST_SYLLABIC
        ones, twos = syllabic.nonzero()[0], (syllabic[:-1] & syllabic[1:]).nonzero()[0]
        yield _CHARS, plain.take(ones) ^ (salts.take(ones) + np.uint64(1)), ones, ones
        pairs = plain.take(twos) * _BASE + plain.take(twos + 1)
        yield _CHARS, pairs ^ (salts.take(twos) + np.uint64(2)), twos, twos + 1
    rolling, reached = plain, 1
    for length in sorted(set(lengths)):
        while reached < length:
            # Twice as many letters at once where that is not too far.
            step = reached if 2 * reached <= length else 1
            longer = rolling[: max(plain.size - reached - step + 1, 0)] * _POWERS[step]
            longer += (rolling if step == reached else plain)[reached:][: longer.size]
            rolling, reached = longer, reached + step
        if rolling.size:
            end = rolling.size
            hashes = salts[:end] + np.uint64(length)
            hashes ^= rolling
            yield _CHARS, hashes, at[:end], at[length - 1 :]


_POWERS = [np.uint64(pow(int(_BASE), step, 2**64)) for step in range(65)]
_CHARS, _WORDS, _MARKED = (KINDS.index(kind) for kind in ("chars", "words", "marked"))
_FIRST_SYLLABIC = 0x2E80  # CJK radicals; kana, ideographs and Hangul follow


def _word_grams(letters: Letters, field_at: Positions, spec: Spec) -> _Found:
    """Hashes of runs of words, with the indices of first and last letter."""
    starts, spoken, count = letters.words, letters.spoken, letters.plain.size
    if not starts.size:
        return
    lasts = np.empty_like(starts)
    np.subtract(starts[1:], 1, out=lasts[:-1])
    lasts[-1] = count - 1
    all_spoken = spoken.all()
    if not all_spoken:
        lasts = np.maximum.accumulate(np.arange(count) * spoken).take(lasts)
    # A word is the sum of its codes, each times a power by its distance from the word's start:
    # by its distance from the very first, then divided by that of the start.
    powers, inverses = _powers(count)
    powers = powers[:count] if all_spoken else powers[:count] * spoken
    since = inverses.take(starts)
    field_of = field_at.take(starts)
    for kind, codes, lengths in (
        (_WORDS, letters.plain, spec.words),
        (_MARKED, letters.marked, spec.marked),
    ):
        salts = _SALTS[KINDS[kind]].take(field_of)
        run = words = np.add.reduceat(codes * powers, starts) * since
        for length in range(1, min(max(lengths, default=0), words.size) + 1):
            if length > 1:
                run = _mixed(run[:-1]) * _BASE + words[length - 1 :]
            if length in lengths:
                end = run.size
                hashes = run ^ (salts[:end] + np.uint64(length))
                yield kind, hashes, starts[:end], lasts[length - 1 :]


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


def _places(hashes: Codes, bits: int) -> Positions:
    return (_mixed(hashes) >> np.uint64(64 - bits)).astype(np.intp)


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


# The hash of an n-gram is salted by kind and field; its length is added to the salt.
_SALTS = {
    kind: np.array([_salt(f"{name}/{kind}") for name in FIELDS], np.uint64)
    for kind in (*KINDS, "symbols")
}


@cache
def _sign_place(sign: str, bits: int) -> int:
    """A sign's place. There are a few hundred signs, so each is hashed once."""
    return int(_places(np.array([_salt(f"sign/{sign}")], np.uint64), bits)[0])
