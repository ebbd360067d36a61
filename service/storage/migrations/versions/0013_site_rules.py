"""Authors, words and domains a site has decided on, and raids.

Going back needs nothing: the earlier program does not know the tables.
"""

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Leave the tables where they are."""
