"""Is a score of toxicity what it says, decile by decile, on each set and language?

    python -m benchmarks.reliability --data DIR [--rows N]
    python -m benchmarks.reliability --data DIR --held-out [--rows N]

DIR holds labelled files, `*.jsonl.gz` or `*.jsonl`. The first form scores, with the shipped
champion, the sets that no shipped model is fitted to; the second fits anew across folds of groups
and gives the scores of the held-out ones. Shares are among as many toxic comments as clean ones,
which is what a score says: a calibrated one has half a tenth more than its decile begins with.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.labelled import examples_in
from model.classifier import Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.outcome import Head, Outcome
from model.registry import CHAMPION, SHIPPED, Registry
from training.evaluation import Judged, JudgedRow, measure
from training.examples import submission_of
from training.fit import fit, usable
from training.recipes import OWN_TEXTS, RECIPES, RESEARCH_ONLY, TIERS

BATCH = 256


def main() -> None:
    options = _options()
    if options.held_out:
        rows = held_out(examples_in(options.data, rows=options.rows), jobs=options.jobs)
    else:
        unseen = examples_in(options.data, rows=options.rows, only=RESEARCH_ONLY)
        rows = scored(unseen, Registry(SHIPPED).load(CHAMPION))
    by_set: dict[tuple[str, str], list[JudgedRow]] = {}
    for row in rows:
        if TIERS.get(row.source) != OWN_TEXTS:
            by_set.setdefault((row.lang, row.source), []).append(row)
    print(table(by_set))


def scored(examples: Sequence[LabelledExample], classifier: Classifier) -> Iterator[JudgedRow]:
    """The examples that say something of toxicity, with their scores."""
    of_head = [e for e in examples if e.label.head is Head.TOXICITY]
    for start in range(0, len(of_head), BATCH):
        batch = of_head[start : start + BATCH]
        scores = classifier.score([gather(submission_of(e)).texts for e in batch])
        for example, score in zip(batch, scores, strict=True):
            yield JudgedRow(
                positive=example.label.positive,
                score=score.toxicity,
                outcome=Outcome.ACCEPT,
                source=example.source,
                group=example.group,
                lang=example.lang,
            )


def held_out(examples: Sequence[LabelledExample], *, jobs: int) -> Iterator[JudgedRow]:
    """The same, each scored by a fit that has seen nothing of its group."""
    recipe = replace(RECIPES["general"], promise_unit="group")
    kept = usable(examples, recipe)
    fitted = fit(kept, recipe, jobs=jobs)
    folds = np.array(fitted.fold_of)
    for fold, classifier in enumerate(fitted.classifiers):
        yield from scored([kept[i] for i in np.flatnonzero(folds == fold).tolist()], classifier)


def table(by_set: dict[tuple[str, str], list[JudgedRow]]) -> str:
    """A column a set; in each cell the share of toxic comments in a decile, and of how many."""
    columns = {name: Judged.of(by_set[name]) for name in sorted(by_set)}
    lines = [_line(["score", *(f"{lang} {source}" for lang, source in columns)])]
    lines.append(_line(["---", *["---:"] * len(columns)]))
    for decile in range(10):
        cells = [_reliability(one, decile) for one in columns.values()]
        lines.append(_line([f"{decile / 10:.1f} to {(decile + 1) / 10:.1f}", *cells]))
    metrics = [measure(one, name=name).metrics for (_, name), one in columns.items()]
    lines.append(
        _line(["calibration error", *(_shown(m.calibration_error.value) for m in metrics)])
    )
    lines.append(_line(["ROC AUC", *(_shown(m.roc_auc.value) for m in metrics)]))
    return "\n".join(lines)


def _reliability(judged: Judged, decile: int) -> str:
    inside = np.minimum(judged.score * 10, 9).astype(int) == decile
    toxic, clean = (
        (inside & label).sum() / max(label.sum(), 1)
        for label in (judged.positive, ~judged.positive)
    )
    return f"{toxic / (toxic + clean):.2f} of {inside.sum():,}" if inside.any() else "–"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--held-out", action="store_true", help="of fits made now")
    parser.add_argument("--rows", type=int, metavar="N", help="at most so many of each file")
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
