"""A POST that comes all at once, and nothing about it is out of the way.

Such a one needs no parser that remembers where it was, and costs the event loop a third less
(docs/serving-speed.md). What looks otherwise in any way is left to the server's parser. Knows
bytes; not what a request means.
"""

import re
from collections.abc import Callable, Mapping, Sequence
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

    def __call__(self, post: PlainPost, reply: Callable[[Reply], None]) -> bool:
        """Whether it answers this one: then `reply` is called once, on this loop, now or later.

        Of one that it does not, nothing has been done.
        """
        ...


# A request line and headers as every client writes them; names and values that parsers agree on.
# No part gives back what it took: whatever is sent, it is read once.
_HEAD = re.compile(
    rb"POST ([!-~]++) HTTP/1\.1\r\n((?:[\w-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n", re.ASCII
)
_LINE = re.compile(rb"([^:]++):([^\r]*+)\r\n")
_OUT_OF_THE_WAY = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"))
_KEEPS_OPEN = {b"keep-alive": True, b"close": False}


def plain_post(data: bytes) -> PlainPost | None:
    """The request, where `data` is one whole POST and nothing about it is out of the way."""
    head = _HEAD.match(data)
    if head is None:
        return None
    headers = [(name.lower(), value.strip(b" \t")) for name, value in _LINE.findall(head[2])]
    last = dict(headers)
    keeps_open = _KEEPS_OPEN.get(last.get(b"connection", b"keep-alive").lower())
    body = data[head.end() :]
    is_whole = last.get(b"content-length") == b"%d" % len(body)
    if not is_whole or keeps_open is None or not _OUT_OF_THE_WAY.isdisjoint(last):
        return None
    names = [name for name, _ in headers]
    if names.count(b"content-length") > 1 or names.count(b"connection") > 1:
        return None
    return PlainPost(head[1], headers, body, keeps_open)
