"""Ten million stored comments instead of ten thousand: are verdicts slower, and the queue's page?

    python -m benchmarks.stored --data DIR [--rows N] [--postgres URL]

Real comments are posted to a new installation, and what was queued is decided, but for the
newest. Of that two installations are made, one that holds 10,000 comments and one that holds
`--rows`: the same ones over and over, with other authors, IPs and texts (benchmarks.grown).
Both then run, and are asked in turn. `--postgres` names a database of a server on which
databases may be made; this makes two of its own there, and drops them in the end.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from benchmarks.closed_loop import Pace, http_client, paced, post
from benchmarks.goals import Row, at_most, table
from benchmarks.grown import grow
from benchmarks.installation import Installation, comments, encoded, installation

SEED_ROWS = 5_000
"""Comments that are posted; all others are made of them."""

FEW_ROWS = 10_000
MOST_ROWS = 10_000_000
LEFT_WAITING = 50
"""Of the posted comments those that nobody decides: one in a hundred waits."""

CONNECTIONS = 32
ROUNDS, A_ROUND, WARM_UP = 15, 300, 500
"""Short rounds, so that what else the machine does falls on both alike."""

READ_SECONDS = 900
PAGES = 20


def rows(
    data: Path,
    *,
    count: int = 1_000_000,
    longest: int = 100_000,
    postgres: str = "",
    folder: Path | None = None,
) -> list[Row]:
    """Verdicts and queue pages with `count` stored comments beside those with 10,000.

    `longest` is how many characters the comments have at most, those stored and those posted.
    `folder` is where the databases are made, a temporary one by default. Raises SystemExit
    where the disk has no room for them.
    """
    count = max(FEW_ROWS, count // SEED_ROWS * SEED_ROWS)
    bodies = _bodies(data, longest)
    with ExitStack() as opened:
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        few = opened.enter_context(_made(place / "few", postgres))
        _fill(few, bodies[:SEED_ROWS])
        _has_room(place, _size(few) * (count // SEED_ROWS))
        many = opened.enter_context(_made(place / "many", postgres))
        _copied(few, many, postgres)
        for site, stored in ((few, FEW_ROWS), (many, count)):
            _grow(site, stored)
            site.start()
        return [*_verdicts(few, many, bodies[SEED_ROWS:], count), *_pages(many, count)]


# ------------------------------------------------------------------ what is stored


def _bodies(data: Path, longest: int) -> list[dict[str, Any]]:
    needed = SEED_ROWS + WARM_UP + ROUNDS * A_ROUND
    found = (body for body in comments(data, 5 * needed) if len(body["content"]) <= longest)
    bodies = [_of_a_crowd(body) for body in islice(found, needed)]
    if len(bodies) < needed:
        raise SystemExit(f"too few comments have {longest} characters at most")
    return bodies


def _of_a_crowd(body: dict[str, Any]) -> dict[str, Any]:
    """The comment by one of 3,000 authors, of whom a few write much, from an address they share."""
    at = int(body["external_id"])
    author = int(3_000 * ((at * 2_654_435_761 % 2**32) / 2**32) ** 2)
    email = f"reader.{author}@mail-{author % 97}.com"
    ip = f"198.18.{author // 2 % 5}.{author // 2 % 250 + 1}"
    return {**body, "author": {**body["author"], "email": email, "ip": ip}}


def _fill(site: Installation, bodies: Sequence[dict[str, Any]]) -> None:
    """Post the comments and decide what waits, but for the newest."""
    site.start()
    with httpx.Client(base_url=site.url, headers=site.headers, timeout=120) as http:
        for at in range(0, len(bodies), 500):
            http.post("/v1/comments/batch", json=list(bodies[at : at + 500])).raise_for_status()
        while True:
            page = http.get("/v1/queue", params={"limit": 200}).json()
            decided = page["items"][: max(0, page["waiting"] - LEFT_WAITING)]
            for place, item in enumerate(decided):
                spam = {"outcome": "reject", "reason": "spam"}
                said = spam if place % 3 == 0 else {"outcome": "accept"}
                http.post(f"/v1/comments/{item['id']}/decision", json=said).raise_for_status()
            if not decided:
                break
    site.stop()


def _grow(site: Installation, count: int) -> None:
    started = time.perf_counter()

    def told(what: str) -> None:
        print(f"  {time.perf_counter() - started:6.0f} s  {what}", flush=True)

    grow(_url(site), count // SEED_ROWS - 1, told=told)
    told(f"{count:,} comments, {_size(site) / 2**20:,.0f} MiB")


def _has_room(folder: Path, needed: int) -> None:
    # A third more while indexes are made, and for what is written ahead.
    free = shutil.disk_usage(folder).free
    if free < needed * 4 // 3:
        raise SystemExit(
            f"some {needed * 4 / 3 / 2**30:.0f} GiB are needed in {folder}, "
            f"{free / 2**30:.0f} are free; ask for fewer --rows or name another --folder"
        )


# ------------------------------------------------------------------ databases


def _url(site: Installation) -> sa.URL:
    told = site.environment.get("DUYET_DATABASE_URL")
    if told is None:
        return sa.URL.create("sqlite", database=str(site.data_dir / "duyet.db"))
    return _psycopg(told)


def _psycopg(url: str) -> sa.URL:
    return sa.make_url(url).set(drivername="postgresql+psycopg")


def _size(site: Installation) -> int:
    """Bytes of its database."""
    url = _url(site)
    if url.get_backend_name() == "sqlite":
        return sum(file.stat().st_size for file in site.data_dir.glob("duyet.db*"))
    [size] = _asked(url, "SELECT pg_database_size(current_database())")
    return int(size)


@contextmanager
def _made(folder: Path, server: str) -> Iterator[Installation]:
    """A new installation, with an empty database of the server's if one is named."""
    folder.mkdir()
    if not server:
        with installation(folder) as site:
            yield site
        return
    name = f"duyet_stored_{os.getpid()}_{folder.name}"
    url = sa.make_url(server).set(database=name, drivername="postgresql")
    told = {"DUYET_DATABASE_URL": url.render_as_string(hide_password=False)}
    _asked(_psycopg(server), f"CREATE DATABASE {name}")
    try:
        with installation(folder, **told) as site:
            yield site
    finally:
        _asked(_psycopg(server), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _copied(source: Installation, to: Installation, server: str) -> None:
    """Make an installation of `source`, which must be stopped, with its keys and comments."""
    shutil.copytree(source.data_dir, to.data_dir)
    to.key = source.key
    if server:
        _asked(_psycopg(server), f"DROP DATABASE {_url(to).database}")
        _asked(
            _psycopg(server),
            f"CREATE DATABASE {_url(to).database} TEMPLATE {_url(source).database}",
        )


def _asked(url: sa.URL, statement: str) -> Sequence[Any]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        with engine.connect() as connection:
            answer = connection.exec_driver_sql(statement)
            return [row[0] for row in answer] if answer.returns_rows else []
    finally:
        engine.dispose()


# ------------------------------------------------------------------ what is measured


def _verdicts(
    few: Installation, many: Installation, bodies: Sequence[dict[str, Any]], count: int
) -> Iterator[Row]:
    """In each round both are sent the same new comments, in turn first and second."""
    for site in (few, many):
        _paced(site, bodies[:WARM_UP])
    paces: dict[str, list[Pace]] = {"few": [], "many": []}
    used = {"few": -few.processor_seconds(), "many": -many.processor_seconds()}
    for number in range(ROUNDS):
        sent = bodies[WARM_UP + number * A_ROUND :][:A_ROUND]
        turn = [("few", few), ("many", many)]
        for name, site in turn if number % 2 else reversed(turn):
            paces[name].append(_paced(site, sent))
    used = {
        name: 1000 * (used[name] + site.processor_seconds()) / (ROUNDS * A_ROUND)
        for name, site in (("few", few), ("many", many))
    }
    slower = [
        100 * (f.a_second / m.a_second - 1)
        for f, m in zip(paces["few"], paces["many"], strict=True)
    ]
    rate = {name: statistics.median(p.a_second for p in run) for name, run in paces.items()}
    p99 = {name: statistics.median(p.p99 for p in run) for name, run in paces.items()}
    yield at_most(
        f"verdicts, {count:,} stored for {FEW_ROWS:,}: slower by",
        statistics.median(slower),
        15,
        " %",
        digits=1,
        note=f"{rate['many']:,.0f} for {rate['few']:,.0f} a second, "
        f"p99 {p99['many']:.0f} for {p99['few']:.0f} ms, processor time "
        f"{used['many']:.2f} for {used['few']:.2f} ms a verdict; {CONNECTIONS} connections, "
        f"rounds {min(slower):.0f} to {max(slower):.0f} %",
    )


def _paced(site: Installation, bodies: Sequence[dict[str, Any]]) -> Pace:
    headers = {**site.headers, "Content-Type": "application/json"}
    requests = [post("/v1/comments", encoded(body), headers) for body in bodies]
    return paced(partial(http_client, site.port), requests, connections=CONNECTIONS)


def _pages(site: Installation, count: int) -> Iterator[Row]:
    with httpx.Client(base_url=site.url, headers=site.headers, timeout=120) as http:
        for order in ("oldest", "riskiest"):
            if order == "riskiest":
                _read_through(site, http)
            ask = partial(http.get, "/v1/queue", params={"order": order})
            took = sorted(_milliseconds(ask) for _ in range(PAGES))
            waiting = ask().json()["waiting"]
            yield at_most(
                f"first page of the queue, {order}, {count:,} stored",
                statistics.median(took),
                50,
                " ms",
                digits=1,
                note=f"{waiting:,} wait; slowest of {PAGES} {took[-1]:.0f} ms",
            )


def _read_through(site: Installation, http: httpx.Client) -> None:
    """Wait until the service has read what waits: all but the oldest are found by that alone."""
    statement = "SELECT (SELECT count(*) FROM queue) - (SELECT count(*) FROM waiting)"
    started = time.perf_counter()
    while _asked(_url(site), statement)[0] > 0:
        http.get("/v1/queue", params={"order": "riskiest"}).raise_for_status()  # has it read aside
        if time.perf_counter() - started > READ_SECONDS:
            raise SystemExit("what waits was not read through in time")
        time.sleep(1)
    print(f"  what waits was read in {time.perf_counter() - started:.0f} s more", flush=True)


def _milliseconds(ask: Callable[[], httpx.Response]) -> float:
    started = time.perf_counter()
    ask().raise_for_status()
    return 1000 * (time.perf_counter() - started)


# ------------------------------------------------------------------ command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--rows", type=int, default=MOST_ROWS, metavar="N")
    parser.add_argument(
        "--longest", type=int, default=100_000, metavar="N", help="characters of a comment at most"
    )
    parser.add_argument("--postgres", default="", metavar="URL", help="PostgreSQL, not SQLite")
    parser.add_argument("--folder", type=Path, help="where the databases are made")
    options = parser.parse_args()
    found = rows(
        options.data,
        count=options.rows,
        longest=options.longest,
        postgres=options.postgres,
        folder=options.folder,
    )
    print(table(found))


if __name__ == "__main__":
    main()
