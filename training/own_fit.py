"""The fit that moves one head of a champion: its rows, and the descent.

Knows what a labelled comment teaches a head, and how a place stays where it is. Which heads are
moved, what is held out and what that promises is in `training.own`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample
from model.features import Spec
from model.outcome import Head
from model.submission import Submission
from training.examples import submission_of
from training.feature_rows import rows_of
from training.logistic import Shard, fitted
from training.rehearsal import topic_of

Floats = NDArray[np.float64]

BLOCK = 8_000
"""Rows whose part of a gradient is made at a time: so many have their values as float64."""


@dataclass(frozen=True, slots=True)
class OwnRecipe:
    """How far labels move the champion.

    `inverse_penalty` is the variance of a weight's prior. `hold` is the weight of a rehearsed
    text. `most_balance` bounds how much more the rarer label of a head weighs, so that both
    weigh the same together. `bare_spam_weight` and `toxicity_lead` are as in
    `training.recipes.Recipe`. A head with fewer than `least` examples of either label is the
    champion's as it is.
    """

    name: str = "own"
    inverse_penalty: Mapping[Head, float] = field(
        default_factory=lambda: {Head.SPAM: 3.0, Head.TOXICITY: 3.0}
    )
    hold: float = 1.0
    most_balance: float = 4.0
    bare_spam_weight: float = 0.1
    toxicity_lead: float = 0.5
    least: int = 5
    folds: int = 5
    seed: int = 7


OWN = OwnRecipe()


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Texts that are rehearsed, with their features and what each is held out with."""

    examples: Sequence[LabelledExample]
    matrix: sparse.csr_matrix
    unit: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Apart:
    """Examples with what each is held out with, `unit`, and the `fold` which that is in."""

    examples: Sequence[LabelledExample]
    unit: NDArray[np.str_]
    fold: NDArray[np.intp]

    def of_head(self, head: Head) -> NDArray[np.intp]:
        """Those labelled for a head, as far as they weigh anything."""
        at = [i for i, e in enumerate(self.examples) if e.label.head is head and e.weight > 0]
        return np.array(at, np.intp)


@dataclass(frozen=True, slots=True)
class HeadRows:
    """What a head is moved by: CSR matrices whose columns are `places` of the table.

    Rows are in order of folds. `sent` has the site's comments as they came, a row each, with
    `positive`, `weight` and `fold`; `bare` those with a name or URL once more without them,
    `of_bare` saying which row each is and `bare_weight` what it weighs. `texts` are those
    rehearsed, with `texts_fold`.
    """

    places: NDArray[np.intp]
    sent: sparse.csr_matrix
    positive: NDArray[np.bool_]
    weight: Floats
    fold: NDArray[np.intp]
    bare: sparse.csr_matrix
    of_bare: NDArray[np.intp]
    bare_weight: Floats
    texts: sparse.csr_matrix
    texts_fold: NDArray[np.intp]


def read_texts(rehearsed: Sequence[LabelledExample], spec: Spec, *, jobs: int = -1) -> Rehearsed:
    """The rehearsed texts as `own_model` takes them: for whoever moves a champion many times."""
    topics = np.array([topic_of(example) for example in rehearsed], np.str_)
    return Rehearsed(rehearsed, rows_of(rehearsed, spec, jobs=jobs), topics)


def head_rows(  # noqa: PLR0913  each is a part of what is moved, or of how
    head: Head,
    own: Apart,
    rehearsed: Rehearsed,
    texts_fold: NDArray[np.intp],
    spec: Spec,
    recipe: OwnRecipe,
    *,
    jobs: int,
) -> HeadRows:
    """The rows of a head, their features made by so many processes."""
    at = own.of_head(head)
    # In order of folds, so that what a fit leaves out lies together.
    at = at[np.argsort(own.fold[at], kind="stable")]
    of_texts = np.argsort(texts_fold, kind="stable")
    said = [own.examples[i] for i in at.tolist()]
    signed = np.flatnonzero([bool(e.author or e.author_url) for e in said])
    positive = np.array([e.label.positive for e in said], bool)
    weight = np.array([e.weight for e in said], np.float64)
    weight[signed] /= 2
    # Praise with a shop's URL is spam for its URL; the words alone are what readers write.
    praise = [positive[i] and bool(said[i].author_url) for i in signed.tolist()]
    sent = rows_of(said, spec, jobs=jobs)
    with_name = [said[i] for i in signed.tolist()]
    bare = rows_of(with_name, spec, jobs=jobs, sending=_without_name)
    # Only what the site's comments have is moved: the rest would move to make up for it, and
    # is most of what the texts have.
    places = _used(2**spec.bits, sent, bare)
    return HeadRows(
        places=places,
        sent=_narrowed(sent, places),
        positive=positive,
        weight=weight,
        fold=own.fold[at],
        bare=_narrowed(bare, places),
        of_bare=signed,
        bare_weight=weight[signed] * np.where(praise, recipe.bare_spam_weight, 1.0),
        texts=_narrowed(rehearsed.matrix[of_texts], places),
        texts_fold=texts_fold[of_texts],
    )


