"""The model card: what a version is, what it was fitted to, how good it is, what it is not for.

A text made from the manifest alone, so that anybody can make it again. Holds no comment and
no address. Imports nothing heavy.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.outcome import Head, Outcome
from model.registry import Manifest

RESEARCH_TIER = "C"

_TIERS: Mapping[str, str] = {
    "A": "open licence",
    "B": "public comments, no licence stated",
    RESEARCH_TIER: "research only",
}
_FIGURES: tuple[tuple[str, str], ...] = (
    ("roc_auc", "ROC AUC"),
    ("average_precision", "average precision"),
    ("macro_f1", "macro-F1"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("mcc", "MCC"),
    ("recall_at_fpr_0_1_percent", "recall at 0.1 % false positives"),
    ("recall_at_fpr_0_5_percent", "recall at 0.5 % false positives"),
    ("recall_at_fpr_1_percent", "recall at 1 % false positives"),
    ("brier", "Brier score"),
    ("calibration_error", "calibration error"),
)
_SHORT: tuple[tuple[str, str], ...] = (
    ("roc_auc", "ROC AUC"),
    ("macro_f1", "macro-F1"),
    ("recall_at_fpr_1_percent", "recall at 1 % FP"),
)

_SHOWN_RISKS = (0.001, 0.005, 0.01)
_UNITS: Mapping[str, str] = {
    "group": "group (a thread, a video, a site)",
    "source": "group, and as well by whole source",
}

_USES = """\
* For: telling a service which comments to publish, queue for a person, or reject, on sites whose
  moderators look at what is queued and at a sample of the rest.
* By: whoever runs such a site, and answers for what is published on it.
* Not for: judging people, texts that are no comments, or rejecting what nobody can bring back."""

_PRIVACY = """\
* It is a table of numbers over hashed pieces of text. No comment can be read out of it; whether
  a rare piece of text was in its data may be guessed by who has that text already.
* It reads the text of a comment and the name and URL of its author, neither email address nor IP.
* Whoever is erased leaves the labels at once, and the model with the next training."""

_LIMITS = """\
* It reads words, letters and links. It knows neither what an article says nor who is right.
* Languages, kinds of sites and campaigns that are not in its data are near chance: see the
  figures by source and by language, and mistrust those with few rows.
* Groups (a thread, a video, a site) were held out whole, but from the same sources it was
  fitted to. On a site it has never seen, expect less.
