"""Small drawings for a report, as SVG that stands in its page.

Knows lines, bars and intervals; not what they are of. Colours come from the page's style sheet by
class: there is no style in the markup, so that a page may forbid it. Every text is escaped.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from model.comparison import Interval

_BAR_WIDTH, _BAR_HEIGHT = 160, 20
_WIDTH, _HEIGHT = 360, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 22, 10, 38


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a plot: from `low` to `high`, with ticks where they are named."""

    name: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, 0 to 1; what lies beyond is at the end."""
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = (math.log10(max(x, 1e-12)) for x in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low)))


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line, or alone; `key` is the class its colour goes by."""

    key: str
    points: tuple[tuple[float, float], ...]
    with_dots: bool = False


def change_bar(difference: Interval, limit: float, key: str) -> Markup:
    """An interval about nought, for a table: decoration beside the same figures as text.

    `limit` is what the ends of the bar stand for, in either direction; longer intervals are
    cut and have no end mark. `key` is better, worse or same.
    """
    if difference.value is None or limit <= 0:
        return Markup("")
    middle, half = _BAR_WIDTH / 2, _BAR_WIDTH / 2 - 4

    def at(value: float) -> float:
        return middle + half * min(1.0, max(-1.0, value / limit))

    y = _BAR_HEIGHT / 2
    parts = [f'<line class="zero" x1="{middle:.1f}" y1="0" x2="{middle:.1f}" y2="{_BAR_HEIGHT}"/>']
    if difference.low is not None and difference.high is not None:
        low, high = at(difference.low), at(difference.high)
        parts.append(f'<line class="range" x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}"/>')
        parts += [
            f'<line class="range" x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + 3}"/>'
            for end, x in ((difference.low, low), (difference.high, high))
            if abs(end) <= limit
        ]
    parts.append(f'<circle class="dot" cx="{at(difference.value):.1f}" cy="{y}" r="4"/>')
    return _svg("bar", key, (_BAR_WIDTH, _BAR_HEIGHT), parts)


def share_bar(share: float, key: str) -> Markup:
    """A share of 1 as a bar, for a table."""
    width = 100 * min(1.0, max(0.0, share))
    parts = [
        '<rect class="ground" x="0" y="0" width="100" height="8" rx="2"/>',
        f'<rect class="full" x="0" y="0" width="{width:.1f}" height="8" rx="2"/>',
    ]
    return _svg("share", key, (100, 8), parts)


def plot(
    x: Axis, y: Axis, lines: Sequence[Line], said: str, *, rules: Sequence[Line] = ()
) -> Markup:
    """Lines over two axes. `said` is read out in its place; `rules` are thin, and behind."""
    across, up = _scales(x, y)
    parts = [*_axes(x, y, across, up)]
    for rule in rules:
        parts.append(_path("rule", rule.points, across, up))
    for line in lines:
        parts.append(_path(f"line {line.key}", line.points, across, up))
        if line.with_dots:
            parts += [
                f'<circle class="mark {line.key}" cx="{across(px):.1f}" cy="{up(py):.1f}" r="3.5"/>'
                for px, py in line.points
            ]
    return _svg("plot", "", (_WIDTH, _HEIGHT), parts, said=said)


def histogram(x: Axis, y: Axis, then: Sequence[float], now: Sequence[float], said: str) -> Markup:
    """Two rows of shares over the same bins: `then` as filled steps, `now` as a line."""
    across, up = _scales(x, y)
    parts = [*_axes(x, y, across, up)]
    bins = len(then)
    for at, value in enumerate(then):
        left, right = across(at / bins), across((at + 1) / bins)
        top, bottom = up(value), up(y.low)
        parts.append(
            f'<rect class="then" x="{left:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" '
            f'height="{max(0.0, bottom - top):.1f}"/>'
        )
    steps = [(at / bins, value) for at, value in enumerate(now)]
    outline = [
        point for left, value in steps for point in ((left, value), (left + 1 / bins, value))
    ]
    parts.append(_path("line challenger", outline, across, up))
    return _svg("plot", "", (_WIDTH, _HEIGHT), parts, said=said)


_Scale = Callable[[float], float]


def _scales(x: Axis, y: Axis) -> tuple[_Scale, _Scale]:
    return (
        lambda value: _LEFT + x.share(value) * (_WIDTH - _LEFT - _RIGHT),
        lambda value: _HEIGHT - _BOTTOM - y.share(value) * (_HEIGHT - _TOP - _BOTTOM),
    )


def _axes(x: Axis, y: Axis, across: _Scale, up: _Scale) -> list[str]:
    floor, left, right = _HEIGHT - _BOTTOM, _LEFT, _WIDTH - _RIGHT
    parts = [f'<line class="axis" x1="{left}" y1="{floor}" x2="{right}" y2="{floor}"/>']
    for value, name in y.ticks:
        at = up(value)
        parts.append(f'<line class="grid" x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick end" x="{left - 6}" y="{at + 4:.1f}">{escape(name)}</text>'
        )
    for value, name in x.ticks:
        at = across(value)
        parts.append(
            f'<text class="tick middle" x="{at:.1f}" y="{floor + 15}">{escape(name)}</text>'
        )
    middle = (left + right) / 2
    parts.append(f'<text class="name" x="{middle:.0f}" y="{_HEIGHT - 4}">{escape(x.name)}</text>')
    return parts


def _path(key: str, points: Sequence[tuple[float, float]], across: _Scale, up: _Scale) -> str:
    if not points:
        return ""
    steps = " L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in points)
    return f'<path class="{escape(key)}" d="M{steps}"/>'


def _svg(
    kind: str, key: str, size: tuple[int, int], parts: Sequence[str], *, said: str = ""
) -> Markup:
    spoken = f'role="img" aria-label="{escape(said)}"' if said else 'aria-hidden="true"'
    names = escape(f"{kind} {key}".strip())
    # Every part is ours: numbers, classes of our own and escaped names.
    return Markup(
        f'<svg class="{names}" {spoken} viewBox="0 0 {size[0]} {size[1]}">{"".join(parts)}</svg>'
    )
