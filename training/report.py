"""Show an evaluation: a table for a terminal, a page for a browser.

Knows figures and plots, and no comment: neither form holds a word of what was judged. The page
stands alone (no script, nothing fetched) and is the same bytes for the same figures.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from model.decision import Label
from model.outcome import Outcome
from training.card import promise_table
from training.evaluation import (
    FALSE_POSITIVE_RATES,
    USUAL,
    Estimate,
    Evaluation,
    Judged,
    Outcomes,
    Slice,
    calibration_bins,
)

METRIC_NAMES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "macro_f1": "Macro-F1",
    "precision": "Precision",
    "recall": "Recall",
    "mcc": "MCC",
    "recall_at_fpr_0_1_percent": "Recall at 0.1 % false positives",
    "recall_at_fpr_0_5_percent": "Recall at 0.5 % false positives",
    "recall_at_fpr_1_percent": "Recall at 1 % false positives",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}

# Stand-ins that the page turns into its own colours, so that plots follow light and dark.
_INK, _MUTED, _GRID = "#010101", "#010102", "#010103"
_POSITIVE, _NEGATIVE, _QUEUE, _REJECT = "#010104", "#010105", "#010106", "#010107"
_COLOURS: Mapping[str, str] = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    _POSITIVE: "var(--positive)",
    _NEGATIVE: "var(--negative)",
    _QUEUE: "var(--queue)",
    _REJECT: "var(--reject)",
}
_LEAST_RATE = 1e-4  # the left end of the ROC's logarithmic axis


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation and the rows it was made from, which the plots need."""

    evaluation: Evaluation
    judged: Judged


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing for the page. `caption` says what to see; `svg` is markup of our own making."""

    title: str
    caption: str
    svg: Markup


def text_report(evaluations: Sequence[Evaluation]) -> str:
    """The figures for a terminal, at most 100 columns wide."""
    return "\n\n\n".join("\n".join(_text_lines(evaluation)) for evaluation in evaluations)


def write_report(folder: Path, measured: Sequence[Measured]) -> Path:
    """Write `index.html` and `report.json` into a folder, made if need be; give the page's path.

    Files of those names are overwritten. Raises OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(html_report(measured), encoding="utf-8")
    body = json_report([m.evaluation for m in measured])
    (folder / "report.json").write_text(body + "\n", encoding="utf-8")
    return page


def json_report(evaluations: Sequence[Evaluation]) -> str:
    """The figures for a machine: `tasks`, an evaluation each."""
    body = {"tasks": {e.head.value: e.json_body() for e in evaluations}}
    return json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)


def html_report(measured: Sequence[Measured]) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "range": _range, "percent": _percent}
    tasks = [
        {
            "evaluation": m.evaluation,
            "words": _words(m.evaluation),
            "plots": _plots(m),
            "outcomes": list(_outcome_rows(m.evaluation)),
            "promise": promise_table(_promise_body(m.evaluation), *_words(m.evaluation)),
        }
        for m in measured
    ]
    template = environment.get_template("report.html")
    return template.render(tasks=tasks, metric_names=METRIC_NAMES, flatters=_flatters)


def _words(evaluation: Evaluation) -> tuple[str, str]:
    return Label(evaluation.head, True).word, Label(evaluation.head, False).word


def _flatters(part: Slice, metric: str) -> bool:
    """Whether a recall at few false positives has too few negatives to tell."""
    rates = dict(zip(_RECALL_METRICS, FALSE_POSITIVE_RATES, strict=True))
    return metric in rates and part.negatives * rates[metric] < 1


_RECALL_METRICS = tuple(name for name in METRIC_NAMES if name.startswith("recall_at"))


def _outcome_rows(evaluation: Evaluation) -> Iterator[tuple[str, list[tuple[str, int, Estimate]]]]:
    total = evaluation.total
    pairs = zip(_words(evaluation), (total.positive_outcomes, total.negative_outcomes), strict=True)
    for word, became in pairs:
        yield word, [(o.word, *_outcome(became, o)) for o in Outcome]


