"""Fit a model: labelled examples and a recipe in, a manifest and a table of weights out.

Both heads are logistic regressions over the same hashed features. Everything measured and
every threshold comes from scores of examples whose group the scoring fit has not seen. Same
examples in the same order, same recipe, same seed: same bytes of weights.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.features import FEATURES_VERSION, Texts, features
from model.outcome import Head, HeadThresholds, Thresholds
from model.registry import Manifest
from model.submission import Submission
from model.text import readable
from training.examples import submission_of
from training.recipes import Recipe

Floats = NDArray[np.float64]
Progress = Callable[[str], None]

CHUNK = 500
"""Examples whose features are made in one task."""

OFF = 2.0
"""A threshold that no score reaches."""


class NotEnough(ValueError):
    """Too few examples to fit; the message says of what."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Training rows of one head as columns, a row each.

    `matrix` is CSR of shape (rows, places); `example` is the index of the example that a row
    came from, as an example with a name or a URL gives two rows, one without them: otherwise
    a source that never has them would teach that having none is a sign.
    """

    matrix: sparse.csr_matrix
    positive: NDArray[np.bool_]
    weight: Floats
    fold: NDArray[np.intp]
    example: NDArray[np.intp]
    whole: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Linear:
    """One fitted head before calibration: log-odds = x @ weights + bias."""

    weights: Floats
    bias: float

    def __call__(self, rows: sparse.csr_matrix) -> Floats:
        """The log-odds of each row."""
        return np.asarray(rows @ self.weights + self.bias, np.float64)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's scaling: calibrated log-odds = slope * log-odds + shift."""

    slope: float
    shift: float

    def __call__(self, log_odds: Floats) -> Floats:
        """Calibrated log-odds."""
        return self.slope * log_odds + self.shift


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit gives.

    `classifiers` has for each fold the one that has not seen it, thresholds and calibration
    included; `fold_of` the fold of each example. `final` saw everything.
    """

    final: Classifier
    classifiers: tuple[Classifier, ...]
    fold_of: tuple[int, ...]
    heads: tuple[tuple[Linear, Calibration], ...]


def usable(examples: Iterable[LabelledExample], recipe: Recipe) -> list[LabelledExample]:
    """The examples that a recipe gives any weight, in order."""
    return [
        example
        for example in examples
        if example.weight > 0
        and recipe.source_weights.get(example.source, 1.0) > 0
        and recipe.label_weights.get((example.source, example.label.word), 1.0) > 0
    ]


def fit(
    examples: Sequence[LabelledExample],
    recipe: Recipe,
    *,
    jobs: int = -1,
    progress: Progress = lambda _: None,
) -> Fitted:
    """Fit both heads, each across folds of groups and then on everything.

    `examples` are usable ones. Raises NotEnough when a head lacks one of its classes, or has
    too few groups to hold any out. Costs about 1 ms and 5 kB an example for the features,
    then some seconds for 100,000 examples and fit.
    """
    submissions = [submission_of(example) for example in examples]
    keys = [content_key(example.text) for example in examples]
    folds = np.array([fold_of(e, key, recipe) for e, key in zip(examples, keys, strict=True)])
    progress("features")
    matrices = _matrices(submissions, recipe, jobs=jobs)
    sheets = [_sheet(head, examples, keys, folds, matrices, recipe) for head in HEADS]
    for head, sheet in zip(HEADS, sheets, strict=True):
        _require_enough(head, sheet)
    progress("fits")
    fits = _fits(sheets, recipe, jobs=jobs)
    progress("calibration")
    held_out = [_held_out(sheet, fits[i]) for i, sheet in enumerate(sheets)]
    genuine = _genuine(examples, recipe)
    tuned = [
        _tuned(sheets, held_out, fits, genuine, without=fold, recipe=recipe)
        for fold in (*range(recipe.folds), None)
    ]
    classifiers = [_classifier(heads, thresholds, recipe) for heads, thresholds in tuned]
    return Fitted(
        final=classifiers[-1],
        classifiers=tuple(classifiers[:-1]),
        fold_of=tuple(int(fold) for fold in folds),
        heads=tuned[-1][0],
    )


def manifest_of(
    fitted: Fitted,
    recipe: Recipe,
    *,
    data: Sequence[dict[str, Any]],
    evaluation: dict[str, Any],
    probes: Sequence[str],
) -> Manifest:
    """The manifest of a fit, still without version and digests: the registry makes those.

    `probes` are texts of our own, whose log-odds are noted so that loading can check them.
    """
    final = fitted.final
    told = asdict(recipe) | {
        "label_weights": [[*key, weight] for key, weight in sorted(recipe.label_weights.items())],
        "published": sorted(recipe.published),
        "genuine": sorted(recipe.genuine),
    }
    return Manifest(
        version="",
        features_version=FEATURES_VERSION,
        spec=final.spec,
        bias=tuple(float(b) for b in final.bias),
        thresholds=final.thresholds,
        digests={},
        recipe=told,
        data=tuple(data),
        libraries={name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        evaluation=evaluation,
        probes=tuple(
            (text, tuple(float(z) for z in final.log_odds([Texts(text)])[0])) for text in probes
        ),
    )


# ------------------------------------------------------------------ rows


def content_key(text: str) -> str:
    """Equal for texts that read the same, whatever their case, marks, digits and blanks."""
    reads = readable(text)
    letters = "".join(filter(str.isalnum, reads)) or reads  # what is all emoji is not all one
    return hashlib.sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fold_of(example: LabelledExample, key: str, recipe: Recipe) -> int:
    """The fold of an example: by its group, or where it has none by what its text says.

    A draw by hash, so that it depends on no order and no other example.
    """
    unit = f"{example.source}/{example.group}" if example.group else key
    digest = hashlib.sha256(f"{recipe.seed}/{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % recipe.folds


def _matrices(
    submissions: Sequence[Submission], recipe: Recipe, *, jobs: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Features of every submission: whole, and without name and URL."""
    chunks = [submissions[at : at + CHUNK] for at in range(0, len(submissions), CHUNK)]
    parts = Parallel(n_jobs=jobs)(delayed(_chunk_matrices)(chunk, recipe) for chunk in chunks)
    if not parts:
        raise NotEnough("there are no labelled examples")
    whole, bare = (sparse.vstack(half, format="csr") for half in zip(*parts, strict=True))
    return whole, bare


