"""Near-duplicates that are seen and decided as one.

Going back needs nothing but that no decision follows a campaign's: the earlier program would take
those for a person's own.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("trait", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("act_id", sa.Text(), nullable=True),
        sa.Column("follows_until", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_campaigns_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_campaigns_site_id", "campaigns", ["site_id", "id"], if_not_exists=True)
    op.create_table(
        "campaign_members",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_campaign_members_campaign_id"
        ),
        sa.PrimaryKeyConstraint("comment_id", name="pk_campaign_members"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_campaign_members_campaign_id",
        "campaign_members",
        ["campaign_id", "comment_id"],
        if_not_exists=True,
    )
    op.create_table(
        "chore_leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chore_leases"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "following",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_following"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    if "campaign" not in {c["name"] for c in sa.inspect(op.get_bind()).get_columns("waiting")}:
        op.add_column("waiting", sa.Column("campaign", sa.Text(), nullable=True))
    told = sa.text("campaign IS NULL OR campaign != ''")
    op.create_index(
        "ix_waiting_campaign",
        "waiting",
        ["campaign", "comment_id"],
        if_not_exists=True,
        sqlite_where=told,
        postgresql_where=told,
    )


def downgrade() -> None:
    """Leave the tables where they are."""
