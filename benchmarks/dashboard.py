"""How long the dashboard and the log take over many comments, and how long it takes to count them.

`python -m benchmarks.dashboard --comments 1000000 [--postgres]` fills a new database by SQL with a
year of comments of one site, a tenth of them decided, counts them as the service does, and asks
for the pages in this process: the time of the server without the network.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import sqlalchemy as sa
from fastapi import FastAPI

from benchmarks.postgres import running_server
from model.policy import Policy
from service.keyring import Keyring
from service.storage import Role, Store
from service.storage.statistics import Statistics
from service.web import pages

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 365
AT_ONCE = 10_000
EXPLANATION = (
    '{"reasons":[{"code":"score.spam_unsure","field":"content","evidence":"Hay"},'
    '{"code":"links.too_many","field":"content","evidence":"6"}],"hits":[{"rule":"links.too_many",'
    '"effect":"queue","evidence":"6","field":"content","trust":false}],"spans":[]}'
)
PATHS = (
    "/dashboard?days=7",
    "/dashboard?days=28",
    "/dashboard?days=365",
    "/dashboard/arrivals.csv?days=365",
    "/log",
    "/log?kind=address_revealed",
    "/log?who=p3&kind=undone",
    "/log?words=nothing+like+it",
)


def fill(store: Store, site_id: str, number: int) -> None:
    """Write so many comments, their verdicts, and of every tenth a decision and its event."""
    for first in range(0, number, AT_ONCE):
        _fill_some(store, site_id, number, first, min(number, first + AT_ONCE) - 1)
    with store.writes() as connection:
        connection.exec_driver_sql(f"UPDATE sites SET last_change = {number // 10}")


def _fill_some(store: Store, site_id: str, number: int, first: int, last: int) -> None:
    start = int((NOW - timedelta(days=DAYS)).timestamp() * 1000)
    step = DAYS * 86_400_000 // number
    with store.writes() as c:
        is_postgres = c.dialect.name == "postgresql"

        def run(statement: str) -> None:
            c.exec_driver_sql(statement.replace("%", "%%") if is_postgres else statement)

        if is_postgres:
            series = f"generate_series({first}, {last}) AS n(n)"
            digits = f"lpad(to_hex({start} + n::bigint * {step}), 12, '0')"
            rest = "lpad(to_hex(n), 12, '0')"
            at = f"to_timestamp(({start} + n::bigint * {step}) / 1000.0)"
        else:
            series = (
                f"(WITH RECURSIVE n(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM n"
                f" WHERE n < {last}) SELECT n FROM n) AS n"
            )
            digits = f"printf('%012x', {start} + n * {step})"
            rest = "printf('%012x', n)"
            at = f"({start} + n * {step}) * 1000"
        key = f"substr({digits}, 1, 8) || '-' || substr({digits}, 9, 4) || '-7000-8000-' || {rest}"
        said = "CASE WHEN n % 10 = 0 THEN 'queue' WHEN n % 7 = 0 THEN 'reject' ELSE 'accept' END"
        done = "CASE WHEN n % 3 = 0 THEN 'reject' ELSE 'accept' END"
        words = "'Bài viết hay quá, cảm ơn tác giả! Xem https://x.example/ ' || n"
        false = "false" if is_postgres else "0"
        run(
            "INSERT INTO comments (id, site_id, received_at, type, content, author_name,"
            " author_url, email_masked, ip_masked, user_agent, permalink, article_title,"
            " article_language, parent_id, external_id, honeypot, history, state, decided)"
            f" SELECT {key}, '{site_id}', {at}, 'comment', {words}, 'An', '', '', '', '', '', '',"
            f" '', '', '', {false}, '{{}}', {said}, CASE WHEN n % 10 = 0 THEN {done} END"
            f" FROM {series}"
        )
        score = "(n % 1000 * 7919 % 1000) / 1000.0"
        run(
            "INSERT INTO verdicts (comment_id, outcome, spam, toxicity, explanation, model, policy,"
            f" audit, review_probability) SELECT {key}, {said}, {score}, {score} / 2,"
            f" '{EXPLANATION}', 'm-' || (n / {max(1, number // 5)}), 'p-1', {false}, 1"
            f" FROM {series}"
        )
        run(
            "INSERT INTO decisions (id, comment_id, site_id, change, outcome, reason, moderator,"
            f" at, was_state) SELECT {key}, {key}, '{site_id}', n / 10 + 1, {done},"
            f" CASE WHEN n % 3 = 0 THEN 'spam' END, 'p' || (n / 10 % 12), {at}, 'queue'"
            f" FROM {series} WHERE n % 10 = 0"
        )
        run(
            "INSERT INTO events (at, site_id, kind, comment_id, actor, body)"
            f" SELECT {at}, '{site_id}', CASE WHEN n % 50000 = 0 THEN 'address_revealed'"
            f" WHEN n % 100 = 0 THEN 'undone' ELSE 'decided' END, {key}, 'p' || (n / 10 % 12),"
            f' \'{{"outcome":"accept"}}\' FROM {series}'
        )


async def asked(app: FastAPI, store: Store, times: int) -> None:
    """Print how long each page takes."""
    moderator = store.add_moderator("mai", Role.ADMIN)
    token = store.use_sign_in_link(store.new_sign_in_link(moderator.id, timedelta(hours=1)))
    transport = httpx.ASGITransport(app=app)
    cookies = {"duyet": token or ""}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", cookies=cookies, timeout=600
    ) as client:
        for path in PATHS:
            took, used = [], []
            for _ in range(times):
                began, busy = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                took.append(time.perf_counter() - began)
                used.append(time.process_time() - busy)
            assert answer.status_code == 200, path
            print(
                f"{path:40} {1000 * statistics.median(took):6.0f} ms, at best"
                f" {1000 * min(took):5.0f}; processor {1000 * statistics.median(used):5.0f} ms;"
                f" {len(answer.content) // 1024} KiB"
            )


def timed(what: str, do: Callable[[], object]) -> None:
    """Do something, and print how long it took."""
    began, busy = time.perf_counter(), time.process_time()
    found = do()
    took, used = time.perf_counter() - began, time.process_time() - busy
    print(f"{what}: {took:.1f} s, processor {used:.1f} s ({found})", flush=True)


def measure(url: str, directory: Path, number: int, times: int) -> None:
    """All of it on one database."""
    store = Store.open(url, Keyring.open(directory / "secrets"), now=lambda: NOW)
    store.migrate()
    site, _ = store.add_site("bao", Policy())
    timed("filled", lambda: fill(store, site.id, number))
    if url.startswith("postgresql"):
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
        engine.dispose()
    counts = Statistics(store)
    timed("arrivals counted", counts.count_arrivals)
    timed("decisions counted", counts.count_decisions)
    timed("queue noted", counts.sample_queue)
    codes = ("score.spam_unsure", "links.too_many")
    timed("records of reasons", lambda: counts.records(None, codes))
    app = FastAPI()
    pages.install(app, store, secure=False, now=lambda: NOW)
    asyncio.run(asked(app, store, times))
    store.close()


def main() -> None:
    """Measure as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comments", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--postgres", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if chosen.postgres:
            with running_server() as server:
                if server is None:
                    parser.error("there is no PostgreSQL that can be started here")
                url = server.url(server.new_database())
                measure(url, place, chosen.comments, chosen.times)
        else:
            measure(f"sqlite:///{place / 'duyet.db'}", place, chosen.comments, chosen.times)


if __name__ == "__main__":
    main()
