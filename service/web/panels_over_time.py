"""The dashboard's panels of work: what came, what waited and for how long, and who decided it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import date

from service.storage.figures import Figures, Waited
from service.web import plots
from service.web.card import plain_name
from service.web.panels import MOST_ROWS, OUTCOMES, Cell, Frame, Panel
from service.web.plots import Series

MOST_MODERATORS = 5
MOST_MARKS = 9


class OverTime:
    """Makes the panels of some figures."""

    def __init__(self, frame: Frame, figures: Figures) -> None:
        self._frame, self._figures, self._t = frame, figures, frame.t

    def makers(self) -> Mapping[str, Callable[[], Panel]]:
        """By the key of a panel what makes it, in the order of the page."""
        return {
            "arrivals": self._arrivals,
            "queue": self._queue,
            "waits": self._waits,
            "decisions": self._decisions,
            "people": self._people,
        }

    def _arrivals(self) -> Panel:
        t, came = self._t, self._figures.arrivals
        series = [
            Series(
                word,
                t(f"outcome.{word}"),
                self._frame.by_place({day: counts.get(word, 0) for day, counts in came.items()}),
            )
            for word in OUTCOMES
        ]
        totals = {s.key: int(sum(v or 0 for v in s.values)) for s in series}
        words = {key: self._frame.say.number(total) for key, total in totals.items()}
        said = t("arrivals.said", n=self._frame.say.number(sum(totals.values())), **words)
        marks, notes = self._marks()
        return self._frame.over_time(
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
            most, last = self._frame.say.number(max(known)), self._frame.say.number(known[-1])
            said = t("queue_plot.said", most=most, last=last)
        return self._frame.over_time("queue_plot", series, said, key="queue", draw=plots.lines)

    def _waits(self) -> Panel:
        t = self._t
        series = [
            Series("p50", t("waits.half"), self._mean_wait(lambda wait: wait.p50 / 3600)),
            Series("p95", t("waits.most"), self._mean_wait(lambda wait: wait.p95 / 3600)),
        ]
        known = [[v for v in s.values if v is not None] for s in series]
        said = ""
        if known[0]:
            half, most = (self._frame.say.hours(values[-1]) for values in known)
            said = t("waits.said", half=half, most=most)
        several = self._frame.scope.sites is not None and len(self._frame.scope.sites) > 1
        notes = (t("waits.several"),) if several else ()
        unit = t("waits.unit")
        return self._frame.over_time(
            "waits", series, said, draw=plots.lines, unit=unit, notes=notes
        )

    def _decisions(self) -> Panel:
        t, decided, totals = self._t, self._figures.decided, self._decided_by()
        first = [name for name, _ in totals.most_common(MOST_MODERATORS)]
        by_name: dict[str | None, dict[date, float]] = defaultdict(lambda: defaultdict(float))
        for (day, name), times in decided.items():
            by_name[name if name in first else None][day] += times
        series = [
            Series(f"person-{at}", _name(name), self._frame.by_place(by_name[name]))
            for at, name in enumerate(first, 1)
        ]
        if len(totals) > len(first):
            others = t("decisions.others", n=len(totals) - len(first))
            series.append(Series("others", others, self._frame.by_place(by_name[None])))
        said = self._decided_in_words(totals)
        return self._frame.over_time("decisions", series, said, draw=plots.stacked_bars)

    def _decided_by(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for (_, name), times in self._figures.decided.items():
            totals[name] += times
        return totals

    def _decided_in_words(self, totals: Counter[str]) -> str:
        t, n, people = (
            self._t,
            self._frame.say.number(totals.total()),
            self._frame.say.number(len(totals)),
        )
        return t("decisions.said", n=n, people=people) if totals else ""

    def _people(self) -> Panel:
        t, totals = self._t, self._decided_by()
        rows = tuple(
            (
                Cell(name, _name(name) if at < MOST_ROWS else ""),
                Cell(times, self._frame.say.number(times)),
            )
            for at, (name, times) in enumerate(totals.most_common())
        )
        header = (t("name_of.people"), t("people.decided"))
        said = self._decided_in_words(totals)
        return Panel("people", t("title.people"), t("about.people"), said, header, rows)

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
            marks[self._frame.place[day]].append(mark)
            on = t("dashboard.full_day", at=day)
            notes.append(t(f"mark.{kind}", mark=mark, name=plain_name(name), day=on))
        return tuple((at, " ".join(names)) for at, names in marks.items()), tuple(notes)

    def _mean_wait(self, of: Callable[[Waited], float]) -> tuple[float | None, ...]:
        sums = [0.0] * len(self._frame.first_days)
        counts = [0] * len(self._frame.first_days)
        for moment, wait in self._figures.waits.items():
            # The store's times are in UTC.
            if (at := self._frame.place.get(moment.date())) is not None:
                sums[at] += of(wait)
                counts[at] += 1
        return tuple(s / n if n else None for s, n in zip(sums, counts, strict=True))


def _name(name: str) -> str:
    return plain_name(name, longest=30) or "…"
