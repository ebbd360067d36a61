"""An open-loop load: requests leave on time, whether earlier ones were answered or not.

Knows HTTP/1.1 as far as one service needs it, and asyncio. A closed loop would slow down with the
service and hide what waiting costs (coordinated omission); here each time is taken from when
a request was due.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

SETTLE_SECONDS = 30.0
"""How long the last answers may take after the last request was due."""

OPENING_SECONDS = 1.0
"""After connecting: the service has to accept the connections as well, thousands of them."""


@dataclass(slots=True)
class Load:
    """What came back. Seconds are from when a request was due until its answer was read."""

    seconds: dict[int, list[float]] = field(default_factory=dict)  # by status
    due: dict[int, list[float]] = field(default_factory=dict)  # of the same, on one clock
    ids: list[str] = field(default_factory=list)
    without_retry_after: int = 0
    broken: int = 0  # connections that ended with a request unanswered
    late: list[float] = field(default_factory=list)
    """Seconds from when a request was due until this client sent it."""

    def accepted_from(self, seconds: float) -> list[float]:
        """The times of the accepted that were due so long after the first request, or later."""
        began = min((due for all_ in self.due.values() for due in all_), default=0.0) + seconds
        times = zip(self.seconds.get(200, []), self.due.get(200, []), strict=True)
        return [took for took, due in times if due >= began]

    def count(self, *statuses: int) -> int:
        """How many answers had one of these statuses."""
        return sum(len(self.seconds.get(status, ())) for status in statuses)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: Load, idle: deque["_Connection"]) -> None:
        self._load = load
        self._idle = idle
        self._due: float | None = None
        self._received = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not one by name

    def send(self, request: bytes, due: float) -> None:
        assert self.transport is not None
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_ends = self._received.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head = bytes(self._received[:head_ends]).lower()
        at = head.index(b"content-length: ") + 16
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) < head_ends + 4 + length:
            return
        body = bytes(self._received[head_ends + 4 : head_ends + 4 + length])
        self._received.clear()
        self._answered(int(head[9:12]), head, body)

    def _answered(self, status: int, head: bytes, body: bytes) -> None:
        assert self._due is not None
        self._load.seconds.setdefault(status, []).append(time.perf_counter() - self._due)
        self._load.due.setdefault(status, []).append(self._due)
        self._due = None
        if status == 200:
            self._load.ids.append(json.loads(body)["id"])
        elif status in {429, 503} and b"\r\nretry-after: " not in head:
            self._load.without_retry_after += 1
        if b"\r\nconnection: close" not in head:
            self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._due is not None:
            self._load.broken += 1
            self._due = None

    @property
    def is_busy(self) -> bool:
        return self._due is not None


def requests_of(key: str, bodies: Sequence[bytes]) -> Iterator[bytes]:
    """Comments as requests, again and again, each with another external id every round."""
    round_ = 0
    while True:
        for body in bodies:
            sent = body.replace(b'"external_id": "', b'"external_id": "%d-' % round_, 1)
            head = (
                "POST /v1/comments HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(sent)}\r\n\r\n"
            )
            yield head.encode() + sent
        round_ += 1


class _Connections:
    """Up to `most` connections; those that the service closed are opened again on demand."""

    def __init__(self, port: int, most: int) -> None:
        self.load = Load()
        self._port = port
        self._most = most
        self._idle: deque[_Connection] = deque()
        self._all: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()

    async def open_all(self) -> None:
        await asyncio.gather(*(self._open() for _ in range(self._most)))

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, one = await loop.create_connection(
            lambda: _Connection(self.load, self._idle), "127.0.0.1", self._port
        )
        self._all.append(one)
        self._idle.append(one)

    def send(self, waiting: deque[float], requests: Iterator[bytes]) -> None:
        """Send what waits over what is idle, and open more connections for the rest."""
        while waiting and self._idle:
            one = self._idle.popleft()
            if one.transport is not None and not one.transport.is_closing():
                due = waiting.popleft()
                self.load.late.append(time.perf_counter() - due)
                one.send(next(requests), due)
        if not waiting:
            return
        self._all = [one for one in self._all if one.transport is not None]
        room = self._most - len(self._all) - len(self._opening)
        for _ in range(min(room, len(waiting))):
            task = asyncio.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def close(self) -> None:
        """Wait for the last answers, count what never came, hang up."""
        until = time.perf_counter() + SETTLE_SECONDS
        while any(one.is_busy for one in self._all) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        for one in self._all:
            if one.transport is not None:
                one.transport.close()  # what is still busy then counts as broken
        await asyncio.sleep(0.1)


async def driven(
    port: int, requests: Iterator[bytes], *, rate: float, seconds: float, connections: int = 256
) -> Load:
    """Send `rate` requests a second for so many seconds over up to `connections`; what came.

    They are opened before, so that requests are measured and not how connections are accepted.
    A request that finds no connection free waits, and its time goes on.
    """
    opened = _Connections(port, connections)
    await opened.open_all()
    await asyncio.sleep(OPENING_SECONDS)
    waiting: deque[float] = deque()
    started, due, now = time.perf_counter(), 0, 0.0
    while now < seconds or (waiting and now < seconds + SETTLE_SECONDS):
        now = time.perf_counter() - started
        while due < rate * min(now, seconds):
            waiting.append(started + due / rate)
            due += 1
        opened.send(waiting, requests)
        await asyncio.sleep(0.002)
    await opened.close()
    opened.load.broken += len(waiting)
    return opened.load


async def capacity_of(port: int, requests: Iterator[bytes], *, seconds: float) -> float:
    """Answers a second with 64 connections that each send again as soon as they are answered."""
    load, idle = Load(), deque[_Connection]()
    loop = asyncio.get_running_loop()
    everyone: list[_Connection] = []
    for _ in range(64):
        _, one = await loop.create_connection(lambda: _Connection(load, idle), "127.0.0.1", port)
        idle.append(one)
        everyone.append(one)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        while idle:
            idle.popleft().send(next(requests), time.perf_counter())
        await asyncio.sleep(0)
    took = time.perf_counter() - started
    done = load.count(200)
    await asyncio.sleep(1)
    for one in everyone:
        if one.transport is not None:
            one.transport.close()
    return done / took