* Its scores are calibrated for as many wanted as unwanted comments.
* It must not be the only judge of a person, and must not be used to find out who somebody is,
  what they believe or where they come from."""


def card_of(manifest: Manifest) -> str:
    """The card in Markdown. A manifest without an evaluation says so."""
    return "\n".join(_lines(manifest)).rstrip() + "\n"


def is_research_only(manifest: Manifest) -> bool:
    """Whether the version was fitted to data that only research may use."""
    return any(source.get("tier") == RESEARCH_TIER for source in manifest.data)


def folds_held(manifest: Manifest) -> int | None:
    """How many folds were held out, where it was not all of them."""
    held, folds = manifest.recipe.get("held_out"), manifest.recipe.get("folds")
    return held if isinstance(held, int) and held != folds else None


def _lines(manifest: Manifest) -> Iterator[str]:
    yield "# Model card"
    yield ""
    yield "A classifier of comments with two heads, spam and toxicity: logistic regressions over"
    yield "hashed characters, words and a few signs. It is part of a service that accepts,"
    yield "rejects or queues comments for a person."
    yield ""
    if is_research_only(manifest):
        yield "**Fitted to research-only data. It must not be given away or used commercially.**"
        yield ""
    yield from _parent_lines(manifest)
    yield from _data_lines(manifest)
    yield from _promise_lines(manifest)
    yield from _figure_lines(manifest)
    yield from _failure_lines(manifest.evaluation.get("failures", ()))
    yield "## Use"
    yield ""
    yield _USES
    yield ""
    yield "## Privacy"
    yield ""
    yield _PRIVACY
    yield ""
    yield "## Limits"
    yield ""
    yield _LIMITS
    yield ""
    yield from _making_lines(manifest)


def _parent_lines(manifest: Manifest) -> Iterator[str]:
    """What was moved to make the version, where it was made so."""
    recipe = manifest.recipe
    if "parent" not in recipe:
        return
    moved = " and ".join(recipe["moved"])
    kept = [head.value for head in Head if head.value not in recipe["moved"]]
    yield "## Where it comes from"
    yield ""
    yield f"Version `{_cell(recipe['parent'])}`, its head for {moved} moved by the labels of an"
    yield "installation."
    if kept:
        yield f"There were too few labels to move the one for {' and '.join(kept)}: it is the same."
    yield f"{recipe['rehearsed']:,} comments written for the project held it in place elsewhere."
    yield ""
    for count, what in (
        (recipe["conflicts"], "disagreements between people were settled"),
        (recipe["campaigns"], "campaigns of near-duplicates weigh less than two comments each"),
        *((count, f"labels were left out: {why}") for why, count in recipe["left_out"].items()),
    ):
        if count:
            yield f"* {count:,} {_plain(what)}."
    if erased := recipe.get("erased_comments"):
        yield f"* {erased:,} comments of people who were erased are gone since that version came."
        yield f"  {recipe['erased']:,} of them were labelled, and are labels no longer."
    yield ""


def _data_lines(manifest: Manifest) -> Iterator[str]:
    yield "## Data"
    yield ""
    if not manifest.data:
        yield "Not written down."
        yield ""
        return
    yield from _sources([source for source in manifest.data if "through" not in source])
    before = [source for source in manifest.data if "through" in source]
    if before:
        yield "What the versions before it were fitted to:"
        yield ""
        yield from _sources(before)


def _sources(sources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| source | rows | tier | SHA-256 of the rows |"
    yield "| --- | --- | --- | --- |"
    for source in sources:
        labels = source.get("labels", {})
        rows = ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items()))
        tier = str(source.get("tier", ""))
        told = f"{tier} ({_TIERS[tier]})" if tier in _TIERS else tier
        yield f"| {_cell(source['name'])} | {rows} | {told} | `{str(source['sha256'])[:16]}…` |"
    yield ""


def _promise_lines(manifest: Manifest) -> Iterator[str]:
    yield "## The promise"
    yield ""
    if not manifest.promise.languages:
        yield "None: there were no genuine comments to choose thresholds on. Nothing is flagged for"
        yield "its score."
        yield ""
        return
    yield "A site states what share of genuine comments may be rejected for their scores, and what"
    yield "share may not be published at once. With 95 % confidence the thresholds keep to it, for"
    yield "comments like the genuine ones they were chosen on, which were held out by"
    yield f"{_UNITS.get(manifest.promise.unit, 'group')}. Where those are too few, nothing is"
    yield "rejected, and queueing goes by all languages together, without a promise."
    yield ""
    if "parent" in manifest.recipe:
        yield "Those are the parent's, whose thresholds were raised by how far held-out genuine"
        yield "comments were moved, and the installation's own, which may raise them further."
        yield ""
    yield from _markdown(("language", "genuine comments", "groups", "missing for 0.1, 0.5, 1 %"))
    for tag, kept in sorted(manifest.promise.languages.items()):
        lacking = (manifest.promise.missing(tag, risk) for risk in _SHOWN_RISKS)
        counts = ", ".join(f"{n:,}" if n else "none" for n in lacking)
        yield _line((tag, f"{kept.comments:,}", f"{kept.groups:,}", counts))
    yield ""


def promise_table(rows: Sequence[Mapping[str, Any]], bad: str, good: str) -> list[tuple[str, ...]]:
    """The part "promise" of an evaluation's JSON as cells: titles, then a line for each row."""
    reached = f"{good} over it"
    titles = ("language", "what", "risk", "missing", "score", reached, "at most", f"{bad} found")
    return [titles, *map(_promise_cells, rows)]


def _promise_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _cell(row["language"]),
        "rejected" if row["outcome"] == Outcome.REJECT.word else "flagged",
        f"{100 * row['risk']:g} %",
        f"{row['missing']:,}" if row["missing"] else "–",
        threshold_text(row["threshold"]),
        f"{row['flagged']:,} of {row['negatives']:,}",
        "–" if row["at_most"] is None else f"{100 * row['at_most']:.2f} %",
        "–" if row["recall"] is None else f"{100 * row['recall']:.1f} % of {row['positives']:,}",
    )


def _markdown(titles: Sequence[str]) -> Iterator[str]:
    yield _line(titles)
    yield "|" + " --- |" * len(titles)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def threshold_text(at: float) -> str:
    """A threshold for a reader: `OFF` ones are "never"."""
    return f"{at:.4f}" if at <= 1 else "never"


