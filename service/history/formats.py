"""Which format a file is in, by what it holds, and who reads it.

Knows how each format begins. A name's ending is not looked at.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from service.history import commento, csv_rows, disqus, isso, json_lines, wxr
from service.history.records import HistoryError, Records, Status
from service.history.sources import Source, encoding_by_mark

_SQLITE = b"SQLite format 3\x00"


class Format(StrEnum):
    """The formats that are read."""

    WXR = "wxr"
    DISQUS = "disqus"
    ISSO = "isso"
    REMARK42 = "remark42"
    COMMENTO = "commento"
    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file does not say of itself: for CSV its columns and encoding, for CSV and JSONL the
    status of records that say none."""

    columns: Mapping[str, str] = field(default_factory=dict)
    unsaid: Status | None = None
    encoding: str = ""

    @property
    def text(self) -> str:
        """All of it in a text, the same for the same layout."""
        return repr((sorted(self.columns.items()), self.unsaid, self.encoding))


def detected(source: Source) -> Format:
    """The format of a file by its first bytes. Raises HistoryError when it is none of them."""
    head = source.head()
    if head.startswith(_SQLITE):
        return Format.ISSO
    text = head.decode(encoding_by_mark(head) or "utf-8", "replace").lstrip()
    if text.startswith("<"):
        return _of_xml(text)
    if text.startswith("{"):
        return _of_json(text)
    first, _, _ = text.partition("\n")
    if (
        not text.startswith("[")
        and re.search(r"\w\W?[,;\t|]", first)
        and re.sub(r"[\t\r]", "", first).isprintable()
    ):
        return Format.CSV
    raise HistoryError("its format is not known; --format says which it is")


def _of_xml(text: str) -> Format:
    root = re.search(r"<([A-Za-z][\w:.-]*)[\s>]", re.sub(r"<!--.*?-->|<\?.*?\?>", "", text,
                                                          flags=re.DOTALL))  # fmt: skip
    if root and root[1] == "disqus":
        return Format.DISQUS
    if root and root[1] == "rss":
        return Format.WXR
    raise HistoryError("it is XML, but neither an export of WordPress nor of Disqus")


def _of_json(text: str) -> Format:
    first, _, _ = text.partition("\n")
    try:
        said = json.loads(first)
    except (ValueError, RecursionError):
        # An object of many lines, or one that is longer than what was read.
        is_whole = re.search(r'"(?:comments|commenters|pages)"\s*:\s*\[', text)
        return Format.COMMENTO if is_whole or first.strip() == "{" else Format.JSONL
    if "comments" in said or "commenters" in said:
        return Format.COMMENTO
    is_backup = {"version", "posts"} <= said.keys() or "locator" in said
    return Format.REMARK42 if is_backup else Format.JSONL


def read(source: Source, form: Format, layout: Layout) -> Records:
    """The records of a file in that format, in its order. Raises HistoryError."""
    match form:
        case Format.ISSO:
            yield from isso.read(source.path, source.read)
        case Format.COMMENTO:
            yield from commento.read(source.opened)
        case Format.WXR:
            with source.opened() as stream:
                yield from wxr.read(stream)
        case Format.DISQUS:
            with source.opened() as stream:
                yield from disqus.read(stream)
        case Format.REMARK42:
            with source.opened() as stream:
                yield from json_lines.read_remark42(stream)
        case Format.JSONL:
            with source.opened() as stream:
                yield from json_lines.read_jsonl(stream, layout.unsaid)
        case Format.CSV:
            with source.opened() as stream:
                yield from csv_rows.read(
                    stream,
                    columns=layout.columns,
                    unsaid=layout.unsaid,
                    encoding=layout.encoding,
                )
        case _:
            assert_never(form)
