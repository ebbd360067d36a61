"""The command `duyet train`: labelled files in, a model version with its card out.

Knows files, the terminal and the registry; how a model is fitted is in `training.fit`, how it
is measured in `training.held_out`.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from model.decision import LabelledExample
from model.language import LANGUAGES, UNKNOWN
from model.outcome import Head
from model.policy import Policy
from model.promise import ANY
from model.registry import CHALLENGER, CHAMPION, Manifest, Registry, RegistryError
from training.card import card_of, is_research_only, threshold_text
from training.fit import Fitted, NotEnough, fit, manifest_of
from training.held_out import failures, gathered, histograms, judged_held_out, measured_held_out
from training.reading import examples_of, files_argument, tell_left_out
from training.recipes import RECIPES, TIERS, Recipe
from training.report import Measured

CARD = "card.md"
_USUAL = {"reject_risk": Policy().reject_risk, "queue_risk": Policy().queue_risk}
OWN_DATA = "own"
"""The tier of a source that no recipe knows: the user's."""

PROBES: tuple[str, ...] = (
    "",
    "Cảm ơn tác giả, bài viết rất hữu ích!",
    "Minh doc xong roi, dung la nhu vay that.",
    "Vay tiền nhanh không thế chấp, giải ngân trong ngày, liên hệ https://vay.example/",
    "Mày ngu lắm, im đi.",
    "Thanks, this cleared up what I had wrong for years.",
    "Play now and win big at https://casino.example/ bonus bonus bonus",
    "You are an idiot and everybody knows it.",
)
"""Texts of our own that every version must score as it did when it was fitted."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to fit, beside the recipe. `jobs` is a number of processes, -1 for one a core."""

    research: bool
    promote: bool
    jobs: int


@click.command(
    "train",
    epilog="""\b
Examples:
  duyet train labelled/*.jsonl.gz --out models
  duyet export labels | duyet train - base.jsonl.gz --out var/models
  duyet train labels.jsonl --out models --promote --json

Then: duyet models show challenger --models models""",
)
@files_argument
@click.option(
    "--out",
    required=True,
    metavar="REGISTRY",
    type=click.Path(file_okay=False, path_type=Path),
    help="The registry's directory, made if need be.",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    default="general",
    show_default=True,
    help="How to weigh sources and fit.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the recipe's.")
