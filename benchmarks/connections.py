"""Ten thousand connections that do nothing, and some that do it slowly: what do comments notice?

    python -m benchmarks.connections [--idle 10000] [--slow 500] [--most 4096]

Posts comments at a steady rate, alone and then beside idle keep-alive connections, connections
that send a byte a second of a head, and some that send a header without end. Prints the times of
both, the memory of the service, and how many of the idle connections are still open.
"""

import argparse
import asyncio
import math
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.goals import Row, at_most, table
from benchmarks.installation import Installation, installation
from benchmarks.load_client import Load, driven, requests_of
from benchmarks.overload import bodies, percentile, told
from benchmarks.soak import resident

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 10.0
HUGE = 20
"""Of the slow ones, how many send a header without end."""


@dataclass
class Crowd:
    """A process of its own with all those connections, so that what it does delays no comment."""

    process: subprocess.Popen[str]

    @classmethod
    def opened(cls, port: int, *, idle: int, slow: int) -> "Crowd":
        """All of them, once they are open."""
        arguments = ["--crowd", str(port), "--idle", str(idle), "--slow", str(slow)]
        command = [sys.executable, "-m", "benchmarks.connections", *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return cls(process)

    def closed(self) -> None:
        """Hang up, all at once."""
        self.process.communicate()


async def _crowd(port: int, idle: int, slow: int) -> None:
    """Open all, 100 at a time; the idle ones are answered once. Ends with the standard input."""
    idle_ones: list[asyncio.StreamWriter] = []
    slow_ones: list[asyncio.StreamWriter] = []

    async def open_one(sent: bytes, to: list[asyncio.StreamWriter]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        to.append(writer)
        writer.write(sent)
        if sent == ALIVE:
            await reader.read(1)

    sends = [(ALIVE, idle_ones)] * idle + [(b"POST /v1/comments HTTP/1.1\r\nX: ", slow_ones)] * slow
    for place in range(0, len(sends), 100):
        opened = (open_one(*sent) for sent in sends[place : place + 100])
        await asyncio.gather(*opened, return_exceptions=True)
    print("open", flush=True)
    dripping = asyncio.create_task(_dripped(slow_ones))
    await asyncio.to_thread(sys.stdin.read)
    dripping.cancel()


async def _dripped(writers: list[asyncio.StreamWriter]) -> None:
    """A byte a second from each, at different moments; a header without end from the first."""
    loop, place = asyncio.get_running_loop(), 0
    began = loop.time()
    while writers:
        place += 1
        await asyncio.sleep(began + place / len(writers) - loop.time())
        writer = writers[place % len(writers)]
        if not writer.is_closing():
            writer.write(b"a" * (65_536 if place % len(writers) < HUGE else 1))


def _sockets(process: int) -> int:
    """Sockets that a process has open."""
    found = 0
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += str(path.readlink()).startswith("socket:")
    return found


async def measured(site: Installation, *, idle: int, slow: int, rate: float) -> tuple[Load, Load]:
    """Run and print everything; the loads alone and beside the others."""
    assert site.process is not None
    requests = requests_of(site.key, bodies(None))
    before = sum(resident(site.process.pid).values())
    used = [site.processor_seconds()]
    alone = await driven(site.port, requests, rate=rate, seconds=SECONDS, connections=16)
    told("alone", alone, SECONDS)
    used.append(site.processor_seconds())
    warm = sum(resident(site.process.pid).values())
    crowd = Crowd.opened(site.port, idle=idle, slow=slow)
    opened = sum(resident(site.process.pid).values())
    used.append(site.processor_seconds())
    beside = await driven(site.port, requests, rate=rate, seconds=SECONDS, connections=16)
    used.append(site.processor_seconds())
    told(f"beside {idle} idle and {slow} slow connections", beside, SECONDS)
    after = sum(resident(site.process.pid).values())
    sockets = _sockets(site.process.pid)
    each = [1000 * (used[n + 1] - used[n]) / (rate * SECONDS) for n in (0, 2)]
    print(f"\nprocessor time    {each[0]:.2f} ms a comment alone, {each[1]:.2f} beside the others")
    print(f"MB of memory      {before:.1f} at first, {warm:.1f} warm, {opened:.1f} with all,")
    print(f"                  {after:.1f} after; sockets open in the service {sockets}")
    if idle:
        print(f"KB a connection   {1024 * (opened - warm) / min(idle + slow, sockets):.1f}")
    crowd.closed()
    return alone, beside


def crowded(*, idle: int = 10_000, slow: int = 500, most: int = 4096, rate: float = 50) -> Row:
    """A new installation with that crowd: the row of how much comments notice."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        tempfile.TemporaryDirectory() as folder,
        installation(Path(folder), DUYET_MAX_CONNECTIONS=str(most)) as site,
    ):
        site.start()
        alone, beside = uvloop.run(measured(site, idle=idle, slow=slow, rate=rate))
    before, after = (percentile(load.seconds.get(200, []), 0.99) for load in (alone, beside))
    failed = beside.broken + sum(map(len, beside.seconds.values())) - beside.count(200)
    return at_most(
        f"comments beside {idle:,} idle and {slow} slow connections: p99, of the one without",
        after / before if before and not failed else math.inf,
        2,
        note=f"{after:.0f} ms, {before:.0f} without; {failed} failed of {beside.count(200)}",
    )


def rows(data: Path) -> list[Row]:
    """The row with the crowd of the defaults; the comments are made up."""
    del data
    return [crowded()]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--most", type=int, default=4096, help="DUYET_MAX_CONNECTIONS")
    parser.add_argument("--rate", type=float, default=50, help="comments a second")
    parser.add_argument("--crowd", type=int, metavar="PORT", help="be the crowd, and nothing else")
    asked = parser.parse_args()
    if asked.crowd is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        asyncio.run(_crowd(asked.crowd, asked.idle, asked.slow))
        return
    row = crowded(idle=asked.idle, slow=asked.slow, most=asked.most, rate=asked.rate)
    print(table([row]))


if __name__ == "__main__":
    main()
