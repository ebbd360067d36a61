"""An index for a site's riskiest comments first: without it the page sorts all that wait.

Going back needs nothing: the earlier program does not mind an index.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_queue_site_id_risk",
        "queue",
        ["site_id", "risk", "comment_id"],
        if_not_exists=True,
    )


def downgrade() -> None:
    """Leave the index where it is."""
