"""What came with a site's history from elsewhere, and how far each import has come.

Going back needs nothing: the earlier program does not mind two tables.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported",
        sa.Column("origin_mac", sa.Text, nullable=False),
        sa.Column("body_mac", sa.Text, nullable=False),
        sa.Column("comment_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("origin_mac", name="pk_imported"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "imports",
        sa.Column("job_mac", sa.Text, nullable=False),
        sa.Column("site_id", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("committed_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("job_mac", name="pk_imports"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_imports_site_id"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Leave the tables where they are."""
