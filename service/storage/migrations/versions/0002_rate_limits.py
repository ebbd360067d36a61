"""A site's own rate limit, and the buckets that processes share.

Forward only: to go back, restore a backup.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sites", sa.Column("rate_limit", sa.Double()))
    op.create_table(
        "rate_buckets",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("full_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_rate_buckets_site_id"),
        sa.PrimaryKeyConstraint("site_id", name="pk_rate_buckets"),
        sqlite_with_rowid=False,
    )
