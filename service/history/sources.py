"""A file of history: opened as often as needed, unpacked, counted, told from others by its bytes.

Knows gzip, lines and how far reading has come. Knows nothing of what a format means.
"""

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from service.history.records import HistoryError

CHUNK = 64 * 1024
LONGEST_LINE = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Source:
    """A file. `read` is told the bytes of it that were read so far, packed as they are."""

    path: Path
    read: Callable[[int], object] = field(default=lambda _: None)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes from the start, unpacked. Raises HistoryError where gzip data is damaged."""
        with self.path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            raw = io.BufferedReader(_Counted(file, self.read), CHUNK)
            try:
                if packed:
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield io.BufferedReader(unpacked, CHUNK)
                else:
                    yield raw
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise HistoryError("the gzip data is damaged or cut short") from None

    def head(self, size: int = CHUNK) -> bytes:
        """What it begins with, unpacked."""
        with self.opened() as stream:
            return stream.read(size)

    def digest(self) -> str:
        """What tells the file from any other."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], object]) -> None:
        self._file = file
        self._told = tell
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        self._told(self._count)
        return len(data)


def encoding_by_mark(begin: bytes) -> str:
    """The encoding that a byte order mark tells; "" where there is none."""
    if begin.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    return "utf-16" if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def texts_of(stream: BinaryIO, begin: bytes, encoding: str, errors: str) -> Iterator[str]:
    """The text of a stream, piece by piece, of which `begin` was read. Raises HistoryError."""
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    data = begin
    while True:
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeError:  # of codecs that cannot be lenient, or want a byte order mark
            raise HistoryError(f"it is not in the encoding {encoding}") from None
        yield text
        if not data:
            return
        data = stream.read(CHUNK)


def lines_of(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1, without a byte order mark; None for one that is too long."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) <= LONGEST_LINE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(CHUNK)
        yield number, None
