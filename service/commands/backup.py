"""The command `duyet backup`."""

from pathlib import Path

import click

from model.durable import sync
from service.commands.opening import installation, json_option, json_text
from service.storage.backup import copied, sqlite_file


@click.command(
    "backup",
    epilog="""\b
Examples:
  duyet backup /backups/duyet-$(date +%F).db
  duyet backup /backups/duyet.db --json        instead of the one of yesterday""",
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def backup(*, file: Path, as_json: bool) -> None:
    """Copy the database into FILE, as it stands at one moment, while the service goes on.

    FILE is whole or absent, and readable by its owner only; one that is there gives way. Copies of
    the file in the data directory lack what is in its log alone. Addresses in FILE are sealed:
    without the keys in `secrets` nobody reads them, so keep those too, somewhere else
    (docs/operating.md). A database on PostgreSQL is for pg_dump.
    """
    with installation() as at:
        database = sqlite_file(at.settings.sqlalchemy_url)
        if database is None:
            raise click.ClickException("the database is on a PostgreSQL server: pg_dump copies it")
        to = file.resolve()
        if not to.parent.is_dir():
            raise click.ClickException(f"there is no directory {to.parent}")
        if to == database.resolve():
            raise click.ClickException("FILE is the database itself")
        size = copied(database, to)
    sync(to)
    sync(to.parent)
    if as_json:
        click.echo(json_text({"file": str(to), "bytes": size}))
    else:
        click.echo(f"{to}: {size:,} bytes")
