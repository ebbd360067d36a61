"""Finding what waits, and acts on many comments at once.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
