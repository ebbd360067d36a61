"""Chunks' features as shards on disk, and what one pass over shards adds up.

A shard is `training.slopes.Packed`. It is read, not mapped, each time it is used: what is in memory
is what is worked on.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS
from model.facts import gather
from model.features import FEATURES_VERSION
from model.submission import Submission
from training.chunks import VERSION, examples_in
from training.examples import submission_of
from training.feature_rows import matrix_of
from training.lending import lent_url
from training.recipes import Recipe
from training.slopes import DamagedRows, Packed, Sides, Sums, Teaching, add_slopes, sums_in
from training.work import Work, name_of

Floats = NDArray[np.float64]

BLOCK = 4
"""Shards that one task of a pass adds up: the sum travels, and is as long as the table."""

AT_HAND = 100_000_000
"""Bytes of shards that a process keeps: all of them in a small training."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The names of a matrix and of what its rows teach, in the work directory."""

    matrix: str
    rows: str


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit: of a head, without a fold or a source where those are not None.

    A row's weight is multiplied by the balance of its side, negative and positive.
    """

    head: int
    fold: int | None
    source: int | None
    balance: tuple[float, float]
    rows: float
    inverse_penalty: float
    rarity_power: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pass is for: the loss and slope of fits, each at weights of its own.

    The fits are in order of their heads. `points` is what `training.slopes.sums_in` tells apart:
    of each head the weights of all its fits, their biases, and room that is not used.
    """

    work: Work
    fits: tuple[Fit, ...]
    points: Floats
    bits: int

    def of_heads(self) -> list[int]:
        """How many fits each head has."""
        return [sum(fit.head == head for fit in self.fits) for head in range(len(HEADS))]

    def apart(self, whole: Floats) -> list[Sums]:
        """The views of such an array for each head."""
        return sums_in(whole, 2**self.bits, self.of_heads())


def shard_name(chunk: str, hosts: str, teaches: NDArray[np.bool_], recipe: Recipe) -> str:
    """The name of a chunk's matrix: of the rows, the features, lent URLs, and who is taught."""
    shares = dict(recipe.spec.shares)
    spec = [recipe.spec.bits, recipe.spec.chars, recipe.spec.words, recipe.spec.marked, shares]
    lent = [hosts, recipe.lent_share, recipe.seed]
    taught = hashlib.sha256(np.packbits(teaches).tobytes()).hexdigest()
    return name_of(VERSION, FEATURES_VERSION, chunk, spec, lent, taught)


def make_shard(work: Work, chunk: str, rows: str, hosts: str, recipe: Recipe) -> str:
    """Make the features of a chunk's rows, unless they are there, and give the shard's name.

    Of each head those rows are kept that teach it, by place.
    """
    teaches = work.load_record("taught", rows)["weight"] > 0
    name = shard_name(chunk, hosts, teaches, recipe)
    if work.has("shards", name):
        return name
    examples = examples_in(work, chunk)
    sent = [submission_of(example) for example in examples]
    bare = [
        _signed(submission, name="", url="")
        for submission, example in zip(sent, examples, strict=True)
        if example.author or example.author_url
    ]
    lendable = _hosts(work, hosts)
    urls = [lent_url(e, lendable, recipe.lent_share, recipe.seed) for e in examples]
    lent = [_signed(s, url=url) for s, url in zip(sent, urls, strict=True) if url is not None]
    every = [gather(submission).texts for submission in (*sent, *bare, *lent)]
    matrix = matrix_of(every, recipe.spec)
    arrays = {
        f"{head} {part} {field}": array
        for head in range(len(HEADS))
        for part, packed in enumerate(Packed.parts(matrix, np.flatnonzero(teaches[:, head])))
        for field, array in packed.arrays().items()
    }
    work.save_record("shards", name, arrays)
    return name


