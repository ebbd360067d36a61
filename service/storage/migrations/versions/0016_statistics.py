"""Indexes for the log and the dashboard.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
