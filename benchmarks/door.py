"""The one door: fitted to the service, simulated, and held against the service again.

    python -m benchmarks.door --data DIR [--url postgresql://…]

A discrete-event simulation of what `service.moderation` does: one batch at a time, arrivals
collect meanwhile and the next batch takes them all, without a timer. A batch of n takes what a
comment alone took, drawn from those that were measured, and b more for each further one. Both
come from the service as it runs: `alone` from one connection, b from many that are never idle,
so that HTTP, judging and the commit with its flush to disk are all in them.

Then the same service is sent Poisson arrivals by `benchmarks.paced` at three loads, and the
latencies stand beside the simulated ones. All of it, the generator too, shares the machine; fit
and check alternate, and each figure is the median of the rounds.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from random import Random

import httpx

from benchmarks.closed_loop import http_client, paced, post
from benchmarks.installation import Installation, comments, encoded, installation
from service.admission import LARGEST_BATCH

LOADS = (0.25, 0.5, 0.75)
ROUNDS = 3
ALONE = 1_500
TOGETHER = 4_000
CONNECTIONS = 64  # as many as `benchmarks.paced` has
SECONDS = 6.0
PLANNED_LOAD = 1 / 3
"""Of the most a process answers: what to plan with, so that p99 stays near the median."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What batches take. `alone` are seconds of comments sent one by one, in order of time.

    `each` is what every further comment of a batch adds, in seconds; `most` the comments a
    second when nobody waits for anything but answers, in batches of `together` on average.
    """

    alone: tuple[float, ...]
    each: float
    most: float
    together: float

    @property
    def flushes(self) -> float:
        """Batches a second at the most; each is flushed to disk once."""
        return self.most / self.together

    def seconds(self, size: int, draw: Random) -> float:
        """Seconds of a batch, drawn."""
        return draw.choice(self.alone) + (size - 1) * self.each


def fitted(alone: Sequence[float], *, most: float, together: float) -> Fit:
    """The line through a comment alone and a batch of the mean size at full load.

    Raises ValueError when batches of one were the largest: there is no line through a point.
    """
    if together <= 1:
        raise ValueError("no two comments came together: nothing tells what a further one takes")
    each = (together / most - statistics.fmean(alone)) / (together - 1)
    return Fit(tuple(alone), max(0.0, each), most, together)


def door(arrivals: Sequence[float], seconds: Callable[[int], float]) -> list[float]:
    """The latency of each arrival in ascending order of time; `seconds` of a batch by its size."""
    latencies: list[float] = []
    now, first = 0.0, 0
    while first < len(arrivals):
        now = max(now, arrivals[first])
        last = first + 1
        while last < len(arrivals) and last - first < LARGEST_BATCH and arrivals[last] <= now:
            last += 1
        now += seconds(last - first)
        latencies += [now - at for at in arrivals[first:last]]
        first = last
    return latencies


def poisson(rate: float, seconds: float, draw: Random) -> list[float]:
    """Arrivals at random, `rate` a second on average."""
    arrivals = [draw.expovariate(rate)]
    while arrivals[-1] < seconds:
        arrivals.append(arrivals[-1] + draw.expovariate(rate))
    return arrivals


def simulated(fit: Fit, rate: float, *, seconds: float, seed: int) -> dict[str, float]:
    """Milliseconds by quantile, as `benchmarks.paced` tells them."""
    draw = Random(seed)
    latencies = door(poisson(rate, seconds, draw), lambda size: fit.seconds(size, draw))
    ordered = sorted(latencies)
    return {
        name: 1000 * ordered[int(part * len(ordered))]
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


# ------------------------------------------------------------------ the service


def batches(metrics: str) -> tuple[float, float]:
    """How many comments were judged in how many batches, by the service's own count."""
    found = [re.search(rf"^duyet_batch_size_{p} (\S+)", metrics, re.M) for p in ("sum", "count")]
    if not all(found):
        raise ValueError("the service tells no batch sizes")
    comments_judged, batches_judged = (float(match[1]) for match in found if match)
    return comments_judged, batches_judged


