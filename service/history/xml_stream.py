"""Read XML of any size, from anybody, without keeping more of it than one record.

Expat with every way out closed (docs/adr/0017): no document type, so that no entity can be declared
and nothing outside can be named; depth and the size of one token are bounded. What other readers
choke on is mended, because comments are full of it and exports are not: control characters and
bytes of another encoding become U+FFFD, an ampersand that begins no reference stands for itself.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NoReturn, Protocol
from xml.parsers import expat

from service.history.records import LONGEST_CONTENT, HistoryError, Record
from service.history.sources import CHUNK, encoding_by_mark, texts_of

DEEPEST = 100
LONGEST_TOKEN = 1024 * 1024
"""Bytes of a tag, a comment or an instruction; text comes in pieces and has no such limit."""

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION = re.compile(r"\A\s*<\?xml\s[^>]*\?>")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_AMPERSAND = re.compile(r"&(?:#(x[0-9a-fA-F]{1,8}|[0-9]{1,10});|(?:amp|lt|gt|quot|apos);)?")
_CDATA = re.compile(r"(<!\[CDATA\[|\]\]>)")
_UNFINISHED = re.compile(r"(?:&#?[0-9A-Za-z]{0,11}|<!?\[?C?D?A?T?A?|\]\]?)\Z")
"""What may go on in the next piece and mean something else then."""

_LONGEST_UNFINISHED = 16


class Form(Protocol):
    """What a format makes of elements. Names are "namespace local" or "local"."""

    found: list[Record]
    """The records that were completed since somebody took them out."""

    def opened(self, name: str, attributes: Mapping[str, str], *, line: int, depth: int) -> bool:
        """An element begins; whether its text is wanted."""

    def closed(self, name: str, text: str, *, depth: int) -> None:
        """It ends; `text` is "" where it was not wanted."""


def records_in(stream: BinaryIO, form: Form) -> Iterator[Record]:
    """The records a form finds, in order, as they come.

    Raises HistoryError where the file is no XML, has a document type, or ends too early; what
    came before that has been given.
    """
    reading = _Reading(form)
    try:
        for text in _characters(stream):
            reading.feed(text)
            yield from _taken(form)
        reading.end()
    except HistoryError:
        yield from _taken(form)
        raise
    yield from _taken(form)


def _taken(form: Form) -> list[Record]:
    found, form.found = form.found, []
    return found


class _Reading:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._depth = 0
        self._wanted_at = 0  # the depth of the element whose text is wanted; 0 for none
        self._text: list[str] = []
        self._length = 0
        self._fed = 0
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = CHUNK
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        self._parser = parser

    def feed(self, text: str) -> None:
        data = text.encode()
        self._fed += len(data)
        self._parse(data, is_final=False)
        if self._fed - max(0, self._parser.CurrentByteIndex) > LONGEST_TOKEN + CHUNK:
            raise HistoryError(f"line {self._line}: a tag or comment has no end")

    def end(self) -> None:
        self._parse(b"", is_final=True)

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _parse(self, data: bytes, *, is_final: bool) -> None:
        problem = ""
        try:
            self._parser.Parse(data, is_final)
        except expat.ExpatError as error:
            problem = f"line {error.lineno}: {expat.ErrorString(error.code)}"
            if is_final:
                problem += " (the file seems to be cut short)"
        if problem:
            raise HistoryError(problem)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise HistoryError(f"line {self._line}: elements are nested more than {DEEPEST} deep")
        wanted = self._form.opened(name, attributes, line=self._line, depth=self._depth)
        if wanted:
            self._wanted_at, self._text, self._length = self._depth, [], 0

    def _characters(self, data: str) -> None:
        # One piece more than may be is kept, so that it is refused as too long and not cut.
        if self._wanted_at == self._depth and self._length <= LONGEST_CONTENT:
            self._text.append(data)
            self._length += len(data)

    def _end(self, name: str) -> None:
        text = "".join(self._text) if self._wanted_at == self._depth else ""
        if self._wanted_at == self._depth:
            self._wanted_at, self._text = 0, []
        self._form.closed(name, text, depth=self._depth)
        self._depth -= 1

    def _refuse(self, *_: object) -> NoReturn:
        raise HistoryError(
            f"line {self._line}: it declares a document type or entity, which no export does"
        )


def _characters(stream: BinaryIO) -> Iterator[str]:
    """The characters of the file, mended."""
    begin = stream.read(CHUNK)
    is_cdata, is_first, kept = False, True, ""
    for piece in texts_of(stream, begin, _encoding_of(begin), "replace"):
        text = kept + _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", piece)
        if is_first:
            text, is_first = _DECLARATION.sub(_its_lines, text), False
        open_end = _UNFINISHED.search(text, max(0, len(text) - _LONGEST_UNFINISHED))
        end = open_end.start() if open_end else len(text)
        kept = text[end:]
        mended, is_cdata = _mended(text[:end], is_cdata)
        yield mended
    yield kept


def _its_lines(declaration: re.Match[str]) -> str:
    """As many lines: what it says was said, and some exports have blank lines before it."""
    return "\n" * declaration[0].count("\n")


def _mended(text: str, is_cdata: bool) -> tuple[str, bool]:
    """The text with references that XML can read; whether its end is in a CDATA section."""
    parts = _CDATA.split(text)  # texts, and between them what such a section begins or ends with
    for place, part in enumerate(parts):
        if place % 2:
            is_cdata = part != "]]>"
        elif not is_cdata:
            parts[place] = _AMPERSAND.sub(_reference, part)
    return "".join(parts), is_cdata


def _encoding_of(head: bytes) -> str:
    if marked := encoding_by_mark(head):
        return marked
    declared = _DECLARED.match(head)
    name = declared[1].decode() if declared else "utf-8"
    try:
        info = codecs.lookup(name)
        "".encode(name)  # refuses codecs that are not of text
    except (LookupError, ValueError):
        raise HistoryError("line 1: it declares an unknown encoding") from None
    return info.name


def _reference(found: re.Match[str]) -> str:
    """A reference as it is, or as one that XML allows: exports have `?a=1&b=2` in addresses."""
    if found[0] == "&":
        return "&amp;"
    digits = found[1]
    if not digits:
        return found[0]
    code = int(digits[1:], 16) if digits.startswith("x") else int(digits)
    is_character = code <= 0x10FFFF and not _NOT_XML.match(chr(code))
    return found[0] if is_character else "\N{REPLACEMENT CHARACTER}"
