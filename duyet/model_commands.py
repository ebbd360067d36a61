"""The command `duyet models`: list, show, compare, promote, roll back and sign versions.

Knows the terminal. What may be promoted is ruled in `model.promotion`, whose signatures count
in `model.guard`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from duyet.cli import LazyCommand
from duyet.promoting import champion_of, noted, ruling_in, tell_refusal
from model.moves import LONGEST_WHY
from model.one_line import one_line
from model.refusals import RegistryError
from model.registry import CHAMPION, Registry
from model.signing import Signer
from service.storage.model_moves import PROMOTED, ROLLED_BACK
from training.card import card_of
from training.models_option import (
    models_option,
    own_guard,
    own_models,
    place,
    registry_said_plainly,
    registry_to_move,
    registry_to_read,
    registry_to_write,
)

OPERATOR = "operator"
"""Who moves a name on the command line when nobody else is named."""

_json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


def _seen(_: click.Context, __: click.Parameter, why: str) -> str:
    said = one_line(why, longest=LONGEST_WHY)
    if not said:
        raise click.BadParameter("must say something")
    return said


_why_option = click.option(
    "--why", required=True, callback=_seen, help="Written down with the move."
)
_who_option = click.option("--who", default=OPERATOR, show_default=True, help="Who moves it.")


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by name, with those that are imported later from the table alone."""
        told = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        told |= {name: command.summary for name, command in self.later.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(told.items()))


@click.group(
    "models",
    cls=ModelsGroup,
    epilog="""\b
Examples:
  duyet models list
  duyet models show challenger
  duyet models compare challenger labelled.jsonl.gz -o report.html
  duyet models promote challenger --why "finds last week's campaign"
  duyet models rollback --why "flags thanks"
  duyet models sign 0123456789ab --why "fitted on our own machine"

A running service takes up the new champion within seconds, without dropping a request.""",
)
def models() -> None:
    """List, show, compare, promote, roll back and sign models."""


@models.command("list")
@models_option
@_json_option
def list_models(*, models: Path | None, as_json: bool) -> None:
    """List the versions of a registry and the names that point at them."""
    with registry_said_plainly():
        registry = registry_to_read(models)
        names, problem = _names_in(registry)
        versions = [_summary(registry, version, names) for version in registry.versions()]
    if as_json:
        body = {"registry": place(registry), "names": names, "versions": versions}
        click.echo(_json(body | ({"problem": problem} if problem else {})))
        return
    click.echo(f"{place(registry)}:" if versions else f"{place(registry)} holds no models.")
    for version in versions:
        pointing = ", ".join(version["names"]) or "–"
        what = version.get("problem") or f"{version['rows']:,} rows, recipe {version['recipe']}"
        click.echo(f"  {version['version']}  {pointing:<22}  {what}")
    if problem:
        click.echo(f"duyet: {problem}", err=True)


@models.command("show")
@click.argument("name", default=CHAMPION)
@models_option
@_json_option
def show(*, name: str, models: Path | None, as_json: bool) -> None:
    """Show the card of a model: its data, thresholds, figures and limits. NAME: champion."""
    with registry_said_plainly():
        registry = registry_to_read(models)
        manifest = registry.manifest(name)
        pointing = _pointing_at(manifest.version, registry.names())
        moves = [move for move in registry.moves() if move.get("to") == manifest.version]
    if as_json:
        body = json.loads(manifest.to_json()) | {"names": pointing, "moves": moves}
        click.echo(_json(body))
        return
    named = f" ({', '.join(pointing)})" if pointing else ""
    click.echo(f"Version {manifest.version}{named} in {place(registry)}\n")
    click.echo(card_of(manifest))
    for move in moves:
        who, why = (one_line(str(move[key]), longest=LONGEST_WHY) for key in ("who", "why"))
        click.echo(f"{move['at'][:16]}  {move['name']} by {who}: {why}")


