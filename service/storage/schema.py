"""Bring a database to the newest schema, one process at a time.

Knows Alembic and where the migrations lie. On SQLite they run in one transaction: a migration
that is interrupted leaves the schema as it was. On PostgreSQL each has its own, or several short
ones, so that nobody who writes waits long; one that is interrupted is run again.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service.keyring import Keyring
from service.storage.engine import patience
from service.storage.errors import KeyringMismatch, NewerSchema
from service.storage.tables import keyring_marks

if TYPE_CHECKING:
    from alembic.config import Config  # slow, as said below

# Alembic takes a tenth of a second to import, and a start on a database that is up to date does
# without it: the names of the files tell the revisions, which a test compares with what it says.
MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.Text))  # Alembic's own
_NOTE = sa.text(
    "INSERT INTO keyring_marks (file, fingerprint) VALUES (:file, :mark) ON CONFLICT DO NOTHING"
)
_LOCK = 0x6475796574  # "duyet"; any number that no other program takes


def migration_config(connection: sa.Connection | None = None) -> "Config":
    """How Alembic finds the migrations, and the connection they run on."""
    from alembic.config import Config  # noqa: PLC0415  slow, as said above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@cache
def revisions() -> tuple[str, ...]:
    """Every revision this program has, the oldest first."""
    files = (MIGRATIONS / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(path.name.partition("_")[0] for path in files))


def head() -> str:
    """The newest revision."""
    return revisions()[-1]


def is_known(revision: str) -> bool:
    """Whether this program has that revision; a newer program's it has not."""
    return revision in revisions()


def revision_of(connection: sa.Connection) -> str | None:
    """The revision a database is at; None for an empty one."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
    return revision


def is_current(connection: sa.Connection) -> bool:
    """Whether a database is at the newest revision. Raises NewerSchema."""
    revision = revision_of(connection)
    if revision is not None and not is_known(revision):
        raise NewerSchema
    return revision == head()


def upgrade(engine: sa.Engine) -> None:
    """Run what is missing. Safe when several processes start at once. Raises NewerSchema."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            _run_missing(connection)
        return
    with engine.connect() as connection, patience(connection):
        connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
        connection.commit()
        try:
            _run_missing(connection)
            connection.commit()
        finally:
            connection.detach()  # its limits are not the pool's; closing it lets go of the lock


def _run_missing(connection: sa.Connection) -> None:
    missing = not is_current(connection)
    if connection.dialect.name == "postgresql":
        connection.commit()
    if missing:
        from alembic import command  # noqa: PLC0415  slow, as said above

        command.upgrade(migration_config(connection), "head")


def check_keyring(connection: sa.Connection, keyring: Keyring) -> None:
    """Note which keyring this database is written with, and refuse another one later.

    Starting with a new keyring on an old database would lock out every site and forget every
    author, silently. Raises KeyringMismatch.
    """
    own = keyring.fingerprints()
    if missing := own.keys() - _marks(connection).keys():
        # Another process that starts at this moment may have noted them meanwhile.
        connection.execute(_NOTE, [{"file": file, "mark": own[file]} for file in sorted(missing)])
    marks = _marks(connection)
    for file, fingerprint in own.items():
        if marks[file] != fingerprint:
            raise KeyringMismatch(file)


def _marks(connection: sa.Connection) -> dict[str, str]:
    return {row.file: row.fingerprint for row in connection.execute(sa.select(keyring_marks))}


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
