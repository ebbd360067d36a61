"""Counts of what shape comments have and of audits by language, and what wants a look.

Both are counted from now on. Going back needs nothing: the earlier program does not know the
tables.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


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
    _table(
        "audit_language_days",
        _text("site_id", "day", "language", "said", "decided"),
        [_number("times"), *_reals("weight", "squares")],
    )
    _table(
        "shape_days",
        _text("site_id", "day", "shape", "step"),
        [_number("texts_read"), *_reals("times")],
    )
    _table(
        "alerts",
        _text("site_id", "kind", "what"),
        [
            sa.Column("since", UtcTime(), nullable=False),
            sa.Column("seen_at", UtcTime(), nullable=False),
            *_reals("value", "bound"),
        ],
    )


def downgrade() -> None:
    """Leave the tables where they are."""
