"""Read labelled comments: JSON lines, CSV or Parquet, one comment a line or row.

Knows the form of the files and how a row becomes a `Submission`. Needs no scikit-learn, so
that scoring a file starts fast. Never repeats what a row holds in an error: rows carry
comments and addresses.
"""

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from model.addresses import mask_addresses
from model.decision import Label, LabelledExample, Provenance, WordOf
from model.outcome import Head
from model.submission import Article, Author, CommentType, Submission
from training.tables import (
    PARQUET_MAGIC,
    BadRow,
    Body,
    Packed,
    TableError,
    csv_rows,
    is_csv,
    parquet_rows,
)

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is refused rather than read into memory: no comment form sends one."""

STDIN = Path("-")

LABELS: Mapping[str, Label] = {
    label.word: label for head in Head for label in (Label(head, True), Label(head, False))
}

COLUMNS = frozenset(
    {
        "id",
        "text",
        "label",
        "task",
        "lang",
        "source",
        "split",
        "group",
        "author",
        "author_url",
        "email",
        "ip",
        "user_agent",
        "date",
        "weight",
        "extra",
        "provenance",
    }
)
"""What is read of a row."""

_HEADS: Mapping[str, Head] = {head.value: head for head in Head}
_COMMENT_TYPES: Mapping[str, CommentType] = {kind.value: kind for kind in CommentType}
_WORDS_OF: Mapping[object, WordOf] = {kind.value: kind for kind in WordOf}
_GZIP_MAGIC = b"\x1f\x8b"
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ExampleError(ValueError):
    """A row that cannot be read. Names file, line and field, never what the row holds.

    `line` counts from 1; it is 0 when the file as a whole cannot be read. `field` is empty
    when it is not about one.
    """

    def __init__(self, problem: str, *, file: str, line: int = 0, field: str = "") -> None:
        place = f"{file}, line {line}" if line else file
        super().__init__(f"{place}: {field} {problem}" if field else f"{place}: {problem}")
        self.problem = problem
        self.file = file
        self.line = line
        self.field = field


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file, labelled or not. A value that was null or not there is empty.

    `line` counts from 1. `head` is the task the row is about: its label's, else what `task`
    says, else None. Of the rest only `text` is always given; it may be empty. Every field of
    a comment is left out of the repr.
    """

    line: int
    id: str
    text: str = field(repr=False)
    label: Label | None = None
    head: Head | None = None
    lang: str = ""
    source: str = ""
    split: str = ""
    group: str = ""
    author: str = field(default="", repr=False)
    author_url: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    ip: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)
    date: str = ""
    weight: float = 1.0
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)
    provenance: Provenance = field(default_factory=Provenance)


