"""Read XML of any size, from anybody, without keeping more of it than one record.

Expat with every way out closed (docs/adr/0017): no document type, so that no entity can be declared
and nothing outside can be named; depth and the size of one token are bounded. What other readers
choke on, control characters and bytes of another encoding, becomes U+FFFD, because comments are
full of it and exports do not mend it.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NoReturn, Protocol
from xml.parsers import expat

from service.history.records import LONGEST_CONTENT, HistoryError, Record
from service.history.sources import CHUNK

DEEPEST = 100
LONGEST_TOKEN = 1024 * 1024
"""Bytes of a tag, a comment or an instruction; text comes in pieces and has no such limit."""

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(x[0-9a-fA-F]{1,8}|[0-9]{1,10});")
_URL_TAG = "<wp:comment_author_url>"
_RAW_URL = re.compile(rf"{_URL_TAG}[^<]*?&[^<]*")
_RAW_AMPERSAND = re.compile("&(?!(?:#x[0-9a-fA-F]{1,8}|#[0-9]{1,10}|amp|lt|gt|quot|apos);)")
_LONGEST_RAW_URL = 4096
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


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
    """The characters of the file, those that XML does not allow as U+FFFD."""
    data = stream.read(CHUNK)
    decoder = codecs.getincrementaldecoder(_encoding_of(data))(errors="replace")
    kept = ""
    while data:
        text, kept = _whole(kept + _NOT_XML.sub("�", decoder.decode(data)))
        yield _mended(text)
        data = stream.read(CHUNK)
    yield _mended(kept + decoder.decode(b"", final=True))


def _mended(text: str) -> str:
    # WordPress writes this one element as it is, whether XML allows that or not.
    text = _RAW_URL.sub(lambda found: _RAW_AMPERSAND.sub("&amp;", found[0]), text)
    return _REFERENCE.sub(_allowed, text)


def _encoding_of(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    declared = _DECLARED.match(head)
    name = declared[1].decode() if declared else "utf-8"
    try:
        info = codecs.lookup(name)
        "".encode(name)  # refuses codecs that are not of text
    except (LookupError, ValueError):
        raise HistoryError("line 1: it declares an unknown encoding") from None
    return info.name


def _whole(text: str) -> tuple[str, str]:
    """The text up to a reference or a URL that may go on in the next piece, and the rest."""
    tag = text.rfind("<", max(0, len(text) - _LONGEST_RAW_URL))
    if tag >= 0 and (text.startswith(_URL_TAG, tag) or _URL_TAG.startswith(text[tag:])):
        return text[:tag], text[tag:]
    at = text.rfind("&", max(0, len(text) - 12))
    return (text, "") if at < 0 or ";" in text[at:] else (text[:at], text[at:])


def _allowed(reference: re.Match[str]) -> str:
    """A reference to a character, or to U+FFFD where XML does not allow it."""
    digits = reference[1]
    code = int(digits[1:], 16) if digits.startswith("x") else int(digits)
    is_character = code <= 0x10FFFF and not _NOT_XML.match(chr(code))
    return reference[0] if is_character else "�"
