"""The command `duyet evaluate`: labelled files in, figures out.

Knows files, the terminal and where figures go; what they are is in `training.evaluation`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from model.judging import OfflineJudge
from model.outcome import Head
from model.registry import CHAMPION, RegistryError
from training.evaluation import Judged, JudgedRow, evaluate, judge_rows
from training.examples import Row
from training.held_out import allowed
from training.models_option import models_option, registry_to_read
from training.progress import FORMS, shown
from training.reading import examples_of, files_argument, rows_of, tell_left_out
from training.recipes import RECIPES, Recipe
from training.report import Measured, json_report, text_report, write_report
from training.resolving import settled
from training.streamed import STAGES
from training.train_command import Options, fitted_and_measured


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  duyet evaluate labelled.jsonl.gz
  duyet evaluate spam.jsonl toxic.jsonl --report out/     figures and plots, for a browser
  duyet evaluate held-out.jsonl --model challenger --json | jq .tasks.spam.all.metrics
  zcat *.jsonl.gz | duyet evaluate - --task toxicity
  duyet evaluate labelled.jsonl.gz --held-out             how good a fit to these would be""",
)
@files_argument
@click.option(
    "--task",
    type=click.Choice([head.value for head in Head]),
    help="Only this task's rows; otherwise each task on its own rows.",
)
@click.option("--model", metavar="NAME", help="A version, or a name such as challenger.")
@models_option
@click.option(
    "--held-out",
    is_flag=True,
    help="Judge each row by a fit to these files that has not seen its group, as `duyet train` "
    "measures; no model is written.",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    help="With --held-out: how to fit.  [default: general]",
)
@click.option(
    "--research", is_flag=True, help="With --held-out: also use sources for research only."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="With --held-out: processes to work with.  [default: one a core]",
)
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on standard output.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write a page with plots (index.html) and report.json into DIR.",
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out rows that cannot be read, and count them."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Seed of the intervals, and with --held-out of the fit.  [default: 0, or the recipe's]",
)
def evaluate_command(  # noqa: PLR0913  a parameter is an option of the command
    *,
    files: tuple[Path, ...],
    task: str | None,
    model: str | None,
    models: Path | None,
    held_out: bool,
    recipe_name: str | None,
    research: bool,
    jobs: int | None,
    as_json: bool,
    report: Path | None,
    skip_bad: bool,
    seed: int | None,
) -> None:
    """Measure a model on labelled comments.

    FILE holds a JSON object a line (`text`, `label`: spam, ham, toxic or clean, and if known
    `lang`, `source`, `group`), plain or gzip; `-` is standard input.

    Every comment is judged as the service would judge it under the default policy, without
    history. Then, in all, by source and by language: ROC AUC, average precision, macro-F1,
    precision, recall, MCC, recall at few false positives, Brier score, calibration error, and
    what was accepted, queued and rejected, with 95 % intervals; and by language what the model
    promises of genuine comments, and what that costs. Rows of one `group` (a thread,
    a video, a site) count as one draw.
    """
    if held_out and (model or models):
        raise click.UsageError("--held-out fits by itself: it goes without --model and --models")
    if not held_out and (recipe_name or research or jobs):
        raise click.UsageError("--recipe, --research and --jobs go with --held-out")
    heads = [Head(task)] if task else list(Head)
    if held_out:
        recipe = RECIPES[recipe_name or "general"]
        recipe = recipe if seed is None else replace(recipe, seed=seed)
        every = _held_out(files, recipe, research=research, jobs=jobs, skip_bad=skip_bad)
        measured = [m for m in every if m.evaluation.head in heads]
    else:
        judge = _judge(models, model)
        measured = _judged(files, judge, heads, seed=seed or 0, skip_bad=skip_bad)
    if not measured:
        wanted = f" for the task {task}" if task else ""
        raise click.ClickException(f"there are no labelled rows{wanted}")
    if report:
        page = write_report(report, measured)
        click.echo(f"wrote {page}", err=True)
    evaluations = [m.evaluation for m in measured]
    click.echo(json_report(evaluations) if as_json else text_report(evaluations))


def _judge(models: Path | None, name: str | None) -> OfflineJudge:
    try:
        return OfflineJudge(registry_to_read(models).load(name or CHAMPION))
    except RegistryError as error:
        raise click.ClickException(str(error)) from None


def _held_out(
    files: Sequence[Path], recipe: Recipe, *, research: bool, jobs: int | None, skip_bad: bool
) -> list[Measured]:
    left_out: Counter[str] = Counter()
    options = Options(research=research, promote=False, jobs=jobs)
    with shown(FORMS[0], STAGES) as progress:
        rows = examples_of(
            files,
            skip_bad=skip_bad,
            left_out=left_out,
            told=lambda done: progress("reading", done),
        )
        usable = settled(allowed(rows, recipe, left_out, research=research), left_out)
        try:
            return fitted_and_measured(usable, recipe, options, progress=progress).measured
        finally:
            tell_left_out(left_out)


def _judged(
    files: Sequence[Path], judge: OfflineJudge, heads: Sequence[Head], *, seed: int, skip_bad: bool
) -> list[Measured]:
    left_out: Counter[str] = Counter()
    rows = rows_of(files, label="Judging", skip_bad=skip_bad, left_out=left_out)
    measured = _measured(rows, judge, heads, seed)
    tell_left_out(left_out)
    return measured


def _measured(
    rows: Iterator[Row], judge: OfflineJudge, heads: Sequence[Head], seed: int
) -> list[Measured]:
    if judge.classifier is None:
        raise click.ClickException("there is no model to evaluate")
    judged: dict[Head, list[JudgedRow]] = {head: [] for head in heads}
    for head, row in judge_rows(rows, judge, heads=heads):
        judged[head].append(row)
    columns = {head: Judged.of(found) for head, found in judged.items() if found}
    return [
        Measured(
            evaluate(
                column,
                head=head,
                promise=judge.classifier.promise,
                model=judge.classifier.version,
                policy=judge.policy.version,
                seed=seed,
            ),
            column,
        )
        for head, column in columns.items()
    ]
