"""Score held-out comments chunk by chunk, each by the fit that has not seen it.

Of very many comments a draw is scored: thresholds, calibration and figures are no surer for more
than a few hundred thousand. Knows chunks and classifiers as arrays on disk.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.features import Spec
from model.judging import OfflineJudge
from model.language import language_of
from model.outcome import Head
from model.promise import Promise
from training.chunks import examples_in
from training.evaluation import JudgedRow, judge_rows
from training.examples import submission_of
from training.fit import content_key, unit_of
from training.held_out import may_be_told, row_of
from training.taught import Counts
from training.work import Work

Floats = NDArray[np.float64]

COMPARED_BYTES = 150_000_000
"""Of the files' bytes: what is compared on lies in memory as objects."""


@dataclass(frozen=True, slots=True)
class Draws:
    """The most comments, about, that are scored for calibration and promise, that are judged for
    figures, and that are held in memory to compare a version with another on.
    """

    scored: int = 400_000
    judged: int = 200_000
    compared: int = 100_000


DRAWS = Draws()


def held_folds(counts: Counts, comments: int, most: int) -> int:
    """How many folds are held out: the first that have as many comments as are scored.

    All where there are few comments; two at least, and so many that each head's either label is in
    two of them. Each fold's fit is to all comments but that fold's, as ever.
    """
    sides = counts.rows.sum(axis=2) > 0
    folds = int(sides.shape[1])
    held = max(2, min(folds, -(-most * folds // max(1, comments))))
    while held < folds and (sides[:, :held].sum(axis=1) < 2).any():
        held += 1
    return held


def drawn(number: int, begin: int, end: int, *, most: int, seed: int) -> NDArray[np.intp]:
    """Which of the comments from `begin` to `end` of `number` are drawn, counted from `begin`.

    All where there are no more than `most`; else about so many, by a hash of where they stand
    (Stafford's variant 13). Those for a smaller `most` are among those for a greater one.
    """
    if number <= most:
        return np.arange(end - begin)
    mixed = np.arange(begin, end, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return np.flatnonzero(mixed / 2.0**64 < most / number)


def keep(work: Work, name: str, classifiers: Sequence[Classifier]) -> None:
    """Write classifiers down, for every worker to read."""
    told = [
        {"version": c.version, "spec": asdict(c.spec), "promise": asdict(c.promise)}
        for c in classifiers
    ]
    work.save(
        "fits",
        name,
        tables=np.stack([c.table for c in classifiers]),
        bias=np.stack([c.bias for c in classifiers]),
        told=np.frombuffer(json.dumps(told).encode(), np.uint8),
    )


@lru_cache(maxsize=2)
def kept(work: Work, name: str) -> tuple[Classifier, ...]:
    """The classifiers that were written down."""
    found = work.load("fits", name)
    return tuple(
        Classifier(
            version=told["version"],
            spec=_spec(told["spec"]),
            table=table,
            bias=bias,
            promise=Promise.from_body(told["promise"]),
        )
        for told, table, bias in zip(
            json.loads(found["told"].tobytes()), found["tables"], found["bias"], strict=True
        )
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """Some of a chunk's comments, a row each, with log-odds of shape (comments, heads).

    `by_source` is NaN where no fit did without the source. `language` and `unit` are "" but for
    genuine ones; `unit` is a digest of the group's name, which may be long.
    """

    by_fold: Floats
    by_source: Floats
    language: NDArray[np.str_]
    unit: NDArray[np.str_]


def scored(
    work: Work,
    chunk: str,
    rows: str,
    chosen: NDArray[np.intp],
    fits: str,
    alone: tuple[int, ...],
) -> Scored:
    """Score the chosen comments of a chunk by the classifiers named `fits`.

    Those are first one for each fold, then one for each source in `alone`.
    """
    classifiers = kept(work, fits)
    examples = examples_in(work, chunk)
    told = work.load_record("taught", rows)
    fold, source = told["fold"][chosen].astype(int), told["source"][chosen].astype(int)
    texts = [gather(submission_of(examples[at])).texts for at in chosen.tolist()]
    by_fold = np.full((chosen.size, len(HEADS)), np.nan)
    by_source = by_fold.copy()
    folds = len(classifiers) - len(alone)
    by = [(by_fold, fold == at) for at in range(folds)]
    by += [(by_source, source == name) for name in alone]
    for classifier, (odds, among) in zip(classifiers, by, strict=True):
        at = np.flatnonzero(among)
        if at.size:
            odds[at] = classifier.log_odds([texts[i] for i in at.tolist()])
    genuine = told["genuine"][chosen]
    ham = [examples[at] if yes else None for at, yes in zip(chosen, genuine, strict=True)]
    return Scored(
        by_fold,
        by_source,
        np.array([language_of(e.text) if e else "" for e in ham], np.str_),
        np.array([_unit(e) if e else "" for e in ham], np.str_),
    )


def _unit(example: LabelledExample) -> str:
    unit = unit_of(example, content_key(example.text))
    return hashlib.sha256(unit.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class JudgedChunk:
    """The verdicts on some comments by fold, and those of our own texts, which may be told."""

    rows: list[tuple[int, Head, JudgedRow]]
    told: list[tuple[int, LabelledExample]]


def judged(
    work: Work, chunk: str, rows: str, chosen: NDArray[np.intp], classifiers: str
) -> JudgedChunk:
    """Judge the chosen comments of a chunk, each by the classifier that has not seen its fold."""
    examples = examples_in(work, chunk)
    folds = work.load_record("taught", rows)["fold"]
    found: list[tuple[int, Head, JudgedRow]] = []
    for fold, classifier in enumerate(kept(work, classifiers)):
        of_fold = [row_of(examples[at]) for at in chosen.tolist() if folds[at] == fold]
        judge = OfflineJudge(classifier)
        found += [(fold, head, row) for head, row in judge_rows(of_fold, judge)]
    told = [(int(folds[at]), examples[at]) for at in chosen.tolist() if may_be_told(examples[at])]
    return JudgedChunk(found, told)


def _spec(body: dict[str, Any]) -> Spec:
    lengths = {name: tuple(body[name]) for name in ("chars", "words", "marked")}
    return Spec(**body | lengths)
