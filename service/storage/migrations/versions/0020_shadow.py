"""What a challenger makes of live comments beside the champion.

Going back needs nothing: the earlier program does not know the tables, and what hangs on a comment
it would forget is a row without content.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


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
        "shadow_days",
        _text("site_id", "day", "language", "challenger", "champion", "was", "would"),
        _numbers("times", "layered"),
    )
    _table("shadow_hours", _text("challenger", "champion", "hour"), _numbers("times"))
    _table(
        "shadow_flips",
        _text("comment_id", "challenger", "champion"),
        [
            *_text("site_id", "was", "would", "language"),
            sa.Column("at", UtcTime(), nullable=False),
            *_numbers("draw"),
        ],
    )
    op.create_index(
        "ix_shadow_flips_site_id",
        "shadow_flips",
        ["site_id", "challenger", "champion", "was", "would", "draw"],
        if_not_exists=True,
    )


def downgrade() -> None:
    """Leave the tables where they are."""
