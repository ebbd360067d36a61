"""PostgreSQL cut off, frozen, restarted, read-only, failing over: 503, the truth, and back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.faults.ledger import ledger
from tests.faults.load import UNHURRIED, Load
from tests.faults.proxy import Proxy, proxied
from tests.faults.running import Running, until
from tests.faults.servers import Server, a_server
from tests.faults.table import COMPLETE, TABLE

TOLD_SECONDS = 12.0
"""Within which `/readyz` says that the database is away; it answers each time in 4 s."""
BACK_SECONDS = 30.0
ROUNDS = 5 if COMPLETE else 1


@dataclass
class Behind:
    """A service, the proxy between it and its database, and the load on it."""

    service: Running
    proxy: Proxy
    server: Server
    load: Load

    def is_told(self) -> float:
        """Wait until readiness tells the fault; the seconds it took."""

        def told() -> bool:
            status, seconds, why = self.service.readiness()
            assert seconds < 6, f"/readyz took {seconds:.1f} s"
            return status == 503 and "the store" in why

        return until(told, TOLD_SECONDS, "/readyz does not tell that the database is away")

    def is_back(self) -> float:
        """Wait until comments are answered and readiness says so; the seconds it took."""
        before = len(self.load.answered)
        return until(
            lambda: len(self.load.answered) > before + 20 and self.service.status("/readyz") == 200,
            BACK_SECONDS,
            lambda: f"not back: {self.load}; {self.service.readiness()}",
        )


@pytest.fixture
def behind(service: Callable[..., Running], server: Callable[[], Server]) -> Iterator[Behind]:
    real = server()
    with proxied(real.port) as proxy:
        one = service(DUYET_DATABASE_URL=real.url("duyet", port=proxy.port), DUYET_WORKERS="2")
        one.start()
        yield Behind(one, proxy, real, Load(one, pause=UNHURRIED))


@pytest.fixture
def unreached(
    service: Callable[..., Running], server: Callable[[], Server]
) -> Iterator[tuple[Running, Proxy, Server]]:
    """A service that never ran, and a database that it cannot reach yet."""
    real = server()
    with proxied(real.port) as proxy:
        proxy.cut()
        url = real.url("duyet", port=proxy.port)
        yield service(DUYET_DATABASE_URL=url, DUYET_WORKERS="2"), proxy, real


def fault(
    behind: Behind,
    name: str,
    breaks: Callable[[], None],
    mends: Callable[[], None],
    *,
    slowest: float = 60,
) -> None:
    """Break it under load, see that it is told, mend it, see that it is back by itself."""
    told, back = [], []
    with behind.load.running(within=60):
        for _ in range(ROUNDS):
            behind.load.reaches(30)
            breaks()
            told.append(behind.is_told())
            mends()
            back.append(behind.is_back())

    found = ledger(behind.server.url("duyet"), behind.load)
    assert found.faults == {}
    assert set(behind.load.statuses) <= {200, 503}
    assert behind.load.broken == 0
    assert behind.load.slowest < slowest
    TABLE.row(
        name,
        f"503 meanwhile; /readyz tells within {TOLD_SECONDS:.0f} s, back within "
        f"{BACK_SECONDS:.0f} s by itself; nothing lost",
        f"{ROUNDS} times; told after {max(told):.1f} s, back after {max(back):.1f} s at most; "
        f"{behind.load}; {found}",
    )


def test_a_database_that_is_cut_off_is_told_and_come_back_to(behind: Behind):
    fault(behind, "PostgreSQL: connections cut", behind.proxy.cut, behind.proxy.mend)


def test_a_database_that_is_frozen_holds_nobody_for_ever(behind: Behind):
    def thaws() -> None:
        refused = behind.load.statuses[503]
        until(lambda: behind.load.statuses[503] > refused, 40, "callers wait for ever")
        behind.proxy.mend()

    fault(behind, "PostgreSQL: frozen", behind.proxy.freeze, thaws)


def test_a_database_that_crashes_and_starts_again_is_come_back_to(behind: Behind):
    fault(behind, "PostgreSQL: crash and restart", behind.server.stop, behind.server.start)


def test_a_database_that_turns_read_only_is_told_and_come_back_to(behind: Behind):
    def turn(word: str) -> Callable[[], None]:
        return lambda: behind.server.set("default_transaction_read_only", word)

    def mends() -> None:
        with psycopg.connect(behind.server.url("postgres"), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")

    fault(behind, "PostgreSQL: read-only", turn("on"), mends)


def test_a_failover_to_the_standby_loses_nothing(behind: Behind):
    with a_server() as standby:
        standby.follow(behind.server)
        with behind.load.running(within=60):
            behind.load.reaches(60)
            behind.server.stop("immediate")
            told = behind.is_told()
            # First to the standby as it is, which reads and cannot write: not ready either.
            behind.proxy.switch(standby.port)
            until(
                lambda: behind.service.readiness()[2] == "the store cannot be written",
                TOLD_SECONDS,
                lambda: f"/readyz does not tell of a standby: {behind.service.readiness()}",
            )
            standby.promote()
            back = behind.is_back()

        found = ledger(standby.url("duyet"), behind.load)
        assert found.faults == {}
        assert set(behind.load.statuses) <= {200, 503}
        assert behind.load.broken == 0
        TABLE.row(
            "PostgreSQL: failover to a synchronous standby",
            "nothing acknowledged is lost; a standby that cannot write yet is told as such",
            f"told after {told:.1f} s, back {back:.1f} s after the promotion; {behind.load}; "
            f"{found}",
        )


def test_a_service_started_before_its_database_prepares_once_that_is_there(
    unreached: tuple[Running, Proxy, Server],
):
    service, proxy, server = unreached
    service.start(ready=False)
    status, _, why = service.readiness()
    assert (status, why) == (503, "the store does not answer")
    assert service.asked("POST", "/v1/comments", {}, Authorization="Bearer unknown")[0] == 503

    proxy.mend()
    back = until(lambda: service.status("/readyz") == 200, BACK_SECONDS, service.said)

    until(service.read_key, BACK_SECONDS, service.said)
    load = Load(service, pause=UNHURRIED)
    with load.running(within=60):
        load.reaches(30)
    found = ledger(server.url("duyet"), load)
    assert found.faults == {}
    assert set(load.statuses) == {200}
    TABLE.row(
        "PostgreSQL: away when the service starts",
        f"it runs, not ready; within {BACK_SECONDS:.0f} s of the database it has made all it needs",
        f"ready {back:.1f} s after; {load}; {found}",
    )


def test_a_service_ends_when_the_late_database_is_one_of_other_keys(
    unreached: tuple[Running, Proxy, Server], service: Callable[..., Running]
):
    late, proxy, server = unreached
    first = service(DUYET_DATABASE_URL=server.url("duyet"))
    first.start()
    first.stop()
    late.start(ready=False)

    proxy.mend()

    until(late.has_ended, BACK_SECONDS, "it goes on with keys that are not the database's")
    assert "is not the one this database was written with" in late.said()
    assert late.process is not None
    assert late.process.returncode == 1
