"""What `duyet replay` answers, for a machine and for a person.

Knows words and order. Judges and reads nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from model.outcome import Outcome
from service.commands.opening import shown, table
from service.replay import Flip, Kind, Replayed

_QUOTED = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, of so many comments since then, and what was asked for.

    `policy` is the text of the file of changes, `sites` are names by ids.
    """

    found: Replayed
    of: int
    since: datetime
    model: str
    champion: str
    policy: str | None
    against_now: bool
    sites: Mapping[str, str]
    seconds: float

    def body(self) -> dict[str, Any]:
        """For a machine."""
        found, names = self.found, self.sites
        return {
            "model": self.model,
            "champion": self.champion,
            "policy": None if self.policy is None else json.loads(self.policy),
            "against": "now" if self.against_now else "then",
            "since": self.since.isoformat(timespec="seconds"),
            "comments": self.of,
            "judged": found.judged,
            "left_out": {
                "imported": found.imported,
                "unscored": found.unscored,
                "of_new_sites": found.elsewhere,
            },
            "accepted_by_people": found.decided(Outcome.ACCEPT),
            "rejected_by_people": found.decided(Outcome.REJECT),
            "against_acceptances": found.against(Outcome.ACCEPT),
            "against_rejections": found.against(Outcome.REJECT),
            "without_site_layer": {
                "comments": found.layerless,
                "flips": found.layerless_flips,
            },
            "judged_before_by": {
                "models": dict(found.models.most_common()),
                "policies": dict(found.policies.most_common()),
            },
            "flips": found.total,
            "kinds": [_kind_body(kind) | {"comments": n} for kind, n in found.changed],
            "examples": [
                {
                    "id": flip.id,
                    "site": names.get(flip.site_id, flip.site_id),
                    "received_at": flip.received_at.isoformat(timespec="seconds"),
                    "language": flip.language,
                }
                | _kind_body(flip.kind)
                | {
                    "without_site_layer": flip.layerless,
                    "author": shown(flip.name),
                    "content": shown(flip.content, width=_QUOTED),
                }
                for flip in found.flips
            ],
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> Iterator[str]:
        """For a person."""
        found, names = self.found, self.sites
        against = "what holds now" if self.against_now else "what was said then"
        yield (
            f"{found.judged:,} of {self.of:,} comments judged again by {self.model}"
            f" in {self.seconds:.1f} s, against {against}."
        )
        yield from self._notes()
        accepted, rejected = found.decided(Outcome.ACCEPT), found.decided(Outcome.REJECT)
        yield (
            f"{found.total:,} would have another outcome. Of {accepted:,} that people accepted,"
            f" {found.against(Outcome.ACCEPT):,} would go further from it; of {rejected:,} that"
            f" they rejected, {found.against(Outcome.REJECT):,}."
        )
        if not found.total:
            return
        yield ""
        titles = ("people said", "was", "would be", "comments")
        yield table(titles, [(*_kind_words(kind), f"{n:,}") for kind, n in found.changed])
        for kind, flips in _by_kind(found):
            said, was, would = _kind_words(kind)
            yield ""
            yield f"{said}, {was} -> {would}:"
            for flip in flips:
                day = f"{flip.received_at:%Y-%m-%d %H:%M}"
                mark = " (without the site's layer)" if flip.layerless else ""
                site = names.get(flip.site_id, "")
                yield f"  {flip.id}  {day}  {site}  {shown(flip.content, width=80)}{mark}"

    def _notes(self) -> Iterator[str]:
        found = self.found
        if found.imported or found.unscored or found.elsewhere:
            yield (
                f"Left out: {found.imported:,} that came with a site's history,"
                f" {found.unscored:,} that no model had scored"
                + (f", {found.elsewhere:,} of new sites." if found.elsewhere else ".")
            )
        if found.layerless:
            yield (
                f"In {found.layerless:,} a site's own layer had a part then. It is of another"
                " model, and what one over this model would have said is not stored: they are"
                f" judged without. {found.layerless_flips:,} of the flips are among them."
            )


def _by_kind(found: Replayed) -> Iterator[tuple[Kind, list[Flip]]]:
    for kind, _ in found.changed:
        flips = [flip for flip in found.flips if flip.kind == kind]
        if flips:
            yield kind, flips


def _kind_words(kind: Kind) -> tuple[str, str, str]:
    said = "nothing" if kind.decided is None else kind.decided.word
    return said, kind.before.word, kind.after.word


def _kind_body(kind: Kind) -> dict[str, str | None]:
    decided = None if kind.decided is None else kind.decided.word
    return {"decided": decided, "was": kind.before.word, "would_be": kind.after.word}
