"""Live updates: what others decide, take back and look at, told to every open page.

One poller for a process reads what is new from the database, so that processes and machines
agree, and tells it to all who listen here. It runs while somebody does. Knows sessions, sites and
server-sent events; nothing that is told holds a word of a comment.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.connections import AT_THE_END
from service.storage import Role, StoreError
from service.storage.claims import Claim
from service.storage.news import MOST_ARRIVALS, Change, News, NewsDesk
from service.web.card import plain_name
from service.web.decisions import as_told
from service.web.desk import Desk, Viewer
from service.web.listening import LOOK_YOURSELF, Listener, Mark, event
from service.web.rendering import PageRoute, Refusal
from service.web.sessions import Session

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
CHECKED_IN_POLLS = 10
"""Every session that listens is looked at once in so many polls."""

MOST_LISTENERS = 1000
MOST_OF_SESSION = 6
"""Streams of one session; with one more, the oldest ends."""

KEPT_TICKS = 512
"""Polls with news that are kept for those who come back."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Accel-Buffering": "no",  # a proxy that gathers would deliver the news in an hour
}
_BEAT = b": beat\n\n"


def routes() -> APIRouter:
    """The stream of what is new."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/queue/events", events, methods=["GET"], response_model=None)
    return router


def listeners_beside(connections: int) -> int:
    """How many may listen in a process that holds so many connections open.

    No listener is ever closed for a newcomer, so they get a quarter at the most: the others are
    for comments.
    """
    return max(1, min(MOST_LISTENERS, connections // 4))


async def events(request: Request, caller: Viewer, after: str = "") -> Response:
    """What is new on the caller's sites, until the page or the session ends."""
    live: Live = request.app.state.live
    if live.is_full:
        raise Refusal(503, "live_full", headers={"Retry-After": "60"})
    listener = Listener(request, caller.session.token, _sites(caller.session))
    # The browser's own word for where it was; a page that opens the stream anew says it itself.
    last = request.headers.get("last-event-id", after)
    stream = live.stream(listener, last[:100])
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)


