"""What the scripted year comes to: curves by week, figures of the year, and their picture.

Knows arithmetic and drawing. Does not know how an arm was run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from benchmarks.year_site import Came, Site
from model.outcome import Outcome

RESAMPLED = 2_000


@dataclass(frozen=True, slots=True)
class Week:
    """Counts of one week. `published` is spam that was let through at once; `minutes` of people."""

    spam: int
    rejected: int
    held: int
    genuine: int
    genuine_rejected: int
    genuine_held: int
    minutes: float
    waiting: int
    version: str

    @property
    def published(self) -> int:
        return self.spam - self.rejected - self.held


@dataclass(frozen=True, slots=True)
class Share:
    """A share with the interval that 95 % of resampled years give."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


def weeks_of(site: Site, waiting: Sequence[int], versions: Sequence[str]) -> list[Week]:
    """The weeks of an arm; `waiting` and `versions` are as each day ended."""
    days = len(waiting)
    by_week: list[list[Came]] = [[] for _ in range(-(-days // 7))]
    for one in site.came:
        by_week[one.sent.day // 7].append(one)
    return [
        _week(
            comments,
            sum(site.seconds[day] for day in range(7 * at, 7 * at + 7)) / 60,
            waiting[min(7 * at + 6, days - 1)],
            versions[min(7 * at + 6, days - 1)],
        )
        for at, comments in enumerate(by_week)
    ]


def _week(comments: Iterable[Came], minutes: float, waiting: int, version: str) -> Week:
    counts = Counter((one.sent.positive, one.outcome) for one in comments)
    return Week(
        spam=sum(counts[True, outcome] for outcome in Outcome),
        rejected=counts[True, Outcome.REJECT],
        held=counts[True, Outcome.QUEUE],
        genuine=sum(counts[False, outcome] for outcome in Outcome),
        genuine_rejected=counts[False, Outcome.REJECT],
        genuine_held=counts[False, Outcome.QUEUE],
        minutes=minutes,
        waiting=waiting,
        version=version,
    )


def columns(weeks: Sequence[Week]) -> dict[str, NDArray[np.float64]]:
    """The counts as arrays, a value a week."""
    names = (
        "spam",
        "rejected",
        "held",
        "published",
        "genuine",
        "genuine_rejected",
        "genuine_held",
        "minutes",
    )
    return {name: np.array([getattr(week, name) for week in weeks], float) for name in names}


def share_of(weeks: Sequence[Week], parts: Sequence[str], whole: str, *, seed: int) -> Share:
    """A share of the year, by resampling its weeks."""
    told = columns(weeks)
    part = np.sum([told[name] for name in parts], axis=0)
    drawn = _drawn(len(weeks), seed)
    shares = part[drawn].sum(1) / np.maximum(told[whole][drawn].sum(1), 1)
    return _share(part.sum() / max(told[whole].sum(), 1), shares)


def difference(
    one: Sequence[Week], other: Sequence[Week], parts: Sequence[str], whole: str, *, seed: int
) -> Share:
    """How much more a share is in one arm than in another, by resampling the same weeks of both."""
    first, second = columns(one), columns(other)
    more = np.sum([first[name] - second[name] for name in parts], axis=0)
    drawn = _drawn(len(one), seed)
    shares = more[drawn].sum(1) / np.maximum(first[whole][drawn].sum(1), 1)
    return _share(more.sum() / max(first[whole].sum(), 1), shares)


def _drawn(weeks: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, weeks, (RESAMPLED, weeks))


def _share(value: float, drawn: NDArray[np.float64]) -> Share:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Share(float(value), float(low), float(high))


# ------------------------------------------------------------------ the picture

WIDE, HIGH, LEFT, TOP, BETWEEN = 820, 150, 64, 46, 62
LETTER = 5.5  # how wide one is of the names of spans, about
COLOURS = ("#8a8a8a", "#c77700", "#0b6bcb")


@dataclass(frozen=True, slots=True)
class Panel:
    """One row of curves: a value a week for each arm. `line` is drawn across, None for none."""

    title: str
    unit: str
    curves: Mapping[str, Sequence[float]]
    line: float | None = None


def drawn(panels: Sequence[Panel], spans: Sequence[tuple[str, float, float]]) -> str:
    """The panels as one SVG, one above the other; `spans` are shaded, in weeks, with their name."""
    height = TOP + len(panels) * (HIGH + BETWEEN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDE + 20} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{LEFT + WIDE + 20}" height="{height}" fill="#fff"/>',
    ]
    names = list(panels[0].curves)
    for at, name in enumerate(names):
        x = LEFT + 260 * at
        parts.append(
            f'<path d="M{x} 16h24" stroke="{COLOURS[at]}" stroke-width="3"/>'
            f'<text x="{x + 30}" y="20" fill="#222">{name}</text>'
        )
    for at, panel in enumerate(panels):
        parts += _panel(panel, TOP + at * (HIGH + BETWEEN) + 20, spans)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, top: int, spans: Sequence[tuple[str, float, float]]) -> list[str]:
    weeks = max(len(curve) for curve in panel.curves.values())
    ticks = _ticks(max([panel.line or 0.0, *(v for c in panel.curves.values() for v in c)]))
    most = ticks[-1]

    def x(week: float) -> float:
        return LEFT + WIDE * week / max(weeks - 1, 1)

    def y(value: float) -> float:
        return top + HIGH * (1 - value / most)

    parts = [f'<text x="{LEFT}" y="{top - 8}" fill="#222" font-weight="bold">{panel.title}</text>']
    for name, begins, ends in spans:
        left, right = x(begins), x(min(ends, weeks - 1))
        # Below a name that would run into this one.
        runs_in = any(x(other) < left < x(other) + LETTER * len(told) for told, other, _ in spans)
        line = top + (24 if runs_in else 12)
        parts.append(
            f'<rect x="{left:.0f}" y="{top}" width="{max(right - left, 1):.0f}" height="{HIGH}" '
            f'fill="#000" opacity=".06"/><text x="{left + 3:.0f}" y="{line}" '
            f'font-size="10" fill="#666">{name}</text>'
        )
    for value in ticks:
        parts.append(
            f'<path d="M{LEFT} {y(value):.1f}h{WIDE}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">'
            f"{value:g}{panel.unit}</text>"
        )
    if panel.line is not None:
        parts.append(
            f'<path d="M{LEFT} {y(panel.line):.1f}h{WIDE}" stroke="#b00020" '
            'stroke-dasharray="5 4"/>'
        )
    for curve, colour in zip(panel.curves.values(), COLOURS, strict=False):
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(curve))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    for week in range(0, weeks, 4):
        parts.append(
            f'<text x="{x(week):.0f}" y="{top + HIGH + 15}" text-anchor="middle" fill="#555" '
            f'font-size="10">{week + 1}</text>'
        )
    return parts


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to `most` or more, 0 or more, of which there are 3 to 5."""
    exponent = floor(log10(most / 4)) if most > 0 else 0
    step = next(s for s in (1, 2, 5, 10) if s * 10.0**exponent * 4 >= most)
    count = max(2, ceil(most / (step * 10.0**exponent)))
    return [float(f"{at * step}e{exponent}") for at in range(count + 1)]


def smoothed(part: NDArray[np.float64], whole: NDArray[np.float64]) -> list[float]:
    """A share by week in per cent, each over itself and the three weeks before."""
    found = []
    for at in range(part.size):
        weeks = slice(max(0, at - 3), at + 1)
        found.append(float(100 * part[weeks].sum() / max(whole[weeks].sum(), 1)))
    return found
