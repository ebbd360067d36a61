"""Acts on many comments at once, and finding what waits.

Going back needs nothing: the earlier program does not know the tables.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("moderator", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("undone_at", UtcTime(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_acts"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "act_comments",
        sa.Column("act_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["act_id"], ["acts.id"], name="fk_act_comments_act_id"),
        sa.PrimaryKeyConstraint("act_id", "place", name="pk_act_comments"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_act_comments_act_id", "act_comments", ["act_id", "state"], if_not_exists=True
    )


def downgrade() -> None:
    """Leave the tables where they are."""
