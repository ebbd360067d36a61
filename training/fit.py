"""Fit a model: labelled examples and a recipe in, a manifest and a table of weights out.

Both heads are logistic regressions over the same hashed features. Everything measured and
every threshold comes from scores of examples whose group the scoring fit has not seen, and
where the recipe wants that, nothing of their source. Same examples in the same order, same
recipe, same seed: same bytes of weights.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.features import FEATURES_VERSION, Texts
from model.language import language_of
from model.outcome import Head
from model.promise import RISKS, Promise, comments_needed
from model.registry import Manifest
from model.submission import Submission
from model.text import readable
from training.examples import submission_of
from training.feature_rows import matrix_of
from training.lending import lent_urls
from training.recipes import Recipe
from training.umbrella import Genuine, promise_of

Floats = NDArray[np.float64]
Progress = Callable[[str], None]

CHUNK = 500
"""Examples whose features are made in one task."""


class NotEnough(ValueError):
    """Too few examples to fit; the message says of what."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Training rows of one head as columns, a row each.

    `matrix` is CSR of shape (rows, places); `example` is the index of the example that a row
    came from, as an example with a name or a URL gives two rows, one without them: otherwise
    a source that never has them would teach that having none is a sign. `calibrating` is the
    weight in calibration: the example's own for those labelled for this head, as they were
    sent, and 0 for the rest; what a recipe makes of them has no say in what a score means.
    """

    matrix: sparse.csr_matrix
    positive: NDArray[np.bool_]
    weight: Floats
    calibrating: Floats
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
class Ham:
    """Genuine comments, with log-odds before calibration by fits that have not seen them.

    `by_fold` and `by_source` have shape (heads, comments): by the fit without the comment's
    fold, and without its source, NaN where no source was left out. The rest are columns, a
    comment each, as in `training.umbrella.Genuine`.
    """

    by_fold: Floats
    by_source: Floats
    fold: NDArray[np.intp]
    language: NDArray[np.str_]
    unit: NDArray[np.str_]
    source: NDArray[np.str_]

    def scored(
        self,
        log_odds: Floats,
        calibrations: Sequence["Calibration"],
        chosen: NDArray[np.bool_],
    ) -> Genuine:
        """Some of the comments with calibrated scores, from one of the two log-odds."""
        spam, toxicity = (
            _logistic(calibration(row[chosen]))
            for calibration, row in zip(calibrations, log_odds, strict=True)
        )
        return Genuine(
            spam, toxicity, self.language[chosen], self.unit[chosen], self.source[chosen]
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit gives.

    `classifiers` has for each fold the one that has not seen it, promise and calibration
    included; `fold_of` the fold of each example. `final` saw everything. `ham` are the genuine
    comments that its promise was chosen on.
    """

    final: Classifier
    classifiers: tuple[Classifier, ...]
    fold_of: tuple[int, ...]
    heads: tuple[tuple[Linear, Calibration], ...]
    ham: Ham


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
    then about a minute for 100,000 examples and fit.
    """
    progress("features")
    taught = Taught.of(examples, recipe, jobs=jobs)
    sheets = [_sheet(head, taught, recipe) for head in HEADS]
    for head, sheet in zip(HEADS, sheets, strict=True):
        _require_enough(head, sheet)
    progress("fits")
    fits = _fits(sheets, recipe, jobs=jobs)
    alone = _fits_without_source(examples, sheets, recipe, jobs=jobs)
    progress("calibration")
    without_fold = {fold: [of_head[fold] for of_head in fits] for fold in range(recipe.folds)}
    by_fold = _log_odds(taught.texts, taught.folds, without_fold, recipe, jobs=jobs)
    held_out = [by_fold[sheet.example, i] for i, sheet in enumerate(sheets)]
    sources = np.array([example.source for example in examples], np.str_)
    by_source = _log_odds(taught.texts, sources, alone, recipe, jobs=jobs)
    ham = _ham(taught, (by_fold, by_source), recipe)
    done = [
        tuned(sheets, held_out, fits, ham, without=fold, recipe=recipe)
        for fold in (*range(recipe.folds), None)
    ]
    classifiers = [classifier_of(heads, promise, recipe) for heads, promise in done]
    return Fitted(
        final=classifiers[-1],
        classifiers=tuple(classifiers[:-1]),
        fold_of=tuple(int(fold) for fold in taught.folds),
        heads=done[-1][0],
        ham=ham,
    )


def fit_once(
    examples: Sequence[LabelledExample],
    recipe: Recipe,
    *,
    heads: Sequence[Head] = HEADS,
    jobs: int = -1,
) -> Classifier:
    """One fit of the heads to everything, neither calibrated nor with a promise.

    Ranks as what `fit` gives would, in a sixth of the time: for experiments. A head that is not
    wanted says nothing. Raises NotEnough as `fit` does.
    """
    taught = Taught.of(examples, recipe, jobs=jobs)
    sheets = {head: _sheet(head, taught, recipe) for head in heads}
    for head, sheet in sheets.items():
        _require_enough(head, sheet)
    done = Parallel(n_jobs=jobs, max_nbytes="1M")(
        delayed(_linear)(sheet, head, None, recipe) for head, sheet in sheets.items()
    )
    fitted = dict(zip(sheets, done, strict=True))
    silent = Linear(np.zeros(2**recipe.spec.bits), 0.0)
    as_fitted = [(fitted.get(head, silent), Calibration(1.0, 0.0)) for head in HEADS]
    return classifier_of(as_fitted, Promise({}), recipe)


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
        "wanted": sorted(recipe.wanted),
        "genuine": sorted(recipe.genuine),
    }
    return Manifest(
        version="",
        features_version=FEATURES_VERSION,
        spec=final.spec,
        bias=tuple(float(b) for b in final.bias),
        promise=final.promise,
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
    digest = hashlib.sha256(f"{recipe.seed}/{unit_of(example, key)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % recipe.folds


def unit_of(example: LabelledExample, key: str) -> str:
    """The name of what is held out with an example: its group, or all that reads like it."""
    return f"{example.source}/{example.group}" if example.group else key


@dataclass(frozen=True, slots=True)
class Taught:
    """Everything that is read off the examples once, for both heads and all fits.

    `texts` are of each example as it was sent, and `sent` its features; `bare` are those without
    name and URL. `lent` are the features of the examples `borrowers`, by index, with the URL that
    is lent to each.
    """

    examples: Sequence[LabelledExample]
    keys: list[str]
    folds: NDArray[np.intp]
    texts: list[Texts]
    sent: sparse.csr_matrix
    bare: sparse.csr_matrix
    borrowers: NDArray[np.intp]
    lent: sparse.csr_matrix

    @classmethod
    def of(cls, examples: Sequence[LabelledExample], recipe: Recipe, *, jobs: int) -> "Taught":
        """Read the examples. Raises NotEnough when there are none."""
        if not examples:
            raise NotEnough("there are no labelled examples")
        submissions = [submission_of(example) for example in examples]
        keys = [content_key(example.text) for example in examples]
        lent = lent_urls(examples, recipe.lent_share, recipe.seed)
        texts, sent = _read(submissions, recipe, jobs=jobs)
        return cls(
            examples=examples,
            keys=keys,
            folds=np.array([fold_of(e, k, recipe) for e, k in zip(examples, keys, strict=True)]),
            texts=texts,
            sent=sent,
            bare=_read([_signed(s, name="", url="") for s in submissions], recipe, jobs=jobs)[1],
            borrowers=np.array([i for i, _ in lent], np.intp),
            lent=_read([_signed(submissions[i], url=url) for i, url in lent], recipe, jobs=jobs)[1],
        )


def _signed(submission: Submission, **changed: str) -> Submission:
    return replace(submission, author=replace(submission.author, **changed))


def _read(
    submissions: Sequence[Submission], recipe: Recipe, *, jobs: int
) -> tuple[list[Texts], sparse.csr_matrix]:
    """The texts and the features of submissions, a row each."""
    chunks = [submissions[at : at + CHUNK] for at in range(0, len(submissions), CHUNK)]
    parts = Parallel(n_jobs=jobs)(delayed(_read_chunk)(chunk, recipe) for chunk in chunks)
    none = sparse.csr_matrix((0, 2**recipe.spec.bits), dtype=np.float32)
    return (
        [texts for of_chunk, _ in parts for texts in of_chunk],
        sparse.vstack([none, *(matrix for _, matrix in parts)], format="csr"),
    )


def _read_chunk(
    chunk: Sequence[Submission], recipe: Recipe
) -> tuple[list[Texts], sparse.csr_matrix]:
    texts = [gather(submission).texts for submission in chunk]
    return texts, matrix_of(texts, recipe.spec)


def _sheet(head: Head, taught: Taught, recipe: Recipe) -> Sheet:
    """The rows that teach one head: those labelled for it, and what the recipe takes over.

    First every example as it was sent; then those with a name or URL once more without them,
    and those to which a URL is lent once more with it.
    """
    examples = taught.examples
    teaches = np.array([_teaches(head, e, recipe) for e in examples], bool)
    at = np.flatnonzero(teaches)
    chosen = [examples[i] for i in at.tolist()]
    weight = np.zeros(len(examples))
    weight[at] = _weights(head, chosen, [taught.keys[i] for i in at.tolist()], recipe)
    bare = at[np.array([bool(e.author or e.author_url) for e in chosen], bool)]
    weight[bare] /= 2
    # Praise with a shop's URL is spam for its URL; the words alone are what readers write.
    praise = [examples[i].label.positive and bool(examples[i].author_url) for i in bare.tolist()]
    borrowed = np.flatnonzero(teaches[taught.borrowers])
    borrowers = taught.borrowers[borrowed]
    example = np.concatenate([at, bare, borrowers])
    told = [examples[i] for i in example.tolist()]
    return Sheet(
        matrix=sparse.vstack(
            [taught.sent[at], taught.bare[bare], taught.lent[borrowed]],
            format="csr",
        ),
        positive=np.array([e.label.head is head and e.label.positive for e in told], bool),
        weight=np.concatenate(
            [
                weight[at],
                weight[bare] * np.where(praise, recipe.bare_spam_weight, 1.0),
                weight[borrowers] * recipe.lent_weight,
            ]
        ),
        calibrating=np.array(
            [
                e.weight if row < at.size and e.label.head is head else 0.0
                for row, e in enumerate(told)
            ]
        ),
        fold=taught.folds[example],
        example=example,
        whole=np.arange(example.size) < at.size,
    )


def _teaches(head: Head, example: LabelledExample, recipe: Recipe) -> bool:
    if example.label.head is head:
        return True
    others = recipe.published if head is Head.TOXICITY else recipe.wanted
    return (
        example.source in others and not example.label.positive and other_weight(head, recipe) > 0
    )


def other_weight(head: Head, recipe: Recipe) -> float:
    """How much weight a head gives what is labelled for the other."""
    return recipe.published_weight if head is Head.TOXICITY else recipe.wanted_weight


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
            weight *= other_weight(head, recipe)
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
        delayed(_linear)(
            sheets[head], HEADS[head], None if fold is None else sheets[head].fold != fold, recipe
        )
        for head, fold in tasks
    )
    size = recipe.folds + 1
    return [done[at : at + size] for at in range(0, len(done), size)]


def _fits_without_source(
    examples: Sequence[LabelledExample], sheets: Sequence[Sheet], recipe: Recipe, *, jobs: int
) -> dict[str, list[Linear]]:
    """For each source of genuine comments that can be left out, a fit of each head without it.

    One cannot be that has too few comments to promise anything, without which a head lacks a
    class, or that has more than half of all: a fit without it knows genuine comments too
    little to be like the one that is kept. None when held out means the group alone.
    """
    if recipe.promise_unit == "group":
        return {}
    sources = np.array([example.source for example in examples], np.str_)
    ham = Counter(sources[_genuine(examples, recipe)].tolist())
    alone = [
        source
        for source, comments in sorted(ham.items())
        if comments_needed(RISKS[-1]) <= comments <= ham.total() / 2
        and all(np.unique(s.positive[sources[s.example] != source]).size == 2 for s in sheets)
    ]
    tasks = [(source, head) for source in alone for head in range(len(HEADS))]
    done = Parallel(n_jobs=jobs, max_nbytes="1M")(
        delayed(_linear)(sheets[head], HEADS[head], sources[sheets[head].example] != source, recipe)
        for source, head in tasks
    )
    size = len(HEADS)
    return {source: done[i * size : (i + 1) * size] for i, source in enumerate(alone)}


def estimator(head: Head, recipe: Recipe) -> LogisticRegression:
    """The estimator of a head, unfitted.

    L-BFGS: on these rows (few of many features, 100,000 of them) it takes a third less time
    than Newton's method and liblinear, and reaches the same ranking.
    """
    return LogisticRegression(
        C=recipe.inverse_penalty[head], solver="lbfgs", tol=1e-5, max_iter=500
    )


def _linear(sheet: Sheet, head: Head, shown: NDArray[np.bool_] | None, recipe: Recipe) -> Linear:
    """A fit to the rows that are shown; to all of them for None."""
    seen = slice(None) if shown is None else np.flatnonzero(shown)
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
    """How rare each place is among the rows, as `rarity_of` says."""
    having = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return rarity_of(having.astype(np.float64), float(matrix.shape[0]))


def rarity_of(having: Floats, rows: float) -> NDArray[np.float32]:
    """How rare places are that so many of the rows have: 1 for the rarest, less for commoner ones.

    The inverse document frequency ln((1 + rows) / (1 + rows that have it)) + 1, as scikit-learn
    smooths it (Manning, Raghavan and Schuetze 2008, 6.2.1), over that of a place no row has.
    Fitting to values times this weakens the penalty on rare features' weights; the weights are
    multiplied back, so that scoring knows nothing of it.
    """
    inverse = np.log((1 + rows) / (1 + having)) + 1
    return np.asarray(inverse / (np.log(1 + rows) + 1), np.float32)


def _log_odds(
    texts: Sequence[Texts],
    without: NDArray[Any],
    fits: Mapping[Any, Sequence[Linear]],
    recipe: Recipe,
    *,
    jobs: int,
) -> Floats:
    """Log-odds before calibration of each text, shape (texts, heads), as the service has them.

    `without` names for each text the fit in `fits`, a linear a head, that has not seen it. NaN
    where there is none of that name.
    """
    odds = np.full((len(texts), len(HEADS)), np.nan)
    tasks = [
        (linears, rows[at : at + CHUNK])
        for name, linears in fits.items()
        for rows in (np.flatnonzero(without == name),)
        for at in range(0, rows.size, CHUNK)
    ]
    done = Parallel(n_jobs=jobs, max_nbytes="1M")(
        delayed(_chunk_log_odds)(linears, [texts[i] for i in rows], recipe)
        for linears, rows in tasks
    )
    for (_, rows), found in zip(tasks, done, strict=True):
        odds[rows] = found
    return odds


def _chunk_log_odds(linears: Sequence[Linear], chunk: Sequence[Texts], recipe: Recipe) -> Floats:
    as_fitted = [(linear, Calibration(1.0, 0.0)) for linear in linears]
    return classifier_of(as_fitted, Promise({}), recipe).log_odds(chunk)


def calibrated(log_odds: Floats, positive: NDArray[np.bool_], weight: Floats) -> Calibration:
    """Platt's scaling (1999) by logistic regression on the log-odds, classes weighing alike."""
    balanced = weight.copy()
    for side in (positive, ~positive):
        balanced[side] *= weight.size / 2 / max(weight[side].sum(), 1e-12)
    with threadpool_limits(1):  # as for the heads: the same sums on every machine
        fitted = LogisticRegression(C=1e6).fit(log_odds[:, None], positive, sample_weight=balanced)
    # A slope below zero would turn the ranking round; then the scores say nothing.
    return Calibration(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))


