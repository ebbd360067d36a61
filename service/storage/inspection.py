"""Look at a database from outside: what it is, how far its clock is off, how long a commit takes.

Knows both databases' ways to say so. Changes nothing that is stored; never migrates.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.keyring import Keyring
from service.storage import schema
from service.storage.engine import open_engine, transaction
from service.storage.tables import comments, keyring_marks

COMMITS = 5


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found. `clock_ahead` is how far the database's clock is before this machine's.

    `commit` is the median time of a durable commit. `is_durable` says whether a commit waits
    for the disk at all. `schema_at` is the revision, None for an empty database.
    """

    name: str
    version: tuple[int, ...]
    encoding: str
    is_durable: bool
    schema_at: str | None
    schema_is_known: bool
    clock_ahead: timedelta
    commit: timedelta

    @property
    def is_current(self) -> bool:
        """Whether the schema is this program's."""
        return self.schema_at == schema.head()


def inspected(url: str) -> Inspected:
    """What is at a URL. Raises StoreUnavailable, ValueError for a URL that names no database."""
    engine = open_engine(url)
    try:
        with transaction(engine, writes=False) as connection:
            revision = schema.revision_of(connection)
            described = _of_postgres(connection) if _is_postgres(engine) else _of_sqlite(connection)
        return Inspected(
            **described,
            schema_at=revision,
            schema_is_known=revision is None or schema.is_known(revision),
            commit=_commit(engine),
        )
    finally:
        engine.dispose()


def keys_that_are_not_its_own(url: str, keyring: Keyring) -> list[str]:
    """Key files that the database needs and this keyring has not, or has others of.

    For a database at this program's schema. Raises StoreUnavailable.
    """
    engine = open_engine(url)
    try:
        with transaction(engine, writes=False) as connection:
            marks = {r.file: r.fingerprint for r in connection.execute(sa.select(keyring_marks))}
            # Of the first and the last comment: to look at all of millions takes too long.
            used = sa.select(comments.c.email_key_id).where(comments.c.email_key_id.is_not(None))
            ends = (
                used.order_by(order).limit(1) for order in (comments.c.id, comments.c.id.desc())
            )
            in_use = {number for end in ends for number in connection.scalars(end)}
    finally:
        engine.dispose()
    own = keyring.fingerprints()
    other = [file for file, fingerprint in marks.items() if own.get(file) != fingerprint]
    missing = sorted(in_use - set(keyring.address_key_ids))
    return [*other, *(f"address-{n}.key" for n in missing)]


def _is_postgres(engine: sa.Engine) -> bool:
    return engine.dialect.name == "postgresql"


def _of_postgres(connection: sa.Connection) -> dict[str, Any]:
    asked = time.time()
    said = connection.scalar(sa.text("SELECT clock_timestamp()"))
    answered = time.time()
    ours = datetime.fromtimestamp((asked + answered) / 2, UTC)

    def setting(name: str) -> str:
        return str(connection.scalar(sa.text("SELECT current_setting(:name)"), {"name": name}))

    number = int(setting("server_version_num"))
    return {
        "name": "PostgreSQL",
        "version": (number // 10_000, number % 10_000),
        "encoding": setting("server_encoding"),
        "is_durable": setting("fsync") == "on" and setting("synchronous_commit") != "off",
        "clock_ahead": said - ours,
    }


def _of_sqlite(connection: sa.Connection) -> dict[str, Any]:
    dialect = connection.dialect
    return {
        "name": "SQLite",
        "version": tuple(getattr(dialect, "server_version_info", None) or ()),
        "encoding": str(connection.exec_driver_sql("PRAGMA encoding").scalar_one()),
        "is_durable": True,
        "clock_ahead": timedelta(0),
    }


def _commit(engine: sa.Engine) -> timedelta:
    """The median of some commits that leave nothing behind, but have to reach the disk."""
    took = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        with transaction(engine, writes=True) as connection:
            if _is_postgres(engine):  # a message in the log, which nobody reads
                connection.execute(sa.text("SELECT pg_logical_emit_message(true, 'duyet', '')"))
            else:  # the same value again: a page is written all the same
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")
        took.append(time.perf_counter() - began)
    return timedelta(seconds=sorted(took)[COMMITS // 2])
