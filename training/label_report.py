"""What is known of labels as a whole: how many, whose, how far people agree, what is lacking.

Pure: labels in, a body of plain JSON out that holds no text of any comment.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from model.agreement import Agreement, Unit, alpha, kappa
from model.decision import LabelledExample
from model.language import language_of
from model.outcome import Head
from model.policy import Policy
from model.promise import comments_needed
from training.resolving import Clash, Resolved

MOST_TOLD = 20
"""Of campaigns, accounts and pairs of moderators so many are told, the largest."""

LEAST_SHARED = 10
"""Two moderators are compared from so many things that both spoke of."""

Body = dict[str, Any]


def label_report(
    examples: Sequence[LabelledExample], found: Resolved, same_comments: Sequence[Unit] = ()
) -> Body:
    """The report on labels, `found` being them held against each other.

    `same_comments` are comments that several people decided one after another: what each said.
    """
    return {
        "labels": len(examples),
        "teaching": len(found.examples),
        "weight": sum(found.weights),
        "left_out": dict(found.left_out),
        "sources": _sources(examples),
        "accounts": _accounts(found),
        "agreement": {
            "near_duplicates": {head.value: _of_head(found, head) for head in Head},
            "same_comments": _agreed(alpha(same_comments)),
        },
        "conflicts": {
            clash.value: sum(one.clash is clash for one in found.conflicts) for clash in Clash
        },
        "campaigns": {
            "number": len(found.campaigns),
            "largest": [
                {"label": one.label, "comments": len(one.ids), "weight": one.weight}
                for one in found.campaigns[:MOST_TOLD]
            ],
        },
        "coverage": _coverage(found.examples),
        "needed_in_a_language": comments_needed(Policy().reject_risk),
    }


def _sources(examples: Iterable[LabelledExample]) -> list[Body]:
    counts = Counter(
        (
            example.source,
            example.provenance.kind.value,
            example.label.head.value,
            example.label.word,
        )
        for example in examples
    )
    names = ("source", "kind", "head", "label")
    return [dict(zip(names, key, strict=True)) | {"labels": n} for key, n in sorted(counts.items())]


def _accounts(found: Resolved) -> list[Body]:
    return [
        {
            "label": share.label,
            "kind": share.kind.value,
            "who": share.who,
            "labels": share.labels,
            "share": share.before,
            "weighs": share.after,
        }
        for share in found.shares
    ]


def _of_head(found: Resolved, head: Head) -> Body:
    units = [voices.said for voices in found.voices if voices.head is head]
    together: Counter[tuple[str, str]] = Counter(
        pair for unit in units for pair in combinations(sorted(unit), 2)
    )
    pairs = [
        {"one": one, "other": other} | _agreed(kappa(units, one, other))
        for (one, other), number in together.most_common(MOST_TOLD)
        if number >= LEAST_SHARED
    ]
    return _agreed(alpha(units)) | {"pairs": pairs}


def _agreed(found: Agreement) -> Body:
    return {
        "units": found.units,
        "agreed": found.agreed,
        "value": found.value,
        "low": found.low,
        "high": found.high,
    }


def _coverage(examples: Iterable[LabelledExample]) -> list[Body]:
    """By source and language of the text, how many of each label teach."""
    counts: Mapping[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for example in examples:
        counts[example.source, language_of(example.text)][example.label.word] += 1
    return [
        {"source": source, "language": language} | {"labels": dict(sorted(of.items()))}
        for (source, language), of in sorted(counts.items())
    ]
