"""The dashboard's panels: what each plot shows, in words, as a plot and as a table.

Knows which figures make a plot, and what they are called. Reads nothing. Where there is nothing
to show, a panel says so and has no plot.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise

from markupsafe import Markup

from model.outcome import Head
from model.reasons import sentence
from service import drift
from service.estimates import Drawn, Share, weighted, wilson
from service.storage.figures import Audited, Figures, Language, Scope
from service.storage.statistics import Record
from service.web import plots
from service.web.card import plain_name
from service.web.plots import Interval, Plot, Series
from service.web.texts import Texts

OUTCOMES = ("accept", "queue", "reject")
MOST_DAYS = 92
"""Of more days, seven are put together."""

MOST_MODERATORS = 5
MOST_REASONS = 12
MOST_ROWS = 100
"""Rows of a table in the page; the file has all."""

MOST_MARKS = 9
TRAILING_DAYS = 7

Histograms = Callable[[str], Mapping[str, object]]
"""By its version the histogram of a model's manifest, {} where there is none."""


def no_histogram(_: str) -> Mapping[str, object]:
    """Of no model anything is known."""
    return {}


_NOTHING = Markup("")


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
    plot: Markup = _NOTHING
    legend: Markup = _NOTHING
    notes: tuple[str, ...] = ()


