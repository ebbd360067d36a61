"""Chunks' features as shards on disk, and what one pass over shards adds up.

A shard is a CSR matrix: places as int32, values as codes of 16 bits into the shard's few distinct
ones. It is read, not mapped, each time it is used: what is in memory is what is worked on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from threadpoolctl import threadpool_limits

from model.classifier import HEADS
from model.facts import gather
from model.features import FEATURES_VERSION, Spec, features
from model.submission import Submission
from training.chunks import VERSION, examples_in
from training.examples import submission_of
from training.lending import lent_url
from training.recipes import Recipe
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

    `weights` has shape (places, fits), `bias` (fits,); the fits are in order of their heads.
    """

    work: Work
    fits: tuple[Fit, ...]
    weights: Floats
    bias: Floats


def shard_name(chunk: str, hosts: str, recipe: Recipe) -> str:
    """The name of a chunk's matrix: of the rows, the features, and the URLs that are lent."""
    shares = dict(recipe.spec.shares)
    spec = [recipe.spec.bits, recipe.spec.chars, recipe.spec.words, recipe.spec.marked, shares]
    lent = [hosts, recipe.lent_share, recipe.seed]
    return name_of(VERSION, FEATURES_VERSION, chunk, spec, lent)


def make_shard(work: Work, chunk: str, hosts: str, recipe: Recipe) -> str:
    """Make the features of a chunk's rows, unless they are there, and give the shard's name."""
    name = shard_name(chunk, hosts, recipe)
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
    matrix = _matrix([*sent, *bare, *lent], recipe.spec)
    values, codes = np.unique(matrix.data, return_inverse=True)
    few = values.size <= np.iinfo(np.uint16).max
    work.save(
        "shards",
        name,
        indptr=matrix.indptr,
        places=matrix.indices.astype(np.int32),
        values=values if few else matrix.data,
        codes=codes.astype(np.uint16) if few else np.zeros(0, np.uint16),
    )
    return name


class _AtHand:
    """Shards that were read, of one work directory, as long as they are few.

    The first that fit stay: passes go over all of them in turn, and what is used longest ago is
    what comes next.
    """

    def __init__(self) -> None:
        self._root = Path()
        self._read: dict[Shard, tuple[sparse.csr_matrix, dict[str, NDArray[Any]]]] = {}
        self._bytes = 0

    def read(
        self, work: Work, shard: Shard, bits: int
    ) -> tuple[sparse.csr_matrix, dict[str, NDArray[Any]]]:
        if work.root != self._root:
            self._root, self._read, self._bytes = work.root, {}, 0
        found = self._read.get(shard)
        if found is None:
            found = _matrix_at(work, shard.matrix, bits), work.load("taught", shard.rows)
            size = found[0].data.nbytes + found[0].indices.nbytes
            size += sum(column.nbytes for column in found[1].values())
            if self._bytes + size <= AT_HAND:
                self._read[shard] = found
                self._bytes += size
        return found


_at_hand = _AtHand()


def shard_at(
    work: Work, shard: Shard, bits: int
) -> tuple[sparse.csr_matrix, dict[str, NDArray[Any]]]:
    """A shard's matrix, float64, and the fields of its `training.taught.Rows`."""
    return _at_hand.read(work, shard, bits)


def _matrix_at(work: Work, name: str, bits: int) -> sparse.csr_matrix:
    found = work.load("shards", name)
    values = found["values"].astype(np.float64)
    data = values[found["codes"]] if found["codes"].size else values
    shape = (found["indptr"].size - 1, 2**bits)
    return sparse.csr_matrix((data, found["places"], found["indptr"]), shape=shape)


def having(shared: tuple[Work, int, int, tuple[int, ...]], block: Sequence[Shard]) -> Floats:
    """How many rows have each place: shape (places, heads * (folds + sources)).

    `shared` is where the shards lie, the table's bits, the folds, and the sources that are counted
    apart. A head's columns are its folds, then those sources.
    """
    work, bits, folds, sources = shared
    each = folds + len(sources)
    counts = np.zeros((len(HEADS) * each, 2**bits))
    for shard in block:
        matrix, rows = shard_at(work, shard, bits)
        # As long as the matrix: the parts' number of each of its values.
        lengths = np.diff(matrix.indptr)
        for head in range(len(HEADS)):
            teaches = rows["weight"][:, head] > 0
            parts = [rows["fold"] == fold for fold in range(folds)]
            parts += [rows["source"] == source for source in sources]
            for at, part in enumerate(parts):
                chosen = np.repeat(teaches & part, lengths)
                found = np.bincount(matrix.indices[chosen], minlength=2**bits)
                counts[head * each + at] += found
    return np.ascontiguousarray(counts.T)


def slopes(asked: Asked, block: Sequence[Shard]) -> Floats:
    """What some shards add to each fit's loss and gradient: shape (places + 2, fits).

    The last two rows are the bias's part and the loss. A fit's column does not depend on which
    other fits there are.
    """
    places = asked.weights.shape[0]
    told = np.zeros((places + 2, len(asked.fits)))
    with threadpool_limits(1):
        for shard in block:
            matrix, rows = shard_at(asked.work, shard, places.bit_length() - 1)
            for head in range(len(HEADS)):
                of = [at for at, fit in enumerate(asked.fits) if fit.head == head]
                at = np.flatnonzero(rows["weight"][:, head])
                if of and at.size:
                    columns = slice(of[0], of[-1] + 1)
                    seen = matrix if at.size == matrix.shape[0] else matrix[at]
                    rows_of_head = {
                        "weight": rows["weight"][at, head],
                        "truth": rows["truth"][at, head],
                        "fold": rows["fold"][at],
                        "source": rows["source"][at],
                    }
                    told[:, columns] += _slopes(asked, columns, seen, rows_of_head)
    return told


def _slopes(
    asked: Asked,
    columns: slice,
    matrix: sparse.csr_matrix,
    rows: dict[str, NDArray[np.generic]],
) -> Floats:
    # A row for each fit: sums over a row that lies in one piece come out the same whatever else
    # is worked on.
    log_odds = np.ascontiguousarray((matrix @ asked.weights[:, columns]).T)
    truth = rows["truth"].astype(np.float64)
    losses, biases = [], []
    for at, fit in enumerate(asked.fits[columns]):
        weight = rows["weight"] * np.where(rows["truth"], fit.balance[1], fit.balance[0])
        if fit.fold is not None:
            weight = np.where(rows["fold"] == fit.fold, 0.0, weight)
        if fit.source is not None:
            weight = np.where(rows["source"] == fit.source, 0.0, weight)
        odds = log_odds[at] + asked.bias[columns][at]
        losses.append(np.sum(weight * (np.logaddexp(0.0, odds) - truth * odds)))
        log_odds[at] = weight * (expit(odds) - truth)
        biases.append(np.sum(log_odds[at]))
    gradient = matrix.T @ np.ascontiguousarray(log_odds.T)
    return np.vstack([gradient, [biases], [losses]])


def _signed(submission: Submission, **changed: str) -> Submission:
    return replace(submission, author=replace(submission.author, **changed))


def _matrix(submissions: Sequence[Submission], spec: Spec) -> sparse.csr_matrix:
    batch = [gather(submission).texts for submission in submissions]
    indptr, places, values = features(batch, spec).rows()
    matrix = sparse.csr_matrix((values, places, indptr), shape=(len(batch), 2**spec.bits))
    matrix.sum_duplicates()
    return matrix


@lru_cache(maxsize=2)
def _hosts(work: Work, name: str) -> list[str]:
    hosts: list[str] = json.loads(work.path("looks", name).read_text("utf-8"))
    return hosts
