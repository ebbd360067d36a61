"""The dashboard's panels of quality: how often the machine was right, and how that is known."""

from collections.abc import Callable, Mapping, Sequence

from model.outcome import Outcome
from model.reasons import sentence
from service.estimates import Share, wilson
from service.outcomes import Estimates, Judged, estimates
from service.storage.audited import By, Found
from service.storage.figures import Figures, Language
from service.storage.statistics import Record
from service.web.card import plain_name
from service.web.panels import OUTCOMES, Cell, Frame, Panel


class Quality:
    """Makes the panels of some figures, and of what was `found` by nothing, site and language.

    `sites` are names by their ids.
    """

    def __init__(
        self,
        frame: Frame,
        figures: Figures,
        found: Mapping[By, Found],
        sites: Mapping[str, str],
    ) -> None:
        self._frame, self._figures, self._t = frame, figures, frame.t
        self._found, self._sites = found, sites

    def makers(self) -> Mapping[str, Callable[[], Panel]]:
        """By the key of a panel what makes it, in the order of the page."""
        several = len(self._found[By.SITE]) > 1
        return {
            "reversals": self._reversals,
            "reasons": self._reasons,
            "audits": self._audits,
            "audits-languages": self._by_language,
            **({"audits-sites": self._by_site} if several else {}),
            "languages": self._languages,
        }

    def _reversals(self) -> Panel:
        t, found = self._t, self._figures.reversals
        rows = [
            (t(f"reversals.{said}"), Record(record.of - record.right, record.of))
            for said, record in found.items()
        ]
        return self._frame.shares("reversals", rows)

    def _reasons(self) -> Panel:
        found = sorted(self._figures.reasons.items(), key=lambda item: -item[1].of)
        rows = [(self._reason(code), record) for code, record in found]
        return self._frame.shares("reasons", rows, codes=[code for code, _ in found])

    def _reason(self, code: str) -> str:
        try:
            return sentence(code, self._t.tag).rstrip(".: ")
        except KeyError:  # of a site's own rule, or of an earlier version
            return plain_name(code)

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
        said = t("languages.said", n=self._frame.say.number(len(rows))) if rows else ""
        title, about = t("title.languages"), t("about.languages")
        return Panel("languages", title, about, said, header, rows)

    def _language_row(self, tag: str, one: Language) -> tuple[Cell, ...]:
        came = sum(one.arrived.values())
        agreed = wilson(one.agreed, one.opinions)
        return (
            Cell(tag, self._frame.language(tag)),
            Cell(round(came), self._frame.say.number(round(came))),
            *(
                self._frame.share_cell(one.arrived.get(word, 0) / came if came else None)
                for word in OUTCOMES
            ),
            Cell(one.decided, self._frame.say.number(one.decided)),
            self._frame.share_cell(agreed.middle if agreed else None),
            self._frame.share_cell(agreed.low if agreed else None),
            self._frame.share_cell(agreed.high if agreed else None),
        )

    # -------------------------------------------------------------- estimates

    def _audits(self) -> Panel:
        found = self._found[By.NOTHING].get("", {})
        right = estimates(found)
        looked_at = {outcome: one.looked_at for outcome, one in right.by_outcome.items()}
        rows: list[tuple[str, Share, int]] = []
        for outcome in Outcome:
            one = right.by_outcome[outcome]
            # To reach something goes by all three, to be right by the outcome alone.
            for what, share, of in (
                ("right", one.right, looked_at[outcome]),
                ("reached", one.reached, sum(looked_at.values())),
            ):
                if share is not None and found and right.looked_at:
                    rows.append((self._t(f"audits.{outcome.word}_{what}"), share, of))
        if right.genuine_rejected is not None and right.looked_at:
            of = sum(looked_at.values())
            rows.append((self._t("audits.genuine_rejected"), right.genuine_rejected, of))
        return self._frame.intervals("audits", rows)

    def _by_language(self) -> Panel:
        names = {tag: self._frame.language(tag) for tag in self._found[By.LANGUAGE]}
        return self._told_apart("audits-languages", self._found[By.LANGUAGE], names)

    def _by_site(self) -> Panel:
        found = self._found[By.SITE]
        names = {site_id: plain_name(self._sites.get(site_id, site_id)) for site_id in found}
        return self._told_apart("audits-sites", found, names)

    def _told_apart(self, key: str, found: Found, names: Mapping[str, str]) -> Panel:
        t = self._t
        # Where nothing that was settled was looked at, nothing is known.
        known = {name: one for name, one in _estimated(found).items() if one.looked_at}
        ranked = sorted(known, key=lambda name: (-known[name].looked_at, name))
        header = [t(f"name_of.{key}"), t("audits.looked_at")]
        for what in ("accept_right", "reject_right", "reject_reached", "genuine_rejected"):
            header += [t(f"audits.{what}"), t("share.low"), t("share.high")]
        rows = tuple((Cell(name, names[name]), *self._cells(known[name])) for name in ranked)
        said = t("audits.said", n=len(rows)) if rows else ""
        return Panel(key, t(f"title.{key}"), t(f"about.{key}"), said, tuple(header), rows)

    def _cells(self, right: Estimates) -> Sequence[Cell]:
        accept, reject = (right.by_outcome[o] for o in (Outcome.ACCEPT, Outcome.REJECT))
        cells = [Cell(right.looked_at, self._frame.say.number(right.looked_at))]
        for share in (accept.right, reject.right, reject.reached, right.genuine_rejected):
            values = (share.middle, share.low, share.high) if share else (None, None, None)
            cells += [self._frame.share_cell(value) for value in values]
        return cells


def _estimated(found: Mapping[str, Mapping[Outcome, Judged]]) -> dict[str, Estimates]:
    return {name: estimates(counts) for name, counts in found.items()}
