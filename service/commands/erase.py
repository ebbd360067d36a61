"""The command `duyet erase`: all comments of a person, and all that was said of them, for good."""

import sys
from collections.abc import Mapping

import click

from service.commands.moderate import OPERATOR
from service.commands.opening import (
    NAME,
    Installation,
    installation,
    json_option,
    json_text,
    site_named,
)
from service.spool import Spool
from service.storage.erasure import Erased, Erasures

MOST_ADDRESS = 1000


@click.command(
    "erase",
    epilog="""\b
Examples:
  duyet erase --dry-run                        asks for the address, says what there is
  duyet erase < address.txt --yes --why "asked by mail on 12 May"
  duyet erase --comment 01a21389-ca51-7b8a-9152-012e81de002b""",
)
@click.option("--site", "site_name", type=NAME, metavar="NAME", help="On this site alone.")
@click.option(
    "--comment",
    "comment_id",
    metavar="ID",
    help="Whoever wrote this comment, on its site, instead of asking for an address.",
)
@click.option("--why", default="", metavar="TEXT", help="For the log; addresses in it are masked.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased; erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@json_option
def erase(
    *,
    site_name: str | None,
    comment_id: str | None,
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase a person: their comments, verdicts, decisions and labels. Cannot be undone.

    The address is read from standard input, or asked for on a terminal without being shown: on
    the command line it would stay in the shell's history. It is not stored. Sites' layers are
    learnt again without what is gone, and the next model is; docs/erasure.md says what stays.
    """
    with installation() as at:
        keys = _keys(at, site_name, comment_id)
        erasures = Erasures(at.store)
        there = erasures.found(keys)
        if not dry_run and there != Erased():
            if not (yes or as_json):
                click.confirm(f"Erase {_told(there)} for good?", abort=True, err=True)
            there = erasures.erase(keys, by=OPERATOR, why=why)
        spooled = Spool(at.settings.spool_dir, at.settings.spool_max_bytes).is_holding()
    if as_json:
        body = {"dry_run": dry_run, "comments": there.comments, "labelled": there.labelled}
        click.echo(json_text(body | {"waiting": there.waiting, "rules": there.rules}))
    else:
        click.echo(f"{_told(there)} {'would be' if dry_run else 'were'} erased.")
    if spooled:
        click.echo("warning: comments wait in the spool; erase again when it is empty", err=True)


def _keys(at: Installation, site_name: str | None, comment_id: str | None) -> Mapping[str, str]:
    erasures = Erasures(at.store)
    sites = [site_named(at.store, site_name)] if site_name else at.store.sites()
    if comment_id is not None:
        keys = erasures.keys_like([site.id for site in sites], comment_id)
        if not keys:
            raise click.ClickException("there is no such comment, or it came without an address")
        return keys
    keys = erasures.keys_of(_address(), sites)
    if not keys:
        raise click.ClickException("no address was given")
    return keys


def _address() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Address", hide_input=True, err=True))
    return sys.stdin.read(MOST_ADDRESS).strip()


def _told(erased: Erased) -> str:
    return (
        f"{erased.comments:,} comments, {erased.labelled:,} of them labelled, "
        f"and the names in {erased.rules:,} rules"
    )
