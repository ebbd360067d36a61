"""A real replica that follows, lags and goes away."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres import PostgresServer
from model.policy import Policy
from service.keyring import Keyring
from service.storage import Site, Store
from tests.storage.cases import Clock, accept, many, put

pytestmark = pytest.mark.postgres


@pytest.fixture
def database() -> str:
    return "postgres"


@pytest.fixture(scope="module")
def followed(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.replica() as sockets:
        yield sockets


class Follower:
    """The replica of one database, whose replay a test may stop."""

    def __init__(self, primary: str, url: str) -> None:
        self.url = url
        self._primary = primary

    def stops_replaying(self) -> None:
        self._run(self.url, "SELECT pg_wal_replay_pause()")

    def catches_up(self) -> None:
        """Replay all that the primary has written."""
        self._run(self.url, "SELECT pg_wal_replay_resume()")
        (place,) = self._run(self._primary, "SELECT pg_current_wal_lsn()::text")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{place}'"
        while self._run(self.url, reached) != (True,):
            pass

    def _run(self, url: str, statement: str) -> tuple[object, ...]:
        with psycopg.connect(url, autocommit=True) as connection:
            row: tuple[object, ...] | None = connection.execute(statement).fetchone()
            return row or ()


@pytest.fixture
def follower(url: str, followed: str) -> Iterator[Follower]:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    follower = Follower(url, f"postgresql://duyet@/{name}?host={followed}")
    follower.catches_up()
    yield follower
    follower.catches_up()


@pytest.fixture
def store(url: str, keyring: Keyring, clock: Clock, follower: Follower) -> Iterator[Store]:
    store = Store.open(url, keyring, now=clock, replica_url=follower.url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def site(store: Store) -> Site:
    return store.add_site("blog", Policy())[0]


def ids_on_page(store: Store) -> list[str]:
    return [item.comment.id for item in store.queue_page(None).items]


def test_the_queue_is_read_from_the_replica(
    store: Store, site: Site, clock: Clock, follower: Follower
) -> None:
    first = put(store, *many(2, site, clock))
    follower.catches_up()
    follower.stops_replaying()
    put(store, *many(2, site, clock))

    assert ids_on_page(store) == first
    assert store.queue_size(None) == 2


def test_what_was_just_decided_does_not_come_back_from_a_replica_that_lags(
    store: Store, site: Site, clock: Clock, follower: Follower, open_store: Callable[[], Store]
) -> None:
    ids = put(store, *many(3, site, clock))
    follower.catches_up()
    follower.stops_replaying()

    open_store().decide(None, ids[1], accept(clock()))  # at another machine

    assert ids_on_page(store) == [ids[0], ids[2]]


def test_a_verdict_sees_what_was_decided_whatever_the_replica_knows(
    store: Store, site: Site, clock: Clock, follower: Follower
) -> None:
    (comment_id,) = put(store, *many(1, site, clock))
    follower.catches_up()
    follower.stops_replaying()
    store.decide(None, comment_id, accept(clock()))

    (known,) = store.gather(many(1, site, clock))

    assert known.history.author_accepted == 1


def test_labels_are_exported_from_the_replica(
    store: Store, site: Site, clock: Clock, follower: Follower
) -> None:
    ids = put(store, *many(2, site, clock))
    store.decide(None, ids[0], accept(clock()))
    follower.catches_up()
    follower.stops_replaying()
    store.decide(None, ids[1], accept(clock()))

    assert {example.extra["comment_id"] for example in store.labelled()} == {ids[0]}


def test_how_far_it_is_behind_is_told(
    store: Store, site: Site, clock: Clock, follower: Follower
) -> None:
    put(store, *many(1, site, clock))
    follower.catches_up()
    at_once = store.replica_lag_seconds()
    follower.stops_replaying()
    put(store, *many(1, site, clock))

    assert at_once == 0.0
    assert store.replica_lag_seconds() is not None


def test_without_the_replica_the_primary_answers(
    url: str, keyring: Keyring, clock: Clock, tmp_path: Path
) -> None:
    store = Store.open(
        url, keyring, now=clock, replica_url=f"postgresql://duyet@/no?host={tmp_path}"
    )
    store.migrate()
    site, _ = store.add_site("blog", Policy())
    ids = put(store, *many(2, site, clock))

    assert ids_on_page(store) == ids
    assert store.queue_size(None) == 2
    assert store.replica_lag_seconds() is None
    store.close()


def test_a_replica_that_is_no_postgres_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only PostgreSQL"):
        Store.open(f"sqlite:///{tmp_path}/a.db", keyring, replica_url=f"sqlite:///{tmp_path}/b.db")
