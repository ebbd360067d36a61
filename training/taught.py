"""What each comment teaches each head, and how much: a recipe's weights over columns.

The same sums as `training.fit` makes of examples in memory, from the columns of each chunk. Knows
the recipe and the columns; no text and no feature.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS
from model.decision import Label
from model.outcome import Head
from model.promise import RISKS, comments_needed
from training.chunks import Look, columns_of
from training.copies import Copies
from training.fit import NotEnough, other_weight
from training.recipes import Recipe
from training.work import Work

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Everything:
    """All chunks that were looked at, in order; what is known of their comments lies on disk.

    `sources` are in order of first mention, `ends` where each chunk ends among all comments.
    """

    work: Work
    sources: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    _looks: list[tuple[str, NDArray[np.uint32]]] = field(default_factory=list)

    def add(self, look: Look) -> None:
        """Note one more chunk."""
        here = [self.sources.setdefault(name, len(self.sources)) for name in look.sources]
        self.names.append(look.name)
        self.ends.append((self.ends[-1] if self.ends else 0) + look.rows)
        self._looks.append((look.columns, np.array(here, np.uint32)))

    @property
    def looks(self) -> list[str]:
        """Where the columns of each chunk lie."""
        return [name for name, _ in self._looks]

    def columns(self) -> Iterator[NDArray[Any]]:
        """The columns of each chunk (`training.chunks.COLUMNS`), `source` an index here."""
        for name, sources in self._looks:
            columns = columns_of(self.work, name)
            columns["source"] = sources[columns["source"]]
            yield columns


class _Weighing:
    """How much a comment teaches by a recipe, but for how many there are and say the same."""

    def __init__(self, recipe: Recipe, sources: Sequence[str]) -> None:
        self._recipe = recipe
        named = (recipe.genuine, recipe.published, recipe.wanted)
        self._genuine, self._published, self._wanted = (
            np.array([source in names for source in sources], bool) for names in named
        )
        labels = [Label(head, truth) for head in HEADS for truth in (False, True)]
        self._by_label = np.array(
            [
                [
                    recipe.source_weights.get(source, 1.0)
                    * recipe.label_weights.get((source, label.word), 1.0)
                    for label in labels
                ]
                for source in sources
            ]
        )

    def weights(self, columns: NDArray[Any], head: Head) -> Floats:
        """A weight a comment; 0 where it does not teach the head."""
        own = columns["toxicity"] == (head is Head.TOXICITY)
        others = self._published if head is Head.TOXICITY else self._wanted
        lent = ~own & ~columns["positive"] & others[columns["source"]]
        of = 2 * columns["toxicity"].astype(np.intp) + columns["positive"]
        weight = columns["weight"] * self._by_label[columns["source"], of]
        weight[lent] *= other_weight(head, self._recipe)
        weight[~(own | lent)] = 0
        return np.asarray(weight, np.float64)

    def genuine(self, columns: NDArray[Any], *, named: bool) -> NDArray[np.bool_]:
        """Which comments thresholds are chosen on: ham, of the sources that are `named`."""
        ham = ~columns["toxicity"] & ~columns["positive"]
        return np.asarray(ham & self._genuine[columns["source"]] if named else ham, np.bool_)


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
    """The rows of each chunk, in order. `lends` says whether there is a URL to lend.

    Goes over what is known of the comments twice: to count, then to weigh. Raises NotEnough when
    there are none.
    """
    if not everything.ends:
        raise NotEnough("there are no labelled examples")
    weighing = _Weighing(recipe, list(everything.sources))
    rows = np.zeros((len(HEADS), len(everything.sources)))
    named = False
    with ExitStack() as stack:
        copies = [
            stack.enter_context(Copies(everything.work.root, everything.ends[-1])) for _ in HEADS
        ]
        for columns in everything.columns():
            named = named or bool(weighing.genuine(columns, named=True).any())
            for at, head in enumerate(HEADS):
                teaches = weighing.weights(columns, head) > 0
                rows[at] += np.bincount(columns["source"][teaches], minlength=rows.shape[1])
                copies[at].add(_said(columns[teaches]))
        for of_head in copies:
            of_head.count()
        shrunk = np.minimum(1.0, np.sqrt(recipe.full_weight_rows / np.maximum(rows, 1)))
        for columns in everything.columns():
            weights = np.zeros((columns.size, len(HEADS)))
            for at, head in enumerate(HEADS):
                weight = weighing.weights(columns, head) * shrunk[at][columns["source"]]
                teaches = weight > 0
                weight[teaches] /= np.sqrt(copies[at].of(_said(columns[teaches])))
                weights[:, at] = weight
            genuine = weighing.genuine(columns, named=named)
            yield _rows(columns, weights, genuine, recipe, lends)


def _said(columns: NDArray[Any]) -> NDArray[np.uint64]:
    """What stands for a source and what its text says."""
    spread = columns["source"] * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(columns["key"] ^ spread, np.uint64)


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
