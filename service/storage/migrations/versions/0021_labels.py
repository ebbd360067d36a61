"""What teaches most of what waits, and what was last found of labels.

Going back needs nothing: the earlier program does not look at the columns, which have defaults.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("waiting")}
    for name, kind in (("teaches", sa.Double()), ("cell", sa.BigInteger())):
        if name not in known:
            column = sa.Column(name, kind, nullable=False, server_default=sa.text("0"))
            op.add_column("waiting", column)
    if "teaches" not in known:
        op.execute("UPDATE waiting SET teaches = doubt")  # until they are decided
    for name, columns in (
        ("ix_waiting_teaches", ["teaches", "comment_id"]),
        ("ix_waiting_cell", ["cell", "site_id"]),
    ):
        op.create_index(name, "waiting", columns, if_not_exists=True)
    op.create_table(
        "label_findings",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_label_findings"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Leave what was added where it is."""
