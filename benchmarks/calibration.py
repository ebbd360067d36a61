"""Are the scores what they say, on groups and on sources that no fit has seen?

    python -m benchmarks.calibration --data DIR [--rows N] [--left-out SOURCE,SOURCE]

DIR holds labelled files, `*.jsonl.gz` or `*.jsonl`. Fits once across folds of groups, and gives
for each head the calibration error of the held-out scores with its interval (bins of equal mass,
both labels weighing alike, groups resampled) as they are and as two freer ways of calibrating
would have them, each fitted to the other folds' held-out scores: isotonic regression (Zadrozny
and Elkan 2002) and beta calibration (Kull, Silva Filho and Flach 2017). Then, for each source
that is left out whole, the error on it. Sources with one label alone have none.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from benchmarks.labelled import examples_in
from model.classifier import Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.outcome import Head, Outcome
from training.evaluation import Estimate, Judged, JudgedRow, measure
from training.examples import submission_of
from training.fit import NotEnough, fit, usable
from training.recipes import RECIPES

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]
BATCH = 256
_LEAST = 1e-6


def main() -> None:
    options = _options()
    recipe = replace(RECIPES[options.recipe], promise_unit="group")
    examples = usable(examples_in(options.data, rows=options.rows, seed=options.seed), recipe)
    fitted = fit(examples, recipe, jobs=options.jobs)
    folds = np.array(fitted.fold_of)
    print(f"recipe {recipe.name}, {len(examples):,} rows")
    print("\n| head | calibrated by | error, held-out groups | Brier score |")
    print("| --- | --- | ---: | ---: |")
    for head in Head:
        kept = np.array([e.label.head is head for e in examples])
        judged = Judged.of(
            [
                row
                for fold, classifier in enumerate(fitted.classifiers)
                for row in _rows(examples, np.flatnonzero(kept & (folds == fold)), classifier, head)
            ]
        )
        fold_of = np.concatenate(
            [np.full((kept & (folds == k)).sum(), k) for k in range(recipe.folds)]
        )
        for line in _ways(head, judged, fold_of):
            print(line, flush=True)
    print("\n| source left out | head | rows | error | error of the mean score |")
    print("| --- | --- | ---: | ---: | ---: |")
    for source in options.left_out.split(",") if options.left_out else ():
        for line in _without(source, examples, options):
            print(line, flush=True)


def _ways(head: Head, judged: Judged, fold_of: NDArray[np.intp]) -> Iterator[str]:
    for name, calibrate in {"Platt": None, "isotonic": isotonic, "beta": beta}.items():
        score = judged.score.copy()
        for fold in np.unique(fold_of):
            if calibrate is None:
                continue
            seen = fold_of != fold
            fitted = calibrate(judged.score[seen], judged.positive[seen])
            score[~seen] = np.clip(fitted(judged.score[~seen]), 0, 1)
        metrics = measure(replace(judged, score=score), name=name).metrics
        yield f"| {head} | {name} | {_shown(metrics.calibration_error)} | {_shown(metrics.brier)} |"


def isotonic(score: Floats, positive: Truth) -> Callable[[Floats], Floats]:
    """Isotonic regression, both labels weighing alike."""
    fitted = IsotonicRegression(y_min=_LEAST, y_max=1 - _LEAST, out_of_bounds="clip")
    fitted.fit(score, positive, sample_weight=_alike(positive))
    return lambda unseen: np.asarray(fitted.predict(unseen), np.float64)


def beta(score: Floats, positive: Truth) -> Callable[[Floats], Floats]:
    """Beta calibration, both labels weighing alike."""

    def columns(p: Floats) -> Floats:
        inside = np.clip(p, _LEAST, 1 - _LEAST)
        return np.stack([np.log(inside), -np.log1p(-inside)], axis=1)

    fitted = LogisticRegression(C=1e6, max_iter=1_000)
    fitted.fit(columns(score), positive, sample_weight=_alike(positive))
    return lambda unseen: np.asarray(fitted.predict_proba(columns(unseen))[:, 1], np.float64)


def _alike(positive: Truth) -> Floats:
    share = positive.mean()
    return np.where(positive, 0.5 / share, 0.5 / (1 - share))


def _without(
    source: str, examples: Sequence[LabelledExample], options: argparse.Namespace
) -> Iterator[str]:
    """The error on a source, by a fit that has seen nothing of it; two folds to calibrate by."""
    recipe = replace(RECIPES[options.recipe], promise_unit="group", folds=2)
    inside = np.array([e.source == source for e in examples], bool)
    try:
        shown = [e for e, left in zip(examples, inside, strict=True) if not left]
        classifier = fit(shown, recipe, jobs=options.jobs).final
    except NotEnough as lacking:
        raise SystemExit(f"without {source}: {lacking}") from None
    for head in Head:
        of_head = np.array([e.label.head is head for e in examples], bool)
        rows = list(_rows(examples, np.flatnonzero(inside & of_head), classifier, head))
        if rows:
            judged = Judged.of(rows)
            truths = [judged.positive, ~judged.positive]
            metrics = measure(judged, name=source).metrics
            means = [judged.score[t].mean() for t in truths if t.any()]
            off = f"{np.mean(means) - 0.5:+.3f}" if len(means) == len(truths) else "–"
            error = _shown(metrics.calibration_error)
            yield f"| {source} | {head} | {len(rows):,} | {error} | {off} |"


def _rows(
    examples: Sequence[LabelledExample],
    at: NDArray[np.intp],
    classifier: Classifier,
    head: Head,
) -> Iterator[JudgedRow]:
    for start in range(0, at.size, BATCH):
        batch = [examples[i] for i in at[start : start + BATCH].tolist()]
        scores = classifier.score([gather(submission_of(e)).texts for e in batch])
        for example, score in zip(batch, scores, strict=True):
            yield JudgedRow(
                positive=example.label.positive,
                score=score.of(head),
                outcome=Outcome.ACCEPT,
                source=example.source,
                group=example.group,
            )


def _shown(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", choices=list(RECIPES), default="general")
    parser.add_argument("--rows", type=int, metavar="N", help="at most so many of each file")
    parser.add_argument("--left-out", default="", metavar="SOURCES", help="apart by commas")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
