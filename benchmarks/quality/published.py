"""The rows with published figures: each data set's protocol, and a recipe for it alone.

Nothing here says anything about the shipped model, which sees only part of this data. Each
function takes the same arguments as the rows of sites; members are fitted one after another on one
core, so `jobs` changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.figures import (
    Figure,
    Floats,
    Measure,
    Table,
    auc,
    interval,
    macro_f1,
    matthews,
    mean_over,
    recall_at,
)
from benchmarks.quality.splits import Likeness, Rows, folds_of, folds_without, in_order
from model.decision import LabelledExample
from training.examples import read_examples
from training.literature import (
    SMS,
    VIHSD,
    VISPAM,
    YOUTUBE_LATER,
    YOUTUBE_UNSEEN,
    Folds,
    LiteratureRecipe,
    fit_literature,
)

TUNED_ON = 4
"""Folds of the training rows that tune a recipe."""


def youtube_unseen(data: Path, seed: int, jobs: int) -> Table:
    """Leave one video out."""
    comments = _youtube(data)
    video, truth = _numbers([e.group for e in comments]), _spam(comments)
    said = np.empty((truth.size, 2))
    for shown, hidden in folds_without(video):
        said[hidden] = _said(YOUTUBE_UNSEEN, comments, truth, (shown, hidden), ())
    measured = _Measured(truth, said, Likeness(comments).units())
    videos = [video == one for one in np.unique(video)]
    names = [
        next(e.extra["video"] for e, of in zip(comments, v, strict=True) if of) for v in videos
    ]
    notes = [
        f"{name}: macro-F1 {measured.f1(np.flatnonzero(of)):.3f}, "
        f"AUC {measured.auc(np.flatnonzero(of)):.3f}"
        for name, of in zip(names, videos, strict=True)
    ]
    return Table(
        "youtube-unseen",
        "YouTube Spam, trained on all videos but one, measured on it: mean over "
        f"{len(videos)} videos. The page's address is known, its comments are not.",
        (
            measured.figure("macro-F1", mean_over(videos, measured.f1), seed, ".945", 0.968),
            measured.figure("AUC", mean_over(videos, measured.auc), seed, ".989", 0.996),
            measured.figure(
                "recall at 1 % of ham", mean_over(videos, measured.recall), seed, ".87"
            ),
        ),
        (*notes, "The peers' figures are of five videos."),
    )


def youtube_later(data: Path, seed: int, jobs: int) -> Table:
    """The first 70 % of each video's comments train, the rest are measured."""
    comments = _youtube(data)
    video, truth = _numbers([e.group for e in comments]), _spam(comments)
    first = in_order(video, 0.7)
    shown, hidden = np.flatnonzero(first), np.flatnonzero(~first)
    # The same split within what is shown: what comes later is what tunes.
    earlier = in_order(video[shown], 0.7)
    folds = [(np.flatnonzero(earlier), np.flatnonzero(~earlier))]
    said = _said(YOUTUBE_LATER, comments, truth, (shown, hidden), folds)
    measured = _Measured(truth[hidden], said, _units(comments, hidden))
    return Table(
        "youtube-later",
        "YouTube Spam, trained on the first 70 % of each file, measured on the last 30 %.",
        (
            measured.figure("macro-F1", measured.f1, seed, ".968", 0.989),
            measured.figure("AUC", measured.auc, seed, ".996"),
            measured.figure("recall at 1 % of ham", measured.recall, seed, ".96"),
        ),
        (f"{hidden.size} comments measured.",),
    )


def sms(data: Path, seed: int, jobs: int) -> Table:
    """The first 30 % train, the rest are measured."""
    messages = _of(data, "sms_spam_uci")
    truth = _spam(messages)
    first = in_order(np.zeros(truth.size, np.intp), 0.3)
    shown, hidden = np.flatnonzero(first), np.flatnonzero(~first)
    folds = folds_of(_units(messages, shown), count=5, seed=seed)
    said = _said(SMS, messages, truth, (shown, hidden), folds)
    measured = _Measured(truth[hidden], said, _units(messages, hidden))
    return Table(
        "sms",
        "SMS Spam Collection, trained on the first 30 %, measured on the last 70 %.",
        (
            measured.figure("MCC", measured.matthews, seed, ".960", 0.970),
            measured.figure("macro-F1", measured.f1, seed, ".980"),
            measured.figure("AUC", measured.auc, seed, ".996"),
        ),
    )


def vispamreviews(data: Path, seed: int, jobs: int) -> Table:
    """Two classes of Vietnamese shop reviews, published development split."""
    reviews = _of(data, "vispamreviews")
    measured, notes = _development(VISPAM, reviews, _spam(reviews), seed)
    return Table(
        "vispamreviews",
        "ViSpamReviews, two classes, trained on the published training split without "
        "near-duplicates of the development split, measured on that.",
        (
            measured.figure(
                "macro-F1", measured.f1, seed, ".846 on the test split; PhoBERT .869, .872", 0.885
            ),
            measured.figure("AUC", measured.auc, seed, ".931 on the test split"),
        ),
        notes,
    )


