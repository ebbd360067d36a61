"""Post real comments over HTTP, then again with kill -9 in the middle: is everything there?

    python -m benchmarks.post_comments --data DIR

Prints how the comments were answered and how fast (one client with 16 connections on the same
machine), and for the second run how many answered comments were missing after the restart.
"""

import argparse
import asyncio
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.installation import Installation, comments, encoded, installation

CONNECTIONS = 16


@dataclass
class Answers:
    """What came back: ids of verdicts, statuses, milliseconds, and whether the line broke."""

    ids: list[str] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    unanswered: int = 0


async def post(
    site: Installation, bodies: Sequence[dict[str, Any]], *, kill_after: int | None = None
) -> Answers:
    """Post every comment. With `kill_after`, kill the service when so many were answered."""
    answers = Answers()
    waiting = iter(bodies)

    async def client(http: httpx.AsyncClient) -> None:
        for body in waiting:
            started = time.perf_counter()
            try:
                answer = await http.post("/v1/comments", content=encoded(body))
            except httpx.HTTPError:
                answers.unanswered += 1
                continue
            answers.milliseconds.append(1000 * (time.perf_counter() - started))
            answers.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                answers.ids.append(answer.json()["id"])
                answers.verdicts[answer.json()["verdict"]] += 1
            if kill_after is not None and len(answers.ids) == kill_after and site.process:
                site.process.send_signal(signal.SIGKILL)

    headers = {**site.headers, "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=30) as http:
        await asyncio.gather(*(client(http) for _ in range(CONNECTIONS)))
    return answers


async def missing(site: Installation, ids: Sequence[str]) -> int:
    """How many of the comments that were answered the service does not know."""
    async with httpx.AsyncClient(base_url=site.url, headers=site.headers, timeout=30) as http:
        found = [await http.get(f"/v1/comments/{comment_id}") for comment_id in ids]
    return sum(answer.status_code != 200 for answer in found)


def told(name: str, answers: Answers, seconds: float) -> None:
    """Print one run."""
    times = sorted(answers.milliseconds)
    print(f"\n{name}")
    print(f"  answered        {len(times)} in {seconds:.1f} s, {len(times) / seconds:.0f} a second")
    print(f"  status          {dict(answers.statuses)}; unanswered {answers.unanswered}")
    print(f"  verdicts        {dict(answers.verdicts)}")
    print(
        f"  milliseconds    median {statistics.median(times):.1f}, "
        f"p99 {times[int(0.99 * len(times))]:.1f}, most {times[-1]:.1f}"
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--comments", type=int, default=1000)
    arguments = parser.parse_args()
    bodies = comments(arguments.data, arguments.comments)
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)) as site:
        print(
            f"ready after {site.start():.1f} s; {len(bodies)} comments, {CONNECTIONS} connections"
        )
        started = time.perf_counter()
        first = asyncio.run(post(site, bodies))
        told("all at once", first, time.perf_counter() - started)
        print(f"  not stored      {asyncio.run(missing(site, first.ids))}")
        started = time.perf_counter()
        second = asyncio.run(post(site, bodies, kill_after=len(bodies) // 2))
        told("killed in the middle (kill -9)", second, time.perf_counter() - started)
        site.stop()
        print(f"  back after      {site.start():.1f} s")
        print(f"  not stored      {asyncio.run(missing(site, second.ids))} of {len(second.ids)}")


if __name__ == "__main__":
    main()