def _failure_lines(failures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not failures:
        return
    yield "## Known failures"
    yield ""
    yield "Invented comments that were judged most wrongly by a fit that had not seen their group."
    yield "The score is of the head that the label is of."
    yield ""
    yield "| it is | score | comment |"
    yield "| --- | --- | --- |"
    for failure in failures:
        text = " ".join(str(failure["text"]).split()).replace("|", "\\|")
        yield _line(
            [str(failure["label"]), f"{failure['score']:.3f}", f"`{text.replace('`', chr(39))}`"]
        )
    yield ""


def _figure_lines(manifest: Manifest) -> Iterator[str]:
    tasks: Mapping[str, Any] = manifest.evaluation.get("tasks", {})
    yield "## Figures"
    yield ""
    if not tasks:
        yield "Not measured."
        yield ""
        return
    if (held := folds_held(manifest)) is not None:
        yield f"Of {manifest.recipe['folds']} folds {held} were held out; only these were judged."
    yield "Each example was judged by a fit that had not seen its group, under the default policy"
    yield "and without history. Flagged is queued or rejected. Intervals are of 95 %. Synthetic"
    yield "comments, which nobody posted, are told by source alone."
    yield ""
    for head, task in sorted(tasks.items()):
        yield from _task_lines(head, task)


def _task_lines(head: str, task: Mapping[str, Any]) -> Iterator[str]:
    total = task["all"]
    bad, good = _words(total)
    yield f"### {head}: {total['positives']:,} {bad}, {total['negatives']:,} {good}"
    yield ""
    yield "| figure | value | interval |"
    yield "| --- | --- | --- |"
    for name, title in _FIGURES:
        yield f"| {title} | {_value(total['metrics'][name])} | {_range(total['metrics'][name])} |"
    yield ""
    yield "| label | " + " | ".join(o.word for o in Outcome) + " |"
    yield "| --- | --- | --- | --- |"
    for word in (bad, good):
        cells = (_outcome_text(total["outcomes"][word], outcome) for outcome in Outcome)
        yield f"| {word} | " + " | ".join(cells) + " |"
    yield ""
    titles, *rows = promise_table(task.get("promise", ()), bad, good)
    if rows:
        yield "What the promise comes to, by this score alone; flagged is queued or rejected. *At"
        yield f"most* is the greatest share of {good} that the count leaves plausible (95 %)."
        yield ""
        yield from _markdown(titles)
        yield from map(_line, rows)
        yield ""
    for title, parts in (("source", task["sources"]), ("language", task["languages"])):
        yield (
            f"| {title} | {bad} | {good} | "
            + " | ".join(t for _, t in _SHORT)
            + (f" | {good} flagged |")
        )
        yield "|" + " --- |" * (len(_SHORT) + 4)
        for name, part in sorted(parts.items()):
            figures = " | ".join(
                f"{_value(part['metrics'][f])} {_range(part['metrics'][f])}".strip()
                for f, _ in _SHORT
            )
            kept = part["outcomes"][good]["accept_share"]["value"]
            flagged = "–" if kept is None else f"{100 * (1 - kept):.1f} %"
            counts = f"{part['positives']:,} | {part['negatives']:,}"
            yield f"| {_cell(name)} | {counts} | {figures} | {flagged} |"
        yield ""


def _making_lines(manifest: Manifest) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    recipe = manifest.recipe
    seed, folds = recipe.get("seed", "unknown"), recipe.get("folds", "unknown")
    yield f"* Recipe {recipe.get('name', 'unknown')}, seed {seed}, {folds} folds by group."
    if (held := folds_held(manifest)) is not None:
        yield f"* Of the folds {held} were held out, each once: of very many comments fewer say as"
        yield "  much. All figures, thresholds and the calibration come from these."
    for tried in recipe.get("searched", ()):
        chosen = ", chosen" if tried["chosen"] else ""
        yield (
            f"* Searched: {tried['head']} with inverse penalty {tried['inverse_penalty']:g}, "
            f"held-out log loss {tried['loss']:.4f}{chosen}."
        )
    yield f"* Features {manifest.features_version}, 2^{manifest.spec.bits} places."
    libraries = ", ".join(f"{name} {v}" for name, v in sorted(manifest.libraries.items()))
    yield f"* {libraries or 'Library versions were not written down.'}"
    yield "* What it wins and costs against another version is in the registry's reports:"
    yield "  `duyet models report VERSION --against champion`."


def _words(total: Mapping[str, Any]) -> tuple[str, str]:
    bad = next(word for word in ("spam", "toxic") if word in total["outcomes"])
    return bad, "ham" if bad == "spam" else "clean"


def _cell(text: object) -> str:
    """A name of someone else's making, as a table's cell."""
    plain = _plain(text)
    return plain if len(plain) <= 60 else plain[:59] + "…"


def _plain(text: object) -> str:
    return "".join(char if char.isprintable() and char not in "|`<>" else "�" for char in str(text))


def _value(estimate: Mapping[str, Any]) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.3f}"


def _range(estimate: Mapping[str, Any]) -> str:
    if estimate["low"] is None or estimate["high"] is None:
        return ""
    return f"{estimate['low']:.3f}–{estimate['high']:.3f}"


def _outcome_text(became: Mapping[str, Any], outcome: Outcome) -> str:
    share = became[f"{outcome.word}_share"]["value"]
    shown = "" if share is None else f" ({100 * share:.1f} %)"
    return f"{became[outcome.word]:,}{shown}"
