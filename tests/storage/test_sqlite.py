"""What is SQLite's own: its file, its settings, a disk that refuses."""

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from model.policy import Policy
from service.keyring import Keyring
from service.storage import Checked, Site, Store, StoreUnavailable
from service.storage.engine import open_engine
from tests.storage.cases import EMAIL, VERDICT, Clock, asked, record


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "duyet.db"


def test_a_new_file_is_its_owners_alone(tmp_path: Path, keyring: Keyring) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'new.db'}", keyring)
    store.migrate()
    store.add_site("blog", Policy())

    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob("new.db*")}
    store.close()

    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)],
)
def test_every_connection_is_durable_and_strict(url: str, setting: str, value: object) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"PRAGMA {setting}").scalar_one()
    engine.dispose()

    assert found == value


def test_the_connection_that_was_used_last_is_used_next(url: str) -> None:
    engine = open_engine(url)
    opened = [engine.raw_connection() for _ in range(3)]
    last = opened[-1].driver_connection
    for connection in opened:
        connection.close()

    for _ in range(3):  # so that it has the pages it read
        connection = engine.raw_connection()
        assert connection.driver_connection is last
        connection.close()
    engine.dispose()


def test_a_read_goes_on_while_another_process_writes(store: Store, site: Site, path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE sites SET name = 'changed'")

    names = [one.name for one in store.sites()]
    writer.execute("ROLLBACK")
    writer.close()

    assert names == ["blog"]


def test_what_was_committed_is_moved_out_of_the_log_beside_the_commits(
    store: Store, site: Site, clock: Clock, path: Path
) -> None:
    reader = sqlite3.connect(path, isolation_level=None)
    log = path.with_name("duyet.db-wal")
    while log.stat().st_size < 5_000_000:  # more than SQLite would leave there by itself
        record(store, *(asked(site, clock()) for _ in range(100)))
    before = path.stat().st_size

    store.checkpoint()

    assert before < 1_000_000 < path.stat().st_size
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")  # nobody waits for anybody
    store.checkpoint()
    writer.execute("ROLLBACK")
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM comments").fetchone()
    size = log.stat().st_size
    record(store, asked(site, clock()))
    assert log.stat().st_size == size  # it began anew
    store.checkpoint()
    assert reader.execute("SELECT count(*) FROM comments").fetchone() == seen
    for one in (reader, writer):
        one.close()


def test_a_full_disk_is_unavailable_and_loses_nothing(
    store: Store, site: Site, clock: Clock, path: Path
) -> None:
    (before,) = record(store, asked(site, clock()))
    late = asked(site, clock())
    (known,) = store.gather([late])
    ((pages,),) = store._direct.read(lambda driver: driver.fetch("PRAGMA page_count", ()))
    # On the connection that was kept, as it is the only one so far.
    store._direct.read(lambda driver: driver.fetch(f"PRAGMA max_page_count = {pages}", ()))

    with pytest.raises(StoreUnavailable, match="SQLITE_FULL") as refusal:
        store.record([Checked(late, known, VERDICT, 1.0), *_more(store, site, clock)])

    assert EMAIL not in f"{refusal.value!r} {refusal.value.__context__!r}"
    assert store.comment(None, late.comment_id) is None
    assert store.comment(None, before.id) == before


def _more(store: Store, site: Site, clock: Clock) -> list[Checked]:
    batch = [asked(site, clock()) for _ in range(50)]
    known = store.gather(batch)
    return [Checked(a, k, VERDICT, 1.0) for a, k in zip(batch, known, strict=True)]


def test_a_read_only_database_can_be_read_and_says_that_it_cannot_be_written(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock, path: Path
) -> None:
    (comment,) = record(store, asked(site, clock()))
    engine = open_engine(f"sqlite:///{path}")

    # Root may write anything, so the file's mode would prove nothing.
    @sa.event.listens_for(engine, "connect")
    def forbid(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    frozen = Store(engine, Keyring(path.parent / "secrets"), now=clock)
    late = asked(site, clock())
    (known,) = frozen.gather([late])

    with pytest.raises(StoreUnavailable, match="SQLITE_READONLY"):
        frozen.record([Checked(late, known, VERDICT, 1.0)])

    assert frozen.comment(None, comment.id) == comment
    frozen.close()


def test_a_file_that_is_no_database_is_unavailable(path: Path, keyring: Keyring) -> None:
    path.write_bytes(b"not a database, but long enough to look like one" * 100)
    store = Store.open(f"sqlite:///{path}", keyring)

    with pytest.raises(StoreUnavailable):
        store.ping()
    store.close()


def test_a_directory_that_is_missing_is_unavailable(tmp_path: Path, keyring: Keyring) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'none' / 'duyet.db'}", keyring)

    with pytest.raises(StoreUnavailable):
        store.ping()


def test_a_transaction_cut_off_before_its_commit_leaves_nothing(
    store: Store, site: Site, clock: Clock, path: Path, tmp_path: Path
) -> None:
    """As after a power cut: the files are copied while a transaction is open, then opened."""
    (kept,) = record(store, asked(site, clock()))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE comments SET state = 'accept'")
    writer.execute("DELETE FROM queue")
    copy = tmp_path / "after" / "duyet.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    writer.execute("ROLLBACK")
    writer.close()

    restarted = Store.open(f"sqlite:///{copy}", Keyring(tmp_path / "secrets"), now=clock)

    assert restarted.comment(None, kept.id) == kept
    restarted.close()


@pytest.mark.parametrize("way", ["deleted", "replaced"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    store: Store, site: Site, clock: Clock, path: Path, way: str
) -> None:
    (before,) = record(store, asked(site, clock()))
    late = asked(site, clock())
    (known,) = store.gather([late])
    aside = path.rename(path.with_name("aside.db"))
    if way == "replaced":
        path.write_bytes(aside.read_bytes())

    with pytest.raises(StoreUnavailable):
        store.record([Checked(late, known, VERDICT, 1.0)])
    with pytest.raises(StoreUnavailable):
        store.try_writing()
    with pytest.raises(StoreUnavailable):
        store.add_site("another", Policy())
    assert path.exists() == (way == "replaced"), "and none is made in its place"

    aside.replace(path)
    store.record([Checked(late, known, VERDICT, 1.0)])
    assert store.comment(None, before.id) == before
