"""What figures, parts and reasons are called in a language. Draws nothing, and computes no figure.

Names that are not ours, such as a site's, are shown as they are, never filled in as texts.
"""

from collections.abc import Mapping

from model.comparison import Comparison
from model.promotion import ALL, Reason
from training.wording import Words

_SHARES = frozenset({"champion", "challenger", "share"})


def said(reason: Reason, words: Words, comparison: Comparison | None = None) -> str:
    """A reason of the promotion rule as a sentence, about the comparison that it is from."""
    told = {name: _value(name, value, words, comparison) for name, value in reason.values.items()}
    if "as_served" in reason.values and "figure" in told:
        told["figure"] = words("figure.as_served", figure=told["figure"])
    where, kind = "", str(reason.values.get("kind", "site"))
    if reason.values.get("slice", ALL) != ALL:
        name = slice_name(kind, str(reason.values["slice"]), words)
        where = words("reason.where", kind=f"{words.known(f'slice.{kind}', kind)}: ", slice=name)
    needed = ("figure", "champion", "challenger", "risk", "allowed", "share")
    return words(f"reason.{reason.code}", **(dict.fromkeys(needed, "–") | told), where=where)


def figure_name(name: str, words: Words, comparison: Comparison | None = None) -> str:
    """What a figure of a comparison is called."""
    risk = 0.0
    if comparison is not None:
        is_spam = name.startswith("spam")
        risk = comparison.promise_risk if is_spam else comparison.queue_risk
    if f"figure.{name}" not in words.texts:
        return name  # not ours: never a text to fill in
    return words(f"figure.{name}", risk=words.risk(risk))


def slice_name(kind: str, name: str, words: Words) -> str:
    """What a part of that kind is called."""
    if kind == "language":
        return words.known(f"language.{name}", name)
    return words.known(f"slice.{kind}.{name}", name)


def note_said(code: str, values: Mapping[str, str | int | float], words: Words) -> str:
    """A note as a sentence, or its code where there are no words for it."""
    told = {name: _value(name, value, words) for name, value in values.items()}
    try:
        return words(f"note.{code}", **told)
    except KeyError:  # a note of another version of this program
        return code


def _value(
    name: str, value: str | int | float, words: Words, comparison: Comparison | None = None
) -> str:
    if isinstance(value, str):
        return figure_name(value, words, comparison) if name == "figure" else value
    if name in ("risk", "allowed"):
        return words.risk(float(value))
    if name in _SHARES:
        return words.percent(float(value))
    return words.number(value, 0 if float(value).is_integer() else 1)
