"""Who is looking at which comment.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
