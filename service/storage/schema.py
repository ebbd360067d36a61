"""Bring a database to the newest schema, one process at a time.

Knows Alembic and where the migrations lie. They run in one transaction: a migration that is
interrupted leaves the schema as it was.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.keyring import Keyring
from service.storage.engine import patience
from service.storage.errors import KeyringMismatch, NewerSchema
from service.storage.tables import keyring_marks

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6475796574  # "duyet"; any number that no other program takes


def migration_config(connection: sa.Connection | None = None) -> Config:
    """How Alembic finds the migrations, and the connection they run on."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision."""
    newest = ScriptDirectory.from_config(migration_config()).get_current_head()
    assert newest is not None, "the package holds at least one migration"
    return newest


def is_known(revision: str) -> bool:
    """Whether this program has that revision; a newer program's it has not."""
    scripts = ScriptDirectory.from_config(migration_config())
    return revision in {script.revision for script in scripts.walk_revisions()}


def revision_of(connection: sa.Connection) -> str | None:
    """The revision a database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def is_current(connection: sa.Connection) -> bool:
    """Whether a database is at the newest revision. Raises NewerSchema."""
    revision = revision_of(connection)
    known = ScriptDirectory.from_config(migration_config()).walk_revisions()
    if revision is not None and revision not in {script.revision for script in known}:
        raise NewerSchema
    return revision == head()


def upgrade(connection: sa.Connection) -> None:
    """Run what is missing, inside the caller's transaction. Raises NewerSchema.

    SQLite's transaction already keeps others out; on PostgreSQL the lock is released with it.
    """
    with patience(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not is_current(connection):
            command.upgrade(migration_config(connection), "head")


def check_keyring(connection: sa.Connection, keyring: Keyring) -> None:
    """Note which keyring this database is written with, and refuse another one later.

    Starting with a new keyring on an old database would lock out every site and forget every
    author, silently. Raises KeyringMismatch.
    """
    marks = {row.file: row.fingerprint for row in connection.execute(sa.select(keyring_marks))}
    for file, fingerprint in keyring.fingerprints().items():
        if file not in marks:
            row = {"file": file, "fingerprint": fingerprint}
            connection.execute(keyring_marks.insert(), row)
        elif marks[file] != fingerprint:
            raise KeyringMismatch(file)


def touch(connection: sa.Connection) -> None:
    """Write something that means nothing: a full disk or a standby refuses it like any write.

    SQLite writes nothing for an update that leaves a row as it is, so there it is a number in
    the head of the file that nobody reads.
    """
    if connection.dialect.name == "sqlite":
        number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {(number + 1) % 2**31}")
        return
    mark = keyring_marks.c.fingerprint
    connection.execute(keyring_marks.update().values({mark: mark}))
