"""Shares, and what they may well be. Pure: counts in, numbers out."""

import math
from collections.abc import Callable, Iterable, Sequence
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
    """Sums over a sample of `times`: of 1 / chance, and of its square."""

    weight: float
    squares: float
    times: int = 0


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


@dataclass(frozen=True, slots=True)
class Part:
    """So many, of which an estimated share is meant; None where nothing is known of it."""

    number: float
    share: Share | None


def by_stretches(hits: Sequence[int], sizes: Sequence[int], of: int) -> Share | None:
    """The share of hits among `of`, by some stretches of them drawn by chance; None of nothing.

    `hits` of `sizes` in each. What lies together is alike (a wave of advertisements is one day's),
    so that a stretch says less than as many drawn one by one. The variance is that of a ratio over
    clusters, less what was looked at already (Cochran, Sampling Techniques, 1977, chapters 2 and
    9A), the interval Wilson's over the size that has this variance, and never over more than there
    were. One stretch says nothing of how they differ, and counts as one.
    """
    seen, number = sum(sizes), len(sizes)
    if not seen:
        return None
    p, unseen = sum(hits) / seen, max(0.0, 1 - seen / of)
    if not unseen:
        return Share(p, p, p)
    if number < 2:
        return wilson(p, 1)
    residuals = sum((h - p * n) ** 2 for h, n in zip(hits, sizes, strict=True))
    variance = number / (number - 1) * residuals / seen**2
    size = min(seen, p * (1 - p) / variance) if variance > 0 else seen
    return wilson(p * size / unseen, size / unseen)


def complement(share: Share | None) -> Share | None:
    """The share of what is not meant."""
    return None if share is None else Share(1 - share.high, 1 - share.middle, 1 - share.low)


def share_within(inside: Sequence[Part], outside: Sequence[Part]) -> Share | None:
    """Of all that is meant, how much lies inside; None of nothing, or where a part is unknown.

    With the number n of each part, its share p between l and u, and r the share sought, the sum
    of c n p over all parts is 0 at r, where c is 1 - r inside and -r outside. The interval holds
    every r for which that sum may be 0, its limits put together from those of the parts, whose
    errors are independent: the sum ± √Σ (c n (p - l or u - p))² (the method of variance estimates
    recovery, G. Zou and A. Donner, Statistics in Medicine 27, 2008).
    """
    known_in = [(part.number, part.share) for part in inside if part.number > 0]
    known_out = [(part.number, part.share) for part in outside if part.number > 0]
    parts = [(n, s, True) for n, s in known_in] + [(n, s, False) for n, s in known_out]
    given = [(n, s, is_in) for n, s, is_in in parts if s is not None]
    if len(given) != len(parts):
        return None
    meant = sum(n * s.middle for n, s, _ in given)
    if meant <= 0:
        return None
    r = sum(n * s.middle for n, s, is_in in given if is_in) / meant

    def edge(at: float, sign: int) -> float:
        """The sum's limit below (sign -1) or above (1)."""
        total = spread = 0.0
        for n, s, is_in in given:
            c = (1 - at if is_in else -at) * n
            total += c * s.middle
            far = s.high if (c > 0) == (sign > 0) else s.low
            spread += (c * (far - s.middle)) ** 2
        return total + sign * math.sqrt(spread)

    low = _turning_point(0.0, r, lambda at: edge(at, -1) >= 0)
    high = _turning_point(r, 1.0, lambda at: edge(at, 1) > 0)
    return Share(min(low, r), r, max(high, r))


def _turning_point(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """By halving, where what holds at `low` ceases to; `high` where it never does."""
    if holds(high):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
