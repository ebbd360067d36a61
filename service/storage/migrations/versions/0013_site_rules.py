"""Authors, words and domains a site has decided on, and raids.

Going back needs nothing: the earlier program does not know the tables, and the column has a value
for sites that it adds.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("sites")}
    if "rules_version" not in columns:  # going back leaves it
        version = sa.Column(
            "rules_version", sa.BigInteger(), nullable=False, server_default=sa.text("0")
        )
        op.add_column("sites", version)
    op.create_table(
        "site_rules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_site_rules_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_site_rules"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_site_rules_site_id",
        "site_rules",
        ["site_id", "ended", "kind", "key"],
        if_not_exists=True,
    )
    op.create_index("ix_site_rules_since", "site_rules", ["site_id", "since"], if_not_exists=True)
    op.create_table(
        "site_rule_changes",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("undone", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_site_rule_changes_site_id"),
        sa.PrimaryKeyConstraint("site_id", "version", name="pk_site_rule_changes"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


_TEXTS = ("kind", "key", "action", "scope", "label", "why", "made_by")


def downgrade() -> None:
    """Leave the tables and the column where they are."""