def _chunk_matrices(
    chunk: Sequence[Submission], recipe: Recipe
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    whole = [gather(submission).texts for submission in chunk]
    bare = [gather(replace(s, author=replace(s.author, name="", url=""))).texts for s in chunk]
    return _matrix(whole, recipe), _matrix(bare, recipe)


def _matrix(batch: Sequence[Texts], recipe: Recipe) -> sparse.csr_matrix:
    indptr, places, values = features(batch, recipe.spec).rows()
    shape = (len(batch), 2**recipe.spec.bits)
    matrix = sparse.csr_matrix((values, places, indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _sheet(
    head: Head,
    examples: Sequence[LabelledExample],
    keys: Sequence[str],
    folds: NDArray[np.intp],
    matrices: tuple[sparse.csr_matrix, sparse.csr_matrix],
    recipe: Recipe,
) -> Sheet:
    """The rows that teach one head: those labelled for it, and for toxicity published ham."""
    chosen = [i for i, e in enumerate(examples) if _teaches(head, e, recipe)]
    weights = _weights(head, [examples[i] for i in chosen], [keys[i] for i in chosen], recipe)
    split = [bool(examples[i].author or examples[i].author_url) for i in chosen]
    at = np.array(chosen, np.intp)
    halves = np.array(split, bool)
    example = np.concatenate([at, at[halves]])
    weight = np.array(weights)
    weight[halves] /= 2
    bare = weight[halves]
    # Praise with a shop's URL is spam for its URL; the words alone are what readers write.
    bare[[examples[i].label.positive and bool(examples[i].author_url) for i in at[halves]]] *= (
        recipe.bare_spam_weight
    )
    return Sheet(
        matrix=sparse.vstack([matrices[0][at], matrices[1][at[halves]]], format="csr"),
        positive=np.array(
            [examples[i].label.head is head and examples[i].label.positive for i in example], bool
        ),
        weight=np.concatenate([weight, bare]),
        fold=folds[example],
        example=example,
        whole=np.arange(example.size) < at.size,
    )


def _teaches(head: Head, example: LabelledExample, recipe: Recipe) -> bool:
    if example.label.head is head:
        return True
    published = example.source in recipe.published and not example.label.positive
    return head is Head.TOXICITY and published and recipe.published_weight > 0


def _weights(
    head: Head, examples: Sequence[LabelledExample], keys: Sequence[str], recipe: Recipe
) -> list[float]:
    """A weight for each row: its own, its source's, and less the more rows say the same."""
    rows = Counter(example.source for example in examples)
    copies = Counter(zip((example.source for example in examples), keys, strict=True))
    weights = []
    for example, key in zip(examples, keys, strict=True):
        source = example.source
        weight = example.weight * recipe.source_weights.get(source, 1.0)
        weight *= recipe.label_weights.get((source, example.label.word), 1.0)
        weight *= min(1.0, math.sqrt(recipe.full_weight_rows / rows[source]))
        weight /= math.sqrt(copies[source, key])
        if example.label.head is not head:
            weight *= recipe.published_weight
        weights.append(weight)
    return weights


def _require_enough(head: Head, sheet: Sheet) -> None:
    for positive, name in ((True, "positive"), (False, "negative")):
        folds = np.unique(sheet.fold[sheet.positive == positive])
        if folds.size < 2:
            raise NotEnough(
                f"{head}: the {name} examples are in {folds.size} of the folds; at least two "
                "groups or distinct texts of each label are needed, better hundreds"
            )


# ------------------------------------------------------------------ fits


def _fits(sheets: Sequence[Sheet], recipe: Recipe, *, jobs: int) -> list[list[Linear]]:
    """For each head a fit without each fold, and last one on everything."""
    tasks = [(head, fold) for head in range(len(HEADS)) for fold in (*range(recipe.folds), None)]
    done = Parallel(n_jobs=jobs, max_nbytes="1M")(
        delayed(_linear)(sheets[head], HEADS[head], fold, recipe) for head, fold in tasks
    )
    size = recipe.folds + 1
    return [done[at : at + size] for at in range(0, len(done), size)]


def estimator(head: Head, recipe: Recipe) -> LogisticRegression:
    """The estimator of a head, unfitted.

    L-BFGS: on these rows (few of many features, 100,000 of them) it takes a third less time
    than Newton's method and liblinear, and reaches the same ranking.
    """
    return LogisticRegression(
        C=recipe.inverse_penalty[head], solver="lbfgs", tol=1e-5, max_iter=500
    )


def _linear(sheet: Sheet, head: Head, without: int | None, recipe: Recipe) -> Linear:
    seen = np.flatnonzero(sheet.fold != without) if without is not None else slice(None)
    positive, weight = sheet.positive[seen], sheet.weight[seen].copy()
    # Both classes weigh the same together: what share of a site's comments is spam is no
    # property of the texts, and the sources' shares are accidents of collection.
    for side in (positive, ~positive):
        weight[side] *= weight.size / 2 / weight[side].sum()
    matrix = sheet.matrix[seen]
    scale = rarity(matrix) ** recipe.rarity_power
    matrix = scaled(matrix, scale)
    # On one thread: sums over several come out differently by how many there are.
    with threadpool_limits(1):
        fitted = estimator(head, recipe).fit(matrix, positive, sample_weight=weight)
    return Linear(fitted.coef_[0] * scale.astype(np.float64), float(fitted.intercept_[0]))


def scaled(matrix: sparse.csr_matrix, scale: NDArray[np.float32]) -> sparse.csr_matrix:
    """The matrix with each column times its scale."""
    data = matrix.data * scale[matrix.indices]
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def rarity(matrix: sparse.csr_matrix) -> NDArray[np.float32]:
    """How rare each place is among the rows: 1 for the rarest, less for commoner ones.

    The inverse document frequency ln((1 + rows) / (1 + rows that have it)) + 1, as scikit-learn
    smooths it (Manning, Raghavan and Schuetze 2008, 6.2.1), over that of a place no row has.
    Fitting to values times this weakens the penalty on rare features' weights; the weights are
    multiplied back, so that scoring knows nothing of it.
    """
    rows = matrix.shape[0]
    having = np.bincount(matrix.indices, minlength=matrix.shape[1])
    inverse = np.log((1 + rows) / (1 + having)) + 1
    return np.asarray(inverse / (np.log(1 + rows) + 1), np.float32)


def _held_out(sheet: Sheet, fits: Sequence[Linear]) -> Floats:
    """Log-odds of each row by the fit that has not seen its fold."""
    scores = np.empty(sheet.positive.size)
    for fold, linear in enumerate(fits[:-1]):
        rows = np.flatnonzero(sheet.fold == fold)
        scores[rows] = linear(sheet.matrix[rows])
    return scores


def calibrated(log_odds: Floats, positive: NDArray[np.bool_], weight: Floats) -> Calibration:
    """Platt's scaling (1999) by logistic regression on the log-odds, classes weighing alike."""
    balanced = weight.copy()
    for side in (positive, ~positive):
        balanced[side] *= weight.size / 2 / max(weight[side].sum(), 1e-12)
    with threadpool_limits(1):  # as for the heads: the same sums on every machine
        fitted = LogisticRegression(C=1e6).fit(log_odds[:, None], positive, sample_weight=balanced)
    # A slope below zero would turn the ranking round; then the scores say nothing.
    return Calibration(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))


# ------------------------------------------------------------------ thresholds


def _genuine(examples: Sequence[LabelledExample], recipe: Recipe) -> NDArray[np.bool_]:
    """Which examples are genuine comments that thresholds are chosen on.

    The recipe's sources; where the data has none of them, all examples labelled ham.
    """
    ham = np.array([e.label.head is Head.SPAM and not e.label.positive for e in examples], bool)
    named = np.array([e.source in recipe.genuine for e in examples], bool)
    return ham & named if (ham & named).any() else ham


def _tuned(
    sheets: Sequence[Sheet],
    held_out: Sequence[Floats],
    fits: Sequence[Sequence[Linear]],
    genuine: NDArray[np.bool_],
    *,
    without: int | None,
    recipe: Recipe,
) -> tuple[tuple[tuple[Linear, Calibration], ...], HeadThresholds]:
    """One fit of both heads with calibration and thresholds, all from what it may have seen."""
    heads, thresholds = [], {}
    for head, sheet, log_odds, linears in zip(HEADS, sheets, held_out, fits, strict=True):
        seen = sheet.fold != without if without is not None else np.full(log_odds.size, True)
        calibration = calibrated(log_odds[seen], sheet.positive[seen], sheet.weight[seen])
        heads.append((linears[-1 if without is None else without], calibration))
        ham = seen & sheet.whole & genuine[sheet.example] & ~sheet.positive
        scores = _logistic(calibration(log_odds[ham]))
        thresholds[head.value] = Thresholds(
            queue_at=threshold_for(scores, recipe.queue_share[head]),
            reject_at=threshold_for(scores, recipe.reject_share[head]),
        )
    return tuple(heads), HeadThresholds(**thresholds)


def threshold_for(genuine: Floats, share: float, *, confidence: float = 0.95) -> float:
    """The lowest score at which at most `share` of genuine comments is flagged.

    Holds for comments like `genuine` (scores in [0, 1]) with the stated confidence: the
    order statistic of the Neyman-Pearson umbrella rule (Tong, Feng and Li 2018, proposition
    1). Where there are too few scores for that, the threshold is `OFF`: no score reaches it.
    """
    if share <= 0:
        return OFF
    if share >= 1:
        return 0.0
    ordered = np.sort(genuine)
    rank = umbrella_rank(ordered.size, share, confidence=confidence)
    if rank is None:
        return OFF
    return float(np.nextafter(ordered[rank - 1], 2.0))


def umbrella_rank(n: int, share: float, *, confidence: float) -> int | None:
    """The smallest k with P(more than `share` lie above the k-th smallest of n) <= 1 - confidence.

    That probability is at most P(Binomial(n, 1 - share) >= k). None when no k will do.
    `share` is between 0 and 1, both excluded.
    """
    if n == 0:
        return None
    # isf is the smallest x with P(Binomial > x) <= 1 - confidence.
    rank = int(binom.isf(1 - confidence, n, 1 - share)) + 1
    return rank if rank <= n else None


def _logistic(log_odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -log_odds))


def _classifier(
    heads: tuple[tuple[Linear, Calibration], ...], thresholds: HeadThresholds, recipe: Recipe
) -> Classifier:
    """The flattened model: calibration folded into weights and bias."""
    return Classifier(
        version="",
        spec=recipe.spec,
        table=np.stack(
            [linear.weights * calibration.slope for linear, calibration in heads], axis=1
        ).astype(np.float32),
        bias=np.array([calibration(np.array(linear.bias)) for linear, calibration in heads]),
        thresholds=thresholds,
    )
