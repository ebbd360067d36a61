"""Commenters' pages, appeals and digests.

Going back needs nothing: the earlier program does not know the tables.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "appeals",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("superseded", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("comment_id", name="pk_appeals"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index("ix_appeals_site_id", "appeals", ["site_id", "at"], if_not_exists=True)
    op.create_table(
        "digests",
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("address_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("address_masked", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("every", sa.Text(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("confirmed_at", UtcTime(), nullable=True),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("period_at", UtcTime(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("unheard", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("moderator_id", name="pk_digests"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index("ix_digests_due_at", "digests", ["due_at"], if_not_exists=True)


def downgrade() -> None:
    """Leave the tables where they are."""
