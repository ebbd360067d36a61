"""The command `duyet evaluate`: labelled files in, figures out.

Knows files, the terminal and where figures go; what they are is in `training.evaluation`.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from model.judging import OfflineJudge, offline_judge
from model.outcome import Head
from model.registry import RegistryError
from training.evaluation import Judged, JudgedRow, evaluate, judge_rows
from training.examples import STDIN, ExampleError, Row, read_rows
from training.report import Measured, json_report, text_report, write_report


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  duyet evaluate labelled.jsonl.gz
  duyet evaluate spam.jsonl toxic.jsonl --report out/     figures and plots, for a browser
  duyet evaluate held-out.jsonl --model challenger --json | jq .tasks.spam.all.metrics
  zcat *.jsonl.gz | duyet evaluate - --task toxicity""",
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
@click.option(
    "--task",
    type=click.Choice([head.value for head in Head]),
    help="Only this task's rows; otherwise each task on its own rows.",
)
@click.option("--model", metavar="NAME", help="A version, or a name such as challenger.")
@click.option(
    "--models",
    envvar="DUYET_MODELS",
    type=click.Path(file_okay=False, path_type=Path),
    help="The registry's directory.  [environment: DUYET_MODELS]",
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
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the intervals.")
def evaluate_command(  # noqa: PLR0913  a parameter is an option of the command
    *,
    files: tuple[Path, ...],
    task: str | None,
    model: str | None,
    models: Path | None,
    as_json: bool,
    report: Path | None,
    skip_bad: bool,
    seed: int,
) -> None:
    """Measure a model on labelled comments.

    FILE holds a JSON object a line (`text`, `label`: spam, ham, toxic or clean, and if known
    `lang`, `source`, `group`), plain or gzip; `-` is standard input.

    Every comment is judged as the service would judge it under the default policy, without
    history. Then, in all, by source and by language: ROC AUC, average precision, macro-F1,
    precision, recall, MCC, recall at few false positives, Brier score, calibration error, and
    what was accepted, queued and rejected, with 95 % intervals. Rows of one `group` (a thread,
    a video, a site) count as one draw.
    """
    try:
        judge = offline_judge(models, model)
    except RegistryError as error:
        raise click.ClickException(str(error)) from None
    left_out: Counter[str] = Counter()
    rows = _rows(files, skip_bad=skip_bad, left_out=left_out)
    measured = _measured(rows, judge, [Head(task)] if task else list(Head), seed)
    for why, count in sorted(left_out.items()):
        click.echo(f"left out: {count:,} rows {why}", err=True)
    if not measured:
        wanted = f" for the task {task}" if task else ""
        raise click.ClickException(f"there are no labelled rows{wanted}")
    if report:
        page = write_report(report, measured)
        click.echo(f"wrote {page}", err=True)
    evaluations = [m.evaluation for m in measured]
    click.echo(json_report(evaluations) if as_json else text_report(evaluations))


def _measured(
    rows: Iterator[Row], judge: OfflineJudge, heads: Sequence[Head], seed: int
) -> list[Measured]:
    if judge.classifier is None:
        raise click.ClickException("there is no model to evaluate")
    judged: dict[Head, list[JudgedRow]] = {head: [] for head in heads}
    for head, row in judge_rows(rows, judge, heads=heads):
        judged[head].append(row)
    thresholds = judge.policy.thresholds or judge.classifier.thresholds
    columns = {head: Judged.of(found) for head, found in judged.items() if found}
    return [
        Measured(
            evaluate(
                column,
                head=head,
                thresholds=thresholds.of(head),
                model=judge.classifier.version,
                policy=judge.policy.version,
                seed=seed,
            ),
            column,
        )
        for head, column in columns.items()
    ]


def _rows(files: Sequence[Path], *, skip_bad: bool, left_out: Counter[str]) -> Iterator[Row]:
    """The rows of all files, with a bar on a terminal that fills as their bytes are read."""

    def note(_: ExampleError) -> None:
        left_out["that cannot be read"] += 1

    size = sum(path.stat().st_size for path in files if path != STDIN)
    with click.progressbar(
        length=max(1, size), label="Judging", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for path in files:
            yield from _rows_of(path, bar.update, note if skip_bad else None, left_out)


def _rows_of(
    path: Path,
    advance: Callable[[int], None],
    on_bad: Callable[[ExampleError], None] | None,
    left_out: Counter[str],
) -> Iterator[Row]:
    with ExitStack() as opened:
        piped = path == STDIN
        stream: BinaryIO = sys.stdin.buffer if piped else opened.enter_context(path.open("rb"))
        name, read = "standard input" if piped else str(path), 0
        for row in read_rows(stream, name=name, on_bad=on_bad):
            if not piped:
                advance(stream.tell() - read)
                read = stream.tell()
            if row.label is None:
                left_out["without a label"] += 1
            yield row
