"""The audit of an installation's labels: which are probably wrong, as it is told and kept.

Knows the store's findings; how wrong labels are found is in `training.auditing`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.decision import LabelledExample
from service.commands.opening import shown
from service.storage import Store
from service.storage.label_findings import FindingKind, LabelFindings
from training.auditing import Audited, audited
from training.recipes import RECIPES
from training.rehearsal import own_texts, supporting
from training.relying import reliance_of
from training.resolving import Reliance, Resolved

EXCERPT = 100
"""Letters of a comment that are shown to know it by."""

MOST_KEPT = 500
"""Labels that are kept for the page."""

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Audit:
    """What is suspect, all of it, and who is relied on less."""

    looked: Audited
    reliance: Reliance

    def body(self) -> dict[str, Any]:
        """As it is told: plain JSON, with excerpts of texts."""
        return _audit_body(self.looked, self.reliance)


def looked_at(
    found: Resolved, *, jobs: int, texts: Sequence[LabelledExample] | None = None
) -> Audit:
    """Look for labels that are probably wrong, and for accounts that everybody contradicts.

    `found` are labels for which every account was relied on. Of `texts`, the project's own unless
    others are given, a thousand that no label is about back the fits.
    """
    support = supporting(found.examples, own_texts() if texts is None else texts)
    recipe = RECIPES["general"]
    return Audit(
        audited(found, recipe, support=support, jobs=jobs),
        reliance_of(found, recipe, support=support, jobs=jobs),
    )


def _audit_body(looked: Audited, reliance: Reliance) -> dict[str, Any]:
    return {
        "judged": looked.judged,
        "suspect": len(looked.suspects),
        "wrong": {label: share for label, share in sorted(looked.wrong.items())},
        "left_out": dict(looked.left_out),
        "accounts": [
            {
                "head": one.head.value,
                "kind": one.kind.value,
                "who": one.who,
                "labels": one.labels,
                "suspect": one.suspect,
                "low": one.low,
                "high": one.high,
                "others": one.others if math.isfinite(one.others) else None,
            }
            for one in looked.accounts
        ],
        "reliance": [
            {"head": head.value, "kind": kind.value, "who": who, "weighs": weighs}
            for (head, kind, who), weighs in reliance.items()
        ],
        "labels": [
            {
                "id": one.example.id,
                "comment_id": one.example.extra.get("comment_id"),
                "source": one.example.source,
                "label": one.example.label.word,
                "suggests": one.suggests,
                "score": one.score,
                "kind": one.example.provenance.kind.value,
                "who": one.example.provenance.who,
                "at": one.example.provenance.at,
                "excerpt": shown(one.example.text, width=EXCERPT),
            }
            for one in looked.suspects
        ],
    }


def keep(body: Mapping[str, Any], store: Store) -> None:
    """Keep what was found for the page, without texts."""
    LabelFindings(store).keep(FindingKind.AUDIT, _without_texts(body), by=OPERATOR)


def _without_texts(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = [
        {key: value for key, value in one.items() if key != "excerpt"}
        for one in body["labels"][:MOST_KEPT]
    ]
    return {**body, "labels": kept}
