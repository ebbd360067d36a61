"""Rate limits: the buckets in a database, what processes share of them, and what is answered."""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.policy import Policy
from service.problems import Problem
from service.rates import BURST_SECONDS, Limit, RateLimits
from service.settings import Settings, SettingsError, load_settings
from service.storage import Buckets, Claim, Settled, Site, Store, StoreUnavailable
from service.storage.buckets import MOST_OWED_WINDOWS, settled_of
from tests.api.service import Service, a_comment, model_at, running
from tests.storage.conftest import (
    clock,
    database,
    empty_url,
    keyring,
    migrated_database,
    open_store,
    postgres_server,
    site,
    store,
    url,
)

__all__ = [
    "clock",
    "database",
    "empty_url",
    "keyring",
    "migrated_database",
    "open_store",
    "postgres_server",
    "site",
    "store",
    "url",
]

WINDOW = 10.0


class Seconds:
    """A clock that goes on only when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


# ------------------------------------------------------------------ the buckets


@given(
    owed=st.floats(-1e9, 1e9),
    spent=st.floats(-20, 20),
    wanted=st.lists(st.floats(0, 30), max_size=20),
)
def test_a_bucket_never_grants_more_than_it_holds(
    owed: float, spent: float, wanted: list[float]
) -> None:
    settled = settled_of(Claim("a", WINDOW, spent, tuple(wanted)), owed)

    granted = sum(w for w, fits in zip(wanted, settled.granted, strict=True) if fits)
    before = settled_of(Claim("a", WINDOW, spent), owed).owed
    assert settled.owed == pytest.approx(before + granted)
    assert 0 <= settled.owed <= MOST_OWED_WINDOWS * WINDOW
    assert granted == 0 or settled.owed <= WINDOW * 1.0001


def test_what_does_not_fit_leaves_room_for_what_does() -> None:
    settled = settled_of(Claim("a", WINDOW, 4.0, (7.0, 6.0, 0.5)), 0.0)

    assert settled == Settled((False, True, False), 10.0)


def test_a_clock_set_back_an_hour_holds_a_site_up_for_a_few_windows_only() -> None:
    settled = settled_of(Claim("a", WINDOW, 0.0), 3600.0)

    assert settled.owed == MOST_OWED_WINDOWS * WINDOW


def test_processes_see_what_each_other_spent(url: str, site: Site) -> None:
    one, other = Buckets(url), Buckets(url)

    one.settle([Claim(site.id, WINDOW, 6.0)])
    [seen] = other.settle([Claim(site.id, WINDOW, 0.0, (5.0, 3.5))])

    assert seen.granted == (False, True)
    assert 9.0 < seen.owed <= 9.5
    one.close()
    other.close()


def test_buckets_spent_at_once_from_many_threads_add_up(url: str, store: Store) -> None:
    sites = [store.add_site(f"s{n}", Policy())[0] for n in range(3)]
    opened = [Buckets(url) for _ in range(4)]

    def spend(buckets: Buckets, seed: int) -> None:
        shuffled = random.Random(seed)
        for _ in range(10):
            claims = [Claim(s.id, 1e6, 100.0, (50.0,)) for s in sites]
            buckets.settle(shuffled.sample(claims, len(claims)))

    threads = [threading.Thread(target=spend, args=(b, n)) for n, b in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owed = [s.owed for s in opened[0].settle([Claim(s.id, 1e6, 0.0) for s in sites])]

    assert all(5_900 < one <= 6_000 for one in owed)  # less what a slow run refilled
    for buckets in opened:
        buckets.close()


def test_emptied_buckets_are_full_ones(url: str, site: Site, store: Store) -> None:
    buckets = Buckets(url)
    buckets.settle([Claim(site.id, WINDOW, 9.0)])
    with store.writes() as connection:
        connection.exec_driver_sql("DELETE FROM rate_buckets")

    buckets.settle([Claim(site.id, WINDOW, 2.0)])
    [again] = buckets.settle([Claim(site.id, WINDOW, 0.0)])

    assert 1 < again.owed <= 2
    buckets.close()


def test_buckets_of_a_database_without_tables_are_away(empty_url: str) -> None:
    buckets = Buckets(empty_url)

    with pytest.raises(StoreUnavailable):
        buckets.settle([Claim("a", WINDOW, 1.0)])

    buckets.close()


# ------------------------------------------------------------------ one process, and several


def a_site(site: Site, rate_limit: float | None) -> Site:
    return Site(site.id, site.name, site.policy, site.policy_version, rate_limit)


async def taken(rates: RateLimits, site: Site, comments: int = 1) -> bool:
    try:
        await rates.take(site, comments)
    except Problem as problem:
        return problem.status != 429
    return True


def test_no_limit_asks_nobody_and_opens_nothing(tmp_path: Path, site: Site) -> None:
    buckets = Buckets(f"sqlite:///{tmp_path / 'none.db'}")

    async def run() -> None:
        rates = RateLimits(buckets, usual=0)
        assert await rates.take(site, 1000) == {}
        await rates.close()

    asyncio.run(run())

    assert not (tmp_path / "none.db").exists()
    assert buckets._engine is None


@pytest.mark.parametrize("rate", [0.01, 0.3, 1, 7.5, 100, 100_000])
def test_a_burst_passes_and_then_as_much_as_the_rate_says(
    tmp_path: Path, seconds: Seconds, rate: float
) -> None:
    async def run() -> tuple[bool, bool, bool, bool]:
        rates = RateLimits(Buckets(f"sqlite:///{tmp_path / 'away.db'}"), usual=0, clock=seconds)
        rates._is_alone = True  # the store has been found away
        site = Site("a", "blog", Policy(), "p", rate)
        at_once = await taken(rates, site, Limit(rate).most_at_once)
        more = await taken(rates, site)
        seconds.now += 1 / rate
        later = await taken(rates, site)
        again = await taken(rates, site)
        await rates.close()
        return at_once, more, later, again

    assert asyncio.run(run()) == (True, False, True, False)


def test_processes_together_stay_within_the_limit_and_what_each_may_owe(
    url: str, site: Site, seconds: Seconds
) -> None:
    """Three processes, one clock, whatever they send: singles and batches, in any order."""
    rate, processes, limited = 20.0, 3, a_site(site, 20.0)
    chosen = random.Random(7)

    async def run() -> int:
        all_rates = [
            RateLimits(Buckets(url, clock=seconds), usual=0, clock=seconds)
            for _ in range(processes)
        ]
        passed = 0
        for _ in range(600):
            comments = chosen.choice([1, 1, 1, 1, 5, 40])
            passed += comments * await taken(chosen.choice(all_rates), limited, comments)
        for rates in all_rates:
            await rates.close()
        return passed

    started = time.monotonic()
    passed = asyncio.run(run())
    # SQLite's clock is the test's own; PostgreSQL's goes on.
    refilled = 0.0 if url.startswith("sqlite") else rate * (time.monotonic() - started)

    error = processes * Limit(rate).most_unposted
    assert rate * BURST_SECONDS - error <= passed <= rate * BURST_SECONDS + refilled + error


@pytest.mark.parametrize("database", ["sqlite"])  # no test can set PostgreSQL's clock
def test_what_was_overspent_is_paid_back(url: str, site: Site, seconds: Seconds) -> None:
    """In the long run the sum is the rate, not the rate and an error each second."""
    rate, limited = 20.0, a_site(site, 20.0)

    async def run() -> int:
        both = [RateLimits(Buckets(url, clock=seconds), usual=0, clock=seconds) for _ in range(2)]
        passed = 0
        for _ in range(200):  # a tenth of a second each
            for rates in both:
                while await taken(rates, limited):
                    passed += 1
            seconds.now += 0.1
        for rates in both:
            await rates.close()
        return passed

    passed = asyncio.run(run())

    assert passed <= rate * (BURST_SECONDS + 20) + 2 * Limit(rate).most_unposted
    assert passed >= 0.95 * rate * (BURST_SECONDS + 20)


def test_a_store_that_is_away_leaves_each_process_to_limit_alone(
    tmp_path: Path, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site("a", "blog", Policy(), "p", 10.0)

    async def run() -> int:
        nowhere = Buckets(f"sqlite:///{tmp_path / 'gone' / 'duyet.db'}")
        rates = RateLimits(nowhere, usual=0, clock=seconds)
        passed = sum([await taken(rates, site) for _ in range(300)])
        await rates.close()
        return passed

    assert asyncio.run(run()) == 100
    assert caplog.text.count("by this process alone") == 1


def test_what_was_let_through_while_the_store_was_away_is_posted_when_it_is_back(
    url: str, site: Site, store: Store
) -> None:
    limited = a_site(site, 10.0)
    with store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE rate_buckets RENAME TO moved")

    async def run() -> float:
        buckets = Buckets(url)
        rates = RateLimits(buckets, usual=0)
        for _ in range(60):
            await taken(rates, limited)
        await asyncio.to_thread(put_back)
        nothing = [Claim(site.id, WINDOW, 0.0)]
        for _ in range(200):
            [settled] = await asyncio.to_thread(buckets.settle, nothing)
            if settled.owed:
                break
            await asyncio.sleep(0.05)
        await rates.close()
        return settled.owed

    def put_back() -> None:
        with store.writes() as connection:
            connection.exec_driver_sql("ALTER TABLE moved RENAME TO rate_buckets")

    assert 3 < asyncio.run(run()) <= 6


def test_a_store_that_hangs_holds_no_request_for_long(tmp_path: Path, seconds: Seconds) -> None:
    released = threading.Event()

    class Stuck(Buckets):
        """Buckets whose database has frozen."""

        def settle(self, claims: object) -> list[Settled]:
            released.wait(20)
            raise StoreUnavailable("frozen")

    site = Site("a", "blog", Policy(), "p", 10.0)

    async def run() -> tuple[int, float]:
        rates = RateLimits(Stuck(f"sqlite:///{tmp_path / 'x.db'}"), usual=0, clock=seconds)
        started = time.monotonic()
        passed = sum(await asyncio.gather(*(taken(rates, site) for _ in range(300))))
        took = time.monotonic() - started
        released.set()
        await rates.close()
        return passed, took

    passed, took = asyncio.run(run())

    assert passed == 100
    assert took < 5  # not the twenty that the store is stuck for


def test_another_limit_keeps_the_bucket_as_full_as_it_was(tmp_path: Path, seconds: Seconds) -> None:
    async def run() -> tuple[bool, bool]:
        rates = RateLimits(Buckets(f"sqlite:///{tmp_path / 'x.db'}"), usual=0, clock=seconds)
        rates._is_alone = True
        assert await taken(rates, Site("a", "blog", Policy(), "p", 10.0), 50)
        wider = Site("a", "blog", Policy(), "p", 100.0)
        found = await taken(rates, wider, 501), await taken(rates, wider, 500)
        await rates.close()
        return found

    assert asyncio.run(run()) == (False, True)


# ------------------------------------------------------------------ over HTTP


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "var", DUYET_RATE_LIMIT="2") as service:
        yield service


def test_an_answer_tells_what_is_left(limited: Service) -> None:
    answer = limited.post(a_comment())

    assert answer.status_code == 200
    assert answer.headers["RateLimit-Policy"] == '"comments";q=20;w=10'
    assert re.fullmatch(r'"comments";r=19;t=\d', answer.headers["RateLimit"])


def test_too_many_are_told_the_limit_and_when_to_come_back_and_nothing_is_stored(
    limited: Service,
) -> None:
    batch = limited.post([a_comment(f"câu {n}") for n in range(20)], "/v1/comments/batch")
    stored = limited.stored()

    answer = limited.post(a_comment("một câu nữa"))

    assert batch.status_code == 200
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["RateLimit"].startswith('"comments";r=0;t=')
    assert answer.json()["code"] == "too_many_requests"
    assert "2 comments a second, 20 at once" in answer.json()["detail"]
    assert answer.json()["limit"] == {"comments_per_second": 2.0, "at_once": 20}
    assert limited.stored() == stored == 20


def test_a_batch_counts_as_many_as_it_holds_and_passes_whole_or_not_at_all(
    limited: Service,
) -> None:
    first = limited.post([a_comment(f"a {n}") for n in range(15)], "/v1/comments/batch")
    second = limited.post([a_comment(f"b {n}") for n in range(15)], "/v1/comments/batch")

    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["Retry-After"]) in {4, 5}
    assert limited.stored() == 15


def test_a_batch_that_never_fits_is_told_what_would(limited: Service) -> None:
    answer = limited.post([a_comment(f"c {n}") for n in range(21)], "/v1/comments/batch")

    assert answer.status_code == 429
    assert "send at most 20 in one" in answer.json()["detail"]
    assert limited.stored() == 0


def test_bad_comments_count_too(limited: Service) -> None:
    statuses = Counter(limited.post({"content": 7}).status_code for _ in range(40))

    assert statuses[422] in range(20, 30)
    assert statuses[429] == 40 - statuses[422]


def test_a_site_has_a_limit_of_its_own_and_other_sites_are_not_touched(tmp_path: Path) -> None:
    with running(tmp_path / "var", DUYET_RATE_LIMIT="1") as service:
        service.store.set_rate_limit(service.site.id, 5)
        service.store.set_rate_limit(service.other_site.id, 0)

        own = service.post(a_comment())
        with service.client(service.other_key) as client:
            unlimited = client.post("/v1/comments", json=a_comment())

    assert own.headers["RateLimit-Policy"] == '"comments";q=50;w=10'
    assert unlimited.status_code == 200
    assert "RateLimit-Policy" not in unlimited.headers


def test_who_has_no_key_learns_nothing_of_limits(limited: Service) -> None:
    with limited.client("dk_" + "x" * 44) as client:
        statuses = {client.post("/v1/comments", json=a_comment()).status_code for _ in range(40)}

    assert statuses == {401}


def test_setting_a_limit_is_on_record(store: Store, site: Site) -> None:
    store.set_rate_limit(site.id, 12.5)
    changed = store.set_rate_limit(site.id, None)

    bodies = [json.loads(e.body) for e in store.events([site.id]) if e.kind == "rate_limit_set"]
    assert changed.rate_limit is None
    assert bodies == [{"from": None, "to": 12.5}, {"from": 12.5, "to": None}]


@pytest.mark.parametrize("rate", ["-1", "nan", "inf", "0.001", "2000000", "many", "1e9"])
def test_a_limit_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(SettingsError, match=r"DUYET_RATE_LIMIT .*must be 0, or a number"):
        load_settings({"DUYET_RATE_LIMIT": rate})


def test_there_is_no_limit_unless_one_is_set() -> None:
    assert Settings().rate_limit == 0


# ------------------------------------------------------------------ real processes


Start = Callable[..., "tuple[int, str]"]


@pytest.fixture
def start(tmp_path: Path, empty_url: str) -> Iterator[Start]:
    """Starts `duyet serve` on one installation; gives its port, and the key at the first start."""
    model_at(tmp_path / "models")
    clean = {n: v for n, v in os.environ.items() if not n.startswith("DUYET_")}
    own = {
        "DUYET_DATA_DIR": str(tmp_path / "var"),
        "DUYET_MODELS": str(tmp_path / "models"),
        "DUYET_DATABASE_URL": empty_url,
        "DUYET_PORT": "0",
        "DUYET_LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
    }
    processes: list[subprocess.Popen[str]] = []

    def started(**settings: str) -> tuple[int, str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "duyet", "serve"],
            env=clean | own | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        told = ""
        assert process.stdout is not None
        while "duyet sign-in`" not in told:
            line = process.stdout.readline()
            assert line, "the service ended"
            told += line
        port = re.search(r"http://127\.0\.0\.1:(\d+)", told)
        key = re.search(r"Bearer (\S+?)'", told)
        assert port is not None
        return int(port[1]), key[1] if key else ""

    yield started
    for process in processes:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def flooded(ports: list[int], key: str, *, until: int) -> tuple[int, float]:
    """Post from eight connections until so many were let through; how many, in what seconds."""
    passed: list[float] = []
    started = time.monotonic()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(number: int) -> None:
        place = 0
        while len(passed) < until and time.monotonic() - started < 60:
            # Anew each time, so that the kernel hands it to whichever worker takes it.
            connection = HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=20)
            place += 1
            body = json.dumps(a_comment(f"câu {number} {place}"))
            connection.request("POST", "/v1/comments", body, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert answer.status in {200, 429}
            if answer.status == 200:
                passed.append(time.monotonic())

    threads = [threading.Thread(target=post, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(passed), max(passed) - started


RATE = 20.0
ENOUGH = int(RATE * BURST_SECONDS) + 60


def most(seconds: float) -> float:
    """What two processes may let through of RATE in so many seconds."""
    return RATE * (BURST_SECONDS + seconds) + 2 * Limit(RATE).most_unposted


def test_two_workers_share_a_limit(start: Start) -> None:
    port, key = start(DUYET_WORKERS="2", DUYET_RATE_LIMIT=f"{RATE:g}")
    until_ready(port)

    passed, seconds = flooded([port], key, until=ENOUGH)

    assert ENOUGH <= passed <= most(seconds)


def test_two_machines_share_a_limit(start: Start) -> None:
    first, key = start(DUYET_RATE_LIMIT=f"{RATE:g}")
    second, _ = start(DUYET_RATE_LIMIT=f"{RATE:g}")
    until_ready(first)
    until_ready(second)

    passed, seconds = flooded([first, second], key, until=ENOUGH)

    assert ENOUGH <= passed <= most(seconds)


def until_ready(port: int) -> None:
    pause = threading.Event()
    for _ in range(400):
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        pause.wait(0.05)
    pytest.fail("the service was not ready in 20 s")
