"""The commands `duyet import` and `duyet export comments`: a site's history, in and out."""

import codecs
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from service.commands.keep import STDOUT, counted, export, written
from service.commands.opening import (
    NAME,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
)
from service.history import isso
from service.history.csv_rows import FIELDS
from service.history.formats import Format, Layout, detected, read
from service.history.importing import Importing, Job, Summary
from service.history.records import HistoryError, Refused, Status
from service.history.sources import Source
from service.history.writing import csv_lines, json_lines, wxr_parts
from service.storage import Retention, StoredComment, utc_now

AUTO = "auto"
_LINE_EVERY_SECONDS = 10.0


def _columns(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in given:
        name, equals, column = pair.partition("=")
        if not equals or name not in FIELDS or not column:
            raise click.BadParameter(f"must be FIELD=COLUMN; fields are {', '.join(FIELDS)}")
        columns[name] = column
    return columns


def _zone(_: click.Context, __: click.Parameter, given: str) -> tzinfo:
    try:
        offset = datetime.strptime(given, "%z").tzinfo if given[:1] in {"+", "-"} else None
        return offset or ZoneInfo(given)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise click.BadParameter("must be as Asia/Ho_Chi_Minh or +07:00") from None


def _encoding(_: click.Context, __: click.Parameter, given: str) -> str:
    try:
        "".encode(given or "utf-8")
        return codecs.lookup(given).name if given else ""
    except (LookupError, ValueError):
        raise click.BadParameter("is not the name of an encoding of text") from None


@click.command(
    "import",
    epilog="""\b
Examples:
  duyet import wordpress.xml --site blog
  duyet import comments.db --site blog --format isso --queue-waiting
  duyet import old.csv --site blog --map content=Text --map written_at=Datum --status approved""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--site", "site_name", type=NAME, metavar="NAME", required=True, help="Whose it is.")
@click.option(
    "--format",
    "form",
    type=click.Choice([AUTO, *(form.value for form in Format)]),
    default=AUTO,
    show_default=True,
    help="What the file is; `auto` looks into it.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=_columns,
    metavar="FIELD=COLUMN",
    help="CSV: which column holds a field. May be repeated.",
)
@click.option(
    "--status",
    "unsaid",
    type=click.Choice([status.value for status in Status]),
    help="CSV, JSONL: what became of a comment whose record says nothing of it.",
)
@click.option("--encoding", default="", callback=_encoding, help="CSV: if it is not UTF-8.")
@click.option(
    "--queue-waiting", is_flag=True, help="Put what was waiting there into the queue here."
)
@json_option
def import_(  # noqa: PLR0913  a parameter for each option
    file: Path,
    site_name: str,
    form: str,
    columns: dict[str, str],
    unsaid: str | None,
    encoding: str,
    *,
    queue_waiting: bool,
    as_json: bool,
) -> int:
    """Take in the comments of FILE, with what people decided of them.

    FILE is an export of WordPress, Disqus, Isso (its database), Remark42, Commento or Comentario,
    a CSV or JSONL file; gzip is unpacked. Approved, spam and trash become decisions, and so labels,
    of the moderator "import FORMAT"; nothing is judged. What waited is left out unless
    --queue-waiting. May be stopped and run again: nothing is taken twice. Records that cannot be
    read are told by their place, and the status is 1 at the end.
    """
    layout = Layout(columns, Status(unsaid) if unsaid else None, encoding)
    with installation() as at:
        site = site_named(at.store, site_name)
        if not file.is_file():  # a pipe gives what it holds once
            raise click.ClickException(f"{shown(str(file))} is no file that can be read again")
        try:
            source = Source(file)
            known = detected(source) if form == AUTO else Format(form)
            key = "\0".join((source.digest(), known, layout.text, str(queue_waiting)))
            job = Job(site, known.value, key, queue_waiting)
            # Before there are comments of many years, for each of which one would be made.
            at.store.make_partitions(Retention(at.settings.retention_days))
            length = isso.size(file) if known is Format.ISSO else file.stat().st_size
            with _progress(length) as (read_so_far, told):
                importing = Importing(at.store, job, now=utc_now, refuse=_say, tell=told)
                summary = importing.run(read(Source(file, read_so_far), known, layout))
        except HistoryError as problem:
            raise click.ClickException(f"{shown(str(file))}: {problem}") from None
    if as_json:
        click.echo(json_text({"site": site.name, "format": known.value} | summary.counts))
    else:
        click.echo("\n".join(_told(summary, known.value, site.name)))
    return 1 if summary.refused else 0


def _say(refused: Refused) -> None:
    click.echo(f"duyet: {refused.place}: {refused.problem}", err=True)


def _told(summary: Summary, form: str, site: str) -> Iterator[str]:
    counts = summary.counts
    total = sum(summary.imported.values())
    parts = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status])
    yield f"{total:,} comments were imported to {shown(site)} from {form}" + (
        f": {parts}." if parts else "."
    )
    if summary.passed:
        yield f"{summary.passed:,} records had been dealt with by an earlier run."
    if summary.known:
        yield f"{summary.known:,} were there already."
    if summary.not_queued:
        yield f"{summary.not_queued:,} waited there and were left out; see --queue-waiting."
    if summary.no_comments:
        yield f"{summary.no_comments:,} records were no comments, or deleted with their text."
    if summary.refused:
        yield f"{summary.refused:,} records were refused, for the reasons above."


@contextmanager
def _progress(length: int) -> Iterator[tuple[Callable[[int], object], Callable[[int], object]]]:
    """How far reading has come: a bar on a terminal, else a line now and then.

    Two functions: one is told how much of the file was read, the other how many records.
    """
    if sys.stderr.isatty():
        with click.progressbar(length=length, label="importing", file=sys.stderr) as bar:
            last = 0

            def read_so_far(count: int) -> None:
                nonlocal last
                if count > last:  # a file may be read twice
                    bar.update(count - last)
                    last = count

            yield read_so_far, lambda _: None
        return
    spoken = time.monotonic()

    def told(records: int) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= _LINE_EVERY_SECONDS:
            spoken = time.monotonic()
            click.echo(f"{records:,} records", err=True)

    yield lambda _: None, told


@export.command("comments")
@click.option("--site", "site_name", type=NAME, metavar="NAME", required=True, help="Whose.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "wxr"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, a table for spreadsheets, or WordPress' format.",
)
@click.option(
    "--timezone",
    "zone",
    callback=_zone,
    default="UTC",
    show_default=True,
    metavar="NAME",
    help="WXR: the blog's, such as Asia/Ho_Chi_Minh or +07:00; see its Settings, General.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=STDOUT,
    metavar="FILE",
    help="Where to; gzip when the name ends in .gz.  [default: standard output]",
)
def comments(site_name: str, form: str, zone: tzinfo, output: Path) -> None:
    """Write all comments of a site, with what became of them.

    Addresses are masked, those in texts as well. In CSV an apostrophe stands before what a
    spreadsheet would take for a formula; `duyet import` takes it away again. A FILE appears whole
    or not at all, readable by its owner only.
    """
    with installation() as at:
        site = site_named(at.store, site_name)
        count = 0

        def through(
            found: Iterator[StoredComment], told: Callable[[int], None]
        ) -> Iterator[StoredComment]:
            nonlocal count
            for count, comment in enumerate(found, start=1):
                yield comment
                if count % 500 == 0:
                    told(count)

        with written(output) as stream, counted("comments") as told:
            kept = at.store.kept_by_article if form == "wxr" else at.store.kept
            found = through(kept(site.id), told)
            ways = {"jsonl": json_lines, "csv": csv_lines}
            wxr = partial(wxr_parts, site=site.name, zone=zone)
            for part in (wxr if form == "wxr" else ways[form])(found):
                stream.write(part)
    click.echo(f"{count:,} comments", err=True)
