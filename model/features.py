"""What the classifier looks at: hashed n-grams of each field, and signs of form.

Every feature is a place in one table of 2**bits weights. A submission is a set of places with
a value each; nothing is looked up in a vocabulary, so no text of the training data is in a
model. Fields never share places: each block of features has its own salt.

N-grams of characters run over word boundaries (see `model.letters`), so that spacing a word out
or running two together changes none of them.

Rolling hashes are polynomials over code points modulo 2**64 (Karp and Rabin 1987), mixed by
Stafford's variant 13 before the high bits are taken, as the low bits of a polynomial are poor.
Cost: linear in the length of the fields. `model/kernel.c` finds and hashes the n-grams.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model import kernel
from model.kernel import Laid, Plan, Signs
from model.letters import numbers, plan_of
from model.signs import CONTENT_SIGNS, STEPS

FEATURES_VERSION = 4
"""Changes whenever the same submission would get other features; a model is fitted to one."""

Places = NDArray[np.int32]
Values = NDArray[np.float32]
Positions = NDArray[np.int64]


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
    values: Values

    def rows(self) -> tuple[Positions, Places, Values]:
        """CSR's indptr, indices and data."""
        return self.indptr, self.places, self.values

    def each(self) -> list[tuple[Places, Values]]:
        """The places and values of each submission."""
        return [
            (self.places[begin:end], self.values[begin:end])
            for begin, end in pairwise(self.indptr.tolist())
        ]


def features(batch: Sequence[Texts], spec: Spec) -> Features:
    """All features of a batch. Cheaper for many at once: the cost of a call is shared."""
    fields = Fields.of(batch)
    found = kernel.weigh(plan_for(spec), fields.laid, rows=True)
    return fields.features(found, spec)


def row(texts: Texts, spec: Spec) -> tuple[Places, Values]:
    """The places of one submission and their values, as in `Features.rows`."""
    found = features([texts], spec)
    return found.places, found.values


def plan_for(
    spec: Spec, *, table: NDArray[np.float32] | None = None, spans_per_head: int = 1
) -> Plan:
    """How `model/kernel.c` reads submissions by a spec, and weighs them with a table."""
    shares = spec.shares
    return plan_of(
        lengths=(spec.chars, spec.words, spec.marked),
        salts=_SALTS,
        shares=np.array([[shares[of] * shares[kind] for kind in KINDS] for of in FIELDS[:-1]]),
        bits=spec.bits,
        worst_part=spec.worst_part,
        table=table,
        spans_per_head=spans_per_head,
    )


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a batch that were filled in, laid out to be read.

    Of text t, `owners[t]` is the submission's index in the batch and `fields[t]` the field's in
    `FIELDS`.
    """

    batch: Sequence[Texts]
    texts: list[str]
    owners: list[int]
    fields: list[int]
    laid: Laid

    @classmethod
    def of(cls, batch: Sequence[Texts]) -> "Fields":
        """Those of a batch."""
        texts: list[str] = []
        owners: list[int] = []
        fields: list[int] = []
        for owner, one in enumerate(batch):
            for index, text in enumerate((one.content, one.name, one.url)):
                if text:
                    texts.append(text)
                    owners.append(owner)
                    fields.append(index)
        return cls(batch, texts, owners, fields, Laid(texts, owners, fields))

    def signs(self, counts: Positions, bits: int) -> Signs:
        """The places of all signs and whose they are, in order for each submission.

        `counts`, shape (texts, 6), are those of the texts.
        """
        places, owners = array("q"), array("q")
        place_of = _sign_places(bits).__getitem__
        for owner, one in enumerate(self.batch):
            if one.signs:
                places.extend(map(place_of, one.signs))
                owners.extend([owner] * len(one.signs))
        laid = self.laid
        read = laid.typed, laid.rows
        STEPS.add_signs((places, owners), self.texts, read, counts, _places_of_contents(bits))
        return places, owners

    def features(self, found: kernel.Weighed, spec: Spec) -> Features:
        """The features of each submission: its n-grams, text by text, and its signs."""
        places, owners = map(np.asarray, self.signs(found.counts, spec.bits))
        sizes = np.diff(found.row_ends, prepend=0).astype(np.int64)
        of = np.concatenate([np.array(self.owners, np.int64).repeat(sizes), owners])
        order = of.argsort(kind="stable")
        values = np.full(places.size, spec.shares["signs"], np.float32)
        return Features(
            np.concatenate([[0], np.bincount(of, minlength=len(self.batch)).cumsum()]),
            np.concatenate([found.places, places], dtype=np.int32, casting="same_kind").take(order),
            np.concatenate([found.values, values]).take(order),
        )


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Every occurrence of every feature of a batch of submissions.

    The texts are the fields that were filled in, those of a submission together: of text t,
    `owners[t]` is the submission's index in the batch and `fields[t]` the field's in `FIELDS`.
    A block is one kind of features of one text, numbered text * len(KINDS) + kind.

    N-gram i is of block `blocks[i]`, so of text `text_of[i]`, at place `places[i]`; it stands at
    code points `starts[i]` to `ends[i]` of its text and begins in part `parts[i]` of it. It
    counts `values[i]` in its text and `part_values[i]` in its part, as if that were the whole:
    the distinct n-grams of a block have one length together, their share times 1/sqrt(their
    number), and one that occurs several times counts once, each occurrence its fraction.

    Sign i is of submission `sign_owners[i]` at place `sign_places[i]`.
    """

    owners: Positions
    fields: Positions
    text_of: Positions
    blocks: Positions
    places: Positions
    starts: Positions
    ends: Positions
    parts: Positions
    values: NDArray[np.float64]
    part_values: NDArray[np.float64]
    sign_owners: Positions
    sign_places: Positions

    @classmethod
    def of(cls, batch: Sequence[Texts], spec: Spec) -> "Occurrences":
        """Those of a batch."""
        fields = Fields.of(batch)
        found = kernel.grams(plan_for(spec), fields.laid)
        text_of = numbers(found["gram_ends"])
        places, owners = fields.signs(found["counts"], spec.bits)
        return cls(
            owners=np.array(fields.owners, np.int64),
            fields=np.array(fields.fields, np.int64),
            text_of=text_of,
            blocks=text_of * len(KINDS) + found["gram_kinds"],
            places=found["gram_places"],
            starts=found["gram_starts"],
            ends=found["gram_finishes"],
            parts=found["gram_parts"],
            values=found["gram_values"],
            part_values=found["gram_part_values"],
            sign_owners=np.array(owners, np.int64),
            sign_places=np.array(places, np.int64),
        )


def _salt(name: str) -> int:
    """FNV-1a over UTF-8: a fixed number for a fixed name, on every machine."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


# The hash of an n-gram is salted by field and kind; its length is added to the salt.
_SALTS = np.array(
    [[_salt(f"{of}/{kind}") for kind in (*KINDS, "symbols")] for of in FIELDS[:-1]], np.uint64
)


class _SignPlaces(dict[str, int]):
    """The places of signs. There are a few hundred, so each is hashed once."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def __missing__(self, sign: str) -> int:
        place = self[sign] = _sign_place(sign, self._bits)
        return place


_sign_places = cache(_SignPlaces)


@cache
def _places_of_contents(bits: int) -> "array[int]":
    return array("q", map(_sign_places(bits).__getitem__, CONTENT_SIGNS))


def _sign_place(sign: str, bits: int) -> int:
    mixed = _salt(f"sign/{sign}")
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ mixed >> shift) * factor % 2**64
    return mixed >> (64 - bits)
