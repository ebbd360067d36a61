"""How near the service comes to one that does nothing: every HTTP row of the goals, in one run.

    python -m benchmarks.http --data DIR

Starts the real service (shipped model, every commit fsynced, default settings but for the log
level, which is warning) and a null ASGI app on the same uvicorn with the same settings, and posts
the same real comments to both with wrk, in turn. Prints the goal, both figures and the ratio for
each row, medians of --rounds rounds. Needs wrk (scripts/install-wrk); for PostgreSQL one that can
be started here, or --postgres with the URL of an empty database.

--folder says where databases lie: an fsync takes as long as that disk's.
"""

import argparse
import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.goals import Row, at_least, at_most, table, unmeasured
from benchmarks.installation import Installation, comments, encoded, installation
from benchmarks.postgres import HOW_TO_GET_ONE, running_server

LOAD = Path(__file__).with_name("load.lua")
BATCH = 500
CONNECTIONS = 64
BATCH_CONNECTIONS = 2
POSTGRES_GOAL = 1.6


@dataclass(frozen=True)
class Server:
    """Something that runs and is to be posted to."""

    port: int
    key: str
    process: int | None
    site: Installation | None = None


@dataclass(frozen=True)
class Loaded:
    """What wrk saw in one run. Times are milliseconds."""

    per_second: float
    p50: float
    p99: float
    failed: int
    cpu: float
    """Microseconds of the processor for a request, of a server with one process; else NaN."""


def cpu_seconds(process: int | None) -> float:
    """What a process has used so far, where /proc tells."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    singles: Path
    batches: Path
    forms: Path
    folder: Path
    rounds: int
    seconds: int

    def load(
        self, server: Server, *, connections: int, batch: bool = False, forms_by: str = ""
    ) -> Loaded:
        """One run of wrk; with a key to put there, of Akismet's forms."""
        port, key, before = server.port, server.key, cpu_seconds(server.process)
        path = "/v1/comments/batch" if batch else "/v1/comments"
        file = self.batches if batch else self.singles
        kind: tuple[str, ...] = ()
        if forms_by:
            path, file, kind = "/1.1/comment-check", self._forms_of(forms_by), ("form",)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "--timeout", "10s",
             "-s", LOAD, f"http://127.0.0.1:{port}{path}", "--", file, key, *kind],
            check=True, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        told = json.loads(done.stdout.splitlines()[-1])
        failed = told["failed"] + told["not_200"]
        cpu = 1e6 * (cpu_seconds(server.process) - before) / max(1, told["requests"])
        return Loaded(told["requests"] / told["seconds"], told["p50"], told["p99"], failed, cpu)

    def _forms_of(self, key: str) -> Path:
        """The forms with a key in each."""
        made = self.forms.with_name(f"forms-{key}")
        if not made.exists():
            own = f"&api_key={key}\n".encode()
            made.write_bytes(self.forms.read_bytes().replace(b"\n", own).rstrip(b"\n"))
        return made

    def paced(self, server: Server, rate: float) -> dict[str, Any]:
        """One run at a given rate, in a process of its own."""
        seconds = str(2 * self.seconds)
        arguments = [str(server.port), str(self.singles), server.key, str(rate), seconds]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.paced", *arguments],
            check=True, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    @contextmanager
    def service(self, **environment: str) -> Iterator[Server]:
        """A new installation that runs, its files under `folder`."""
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as name,
            installation(Path(name), **environment) as site,
        ):
            site.start()
            process = site.process.pid if site.process else None
            server = Server(site.port, site.key, process, site)
            self.load(server, connections=CONNECTIONS)  # warm
            yield server