# ------------------------------------------------------------------ the promise


def _genuine(examples: Sequence[LabelledExample], recipe: Recipe) -> NDArray[np.bool_]:
    """Which examples are genuine comments that thresholds are chosen on.

    The recipe's sources; where the data has none of them, all examples labelled ham.
    """
    ham = np.array([e.label.head is Head.SPAM and not e.label.positive for e in examples], bool)
    named = np.array([e.source in recipe.genuine for e in examples], bool)
    return ham & named if (ham & named).any() else ham


def _ham(taught: Taught, odds: tuple[Floats, Floats], recipe: Recipe) -> Ham:
    """The genuine comments as they were sent; `odds` are by the fits without fold and source."""
    at = np.flatnonzero(_genuine(taught.examples, recipe))
    chosen = [(taught.examples[i], taught.keys[i]) for i in at.tolist()]
    by_fold, by_source = odds
    return Ham(
        by_fold=by_fold[at].T,
        by_source=by_source[at].T,
        fold=taught.folds[at],
        language=np.array([language_of(example.text) for example, _ in chosen], np.str_),
        unit=np.array([unit_of(example, key) for example, key in chosen], np.str_),
        source=np.array([example.source for example, _ in chosen], np.str_),
    )


def tuned(
    sheets: Sequence[Sheet],
    held_out: Sequence[Floats],
    fits: Sequence[Sequence[Linear]],
    ham: Ham,
    *,
    without: int | None,
    recipe: Recipe,
) -> tuple[tuple[tuple[Linear, Calibration], ...], Promise]:
    """One fit of both heads with calibration and promise, all from what it may have seen."""
    calibrations = []
    for sheet, log_odds in zip(sheets, held_out, strict=True):
        seen = sheet.fold != without if without is not None else np.full(log_odds.size, True)
        positive, weight = sheet.positive[seen], sheet.calibrating[seen]
        if not (weight[positive].any() and weight[~positive].any()):
            weight = sheet.weight[seen]  # all that is clean may be published ham
        calibrations.append(calibrated(log_odds[seen], positive, weight))
    chosen = ham.fold != without if without is not None else np.full(ham.fold.size, True)
    alone = chosen & ~np.isnan(ham.by_source).any(axis=0)
    promise = promise_of(
        ham.scored(ham.by_fold, calibrations, chosen),
        lead=recipe.toxicity_lead,
        by_source=None
        if recipe.promise_unit == "group"
        else ham.scored(ham.by_source, calibrations, alone),
        care=recipe.reject_care,
    )
    linears = [of_head[-1 if without is None else without] for of_head in fits]
    return tuple(zip(linears, calibrations, strict=True)), promise


def _logistic(log_odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -log_odds))


def classifier_of(
    heads: Sequence[tuple[Linear, Calibration]], promise: Promise, recipe: Recipe
) -> Classifier:
    """The flattened model: calibration folded into weights and bias."""
    return Classifier(
        version="",
        spec=recipe.spec,
        table=np.stack(
            [linear.weights * calibration.slope for linear, calibration in heads], axis=1
        ).astype(np.float32),
        bias=np.array([calibration(np.array(linear.bias)) for linear, calibration in heads]),
        promise=promise,
    )