def _without_name(example: LabelledExample) -> Submission:
    submission = submission_of(example)
    return replace(submission, author=replace(submission.author, name="", url=""))


def _used(places: int, *matrices: sparse.csr_matrix) -> NDArray[np.intp]:
    """The places that some row has, in order."""
    used = np.zeros(places, bool)
    for matrix in matrices:
        used[matrix.indices] = True
    return np.flatnonzero(used)


def _narrowed(matrix: sparse.csr_matrix, places: NDArray[np.intp]) -> sparse.csr_matrix:
    """The columns that are `places`."""
    return sparse.csr_matrix(matrix[:, places])


def moved(
    head: Head, rows: HeadRows, champion: Classifier, recipe: OwnRecipe, without: int | None
) -> tuple[Floats, float]:
    """Weights and bias of a head, fitted without a fold; to everything for None."""
    column = HEADS.index(head)
    weights, bias = champion.table[:, column].astype(np.float64), float(champion.bias[column])
    centre = weights[rows.places]
    shards = [
        *_labelled(rows, recipe, without),
        *_coins(rows, centre, bias, recipe.hold, without),
    ]
    with threadpool_limits(1):
        weights[rows.places], bias = fitted(
            shards,
            inverse_penalty=recipe.inverse_penalty[head],
            centre=centre,
            scale=_free(rows, without),
        )
    return weights, bias


def _labelled(rows: HeadRows, recipe: OwnRecipe, without: int | None) -> Iterator[Shard]:
    """The site's comments: as sent, and those with a name or URL once more without them."""
    seen = rows.fold != without
    weight = np.where(seen, rows.weight, 0.0)
    bare = np.where(seen[rows.of_bare], rows.bare_weight, 0.0)
    positive_bare = rows.positive[rows.of_bare]
    half = (weight.sum() + bare.sum()) / 2
    for side in (True, False):
        of_side, of_bare = rows.positive == side, positive_bare == side
        whole = weight[of_side].sum() + bare[of_bare].sum()
        balance = min(recipe.most_balance, half / whole)
        weight[of_side] *= balance
        bare[of_bare] *= balance
    yield from _shards(rows.sent, rows.positive, weight)
    yield from _shards(rows.bare, positive_bare, bare)


def _coins(
    rows: HeadRows, centre: Floats, bias: float, hold: float, without: int | None
) -> Iterator[Shard]:
    """The rehearsed texts, half of either label, from where the champion has them."""
    count = rows.texts_fold.size
    stands = rows.texts @ centre + bias
    weight = np.where(rows.texts_fold != without, hold, 0.0)
    yield from _shards(rows.texts, np.full(count, 0.5), weight, -stands)


def _shards(
    matrix: sparse.csr_matrix,
    positive: NDArray[np.bool_] | Floats,
    weight: Floats,
    offset: Floats | None = None,
) -> Iterator[Shard]:
    """The rows that weigh something, as shards whose matrices are views of theirs."""
    weighs = np.flatnonzero(weight)
    breaks = np.flatnonzero(np.diff(weighs, prepend=-2) > 1)
    for run in np.split(weighs, breaks)[1:]:  # before the first break there is nothing
        end = int(run[-1]) + 1
        for begin in range(int(run[0]), end, BLOCK):
            at = slice(begin, min(begin + BLOCK, end))
            pointers = matrix.indptr[at.start : at.stop + 1]
            of = slice(pointers[0], pointers[-1])
            part = (matrix.data[of], matrix.indices[of], pointers - pointers[0])
            yield Shard(
                sparse.csr_matrix(part, shape=(pointers.size - 1, matrix.shape[1])),
                positive[at],
                weight[at],
                None if offset is None else offset[at],
            )


def _free(rows: HeadRows, without: int | None) -> Floats:
    """1 for each place that comments outside of a fold have, 0 for what stays where it is."""
    free = np.zeros(rows.places.size)
    for matrix, fold in ((rows.sent, rows.fold), (rows.bare, rows.fold[rows.of_bare])):
        free[matrix.indices[np.repeat(fold != without, np.diff(matrix.indptr))]] = 1.0
    return free
