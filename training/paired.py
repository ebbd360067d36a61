"""Figures of two versions on the same rows, and of their difference, with intervals.

Pure arithmetic over two sets of columns that differ in score and outcome alone. Both versions
are resampled on the same groups, so that what is hard for both does not blur the difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.comparison import UNKNOWN_INTERVAL, Figure, Interval
from training.evaluation import (
    LEVEL,
    Estimate,
    Floats,
    Judged,
    effective_rows,
    figures_of_order,
    figures_of_sums,
    interval_of,
    proportion,
    resamples,
    wilson,
)

LEAST_GROUPS = 10
"""Of fewer groups no interval is told for what is only resampled: it would be too narrow."""

_DECIMALS = 6  # beyond this, sums differ between machines
_TAIL = (1 - LEVEL) / 2

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same rows as both versions judged them, in one order."""

    champion: Judged
    challenger: Judged

    def __len__(self) -> int:
        return len(self.champion)

    def where(self, chosen: Bools) -> "Pair":
        """The rows that are chosen."""
        return Pair(self.champion.where(chosen), self.challenger.where(chosen))


def share_figure(
    name: str,
    pair: Pair,
    *,
    hits: Callable[[Judged], Bools],
    random: np.random.Generator,
) -> Figure:
    """Which share of the rows each version `hits`, and how much more the challenger does."""
    one, other = pair.champion, pair.challenger
    before, after = hits(one), hits(other)
    return Figure(
        name=name,
        champion=_interval(proportion(before, one.weight, one.unit)),
        challenger=_interval(proportion(after, other.weight, other.unit)),
        difference=difference_of_shares(before, after, one.weight, one.unit, random),
        rows=len(pair),
    )


def difference_of_shares(
    before: Bools,
    after: Bools,
    weight: Floats,
    unit: NDArray[np.intp],
    random: np.random.Generator,
) -> Interval:
    """How much greater the share of `after` is than that of `before`, from -1 to 1.

    The interval holds two: the percentiles of resampled groups (Davison and Hinkley 1997, 3.8),
    which say nothing where few rows changed, and the one from the Wilson intervals of what was
    gained and of what was lost (the square-and-add rule of Newcombe 1998; Zou and Donner 2008), so
    that "none of 50 changed" is not "none ever will". No interval for a single group.
    """
    total = weight.sum()
    if total <= 0:
        return UNKNOWN_INTERVAL
    change = weight * (after.astype(float) - before)
    value = float(change.sum() / total)
    by_unit = np.stack([np.bincount(unit, weights=c) for c in (change, weight)], 1)
    by_unit = by_unit[by_unit[:, 1] > 0]
    # How alike the rows of a group are is seen in whatever changed, either way.
    rows = effective_rows((before != after).astype(float), weight, unit)
    if rows is None or len(by_unit) < 2:
        return _rounded(value)
    drawn = np.concatenate(
        [
            (sums := counts @ by_unit)[:, 0] / sums[:, 1]
            for counts in resamples(len(by_unit), len(unit), random)
        ]
    )
    low, high = np.quantile(drawn, [_TAIL, 1 - _TAIL])
    up, down = ((weight * moved).sum() / total for moved in (after & ~before, before & ~after))
    (up_low, up_high), (down_low, down_high) = wilson(up, rows), wilson(down, rows)
    low = max(-1.0, min(low, value, value - np.hypot(up - up_low, down_high - down)))
    high = min(1.0, max(high, value, value + np.hypot(up_high - up, down - down_low)))
    return _rounded(value, float(low), float(high))


def score_figures(
    names: Mapping[str, str],
    pair: Pair,
    *,
    rates: Mapping[str, float],
    random: np.random.Generator,
) -> list[Figure]:
    """Figures of the scores alone, named by `names`: what evaluation calls them to ours.

    `rates` are those of `figures_of_order`. Unknown where a label has no rows.
    """
    units = len(np.unique(pair.champion.unit))
    measures = [
        (figures_of_order(judged, rates), figures_of_sums(judged, units))
        for judged in (pair.champion, pair.challenger)
    ]

    def measured(counts: Floats) -> list[dict[str, Floats]]:
        # 0/0 is the honest answer of an undefined figure; it becomes None below.
        with np.errstate(divide="ignore", invalid="ignore"):
            return [
                {k: v for of in two for k, v in of(counts).items() if k in names}
                for two in measures
            ]

    if not len(pair):
        return []
    point = measured(np.ones((1, units)))
    enough = units >= LEAST_GROUPS
    drawn = [measured(c) for c in resamples(units, len(pair), random)] if enough else []
    return [
        _score_figure(
            own,
            len(pair),
            [
                (float(p[name][0]), _joined([d[side][name] for d in drawn]))
                for side, p in enumerate(point)
            ],
            reverse=name == "calibration_error",
        )
        for name, own in names.items()
    ]


def _joined(chunks: list[Floats]) -> Floats:
    return np.concatenate(chunks) if chunks else np.empty(0)


def _score_figure(
    name: str, rows: int, sides: list[tuple[float, Floats]], *, reverse: bool
) -> Figure:
    champion, challenger = (
        _interval(interval_of(point, drawn, reverse=reverse)) for point, drawn in sides
    )
    (one, before), (other, after) = sides
    difference = interval_of(other - one, after - before, reverse=False)
    return Figure(name, champion, challenger, _interval(difference), rows)


def _interval(estimate: Estimate) -> Interval:
    return Interval(estimate.value, estimate.low, estimate.high)


def _rounded(value: float, low: float | None = None, high: float | None = None) -> Interval:
    ends = (None if end is None else round(end, _DECIMALS) for end in (low, high))
    return Interval(round(value, _DECIMALS), *ends)