@dataclass(frozen=True, slots=True)
class _Tick:
    """Changes, and how far all sites had come before and with them."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    changes: tuple[Change, ...]
    many: frozenset[str]


class Live:
    """Tells those who listen. One for an app; all but the reading is done in its event loop."""

    def __init__(
        self, desk: Desk, *, poll_seconds: float = POLL_SECONDS, most: int = MOST_LISTENERS
    ) -> None:
        self._desk = desk
        self._most = most
        self._news = NewsDesk(desk.store)
        self._poll_seconds = poll_seconds
        self._listeners: dict[Listener, None] = {}  # in the order in which they came
        self._starting = asyncio.Lock()
        self._poller: asyncio.Task[None] | None = None
        self._forget()

    def _forget(self) -> None:
        self._marks: Mapping[str, int] = {}
        self._ticks: deque[_Tick] = deque(maxlen=KEPT_TICKS)
        self._claims: tuple[Claim, ...] = ()
        self._arrived: dict[str, None] | None = None
        self._read_at: datetime | None = None
        self._polls = 0

    @property
    def is_full(self) -> bool:
        """Whether nobody else can listen here."""
        return len(self._listeners) >= self._most

    async def stream(self, listener: Listener, last: str) -> AsyncIterator[bytes]:
        """What a listener is sent. `last` is the id of the last event it saw, "" for none."""
        self._make_room(listener)
        self._listeners[listener] = None
        setattr(listener.request.state, AT_THE_END, listener.end)
        try:
            # Not all at once, when a service that was started anew is found by all its pages.
            yield f"retry: {random.randrange(500, 3000)}\n\n".encode()
            await self._start()
            listener.tell(self._missed(listener, last))
            while (
                message := await listener.next(beat=_BEAT, every_seconds=HEARTBEAT_SECONDS)
            ) is not None:
                yield message
        except StoreError as problem:
            log.warning("no live updates", extra={"problem": type(problem).__name__})
        finally:
            self._listeners.pop(listener, None)

    def _make_room(self, newcomer: Listener) -> None:
        own = [one for one in self._listeners if one.token == newcomer.token]
        for oldest in own[: max(0, len(own) + 1 - MOST_OF_SESSION)]:
            self._listeners.pop(oldest)
            oldest.end(event("over", {}))

    async def _start(self) -> None:
        async with self._starting:
            if self._poller is None or self._poller.done():
                self._forget()
                now = self._desk.now()
                news = await asyncio.to_thread(self._news.now, now)
                self._read_at = now  # what comes before the first poll is news as well
                self._marks, self._claims = news.marks, news.claims
                self._newly_arrived(news)
                self._poller = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        """Read and tell, again and again, while somebody listens."""
        while self._listeners:
            await asyncio.sleep(self._poll_seconds)
            asked = self._to_be_checked()
            try:
                news, over = await asyncio.to_thread(self._read, asked)
            except (StoreError, OSError) as problem:  # whoever asks later learns what was missed
                log.warning("no news", extra={"problem": type(problem).__name__})
                continue
            for listener in over:
                self._listeners.pop(listener, None)
                listener.end()
            self._tell(news)

    def _to_be_checked(self) -> list[Listener]:
        self._polls += 1
        return list(self._listeners)[self._polls % CHECKED_IN_POLLS :: CHECKED_IN_POLLS]

    def _read(self, asked: Sequence[Listener]) -> tuple[News, list[Listener]]:
        """What is new, and of those asked the ones who may not listen any more, or to others."""
        now = self._desk.now()
        # A clock that was put back must not hide what comes until it is where it was.
        since = now if self._read_at is None else min(self._read_at, now)
        news = self._news.since(self._marks, since)
        self._read_at = now
        return news, [one for one in asked if not self._may_listen(one)]

    def _may_listen(self, listener: Listener) -> bool:
        session = self._desk.sessions.of(listener.request)
        return session is not None and _sites(session) == listener.sites

    def _tell(self, news: News) -> None:
        """Make each message once for all who see the same sites."""
        tick = _Tick(self._marks, news.marks, news.changes, news.many)
        if news.marks != self._marks:
            self._ticks.append(tick)
        self._marks = news.marks
        arrived = self._newly_arrived(news)
        changed = {one.site_id for one in {*news.claims} ^ {*self._claims}}
        self._claims = news.claims
        ready: dict[frozenset[str] | None, bytes] = {}
        for listener in list(self._listeners):
            sites = listener.sites
            if sites not in ready:
                told = self._changes(tick, listener)
                if any(listener.sees(site_id) for site_id in changed):
                    told += self._who_looks(listener)
                if number := sum(arrived.get(one, 0) for one in arrived if listener.sees(one)):
                    told += event("new", {"n": number})
                ready[sites] = told
            listener.tell(ready[sites])

    def _newly_arrived(self, news: News) -> dict[str, int]:
        """How many comments each site has waiting that were not there at the poll before."""
        known = self._arrived
        back = {change.comment_id for change in news.changes if change.decision is None}
        new = [
            (one, site)
            for one, site in news.arrived
            if known is not None and one not in known and one not in back
        ]
        self._arrived = (known or {}) | dict.fromkeys(one for one, _ in news.arrived)
        for old in list(self._arrived)[: max(0, len(self._arrived) - 4 * MOST_ARRIVALS)]:
            del self._arrived[old]
        counts: dict[str, int] = {}
        for _, site_id in new:
            counts[site_id] = counts.get(site_id, 0) + 1
        return counts

    def _changes(self, tick: _Tick, listener: Listener) -> bytes:
        """The part of a tick that a listener may see, and the mark it then is at."""
        if any(listener.sees(site_id) for site_id in tick.many):
            told = LOOK_YOURSELF
        else:
            told = b"".join(_told(one) for one in tick.changes if listener.sees(one.site_id))
        mark = Mark.of(listener.sites, tick.after)
        return told + (bytes(mark) if mark != Mark.of(listener.sites, tick.before) else b"")

    def _who_looks(self, listener: Listener) -> bytes:
        looking: dict[str, list[str]] = {}
        for claim in self._claims:
            if listener.sees(claim.site_id):
                looking.setdefault(claim.comment_id, []).append(plain_name(claim.moderator))
        return event("claims", {"on": looking})

    def _missed(self, listener: Listener, last: str) -> bytes:
        """What happened since the event that a page saw last; if unsure, it looks for itself."""
        now_at, seen = Mark.of(listener.sites, self._marks), Mark.read(last)
        if seen == now_at:
            return bytes(now_at) + self._who_looks(listener)
        since = [
            tick
            for tick in self._ticks
            if seen is not None and Mark.of(listener.sites, tick.after).number > seen.number
        ]
        if (
            seen is None
            or seen.which != now_at.which
            or not since
            or Mark.of(listener.sites, since[0].before).number > seen.number
        ):
            return LOOK_YOURSELF + bytes(now_at) + self._who_looks(listener)
        told = b"".join(self._changes(tick, listener) for tick in since)
        return told + self._who_looks(listener)


def _sites(session: Session) -> frozenset[str] | None:
    """The sites that somebody may be told of; None is every site."""
    return session.moderator.sites_as(Role.VIEWER)


def _told(change: Change) -> bytes:
    if change.decision is not None:
        return event("decided", as_told(change.comment_id, change.decision))
    return event("undone", {"id": change.comment_id, "by": plain_name(change.moderator)})