def measured(site: Installation, requests: Iterable[bytes]) -> Fit:
    """A fit from ALONE comments one by one, and TOGETHER over many connections."""
    waiting = iter(requests)
    connect = partial(http_client, site.port)
    one_by_one = [next(waiting) for _ in range(ALONE)]
    alone = paced(connect, one_by_one, connections=1)
    before = batches(httpx.get(f"{site.url}/metrics").text)
    at_once = [next(waiting) for _ in range(TOGETHER)]
    many = paced(connect, at_once, connections=CONNECTIONS)
    after = batches(httpx.get(f"{site.url}/metrics").text)
    together = (after[0] - before[0]) / (after[1] - before[1])
    return fitted([ms / 1000 for ms in alone.milliseconds], most=many.a_second, together=together)


def sent(site: Installation, bodies: Path, rate: float) -> dict[str, float]:
    """What the service did with arrivals at a rate."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.paced", str(site.port), str(bodies), site.key,
         str(rate), str(SECONDS)],
        check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    told: dict[str, float] = json.loads(done.stdout)
    return told


# ------------------------------------------------------------------ what it comes to


def off(simulation: float, measurement: float) -> str:
    """How far a simulation is off, in per cent of the measurement."""
    return f"{simulation / measurement - 1:+.0%}"


def needed(fit: Fit, rate: float) -> list[str]:
    """What a rate would take, by arithmetic alone: nothing of it was run."""
    processes = ceil(rate / (PLANNED_LOAD * fit.most))
    apart = rate / processes
    # At a third of the load a batch seldom holds more than a few, so a flush is nearly each one's.
    flushes = processes * min(apart, 1 / statistics.fmean(fit.alone))
    return [
        f"{rate:,.0f} a second, by arithmetic: {processes} processes at {apart:,.0f} each, a core "
        f"for each and the database's own beside them;",
        f"  at the most {flushes:,.0f} commits a second to one database, each with a flush "
        "(PostgreSQL flushes several at once, SQLite never does: one file has one writer);",
        f"  {rate * 86_400 / 1e6:,.0f} million rows a day in each of comments and verdicts",
    ]


def main() -> None:
    """Fit, simulate, send, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--url", default="", help="a PostgreSQL; else a new SQLite file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    known = [encoded(body) for body in comments(given.data, ALONE + TOGETHER)]
    environment = {"DUYET_DATABASE_URL": given.url} if given.url else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        installation(Path(folder), **environment) as site,
    ):
        file = Path(folder, "bodies")
        file.write_bytes(b"\n".join(known))
        site.start()
        run(site, known, file, given.rounds)


def run(site: Installation, known: Sequence[bytes], file: Path, rounds: int) -> None:
    """Print the table of a running service."""
    headers = {**site.headers, "Content-Type": "application/json"}
    requests = [post("/v1/comments", body, headers) for body in known]
    measured(site, requests)  # warm: the first thousands of comments find an empty database
    fits = []
    found: dict[float, list[tuple[dict[str, float], dict[str, float]]]] = {x: [] for x in LOADS}
    for seed in range(rounds):
        fit = measured(site, requests)
        fits.append(fit)
        for load in LOADS:
            rate = load * fit.most
            real = sent(site, file, rate)
            found[load].append((simulated(fit, rate, seconds=SECONDS, seed=seed), real))
    fit = sorted(fits, key=lambda f: f.most)[len(fits) // 2]
    print(
        f"alone {1000 * statistics.median(fit.alone):.2f} ms, each further comment "
        f"{1e6 * fit.each:.0f} µs, at the most {fit.most:,.0f} a second in batches of "
        f"{fit.together:.1f}: {fit.flushes:.0f} flushes a second"
    )
    for load, runs in found.items():
        told = [f"{load:.0%} of that load"]
        for name in ("p50", "p99"):
            simulation, measurement = (statistics.median(r[i][name] for r in runs) for i in (0, 1))
            told.append(
                f"{name} simulated {simulation:.1f} ms, measured {measurement:.1f} ms "
                f"({off(simulation, measurement)})"
            )
        print("; ".join([*told, f"failed {sum(int(real['failed']) for _, real in runs)}"]))
    print(*needed(fit, 10_000), sep="\n")


if __name__ == "__main__":
    main()
