"""Tables as CSV that a spreadsheet opens without running what strangers wrote."""

import csv
import io
from collections.abc import Iterable, Iterator

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the start of a formula, in its wide forms too, as OWASP's page on
CSV injection lists them."""


def safe_cell(value: object) -> object:
    """A value as a cell; a text that would be taken for a formula begins with an apostrophe.

    Numbers stay numbers: a minus sign alone does no harm.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.replace("\0", "")
        return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
    return value


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The lines of a CSV file as of RFC 4180, each as soon as its row is there."""
    yield _line(header)
    for row in rows:
        yield _line(map(safe_cell, row))


def _line(values: Iterable[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(values)
    return written.getvalue()