class Commented(Protocol):
    """What `submission_of` reads: a `Row` and a `LabelledExample` both have it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def author(self) -> str: ...  # noqa: D102
    @property
    def author_url(self) -> str: ...  # noqa: D102
    @property
    def email(self) -> str: ...  # noqa: D102
    @property
    def ip(self) -> str: ...  # noqa: D102
    @property
    def user_agent(self) -> str: ...  # noqa: D102
    @property
    def extra(self) -> Mapping[str, object]: ...  # noqa: D102


def read_rows(
    source: Path | BinaryIO,
    *,
    name: str = "",
    on_bad: Callable[[ExampleError], None] | None = None,
) -> Iterator[Row]:
    """The rows of a file in order, blank lines left out.

    `source` is a path, `Path("-")` for standard input, or an open binary stream; gzip is told
    by its first two bytes, Parquet by its first four, CSV by the name. `name` is what errors call
    it. NUL and lone surrogates, which no store and no encoder takes, become U+FFFD.

    A bad row raises ExampleError; with `on_bad` it is handed there instead and reading goes
    on. Damaged data always raises, since nothing after it can be read. OSError when the
    file cannot be opened.
    """
    if isinstance(source, Path):
        opened = 0 if source == STDIN else source
        with open(opened, "rb", closefd=source != STDIN) as stream:
            yield from read_rows(stream, name=name or _name_of(source), on_bad=on_bad)
        return
    name = name or _name_of(source)
    for number, found in _found(source, name):
        try:
            row = _row(_object(found) if isinstance(found, bytes) else _cells(found), number, name)
        except _Problem as problem:
            bad = ExampleError(problem.problem, file=name, line=number, field=problem.field)
            if on_bad is None:
                raise bad from None
            on_bad(bad)
        else:
            yield row


def _found(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes | Body | BadRow]]:
    """What may be a row, with its number: a line of JSON, or the cells of a row in a table."""
    head = stream.read(len(_GZIP_MAGIC))
    if head == PARQUET_MAGIC[: len(head)] and head:
        head += stream.read(len(PARQUET_MAGIC) - len(head))
    try:
        if head == PARQUET_MAGIC:
            yield from _parquet(stream, name)
        elif is_csv(name):
            # Its encoding is told by up to four bytes, and what is rejoined comes by itself.
            yield from csv_rows(_unpacked(stream, head + stream.read(2)))
        else:
            for number, line in enumerate(_lines(_unpacked(stream, head), name), start=1):
                text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if text.strip():
                    yield number, text
    except TableError as problem:
        raise ExampleError(problem.problem, file=name, line=problem.line) from None
    except _DAMAGE:  # of a table
        raise ExampleError("the gzip data is damaged or cut short", file=name) from None


def _parquet(stream: BinaryIO, name: str) -> Iterator[tuple[int, Body | BadRow]]:
    if not stream.seekable():
        raise ExampleError("Parquet must be in a file: it is read from its end", file=name)
    stream.seek(0)
    yield from parquet_rows(stream, COLUMNS)


def _cells(found: Body | BadRow) -> Body:
    if isinstance(found, BadRow):
        raise _Problem(found.problem, found.field)
    return {name: _storable(value) for name, value in found.items()}


def read_examples(
    source: Path | BinaryIO,
    *,
    name: str = "",
    on_bad: Callable[[ExampleError], None] | None = None,
) -> Iterator[LabelledExample]:
    """The labelled rows of a file, as `read_rows` reads them; a row without a label is bad."""
    name = name or _name_of(source)
    for row in read_rows(source, name=name, on_bad=on_bad):
        if row.label is not None:
            yield example_of(row, row.label)
            continue
        bad = ExampleError("is missing", file=name, line=row.line, field="label")
        if on_bad is None:
            raise bad
        on_bad(bad)


def example_of(row: Row, label: Label) -> LabelledExample:
    """A row with the truth about it."""
    return LabelledExample(
        id=row.id,
        text=row.text,
        label=label,
        lang=row.lang,
        source=row.source,
        split=row.split,
        group=row.group,
        author=row.author,
        author_url=row.author_url,
        email=row.email,
        ip=row.ip,
        user_agent=row.user_agent,
        date=row.date,
        weight=row.weight,
        extra=row.extra,
        provenance=row.provenance,
    )


def submission_of(row: Commented) -> Submission:
    """The submission a site would have sent for a row.

    `lang` is not passed on: it was found out afterwards, a site would not have sent it. An IP
    that was cut to its network ("192.0.0.0/16") is the network's first address.
    """
    return Submission(
        content=row.text,
        author=Author(
            name=row.author,
            email=row.email,
            url=row.author_url,
            ip=row.ip.partition("/")[0],
            user_agent=row.user_agent,
        ),
        article=Article(title=_said(row.extra, "title") or _said(row.extra, "post_title")),
        type=_comment_type(_said(row.extra, "comment_type")),
        external_id=row.id,
    )


def _name_of(source: Path | BinaryIO) -> str:
    if not isinstance(source, Path):
        return "input"
    return "standard input" if source == STDIN else str(source)


def _said(extra: Mapping[str, object], key: str) -> str:
    value = extra.get(key)
    return value if isinstance(value, str) else ""


def _comment_type(word: str) -> CommentType:
    return _COMMENT_TYPES.get(word, CommentType.COMMENT)


class _Problem(Exception):
    """What is wrong with one row, before anyone knows which file it is in."""

    def __init__(self, problem: str, field: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.field = field


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already: a pipe cannot be rewound."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        # What is there now, where that can be had: a pipe may pause between lines, and whoever
        # feeds it may wait for an answer to each.
        self._read: Callable[[int], bytes] = getattr(rest, "read1", rest.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        data = self._head[: len(buffer)] or self._read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _unpacked(stream: BinaryIO, head: bytes) -> Packed:
    """The stream whose first bytes are `head`, which were read already, unpacked if need be."""
    whole = io.BufferedReader(_Rejoined(head, stream))
    return gzip.GzipFile(fileobj=whole) if head.startswith(_GZIP_MAGIC) else whole


def _lines(whole: Packed, name: str) -> Iterator[bytes]:
    """Lines without their ends. One that is too long comes as MAX_LINE_BYTES + 1 bytes."""
    number = 0
    try:
        while line := whole.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield line.removesuffix(b"\n")
            while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                line = whole.readline(MAX_LINE_BYTES + 1)
    except _DAMAGE:
        problem = "the gzip data is damaged or cut short from here on"
        raise ExampleError(problem, file=name, line=number + 1) from None


def _row(body: Body, number: int, name: str) -> Row:
    label = _label(body)
    return Row(
        line=number,
        id=_text(body, "id"),
        text=_text(body, "text", required=True),
        label=label,
        head=_head(body, label),
        lang=_text(body, "lang"),
        source=_text(body, "source"),
        split=_text(body, "split"),
        group=_text(body, "group"),
        author=_text(body, "author"),
        author_url=_text(body, "author_url"),
        email=_text(body, "email"),
        ip=_text(body, "ip"),
        user_agent=_text(body, "user_agent"),
        date=_text(body, "date"),
        weight=_weight(body),
        extra=_extra(body),
        provenance=_provenance(body, name),
    )


def _object(line: bytes) -> dict[str, object]:
    if len(line) > MAX_LINE_BYTES:
        raise _Problem(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        body: object = json.loads(line.decode(), parse_constant=_refuse_constant)
        # Strict UTF-8 and JSON let NUL and surrogates in by their escapes alone.
        body = _storable(body) if b"\\u" in line else body
    except UnicodeDecodeError:
        raise _Problem("the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _Problem(f"the line is not JSON (column {error.colno})") from None
    except RecursionError:
        raise _Problem("the line is nested too deeply") from None
    except ValueError:  # json itself gives up on numbers of thousands of digits
        raise _Problem("a number in the line is too long") from None
    if not isinstance(body, dict):
        raise _Problem("the line is not a JSON object")
    return body


def _refuse_constant(_: str) -> NoReturn:
    raise _Problem("the line holds NaN or Infinity, which is not JSON")


def _storable(value: object) -> object:
    match value:
        case str():
            return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case _:
            return value


def _text(body: Mapping[str, object], key: str, *, required: bool = False) -> str:
    value = body.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        if required:
            raise _Problem("is missing", key)
        return ""
    # Ids and groups are often plain numbers; nothing else may be one.
    if key in ("id", "group") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _Problem("must be text", key)


def _label(body: Mapping[str, object]) -> Label | None:
    word = _text(body, "label")
    if word and word not in LABELS:
        raise _Problem("must be one of spam, ham, toxic, clean", "label")
    return LABELS[word] if word else None


def _head(body: Mapping[str, object], label: Label | None) -> Head | None:
    word = _text(body, "task")
    if word and word not in _HEADS:
        raise _Problem("must be spam or toxicity", "task")
    if word and label and label.head != word:
        raise _Problem("does not go with the label", "task")
    return label.head if label else _HEADS.get(word)


def _weight(body: Mapping[str, object]) -> float:
    value = body.get("weight")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Problem("must be a number", "weight")
    if not (0 <= value <= 1e9 and math.isfinite(value)):
        raise _Problem("must be from 0 to 1,000,000,000", "weight")
    return float(value)


def _extra(body: Mapping[str, object]) -> Mapping[str, object]:
    value = body.get("extra")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Problem("must be an object", "extra")
    return value


def _provenance(body: Mapping[str, object], name: str) -> Provenance:
    """What an export of ours says of a label; of any other row the file it is in."""
    value = body.get("provenance")
    if value is None:
        return _told_in_extra(_extra(body)) or Provenance(WordOf.FILE, mask_addresses(name))
    if not isinstance(value, dict):
        raise _Problem("must be an object", "provenance")
    kind, chance = value.get("kind"), value.get("chance")
    who, at = value.get("who", ""), value.get("at", "")
    if not (isinstance(kind, str) and isinstance(who, str) and isinstance(at, str)):
        raise _Problem("must have texts as kind, who and at", "provenance")
    if not _is_time(at):
        raise _Problem(
            "must have a time as at, as 2026-03-01T08:00:00+00:00, or none", "provenance"
        )
    if kind not in _WORDS_OF:
        raise _Problem("must be of a decision, report, import or file", "provenance")
    if not (chance is None or _is_chance(chance)):
        raise _Problem("must have a chance above 0 and up to 1, or null", "provenance")
    drawn = None if chance is None else float(chance)
    return Provenance(_WORDS_OF[kind], mask_addresses(who), at, drawn)


def _is_time(text: str) -> bool:
    try:
        return not text or bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _is_chance(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _told_in_extra(extra: Mapping[str, object]) -> Provenance | None:
    """From an export that was made before labels had their provenance."""
    who, at = extra.get("decided_by"), extra.get("decided_at")
    why, chance = extra.get("reviewed_because"), extra.get("review_probability")
    if not (isinstance(who, str) and isinstance(at, str) and isinstance(why, str)):
        return None
    who = mask_addresses(who)
    if why == "report":
        return Provenance(WordOf.REPORT, who, at)
    if who.startswith("import "):
        return Provenance(WordOf.IMPORT, who, at)
    drawn = why in ("verdict", "audit") and _is_chance(chance)
    return Provenance(WordOf.DECISION, who, at, float(chance) if drawn else None)  # type: ignore[arg-type]  # a number: looked at above
