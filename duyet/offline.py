"""The commands that need no database: judge a file, and keep the registry of models.

`score` holds one comment at a time, so a file may be of any size. Neither imports
scikit-learn.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from duyet.cli import LazyCommand
from model.classifier import Classifier
from model.judging import OfflineJudge
from model.language import LANGUAGES
from model.reasons import DEFAULT_LANGUAGE, sentence
from model.registry import CHAMPION, SHIPPED, Registry, RegistryError, registry_at
from model.verdict import Verdict
from training.card import card_of
from training.examples import STDIN, ExampleError, Row, read_rows, submission_of
from training.models_option import models_option, own_models, registry_to_read

OPERATOR = "operator"
"""Who moves a name on the command line when nobody else is named."""

_json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


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
    judge = OfflineJudge(_loaded(registry_to_read(models), model))
    bad = _written(_scored(file, judge, language))
    if bad:
        raise click.ClickException(f"{bad:,} lines could not be read")


def _loaded(registry: Registry, name: str) -> Classifier:
    try:
        return registry.load(name)
    except RegistryError as problem:
        raise click.ClickException(f"{_place(registry)}: {problem}") from None


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


# ------------------------------------------------------------------ models


class ModelsGroup(click.Group):
    """The group whose commands that measure are imported when they are called."""

    later: Mapping[str, LazyCommand] = MappingProxyType(
        {
            "compare": LazyCommand(
                "duyet.model_reports:compare", "Compare a model with another on labelled comments."
            ),
            "report": LazyCommand("duyet.model_reports:report", "Put a model on a page."),
        }
    )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, by name."""
        return sorted([*super().list_commands(ctx), *self.later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        found = super().get_command(ctx, cmd_name)
        return self.later[cmd_name].load() if found is None and cmd_name in self.later else found


@click.group(
    "models",
    cls=ModelsGroup,
    epilog="""\b
Examples:
  duyet models list
  duyet models show challenger
  duyet models compare challenger labelled.jsonl.gz -o report.html
  duyet models promote 0123456789ab --why "finds last week's campaign"
  duyet models rollback --why "flags thanks"

A running service takes up the new champion within seconds, without dropping a request.""",
)
def models() -> None:
    """List, show, compare, promote and roll back models."""


@models.command("list")
@models_option
@_json_option
def list_models(*, models: Path | None, as_json: bool) -> None:
    """List the versions of a registry and the names that point at them."""
    registry = registry_to_read(models)
    with _said_plainly():
        names = registry.names()
        versions = [_summary(registry, version, names) for version in registry.versions()]
    if as_json:
        body = {"registry": _place(registry), "names": names, "versions": versions}
        click.echo(_json(body))
        return
    click.echo(f"{_place(registry)}:" if versions else f"{_place(registry)} holds no models.")
    for version in versions:
        pointing = ", ".join(version["names"]) or "–"
        what = version.get("problem") or f"{version['rows']:,} rows, recipe {version['recipe']}"
        click.echo(f"  {version['version']}  {pointing:<22}  {what}")


@models.command("show")
@click.argument("name", default=CHAMPION)
@models_option
@_json_option
def show(*, name: str, models: Path | None, as_json: bool) -> None:
    """Show the card of a model: its data, thresholds, figures and limits. NAME: champion."""
    registry = registry_to_read(models)
    with _said_plainly():
        manifest = registry.manifest(name)
        pointing = _names_of(manifest.version, registry.names())
        moves = [move for move in registry.moves() if move.get("to") == manifest.version]
    if as_json:
        body = json.loads(manifest.to_json()) | {"names": pointing, "moves": moves}
        click.echo(_json(body))
        return
    named = f" ({', '.join(pointing)})" if pointing else ""
    click.echo(f"Version {manifest.version}{named} in {_place(registry)}\n")
    click.echo(card_of(manifest))
    for move in moves:
        click.echo(f"{move['at'][:16]}  {move['name']} by {move['who']}: {move['why']}")


_why_option = click.option("--why", required=True, help="Written down with the move.")
_who_option = click.option("--who", default=OPERATOR, show_default=True, help="Who moves it.")


@models.command("promote")
@click.argument("version")
@_why_option
@_who_option
@models_option
@_json_option
def promote(*, version: str, why: str, who: str, models: Path | None, as_json: bool) -> None:
    """Make VERSION, or the version behind a name such as challenger, the champion."""
    with _said_plainly():
        registry = _registry_to_move(models)
        before = registry.names().get(CHAMPION)
        registry.move(CHAMPION, version, who=who, why=why, at=datetime.now(UTC))
        _tell_champion(registry, before, as_json)


@models.command("rollback")
@_why_option
@_who_option
@models_option
@_json_option
def rollback(*, why: str, who: str, models: Path | None, as_json: bool) -> None:
    """Make the version that was champion before the champion again."""
    with _said_plainly():
        registry = _registry_to_move(models)
        before = registry.names().get(CHAMPION)
        registry.roll_back(who=who, why=why, at=datetime.now(UTC))
        _tell_champion(registry, before, as_json)


def _registry_to_move(models: Path | None) -> Registry:
    """A registry whose names may move: the shipped one stays as it is, and is copied first."""
    root = models or own_models()
    return Registry(root) if Registry(root).versions() else registry_at(root)


def _tell_champion(registry: Registry, before: str | None, as_json: bool) -> None:
    now = registry.names()[CHAMPION]
    if as_json:
        click.echo(_json({"champion": now, "before": before}))
        return
    click.echo(f"champion: {now}" + (f", before {before}" if before not in (None, now) else ""))


def _summary(registry: Registry, version: str, names: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"version": version, "names": _names_of(version, names)}
    try:
        manifest = registry.manifest(version)
    except RegistryError as problem:
        return told | {"problem": str(problem)}
    rows = sum(int(source.get("rows", 0)) for source in manifest.data)
    return told | {
        "recipe": manifest.recipe.get("name", "unknown"),
        "rows": rows,
        "features_version": manifest.features_version,
    }


def _names_of(version: str, names: dict[str, str]) -> list[str]:
    return sorted(name for name, to in names.items() if to == version)


def _place(registry: Registry) -> str:
    return "the registry that comes with duyet" if registry.root == SHIPPED else str(registry.root)


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except RegistryError as problem:
        raise click.ClickException(str(problem)) from None


def _json(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
