"""What each comment teaches each head, and how much: a recipe's weights over columns.

The same sums as `training.fit` makes of examples in memory, from columns of all comments and
files of each chunk. Knows the recipe and the columns; no text and no feature.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS
from model.decision import Label
from model.outcome import Head
from model.promise import RISKS, comments_needed
from training.chunks import COLUMNS, Look
from training.fit import NotEnough, other_weight
from training.recipes import Recipe

Floats = NDArray[np.float64]

PART = 2_000_000
"""Comments whose copies are counted at a time: sorting takes some 40 bytes for each."""


@dataclass(frozen=True, slots=True)
class Everything:
    """The columns of all comments (`training.chunks.COLUMNS`), chunk by chunk.

    `source` is an index into `sources` here, which are in order of first mention.
    """

    columns: NDArray[Any]
    sources: tuple[str, ...]
    names: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, looks: Sequence[Look]) -> "Everything":
        """Those of chunks in order. Raises NotEnough when there are no comments."""
        if not looks:
            raise NotEnough("there are no labelled examples")
        sources: dict[str, int] = {}
        for look in looks:
            here = [sources.setdefault(name, len(sources)) for name in look.sources]
            look.columns["source"] = np.array(here, np.uint32)[look.columns["source"]]
        ends = np.cumsum([look.columns.size for look in looks])
        columns = np.empty(ends[-1], COLUMNS)
        for end, look in zip(ends.tolist(), looks, strict=True):
            columns[end - look.columns.size : end] = look.columns
        names = tuple(look.name for look in looks)
        return cls(columns, tuple(sources), names, tuple(ends.tolist()))

    def genuine(self, recipe: Recipe) -> NDArray[np.bool_]:
        """Which comments thresholds are chosen on, as `training.fit` says."""
        ham = ~self.columns["toxicity"] & ~self.columns["positive"]
        named = ham & self._of(recipe.genuine)
        return np.asarray(named if named.any() else ham, np.bool_)

    def weights(self, head: Head, recipe: Recipe) -> Floats:
        """How much each comment as it was sent teaches a head; 0 where it does not."""
        columns = self.columns
        own = columns["toxicity"] == (head is Head.TOXICITY)
        others = recipe.published if head is Head.TOXICITY else recipe.wanted
        lent = ~own & ~columns["positive"] & self._of(others)
        weight = columns["weight"] * self._by_label(recipe)
        weight[lent] *= other_weight(head, recipe)
        weight[~(own | lent)] = 0
        teaches = weight > 0
        rows = np.bincount(columns["source"][teaches], minlength=len(self.sources))
        shrunk = np.minimum(1.0, np.sqrt(recipe.full_weight_rows / np.maximum(rows, 1)))
        weight *= shrunk[columns["source"]]
        weight[teaches] /= np.sqrt(self._copies(teaches))
        return np.asarray(weight, np.float64)

    def _of(self, sources: frozenset[str]) -> NDArray[np.bool_]:
        named = np.array([source in sources for source in self.sources], bool)
        return np.asarray(named[self.columns["source"]], np.bool_)

    def _by_label(self, recipe: Recipe) -> Floats:
        labels = [Label(head, truth) for head in HEADS for truth in (False, True)]
        table = np.array(
            [
                [
                    recipe.source_weights.get(source, 1.0)
                    * recipe.label_weights.get((source, label.word), 1.0)
                    for label in labels
                ]
                for source in self.sources
            ]
        )
        of = 2 * self.columns["toxicity"].astype(np.intp) + self.columns["positive"]
        return np.asarray(table[self.columns["source"], of], np.float64)

    def _copies(self, among: NDArray[np.bool_]) -> NDArray[np.intp]:
        """How many of a source say what each of some comments says, itself included."""
        spread = self.columns["source"][among] * np.uint64(0x9E3779B97F4A7C15)
        said = self.columns["key"][among] ^ spread
        counts = np.empty(said.size, np.intp)
        parts = said.size // PART + 1
        for part in range(parts):
            at = np.flatnonzero(said % np.uint64(parts) == part)
            _, where, times = np.unique(said[at], return_inverse=True, return_counts=True)
            counts[at] = times[where]
        return counts


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows of a shard teach; a row of the matrix each.

    First every comment as it was sent, then those with a name or URL once more without them, then
    those that are lent a URL with it. `example` is the comment's index in its chunk; `weight` has
    shape (rows, heads), 0 where a row does not teach a head, and `truth` is alike. `calibrating`
    is as in `training.fit.Sheet`; `genuine` is of each comment.
    """

    weight: Floats
    truth: NDArray[np.bool_]
    calibrating: Floats
    example: NDArray[np.uint32]
    fold: NDArray[np.uint8]
    source: NDArray[np.uint32]
    genuine: NDArray[np.bool_]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def taught(everything: Everything, recipe: Recipe, *, lends: bool) -> Iterator[Rows]:
    """The rows of each chunk, in order. `lends` says whether there is a URL to lend."""
    weights = np.stack([everything.weights(head, recipe) for head in HEADS], axis=1)
    genuine = everything.genuine(recipe)
    begin = 0
    for end in everything.ends:
        chunk = slice(begin, end)
        yield _rows(everything.columns[chunk], weights[chunk], genuine[chunk], recipe, lends)
        begin = end


