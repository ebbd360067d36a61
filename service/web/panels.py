"""The dashboard's panels: what each shows, in words, as a plot and as a table.

Knows how figures are written, over days and as shares with their intervals. Reads nothing. Where
there is nothing to show, a panel says so and has no plot. Which panels there are is in
`service.web.board`; those that tell one story are a module.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from service.estimates import Share, wilson
from service.storage.figures import Scope
from service.storage.statistics import Record
from service.web import plots
from service.web.numbers import Numbers
from service.web.plots import Interval, Plot, Series
from service.web.texts import Texts

OUTCOMES = ("accept", "queue", "reject")
MOST_DAYS = 92
"""Of more days, seven are put together."""

MOST_INTERVALS = 12
"""Shares that are drawn; the table has all."""

MOST_ROWS = 100
"""Rows of a table in the page; the file has all."""

NOTHING = Markup("")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a table: as a file has it, and as people read it where it is in the page."""

    value: object
    shown: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the dashboard's parts. `key` names it, in addresses too."""

    key: str
    title: str
    about: str
    said: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    plot: Markup = NOTHING
    legend: Markup = NOTHING
    notes: tuple[str, ...] = ()


class Frame:
    """How the panels of some days are written in a language.

    `say` writes numbers. `first_days` begin what is shown as one place, and `place` has
    the place of each day.
    """

    def __init__(self, t: Texts, scope: Scope) -> None:
        self.t, self.scope = t, scope
        self.say = Numbers(t)
        days = scope.days
        step = 1 if len(days) <= MOST_DAYS else 7
        # The last one ends today, so the first may be short.
        short = len(days) % step or step
        starts = [0, *range(short, len(days), step)] if days else []
        self.first_days = tuple(days[at] for at in starts)
        self.place = {
            day: max(0, (at - short) // step + 1) if at >= short else 0
            for at, day in enumerate(days)
        }

    def over_time(
        self,
        words: str,
        series: Sequence[Series],
        said: str,
        *,
        draw: Callable[[Plot, Sequence[Series]], Markup],
        key: str = "",
        unit: str = "",
        marks: tuple[tuple[int, str], ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Panel:
        """A panel of some series over the days."""
        t = self.t
        title = t(f"title.{words}")
        days = tuple(t("dashboard.day", at=day) for day in self.first_days)
        full = tuple(t("dashboard.full_day", at=day) for day in self.first_days)
        number = self.say.decimal if words == "drift" else self.say.number
        plot = Plot(key or words, title, said, days, number, marks, unit, full)
        each_day = len(days) == len(self.scope.days)
        rows = tuple(
            (Cell(day.isoformat(), shown), *(value_cell(s.values[at], number) for s in series))
            for at, (day, shown) in enumerate(zip(self.first_days, full, strict=True))
        )
        on = t("dashboard.on_day") if each_day else t("dashboard.from_day")
        return Panel(
            key or words,
            title,
            t(f"about.{words}"),
            said,
            (on, *(s.name for s in series)),
            rows if said else (),
            plot=draw(plot, series) if said else NOTHING,
            legend=plots.legend(series) if said and len(series) > 1 else NOTHING,
            notes=notes if said else (),
        )

    def shares(
        self, key: str, records: Sequence[tuple[str, Record]], *, codes: Sequence[str] = ()
    ) -> Panel:
        """A panel of shares, each of a count of so many."""
        rows = [
            (name, share, record.of)
            for name, record in records
            if (share := wilson(record.right, record.of)) is not None
        ]
        return self.intervals(key, rows, codes=codes)

    def intervals(
        self, key: str, found: Sequence[tuple[str, Share, int]], *, codes: Sequence[str] = ()
    ) -> Panel:
        """A panel of shares with their intervals, each of so many that were looked at."""
        t = self.t
        title = t(f"title.{key}")
        said = "; ".join(self._share_in_words(*one) for one in found[:MOST_INTERVALS])
        drawn = [
            Interval(name, share.low, share.middle, share.high, self._note(share, of))
            for name, share, of in found[:MOST_INTERVALS]
        ]
        plot = Plot(key, title, said, (), self.say.percent)
        header = (
            t(f"name_of.{key}"),
            t("share.share"),
            t("share.low"),
            t("share.high"),
            t("share.of"),
            *([t("reasons.code")] if codes else []),
        )
        rows = tuple(
            (
                Cell(name, name),
                *(self.share_cell(value) for value in (share.middle, share.low, share.high)),
                Cell(of, self.say.number(of)),
                *([Cell(codes[at], codes[at])] if codes else []),
            )
            for at, (name, share, of) in enumerate(found)
        )
        picture = plots.intervals(plot, drawn) if drawn else NOTHING
        return Panel(key, title, t(f"about.{key}"), said, header, rows, plot=picture)

    def _note(self, share: Share, of: int) -> str:
        t = self.t
        return t("share.note", share=self.say.percent(share.middle), n=self.say.number(of))

    def _share_in_words(self, name: str, share: Share, of: int) -> str:
        t, n = self.t, self.say.number(of)
        low, middle, high = map(self.say.percent, (share.low, share.middle, share.high))
        return t("share.said", name=name, share=middle, low=low, high=high, n=n)

    def by_place(self, by_day: Mapping[date, float]) -> tuple[float, ...]:
        """Sums by place of what there is by day."""
        sums = [0.0] * len(self.first_days)
        for day, value in by_day.items():
            if (at := self.place.get(day)) is not None:
                sums[at] += value
        return tuple(sums)

    def share_cell(self, value: float | None) -> Cell:
        """A share in percent, a dash for none."""
        return Cell(rounded(value), "–" if value is None else self.say.percent(value))

    def language(self, tag: str) -> str:
        """A language by its name, by its tag where that has none."""
        t = self.t
        return t(f"language.{tag}") if f"language.{tag}" in t.sentences else tag


def value_cell(value: float | None, number: Callable[[float], str]) -> Cell:
    """A number as `number` writes it, a dash for none."""
    return Cell(rounded(value), "–" if value is None else number(value))


def rounded(value: float | None) -> float | None:
    """A number as files have it."""
    return None if value is None else round(value, 6)


def csv_rows(panel: Panel) -> Iterable[tuple[object, ...]]:
    """The rows of a panel's file."""
    return (tuple(cell.value for cell in row) for row in panel.rows)
