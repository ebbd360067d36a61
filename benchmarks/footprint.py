"""How much memory the service takes, and how soon after its start it gives a verdict.

    python -m benchmarks.footprint --data DIR

Memory is what Linux counts as a process' own share (PSS: pages that n processes share count as
one n-th), after 2,000 real comments. Several workers are kept by a process of their own. A
further worker takes what a worker takes on average; all the rest, that process with it, is put
on the first.

The start is from the call of `duyet serve`, on a data directory that is there, to the first
verdict over HTTP; median of five. Modules are compiled beforehand, as they are once installed.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.closed_loop import http_client, paced, post
from benchmarks.goals import Row, at_most, table
from benchmarks.installation import DUYET, Installation, comments, encoded, installation

COMMENTS = 2_000
CONNECTIONS = 16
WORKERS = 3
STARTS = 5
SECONDS_AT_MOST = 60.0


def rows(data: Path, *, count: int = COMMENTS) -> list[Row]:
    """Memory after `count` comments, and the time to the first verdict. Linux only."""
    bodies = [encoded(body) for body in comments(data, count)]
    with tempfile.TemporaryDirectory() as folder:
        alone, _ = _memory(Path(folder, "1"), bodies, workers=1)
        several, each = _memory(Path(folder, str(WORKERS)), bodies, workers=WORKERS)
        starts = sorted(_starts(Path(folder, "start"), bodies))
    first = several - (WORKERS - 1) * each
    note = f"PSS; {alone:.0f} MB alone, {first:.0f} MB as the first of {WORKERS}"
    return [
        at_most("memory, first worker", max(alone, first), 250, " MB", digits=0, note=note),
        at_most("memory, each further worker", each, 120, " MB", digits=0),
        at_most(
            "start to first verdict",
            statistics.median(seconds for seconds, _ in starts),
            1.5,
            " s",
            note=f"{starts[0][0]:.2f} to {starts[-1][0]:.2f} s; processor time "
            f"{statistics.median(used for _, used in starts):.2f} s",
        ),
    ]


# ------------------------------------------------------------------ memory


def _memory(folder: Path, bodies: Sequence[bytes], *, workers: int) -> tuple[float, float]:
    """Megabytes of all processes of a service that was sent the comments, and of a worker."""
    folder.mkdir()
    with installation(folder, DUYET_WORKERS=str(workers)) as site:
        site.start()
        requests = [post("/v1/comments", body, _headers(site)) for body in bodies]
        paced(partial(http_client, site.port), requests, connections=CONNECTIONS)
        assert site.process is not None, "started"
        own = site.process.pid
        others = sorted(megabytes_of(pid) for pid in family_of(own) if pid != own)
        # Beside them runs a small one of Python's own.
        each = statistics.mean(others[-workers:]) if others else megabytes_of(own)
        return megabytes_of(own) + sum(others), each


def megabytes_of(pid: int) -> float:
    """A process' share of memory in MB of a million bytes. Raises OSError when it is gone."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"process {pid} has no memory")


def family_of(pid: int) -> list[int]:
    """A process and all that it and those it started have started, by number."""
    parents = dict(_parents())
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _parents() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        # The name, in brackets, may hold anything.
        yield int(stat.parent.name), int(told.rpartition(")")[2].split()[1])


# ------------------------------------------------------------------ start


def _starts(folder: Path, bodies: Sequence[bytes]) -> list[tuple[float, float]]:
    """Of each start the seconds to the first verdict, and of processor time until then."""
    folder.mkdir()
    found = []
    with installation(folder, PYTHONDONTWRITEBYTECODE="") as site:
        site.start()  # makes the data directory, and compiles
        for body in bodies[:STARTS]:
            site.stop()
            found.append(_start(site, post("/v1/comments", body, _headers(site))))
    return found


def _start(site: Installation, request: bytes) -> tuple[float, float]:
    started = time.perf_counter()
    site.process = subprocess.Popen(
        [DUYET, "serve"], env=site.settings, stdout=subprocess.DEVNULL, text=True
    )
    while not _answers(site, request):
        if time.perf_counter() - started > SECONDS_AT_MOST:
            raise SystemExit("the service did not start")
        time.sleep(0.005)
    return time.perf_counter() - started, site.processor_seconds()


def _answers(site: Installation, request: bytes) -> bool:
    try:
        with http_client(site.port) as ask:
            return bool(ask(request))
    except ConnectionError:
        return False


def _headers(site: Installation) -> dict[str, str]:
    return {**site.headers, "Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    print(table(rows(parser.parse_args().data)))


if __name__ == "__main__":
    main()