@click.option(
    "--research",
    is_flag=True,
    help="Also use sources that are for research only. The model must not be given away then.",
)
@click.option("--promote", is_flag=True, help="Make the new version the champion as well.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to work with.  [default: one a core]"
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out rows that cannot be read, and count them."
)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON, for a machine.")
def train(  # noqa: PLR0913  a parameter is an option of the command
    *,
    files: tuple[Path, ...],
    out: Path,
    recipe_name: str,
    seed: int | None,
    research: bool,
    promote: bool,
    jobs: int | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Fit a model to labelled comments and add it to a registry as `challenger`.

    FILE holds a JSON object a line (`text`, `label`: spam, ham, toxic or clean, and if known
    `group`, `source`, `lang`; docs/training.md has all keys), plain or gzip; `-` is standard
    input. Both tasks need examples of both labels.

    Figures and thresholds come from examples whose `group` the judging fit has not seen. They
    are written into the version's card. The same rows in the same order, recipe and seed give
    the same bytes of weights, whatever --jobs. The first version of a registry becomes its
    champion.
    """
    recipe = RECIPES[recipe_name] if seed is None else replace(RECIPES[recipe_name], seed=seed)
    options = Options(research=research, promote=promote, jobs=jobs or -1)
    left_out: Counter[str] = Counter()
    rows = examples_of(files, skip_bad=skip_bad, left_out=left_out)
    found = gathered(rows, recipe, research=research)
    tell_left_out(left_out + found.left_out)
    manifest, names = trained_into(Registry(out), found.examples, recipe, options)
    for warning in blind_spots(manifest):
        click.echo(f"warning: {warning}", err=True)
    answer = {"registry": str(out), "names": names, **_answer(manifest, names[CHALLENGER])}
    click.echo(_json(answer) if as_json else "\n".join(_told(answer, out)))


def trained_into(
    registry: Registry, examples: Sequence[LabelledExample], recipe: Recipe, options: Options
) -> tuple[Manifest, dict[str, str]]:
    """Fit, measure, add to a registry: the manifest, and where its names point then.

    The version is what `challenger` points at. Raises click's error.
    """
    fitted, measured = fitted_and_measured(examples, recipe, jobs=options.jobs)
    manifest = described(fitted, measured, examples, recipe)
    return manifest, _added(registry, manifest, fitted, options)


def fitted_and_measured(
    examples: Sequence[LabelledExample], recipe: Recipe, *, jobs: int
) -> tuple[Fitted, list[Measured]]:
    """A fit and its held-out figures, with progress on a terminal. Raises click's error."""
    shown = sys.stderr.isatty()
    try:
        fitted = fit(
            examples,
            recipe,
            jobs=jobs,
            progress=lambda stage: click.echo(f"{stage} …", err=True) if shown else None,
        )
    except NotEnough as lacking:
        raise click.ClickException(str(lacking)) from None
    with click.progressbar(
        length=len(examples), label="Judging held out", file=sys.stderr, hidden=not shown
    ) as bar:
        judged = judged_held_out(examples, fitted, jobs=jobs, progress=bar.update)
    return fitted, measured_held_out(judged, fitted, seed=recipe.seed)


def described(
    fitted: Fitted,
    measured: Sequence[Measured],
    examples: Sequence[LabelledExample],
    recipe: Recipe,
) -> Manifest:
    """The manifest of a measured fit, still without version and digests."""
    manifest = manifest_of(
        fitted,
        recipe,
        data=data_digests(examples),
        evaluation={
            "tasks": {m.evaluation.head.value: m.evaluation.json_body() for m in measured},
            "failures": failures(examples, fitted),
        },
        probes=PROBES,
    )
    return replace(manifest, histogram=histograms(measured))


def data_digests(examples: Iterable[LabelledExample]) -> list[dict[str, Any]]:
    """What was fitted to: for each source, by name, its rows by label, tier and a digest.

    The digest is SHA-256 over the rows as canonical JSON lines, in the order they were read.
    """
    labels: dict[str, Counter[str]] = {}
    digests: dict[str, Any] = {}
    for example in examples:
        labels.setdefault(example.source, Counter())[example.label.word] += 1
        digest = digests.setdefault(example.source, hashlib.sha256())
        digest.update(_canonical(example))
    return [
        {
            "name": source or "unnamed",
            "rows": counts.total(),
            "labels": dict(sorted(counts.items())),
            "tier": TIERS.get(source, OWN_DATA),
            "sha256": digests[source].hexdigest(),
        }
        for source, counts in sorted(labels.items())
    ]


def blind_spots(manifest: Manifest) -> list[str]:
    """What a version will not do by score under the usual policy, for want of genuine comments."""
    promise, usual = manifest.promise, Policy()
    lacking = promise.missing(ANY, usual.queue_risk)
    if lacking:
        return [
            "no comment will be queued or rejected for its score: to promise that at most "
            f"{100 * usual.queue_risk:g} % of genuine comments are takes {lacking:,} more of them"
        ]
    return [
        f"{tag}: no comment will be rejected for its score: to promise that at most "
        f"{100 * usual.reject_risk:g} % of genuine comments are takes {missing:,} more of them"
        for tag in (*LANGUAGES, UNKNOWN)
        if (missing := promise.missing(tag, usual.reject_risk))
    ]


def _canonical(example: LabelledExample) -> bytes:
    body = asdict(example) | {"label": example.label.word}
    del body["provenance"]  # names the file that a row stood in, which is no property of it
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _added(
    registry: Registry, manifest: Manifest, fitted: Fitted, options: Options
) -> dict[str, str]:
    """Write the version, move the names, and give where they point."""
    try:
        had_champion = CHAMPION in registry.names()
        version = registry.add(manifest, fitted.final.table, extra={CARD: card_of(manifest)})
        why = "trained" + (" with research-only data" if is_research_only(manifest) else "")
        names = [CHALLENGER, *([CHAMPION] if options.promote or not had_champion else [])]
        for name in names:
            registry.move(name, version, who="duyet train", why=why, at=datetime.now(UTC))
        return registry.names()
    except RegistryError as problem:
        raise click.ClickException(str(problem)) from None


def _answer(manifest: Manifest, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "research_only": is_research_only(manifest),
        "warnings": blind_spots(manifest),
        "thresholds": {
            tag: asdict(manifest.promise.thresholds(tag, **_USUAL))
            for tag in sorted(manifest.promise.languages)
            if tag != ANY
        },
        "data": list(manifest.data),
        "tasks": manifest.evaluation["tasks"],
    }


def _told(answer: dict[str, Any], out: Path) -> Iterable[str]:
    version, names = answer["version"], answer["names"]
    pointing = " and ".join(sorted(name for name, to in names.items() if to == version))
    yield f"version {version} is now {pointing} in {out}"
    if answer["research_only"]:
        yield "It was fitted to research-only data and must not be given away."
    yield ""
    yield f"  {'held out':<10}{'rows':>9}{'ROC AUC':>9}{'macro-F1':>10}{'recall @ 1 % FP':>17}"
    for head, task in answer["tasks"].items():
        metrics = task["all"]["metrics"]
        shown = [_figure(metrics[n]) for n in ("roc_auc", "macro_f1", "recall_at_fpr_1_percent")]
        yield f"  {head:<10}{task['all']['rows']:>9,}{shown[0]:>9}{shown[1]:>10}{shown[2]:>17}"
    yield ""
    yield f"  {'language':<10}{'spam queues at':>16}{'rejects at':>12}{'toxicity queues at':>20}"
    for tag, at in answer["thresholds"].items():
        spam, toxicity = at[Head.SPAM.value], at[Head.TOXICITY.value]
        shown = [threshold_text(x) for x in (spam["queue_at"], spam["reject_at"])]
        yield f"  {tag:<10}{shown[0]:>16}{shown[1]:>12}{threshold_text(toxicity['queue_at']):>20}"
    yield ""
    yield f"Its card: duyet models show {version} --models {out}"
    if names.get(CHAMPION) != version:
        yield f'To serve it: duyet models promote {version} --models {out} --why "…"'


def _figure(estimate: dict[str, Any]) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.3f}"


def _json(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False)