@models.command("promote")
@click.argument("version")
@_why_option
@_who_option
@click.option("--override", is_flag=True, help="Go past what the rule says against it.")
@models_option
@_json_option
def promote(
    *, version: str, why: str, who: str, override: bool, models: Path | None, as_json: bool
) -> None:
    """Make VERSION, or the version behind a name such as challenger, the champion.

    Refused, with every reason, unless a comparison with the champion shows that it keeps the
    promise, is better at something and worse at nothing that counts, and the shadow has seen
    enough of it (docs/promotion.md). --override goes on; the reasons are written down with
    --why.
    """
    with registry_said_plainly():
        registry = _one_to_move(models)
        before = champion_of(registry)
        wanted = registry.resolve(version)
        if wanted == before:
            _tell_champion(wanted, before, as_json=as_json)
            return
        ruling = ruling_in(registry, wanted, before)
        against = tuple(reason.code.value for reason in ruling.against)
        if against and not override:
            tell_refusal(ruling, wanted, as_json=as_json)
            raise click.exceptions.Exit(1)
        at = datetime.now(UTC)
        registry.move(
            CHAMPION, wanted, who=who, why=why, at=at, overrode=against, instead_of=before or ""
        )
        noted(registry, PROMOTED, wanted, by=who, why=why, overrode=against)
        _tell_champion(wanted, before, as_json=as_json)


def _one_to_move(models: Path | None) -> Registry:
    """The registry whose champion moves. Only the service's own is made where it is not there."""
    return registry_to_move(None) if models is None else registry_to_write(models)


@models.command("rollback")
@_why_option
@_who_option
@models_option
@_json_option
def rollback(*, why: str, who: str, models: Path | None, as_json: bool) -> None:
    """Make the version that was champion before the champion again. Nothing is asked."""
    with registry_said_plainly():
        registry = _one_to_move(models)
        before = champion_of(registry)
        now = registry.roll_back(who=who, why=why, at=datetime.now(UTC), instead_of=before)
        noted(registry, ROLLED_BACK, now, by=who, why=why)
        _tell_champion(now, before, as_json=as_json)


@models.command("sign")
@click.argument("versions", metavar="[VERSION]…", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every version that is as it was written.")
@_why_option
@_who_option
@models_option
def sign(
    *, versions: tuple[str, ...], is_all: bool, why: str, who: str, models: Path | None
) -> None:
    """Vouch for versions, and for where the names point, with this installation's key.

    For a registry that was restored from a backup, or came from somewhere else: what was
    refused as unsigned, foreign or rolled back is believed from now on, and the list of moves
    as it lies there. Without VERSION only the names are signed. First see that everything is
    yours: `duyet models list`.
    """
    with registry_said_plainly():
        guard = own_guard(is_made=True)
        registry = replace(registry_to_write(models or own_models()), guard=guard)
        chosen = _all_right(registry) if is_all else versions
        dropped = registry.sign(chosen, who=who, why=why, at=datetime.now(UTC))
        names, _ = _names_in(registry)
    for version in chosen:
        click.echo(f"signed: {version}")
    for name, to in sorted(names.items()):
        click.echo(f"{name}: {to}")
    for name in dropped:
        click.echo(f"{name} points nowhere now: its version is not believed", err=True)


@models.command("key")
def key() -> None:
    """Print the public key that this installation signs models with; made if there is none.

    Another installation that is to believe these models sets DUYET_TRUSTED_MODEL_KEYS to it.
    """
    guard = own_guard(is_made=True)
    signer: Signer | None = guard.signer if guard is not None else None
    if signer is None:
        raise click.ClickException("there is no key here to sign with")
    click.echo(signer.public)


def _all_right(registry: Registry) -> Sequence[str]:
    """The versions that agree with their digests, whoever signed them."""
    unguarded = Registry(registry.root)
    return [version for version in registry.versions() if unguarded.is_right(version)]


def _names_in(registry: Registry) -> tuple[dict[str, str], str]:
    """Where names point, and why that is not believed; the one or the other is empty."""
    try:
        return registry.names(), ""
    except RegistryError as problem:
        return {}, str(problem)


def _summary(registry: Registry, version: str, names: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"version": version, "names": _pointing_at(version, names)}
    try:
        manifest = registry.manifest_of(version)
    except RegistryError as problem:
        return told | {"problem": str(problem)}
    rows = sum(int(source.get("rows", 0)) for source in manifest.data)
    return told | {
        "recipe": manifest.recipe.get("name", "unknown"),
        "rows": rows,
        "features_version": manifest.features_version,
    }


def _pointing_at(version: str, names: dict[str, str]) -> list[str]:
    return sorted(name for name, to in names.items() if to == version)


def _tell_champion(now: str, before: str | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(_json({"champion": now, "before": before}))
        return
    click.echo(f"champion: {now}" + (f", before {before}" if before not in (None, now) else ""))


def _json(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
