"""Figures with intervals, beside a peer's and a goal.

Knows metrics, resampling of groups, and tables. Does not know data sets.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]
Rows = NDArray[np.intp]
Measure = Callable[[Rows], float]

DRAWS = 400


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `peer` is what the best peer reached, in words, empty for none.

    `low` and `high` bound a 95 % interval, NaN where none can be had. `goal` is the least to
    reach, or with `at_most` the most.
    """

    name: str
    value: float
    low: float
    high: float
    peer: str = ""
    goal: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(frozen=True, slots=True)
class Table:
    """What one row of the benchmark measured, under which protocol."""

    row: str
    protocol: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The table as Markdown."""
        yield f"## {self.row}"
        yield ""
        yield self.protocol
        yield ""
        yield "| figure | measured | 95 % interval | best peer | goal | met |"
        yield "| --- | ---: | :-: | --- | ---: | :-: |"
        for f in self.figures:
            between = "" if np.isnan(f.low) else f"{_short(f.low)}–{_short(f.high)}"
            goal = "" if f.goal is None else f"{'≤' if f.at_most else '≥'} {_short(f.goal)}"
            met = {None: "", True: "yes", False: "no"}[f.met]
            yield f"| {f.name} | {_short(f.value)} | {between} | {f.peer} | {goal} | {met} |"
        if self.notes:
            yield ""
        for note in self.notes:
            yield f"- {note}"

    def json_body(self) -> dict[str, object]:
        """The table as JSON knows it; null for what cannot be had."""
        return {
            "row": self.row,
            "protocol": self.protocol,
            "figures": [
                asdict(f)
                | {name: _or_none(getattr(f, name)) for name in ("value", "low", "high")}
                | {"met": f.met}
                for f in self.figures
            ],
            "notes": list(self.notes),
        }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def interval(measure: Measure, unit: Rows, *, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """The middle 95 % of what is measured when whole units are drawn again with replacement.

    `unit` numbers the group of each row. A draw that cannot be measured, such as one without
    spam, is left out; NaN twice when that is so of half of them or there are under two units.
    """
    order = np.argsort(unit, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(unit[order])) + 1)
    if len(members) < 2:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = random.integers(len(members), size=len(members))
        found.append(measure(np.concatenate([members[i] for i in drawn])))
    told = np.array(found)
    told = told[~np.isnan(told)]
    if told.size < draws / 2:
        return float("nan"), float("nan")
    low, high = np.quantile(told, (0.025, 0.975))
    return float(low), float(high)


# ------------------------------------------------------------------ metrics


# Written out, as intervals take each hundreds of times: scikit-learn's take milliseconds each.


def macro_f1(truth: NDArray[np.intp], told: NDArray[np.intp]) -> float:
    """The mean of F1 over the classes there are in either; NaN when the truth is of one class."""
    counts = _counts(truth, told)
    if np.count_nonzero(counts.sum(axis=1)) < 2:
        return float("nan")
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * counts.diagonal()[both > 0] / both[both > 0]).mean())


def matthews(truth: NDArray[np.intp], told: NDArray[np.intp]) -> float:
    """Matthews' correlation of any number of classes (Gorodkin 2004); NaN when the truth is one.

    0 when only one class is told.
    """
    counts = _counts(truth, told).astype(np.float64)
    rows, columns, size = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    if np.count_nonzero(rows) < 2:
        return float("nan")
    spread = (size**2 - (columns**2).sum()) * (size**2 - (rows**2).sum())
    agreed = counts.trace() * size - (rows * columns).sum()
    return float(agreed / np.sqrt(spread)) if spread > 0 else 0.0


def auc(positive: Truths, score: Floats) -> float:
    """The chance that a positive row scores above a negative one; NaN without both."""
    spam = int(positive.sum())
    ham = positive.size - spam
    if not spam or not ham:
        return float("nan")
    return float((rankdata(score)[positive].sum() - spam * (spam + 1) / 2) / (spam * ham))


def _counts(truth: NDArray[np.intp], told: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many rows of each class (first index) were told to be of each."""
    classes = int(max(truth.max(initial=0), told.max(initial=0))) + 1
    counts = np.bincount(truth * classes + told, minlength=classes**2)
    return counts.reshape(classes, classes)


def recall_at(positive: Truths, score: Floats, flagged_ham: float) -> float:
    """The share of positive rows above the lowest threshold that flags at most so much ham.

    NaN without both classes. A row that ties with the threshold is not above it.
    """
    if positive.all() or not positive.any():
        return float("nan")
    ham = np.sort(score[~positive])[::-1]
    return float((score[positive] > ham[int(flagged_ham * ham.size)]).mean())


def mean_over(parts: Sequence[NDArray[np.bool_]], measure: Measure) -> Measure:
    """A measure taken of each part alone, and averaged; NaN when one cannot be measured."""

    def averaged(rows: Rows) -> float:
        return float(np.mean([measure(rows[part[rows]]) for part in parts]))

    return averaged


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"