def _rows(
    columns: NDArray[Any],
    weights: Floats,
    genuine: NDArray[np.bool_],
    recipe: Recipe,
    lends: bool,
) -> Rows:
    signed = np.flatnonzero(columns["signed"])
    borrowers = np.flatnonzero(columns["borrows"] & lends)
    sent = weights.copy()
    sent[signed] /= 2
    # Praise with a shop's URL is spam for its URL; the words alone are what readers write.
    praise = columns["positive"][signed] & columns["linked"][signed]
    bare = sent[signed] * np.where(praise, recipe.bare_spam_weight, 1.0)[:, None]
    example = np.concatenate([np.arange(columns.size), signed, borrowers])
    own = np.stack([columns["toxicity"] == (head is Head.TOXICITY) for head in HEADS], axis=1)
    calibrating = np.zeros((example.size, len(HEADS)))
    calibrating[: columns.size] = np.where(own, columns["weight"][:, None], 0.0)
    return Rows(
        weight=np.concatenate([sent, bare, sent[borrowers] * recipe.lent_weight]),
        truth=(own & columns["positive"][:, None])[example],
        calibrating=calibrating,
        example=example.astype(np.uint32),
        fold=columns["fold"][example],
        source=columns["source"][example],
        genuine=genuine,
    )


class Counts:
    """How many rows there are, and what they weigh, by head, fold, source and side."""

    def __init__(self, folds: int, sources: int) -> None:
        shape = (len(HEADS), folds, sources, 2)
        self.rows = np.zeros(shape)
        self.weight = np.zeros(shape)

    def add(self, rows: Rows) -> None:
        """Count the rows of a chunk."""
        _, folds, sources, _ = self.rows.shape
        for head in range(len(HEADS)):
            at = np.flatnonzero(rows.weight[:, head])
            of = (rows.fold[at].astype(np.intp) * sources + rows.source[at]) * 2
            of += rows.truth[at, head]
            for kept, weights in ((self.rows, None), (self.weight, rows.weight[at, head])):
                found = np.bincount(of, weights, minlength=folds * sources * 2)
                kept[head] += found.reshape(folds, sources, 2)

    def sides(
        self, head: int, *, fold: int | None = None, source: int | None = None
    ) -> tuple[Floats, Floats]:
        """Rows and weight of a head's negative and positive side, less a fold and a source."""
        told = []
        for kept in (self.rows, self.weight):
            of_head = kept[head]
            seen = np.ones(of_head.shape[:2], bool)
            if fold is not None:
                seen[fold] = False
            if source is not None:
                seen[:, source] = False
            told.append(of_head[seen].sum(axis=0))
        return told[0], told[1]

    def require_enough(self) -> None:
        """Raise NotEnough where a head lacks one of its classes, or groups to hold out."""
        for at, head in enumerate(HEADS):
            for side, name in ((1, "positive"), (0, "negative")):
                folds = int((self.rows[at, :, :, side].sum(axis=1) > 0).sum())
                if folds < 2:
                    raise NotEnough(
                        f"{head}: the {name} examples are in {folds} of the folds; at least two "
                        "groups or distinct texts of each label are needed, better hundreds"
                    )


def left_out_alone(counts: Counts, genuine: Mapping[int, int], recipe: Recipe) -> list[int]:
    """The sources of genuine comments that a fit can do without, as `training.fit` says."""
    if recipe.promise_unit == "group":
        return []
    whole = sum(genuine.values())
    return [
        source
        for source, comments in sorted(genuine.items())
        if comments_needed(RISKS[-1]) <= comments <= whole / 2
        and all(counts.sides(head, source=source)[0].all() for head in range(len(HEADS)))
    ]
