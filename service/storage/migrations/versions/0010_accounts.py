"""Passwords, one-time codes and sessions that can be told apart.

Going back needs nothing: the earlier program does not know the tables, and fills the columns that
are new in none of its sessions.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    had = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("sessions")}
    for column in (
        sa.Column("seen_at", UtcTime(), nullable=True),
        sa.Column("browser", sa.Text(), nullable=True),
        sa.Column("network", sa.Text(), nullable=True),
    ):
        if column.name not in had:
            op.add_column("sessions", column)
    op.create_table(
        "accounts",
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("password_at", UtcTime(), nullable=True),
        sa.Column("totp_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", UtcTime(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("single_keys", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["moderator_id"], ["moderators.id"], name="fk_accounts_moderator_id"
        ),
        sa.PrimaryKeyConstraint("moderator_id", name="pk_accounts"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("used_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["moderator_id"], ["moderators.id"], name="fk_recovery_codes_moderator_id"
        ),
        sa.PrimaryKeyConstraint("code_hash", name="pk_recovery_codes"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_recovery_codes_moderator_id", "recovery_codes", ["moderator_id"], if_not_exists=True
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("key_mac", sa.Text(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key_mac", name="pk_sign_in_attempts"),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sign_in_attempts_until", "sign_in_attempts", ["until"], if_not_exists=True)


def downgrade() -> None:
    """Leave the tables where they are."""
