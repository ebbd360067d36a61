"""The command `duyet people …`: who may enter, as whoever runs the service sees and changes it.

The way back when the pages let nobody in: it asks for no password and no code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from service.commands.moderate import OPERATOR, moderator_named
from service.commands.opening import (
    NAME,
    Installation,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
    table,
)
from service.storage import EVERY_SITE, Role
from service.storage.accounts_people import People, Person
from service.storage.errors import LastAdmin

_NOBODY = "none"


@click.group(
    "people",
    epilog="""\b
Examples:
  duyet people list
  duyet people role lan admin --site blog
  duyet people reset lan && duyet sign-in --name lan""",
)
def people() -> None:
    """List who may enter, change roles, reset or disable accounts.

    Admins do most of it on the page /people. `duyet sign-in --add` makes somebody new.
    """


@people.command("list")
@json_option
def list_people(*, as_json: bool) -> None:
    """List everybody by name."""
    with installation() as at:
        sites = {site.id: site.name for site in at.store.sites()}
        found = People(at.store).all(None)
    if as_json:
        click.echo(json_text({"people": [_body(one, sites) for one in found]}))
        return
    titles = ("NAME", "PASSWORD", "CODES", "SESSIONS", "STATE", "ROLES")
    click.echo(table(titles, [_row(one, sites) for one in found]))


@people.command("role")
@click.argument("name", type=NAME)
@click.argument("role", type=click.Choice([*(role.value for role in Role), _NOBODY]))
@click.option("--site", "site_name", type=NAME, metavar="SITE", help="On this site alone.")
@json_option
def set_role(name: str, role: str, site_name: str | None, *, as_json: bool) -> None:
    """Give NAME a ROLE on every site, or on one; `none` takes it."""
    given = None if role == _NOBODY else Role(role)
    with _of_somebody(name) as (at, person_id):
        site_id = site_named(at.store, site_name).id if site_name else EVERY_SITE
        was = People(at.store).set_role(None, person_id, site_id, given, by=OPERATOR)
    body = {"moderator": name, "site": site_name, "was": was, "role": given}
    said = f"{shown(name)}: {was or _NOBODY} → {role}"
    click.echo(json_text(body) if as_json else said)


@people.command("reset")
@click.argument("name", type=NAME)
def reset(name: str) -> None:
    """Take NAME's password and one-time codes away, and end all sessions and links.

    `duyet sign-in --name NAME` prints the link that lets them in again.
    """
    with _of_somebody(name) as (at, person_id):
        People(at.store).reset(None, person_id, by=OPERATOR)
    click.echo(f"{shown(name)} has neither password nor codes; `duyet sign-in` makes a link.")


@people.command("disable")
@click.argument("name", type=NAME)
def disable(name: str) -> None:
    """Let NAME in no more, from this moment. What they decided stands."""
    with _of_somebody(name) as (at, person_id):
        People(at.store).disable(None, person_id, by=OPERATOR)
    click.echo(f"{shown(name)} is disabled.")


@people.command("enable")
@click.argument("name", type=NAME)
def enable(name: str) -> None:
    """Let NAME in again, with the roles and the password they had."""
    with _of_somebody(name) as (at, person_id):
        People(at.store).enable(None, person_id, by=OPERATOR)
    click.echo(f"{shown(name)} may enter.")


@contextmanager
def _of_somebody(name: str) -> Iterator[tuple[Installation, str]]:
    """The installation and the id of the moderator of that name."""
    with installation() as at:
        try:
            yield at, moderator_named(at.store, name).id
        except LastAdmin:
            raise click.ClickException(
                "nothing was changed: somebody must be left who administers every site"
            ) from None


def _row(one: Person, sites: dict[str, str]) -> tuple[str, ...]:
    roles = [f"{role} of {_site(site_id, sites)}" for site_id, role in one.roles.items()]
    return (
        shown(one.name, width=30),
        "yes" if one.has_password else "no",
        "yes" if one.has_codes else "no",
        str(len(one.sessions)),
        "disabled" if one.is_disabled else "enabled",
        ", ".join(roles) or _NOBODY,
    )


def _site(site_id: str, sites: dict[str, str]) -> str:
    return "every site" if site_id == EVERY_SITE else shown(sites.get(site_id, ""), width=20)


def _body(one: Person, sites: dict[str, str]) -> dict[str, object]:
    return {
        "name": shown(one.name),
        "role": one.roles.get(EVERY_SITE),
        "sites": {sites[key]: role for key, role in one.roles.items() if key in sites},
        "password": one.has_password,
        "codes": one.has_codes,
        "sessions": len(one.sessions),
        "disabled": one.is_disabled,
    }
