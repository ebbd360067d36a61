"""The audit of an installation's labels: which are probably wrong, as it is told and kept.

Knows the store's findings; how wrong labels are found is in `training.auditing`.
"""

import math
from collections.abc import Mapping
from typing import Any

from model.decision import LabelledExample
from model.signs import letters_as_read
from service.commands.opening import shown
from service.storage import Store
from service.storage.label_findings import FindingKind, LabelFindings
from training.auditing import Audited, audited
from training.recipes import RECIPES
from training.rehearsal import own_texts
from training.relying import reliance_of
from training.resolving import Reliance, Resolved

EXCERPT = 100
"""Letters of a comment that are shown to know it by."""

SUPPORT = 1_000
"""Texts of the project that every fit of an audit sees as well, about."""

MOST_KEPT = 500
"""Labels that are kept for the page."""

OPERATOR = "operator"


def looked_at(found: Resolved, *, jobs: int) -> dict[str, Any]:
    """What is suspect, all of it, and who is relied on less: plain JSON, with excerpts of texts."""
    support = _support(found)
    recipe = RECIPES["general"]
    looked = audited(found, recipe, support=support, jobs=jobs)
    reliance = reliance_of(found, recipe, support=support, jobs=jobs)
    return _audit_body(looked, reliance)


def _support(found: Resolved) -> list[LabelledExample]:
    """Texts of the project that no label is about, evenly drawn: what a small site lacks."""
    own = {letters_as_read(example.text) for example in found.examples}
    texts = [e for e in own_texts() if letters_as_read(e.text) not in own]
    return texts[:: max(1, len(texts) // SUPPORT)]


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
