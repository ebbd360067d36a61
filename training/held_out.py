"""Measure a recipe on examples it has not seen: each judged by the fit without its group.

Knows how rows become usable examples, and the folds of a fit. `duyet train` writes these
figures into the card, `duyet evaluate --held-out` shows them; both get them here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
from joblib import Parallel, delayed

from model.addresses import mask_addresses
from model.classifier import Classifier
from model.decision import Label, LabelledExample
from model.facts import gather
from model.judging import OfflineJudge
from model.outcome import Head
from training.evaluation import Floats, Judged, JudgedRow, evaluate, judge_rows
from training.examples import Row, submission_of
from training.fit import usable
from training.recipes import OWN_TEXTS, RESEARCH_ONLY, TIERS, Recipe
from training.report import Measured

CHUNK = 500
"""Examples judged in one task: short enough for a bar to move, long enough to be worth it."""

HELD_OUT = "held-out folds"
"""What figures of several fits give as their model."""

HISTOGRAM_BINS = 20

_ROW_FIELDS = tuple({f.name for f in fields(Row)} & {f.name for f in fields(LabelledExample)})


class Folded(Protocol):
    """A fit with one classifier for each fold, which has not seen it: `Fitted` and `Moved` are."""

    @property
    def final(self) -> Classifier: ...  # noqa: D102
    @property
    def classifiers(self) -> tuple[Classifier, ...]: ...  # noqa: D102
    @property
    def fold_of(self) -> tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Gathered:
    """Examples to fit to, in the order they were read, and what was left out and why."""

    examples: tuple[LabelledExample, ...]
    left_out: Counter[str]


def gathered(
    examples: Iterable[LabelledExample], recipe: Recipe, *, research: bool = False
) -> Gathered:
    """The examples a recipe may use.

    Rows of research-only sources are refused one by one unless `research`. A source's name
    is part of what is published of a model, so an address in one is masked.
    """
    left_out: Counter[str] = Counter()
    kept = tuple(allowed(examples, recipe, left_out, research=research))
    return Gathered(kept, left_out)


def allowed(
    examples: Iterable[LabelledExample],
    recipe: Recipe,
    left_out: Counter[str],
    *,
    research: bool = False,
) -> Iterator[LabelledExample]:
    """The examples that `gathered` keeps, one by one; the others are counted."""
    for example in examples:
        source = mask_addresses(example.source)
        if source in RESEARCH_ONLY and not research:
            left_out[f"of {source}, which is for research only (--research)"] += 1
            continue
        named = example if source == example.source else replace(example, source=source)
        if usable([named], recipe):
            yield named
        else:
            left_out[f"without weight in the recipe {recipe.name}"] += 1


def judged_held_out(
    examples: Sequence[LabelledExample],
    fitted: Folded,
    *,
    jobs: int = -1,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[Head, list[JudgedRow]]:
    """Every example, judged by the classifier that has not seen its fold, under its label's head.

    `examples` are those that were fitted to, in the same order. The rows of a head are in
    that order within a fold, fold by fold; heads without examples are left out. `progress`
    is told how many more are done. Costs about a millisecond an example and core.
    """
    tasks = [
        (fitted.classifiers[fold], chunk)
        for fold in range(len(fitted.classifiers))
        for chunk in _chunks(
            [e for e, f in zip(examples, fitted.fold_of, strict=True) if f == fold]
        )
    ]
    found: dict[Head, list[JudgedRow]] = {}
    parallel = Parallel(n_jobs=jobs, max_nbytes="1M", return_as="generator")
    for judged in parallel(delayed(_judged)(classifier, chunk) for classifier, chunk in tasks):
        for head, row in judged:
            found.setdefault(head, []).append(row)
        progress(len(judged))
    return {head: found[head] for head in Head if head in found}


def measured_held_out(
    judged: dict[Head, list[JudgedRow]], fitted: Folded, *, seed: int
) -> list[Measured]:
    """The figures of each head. The promise shown is that of the fit to everything."""
    columns = {head: Judged.of(rows) for head, rows in judged.items()}
    return [
        Measured(
            evaluate(
                column,
                head=head,
                promise=fitted.final.promise,
                model=HELD_OUT,
                policy=OfflineJudge(None).policy.version,
                seed=seed,
            ),
            column,
        )
        for head, column in columns.items()
    ]


def failures(
    examples: Sequence[LabelledExample], fitted: Folded, *, each: int = 4
) -> list[dict[str, object]]:
    """The synthetic comments that were judged most wrongly by a fit that had not seen their group.

    At most `each` of every label, most wrong first, Vietnamese and English: text, label and the
    score of its head. Of real comments no text may be told.
    """
    found: dict[Label, list[tuple[float, str]]] = {}
    for fold, classifier in enumerate(fitted.classifiers):
        own = [
            example
            for example, of_fold in zip(examples, fitted.fold_of, strict=True)
            if of_fold == fold and may_be_told(example)
        ]
        scores = classifier.score([gather(submission_of(example)).texts for example in own])
        for example, of_heads in zip(own, scores, strict=True):
            score = of_heads.of(example.label.head)
            wrong = 1 - score if example.label.positive else score
            found.setdefault(example.label, []).append((wrong, example.text))
    return [
        {"text": text, "label": label.word, "score": 1 - wrong if label.positive else wrong}
        for label in sorted(found, key=lambda label: label.word)
        for wrong, text in sorted(found[label], reverse=True)[:each]
        if wrong > 0.5
    ]


def may_be_told(example: LabelledExample) -> bool:
    """Whether a comment is one of our own texts, short and without a name: nobody posted it."""
    alone = not (example.author or example.author_url)
    own = TIERS.get(example.source) == OWN_TEXTS and example.lang in {"vi", "en"}
    return own and alone and len(example.text) <= TOLD_AT_MOST


TOLD_AT_MOST = 160
"""Characters of a comment that stands as an example in a card."""


def histograms(measured: Sequence[Measured]) -> dict[str, object]:
    """How scores are spread: for each head and label the rows in 20 equal bins of [0, 1]."""
    heads: dict[str, dict[str, list[int]]] = {}
    for found in measured:
        judged, head = found.judged, found.evaluation.head
        heads[head.value] = {
            Label(head, truth).word: _counts(judged.score[judged.positive == truth])
            for truth in (True, False)
        }
    return {"bins": HISTOGRAM_BINS, "heads": heads}


def _counts(scores: Floats) -> list[int]:
    known = scores[~np.isnan(scores)]
    return [int(n) for n in np.histogram(known, bins=HISTOGRAM_BINS, range=(0, 1))[0]]


def _chunks(examples: Sequence[LabelledExample]) -> list[Sequence[LabelledExample]]:
    return [examples[at : at + CHUNK] for at in range(0, len(examples), CHUNK)]


def _judged(
    classifier: Classifier, examples: Sequence[LabelledExample]
) -> list[tuple[Head, JudgedRow]]:
    return list(judge_rows(map(row_of, examples), OfflineJudge(classifier)))


def row_of(example: LabelledExample) -> Row:
    """A labelled example as a row of a file, its task its label's."""
    told = {name: getattr(example, name) for name in _ROW_FIELDS}
    return Row(line=0, head=example.label.head, **told)
