"""The drawings of a comparison: curves, calibration, and how scores have moved."""

from collections.abc import Sequence

from model.comparison import Calibration, Comparison, Curve, Drift
from training.drawing import Axis, Line, histogram, plot
from training.page import QUARTERS, percent_ticks
from training.wording import Words


def curve_drawn(curve: Curve, comparison: Comparison, words: Words) -> dict[str, object]:
    """What both find for what they flag, with what the policy allows as a rule."""
    head = curve.head
    is_spam = head == "spam"
    risk = comparison.promise_risk if is_spam else comparison.queue_risk
    x = Axis(
        words.known(f"curve.x.{head}", head), 1e-4, 1.0,
        percent_ticks(words, (1e-4, 1e-3, 1e-2, 1e-1, 1.0)), is_log=True,
    )  # fmt: skip
    y = Axis(words("curve.y"), 0.0, 1.0, percent_ticks(words, QUARTERS))
    lines = [
        Line("champion", tuple(zip(curve.rates, curve.champion, strict=True))),
        Line("challenger", tuple(zip(curve.rates, curve.challenger, strict=True))),
    ]
    rules = [Line("rule", ((risk, 0.0), (risk, 1.0)))] if risk else []
    title = words.known(f"curve.{head}", head)
    return {"title": title, "svg": plot(x, y, lines, f"{words('curves')}: {title}", rules=rules)}


def calibration_drawn(one: Calibration, words: Words) -> dict[str, object]:
    """Scores against the truth, with the diagonal as a rule."""
    ticks = percent_ticks(words, QUARTERS)
    x, y = Axis(words("calibration.x"), 0.0, 1.0, ticks), Axis("", 0.0, 1.0, ticks)
    lines = [
        Line(key, tuple((point.score, point.share) for point in points), with_dots=True)
        for key, points in (("champion", one.champion), ("challenger", one.challenger))
    ]
    title = words.known(f"curve.{one.head}", one.head)
    diagonal = Line("rule", ((0.0, 0.0), (1.0, 1.0)))
    said = f"{words('calibration')}: {title}"
    return {"title": title, "svg": plot(x, y, lines, said, rules=[diagonal])}


def drift_drawn(one: Drift, words: Words) -> dict[str, object]:
    """The champion's scores then and now."""
    then, now = (_shares(counts) for counts in (one.then, one.now))
    top = max([*then, *now, 0.01])
    x = Axis(words("calibration.x"), 0.0, 1.0, percent_ticks(words, QUARTERS))
    y = Axis("", 0.0, top, percent_ticks(words, (0.0, top)))
    title = words.known(f"label.{one.label}", one.label)
    said = f"{words('drift')}: {title}"
    index = "–" if one.stability is None else words.number(one.stability, 2)
    return {
        "title": title,
        "index": words("drift.index", index=index),
        "is_changed": one.stability is not None and one.stability > 0.25,
        "svg": histogram(x, y, then, now, said),
    }


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]
