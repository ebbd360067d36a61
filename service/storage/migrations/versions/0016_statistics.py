"""Counts for the dashboard, indexes for the log, and a log that only grows.

Going back needs nothing: the earlier program does not know the tables, does not mind the indexes,
and never changes what is in the log.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _reals(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=False) for name in names]


def _table(name: str, key: list[sa.Column[Any]], rest: list[sa.Column[Any]]) -> None:
    op.create_table(
        name,
        *key,
        *rest,
        sa.PrimaryKeyConstraint(*(column.name for column in key), name=f"pk_{name}"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def upgrade() -> None:
    _table("statistics_marks", _text("name", "site_id"), _text("place"))
    _table("reason_days", _text("site_id", "code", "day"), _numbers("times", "agreed"))
    _table(
        "decision_days",
        _text("site_id", "day", "moderator", "outcome", "reason", "language"),
        _numbers("times", "opinions", "agreed"),
    )
    _table(
        "arrival_days",
        _text("site_id", "day", "outcome", "model", "policy"),
        _numbers("times"),
    )
    _table("language_days", _text("site_id", "day", "language", "outcome"), _reals("times"))
    _table(
        "score_days",
        [*_text("site_id", "day", "model", "head"), sa.Column("bin", sa.Integer(), nullable=False)],
        _numbers("times"),
    )
    _table(
        "audit_days",
        _text("site_id", "day", "said", "decided"),
        [*_numbers("times"), *_reals("weight", "squares")],
    )
    _table(
        "queue_samples",
        [sa.Column("at", UtcTime(), nullable=False), *_text("site_id")],
        [*_numbers("waiting"), *_reals("p50_seconds", "p95_seconds")],
    )
    op.create_index("ix_undos_change", "undos", ["change"], if_not_exists=True)
    op.create_index("ix_events_at", "events", ["at", "number"], if_not_exists=True)
    for name in ("site_id", "kind", "actor"):
        columns = [name, "at", "number"]
        op.create_index(f"ix_events_{name}", "events", columns, if_not_exists=True)
    for statement in _GROWS_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


# Against a mistake in a program of ours. Whoever owns the database can take it away again.
_GROWS_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS events_no_{verb.lower()} BEFORE {verb} ON events"
        " BEGIN SELECT RAISE(ABORT, 'the log only grows'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION events_only_grow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the log only grows'; END $$",
        "CREATE OR REPLACE TRIGGER events_only_grow BEFORE UPDATE OR DELETE ON events"
        " FOR EACH ROW EXECUTE FUNCTION events_only_grow()",
    ],
}


def downgrade() -> None:
    """Leave the tables, the indexes and the guard where they are."""
