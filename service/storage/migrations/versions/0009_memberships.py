"""Roles on single sites.

Going back needs nothing but that nobody has such a role: the earlier program knows roles on every
site alone, and does not know the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "memberships",
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["moderator_id"], ["moderators.id"], name="fk_memberships_moderator_id"
        ),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_memberships_site_id"),
        sa.PrimaryKeyConstraint("moderator_id", "site_id", name="pk_memberships"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Leave the table where it is."""
