"""Whether live scores still look like the held-out ones that a model was measured on.

Pure: counts in, numbers out. The population stability index (PSI) of two histograms is
sum((live - expected) * ln(live / expected)) over their bins, as shares; a usual reading is
below 0.1 alike, above 0.25 changed. Held-out examples have another share of spam than any one
site, which alone would read as drift. So what is expected is the mixture of the held-out
histograms of both labels that is likeliest to give the live one, with the share of the
positive label as its only unknown: what remains is what no share explains.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BINS = 20
LEAST = 1000
"""Scores from which on an index is given. By chance alone it is about (BINS - 1) / scores."""

WINDOW = 5000
"""An index is of the newest scores: more than half as many as this, at most this many."""

EVERY = 250
"""After so many scores the index is taken again."""

_STEPS = 40
_POSITIVE = ("spam", "toxic")


@dataclass(frozen=True, slots=True)
class Drift:
    """`index` is the PSI, at least 0. `share` is the likeliest share of the positive label,
    from 0 to 1; None when what is expected is one histogram and not two."""

    index: float
    share: float | None


Expected = tuple[Sequence[float], ...]
"""One histogram, or two: of the negative and of the positive label. Shares of each bin."""


def expected_of(histogram: Mapping[str, object], head: str) -> Expected:
    """What a manifest's histogram expects of a head; empty where it says nothing usable."""
    heads = histogram.get("heads")
    labels = heads.get(head) if isinstance(heads, Mapping) else None
    if histogram.get("bins") != BINS or not isinstance(labels, Mapping) or len(labels) != 2:
        return ()
    rows = [labels[label] for label in sorted(labels, key=_POSITIVE.__contains__)]
    if any(not isinstance(row, list) or len(row) != BINS or sum(row) <= 0 for row in rows):
        return ()
    return tuple(shares(row) for row in rows)


def shares(counts: Sequence[float]) -> list[float]:
    """Counts as shares that add up to 1. Half a count more in each bin, so that none is 0."""
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]


def drift(live: Sequence[float], expected: Expected) -> Drift:
    """How live counts differ from what is expected, which may not be empty."""
    found = shares(live)
    if len(expected) == 1:
        return Drift(_index(found, expected[0]), None)
    negative, positive = expected
    share = _likeliest_share(found, negative, positive)
    mixed = [(1 - share) * n + share * p for n, p in zip(negative, positive, strict=True)]
    return Drift(_index(found, mixed), share)


def shift(live: Mapping[str, float], before: Mapping[str, float]) -> tuple[float, str]:
    """How far counts by name moved, as the same index, and the name whose share moved most.

    A name that one of the two lacks counts 0 there. Neither may be empty.
    """
    names = sorted({*live, *before})
    found = shares([live.get(name, 0.0) for name in names])
    expected = shares([before.get(name, 0.0) for name in names])
    parts = [(f - e) * math.log(f / e) for f, e in zip(found, expected, strict=True)]
    return sum(parts), names[max(range(len(names)), key=parts.__getitem__)]


def _index(found: Sequence[float], expected: Sequence[float]) -> float:
    return sum((f - e) * math.log(f / e) for f, e in zip(found, expected, strict=True))


def _likeliest_share(
    found: Sequence[float], negative: Sequence[float], positive: Sequence[float]
) -> float:
    """By halving: the log-likelihood of a mixture's share has one peak, its slope falls."""

    def slope(share: float) -> float:
        return sum(
            f * (p - n) / (n + share * (p - n))
            for f, n, p in zip(found, negative, positive, strict=True)
        )

    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


class Watch:
    """The newest scores of one head against what is expected of them.

    Where nothing is expected, the first `WINDOW` scores become it. Not for several threads.
    """

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._older, self._newer = [0] * BINS, [0] * BINS
        self._in_newer = self._in_older = self._since = 0

    def add(self, scores: Sequence[float]) -> Drift | None:
        """Take scores from 0 to 1 in; the drift, when it is time to say it again."""
        said = None
        for score in scores:
            self._newer[min(int(score * BINS), BINS - 1)] += 1
            self._in_newer += 1
            self._since += 1
            said = self._said() if self._since >= EVERY else said
            if self._in_newer == WINDOW // 2:
                self._turn()
        return said

    def _said(self) -> Drift | None:
        self._since = 0
        if not self._expected or self._in_older + self._in_newer < LEAST:
            return None
        both = [old + new for old, new in zip(self._older, self._newer, strict=True)]
        return drift(both, self._expected)

    def _turn(self) -> None:
        if not self._expected and self._in_older:
            both = [old + new for old, new in zip(self._older, self._newer, strict=True)]
            self._expected = (shares(both),)
            self._newer, self._in_newer = [0] * BINS, 0
        self._older, self._in_older = self._newer, self._in_newer
        self._newer, self._in_newer = [0] * BINS, 0
