"""Shares, and what they may well be. Pure: counts in, numbers out."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z = 1.959963984540054
"""The normal quantile of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share and its 95 % interval: 0 <= low <= middle <= high <= 1."""

    low: float
    middle: float
    high: float


def wilson(hits: float, of: float) -> Share | None:
    """The share of `hits` among `of` with Wilson's interval; None of nothing.

    (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n): E. B. Wilson, Probable inference, the
    law of succession, and statistical inference, JASA 22 (1927). It keeps within [0, 1] and means
    something for few and for none, where p ± z √(p(1 - p)/n) does not. `of` need not be a whole
    number.
    """
    if not of > 0:
        return None
    p = min(1.0, max(0.0, hits / of))
    square = Z * Z / of
    middle = (p + square / 2) / (1 + square)
    reach = Z * math.sqrt(p * (1 - p) / of + square / (4 * of)) / (1 + square)
    return Share(max(0.0, min(p, middle - reach)), p, min(1.0, max(p, middle + reach)))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Sums over a sample: of 1 / chance, and of its square."""

    weight: float
    squares: float


def weighted(hits: Iterable[Drawn], others: Iterable[Drawn]) -> Share | None:
    """The share of hits in what a sample was drawn from, where chances differed; None of nothing.

    Each stands for as many as 1 / its chance (Horvitz and Thompson, JASA 47, 1952). The interval
    is Wilson's over the effective size (Σw)²/Σw² (Kish, Survey Sampling, 1965), which is the
    number of the sample where all chances are the same.
    """
    hits, others = [*hits], [*others]
    weight = sum(one.weight for one in (*hits, *others))
    squares = sum(one.squares for one in (*hits, *others))
    if weight <= 0 or squares <= 0:
        return None
    size = weight * weight / squares
    return wilson(size * sum(one.weight for one in hits) / weight, size)
