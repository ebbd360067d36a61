"""The command `duyet move-database`."""

import click

from service.commands.opening import installation, json_option, json_text
from service.storage.backup import sqlite_file
from service.storage.moving import moved

SHOWN_EVERY = 50_000
"""Rows of a table after which it is said how many are there."""


@click.command(
    "move-database",
    epilog="""\b
Examples:
  duyet move-database postgresql://duyet@db/duyet       its password from ~/.pgpass
  DUYET_MOVE_TO=postgresql://duyet:…@db/duyet duyet move-database""",
)
@click.argument("url", envvar="DUYET_MOVE_TO")
@json_option
def move_database(*, url: str, as_json: bool) -> None:
    """Copy all of the SQLite database into the empty PostgreSQL database at URL.

    Stop the service first, and start it with that URL as DUYET_DATABASE_URL afterwards: sites keep
    their keys, and people stay signed in. All rows are copied, or none; the file stays where it is.
    The keys in `secrets` and the models are those of before, and stay where they are as well.
    """
    with installation() as at:
        source = at.settings.sqlalchemy_url
        if sqlite_file(source) is None:
            raise click.ClickException("the database is on a PostgreSQL server: pg_dump copies it")
        if not url.startswith(("postgresql://", "postgres://")):
            raise click.ClickException("the URL must be postgresql://USER@HOST/NAME")
        try:
            rows = moved(source, url, told=_say)
        except ValueError as wrong:
            raise click.ClickException(str(wrong)) from None
    if as_json:
        click.echo(json_text({"rows": rows}))
        return
    click.echo(f"{sum(rows.values()):,} rows are there, {rows['comments']:,} comments among them.")
    click.echo("Start the service with that address as DUYET_DATABASE_URL.")


def _say(table: str, number: int) -> None:
    if number % SHOWN_EVERY == 0:
        click.echo(f"{table}: {number:,} rows", err=True)
