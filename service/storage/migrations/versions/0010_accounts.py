"""Passwords, one-time codes and sessions that can be told apart.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