@contextmanager
def null_app() -> Iterator[Server]:
    """The server that does nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.null_app", str(port)])
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit("the null app did not start") from None
                time.sleep(0.05)
        yield Server(port, "none", process.pid)
    finally:
        process.terminate()
        process.wait()


def fsync_milliseconds(folder: Path, times: int = 50) -> float:
    """The median of an fsync of one page of a file there."""
    found = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def single_rows(bench: Bench) -> Iterator[Row]:
    """The rows of one worker on SQLite, the single route's first: the others are told by it.

    Each begins with an empty database, as what the rows before it stored would make it slower.
    """
    with null_app() as null:
        full = []
        with bench.service() as site:
            for _ in range(bench.rounds):
                nothing = bench.load(null, connections=CONNECTIONS)
                full.append((bench.load(site, connections=CONNECTIONS), nothing))
        most = median([one.per_second for one, _ in full])
        yield at_least(
            f"POST /v1/comments, one worker, SQLite, {CONNECTIONS} connections: of the null app",
            median([one.per_second / nothing.per_second for one, nothing in full]),
            0.30,
            digits=3,
            note=f"{most:.0f} a second, null app {median([n.per_second for _, n in full]):.0f}; "
            f"p99 {median([one.p99 for one, _ in full]):.1f} ms; processor "
            f"{median([one.cpu for one, _ in full]):.0f} us a request, null app "
            f"{median([n.cpu for _, n in full]):.0f}; failed {sum(one.failed for one, _ in full)}",
        )
        with bench.service() as site:
            yield alone_row(bench, site, null)
        with bench.service() as site:
            yield half_row(bench, site, most)
        with bench.service() as site:
            yield form_row(bench, site)
        with bench.service() as site:
            yield batch_row(bench, site, most)


def alone_row(bench: Bench, site: Server, null: Server) -> Row:
    """What one connection waits longer than for the null app, less an fsync."""
    alone = []
    for _ in range(bench.rounds):
        nothing = bench.load(null, connections=1)
        alone.append((bench.load(site, connections=1), nothing, fsync_milliseconds(bench.folder)))
    return at_most(
        "the same at one connection: added latency, median, over an fsync",
        median([one.p50 - nothing.p50 - fsync for one, nothing, fsync in alone]),
        1.5,
        " ms",
        note=f"{median([one.p50 for one, *_ in alone]):.2f} ms, null app "
        f"{median([nothing.p50 for _, nothing, _ in alone]):.2f}, an fsync "
        f"{median([fsync for *_, fsync in alone]):.2f}",
    )


def half_row(bench: Bench, site: Server, most: float) -> Row:
    """How far the slow answers are from the usual one at half of the most it does."""
    half = [bench.paced(site, most / 2) for _ in range(bench.rounds)]
    p99 = median([run["p99"] / run["p50"] for run in half])
    p999 = median([run["p999"] / run["p50"] for run in half])
    return Row(
        f"at half of that load, {most / 2:.0f} a second, arrivals at random: p99 and p99.9",
        "≤ 4 and 10 times the median",
        f"{p99:.1f} and {p999:.1f} times",
        p99 <= 4 and p999 <= 10,
        f"median {median([r['p50'] for r in half]):.1f} ms, p99 "
        f"{median([r['p99'] for r in half]):.1f}, p99.9 {median([r['p999'] for r in half]):.1f}; "
        f"failed {sum(r['failed'] for r in half)}",
    )


def form_row(bench: Bench, site: Server) -> Row:
    """Akismet's forms against the JSON route, in turn."""
    assert site.site is not None, "the service runs on an installation"
    told_keys = json.loads(site.site.run("sites", "akismet", "default", "--new-key", "--json"))
    key = told_keys["akismet_key"]
    bench.load(site, connections=CONNECTIONS, forms_by=key)  # warm
    runs = [
        (
            bench.load(site, connections=CONNECTIONS, forms_by=key),
            bench.load(site, connections=CONNECTIONS),
        )
        for _ in range(bench.rounds)
    ]
    return at_least(
        f"POST /1.1/comment-check, {CONNECTIONS} connections: of the JSON route",
        median([form.per_second / one.per_second for form, one in runs]),
        0.8,
        note=f"{median([form.per_second for form, _ in runs]):.0f} a second, JSON "
        f"{median([one.per_second for _, one in runs]):.0f}; processor "
        f"{median([form.cpu for form, _ in runs]):.0f} us a request, JSON "
        f"{median([one.cpu for _, one in runs]):.0f}; "
        f"failed {sum(form.failed + one.failed for form, one in runs)}",
    )


def as_form(body: dict[str, Any]) -> bytes:
    """A comment as WordPress sends it: its text twice, and headers of its visitor."""
    author = body["author"]
    return urlencode(
        {
            "comment_post_ID": "7",
            "comment_author": author["name"],
            "comment_author_email": author["email"],
            "comment_author_url": author["url"],
            "comment_content": body["content"],
            "comment_type": "comment",
            "user_ip": "203.0.113.7",
            "user_agent": author["user_agent"],
            "referrer": body["permalink"],
            "blog": "https://news.example.com",
            "blog_lang": body["article"]["language"],
            "blog_charset": "UTF-8",
            "permalink": body["permalink"],
            "akismet_comment_nonce": "passed",
            "POST_comment": body["content"],
            "POST_author": author["name"],
            "POST_ak_js": "1700000000000",
            "HTTP_ACCEPT": "text/html,application/xhtml+xml",
            "HTTP_ACCEPT_LANGUAGE": "vi,en;q=0.8",
            "REQUEST_URI": "/wp-comments-post.php",
        }
    ).encode()


