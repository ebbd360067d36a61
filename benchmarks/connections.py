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
import tempfile
from pathlib import Path

from benchmarks.goals import Row, at_most, table
from benchmarks.installation import Installation, installation
from benchmarks.load_client import Load, driven, requests_of
from benchmarks.overload import bodies, percentile, told
from benchmarks.soak import resident

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 10.0


async def crowd(port: int, idle: int, slow: int) -> list[asyncio.StreamWriter]:
    """Open all, 100 at a time; the idle ones are answered once."""
    writers: list[asyncio.StreamWriter] = []

    async def open_one(sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        if sent == ALIVE:
            await reader.read(1)

    sends = [ALIVE] * idle + [b"POST /v1/comments HTTP/1.1\r\nX: "] * slow
    for place in range(0, len(sends), 100):
        opened = (open_one(sent) for sent in sends[place : place + 100])
        await asyncio.gather(*opened, return_exceptions=True)
    return writers


async def dripped(writers: list[asyncio.StreamWriter], huge: int) -> None:
    """A byte a second from each, and header without end from the first `huge`."""
    while True:
        for place, writer in enumerate(writers):
            if not writer.is_closing():
                writer.write(b"a" * (65_536 if place < huge else 1))
        await asyncio.sleep(1)


async def measured(site: Installation, *, idle: int, slow: int, rate: float) -> tuple[Load, Load]:
    """Run and print everything; the loads alone and beside the others."""
    assert site.process is not None
    requests = requests_of(site.key, bodies(None))
    before = sum(resident(site.process.pid).values())
    alone = await driven(site.port, requests, rate=rate, seconds=SECONDS, connections=16)
    told("alone", alone, SECONDS)
    warm = sum(resident(site.process.pid).values())
    writers = await crowd(site.port, idle, slow)
    opened = sum(resident(site.process.pid).values())
    dripping = asyncio.create_task(dripped(writers[idle:], huge=20))
    beside = await driven(site.port, requests, rate=rate, seconds=SECONDS, connections=16)
    told(f"beside {idle} idle and {slow} slow connections", beside, SECONDS)
    after = sum(resident(site.process.pid).values())
    dripping.cancel()
    sockets = sum(
        "socket:" in str(path.readlink()) for path in Path(f"/proc/{site.process.pid}/fd").iterdir()
    )
    print(f"\nMB of memory      {before:.1f} at first, {warm:.1f} warm, {opened:.1f} with all,")
    print(f"                  {after:.1f} after; sockets open in the service {sockets}")
    if idle:
        print(f"KB a connection   {1024 * (opened - warm) / min(idle + slow, sockets):.1f}")
    for writer in writers:
        writer.close()
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
        alone, beside = asyncio.run(measured(site, idle=idle, slow=slow, rate=rate))
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
    asked = parser.parse_args()
    row = crowded(idle=asked.idle, slow=asked.slow, most=asked.most, rate=asked.rate)
    print(table([row]))


if __name__ == "__main__":
    main()
