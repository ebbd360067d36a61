"""The page of a comparison: first whether to promote, then everything that says so.

Same comparison, same bytes. Strangers' texts are escaped, and were masked when the comparison was
made; figures have words, numbers and drawings here, and no arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.comparison import (
    FIGURES,
    Comparison,
    DataCard,
    Figure,
    Flip,
    Interval,
    Share,
    Slice,
)
from model.promotion import GAINS, Bounds, Reason, Ruling, promotable
from model.registry import Registry
from training.comparing import LEAST_IN_A_SLICE
from training.comparison_drawings import calibration_drawn, curve_drawn, drift_drawn
from training.drawing import change_bar, share_bar
from training.page import of_1000, rendered
from training.saying import figure_name, note_said, said, slice_name
from training.wording import LANGUAGES, Words, words_in

WITHOUT_SHADOW = Bounds(shadow_comments=0, shadow_hours=0)
"""The promotion rule by the figures alone."""

ANSWERS = (
    "genuine_rejected",
    "genuine_held",
    "spam_caught",
    "spam_rejected",
    "toxic_caught",
    "clean_held",
)
"""The figures that are told as gains or losses, the costly mistake first."""

REASONS_SHOWN = 8
"""Of the reasons for the answer; the others are told when asked for."""

IN_SLICES = ("genuine_held", "spam_caught", "toxic_caught")


@dataclass(frozen=True, slots=True)
class Answer:
    """A figure as a sentence: so many of 1,000 more, what that is, and how sure it is."""

    amount: str
    of: str
    what: str
    detail: str


def keep(registry: Registry, comparison: Comparison) -> Path:
    """Put a comparison and its pages into a registry, without texts of the store's comments.

    Gives the folder. Raises RegistryError when either version is not there.
    """
    kept = comparison.without_texts()
    pages = {f"report.{tag}.html": comparison_page(kept, tag, in_desk=True) for tag in LANGUAGES}
    return registry.add_report(kept, pages)


def comparison_page(
    comparison: Comparison,
    language: str = "en",
    *,
    ruling: Ruling | None = None,
    in_desk: bool = False,
) -> str:
    """The page. `ruling` is what it begins with; by default that of the figures alone.

    `in_desk` links comments whose text is not there to the moderators' page of them.

    Raises KeyError for a language that it has no words for.
    """
    words = words_in(language)
    ruling = ruling or promotable(comparison, None, WITHOUT_SHADOW)
    told = dict(
        c=comparison,
        in_desk=in_desk,
        ruling=ruling,
        reasons=[(r.refuses, said(r, words, comparison)) for r in _ordered(ruling)],
        reasons_shown=REASONS_SHOWN,
        answers=_answers(comparison, words),
        figures=[_row(figure, comparison, words) for figure in _sorted(comparison.figures)],
        harms=[_flip(flip, words) for flip in comparison.flips if flip.is_harm],
        gains=[_flip(flip, words) for flip in comparison.flips if not flip.is_harm],
        served=_served(comparison, words),
        slices=_slices(comparison, words),
        in_slices=[name for name in IN_SLICES if _is_in_slices(comparison, name)],
        attacks=_attacks(comparison, words),
        attacked=words.number(_most_attacked(comparison)),
        least=words.number(LEAST_IN_A_SLICE),
        curves=[curve_drawn(curve, comparison, words) for curve in comparison.curves],
        calibration=[calibration_drawn(one, words) for one in comparison.calibration],
        drift=[drift_drawn(one, words) for one in comparison.drift],
        card=_card(comparison, words),
        notes=[note_said(note.code, note.values, words) for note in comparison.notes],
    )
    return rendered("comparison.html", words, told)


# ------------------------------------------------------------------ the answer


def _ordered(ruling: Ruling) -> list[Reason]:
    return [*ruling.against, *(reason for reason in ruling.reasons if not reason.refuses)]


def _answers(comparison: Comparison, words: Words) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {"wins": [], "costs": [], "unsure": []}
    for name in ANSWERS:
        figure = comparison.figure(name)
        if figure is None or not figure.difference.value:
            continue
        kind = "wins" if figure.is_better else "costs" if figure.is_worse else "unsure"
        found[kind].append(_answer(figure, words))
    return found


def _answer(figure: Figure, words: Words) -> Answer:
    change = figure.difference
    value = change.value or 0.0
    label, _, became = figure.name.partition("_")
    what = figure.name if figure.name == "spam_rejected" else became
    low, high = sorted((abs(change.low or 0.0), abs(change.high or 0.0)))
    if change.low is not None and change.high is not None and change.low < 0 < change.high:
        low_text, high_text = (of_1000(x, words, signed=True) for x in (change.low, change.high))
    else:
        low_text, high_text = of_1000(low, words), of_1000(high, words)
    detail = words(
        "between",
        low=low_text,
        high=high_text,
        champion=of_1000(figure.champion.value or 0.0, words),
        challenger=of_1000(figure.challenger.value or 0.0, words),
    )
    return Answer(
        amount=of_1000(abs(value), words),
        of=words(f"of_1000.{label}"),
        what=words(f"{'more' if value > 0 else 'fewer'}.{what}"),
        detail=detail if change.low is not None else "",
    )


# ------------------------------------------------------------------ figures and parts


def _sorted(figures: Sequence[Figure]) -> list[Figure]:
    order = list(FIGURES)
    return sorted(
        figures, key=lambda figure: order.index(figure.name) if figure.name in order else 99
    )


def _row(figure: Figure, comparison: Comparison, words: Words) -> dict[str, object]:
    limit = max((abs(x) for x in (figure.difference.low, figure.difference.high) if x), default=0.0)
    return {
        "name": figure_name(figure.name, words, comparison),
        "champion": _level(figure.name, figure.champion.value, words),
        "challenger": _level(figure.name, figure.challenger.value, words),
        **_change(figure, words, max(limit, 0.002)),
        "rows": words.number(figure.rows),
    }


def _served(comparison: Comparison, words: Words) -> list[dict[str, object]]:
    """What either version does alone, and with what each site had learnt."""
    rows: list[dict[str, object]] = []
    for served in _sorted(comparison.served):
        alone = comparison.figure(served.name)
        if alone is None or served.name not in GAINS:
            continue
        row = _row(served, comparison, words)
        sides = (
            (alone.champion, served.champion, "before"),
            (alone.challenger, served.challenger, "now"),
        )
        row["sides"] = [
            (words.percent(one.value), words.percent(other.value), name)
            for one, other, name in sides
        ]
        rows.append(row)
    return rows


def _change(figure: Figure, words: Words, limit: float) -> dict[str, object]:
    key = "better" if figure.is_better else "worse" if figure.is_worse else "same"
    return {
        "key": key,
        "change": _points(figure.difference.value, words),
        "range": _range(figure.difference, words),
        "bar": change_bar(figure.difference, limit, key),
    }


def _level(name: str, value: float | None, words: Words) -> str:
    """A figure of one version: an area under a curve is no percentage."""
    if value is not None and name.endswith("ranking"):
        return words.number(value, 4)
    return words.percent(value)


def _points(value: float | None, words: Words) -> str:
    if not value:
        return "–" if value is None else words.number(0)
    return words.change(100 * value, 2 if abs(value) < 0.01 else 1)


def _range(interval: Interval, words: Words) -> str:
    if interval.low is None or interval.high is None:
        return ""
    ends = (interval.low, interval.high)
    decimals = 2 if max(map(abs, ends)) < 0.01 else 1
    low, high = (words.change(100 * end, decimals) for end in ends)
    return f"{low} … {high}"


def _is_in_slices(comparison: Comparison, name: str) -> bool:
    return any(part.figure(name) for part in comparison.slices)


def _slices(comparison: Comparison, words: Words) -> list[dict[str, object]]:
    limits = {name: _limit(comparison.slices, name) for name in IN_SLICES}
    rows: list[dict[str, object]] = []
    for part in comparison.slices:
        cells = [
            (name, _change(found, words, limits[name]) if (found := part.figure(name)) else None)
            for name in IN_SLICES
            if _is_in_slices(comparison, name)
        ]
        is_first = not rows or rows[-1]["kind"] != part.kind
        rows.append(
            {
                "kind": part.kind,
                "heading": words.known(f"slice.{part.kind}", part.kind) if is_first else "",
                "name": slice_name(part.kind, part.name, words),
                "rows": words.number(part.rows),
                "cells": cells,
            }
        )
    return rows


def _limit(slices: Sequence[Slice], name: str) -> float:
    """What the ends of a column's bars stand for: most of its changes fit, not every interval."""
    ends = sorted(
        max(abs(figure.difference.low or 0), abs(figure.difference.high or 0))
        for part in slices
        if (figure := part.figure(name)) is not None
    )
    return max(ends[int(0.75 * (len(ends) - 1))], 0.002) if ends else 0.0


