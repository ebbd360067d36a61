"""Who is looking at which comment.

Going back needs nothing: the earlier program does not know the table.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("moderator_id", name="pk_claims"),
        sa.ForeignKeyConstraint(["moderator_id"], ["moderators.id"], name="fk_claims_moderator_id"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def downgrade() -> None:
    """Leave the table where it is."""
