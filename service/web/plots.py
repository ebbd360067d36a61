"""Plots as SVG that stand in a page: numbers in, markup out.

Knows axes, bars, lines and intervals. Does not know what is plotted. Colours, fonts and the dark
mode are in dashboard.css, by class: there is no style in the markup. Every text is escaped. A
plot is drawn twice, for wide and for narrow pages, so that its letters are as large as those
around it; the page shows one of them. Marks differ in lightness and order, not in hue alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Size:
    """How large a plot is drawn, in the page's pixels; `labels` is how many fit below it."""

    name: str
    width: int
    height: int
    labels: int
    left: int = 52


SIZES = (Size("wide", 540, 230, 6), Size("narrow", 330, 210, 3))


@dataclass(frozen=True, slots=True)
class Series:
    """Values in a row, as many as there are labels; None where there is none.

    `key` is the class that the colour goes by.
    """

    key: str
    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with what it may well be: 0 <= low <= middle <= high <= 1. `note` says of what."""

    name: str
    low: float
    middle: float
    high: float
    note: str


@dataclass(frozen=True, slots=True)
class Plot:
    """What all kinds of plots have.

    `id` is unique in the page; `title` and `said` are read out in its place. `marks` are drawn
    at the left edge of a label's place, with a letter or two. `number` writes a value on the axis.
    """

    id: str
    title: str
    said: str
    labels: tuple[str, ...]
    number: Callable[[float], str]
    marks: tuple[tuple[int, str], ...] = ()
    unit: str = ""
    dates: tuple[str, ...] = field(default=())
    """What the tooltip of a place begins with, if other than its label."""


def stacked_bars(plot: Plot, series: Sequence[Series]) -> Markup:
    """Bars on top of each other, the first at the bottom. Values are at least 0."""
    totals = [sum(s.values[at] or 0 for s in series) for at in range(len(plot.labels))]
    return _both(plot, lambda size: _bars(plot, series, size, max(totals, default=0)))


def lines(plot: Plot, series: Sequence[Series], *, least: float = 0) -> Markup:
    """Lines over the same places, broken where there is no value; from 0 up to `least` at least."""
    most = max([least, *(v for s in series for v in s.values if v is not None)])
    return _both(plot, lambda size: _lines(plot, series, size, most))


def histogram(plot: Plot, found: Series, expected: Series | None = None) -> Markup:
    """Bars side by side, with a stepped line for what is expected."""
    values = [*found.values, *(expected.values if expected else ())]
    most = max([0.0, *(v for v in values if v is not None)])
    return _both(plot, lambda size: _histogram(plot, found, expected, size, most))


def intervals(plot: Plot, rows: Sequence[Interval]) -> Markup:
    """Shares from 0 to 1, one below the other: a dot with a bar for what each may well be."""
    return _both(plot, lambda size: _intervals(plot, rows, size))


# ------------------------------------------------------------------ the frame

_TOP, _BOTTOM, _RIGHT = 24, 26, 10


def _both(plot: Plot, draw: Callable[[Size], Markup]) -> Markup:
    return Markup("").join(draw(size) for size in SIZES)


def _svg(plot: Plot, size: Size, height: int, body: Markup) -> Markup:
    of = f"{plot.id}-{size.name}"
    return Markup(
        '<svg class="plot {}" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-t {}-d">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>{}</svg>'
    ).format(size.name, size.width, height, of, of, of, plot.title, of, plot.said, body)


@dataclass(frozen=True, slots=True)
class _Axes:
    """From values to places; `top` is what the highest line of the grid stands for."""

    plot: Plot
    size: Size
    top: float
    step: float

    @classmethod
    def of(cls, plot: Plot, size: Size, most: float) -> "_Axes":
        step = nice_step(most / MOST_TICKS) if most > 0 else 1
        return cls(plot, size, max(step * math.ceil(most / step - 1e-9), step), step)

    @property
    def width(self) -> float:
        return self.size.width - self.size.left - _RIGHT

    @property
    def floor(self) -> float:
        return self.size.height - _BOTTOM

    def x(self, at: float) -> float:
        return self.size.left + self.width * at / max(1, len(self.plot.labels))

    def y(self, value: float) -> float:
        return self.floor - (self.floor - _TOP) * value / self.top

    def drawn(self) -> Markup:
        parts = [self._level(step) for step in range(round(self.top / self.step) + 1)]
        parts += [self._label(at) for at in self._labelled()]
        parts += [self._mark(at, name) for at, name in self.plot.marks]
        if self.plot.unit:
            unit = Markup('<text class="axis" x="0" y="10">{}</text>')
            parts.append(unit.format(self.plot.unit))
        return Markup("").join(parts)

    def _level(self, step: int) -> Markup:
        value = step * self.step
        y = self.y(value)
        line = Markup(
            '<line class="{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
            '<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        )
        kind = "level" if step else "floor"
        left, right = self.size.left, self.size.width - _RIGHT
        return line.format(kind, left, right, y, y, left - 6, y + 4, self.plot.number(value))

    def _labelled(self) -> list[int]:
        count = len(self.plot.labels)
        every = max(1, math.ceil(count / self.size.labels))
        return list(range(0, count, every))

    def _label(self, at: int) -> Markup:
        text = '<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{}</text>'
        x = self.x(at + 0.5)
        anchor = "end" if x > self.size.width - 30 else "middle"
        return Markup(text).format(x, self.size.height - 6, anchor, self.plot.labels[at])

    def _mark(self, at: int, name: str) -> Markup:
        x = self.x(at)
        mark = (
            '<line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{:.1f}"/>'
            '<text class="mark" x="{:.1f}" y="{}" text-anchor="{}">{}</text>'
        )
        anchor = "end" if x > self.size.width - 40 else "start"
        beside = x - 3 if anchor == "end" else x + 3
        return Markup(mark).format(x, x, _TOP - 14, self.floor, beside, _TOP - 6, anchor, name)

    def tips(self, series: Sequence[Series]) -> Markup:
        """A strip over each place, which tells its values to whoever points at it."""
        tip = Markup(
            '<rect class="tip" x="{:.1f}" y="{}" width="{:.1f}" height="{:.1f}">'
            "<title>{}</title></rect>"
        )
        wide = self.width / max(1, len(self.plot.labels))
        names = self.plot.dates or self.plot.labels
        return Markup("").join(
            tip.format(self.x(at), _TOP, wide, self.floor - _TOP, self._told(at, name, series))
            for at, name in enumerate(names)
        )

    def _told(self, at: int, name: str, series: Sequence[Series]) -> str:
        told = [
            f"{s.name}: {self.plot.number(value)}"
            for s in series
            if (value := s.values[at]) is not None
        ]
        return "\n".join([name, *told])


def nice_step(rough: float) -> float:
    """The least of 1, 2, 5, 10, 20, … and 0.5, 0.2, … that is at least `rough`, above 0.

    Heckbert's nice numbers for graph labels (Graphics Gems, 1990), without his rounding down.
    """
    if not 0 < rough < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))


# ------------------------------------------------------------------ kinds of plots


def _bars(plot: Plot, series: Sequence[Series], size: Size, most: float) -> Markup:
    axes = _Axes.of(plot, size, most)
    bar = Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>')
    wide = axes.width / max(1, len(plot.labels))
    gap = min(2.0, wide * 0.2)
    parts = []
    for at in range(len(plot.labels)):
        below = 0.0
        for s in series:
            value = s.values[at] or 0
            if value > 0:
                y, height = axes.y(below + value), axes.y(below) - axes.y(below + value)
                parts.append(bar.format(s.key, axes.x(at) + gap / 2, y, wide - gap, height))
            below += value
    return _svg(plot, size, size.height, axes.drawn() + Markup("").join(parts) + axes.tips(series))


def _lines(plot: Plot, series: Sequence[Series], size: Size, most: float) -> Markup:
    axes = _Axes.of(plot, size, most)
    drawn = Markup("").join(_run(axes, s.key, run) for s in series for run in _runs(s.values))
    return _svg(plot, size, size.height, axes.drawn() + drawn + axes.tips(series))


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for at, value in enumerate(values):
        if value is not None:
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _run(axes: _Axes, key: str, run: Sequence[tuple[int, float]]) -> Markup:
    places = [(axes.x(at + 0.5), axes.y(value)) for at, value in run]
    if len(places) == 1:
        dot = Markup('<circle class="line {}" cx="{:.1f}" cy="{:.1f}" r="3"/>')
        return dot.format(key, *places[0])
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Markup('<polyline class="line {}" points="{}"/>').format(key, points)


def _histogram(
    plot: Plot, found: Series, expected: Series | None, size: Size, most: float
) -> Markup:
    axes = _Axes.of(plot, size, most)
    bar = Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>')
    wide = axes.width / max(1, len(plot.labels))
    parts = [
        bar.format(found.key, axes.x(at) + 0.5, axes.y(v), wide - 1, axes.floor - axes.y(v))
        for at, value in enumerate(found.values)
        if (v := value or 0) > 0
    ]
    if expected is not None:
        steps = [
            f"{axes.x(at + side):.1f},{axes.y(value or 0):.1f}"
            for at, value in enumerate(expected.values)
            for side in (0, 1)
        ]
        line = Markup('<polyline class="line {}" points="{}"/>')
        parts.append(line.format(expected.key, " ".join(steps)))
    told = [found, *([expected] if expected else [])]
    return _svg(plot, size, size.height, axes.drawn() + Markup("").join(parts) + axes.tips(told))


_ROW = 44


def _intervals(plot: Plot, rows: Sequence[Interval], size: Size) -> Markup:
    height = _TOP + _ROW * len(rows) + _BOTTOM
    left, right = 12, size.width - 24
    floor = height - _BOTTOM

    def x(share: float) -> float:
        return left + (right - left) * min(1.0, max(0.0, share))

    level = Markup(
        '<line class="level" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
    )
    parts = [
        level.format(x(s), x(s), _TOP - 8, floor, x(s), height - 6, plot.number(s))
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    for at, row in enumerate(rows):
        parts.append(_interval(row, y=_TOP + _ROW * at, x=x, size=size))
    return _svg(plot, size, height, Markup("").join(parts))


def _interval(row: Interval, *, y: float, x: Callable[[float], float], size: Size) -> Markup:
    fits = size.width // 8 - len(row.note)
    name = row.name if len(row.name) <= fits else row.name[: max(1, fits - 1)] + "…"
    drawn = Markup(
        '<text class="label" x="12" y="{}">{}</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
        '<line class="reach" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
        '<circle class="dot" cx="{:.1f}" cy="{}" r="5"/>'
    )
    return drawn.format(
        y + 10,
        name,
        size.width - 12,
        y + 10,
        row.note,
        x(row.low),
        x(row.high),
        y + 24,
        y + 24,
        x(row.middle),
        y + 24,
    )


def legend(series: Sequence[Series]) -> Markup:
    """What each colour stands for, as a list."""
    entry = Markup('<li><i class="swatch {}"></i>{}</li>')
    entries = Markup("").join(entry.format(s.key, escape(s.name)) for s in series)
    return Markup('<ul class="legend">{}</ul>').format(entries)
