"""The dashboard's panels of a challenger: how often it agrees, where not, and some examples.

Knows what the counts of the shadow mean in words. Reads nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from markupsafe import Markup

from model.outcome import Outcome
from service.estimates import wilson
from service.storage.figures import Scope
from service.storage.shadows import Shadowing, Way
from service.web import plots
from service.web.card import plain_name
from service.web.numbers import Numbers
from service.web.panels import MOST_DAYS, Cell, Panel
from service.web.plots import Plot, Series
from service.web.texts import Texts

KINDS = tuple((was, would) for was in Outcome for would in reversed(Outcome) if was is not would)
"""Ways in which two models can differ: what would go worst for a genuine comment comes first."""

_NOTHING = Markup("")


class ShadowPanels:
    """Makes the panels of a challenger in a language. `sites` are names of sites by their ids."""

    def __init__(
        self, t: Texts, found: Shadowing | None, scope: Scope, sites: Mapping[str, str]
    ) -> None:
        self._t, self._found, self._scope, self._sites = t, found, scope, sites
        self._say = Numbers(t)

    def all(self) -> list[Panel]:
        """The panels in the order of the page; none where no challenger was looked at."""
        return [make() for make in self._makers().values()] if self._found is not None else []

    def one(self, key: str) -> Panel | None:
        """One panel; None if there is none of that name."""
        make = self._makers().get(key)
        return None if make is None else make()

    def _makers(self) -> dict[str, Callable[[], Panel]]:
        return {
            "shadow": self._by_day,
            "shadow-places": self._by_place,
            "shadow-flips": self._flips,
        }

    # -------------------------------------------------------------- by day

    def _by_day(self) -> Panel:
        t, days = self._t, self._scope.days
        step = 1 if len(days) <= MOST_DAYS else 7
        first_days = days[::-step][::-1]  # the last place ends today
        place = {day: -(-at // step) for at, day in enumerate(reversed(days))}
        last = len(first_days) - 1
        found: dict[int, Counter[Way]] = defaultdict(Counter)
        for day, counts in (self._found.by_day if self._found is not None else {}).items():
            found[max(last - place.get(day, 0), 0)].update(counts)
        shares = tuple(_agreed(found[at]) if at in found else None for at in range(len(first_days)))
        shown = tuple(t("dashboard.day", at=day) for day in first_days)
        full = tuple(t("dashboard.full_day", at=day) for day in first_days)
        said = self._said()
        series = [Series("agreed", t("shadow.agreed"), shares)]
        title = t("title.shadow")
        plot = Plot("shadow", title, said, shown, self._say.percent, dates=full)
        rows = tuple(
            (
                Cell(day.isoformat(), full[at]),
                self._number(found[at].total()),
                self._share(shares[at]),
                *(self._number(found[at][kind]) for kind in KINDS),
            )
            for at, day in enumerate(first_days)
            if at in found
        )
        on = t("dashboard.on_day") if step == 1 else t("dashboard.from_day")
        return Panel(
            "shadow",
            title,
            t("about.shadow"),
            said,
            (on, t("shadow.compared"), t("shadow.agreed"), *map(self._kind, KINDS)),
            rows,
            plot=plots.lines(plot, series, least=1.0) if rows else _NOTHING,
            notes=self._notes() if rows else (),
        )

    def _said(self) -> str:
        t, found = self._t, self._found
        if found is None:
            return ""
        ways: Counter[Way] = Counter()
        for counts in found.by_day.values():
            ways.update(counts)
        total, agreed = ways.total(), _agreed(ways)
        return t(
            "shadow.said",
            challenger=plain_name(found.challenger),
            champion=plain_name(found.champion),
            n=self._number(total).shown,
            share="–" if agreed is None else self._say.percent(agreed),
        )

    def _notes(self) -> tuple[str, ...]:
        layered = self._found.layered if self._found is not None else 0
        told = self._t("shadow.layered", n=self._number(layered).shown)
        return (self._said(), told) if layered else (self._said(),)

    # -------------------------------------------------------------- by site and language

    def _by_place(self) -> Panel:
        t = self._t
        places = self._found.by_place if self._found is not None else {}
        found = {place: Counter(ways) for place, ways in places.items()}
        rows = []
        for (site, language), counts in sorted(found.items(), key=lambda kv: -kv[1].total()):
            total = counts.total()
            share = wilson(_same(counts), total)
            rows.append(
                (
                    Cell(self._site(site), self._site(site)),
                    Cell(language, self._language(language)),
                    self._number(total),
                    self._share(share.middle if share else None),
                    self._share(share.low if share else None),
                    self._share(share.high if share else None),
                    *(self._number(counts[kind]) for kind in KINDS),
                )
            )
        header = (
            t("shadow.site"),
            t("name_of.languages"),
            t("shadow.compared"),
            t("shadow.agreed"),
            t("share.low"),
            t("share.high"),
            *map(self._kind, KINDS),
        )
        title, about = t("title.shadow-places"), t("about.shadow-places")
        return Panel("shadow-places", title, about, "", header, tuple(rows))

    # -------------------------------------------------------------- examples

    def _flips(self) -> Panel:
        t = self._t
        rows = tuple(
            (
                Cell(flip.comment_id, flip.comment_id),
                Cell(flip.at.isoformat(timespec="seconds"), t.time(flip.at)),
                Cell(self._site(flip.site_id), self._site(flip.site_id)),
                Cell(flip.language, self._language(flip.language)),
                Cell(flip.was.word, t(f"outcome.{flip.was.word}")),
                Cell(flip.would.word, t(f"outcome.{flip.would.word}")),
            )
            for flip in (self._found.flips if self._found is not None else ())
        )
        header = (
            t("shadow.comment"),
            t("shadow.came"),
            t("shadow.site"),
            t("name_of.languages"),
            t("shadow.was"),
            t("shadow.would"),
        )
        title, about = t("title.shadow-flips"), t("about.shadow-flips")
        return Panel("shadow-flips", title, about, "", header, rows)

    # -------------------------------------------------------------- words

    def _kind(self, kind: Way) -> str:
        was, would = (self._t(f"outcome.{one.word}") for one in kind)
        return f"{was} → {would}"

    def _site(self, site_id: str) -> str:
        return plain_name(self._sites.get(site_id, "")) or site_id

    def _language(self, tag: str) -> str:
        t = self._t
        return t(f"language.{tag}") if f"language.{tag}" in t.sentences else tag

    def _number(self, value: int) -> Cell:
        return Cell(value, self._say.number(value))

    def _share(self, value: float | None) -> Cell:
        if value is None:
            return Cell(None, "–")
        return Cell(round(value, 6), self._say.percent(value))


def _same(counts: Counter[Way]) -> int:
    return sum(n for (was, would), n in counts.items() if was is would)


def _agreed(counts: Counter[Way]) -> float | None:
    total = counts.total()
    return _same(counts) / total if total else None