def vihsd(data: Path, seed: int, jobs: int) -> Table:
    """Three classes of Vietnamese hate speech, published development split."""
    comments = _of(data, "vihsd")
    truth = np.array([("CLEAN", "OFFENSIVE", "HATE").index(str(e.extra["fine"])) for e in comments])
    measured, notes = _development(VIHSD, comments, truth, seed)
    return Table(
        "vihsd",
        "ViHSD, three classes, trained on the published training split without "
        "near-duplicates of the development split, measured on that.",
        (
            measured.figure(
                "macro-F1", measured.f1, seed, ".649 linear; CafeBERT .643 (test split)", 0.67
            ),
        ),
        notes,
    )


PUBLISHED: Mapping[str, Callable[[Path, int, int], Table]] = {
    "youtube-unseen": youtube_unseen,
    "youtube-later": youtube_later,
    "sms": sms,
    "vispamreviews": vispamreviews,
    "vihsd": vihsd,
}


# ------------------------------------------------------------------ rows


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a recipe said of hidden rows: a score for each class."""

    truth: NDArray[np.intp]
    said: Floats
    unit: Rows

    def f1(self, rows: Rows) -> float:
        return macro_f1(self.truth[rows], self.said[rows].argmax(axis=1))

    def matthews(self, rows: Rows) -> float:
        return matthews(self.truth[rows], self.said[rows].argmax(axis=1))

    def auc(self, rows: Rows) -> float:
        return auc(self.truth[rows] == 1, self._odds(rows))

    def recall(self, rows: Rows) -> float:
        return recall_at(self.truth[rows] == 1, self._odds(rows), 0.01)

    def figure(
        self, name: str, measure: Measure, seed: int, peer: str, goal: float | None = None
    ) -> Figure:
        value = measure(np.arange(self.truth.size))
        low, high = interval(measure, self.unit, seed=seed)
        return Figure(name, value, low, high, peer, goal)

    def _odds(self, rows: Rows) -> Floats:
        return np.asarray(self.said[rows, 1] - self.said[rows, 0], np.float64)


def _said(
    recipe: LiteratureRecipe,
    examples: Sequence[LabelledExample],
    truth: NDArray[np.intp],
    split: tuple[Rows, Rows],
    folds: Folds,
) -> Floats:
    shown, hidden = split
    fitted = fit_literature(recipe, [examples[i] for i in shown], truth[shown], folds)
    return fitted.scores([examples[i] for i in hidden])


def _development(
    recipe: LiteratureRecipe,
    examples: Sequence[LabelledExample],
    truth: NDArray[np.intp],
    seed: int,
) -> tuple[_Measured, tuple[str, ...]]:
    """A recipe fitted to the training split but what is near the development split."""
    shown, hidden, left_out = group_clean(examples)
    folds = folds_of(_units(examples, shown), count=TUNED_ON, seed=seed)
    said = _said(recipe, examples, truth, (shown, hidden), folds)
    note = f"{shown.size} train, {left_out} near-duplicates left out; {hidden.size} measured."
    return _Measured(truth[hidden], said, _units(examples, hidden)), (note,)


def group_clean(examples: Sequence[LabelledExample]) -> tuple[Rows, Rows, int]:
    """Rows to fit to, rows of the development split, and how many were near those."""
    split = np.array([e.split for e in examples])
    shown, hidden = np.flatnonzero(split == "train"), np.flatnonzero(split == "dev")
    near = Likeness(examples).near(shown, hidden)
    return shown[~near], hidden, int(near.sum())


def _units(examples: Sequence[LabelledExample], rows: Rows) -> Rows:
    return Likeness([examples[i] for i in rows]).units()


def _youtube(data: Path) -> list[LabelledExample]:
    """By video, each in the order of the published file."""
    return sorted(_of(data, "youtube_spam_uci"), key=_place)


def _place(example: LabelledExample) -> tuple[str, int]:
    return str(example.extra["video"]), int(str(example.extra["order"]))


def _of(data: Path, source: str) -> list[LabelledExample]:
    for name in (f"{source}.jsonl.gz", f"{source}.jsonl"):
        if (data / name).exists():
            return list(read_examples(data / name))
    raise FileNotFoundError(f"--data holds no {source}.jsonl.gz and no {source}.jsonl")


def _spam(examples: Sequence[LabelledExample]) -> NDArray[np.intp]:
    return np.array([e.label.positive for e in examples], np.intp)


def _numbers(names: Sequence[str]) -> NDArray[np.intp]:
    return np.unique(names, return_inverse=True)[1].astype(np.intp)
