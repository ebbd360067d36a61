"""What is still to be told to sites.

Going back needs nothing: the earlier program does not know the table.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index("ix_outbox_state", "outbox", ["state", "due_at"], if_not_exists=True)


def downgrade() -> None:
    """Leave the table where it is."""
