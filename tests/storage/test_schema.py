"""Migrations, and what happens when the database cannot do what is asked."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from service.keyring import Keyring
from service.storage import (
    KeyringMismatch,
    Store,
    StoreError,
    StoreUnavailable,
)
from service.storage.engine import open_engine
from service.storage.tables import metadata


def test_migrations_lead_to_the_tables_the_code_knows(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": _is_ours(engine.dialect.name)}
        context = MigrationContext.configure(connection, opts=options)

        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []


def _is_ours(dialect: str) -> Callable[..., bool]:
    """What both know; not partitions, nor keys to comments, which PostgreSQL does without."""

    def is_ours(
        found: sa.schema.SchemaItem, name: str | None, kind: str, reflected: bool, _: object
    ) -> bool:
        if kind == "table":
            return name in metadata.tables
        if isinstance(found, sa.Index) and not reflected:
            return found.info.get("only", dialect) == dialect
        is_key = isinstance(found, sa.ForeignKeyConstraint) and not reflected
        return not (is_key and str(name).endswith("_comment_id"))

    return is_ours


def test_indexes_with_a_condition_are_the_same_as_in_the_code(url: str, database: str) -> None:
    engine = open_engine(url)

    found = {i["name"]: i for i in sa.inspect(engine).get_indexes("comments")}
    engine.dispose()

    partial = found["ix_comments_decided_author_key"]
    condition = str(partial["dialect_options"][f"{engine.dialect.name}_where"])
    assert condition.strip("()").lower() == "decided is not null"
    ours = metadata.tables["comments"].indexes
    dialect = engine.dialect.name
    assert set(found) == {i.name for i in ours if i.info.get("only", dialect) == dialect}


def test_an_empty_database_is_migrated_once_by_processes_that_start_together(
    empty_url: str, keyring: Keyring
) -> None:
    stores = [Store.open(empty_url, keyring) for _ in range(4)]
    together = threading.Barrier(len(stores))
    failures: list[StoreError] = []

    def run(store: Store) -> None:
        together.wait()
        try:
            store.migrate()
        except StoreError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert all(store.schema_is_current() for store in stores)
    for store in stores:
        store.close()


def test_an_empty_database_is_not_current_and_unavailable(empty_url: str, keyring: Keyring) -> None:
    store = Store.open(empty_url, keyring)

    assert not store.schema_is_current()
    with pytest.raises(StoreUnavailable):
        store.sites()
    store.close()


def test_another_keyring_is_refused(store: Store, url: str, tmp_path: Path) -> None:
    stranger = Store.open(url, Keyring.open(tmp_path / "others"))

    with pytest.raises(KeyringMismatch, match=r"match\.key"):
        stranger.migrate()
    stranger.close()


@pytest.mark.parametrize(
    "url_",
    [
        "",
        "mysql://an:secret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "nonsense secret",
        "postgresql://an:secret@host:port/db",
    ],
)
def test_a_wrong_url_is_refused_without_quoting_it(url_: str) -> None:
    with pytest.raises(ValueError, match="database URL") as refusal:
        open_engine(url_)

    assert "secret" not in repr(refusal.value)


def test_an_engine_does_not_show_its_password() -> None:
    engine = open_engine("postgresql://an:secret@127.0.0.1:1/db")

    assert "secret" not in repr(engine)


@pytest.mark.postgres
def test_a_database_that_is_away_is_unavailable(keyring: Keyring, tmp_path: Path) -> None:
    store = Store.open(f"postgresql://an:secret@/db?host={tmp_path}", keyring)

    with pytest.raises(StoreUnavailable) as refusal:
        store.ping()

    assert "secret" not in repr(refusal.value)
    assert refusal.value.__context__ is None
