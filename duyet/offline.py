"""The command `duyet score`: judge a file, without a database.

It holds one comment at a time, so a file may be of any size, and does without scikit-learn.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from model.classifier import Classifier
from model.judging import OfflineJudge
from model.language import LANGUAGES
from model.reasons import DEFAULT_LANGUAGE, sentence
from model.registry import CHAMPION, RegistryError
from model.verdict import Verdict
from training.examples import STDIN, ExampleError, Row, read_rows, submission_of
from training.models_option import models_option, place, registry_to_read

# ------------------------------------------------------------------ score


@click.command(
    "score",
    epilog="""\b
Examples:
  duyet score comments.jsonl > out.jsonl
  duyet score comments.jsonl.gz --model challenger | jq -c '[.id, .outcome]'
  echo '{"id": "1", "text": "Cảm ơn bạn!"}' | duyet score - --language vi

A line out: {"id", "scores": {"spam", "toxicity"}, "outcome": accept, queue or reject,
"reasons": [{"code", "message", "field", "evidence"}]}""",
)
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
@click.option("--model", metavar="NAME", default=CHAMPION, help="A version, or a name.")
@models_option
@click.option(
    "--language",
    type=click.Choice(sorted(LANGUAGES)),
    default=DEFAULT_LANGUAGE,
    show_default=True,
    help="What the reasons' messages are worded in.",
)
def score(*, file: Path, model: str, models: Path | None, language: str) -> None:
    """Judge each comment of FILE, without a database; a line out for each line in, in order.

    FILE holds a JSON object a line, of which `text` must be there (docs/training.md has the
    other keys), plain or gzip; `-` is standard input. Each is judged as the service would
    under the default policy, with nothing known of its author.

    A line that cannot be read gives {"id": null, "error": …} in its place; the status is
    then 1 at the end. Scores are written in full, so that comparing them with thresholds gives
    what was judged.
    """
    judge = OfflineJudge(_loaded(models, model))
    bad = _written(_scored(file, judge, language))
    if bad:
        raise click.ClickException(f"{bad:,} lines could not be read")


def _loaded(models: Path | None, name: str) -> Classifier:
    registry = registry_to_read(models)
    try:
        return registry.load(name)
    except RegistryError as problem:
        raise click.ClickException(f"{place(registry)}: {problem}") from None


def _scored(file: Path, judge: OfflineJudge, language: str) -> Iterator[dict[str, object]]:
    """A body for each line. Blank lines at the end are none."""
    name = "standard input" if file == STDIN else str(file)
    unread: list[ExampleError] = []
    done = 0
    rows = read_rows(file, name=name, on_bad=unread.append)
    while True:
        row = next(rows, None)
        # Lines that could not be read come before the row at which reading stopped.
        for bad in unread:
            yield from _blank(name, done, bad.line)
            yield {"id": None, "error": str(bad)}
            done = bad.line
        unread.clear()
        if row is None:
            return
        yield from _blank(name, done, row.line)
        yield _judged(row, judge, language)
        done = row.line


def _blank(name: str, done: int, line: int) -> Iterator[dict[str, object]]:
    for number in range(done + 1, line):
        yield {"id": None, "error": str(ExampleError("the line is blank", file=name, line=number))}


def _judged(row: Row, judge: OfflineJudge, language: str) -> dict[str, object]:
    [verdict] = judge.check([submission_of(row)])
    return {
        "id": row.id or None,
        "scores": _scores(verdict),
        "outcome": verdict.outcome.word,
        "reasons": [
            {
                "code": reason.code,
                "message": sentence(reason.code, language),
                "field": reason.field,
                "evidence": reason.evidence,
            }
            for reason in verdict.reasons
        ],
    }


def _scores(verdict: Verdict) -> dict[str, float] | None:
    if verdict.scores is None:
        return None
    return {"spam": verdict.scores.spam, "toxicity": verdict.scores.toxicity}


def _written(bodies: Iterable[dict[str, object]]) -> int:
    """Write bodies as lines to standard output, each at once; how many of them are errors."""
    errors = 0
    for body in bodies:
        # A line costs a hundred times more to judge than to flush, and whoever feeds
        # comments through a pipe waits for each.
        sys.stdout.buffer.write(
            json.dumps(body, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        )
        sys.stdout.buffer.flush()
        errors += "error" in body
    return errors
