"""Sites whose clients speak Akismet's protocol, and their checks.

Going back needs nothing: the earlier program does not know these tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "akismet_sites",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("key_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("homes", sa.Text(), nullable=False),
        sa.Column("discards", sa.Boolean(), nullable=False),
        sa.Column("reaches_private", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_akismet_sites_site_id"),
        sa.PrimaryKeyConstraint("site_id", name="pk_akismet_sites"),
        sa.UniqueConstraint("key_hash", name="uq_akismet_sites_key_hash"),
        if_not_exists=True,
    )
    op.create_table(
        "akismet_checks",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("match_key", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("comment_id", name="pk_akismet_checks"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    for name, columns in (
        ("ix_akismet_checks_match_key", ["match_key", "comment_id"]),
        ("ix_akismet_checks_site_id", ["site_id", "month"]),
    ):
        op.create_index(name, "akismet_checks", columns, if_not_exists=True)


def downgrade() -> None:
    """Leave the tables where they are."""
