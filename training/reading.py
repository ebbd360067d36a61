"""Read the labelled files a command was given, with a bar on a terminal.

Knows paths, standard input and what was left out. Does not know what becomes of the rows.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import click

from model.decision import LabelledExample
from training.examples import STDIN, ExampleError, Row, example_of, read_rows


def files_argument(command: Any) -> Any:
    """The argument FILE..., files that are there or `-`."""
    return click.argument(
        "files",
        nargs=-1,
        required=True,
        metavar="FILE...",
        type=click.Path(
            exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path
        ),
    )(command)


def rows_of(
    files: Sequence[Path],
    *,
    label: str,
    skip_bad: bool,
    left_out: Counter[str],
    told: Callable[[float], None] | None = None,
) -> Iterator[Row]:
    """The rows of all files, with a bar on a terminal that fills as their bytes are read.

    Those without a label are among them, and counted. A row that cannot be read raises
    ExampleError, or with `skip_bad` is counted. `told` is told the share that is read, and then
    there is no bar.
    """

    def note(_: ExampleError) -> None:
        left_out["that cannot be read"] += 1

    size = sum(path.stat().st_size for path in files if path != STDIN)
    done = 0
    hidden = told is not None or not sys.stderr.isatty()
    with click.progressbar(length=max(1, size), label=label, file=sys.stderr, hidden=hidden) as bar:

        def advance(read: int) -> None:
            nonlocal done
            done += read
            if told is None:
                bar.update(read)
            elif read:
                told(done / size)

        for path in files:
            yield from _rows_of(path, advance, note if skip_bad else None, left_out)


def examples_of(
    files: Sequence[Path],
    *,
    skip_bad: bool,
    left_out: Counter[str],
    told: Callable[[float], None] | None = None,
) -> Iterator[LabelledExample]:
    """The labelled rows of all files; the others are counted."""
    every = rows_of(files, label="Reading", skip_bad=skip_bad, left_out=left_out, told=told)
    for row in every:
        if row.label is not None:
            yield example_of(row, row.label)


def tell_left_out(left_out: Counter[str]) -> None:
    """Say on standard error how many rows were left out, and why."""
    for why, count in sorted(left_out.items()):
        click.echo(f"left out: {count:,} rows {why}", err=True)


def _rows_of(
    path: Path,
    advance: Callable[[int], None],
    on_bad: Callable[[ExampleError], None] | None,
    left_out: Counter[str],
) -> Iterator[Row]:
    with ExitStack() as opened:
        piped = path == STDIN
        stream: BinaryIO = sys.stdin.buffer if piped else opened.enter_context(path.open("rb"))
        name, read = "standard input" if piped else str(path), 0
        for row in read_rows(stream, name=name, on_bad=on_bad):
            if not piped:
                advance(stream.tell() - read)
                read = stream.tell()
            if row.label is None:
                left_out["without a label"] += 1
            yield row
