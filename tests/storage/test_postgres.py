"""What is PostgreSQL's own: connections that break, statements that hang, a read-only server."""

import threading
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from model.decision import ReportKind
from service.storage import Checked, Site, Store, StoreUnavailable, TablesChanged, engine
from service.storage.engine import open_engine, transaction
from service.storage.review import report
from service.storage.tables import waiting
from service.storage.traits import rows_of, traits_of, unread, write
from tests.storage.cases import EMAIL, VERDICT, Clock, asked, record

pytestmark = pytest.mark.postgres


@pytest.fixture
def database() -> str:
    return "postgres"


def test_a_connection_that_was_cut_is_replaced(store: Store, site: Site, url: str) -> None:
    store.ping()
    _cut_all(url)

    assert store.sites() == [site]


def test_a_connection_cut_within_a_transaction_leaves_nothing(
    store: Store, site: Site, clock: Clock, url: str
) -> None:
    batch = [asked(site, clock())]
    known = store.gather(batch)

    with pytest.raises(StoreUnavailable) as refusal:
        _write_while_cut(store, url)

    assert EMAIL not in repr(refusal.value)
    store.record([Checked(batch[0], known[0], VERDICT, 1.0)])
    assert [one.name for one in store.sites()] == [site.name]


def test_a_read_only_server_can_be_read_and_says_that_it_cannot_be_written(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock, url: str
) -> None:
    (comment,) = record(store, asked(site, clock()))
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    frozen = open_store()
    late = asked(site, clock())
    (known,) = frozen.gather([late])

    try:
        with pytest.raises(StoreUnavailable, match="25006"):
            frozen.record([Checked(late, known, VERDICT, 1.0)])
        seen = frozen.comment(None, comment.id)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

    assert seen == comment


@pytest.mark.parametrize(
    ("setting", "value"),
    [("statement_timeout", "15s"), ("lock_timeout", "15s"), ("TimeZone", "UTC")],
)
def test_every_connection_has_limits(store: Store, setting: str, value: str) -> None:
    with store.reads() as connection:
        assert connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == value


def test_a_lock_held_elsewhere_ends_in_unavailable(
    store: Store, site: Site, clock: Clock, url: str
) -> None:
    batch = [asked(site, clock())]
    known = store.gather(batch)
    with store._hot.connect() as connection:  # the limit of the pool's connection, made short
        connection.exec_driver_sql("SET lock_timeout = '50ms'")
        connection.commit()

    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE comments")
        with pytest.raises(StoreUnavailable, match="55P03"):
            store.record([Checked(batch[0], known[0], VERDICT, 1.0)])

    assert store.comment(None, batch[0].comment_id) is None


def test_the_hot_path_keeps_its_plans_for_a_moment(
    store: Store, site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PLANNED_SECONDS", 3600.0)
    for _ in range(20):
        store.gather([asked(site, clock())])

    with store._hot.connect() as connection:
        custom, kept = connection.exec_driver_sql(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%%author_seen%%'"
        ).one()
        connection.exec_driver_sql("SET enable_seqscan = off")  # the table may be empty
        connection.exec_driver_sql("PREPARE one AS SELECT 1 FROM comments WHERE text_key = $1")
        before = _plan(connection)
        connection.exec_driver_sql("SET enable_seqscan = on")
        connection.exec_driver_sql("SET enable_indexscan = off")
        connection.exec_driver_sql("SET enable_indexonlyscan = off")
        connection.exec_driver_sql("SET enable_bitmapscan = off")
        assert _plan(connection) == before  # a setting alone makes no kept plan another
        connection.commit()
    monkeypatch.setattr(engine, "PLANNED_SECONDS", 0.0)
    store.gather([asked(site, clock())])
    with store._hot.connect() as connection:
        after = _plan(connection)

    assert custom == 0
    assert kept > 10  # psycopg prepares what it was asked a few times
    assert "Index" in before
    assert "Index" not in after


def _plan(connection: sa.Connection) -> str:
    return "".join(connection.exec_driver_sql("EXPLAIN EXECUTE one('x')").scalars())


def _write_while_cut(store: Store, url: str) -> None:
    with store.writes() as connection:
        connection.exec_driver_sql("UPDATE sites SET name = 'changed'")
        _cut_all(url)
        connection.exec_driver_sql("SELECT 1")


def _cut_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_row_that_meets_a_new_partition_on_its_way_is_to_be_written_again(empty_url: str) -> None:
    engine = open_engine(empty_url)
    with transaction(engine, writes=True) as connection:
        connection.execute(sa.text("CREATE TABLE cut (at int) PARTITION BY RANGE (at)"))
        connection.execute(sa.text("CREATE TABLE rest PARTITION OF cut DEFAULT"))
        connection.execute(sa.text("CREATE TABLE one PARTITION OF cut FOR VALUES FROM (0) TO (9)"))

    with pytest.raises(TablesChanged), transaction(engine, writes=True) as connection:
        connection.execute(sa.text("INSERT INTO rest VALUES (5)"))

    engine.dispose()


def test_a_column_of_another_type_is_read_at_once(store: Store, site: Site, clock: Clock) -> None:
    for _ in range(20):  # more often than psycopg takes to prepare a statement
        record(store, asked(site, clock()))
    change = "ALTER TABLE sites ALTER COLUMN rules_version TYPE"
    try:
        with store.writes() as connection:
            connection.exec_driver_sql(f"{change} integer")
        record(store, asked(site, clock()))
    finally:  # other tests go on in this database
        with store.writes() as connection:
            connection.exec_driver_sql(f"{change} bigint")


def test_a_report_counts_whose_comment_is_just_being_read_for_the_filters(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock
) -> None:
    ids = [record(store, asked(site, clock()))[0].id for _ in range(2)]
    other = open_store()
    with store.reads() as connection:
        new = unread(connection, 10)
    rows = rows_of({one: (read, traits_of(read)) for one, read in new.items()}, Counter())

    reporting = threading.Thread(target=lambda: other.report(None, ids[0], ReportKind.SPAM))
    with store.writes() as connection:
        write(connection, rows)
        reporting.start()
        reporting.join(0.3)
        assert reporting.is_alive(), "it waits for the comment's place in the queue"
    reporting.join(10)
    with store.reads() as connection:
        found = connection.execute(sa.select(waiting.c.comment_id, waiting.c.is_reported))
        assert {row.comment_id: row.is_reported for row in found} == {ids[0]: True, ids[1]: False}


def test_a_report_counts_that_the_writing_of_its_traits_has_waited_for(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock
) -> None:
    (comment,) = record(store, asked(site, clock()))
    other = open_store()
    with store.reads() as connection:
        new = unread(connection, 10)
    rows = rows_of({one: (read, traits_of(read)) for one, read in new.items()}, Counter())

    def written() -> None:
        with other.writes() as connection:
            write(connection, rows)

    writing = threading.Thread(target=written)
    with store.writes() as connection:
        report(connection, None, comment.id, kind=ReportKind.SPAM, at=clock())
        writing.start()
        writing.join(0.3)
        assert writing.is_alive(), "it waits for the same place"
    writing.join(10)
    with store.reads() as connection:
        assert connection.execute(sa.select(waiting.c.is_reported)).scalars().all() == [True]