def _flip(flip: Flip, words: Words) -> dict[str, object]:
    move = words(
        "flip.move",
        label=words.known(f"flip.{flip.label}", flip.label),
        before=words.known(f"outcome.{flip.before}", flip.before),
        after=words.known(f"outcome.{flip.after}", flip.after),
    )
    examples = [
        {
            "id": example.id,
            "text": example.text,
            "about": " · ".join(
                part
                for part in (
                    words.known(f"language.{example.language}", example.language),
                    example.source,
                    _scores(example.champion_score, example.challenger_score, words),
                )
                if part
            ),
        }
        for example in flip.examples
    ]
    count = words("flips.count", count=words.number(flip.count), of=words.number(flip.of))
    # As on the queue page: nobody has to read insults who only wants the figures.
    is_folded = flip.label in ("toxic", "clean")
    return {"move": move, "count": count, "examples": examples, "is_folded": is_folded}


def _scores(before: float | None, after: float | None, words: Words) -> str:
    if before is None or after is None:
        return ""
    shown = [words.number(score, 3) for score in (before, after)]
    return words("flip.score", before=shown[0], after=shown[1])


def _attacks(comparison: Comparison, words: Words) -> list[dict[str, object]]:
    return [
        {
            "name": words.known(f"attack.{attacked.name}", attacked.name),
            "sides": [
                {
                    "what": what,
                    "key": "better" if f.is_better else "worse" if f.is_worse else "same",
                    "champion": words.percent(f.champion.value),
                    "challenger": words.percent(f.challenger.value),
                    "bar": share_bar(f.challenger.value or 0.0, "challenger"),
                    "rows": words.number(f.rows),
                }
                for what, f in (
                    ("attack.spam", attacked.spam_caught),
                    ("attack.genuine", attacked.genuine_held),
                )
            ],
        }
        for attacked in comparison.attacks
    ]