def _outcome(became: Outcomes, outcome: Outcome) -> tuple[int, Estimate]:
    count: int = getattr(became, outcome.word)
    share: Estimate = getattr(became, f"{outcome.word}_share")
    return count, share


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.3f}–{estimate.high:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


# --- the terminal -------------------------------------------------------------------------


def _text_lines(evaluation: Evaluation) -> Iterator[str]:
    total, (bad, good) = evaluation.total, _words(evaluation)
    yield f"{evaluation.head.upper()}   {total.rows:,} rows: {total.positives:,} {bad}, " + (
        f"{total.negatives:,} {good}"
    )
    yield f"model {evaluation.model or 'none'}, policy {evaluation.policy}"
    yield "flagged is queued or rejected, for a score or by a rule"
    if total.unscored:
        yield f"{total.unscored:,} rows could not be scored; they count by their outcome only"
    yield ""
    for name, title in METRIC_NAMES.items():
        estimate: Estimate = getattr(total.metrics, name)
        note = "  too few to tell" if _flatters(total, name) and estimate.value is not None else ""
        yield f"  {title:<32} {_figure(estimate.value):>6}  {_range(estimate)}{note}".rstrip()
    yield ""
    yield f"  {'':<10}" + "".join(f"{outcome.word:>29}" for outcome in Outcome)
    for word, cells in _outcome_rows(evaluation):
        shown = (f"{n:,}  {_percent(e.value):>7} {_percent_range(e):>11}" for _, n, e in cells)
        yield f"  {word:<10}" + "".join(f"{cell:>29}" for cell in shown)
    if evaluation.promised:
        yield ""
        yield f"  The promise, by this score alone; at most: so many {good}, with 95 % confidence"
        yield from _columns(promise_table(_promise_body(evaluation), bad, good))
    for title, parts in (("Source", evaluation.sources), ("Language", evaluation.languages)):
        yield ""
        titles = ("ROC AUC", "macro-F1", "recall @ 1 % FP", f"flagged {good}")
        yield f"  {title:<18}{'rows':>8}{bad:>8}  " + "".join(f"{t:<16}" for t in titles).rstrip()
        for part in parts:
            yield _text_row(part)


def _text_row(part: Slice) -> str:
    name = part.name if len(part.name) <= 17 else part.name[:16] + "…"
    shown = "".join(char if char.isprintable() else "�" for char in name)
    m = part.metrics
    cells = (m.roc_auc, m.macro_f1, m.recall_at_fpr_1_percent, _flagged_share(part))
    figures = "".join(f"{_short(cell):<16}" for cell in cells)
    return f"  {shown:<18}{part.rows:>8,}{part.positives:>8,}  {figures}".rstrip()


def _flagged_share(part: Slice) -> Estimate:
    """How much of the wanted was flagged: what was not accepted."""
    kept = part.negative_outcomes.accept_share
    value, low, high = (None if x is None else 1 - x for x in (kept.value, kept.high, kept.low))
    return Estimate(value, low, high)


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    # ".962 .960–.964": no figure in the table leaves [0, 1], so the nought says nothing.
    text = f"{_figure(estimate.value)} {_range(estimate)}".replace("0.", ".")
    return text.replace("1.000", "1.00")


def _percent_range(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}"


def _promise_body(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [asdict(p) | {"outcome": p.outcome.word} for p in evaluation.promised]


def _columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table with its columns as wide as they need to be, the first two to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f"  {'  '.join(cells)}".rstrip()


# --- the page's plots ---------------------------------------------------------------------


def _plots(measured: Measured) -> list[Plot]:
    evaluation = measured.evaluation
    real = measured.judged.real()
    judged = real.where(~np.isnan(real.score))
    both = bool(judged.weight[judged.positive].sum() and judged.weight[~judged.positive].sum())
    bad, good = _words(evaluation)
    salt = f"duyet-{evaluation.head}"
    draw = [
        (
            "Precision and recall",
            f"How much of the {bad} is found, and how much of what is flagged is {bad}.",
            _draw_precision_recall if both else _draw_nothing,
        ),
        (
            "ROC",
            f"{bad.capitalize()} found against {good} flagged. The axis is logarithmic: the costly "
            "mistakes are at its left end.",
            _draw_roc if both else _draw_nothing,
        ),
        (
            "Calibration",
            f"Of rows scored 0.8, 80 % should be {bad}, were there as many {bad} as {good}. "
            "Points are 15 bins of equal mass; below, how many rows have each score.",
            _draw_calibration if len(judged) else _draw_nothing,
        ),
        (
            "Scores",
            "How the rows of each label are scored, and where the outcome changes under the usual "
            "policy in each language.",
            _draw_scores if len(judged) else _draw_nothing,
        ),
    ]
    plots = []
    for number, (title, caption, onto) in enumerate(draw):
        with _style(f"{salt}-{number}"):
            figure = Figure(figsize=(5.2, 3.9), layout="constrained")
            onto(figure, judged, evaluation)
            plots.append(Plot(title, caption, _svg(figure, f"{title}, {evaluation.head}")))
    return plots


def _style(salt: str) -> AbstractContextManager[None]:
    """Matplotlib's settings for the page; `salt` makes the ids of a drawing its own, and stable."""
    return mpl.rc_context(
        {
            "svg.hashsalt": salt,
            "svg.fonttype": "none",
            "font.size": 10,
            "text.color": _INK,
            "axes.labelcolor": _MUTED,
            "axes.edgecolor": _GRID,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": _GRID,
            "grid.linewidth": 0.6,
            "xtick.color": _GRID,
            "ytick.color": _GRID,
            "xtick.labelcolor": _MUTED,
            "ytick.labelcolor": _MUTED,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "legend.fontsize": 9,
        }
    )


def _draw_nothing(figure: Figure, judged: Judged, evaluation: Evaluation) -> None:
    bad, good = _words(evaluation)
    axes = figure.subplots()
    axes.set_axis_off()
    need = f"needs scored rows of both labels, {bad} and {good}" if len(judged) else "no scores"
    axes.text(0.5, 0.5, need, ha="center", va="center", color=_MUTED)


def _draw_precision_recall(figure: Figure, judged: Judged, evaluation: Evaluation) -> None:
    axes = figure.subplots()
    precision, recall, _ = precision_recall_curve(
        judged.positive, judged.score, sample_weight=judged.weight, drop_intermediate=True
    )
    share = np.average(judged.positive, weights=judged.weight)
    axes.axhline(share, color=_MUTED, linewidth=0.9, linestyle=":", label="flag everything")
    axes.plot(recall, precision, color=_POSITIVE, drawstyle="steps-pre", label="by score alone")
    at = evaluation.total.metrics
    if at.precision.value is not None and at.recall.value is not None:
        axes.plot(at.recall.value, at.precision.value, "o", color=_QUEUE, label="flagged in fact")
    axes.set(xlabel="Recall", ylabel="Precision", xlim=(0, 1.01), ylim=(0, 1.01))
    _percent_axes(axes)
    axes.legend(loc="lower left")


def _draw_roc(figure: Figure, judged: Judged, evaluation: Evaluation) -> None:
    bad, good = _words(evaluation)
    axes = figure.subplots()
    wrong, found, _ = roc_curve(judged.positive, judged.score, sample_weight=judged.weight)
    axes.plot(np.maximum(wrong, _LEAST_RATE / 10), found, color=_POSITIVE, drawstyle="steps-post")
    chance = np.geomspace(_LEAST_RATE, 1, 60)
    axes.plot(chance, chance, color=_MUTED, linewidth=0.9, linestyle=":")
    for rate in FALSE_POSITIVE_RATES:
        axes.axvline(rate, color=_QUEUE, linewidth=0.9, linestyle="--")
        axes.text(rate, 1.02, f"{100 * rate:g}", color=_MUTED, fontsize=8, ha="center")
    axes.set(
        xscale="log", xlabel=f"{good.capitalize()} flagged (%)", ylabel=f"{bad.capitalize()} found"
    )
    axes.set(xlim=(_LEAST_RATE, 1), ylim=(0, 1.01))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _draw_calibration(figure: Figure, judged: Judged, evaluation: Evaluation) -> None:
    bad, _ = _words(evaluation)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = calibration_bins(judged)
    above.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.9, linestyle=":")
    above.plot(
        [b.mean_score for b in bins], [b.positive_share for b in bins], "o-",
        color=_POSITIVE, markersize=5, linewidth=1,
    )  # fmt: skip
    above.set(ylabel=f"Share of {bad}", xlim=(0, 1), ylim=(-0.02, 1.02))
    below.hist(judged.score, bins=np.linspace(0, 1, 21).tolist(), color=_MUTED, rwidth=0.85)
    below.set(xlabel="Score", ylabel="Rows", yscale="log")
    above.yaxis.set_major_formatter(PercentFormatter(1))


def _draw_scores(figure: Figure, judged: Judged, evaluation: Evaluation) -> None:
    axes = figure.subplots()
    for positive, word, colour in zip(
        (False, True), reversed(_words(evaluation)), (_NEGATIVE, _POSITIVE), strict=True
    ):
        chosen = judged.score[judged.positive == positive]
        weight = np.full(len(chosen), 1 / max(1, len(chosen)))
        edges = np.linspace(0, 1, 41).tolist()
        axes.hist(
            chosen, bins=edges, weights=weight, histtype="stepfilled", color=colour, alpha=0.25
        )
        axes.hist(chosen, bins=edges, weights=weight, histtype="step", color=colour, label=word)
    usual = {
        (Outcome.QUEUE, USUAL.queue_risk): _QUEUE,
        (Outcome.REJECT, USUAL.reject_risk): _REJECT,
    }
    for promised in evaluation.promised:
        colour = usual.get((promised.outcome, promised.risk), "")
        if colour and promised.threshold <= 1:
            axes.axvline(
                promised.threshold,
                color=colour,
                linestyle="--",
                linewidth=1.4,
                label=f"{promised.outcome.word}, {promised.language}",
            )
    axes.set(xlabel="Score", ylabel="Share of the label's rows (log)", xlim=(0, 1), yscale="log")
    axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:g} %")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, handlelength=1.4)


def _percent_axes(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _svg(figure: Figure, title: str) -> Markup:
    """The drawing as markup to stand inside a page, in the page's colours and type."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue().decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r"font: (?:\w+ )*([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for stand_in, colour in _COLOURS.items():
        svg = svg.replace(stand_in, colour)
    label = Markup('<svg role="img" aria-label="{}"').format(title)
    sized = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", svg)
    sized = re.sub(r'^<svg([^>]*?) height="[^"]*"', r"<svg\1", sized)
    return Markup(sized.replace("<svg", label, 1))
