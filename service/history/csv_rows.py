"""Comments in columns: any delimiter, any names, quoted line breaks.

Knows the names that columns usually have, and undoes what our own export does against spreadsheets
that would take a text for a formula.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NoReturn

from model.spreadsheet import unguarded
from service.history.json_lines import of_fields
from service.history.records import HistoryError, Record, Records, Refused, Status
from service.history.sources import CHUNK, LONGEST_LINE, encoding_by_mark, texts_of
from service.history.wxr import KINDS, NO_COMMENT

FIELDS = (
    "id",
    "external_id",
    "parent_id",
    "status",
    "reason",
    "moderator",
    "decided_at",
    "type",
    "content",
    "author_name",
    "author_url",
    "author_email",
    "author_ip",
    "user_agent",
    "permalink",
    "article_title",
    "article_language",
    "written_at",
)
"""The columns of `duyet export comments`, in order, and the fields a column may be mapped to."""

_USUAL = {
    "comment_id": "id",
    "parent": "parent_id",
    "comment_parent": "parent_id",
    "approved": "status",
    "comment_approved": "status",
    "comment_type": "type",
    "comment": "content",
    "text": "content",
    "body": "content",
    "message": "content",
    "comment_content": "content",
    "author": "author_name",
    "name": "author_name",
    "comment_author": "author_name",
    "email": "author_email",
    "comment_author_email": "author_email",
    "url": "author_url",
    "website": "author_url",
    "comment_author_url": "author_url",
    "ip": "author_ip",
    "comment_author_ip": "author_ip",
    "comment_agent": "user_agent",
    "link": "permalink",
    "post_url": "permalink",
    "title": "article_title",
    "post_title": "article_title",
    "comment_post_title": "article_title",
    "date": "written_at",
    "created_at": "written_at",
    "comment_date_gmt": "written_at",
}

_WORDPRESS = frozenset({"comment_ID", "comment_post_ID", "comment_approved", "comment_type"})
"""Columns that its table of comments has, in which other programs keep their notes as well."""

_LINE_END = re.compile(r"(?<=\n)|(?<=\r)(?=[^\n])")
_MAY_END = re.compile("[\r\n]")
_DELIMITERS = ",;\t|"


def read(
    stream: BinaryIO,
    *,
    columns: Mapping[str, str] | None = None,
    unsaid: Status | None = None,
    encoding: str = "",
) -> Records:
    """The rows of a file whose first row names the columns.

    `columns` says for a field which column it is in; the others are found by their usual names.
    `unsaid` is the status of a row that says none, `encoding` the file's, UTF-8 or by its byte
    order mark when empty. Raises HistoryError.
    """
    csv.field_size_limit(LONGEST_LINE)
    lines = _lines(stream, encoding)
    first = next(lines, "")
    if not first.strip():
        raise HistoryError("it is empty")
    delimiter = max(_DELIMITERS, key=first.count)
    rows = iter(_Rows(first, lines, delimiter))
    _, first_row = next(rows)
    header = [name.strip() for name in first_row]
    places = _places(header, columns or {})
    if "content" not in places:
        raise HistoryError("no column holds the text; --map content=COLUMN says which")
    if "status" not in places and unsaid is None:
        raise HistoryError("no column holds the status; --map status=COLUMN or --status says it")
    is_ours = tuple(first_row) == FIELDS
    kind_at = header.index("comment_type") if set(header) >= _WORDPRESS else None
    for line, row in rows:
        place = f"line {line}"
        if kind_at is not None and len(row) > kind_at and row[kind_at] not in KINDS:
            yield Refused(place, NO_COMMENT, is_fault=False)
        elif any(cell.strip() for cell in row):
            yield _record(row, place, places, unsaid=unsaid, is_ours=is_ours)


def _record(
    row: Sequence[str],
    place: str,
    places: Mapping[str, int],
    *,
    unsaid: Status | None,
    is_ours: bool,
) -> Record:
    if len(row) <= max(places.values()):
        return Refused(place, "it has fewer columns than the first row")
    cells = {field: row[at] for field, at in places.items()}
    if any(_is_undecoded(cell) for cell in cells.values()):
        return Refused(place, "it is not in the file's encoding; --encoding says which that is")
    if is_ours:
        cells = {field: unguarded(cell) for field, cell in cells.items()}
    if cells.get("parent_id") == "0":  # as tables say that there is none
        cells["parent_id"] = ""
    return of_fields(cells, place, unsaid)


def _is_undecoded(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text)


def _places(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """The place of each field that some column holds."""
    found: dict[str, int] = {}
    for at, name in enumerate(header):
        plain = re.sub(r"[\s-]+", "_", name.casefold())
        field = plain if plain in FIELDS else _USUAL.get(plain)
        if field is not None:
            found.setdefault(field, at)
    for field, name in columns.items():
        if name not in header:
            raise HistoryError(f"there is no column of the name that --map gives for {field}")
        found[field] = header.index(name)
    return found


class _Rows:
    """Rows that are not blank, each with the line that it begins on."""

    def __init__(self, first: str, lines: Iterator[str], delimiter: str) -> None:
        self._first = first
        self._lines = lines
        self._reader = csv.reader(self._counted(), delimiter=delimiter)
        self._began = 0
        self._length = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            self._began, self._length = self._reader.line_num + 1, 0
            try:
                row = next(self._reader, None)
            except csv.Error:
                self._fail()
            if row is None:
                return
            if row:
                yield self._began, row

    def _counted(self) -> Iterator[str]:
        yield self._first
        for line in self._lines:
            self._length += len(line)
            if self._length > LONGEST_LINE:
                self._fail()
            yield line

    def _fail(self) -> NoReturn:
        raise HistoryError(
            f"line {self._began}: a quotation that begins there has no end"
        ) from None


def _lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines with their ends, by line feeds or carriage returns; undecodable bytes are marked."""
    data = stream.read(CHUNK)
    encoding = encoding_by_mark(data) or encoding or "utf-8"
    errors = "surrogateescape" if codecs.lookup(encoding).name.startswith("utf-8") else "replace"
    kept: list[str] = []
    length = 0
    for text in texts_of(stream, data, encoding, errors):
        length += len(text)
        kept.append(text)
        if _MAY_END.search(text):  # else what was kept need not be looked through again
            *whole, last = _LINE_END.split("".join(kept))
            yield from whole
            kept, length = [last], len(last)
        if length > LONGEST_LINE:
            raise HistoryError(f"a line is longer than {LONGEST_LINE:,} characters")
    yield from filter(None, _LINE_END.split("".join(kept)))
