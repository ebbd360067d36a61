"""Five times as many comments as the service can judge: what becomes of them, and how fast?

    python -m benchmarks.overload [--data DIR] [--seconds 10] [--times 5]

Measures in one run what one client process gets through (64 connections, each sending again as
soon as it is answered), the p99 at a tenth of that, and the p99 of what is accepted at five
times that, open loop. Then looks in the store for every comment that was acknowledged; ends with
status 1 when one is missing. SQLite alone: the store is read from its file.
"""

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.goals import Row, at_most
from benchmarks.installation import Installation, comments, encoded, installation
from benchmarks.load_client import Load, capacity_of, driven, requests_of

CONNECTIONS = 2000

BURST_SECONDS = 1.0
"""The flood's beginning: a burst may wait for `DUYET_MAX_WAIT_SECONDS`, what lasts may not."""


def percentile(seconds: Sequence[float], share: float) -> float:
    """The time within which this share of the answers came, in milliseconds; 0 for none."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def bodies(data: Path | None, count: int = 2000) -> list[bytes]:
    """Comments to post: real ones of labelled files, or some that were made up."""
    if data is not None:
        return [encoded(body) for body in comments(data, count)]
    texts = ("Cảm ơn tác giả, bài viết rất hay và dễ hiểu.", "Thanks, this helped me a lot today.")
    made = (
        {
            "content": f"{texts[n % 2]} {n}",
            "author": {"name": f"Reader {n}", "email": f"reader.{n}@mail-{n % 97}.com"},
            "permalink": f"https://news.example.com/{n % 50}",
            "external_id": str(n),
        }
        for n in range(count)
    )
    return [encoded(body) for body in made]


def missing(site: Installation, ids: Sequence[str]) -> int:
    """How many of these comments are not in the store."""
    with sqlite3.connect(site.data_dir / "duyet.db") as database:
        stored = {row[0] for row in database.execute("SELECT id FROM comments")}
    return len(set(ids) - stored)


def told(name: str, load: Load, seconds: float) -> None:
    """Print one run."""
    accepted = load.seconds.get(200, [])
    refused = [s for status in (429, 503) for s in load.seconds.get(status, [])]
    print(
        f"  client late ms  median {percentile(load.late, 0.5):.1f}, "
        f"p99 {percentile(load.late, 0.99):.1f}"
    )
    counts = {status: len(times) for status, times in sorted(load.seconds.items())}
    print(f"\n{name}")
    print(f"  answers         {counts}; broken {load.broken}")
    print(f"  accepted        {len(accepted) / seconds:.0f} a second")
    print(
        f"  accepted ms     median {percentile(accepted, 0.5):.1f}, "
        f"p99 {percentile(accepted, 0.99):.1f}, most {percentile(accepted, 1):.1f}"
    )
    if refused:
        print(
            f"  refused ms      median {percentile(refused, 0.5):.1f}, "
            f"p99 {percentile(refused, 0.99):.1f}; "
            f"without Retry-After {load.without_retry_after}"
        )


@dataclass(frozen=True)
class Flooded:
    """What came of a run: how many it could judge, in calm, and of more than that."""

    capacity: float
    calm: Load
    flood: Load
    seconds: float
    lost: int
    """Acknowledged comments that are not stored."""

    @property
    def calm_p99(self) -> float:
        return percentile(self.calm.seconds.get(200, []), 0.99)

    @property
    def whole_p99(self) -> float:
        return percentile(self.flood.seconds.get(200, []), 0.99)

    @property
    def later_p99(self) -> float:
        return percentile(self.flood.accepted_from(BURST_SECONDS), 0.99)

    def times_calm(self, p99: float) -> float:
        return p99 / self.calm_p99 if self.calm_p99 else 0.0


def flooded(data: Path | None, *, seconds: float = 10, times: float = 5) -> Flooded:
    """A new installation, measured; what it prints on the way is each load's answers."""
    sent = bodies(data)
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)) as site:
        site.start()
        capacity, calm, flood = uvloop.run(_loads(site, sent, seconds=seconds, times=times))
        lost = missing(site, [*calm.ids, *flood.ids])
    return Flooded(capacity, calm, flood, seconds, lost)


async def _loads(
    site: Installation, sent: Sequence[bytes], *, seconds: float, times: float
) -> tuple[float, Load, Load]:
    requests = requests_of(site.key, sent)
    capacity = await capacity_of(site.port, requests, seconds=seconds / 2)
    print(f"capacity          {capacity:.0f} comments a second, 64 connections, closed loop")
    calm = await driven(site.port, requests, rate=capacity / 10, seconds=seconds)
    told(f"a tenth of it, {capacity / 10:.0f} a second", calm, seconds)
    flood = await driven(
        site.port, requests, rate=times * capacity, seconds=seconds, connections=CONNECTIONS
    )
    told(f"{times:g} times of it, {times * capacity:.0f} a second", flood, seconds)
    return capacity, calm, flood


def rows(data: Path) -> list[Row]:
    """Five times as many as it can judge, for ten seconds."""
    found = flooded(data)
    refused = found.flood.seconds.get(503, [])
    note = (
        f"of {found.capacity:.0f} a second that it can judge "
        f"{found.flood.count(200) / found.seconds:.0f} were accepted, "
        f"median {percentile(found.flood.seconds.get(200, []), 0.5):.0f} ms; "
        f"refused after {percentile(refused, 0.5):.0f} ms in the median, p99 "
        f"{percentile(refused, 0.99):.0f}; calm p99 {found.calm_p99:.0f}"
    )
    name = "five times as many comments as it can judge"
    return [
        at_most(
            f"{name}: p99 of the accepted{when}, of the calm one",
            found.times_calm(p99),
            2,
            note=note,
        )
        for when, p99 in (("", found.whole_p99), (" after the first second", found.later_p99))
    ] + [at_most(f"{name}: acknowledged, not stored", found.lost, 0, digits=0)]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="labelled files; without, made-up comments")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=float, default=5, help="of what it can do")
    arguments = parser.parse_args()
    found = flooded(arguments.data, seconds=arguments.seconds, times=arguments.times)
    print()
    for name, p99 in (("", found.whole_p99), (" after the first second", found.later_p99)):
        times = found.times_calm(p99)
        print(f"p99 of the accepted{name}  {p99:.1f} ms, {times:.1f} x the calm one (goal: 2)")
    acknowledged = found.calm.count(200) + found.flood.count(200)
    print(f"acknowledged, not stored  {found.lost} of {acknowledged} (goal: 0)")
    sys.exit(1 if found.lost else 0)


if __name__ == "__main__":
    main()
