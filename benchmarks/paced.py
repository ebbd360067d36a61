"""Post comments at a given rate, whether answers come or not, and time each from when it was due.

A server that stalls is charged for all that should have been sent meanwhile, which a generator
that waits for its answers leaves out. Arrivals are a Poisson process, seeded. Run it as a process
of its own, so that it does not wait for its caller:

    python -m benchmarks.paced PORT FILE KEY RATE SECONDS

Prints one line of JSON: how many were answered and not, and milliseconds.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from random import Random
from typing import cast

import uvloop

CONNECTIONS = 64
WARM_UP_SECONDS = 1.0
ANSWERED_WITHIN_SECONDS = 10.0


class Connection(asyncio.Protocol):
    """One request at a time; tells `pool` when it is free again."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._due = 0.0
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not one by name

    def post(self, request: bytes, due: float) -> None:
        """Send one request that should have been sent at `due`."""
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if len(body) >= int(length):
            self._received = b""
            self._pool.answered(self, int(head.split(b" ", 2)[1]), self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.is_gone(self)


class Pool:
    """Connections that are free, and requests that wait for one."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        # Used in turn: one that lies idle for seconds is closed by the server.
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._sent = 0
        self.failed = 0
        self.statuses: Counter[int] = Counter()
        self.milliseconds: list[float] = []
        self.counts_from = 0.0

    def is_free(self, connection: Connection) -> None:
        """Use a connection for the next request that waits, or keep it."""
        if self._waiting:
            self._post(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def is_gone(self, connection: Connection) -> None:
        """Use a connection no more; a request that it carried counts as failed."""
        if connection in self._free:
            self._free.remove(connection)

    def due(self, at: float) -> None:
        """Send a request now, or as soon as a connection is free."""
        if self._free:
            self._post(self._free.popleft(), at)
        else:
            self._waiting.append(at)

    def answered(self, connection: Connection, status: int, due: float) -> None:
        """Note an answer."""
        if due >= self.counts_from:
            self.milliseconds.append(1000 * (time.perf_counter() - due))
            self.statuses[status] += 1
        self.is_free(connection)

    def _post(self, connection: Connection, due: float) -> None:
        connection.post(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1


async def paced(port: int, requests: list[bytes], rate: float, seconds: float) -> Pool:
    """Requests at `rate` a second for so long, after a second that does not count."""
    pool = Pool(requests)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        _, made = await loop.create_connection(lambda: Connection(pool), "127.0.0.1", port)
        pool.is_free(made)
    draw, started = Random(7), time.perf_counter()
    pool.counts_from = started + WARM_UP_SECONDS
    due, end, expected = started, pool.counts_from + seconds, 0
    while due < end:
        due += draw.expovariate(rate)
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        pool.due(due)
        expected += due >= pool.counts_from
    until = time.perf_counter() + ANSWERED_WITHIN_SECONDS
    while len(pool.milliseconds) < expected and time.perf_counter() < until:
        await asyncio.sleep(0.05)
    pool.failed = expected - len(pool.milliseconds)
    return pool


def request(body: bytes, key: str) -> bytes:
    """A comment as it is posted."""
    head = (
        "POST /v1/comments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Post, and print what came of it."""
    port, file, key, rate, seconds = sys.argv[1:6]
    requests = [request(line, key) for line in Path(file).read_bytes().splitlines()]
    pool = uvloop.run(paced(int(port), requests, float(rate), float(seconds)))
    times = sorted(pool.milliseconds)
    told = {"answered": len(times), "failed": pool.failed, "statuses": dict(pool.statuses)}
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        told[name] = times[int(part * len(times))] if times else float("inf")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
