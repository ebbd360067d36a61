"""Hours of comments: does the memory stay flat, and is everything that was answered there?

    python -m benchmarks.soak --minutes 60 [--data DIR] [--rate N] [--workers N]

Posts at a steady rate (half of what one client process gets through, unless given), prints the
resident memory of each of the service's processes sixty times, and a verdict: flat when the
median of the last quarter is at most a twentieth and 8 MB above that of the second. The first
quarter is left out: caches fill. Status 1 when it is not flat or a comment is missing.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import Row
from benchmarks.installation import Installation, installation
from benchmarks.load_client import Load, capacity_of, driven, requests_of
from benchmarks.overload import bodies, missing, percentile

SAMPLES = 60
GROWTH_SHARE = 0.05
GROWTH_MEGABYTES = 8.0


def resident(parent: int) -> dict[int, float]:
    """Megabytes of memory of a process and its children, by process id. Linux alone."""
    pids, found = [parent], {}
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:  # it has ended
            continue
        pids += map(int, children.split())
        kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        found[pid] = int(kilobytes[0]) / 1024 if kilobytes else 0.0
    return found


def growth(samples: Sequence[float]) -> float:
    """Megabytes by which the last quarter's median is above the second's. At least 4 samples."""
    quarter = len(samples) // 4
    return statistics.median(samples[-quarter:]) - statistics.median(samples[quarter : 2 * quarter])


def is_flat(samples: Sequence[float]) -> bool:
    """Whether the memory of a process did not grow, by the module's rule."""
    quarter = len(samples) // 4
    settled = statistics.median(samples[quarter : 2 * quarter])
    return growth(samples) <= GROWTH_SHARE * settled + GROWTH_MEGABYTES


async def watched(parent: int, seconds: float) -> list[tuple[float, Mapping[int, float]]]:
    """Minutes and memory, SAMPLES times; each is printed as it is taken."""
    curve: list[tuple[float, Mapping[int, float]]] = []
    started = time.perf_counter()
    for place in range(SAMPLES):
        await asyncio.sleep(max(0.0, place * seconds / SAMPLES - time.perf_counter() + started))
        now = (time.perf_counter() - started) / 60, resident(parent)
        curve.append(now)
        shown = "  ".join(f"{pid}: {megabytes:.1f}" for pid, megabytes in now[1].items())
        print(f"{now[0]:8.2f} min   MB {shown}", flush=True)
    return curve


async def soaked(
    site: Installation, sent: Sequence[bytes], *, minutes: float, rate: float
) -> tuple[list[tuple[float, Mapping[int, float]]], Load]:
    """The curve of the memory, and what was answered meanwhile."""
    assert site.process is not None
    requests = requests_of(site.key, sent)
    rate = rate or await capacity_of(site.port, requests, seconds=min(5, 6 * minutes)) / 2
    print(f"{rate:.0f} comments a second for {minutes:g} minutes")
    curve, load = await asyncio.gather(
        watched(site.process.pid, 60 * minutes),
        driven(site.port, requests, rate=rate, seconds=60 * minutes),
    )
    return curve, load


@dataclass(frozen=True)
class Soaked:
    """What came of it: memory of each process, answers, and what is not stored."""

    samples: Mapping[int, Sequence[float]]
    load: Load
    lost: int

    @property
    def is_flat(self) -> bool:
        return all(map(is_flat, self.samples.values()))


def soak(data: Path | None, *, minutes: float, rate: float = 0.0, workers: int = 1) -> Soaked:
    """A new installation under a steady load; prints its memory on the way."""
    sent = bodies(data)
    with (
        tempfile.TemporaryDirectory() as folder,
        installation(Path(folder), DUYET_WORKERS=str(workers)) as site,
    ):
        site.start()
        curve, load = asyncio.run(soaked(site, sent, minutes=minutes, rate=rate))
        lost = missing(site, load.ids)
    last = curve[-1][1]
    samples = {pid: [memory[pid] for _, memory in curve if pid in memory] for pid in last}
    return Soaked(samples, load, lost)


def rows(data: Path, *, minutes: float = 5) -> list[Row]:
    """Some minutes at half of what it can do: an hour is a command of its own."""
    found = soak(data, minutes=minutes)
    [samples] = found.samples.values()
    return [
        Row(
            f"memory under a steady load of {minutes:g} minutes",
            "flat",
            f"{growth(samples):+.1f} MB",
            found.is_flat,
            f"from {samples[0]:.0f} to {samples[-1]:.0f} MB, last quarter to second one; "
            f"{found.load.count(200)} accepted, {found.lost} of them not stored",
        )
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--data", type=Path, help="labelled files; without, made-up comments")
    parser.add_argument("--rate", type=float, default=0, help="comments a second")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    found = soak(asked.data, minutes=asked.minutes, rate=asked.rate, workers=asked.workers)
    load = found.load
    statuses = {status: len(times) for status, times in sorted(load.seconds.items())}
    print(f"\nanswers           {statuses}; broken {load.broken}")
    print(f"accepted ms       p99 {percentile(load.seconds.get(200, []), 0.99):.1f}")
    print(f"not stored        {found.lost} of {len(load.ids)} (goal: 0)")
    for pid, samples in found.samples.items():
        verdict = "flat" if is_flat(samples) else "GROWS"
        print(f"process {pid}     {growth(samples):+.1f} MB, {verdict}")
    sys.exit(0 if found.is_flat and not found.lost else 1)


if __name__ == "__main__":
    main()
