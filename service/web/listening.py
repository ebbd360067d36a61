"""One who listens to live updates: what waits to be sent to it, and how far it has come.

Knows the form of server-sent events, and that a listener may read slowly or not at all.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.requests import Request

from service.storage.review import SiteIds

MOST_UNREAD = 64
"""Messages kept for a listener that does not read; then it is told to look for itself."""


def event(kind: str, values: Mapping[str, object]) -> bytes:
    """A server-sent event. Its data is one line of ASCII whatever the values hold."""
    said = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return f"event: {kind}\ndata: {said}\n\n".encode()


LOOK_YOURSELF = event("look", {})
"""Tells a page to ask what became of the cards it shows."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far some sites have come: the number of all changes there, and which sites they are.

    Every process that has read as much gives it the same number. Of other sites the number would
    say something else, and nothing to those who do not know of them.
    """

    which: str
    number: int

    @classmethod
    def of(cls, sites: SiteIds, marks: Mapping[str, int]) -> "Mark":
        """The mark for those who see these sites, by the numbers of all sites' last changes."""
        held = "*" if sites is None else " ".join(sorted(sites))
        which = sha256(held.encode()).hexdigest()[:8]
        seen = (n for site_id, n in marks.items() if sites is None or site_id in sites)
        return cls(which, sum(seen))

    @classmethod
    def read(cls, event_id: str) -> "Mark | None":
        """The mark that an event's id names, None for what is none."""
        which, _, number = event_id.partition(".")
        is_number = number.isascii() and number.isdigit() and len(number) <= 18
        return cls(which, int(number)) if is_number else None

    def __bytes__(self) -> bytes:
        return f"id: {self.which}.{self.number}\n\n".encode()


@dataclass(eq=False, slots=True)
class Listener:
    """An open page that is told what is new on the sites its session may see."""

    request: Request = field(repr=False)
    token: str = field(repr=False)
    sites: frozenset[str] | None
    _unread: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(MOST_UNREAD), init=False, repr=False
    )
    _is_over: bool = field(default=False, init=False)

    def sees(self, site_id: str) -> bool:
        """Whether a site is one of theirs."""
        return self.sites is None or site_id in self.sites

    def tell(self, message: bytes) -> None:
        """Have a message sent. For one who has too many unread it is said in short."""
        if not message or self._is_over:
            return
        if self._unread.full():
            self._drop_unread()
            message = LOOK_YOURSELF
        self._unread.put_nowait(message)

    def end(self, last: bytes = b"") -> None:
        """Let the stream end, after a last message if there is one."""
        if self._is_over:
            return
        self._is_over = True
        self._drop_unread()
        if last:
            self._unread.put_nowait(last)
        self._unread.put_nowait(None)

    async def next(self, *, beat: bytes, every_seconds: float) -> bytes | None:
        """What is to be sent next, a beat where nothing was said for a while, None at the end."""
        try:
            return await asyncio.wait_for(self._unread.get(), every_seconds)
        except TimeoutError:
            return beat

    def _drop_unread(self) -> None:
        while not self._unread.empty():
            self._unread.get_nowait()
