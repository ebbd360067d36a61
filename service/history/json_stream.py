"""The elements of the lists in one large JSON object, one at a time.

Knows JSON. Keeps no more of the file than one element.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

from service.history.records import HistoryError
from service.history.sources import CHUNK

LONGEST_ELEMENT = 16 * 1024 * 1024
"""Characters of one element, or of a value that is no list."""

_NOT_BLANK = re.compile(r"[^ \t\r\n]")


class Element(NamedTuple):
    """An element of the list under a name, by its place from 1; 0 for a value that is no list."""

    key: str
    number: int
    value: object


def elements_of(stream: BinaryIO) -> Iterator[Element]:
    """The elements of each list of the object that the file is, and its other values, in order.

    Raises HistoryError where the file is no such object or ends too early.
    """
    text = _Text(stream)
    text.expect("{")
    if text.peek() == "}":
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            text.fail("a name is missing")
        text.expect(":")
        if text.peek() == "[":
            yield from _listed(text, key)
        else:
            yield Element(key, 0, text.value())
        if text.expect(",}") == "}":
            return


def _listed(text: "_Text", key: str) -> Iterator[Element]:
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    number = 0
    while True:
        number += 1
        yield Element(key, number, text.value())
        if text.expect(",]") == "]":
            return


class _Text:
    """What was read of a file and not used yet."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._json = json.JSONDecoder(parse_constant=refuse_constant)
        self._text = ""
        self._at = 0
        self._used = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while (found := _NOT_BLANK.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._more(CHUNK):
                return ""
        self._at = found.start()
        return found.group()

    def expect(self, among: str) -> str:
        """Take the next character, which is one of these."""
        found = self.peek()
        if not found or found not in among:
            self.fail("the file is cut short" if not found else "it is not JSON")
        self._at += 1
        return found

    def value(self) -> object:
        """Take the next value."""
        self.peek()
        size = CHUNK
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except ValueError:  # it may be cut, or be none
                pass
            except RecursionError:
                self.fail("it is nested too deeply")
            else:
                if end < len(self._text) or not self._more(CHUNK):  # a number may go on
                    self._at = end
                    return value
                continue
            if len(self._text) - self._at > LONGEST_ELEMENT:
                self.fail(f"a value is no JSON, or longer than {LONGEST_ELEMENT:,} characters")
            size *= 2  # so that all attempts at a long one cost no more than a few of it
            if not self._more(size):
                self.fail("it is not JSON, or cut short")

    def fail(self, problem: str) -> NoReturn:
        """Raise that, with the place."""
        raise HistoryError(f"character {self._used + self._at:,}: {problem}") from None

    def _more(self, size: int) -> bool:
        data = b"" if self._ended else self._stream.read(size)
        self._ended = not data
        self._used += self._at
        self._text = self._text[self._at :] + self._decoder.decode(data, final=self._ended)
        self._at = 0
        return bool(data)


def refuse_constant(_: str) -> NoReturn:
    """Refuse what Python's reader takes and JSON has not."""
    raise ValueError("NaN and Infinity are no JSON")
