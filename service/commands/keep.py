"""The commands that look after what is kept: `migrate`, `forget`, `keys`, `export`."""

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import click

from model.decision import LabelledExample
from service.commands.opening import (
    NAME,
    environment,
    installation,
    json_option,
    json_text,
    opened,
    said_plainly,
    site_named,
)
from service.first_start import CannotPrepare, lay_out
from service.keyring import Keyring
from service.spool import Spool
from service.storage import Retention

STDOUT = Path("-")


@click.command(
    "migrate",
    epilog="""\b
Examples:
  duyet migrate
  DUYET_DATABASE_URL=postgresql://duyet@db/duyet duyet migrate""",
)
def migrate() -> None:
    """Bring the database up to date. Safe to run twice, and by several machines at once.

    `duyet serve` does it too. On an empty data directory it makes the secrets and the
    database, and no site: `duyet sites add` does.
    """
    with said_plainly():
        settings = environment()
        try:
            lay_out(settings)
        except CannotPrepare as problem:
            raise click.ClickException(str(problem)) from None
        with opened(settings, Keyring.open(settings.secrets_dir)) as store:
            store.migrate()
    click.echo("The database is up to date.", err=True)


@click.command(
    "forget",
    epilog="""\b
Examples:
  duyet forget --dry-run                       what DUYET_RETENTION_DAYS would end now
  duyet export labels -o labels.jsonl.gz && duyet forget""",
)
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten; forget nothing.")
@json_option
def forget(*, dry_run: bool, as_json: bool) -> None:
    """Forget comments that are older than DUYET_RETENTION_DAYS.

    `duyet serve` does it every hour. What waits in the queue stays, and so does what a person
    decided or a site reported, unless DUYET_SPOKEN_RETENTION_DAYS ends that too; the log of
    events stays in any case. On PostgreSQL whole partitions go at once.
    """
    with installation() as at:
        kept = Retention(at.settings.retention_days, at.settings.spoken_retention_days)
        if dry_run:
            gone = at.store.to_forget(kept)
        else:
            at.store.make_partitions(kept)
            with counted("forgotten") as told:
                gone = at.store.forget(kept, progress=told)
    if as_json:
        click.echo(json_text({"dry_run": dry_run} | asdict(gone)))
        return
    would = "would be forgotten" if dry_run else "were forgotten"
    if not kept.days:
        click.echo("DUYET_RETENTION_DAYS is 0: every comment is kept.")
        return
    click.echo(
        f"{gone.dropped + gone.comments:,} comments and {gone.decisions:,} people's words {would}"
        + (
            f"; {gone.dropped:,} of them with {len(gone.partitions)} partitions."
            if gone.partitions
            else "."
        )
    )


@click.group(
    "keys",
    epilog="""\b
Examples:
  duyet keys rotate
  duyet keys rotate --finish                   after it was stopped half way""",
)
def keys() -> None:
    """Renew the key that commenters' addresses are kept under."""


@keys.command("rotate")
@click.option(
    "--finish", is_flag=True, help="Make no new key; seal again what older keys still hold."
)
@json_option
def rotate(*, finish: bool, as_json: bool) -> None:
    """Make a new address key and seal every stored address again with it.

    The service may go on meanwhile. It may be stopped and finished later. A process that
    was running before seals new addresses with the key it knows until it is started again;
    `--finish` after that gathers those in. Key files are never deleted here: backups
    need the ones that were in use when they were made.
    """
    with installation() as at:
        newest = at.keyring.newest_address_key_id if finish else at.keyring.add_address_key()
        with counted("sealed again") as told:
            count = at.store.reencrypt_addresses(progress=told)
        in_use = at.store.address_keys_in_use()
        ids = at.keyring.address_key_ids
        spool = Spool(at.settings.spool_dir, at.settings.spool_max_bytes)
        # What is spooled was sealed with some key; once it has come in, `--finish` sees which.
        may_go = () if spool.is_holding() else ids
    unused = [f"address-{n}.key" for n in may_go if n not in in_use and n != newest]
    body = {"key": f"address-{newest}.key", "sealed_again": count, "unused": unused}
    if as_json:
        click.echo(json_text(body))
        return
    click.echo(f"address-{newest}.key seals addresses now; {count:,} were sealed again.")
    if not finish:
        click.echo(
            "A service that was running seals with the key it knew: start it again, then "
            "`duyet keys rotate --finish` says which keys nothing needs any more."
        )
    elif unused:
        click.echo(f"Nothing in the database needs {', '.join(unused)} any more.")


@click.group(
    "export",
    epilog="""\b
Examples:
  duyet export labels -o labels.jsonl.gz
  duyet export labels --site blog | duyet train - --out var/models
  duyet export comments --site blog --format wxr -o blog.xml""",
)
def export() -> None:
    """Write out what people decided, or all comments."""


@export.command("labels")
@click.option("--site", "site_name", type=NAME, metavar="NAME", help="Only this site's comments.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=STDOUT,
    metavar="FILE",
    help="Where to; gzip when the name ends in .gz.  [default: standard output]",
)
def labels(site_name: str | None, output: Path) -> None:
    """Write people's decisions and sites' reports as labelled examples, a JSON object a line.

    The form is that of the files `duyet train` reads (docs/training.md). No address is in
    it: an address keeps its domain only where that is a large mail provider's. A FILE
    appears whole or not at all, readable by its owner only.
    """
    with installation() as at:
        only = [site_named(at.store, site_name).id] if site_name else None
        count = 0
        with written(output) as stream, counted("examples") as told:
            for count, example in enumerate(at.store.labelled(only), start=1):
                stream.write(_line(example))
                if count % 500 == 0:
                    told(count)
    click.echo(f"{count:,} labelled examples", err=True)


def _line(example: LabelledExample) -> bytes:
    body = {
        "id": example.id,
        "text": example.text,
        "label": example.label.word,
        "task": example.label.head.value,
        "lang": example.lang or None,
        "source": example.source,
        "split": example.split or None,
        "group": example.group or None,
        "author": example.author or None,
        "author_url": example.author_url or None,
        "email": example.email or None,
        "ip": example.ip or None,
        "user_agent": example.user_agent or None,
        "date": example.date or None,
        "weight": example.weight,
        "provenance": asdict(example.provenance),
        "extra": example.extra,
    }
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@contextmanager
def written(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """A stream whose content is at `path`, whole, when the block ends well; else nothing is."""
    if path == STDOUT:
        yield sys.stdout.buffer
        return
    path = path.resolve()
    if path.exists() and not path.is_file():  # a pipe or a device is not to be replaced
        with path.open("wb") as stream:
            yield stream
        return
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no directory {path.parent}")
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            if path.name.endswith(".gz"):
                # No name and no time inside: equal labels are equal bytes.
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    yield packed
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


@contextmanager
def counted(what: str) -> Iterator[Callable[[int], None]]:
    """Tells how far long work is, on a terminal; nowhere else."""
    last = 0

    def tell(count: int) -> None:
        nonlocal last
        last = count
        if sys.stderr.isatty():
            click.echo(f"\r{what}: {count:,}", nl=False, err=True)

    yield tell
    if last and sys.stderr.isatty():
        click.echo(err=True)
