"""Acts on many comments at once, and finding what waits.

Going back needs nothing: the earlier program does not know the tables.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_waiting()
    _add_acts()


def downgrade() -> None:
    """Leave the tables where they are."""


def _add_acts() -> None:
    op.create_table(
        "acts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("moderator", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("undone_at", UtcTime(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_acts"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "act_comments",
        sa.Column("act_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["act_id"], ["acts.id"], name="fk_act_comments_act_id"),
        sa.PrimaryKeyConstraint("act_id", "place", name="pk_act_comments"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    for name, columns in (
        ("ix_act_comments_act_id", ["act_id", "state"]),
        ("ix_act_comments_comment_id", ["comment_id"]),
    ):
        op.create_index(name, "act_comments", columns, if_not_exists=True)


def _add_waiting() -> None:
    op.create_table(
        "waiting",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("waiting_since", UtcTime(), nullable=False),
        sa.Column("risk", sa.Double(), nullable=False),
        sa.Column("doubt", sa.Double(), nullable=False),
        sa.Column("spam_bin", sa.Integer(), nullable=False),
        sa.Column("spam_level", sa.Integer(), nullable=False),
        sa.Column("toxicity_bin", sa.Integer(), nullable=False),
        sa.Column("toxicity_level", sa.Integer(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("is_new_author", sa.Boolean(), nullable=False),
        sa.Column("is_reported", sa.Boolean(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("domains", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["comment_id"],
            ["queue.comment_id"],
            name="fk_waiting_comment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("comment_id", name="pk_waiting"),
        if_not_exists=True,
    )
    for name, columns in (
        ("ix_waiting_waiting_since", ["waiting_since", "comment_id"]),
        ("ix_waiting_risk", ["risk", "comment_id"]),
        ("ix_waiting_doubt", ["doubt", "comment_id"]),
        ("ix_waiting_spam_bin", ["site_id", "spam_bin", "spam_level"]),
        ("ix_waiting_toxicity_bin", ["site_id", "toxicity_bin", "toxicity_level"]),
    ):
        op.create_index(name, "waiting", columns, if_not_exists=True)
    op.create_table(
        "waiting_texts",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["comment_id"],
            ["waiting.comment_id"],
            name="fk_waiting_texts_comment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("comment_id", name="pk_waiting_texts"),
        if_not_exists=True,
    )