class Panels:
    """Makes the panels of some figures, in a language."""

    def __init__(self, t: Texts, figures: Figures, scope: Scope, histograms: Histograms) -> None:
        self._t, self._figures, self._scope = t, figures, scope
        self._histograms = histograms
        self._sign, self._has_comma = t("share.percent"), t("dashboard.comma") == ","
        days = scope.days
        step = 1 if len(days) <= MOST_DAYS else 7
        # The last one ends today, so the first may be short.
        short = len(days) % step or step
        starts = [0, *range(short, len(days), step)] if days else []
        self._first_days = tuple(days[at] for at in starts)
        self._place = {
            day: max(0, (at - short) // step + 1) if at >= short else 0
            for at, day in enumerate(days)
        }

    def all(self) -> list[Panel]:
        """All panels in the order of the page."""
        return [make() for make in self._makers().values()]

    def one(self, key: str) -> Panel | None:
        """One panel; None if there is none of that name."""
        make = self._makers().get(key)
        return None if make is None else make()

    def _makers(self) -> dict[str, Callable[[], Panel]]:
        scores = {f"scores-{head.value}": partial(self._scores, head) for head in Head}
        return {
            "arrivals": self._arrivals,
            "queue": self._queue,
            "waits": self._waits,
            "decisions": self._decisions,
            "people": self._people,
            "reversals": self._reversals,
            "reasons": self._reasons,
            "audits": self._audits,
            **scores,
            "drift": self._drift,
            "languages": self._languages,
        }

    # -------------------------------------------------------------- over time

    def _arrivals(self) -> Panel:
        t, came = self._t, self._figures.arrivals
        series = [
            Series(
                word,
                t(f"outcome.{word}"),
                self._by_place({day: counts.get(word, 0) for day, counts in came.items()}),
            )
            for word in OUTCOMES
        ]
        totals = {s.key: int(sum(v or 0 for v in s.values)) for s in series}
        words = {key: self._number(total) for key, total in totals.items()}
        said = t("arrivals.said", n=self._number(sum(totals.values())), **words)
        marks, notes = self._marks()
        return self._over_time(
            "arrivals",
            series,
            said if any(totals.values()) else "",
            marks=marks,
            notes=notes,
            draw=plots.stacked_bars,
        )

    def _queue(self) -> Panel:
        t = self._t
        waiting = self._mean_wait(lambda wait: wait.waiting)
        series = [Series("waiting", t("queue_plot.waiting"), waiting)]
        known = [value for value in waiting if value is not None]
        said = ""
        if known:
            most, last = self._number(max(known)), self._number(known[-1])
            said = t("queue_plot.said", most=most, last=last)
        return self._over_time("queue_plot", series, said, key="queue", draw=plots.lines)

    def _waits(self) -> Panel:
        t = self._t
        series = [
            Series("p50", t("waits.half"), self._mean_wait(lambda wait: wait.p50 / 3600)),
            Series("p95", t("waits.most"), self._mean_wait(lambda wait: wait.p95 / 3600)),
        ]
        known = [[v for v in s.values if v is not None] for s in series]
        said = ""
        if known[0]:
            half, most = (self._hours(values[-1]) for values in known)
            said = t("waits.said", half=half, most=most)
        several = self._scope.sites is not None and len(self._scope.sites) > 1
        notes = (t("waits.several"),) if several else ()
        unit = t("waits.unit")
        return self._over_time("waits", series, said, draw=plots.lines, unit=unit, notes=notes)

    def _decisions(self) -> Panel:
        t, decided, totals = self._t, self._figures.decided, self._decided_by()
        first = [name for name, _ in totals.most_common(MOST_MODERATORS)]
        by_name: dict[str | None, dict[date, float]] = defaultdict(lambda: defaultdict(float))
        for (day, name), times in decided.items():
            by_name[name if name in first else None][day] += times
        series = [
            Series(f"person-{at}", _name(name), self._by_place(by_name[name]))
            for at, name in enumerate(first, 1)
        ]
        if len(totals) > len(first):
            others = t("decisions.others", n=len(totals) - len(first))
            series.append(Series("others", others, self._by_place(by_name[None])))
        said = self._decided_in_words(totals)
        return self._over_time("decisions", series, said, draw=plots.stacked_bars)

    def _decided_by(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for (_, name), times in self._figures.decided.items():
            totals[name] += times
        return totals

    def _decided_in_words(self, totals: Counter[str]) -> str:
        t, n, people = self._t, self._number(totals.total()), self._number(len(totals))
        return t("decisions.said", n=n, people=people) if totals else ""

    def _people(self) -> Panel:
        t, totals = self._t, self._decided_by()
        rows = tuple(
            (Cell(name, _name(name) if at < MOST_ROWS else ""), Cell(times, self._number(times)))
            for at, (name, times) in enumerate(totals.most_common())
        )
        header = (t("name_of.people"), t("people.decided"))
        said = self._decided_in_words(totals)
        return Panel("people", t("title.people"), t("about.people"), said, header, rows)

    def _drift(self) -> Panel:
        t = self._t
        series = []
        known: list[str] = []
        for head in Head:
            values = self._drifts(head)
            series.append(Series(f"head-{head.value}", t(f"head.{head.value}"), values))
            last = next((v for v in reversed(values) if v is not None), None)
            if last is not None:
                known.append(f"{t(f'head.{head.value}')} {self._decimal(last)}")
        said = t("drift.said", known=", ".join(known)) if known else ""
        return self._over_time("drift", series, said, draw=partial(plots.lines, least=0.3))

    def _drifts(self, head: Head) -> tuple[float | None, ...]:
        """The index over the seven days up to the last one of each place, of the newest model."""
        model = self._newest_model()
        expected = drift.expected_of(self._histograms(model), head.value) if model else ()
        values: list[float | None] = [None] * len(self._first_days)
        if not expected:
            return tuple(values)
        for at, day in {at: day for day, at in self._place.items()}.items():  # its last day
            live = [0] * drift.BINS
            for back in range(TRAILING_DAYS):
                counts = self._figures.scores.get((day - timedelta(days=back), model, head.value))
                live = [a + b for a, b in zip(live, counts or _NO_COUNTS, strict=True)]
            values[at] = drift.drift(live, expected).index if sum(live) >= drift.LEAST else None
        return tuple(values)

    # -------------------------------------------------------------- shares

    def _reversals(self) -> Panel:
        t, found = self._t, self._figures.reversals
        rows = [
            (t(f"reversals.{said}"), Record(record.of - record.right, record.of))
            for said, record in found.items()
        ]
        return self._shares("reversals", rows)

    def _reasons(self) -> Panel:
        found = sorted(self._figures.reasons.items(), key=lambda item: -item[1].of)
        rows = [(self._reason(code), record) for code, record in found]
        return self._shares("reasons", rows, codes=[code for code, _ in found])

    def _audits(self) -> Panel:
        t, found = self._t, self._figures.audits

        def drawn(*keys: tuple[str, str]) -> list[Audited]:
            return [found[key] for key in keys if key in found]

        ways = (
            ("rejected", [("reject", "reject")], [("reject", "accept")]),
            ("accepted", [("accept", "accept")], [("accept", "reject")]),
            ("caught", [("reject", "reject")], [("accept", "reject")]),
        )
        rows = []
        for key, right, wrong in ways:
            hits, others = drawn(*right), drawn(*wrong)
            share = weighted(map(_sums, hits), map(_sums, others))
            if share is not None:
                rows.append((t(f"audits.{key}"), share, sum(one.times for one in (*hits, *others))))
        return self._intervals("audits", rows)

    def _shares(
        self, key: str, records: Sequence[tuple[str, Record]], *, codes: Sequence[str] = ()
    ) -> Panel:
        rows = [
            (name, share, record.of)
            for name, record in records
            if (share := wilson(record.right, record.of)) is not None
        ]
        return self._intervals(key, rows, codes=codes)

    def _intervals(
        self, key: str, found: Sequence[tuple[str, Share, int]], *, codes: Sequence[str] = ()
    ) -> Panel:
        t = self._t
        title = t(f"title.{key}")
        said = "; ".join(self._share_in_words(*one) for one in found[:MOST_REASONS])
        drawn = [
            Interval(name, share.low, share.middle, share.high, self._note(share, of))
            for name, share, of in found[:MOST_REASONS]
        ]
        plot = Plot(key, title, said, (), self._percent)
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
                *(self._share(value) for value in (share.middle, share.low, share.high)),
                Cell(of, self._number(of)),
                *([Cell(codes[at], codes[at])] if codes else []),
            )
            for at, (name, share, of) in enumerate(found)
        )
        picture = plots.intervals(plot, drawn) if drawn else _NOTHING
        return Panel(key, title, t(f"about.{key}"), said, header, rows, plot=picture)

    def _note(self, share: Share, of: int) -> str:
        t = self._t
        return t("share.note", share=self._percent(share.middle), n=self._number(of))

    def _share_in_words(self, name: str, share: Share, of: int) -> str:
        t, n = self._t, self._number(of)
        low, middle, high = map(self._percent, (share.low, share.middle, share.high))
        return t("share.said", name=name, share=middle, low=low, high=high, n=n)

    # -------------------------------------------------------------- scores

    def _scores(self, head: Head) -> Panel:
        t, model = self._t, self._newest_model()
        live = [0] * drift.BINS
        for (_, version, of), counts in self._figures.scores.items():
            if version == model and of == head.value:
                live = [a + b for a, b in zip(live, counts, strict=True)]
        total = sum(live)
        expected = drift.expected_of(self._histograms(model), head.value) if total else ()
        shares = tuple(count / total if total else 0.0 for count in live)
        series = [Series(f"head-{head.value}", t("scores.found"), shares)]
        if mixed := _mixed(live, expected):
            series.append(Series("expected", t("scores.expected"), mixed))
        edges = [self._decimal(at / drift.BINS) for at in range(drift.BINS + 1)]
        ranges = tuple(f"{a}–{b}" for a, b in pairwise(edges))
        key, title = f"scores-{head.value}", t("title.scores", head=t(f"head.{head.value}"))
        said = t("scores.said", n=self._number(total), model=plain_name(model)) if total else ""
        plot = Plot(key, title, said, tuple(edges[:-1]), self._percent, dates=ranges)
        rows = tuple(
            (
                Cell(ranges[at], ranges[at]),
                Cell(live[at], self._number(live[at])),
                *(self._share(s.values[at]) for s in series),
            )
            for at in range(drift.BINS)
        )
        return Panel(
            key,
            title,
            t("about.scores"),
            said,
            (t("scores.score"), t("scores.number"), *(s.name for s in series)),
            rows if total else (),
            plot=plots.histogram(plot, *series) if total else _NOTHING,
            legend=plots.legend(series) if total else _NOTHING,
            notes=() if mixed or not total else (t("scores.unknown"),),
        )

    def _newest_model(self) -> str:
        """The model that most was scored with on the last day of which there are scores."""
        days = [day for day, _, _ in self._figures.scores]
        counts: Counter[str] = Counter()
        for (day, model, _), found in self._figures.scores.items():
            if day == max(days):
                counts[model] += sum(found)
        return counts.most_common(1)[0][0] if counts else ""

    # -------------------------------------------------------------- languages

    def _languages(self) -> Panel:
        t = self._t
        found = self._figures.languages.items()
        rows = tuple(
            self._language_row(tag, one)
            for tag, one in sorted(found, key=lambda item: -sum(item[1].arrived.values()))
        )
        header = (
            t("name_of.languages"),
            t("languages.arrived"),
            *(t(f"outcome.{word}") for word in OUTCOMES),
            t("languages.decided"),
            t("languages.agreed"),
            t("share.low"),
            t("share.high"),
        )
        said = t("languages.said", n=self._number(len(rows))) if rows else ""
        title, about = t("title.languages"), t("about.languages")
        return Panel("languages", title, about, said, header, rows)

    def _language_row(self, tag: str, one: Language) -> tuple[Cell, ...]:
        came = sum(one.arrived.values())
        agreed = wilson(one.agreed, one.opinions)
        return (
            Cell(tag, self._language(tag)),
            Cell(round(came), self._number(round(came))),
            *(self._share(one.arrived.get(word, 0) / came if came else None) for word in OUTCOMES),
            Cell(one.decided, self._number(one.decided)),
            self._share(agreed.middle if agreed else None),
            self._share(agreed.low if agreed else None),
            self._share(agreed.high if agreed else None),
        )

    # -------------------------------------------------------------- steps

    def _over_time(
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
        t = self._t
        title = t(f"title.{words}")
        days = tuple(t("dashboard.day", at=day) for day in self._first_days)
        full = tuple(t("dashboard.full_day", at=day) for day in self._first_days)
        number = self._decimal if words == "drift" else self._number
        plot = Plot(key or words, title, said, days, number, marks, unit, full)
        each_day = len(days) == len(self._scope.days)
        rows = tuple(
            (Cell(day.isoformat(), shown), *(_cell(s.values[at], number) for s in series))
            for at, (day, shown) in enumerate(zip(self._first_days, full, strict=True))
        )
        on = t("dashboard.on_day") if each_day else t("dashboard.from_day")
        return Panel(
            key or words,
            title,
            t(f"about.{words}"),
            said,
            (on, *(s.name for s in series)),
            rows if said else (),
            plot=draw(plot, series) if said else _NOTHING,
            legend=plots.legend(series) if said and len(series) > 1 else _NOTHING,
            notes=notes if said else (),
        )

    def _by_place(self, by_day: Mapping[date, float]) -> tuple[float, ...]:
        sums = [0.0] * len(self._first_days)
        for day, value in by_day.items():
            if (at := self._place.get(day)) is not None:
                sums[at] += value
        return tuple(sums)

    def _mean_wait(self, of: Callable[..., float]) -> tuple[float | None, ...]:
        sums = [0.0] * len(self._first_days)
        counts = [0] * len(self._first_days)
        for moment, wait in self._figures.waits.items():
            if (at := self._place.get(_day(moment))) is not None:
                sums[at] += of(wait)
                counts[at] += 1
        return tuple(s / n if n else None for s, n in zip(sums, counts, strict=True))

    def _marks(self) -> tuple[tuple[tuple[int, str], ...], tuple[str, ...]]:
        t = self._t
        seen = [(day, "M", "model", name) for name, day in self._figures.models.items()]
        seen += [(day, "P", "policy", name) for name, day in self._figures.policies.items()]
        marks: dict[int, list[str]] = defaultdict(list)
        notes = []
        counts: Counter[str] = Counter()
        for day, letter, kind, name in sorted(seen)[-MOST_MARKS:]:
            counts[letter] += 1
            mark = f"{letter}{counts[letter]}"
            marks[self._place[day]].append(mark)
            on = t("dashboard.full_day", at=day)
            notes.append(t(f"mark.{kind}", mark=mark, name=plain_name(name), day=on))
        return tuple((at, " ".join(names)) for at, names in marks.items()), tuple(notes)

    def _reason(self, code: str) -> str:
        try:
            return sentence(code, self._t.tag).rstrip(".: ")
        except KeyError:  # of a site's own rule, or of an earlier version
            return plain_name(code)

    def _language(self, tag: str) -> str:
        t = self._t
        return t(f"language.{tag}") if f"language.{tag}" in t.sentences else tag

    def _share(self, value: float | None) -> Cell:
        return Cell(_rounded(value), "–" if value is None else self._percent(value))

    def _number(self, value: float) -> str:
        text = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"
        return self._localised(text)

    def _decimal(self, value: float) -> str:
        return self._localised(f"{value:,.2f}")

    def _hours(self, value: float) -> str:
        return self._localised(f"{value:,.1f}")

    def _percent(self, value: float) -> str:
        digits = 1 if 0 < value < 0.1 or 0.9 < value < 1 else 0
        return self._localised(f"{100 * value:.{digits}f}") + self._sign

    def _localised(self, text: str) -> str:
        return text.translate(_COMMAS) if self._has_comma else text


_NO_COUNTS = (0,) * drift.BINS
_COMMAS = str.maketrans(",.", ".,")


def _day(moment: datetime) -> date:
    return moment.date()  # the store's times are in UTC


def _name(name: str) -> str:
    return plain_name(name, longest=30) or "…"


def _cell(value: float | None, number: Callable[[float], str]) -> Cell:
    return Cell(_rounded(value), "–" if value is None else number(value))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _sums(audited: Audited) -> Drawn:
    return Drawn(audited.weight, audited.squares)


def _mixed(live: Sequence[int], expected: drift.Expected) -> tuple[float, ...]:
    """What is expected of live scores: the held-out ones with the live share of either label."""
    if not expected:
        return ()
    if len(expected) == 1:
        return tuple(expected[0])
    share = drift.drift(live, expected).share or 0.0
    negative, positive = expected
    return tuple((1 - share) * n + share * p for n, p in zip(negative, positive, strict=True))


def csv_rows(panel: Panel) -> Iterable[tuple[object, ...]]:
    """The rows of a panel's file."""
    return (tuple(cell.value for cell in row) for row in panel.rows)
