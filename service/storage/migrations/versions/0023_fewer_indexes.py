"""Fewer indexes to write at random places for each comment.

The riskiest that wait are read along `ix_waiting_risk` alone, so the queue's own two go. On SQLite
a twin is looked for among the comments of its text, so one index serves both questions. On
PostgreSQL both stay: there an earlier program may serve while this runs, which asks for twins
alone, and would read the whole table for each text that comes again.

Going back, SQLite gets the index for that question again; the queue of an earlier program sorts
what waits.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_queue_risk", "queue", if_exists=True)
    op.drop_index("ix_queue_site_id_risk", "queue", if_exists=True)
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_comments_text_twin_key", "comments", ["text_key", "twin_key"], if_not_exists=True
        )
        op.drop_index("ix_comments_text_key", "comments", if_exists=True)
        op.drop_index("ix_comments_twin_key", "comments", if_exists=True)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_comments_twin_key", "comments", ["twin_key"], if_not_exists=True)
