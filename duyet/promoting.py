"""Ask the rule whether a version may be promoted, with all that this installation knows of it.

Gathers from the registry and, where there is one, from the database. Does not rule itself.
"""

import json
from collections.abc import Sequence

import click

from model.comparison import Comparison
from model.promotion import Ruling, Shadowed, ruling_on
from model.refusals import RegistryError
from model.registry import CHAMPION, Registry
from service.commands.opening import installation
from service.storage.model_moves import model_moved
from service.storage.shadows import Shadows
from training.models_option import own_models, own_secrets
from training.saying import said
from training.wording import words_in


def champion_of(registry: Registry) -> str | None:
    """The version that is champion; None where there is none. Raises RegistryError."""
    return registry.names().get(CHAMPION)


def ruling_in(registry: Registry, challenger: str, champion: str | None) -> Ruling:
    """What the rule says of a version that would take the champion's place.

    A comparison that is not believed is none, which is told: else whoever may write reports
    could keep a champion where it is. Raises RegistryError.
    """
    comparison = compared(registry, challenger, champion)
    return ruling_on(champion, challenger, comparison, shadowed(challenger, champion))


def compared(registry: Registry, challenger: str, champion: str | None) -> Comparison | None:
    """How the two compare; None where nobody who is trusted says so."""
    if champion is None:
        return None
    try:
        return registry.report(challenger, champion)
    except RegistryError as problem:
        click.echo(f"duyet: the comparison is refused: {problem}", err=True)
        return None


def shadowed(challenger: str, champion: str | None) -> Shadowed | None:
    """What this installation's shadow saw; None where nothing was compared.

    None as well where there is no installation in this environment, or where its database
    cannot be asked, which is told: a champion that must go can go all the same.
    """
    if champion is None or not (own_secrets() / "match.key").is_file():
        return None
    try:
        with installation() as at:
            seen = Shadows(at.store).of(champion, challenger)
    except click.ClickException as problem:
        click.echo(f"duyet: the shadow's counts are unknown: {problem.message}", err=True)
        return None
    return seen if seen.comments else None


def noted(
    registry: Registry, kind: str, version: str, *, by: str, why: str, overrode: Sequence[str] = ()
) -> None:
    """Note a move of the champion in the log, where the registry is this installation's own."""
    is_own = registry.root.resolve() == own_models().resolve()
    if not is_own or not (own_secrets() / "match.key").is_file():
        return
    try:
        with installation() as at:
            model_moved(at.store, kind, version, by=by, why=why, overrode=overrode)
    except click.ClickException as problem:
        click.echo(f"duyet: it is done, but not in the log: {problem.message}", err=True)


def tell_refusal(ruling: Ruling, challenger: str, *, as_json: bool) -> None:
    """Say why not, a line for each reason; as JSON on standard output as well."""
    words = words_in("en")
    told = [(reason.code.value, said(reason, words)) for reason in ruling.against]
    if as_json:
        body = [{"code": code, "message": message} for code, message in told]
        click.echo(json.dumps({"version": challenger, "refused": body}, ensure_ascii=False))
    click.echo(f"duyet: {challenger} is not promoted:", err=True)
    for _, message in told:
        click.echo(f"  {message}", err=True)
    click.echo("--override goes on all the same, and writes these reasons down.", err=True)
