"""Near-duplicates that are seen and decided as one.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
