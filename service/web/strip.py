"""The score strip: how what waits lies along the scores, drawn as bars.

Knows how high a bar is and where the thresholds lie. Does not know a database or HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from service.storage.finding import Levels

BAR = 20
"""The width of a bar, in the picture's own units."""

HEIGHT = 96


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, from the top: of one level of sureness ("low", "unsure", "likely")."""

    level: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of scores: from `low` to `high` percent, with so many comments."""

    place: int
    low: int
    high: int
    number: int
    x: int
    pieces: tuple[Piece, ...]
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """All bars, and where the machine becomes unsure, and likely to be right."""

    bars: tuple[Bar, ...]
    width: int
    thresholds: tuple[tuple[str, int, int], ...]  # level, x, percent
    chosen: int


def strip_of(bins: Sequence[Levels], *, low: int, high: int) -> Strip:
    """The strip of a histogram; bars from `low` to `high` are chosen."""
    most = max((sum(one) for one in bins), default=0)
    size = 100 // len(bins)
    bars = tuple(
        Bar(
            place=at,
            low=at * size,
            high=(at + 1) * size,
            number=sum(one),
            x=at * BAR,
            pieces=_pieces(one, most),
            is_chosen=low <= at <= high,
        )
        for at, one in enumerate(bins)
    )
    chosen = sum(bar.number for bar in bars if bar.is_chosen)
    return Strip(bars, BAR * len(bins), _thresholds(bins, size), chosen)


_NAMES = ("low", "unsure", "likely")


def _pieces(levels: Levels, most: int) -> tuple[Piece, ...]:
    """By the square root, so that a few comments beside thousands are still seen."""
    number = sum(levels)
    if not number:
        return ()
    height = max(2, ceil(HEIGHT * sqrt(number / most)))
    pieces, y = [], HEIGHT - height
    for name, part in sorted(zip(_NAMES, levels, strict=True), reverse=True):
        if part:
            share = round(height * part / number)
            pieces.append(Piece(name, y, share))
            y += share
    return tuple(pieces)


def _thresholds(bins: Sequence[Levels], size: int) -> tuple[tuple[str, int, int], ...]:
    """Where most comments first are unsure, and likely, going by what was told of each.

    Thresholds differ by site and language and were others yesterday: this is where they lay.
    """
    found: list[tuple[str, int, int]] = []
    for level in (1, 2):
        reached = (at for at, one in enumerate(bins) if sum(one[level:]) * 2 > sum(one) > 0)
        at = next(reached, None)
        if at is not None and not any(x == at * BAR for _, x, _ in found):
            found.append((_NAMES[level], at * BAR, at * size))
    return tuple(found)