def batch_row(bench: Bench, site: Server, single: float) -> Row:
    """The batch route against the single one."""
    runs = [
        bench.load(site, connections=BATCH_CONNECTIONS, batch=True) for _ in range(bench.rounds)
    ]
    rate = BATCH * median([run.per_second for run in runs])
    return Row(
        f"POST /v1/comments/batch of {BATCH}, {BATCH_CONNECTIONS} connections",
        "≥ 4,000 comments a second, or 3 times the single route",
        f"{rate:.0f} a second, {rate / single:.2f} times",
        rate >= 4000 or rate >= 3 * single,
        f"single route {single:.0f}; failed {sum(run.failed for run in runs)}",
    )


def workers_row(bench: Bench, name: str, goal: float, urls: Sequence[str] = ()) -> Row:
    """One worker against two, in turn, each with a database of its own."""
    one_url, two_url = [{"DUYET_DATABASE_URL": url} for url in urls] or ({}, {})
    with bench.service(**one_url) as one, bench.service(DUYET_WORKERS="2", **two_url) as two:
        runs = [
            (
                bench.load(one, connections=CONNECTIONS),
                bench.load(two, connections=CONNECTIONS),
            )
            for _ in range(bench.rounds)
        ]
    ratio = median([second.per_second / first.per_second for first, second in runs])
    slower = median([second.p99 / first.p99 for first, second in runs])
    return Row(
        f"two workers, {name}",
        f"≥ {goal:g} of one worker, p99 within 3 times",
        f"{ratio:.2f}, p99 {slower:.2f} times",
        ratio >= goal and slower <= 3,
        f"{median([two.per_second for _, two in runs]):.0f} a second, one "
        f"{median([one.per_second for one, _ in runs]):.0f}; p99 "
        f"{median([two.p99 for _, two in runs]):.1f} ms, one "
        f"{median([one.p99 for one, _ in runs]):.1f}; "
        f"failed {sum(one.failed + two.failed for one, two in runs)}",
    )


def postgres_row(bench: Bench, urls: Sequence[str] = ()) -> Row:
    """Two workers on PostgreSQL: two empty databases, or those of a server started here."""
    if urls:
        return workers_row(bench, "PostgreSQL", POSTGRES_GOAL, urls)
    with running_server(is_durable=True) as server:
        if server is None:
            return unmeasured("two workers, PostgreSQL", f"≥ {POSTGRES_GOAL}", HOW_TO_GET_ONE)
        made = [server.url(server.new_database()) for _ in range(2)]
        return workers_row(bench, "PostgreSQL", POSTGRES_GOAL, made)


def rows(  # noqa: PLR0913  what a run is made of
    data: Path,
    *,
    folder: Path | None = None,
    count: int = 20_000,
    rounds: int = 5,
    seconds: int = 6,
    postgres: Sequence[str] = (),
    only: str | None = None,
) -> list[Row]:
    """Every row, each printed to stderr when it is there. Raises SystemExit without wrk."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on the PATH; on Debian: sudo scripts/install-wrk")
    sent = comments(data, count)
    bodies = [encoded(body) for body in sent]
    found = []
    with tempfile.TemporaryDirectory() as name:
        singles, batches, forms = (Path(name) / kind for kind in ("singles", "batches", "forms"))
        forms.write_bytes(b"".join(as_form(body) + b"\n" for body in sent))
        singles.write_bytes(b"\n".join(bodies))
        parts = [bodies[at : at + BATCH] for at in range(0, len(bodies), BATCH)]
        batches.write_bytes(b"\n".join(b"[" + b",".join(p) + b"]" for p in parts))
        where = folder or Path(tempfile.gettempdir())
        bench = Bench(singles, batches, forms, where, rounds, seconds)
        measured = {
            "single": lambda: single_rows(bench),
            "sqlite": lambda: [workers_row(bench, "SQLite", 1.0)],
            "postgres": lambda: [postgres_row(bench, postgres)],
        }
        for part in [only] if only else measured:
            for row in measured[part]():
                print(f"  {row.name}: {row.measured} ({row.note})", file=sys.stderr, flush=True)
                found.append(row)
    return found


def main() -> None:
    """Measure all rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--comments", type=int, default=20_000, help="different ones to post")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each run of wrk")
    parser.add_argument("--postgres", nargs=2, default=(), metavar="URL", help="empty databases")
    parser.add_argument("--only", choices=["single", "sqlite", "postgres"])
    options = parser.parse_args()
    print(f"fsync {fsync_milliseconds(options.folder):.2f} ms")
    found = rows(
        options.data,
        folder=options.folder,
        count=options.comments,
        rounds=options.rounds,
        seconds=options.seconds,
        postgres=options.postgres,
        only=options.only,
    )
    print(table(found))


if __name__ == "__main__":
    main()
