"""That people were erased, and how much that was.

Going back needs nothing: the earlier program does not know the table.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("comments", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index("ix_erasures_site_id", "erasures", ["site_id", "at"], if_not_exists=True)


def downgrade() -> None:
    """Leave the table where it is."""
