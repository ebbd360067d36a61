"""What sites chose whose clients speak Coral's protocol or Perspective's.

Going back needs nothing: the earlier program does not know the tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "coral_sites",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("secret_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("accept", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_coral_sites_site_id"),
        sa.PrimaryKeyConstraint("site_id", name="pk_coral_sites"),
        if_not_exists=True,
    )
    op.create_table(
        "perspective_sites",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("stores", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_perspective_sites_site_id"),
        sa.PrimaryKeyConstraint("site_id", name="pk_perspective_sites"),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Leave the tables where they are."""
