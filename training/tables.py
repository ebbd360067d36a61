"""Labelled comments in tables: CSV and Parquet, a row at a time as the object a JSON line would be.

Knows encodings, delimiters and column types. Does not know which columns there should be, nor what
is wrong with what is in them. Parquet takes pyarrow (`pip install 'duyet[parquet]'`).
"""

import codecs
import csv
import gzip
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import Any, BinaryIO, NoReturn, TypeAlias

from model.spreadsheet import unguarded

LONGEST_CELL = 16 * 1024 * 1024
"""Characters of a cell: as many as a JSON line may have bytes."""

ROWS_AT_A_TIME = 500
"""Rows of a Parquet file that are in memory at a time, packed as the file has them."""

BYTES_AT_A_TIME = 64_000_000
"""Of rows so large fewer are."""

Body = Mapping[str, object]
Packed: TypeAlias = "io.BufferedReader[Any] | gzip.GzipFile"
"""A stream that may be looked ahead in."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ",;\t|"
_OBJECTS = ("extra", "provenance")
_NUMBERS = ("weight",)
PARQUET_MAGIC = b"PAR1"


class TableError(ValueError):
    """A table that cannot be read any further, from `line` on; never with what it holds."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is none, and why."""

    problem: str
    field: str = ""


def is_csv(name: str) -> bool:
    """Whether a file of that name is a table of text."""
    return PurePath(name.removesuffix(".gz")).suffix.lower() in {".csv", ".tsv"}


# ------------------------------------------------------------------ CSV


def csv_rows(stream: Packed) -> Iterator[tuple[int, Body | BadRow]]:
    """Rows with the line that each ends in, the header's names as keys; empty cells are left out.

    The delimiter (comma, semicolon, tab or bar) is told by the header, the encoding by a mark:
    UTF-8, or UTF-16 with one. What our exports put before a formula is taken away. Raises
    TableError.
    """
    text = io.TextIOWrapper(stream, _encoding(stream), errors="strict", newline="")
    csv.field_size_limit(LONGEST_CELL)
    line = 0
    try:
        first = text.readline(LONGEST_CELL)
        delimiter = max(_DELIMITERS, key=first.count)
        reader = csv.reader(_joined(first, text), delimiter=delimiter, strict=True)
        header = _header(next(reader, []))
        line = reader.line_num
        for cells in reader:
            line = reader.line_num
            if any(cells):
                yield line, _body(header, cells)
    except UnicodeDecodeError:
        # Where, nobody knows: text is decoded many lines at a time.
        raise TableError("the text is not UTF-8; save the table as CSV UTF-8") from None
    except csv.Error as error:
        problem = "a cell is too long" if "field limit" in str(error) else "the quoting is broken"
        raise TableError(problem, line + 1) from None


def _encoding(stream: Packed) -> str:
    head = stream.peek(4)[:4]
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def _joined(first: str, text: io.TextIOWrapper) -> Iterator[str]:
    yield first
    while line := text.readline(LONGEST_CELL):
        yield line


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in cells]
    if "text" not in names:
        raise TableError("its first line must name the columns, `text` among them", 1)
    named = [name for name in names if name]
    if len(named) > len(set(named)):
        raise TableError("a column is named twice", 1)
    return names


def _body(header: list[str], cells: list[str]) -> Body | BadRow:
    if len(cells) > len(header) and any(cells[len(header) :]):
        return BadRow("has more cells than there are columns")
    body: dict[str, object] = {}
    for name, cell in zip(header, map(unguarded, cells), strict=False):
        if not name or not (cell or name == "text"):
            continue
        try:
            body[name] = _value(name, cell)
        except (ValueError, RecursionError):
            return BadRow("must be JSON" if name in _OBJECTS else "must be a number", name)
    return body


def _value(name: str, cell: str) -> object:
    if name in _OBJECTS:
        return json.loads(cell, parse_constant=_refused)
    return float(cell) if name in _NUMBERS else cell


# ------------------------------------------------------------------ Parquet


def parquet_rows(stream: BinaryIO, columns: frozenset[str]) -> Iterator[tuple[int, Body | BadRow]]:
    """Rows with their numbers from 1, read a batch at a time; other columns are not read.

    Raises TableError, also where pyarrow is not there.
    """
    try:
        import pyarrow as arrow  # noqa: PLC0415  optional: duyet[parquet] brings it
        from pyarrow import parquet  # noqa: PLC0415  optional: duyet[parquet] brings it
    except ImportError:
        raise TableError("to read Parquet takes pyarrow: pip install 'duyet[parquet]'") from None
    number = 0
    try:
        schema = parquet.ParquetFile(stream).schema_arrow
        names = [name for name in schema.names if name in columns]
        if "text" not in names:
            raise TableError("it has no column `text`")
        for name in names:
            if names.count(name) > 1:
                raise TableError(f"it has more than one column `{name}`")
        # Texts that the file has once stay so in memory, or a small file would fill all of it.
        texts = [name for name in names if arrow.types.is_string(schema.field(name).type)]
        file = parquet.ParquetFile(stream, read_dictionary=texts)
        for batch in file.iter_batches(_many(file.metadata), columns=names, use_threads=False):
            for at in range(batch.num_rows):
                number += 1
                yield number, _row_of(batch.slice(at, 1))
    except (arrow.ArrowException, OSError, UnicodeDecodeError):
        raise TableError("the Parquet data is damaged, or not to be read", number + 1) from None


def _many(metadata: Any) -> int:
    """How many rows to read at a time, by how large they are where they are largest."""
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    each = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=0.0)
    return max(1, min(ROWS_AT_A_TIME, int(BYTES_AT_A_TIME / max(each, 1.0))))


def _row_of(part: Any) -> Body | BadRow:
    """The one row of a part; times that Python has not, as of year 10000, cannot be read."""
    try:
        return _plain(part.to_pylist()[0])
    except (ValueError, OverflowError):
        return BadRow("holds a time out of reach: years go to 9999, fractions to microseconds")


def _plain(row: Mapping[str, Any]) -> Body | BadRow:
    body: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, str | bytes) and len(value) > LONGEST_CELL:
            return BadRow("is too long", name)
        try:
            body[name] = _of_json(name, value)
        except (ValueError, TypeError, RecursionError):
            return BadRow("must be JSON" if name in _OBJECTS else "must be text", name)
    return body


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _of_json(name: str, value: object) -> object:
    """A value as a JSON line would have it."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.decode()
        case str() if name in _OBJECTS:
            return json.loads(value, parse_constant=_refused) if value else None
        case float() if math.isnan(value):
            return None  # how tables write that there is none
        case list() if name in _OBJECTS:  # a map
            return dict(value)
        case _:
            return value
