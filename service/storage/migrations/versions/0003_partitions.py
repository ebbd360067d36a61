"""Cut comments and verdicts into partitions by time, on PostgreSQL; nothing on SQLite.

No row moves: what is there becomes the first partition, `before`. That its ids lie below where
the next begins is checked while everybody writes; the exchange itself waits half a second for
its locks, lets the others go on, and tries again. May be interrupted and run again.

Foreign keys to `comments` end here on PostgreSQL: each row of the hot path paid for a look-up
and a row lock, and no partition could be dropped. The code that writes holds the comment's row.

Going back changes nothing: the program of 0002 works on these tables as they are, which
tests/faults/test_earlier.py has it do. Nobody makes partitions then, and what no partition takes
lies in `rest`, lost neither then nor when this runs again.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from service.storage import partitions
from service.storage.partitions import Partition, first_id, period_start, retried

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CHILDREN = ("verdicts", "queue", "idempotency", "decisions", "reports")
_KEYS = {"comments": "id", "verdicts": "comment_id"}
_INDEXES = {
    "ix_comments_author_key": "(author_key, received_at)",
    "ix_comments_text_key": "(text_key)",
    "ix_comments_twin_key": "(twin_key)",
    "ix_comments_decided_author_key": "(author_key, decided) WHERE decided IS NOT NULL",
    "ix_comments_decided_ip_key": "(ip_key, decided) WHERE decided IS NOT NULL",
    "ix_comments_decided_text_key": "(text_key, decided) WHERE decided IS NOT NULL",
}


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql" or partitions.are_made(connection):
        return
    engine = connection.engine
    with op.get_context().autocommit_block():
        with engine.begin() as reading:
            last = reading.exec_driver_sql("SELECT max(id) FROM comments").scalar_one()
        if last is None:
            retried(engine, lambda exchange: _exchange(exchange, None))
            return
        # A day ahead at least, so that what arrives while it runs still lies below.
        newest = max(partitions.time_in(last), datetime.now(UTC))
        before = Partition("before", "", first_id(period_start(newest, 1) + timedelta(days=2)))
        for table, key in _KEYS.items():
            _bound(engine, table, key, before.end)
        retried(engine, lambda exchange: _exchange(exchange, before))


def _bound(engine: sa.Engine, table: str, key: str, end: str) -> None:
    """Promise PostgreSQL that all keys lie below the end, so that it need not look again."""

    def promise(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS below")
        connection.exec_driver_sql(
            f"ALTER TABLE {table} ADD CONSTRAINT below CHECK ({key} < '{end}') NOT VALID"
        )

    def keep(connection: sa.Connection) -> None:
        # Reads the whole table, under a lock that stops nobody who reads or writes.
        connection.exec_driver_sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT below")

    retried(engine, promise)
    retried(engine, keep)


def _exchange(connection: sa.Connection, before: Partition | None) -> None:
    run = connection.exec_driver_sql
    run(f"LOCK TABLE comments, {', '.join(_CHILDREN)} IN ACCESS EXCLUSIVE MODE")
    for table in _CHILDREN:
        run(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS fk_{table}_comment_id")
    for index in _INDEXES:
        run(f"ALTER INDEX {index} RENAME TO {index}_before")
    for table, key in _KEYS.items():
        run(f"ALTER TABLE {table} RENAME CONSTRAINT pk_{table} TO pk_{table}_before")
        run(f"ALTER TABLE {table} RENAME TO {table}_before")
        run(
            f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS INCLUDING STORAGE)"
            f" PARTITION BY RANGE ({key})"
        )
        run(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    run(
        "ALTER TABLE comments ADD CONSTRAINT fk_comments_site_id"
        " FOREIGN KEY (site_id) REFERENCES sites (id)"
    )
    for index, on in _INDEXES.items():
        run(f"CREATE INDEX {index} ON comments {on}")
    for table in _KEYS:
        run(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
        if before is None:
            # Copied, in case a first comment came just now; there is next to nothing.
            run(f"INSERT INTO {table} SELECT * FROM {table}_before")
            run(f"DROP TABLE {table}_before")
            continue
        run(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_before"
            f" FOR VALUES FROM (MINVALUE) TO ('{before.end}')"
        )
        run(f"ALTER TABLE {table}_before DROP CONSTRAINT below")


def downgrade() -> None:
    """Leave the tables as they are; see above."""
