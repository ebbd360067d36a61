"""A POST that comes all at once, and nothing about it is out of the way.

Such a one needs no parser that remembers where it was, and costs the event loop a third less
(docs/serving-speed.md). What looks otherwise in any way is left to the server's parser. Knows
bytes; not what a request means.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values."""


class PlainPost(NamedTuple):
    """One whole request. `keeps_open` says whether its connection may bring another one."""

    target: bytes
    headers: Headers
    body: bytes
    keeps_open: bool

    def first_headers(self) -> Mapping[bytes, bytes]:
        """Headers by name; of one that was sent twice, the first."""
        return dict(reversed(self.headers))


class Reply(NamedTuple):
    """An answer, but for what the server says of itself and of the connection."""

    status: int
    headers: Headers
    body: bytes


class TakeOver(Protocol):
    """Answers plain POSTs past the server's own way to the application."""

    def __call__(
        self, post: PlainPost, reply: Callable[[Reply], None], again: Callable[[], None] | None
    ) -> bool:
        """Whether it answers this one: then `reply` is called once, on this loop, now or later.

        Of one that it does not, nothing has been done. With `again`, that may be called later in
        place of `reply`: to be offered it anew, without, as what had to be known first is known.
        """
        ...


# A request line and headers as every client writes them; names and values that parsers agree on.
# No part gives back what it took: whatever is sent, it is read once.
_HEAD = re.compile(
    rb"POST ([!-~]++) HTTP/1\.1\r\n((?:[\w-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n", re.ASCII
)
_LINE = re.compile(rb"([^:]++):([^\r]*+)\r\n")
_OUT_OF_THE_WAY = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"proxy-connection")
)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,9}")
_KEEPS_OPEN = {b"keep-alive": True, b"close": False}


_LONGEST_KEPT = 1024
"""Bytes of a head that is kept with what it says: 4 MB at the most with what belongs to them."""


class _Head(NamedTuple):
    target: bytes
    headers: Headers
    length: int
    keeps_open: bool


def plain_post(data: bytes) -> PlainPost | None:
    """The request, where `data` is one whole POST and nothing about it is out of the way."""
    ends = data.find(b"\r\n\r\n") + 4
    # Of one client they differ by the length at most: most were read before.
    said = (_known_head if ends <= _LONGEST_KEPT else _head)(data[:ends])
    if said is None or said.length != len(data) - ends:
        return None
    return PlainPost(said.target, said.headers, data[ends:], said.keeps_open)


def _head(head: bytes) -> _Head | None:
    """What a head says, where nothing about it is out of the way."""
    plain = _HEAD.fullmatch(head)
    if plain is None:
        return None
    lines = _LINE.findall(plain[2])
    headers = tuple((name.lower(), value.strip(b" \t")) for name, value in lines)
    last = dict(headers)
    keeps_open = _KEEPS_OPEN.get(last.get(b"connection", b"keep-alive").lower())
    length = _LENGTH.fullmatch(last.get(b"content-length", b""))
    if length is None or keeps_open is None or not _OUT_OF_THE_WAY.isdisjoint(last):
        return None
    names = [name for name, _ in headers]
    if names.count(b"content-length") > 1 or names.count(b"connection") > 1:
        return None
    if names.count(b"host") != 1:
        return None
    return _Head(plain[1], headers, int(length[0]), keeps_open)


_known_head = lru_cache(maxsize=1024)(_head)
