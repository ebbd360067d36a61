"""The dashboard's panels of drift: whether scores and comments still look as they did."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise

from model.outcome import Head
from service import drift
from service.alerts import BOUNDS, Shift
from service.storage.figures import Figures
from service.storage.watched import LANGUAGE, Histograms
from service.web import plots
from service.web.card import plain_name
from service.web.panels import NOTHING, Cell, Frame, Panel
from service.web.plots import Plot, Series

TRAILING_DAYS = 7


class Drifts:
    """Makes the panels of some figures, and of how far the `shifts` of each site went.

    `sites` are names by their ids.
    """

    def __init__(
        self,
        frame: Frame,
        figures: Figures,
        histograms: Histograms,
        shifts: Mapping[str, Mapping[str, Shift]],
        sites: Mapping[str, str],
    ) -> None:
        self._frame, self._figures, self._t = frame, figures, frame.t
        self._histograms, self._found, self._sites = histograms, shifts, sites

    def makers(self) -> Mapping[str, Callable[[], Panel]]:
        """By the key of a panel what makes it, in the order of the page."""
        scores = {f"scores-{head.value}": partial(self._scores, head) for head in Head}
        return {**scores, "drift": self._drift, "shapes": self._shapes}

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
        edges = [self._frame.say.decimal(at / drift.BINS) for at in range(drift.BINS + 1)]
        ranges = tuple(f"{a}–{b}" for a, b in pairwise(edges))
        key, title = f"scores-{head.value}", t("title.scores", head=t(f"head.{head.value}"))
        said = (
            t("scores.said", n=self._frame.say.number(total), model=plain_name(model))
            if total
            else ""
        )
        plot = Plot(key, title, said, tuple(edges[:-1]), self._frame.say.percent, dates=ranges)
        rows = tuple(
            (
                Cell(ranges[at], ranges[at]),
                Cell(live[at], self._frame.say.number(live[at])),
                *(self._frame.share_cell(s.values[at]) for s in series),
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
            plot=plots.histogram(plot, *series) if total else NOTHING,
            legend=plots.legend(series) if total else NOTHING,
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

    def _drift(self) -> Panel:
        t = self._t
        series = []
        known: list[str] = []
        for head in Head:
            values = self._drifts(head)
            series.append(Series(f"head-{head.value}", t(f"head.{head.value}"), values))
            last = next((v for v in reversed(values) if v is not None), None)
            if last is not None:
                known.append(f"{t(f'head.{head.value}')} {self._frame.say.decimal(last)}")
        said = t("drift.said", known=", ".join(known)) if known else ""
        return self._frame.over_time("drift", series, said, draw=partial(plots.lines, least=0.3))

    def _drifts(self, head: Head) -> tuple[float | None, ...]:
        """The index over the seven days up to the last one of each place, of the newest model."""
        model = self._newest_model()
        expected = drift.expected_of(self._histograms(model), head.value) if model else ()
        values: list[float | None] = [None] * len(self._frame.first_days)
        if not expected:
            return tuple(values)
        for at, day in {at: day for day, at in self._frame.place.items()}.items():  # its last day
            live = [0] * drift.BINS
            for back in range(TRAILING_DAYS):
                counts = self._figures.scores.get((day - timedelta(days=back), model, head.value))
                live = [a + b for a, b in zip(live, counts or _NO_COUNTS, strict=True)]
            values[at] = drift.drift(live, expected).index if sum(live) >= drift.LEAST else None
        return tuple(values)

    # -------------------------------------------------------------- shapes

    def _shapes(self) -> Panel:
        t = self._t
        ranked = sorted(
            (-shift.index, site_id, name)
            for site_id, shifts in self._found.items()
            for name, shift in shifts.items()
            if shift.read >= BOUNDS.least_read
        )
        rows = tuple(
            self._shape_row(site_id, name, self._found[site_id][name])
            for _, site_id, name in ranked
        )
        header = ("shapes.what", "shapes.site", "shapes.index", "shapes.most", "shapes.read")
        said = ""
        if rows:
            what, _, index, *_ = rows[0]
            said = t("shapes.said", what=what.shown, index=index.shown)
        title, about = t("title.shapes"), t("about.shapes")
        return Panel("shapes", title, about, said, tuple(map(t, header)), rows)

    def _shape_row(self, site_id: str, name: str, shift: Shift) -> tuple[Cell, ...]:
        site = plain_name(self._sites.get(site_id, site_id))
        step = (
            self._frame.language(shift.step)
            if name == LANGUAGE
            else self._t(f"shape_step.{name}_{shift.step}")
        )
        return (
            Cell(name, self._t(f"shape.{name}")),
            Cell(site, site),
            Cell(round(shift.index, 4), self._frame.say.decimal(shift.index)),
            Cell(shift.step, step),
            Cell(shift.read, self._frame.say.number(shift.read)),
        )


_NO_COUNTS = (0,) * drift.BINS


def _mixed(live: Sequence[int], expected: drift.Expected) -> tuple[float, ...]:
    """What is expected of live scores: the held-out ones with the live share of either label."""
    if not expected:
        return ()
    if len(expected) == 1:
        return tuple(expected[0])
    share = drift.drift(live, expected).share or 0.0
    negative, positive = expected
    return tuple((1 - share) * n + share * p for n, p in zip(negative, positive, strict=True))