def _most_attacked(comparison: Comparison) -> int:
    figures = (f for a in comparison.attacks for f in (a.spam_caught, a.genuine_held))
    return max((figure.rows for figure in figures), default=0)


# ------------------------------------------------------------------ drawings


# ------------------------------------------------------------------ the data card


def _card(comparison: Comparison, words: Words) -> dict[str, object]:
    data: DataCard = comparison.data
    facts = [
        (words.number(comparison.groups), words("data.groups")),
        (words.number(data.effective), words("data.effective")),
    ]
    facts += [
        (words.number(count), words(f"data.{name}"))
        for name, count in (
            ("weighted", data.weighted),
            ("conflicts", data.conflicts),
            ("campaigns", data.campaigns),
        )
        if count
    ]
    tables = [
        (words("data.sources"), list(_share_rows(data.sources, words))),
        (words("data.languages"), list(_share_rows(data.languages, words, "language"))),
        (words("data.accounts"), list(_share_rows(data.accounts, words))),
        (words("data.reviewed"), list(_share_rows(data.reviewed, words, "reviewed"))),
    ]
    dates = words("data.dates", first=data.first, last=data.last) if data.first else ""
    left_out = [(words.number(count), why) for why, count in data.left_out.items()]
    return {"facts": facts, "tables": tables, "dates": dates, "left_out": left_out}


def _share_rows(
    shares: Sequence[Share], words: Words, prefix: str = ""
) -> Iterator[dict[str, object]]:
    for share in shares:
        yield {
            "name": words.known(f"{prefix}.{share.name}", share.name) if prefix else share.name,
            "rows": words.number(share.rows),
            "weight": words.percent(share.weight),
            "bar": share_bar(share.weight, "plain"),
        }