@dataclass(frozen=True, slots=True)
class Read:
    """A shard as it was read: parts of a head's rows with what they teach, and `Rows` as arrays."""

    parts: tuple[tuple[int, Packed, Teaching], ...]
    rows: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, work: Work, shard: Shard, bits: int) -> "Read":
        """Read it. Raises Damaged."""
        found = work.load_record("shards", shard.matrix)
        rows = work.load_record("taught", shard.rows)
        try:
            return cls(tuple(_parts_of(found, rows, bits)), rows)
        except (DamagedRows, IndexError, KeyError, TypeError):
            raise work.damaged("shards", shard.matrix) from None

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about."""
        return sum(packed.nbytes for _, packed, _ in self.parts) + 2 * sum(
            column.nbytes for column in self.rows.values()
        )


def _parts_of(
    found: Mapping[str, NDArray[Any]], rows: Mapping[str, NDArray[Any]], bits: int
) -> Iterator[tuple[int, Packed, Teaching]]:
    by_part: dict[tuple[str, str], dict[str, NDArray[Any]]] = {}
    for told, array in found.items():
        head, part, field = told.split()
        by_part.setdefault((head, part), {})[field] = array
    for (of_head, _), fields in by_part.items():
        packed = Packed(**fields).checked(2**bits)
        head_at, of = int(of_head), packed.of
        teaching = Teaching(
            rows["weight"][of, head_at],
            rows["truth"][of, head_at],
            rows["fold"][of],
            rows["source"][of],
        )
        yield head_at, packed, teaching


class _AtHand:
    """Shards that were read, of one work directory, as long as they are few.

    The first that fit stay: passes go over all of them in turn, and what is used longest ago is
    what comes next.
    """

    def __init__(self) -> None:
        self._root = Path()
        self._read: dict[Shard, Read] = {}
        self._bytes = 0

    def read(self, work: Work, shard: Shard, bits: int) -> Read:
        if work.root != self._root:
            self._root, self._read, self._bytes = work.root, {}, 0
        found = self._read.get(shard)
        if found is None:
            found = Read.of(work, shard, bits)
            if self._bytes + found.nbytes <= AT_HAND:
                self._read[shard] = found
                self._bytes += found.nbytes
        return found


_at_hand = _AtHand()


def shard_at(work: Work, shard: Shard, bits: int) -> Read:
    """A shard, read or at hand."""
    return _at_hand.read(work, shard, bits)


def having(shared: tuple[Work, int, int, tuple[int, ...]], block: Sequence[Shard]) -> Floats:
    """How many rows have each place: shape (places, heads * (folds + sources) + heads * 2).

    The last columns are of each head's negative and positive rows the sum of their weights times
    the square of the place's value. `shared` is where the shards lie, the table's bits, the folds,
    and the sources that are counted
    apart. A head's columns are its folds, then those sources.
    """
    work, bits, folds, sources = shared
    each = folds + len(sources)
    told = np.zeros((2**bits, len(HEADS) * (each + 2)))
    for shard in block:
        for head, packed, teaching in shard_at(work, shard, bits).parts:
            apart = np.full(teaching.source.size, -1)
            for at, source in enumerate(sources):
                apart[teaching.source == source] = head * each + folds + at
            packed.count_into(told, head * each + teaching.fold.astype(np.int64))
            packed.count_into(told, apart)
            squared = len(HEADS) * each + 2 * head + teaching.truth.astype(np.int64)
            packed.count_into(told, squared, squares_of=teaching.weight)
    return told


def slopes(asked: Asked, block: Sequence[Shard]) -> Floats:
    """What some shards add to each fit's loss and gradient, as `Asked.apart` tells it.

    A fit's sums do not depend on which other fits there are.
    """
    whole = np.zeros(asked.points.size)
    into, at = asked.apart(whole), asked.apart(asked.points)
    sides = [_sides(asked.fits, head) for head in range(len(HEADS))]
    for shard in block:
        for head, packed, teaching in shard_at(asked.work, shard, asked.bits).parts:
            if sides[head].fold.size:
                add_slopes(into[head], at[head], packed, teaching, sides[head])
    return whole


def _sides(fits: Sequence[Fit], head: int) -> Sides:
    mine = [fit for fit in fits if fit.head == head]

    def without(names: Sequence[int | None]) -> NDArray[np.int64]:
        return np.array([-1 if name is None else name for name in names], np.int64)

    return Sides(
        without([fit.fold for fit in mine]),
        without([fit.source for fit in mine]),
        np.array([fit.balance for fit in mine]).reshape(-1, 2),
    )


def _signed(submission: Submission, **changed: str) -> Submission:
    return replace(submission, author=replace(submission.author, **changed))


@lru_cache(maxsize=2)
def _hosts(work: Work, name: str) -> list[str]:
    hosts: list[str] = json.loads(work.path("looks", name).read_text("utf-8"))
    return hosts
