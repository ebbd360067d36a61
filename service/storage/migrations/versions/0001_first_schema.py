"""The first schema.

Forward only: to go back, restore a backup.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DECIDED = sa.text("decided IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            nullable=False,
        ),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("site_id", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_comment_id", "events", ["comment_id"])

    op.create_table(
        "keyring_marks",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("file", name="pk_keyring_marks"),
    )
    op.create_table(
        "moderators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moderators"),
        sa.UniqueConstraint("name", name="uq_moderators_name"),
    )
    op.create_table(
        "sites",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("last_change", sa.BigInteger(), nullable=False),
        sa.Column("last_undo", sa.BigInteger(), nullable=False),
        sa.Column("last_reset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sites"),
        sa.UniqueConstraint("name", name="uq_sites_name"),
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("author_url", sa.Text(), nullable=False),
        sa.Column("email_cipher", sa.LargeBinary()),
        sa.Column("email_key_id", sa.Integer()),
        sa.Column("email_masked", sa.Text(), nullable=False),
        sa.Column("author_key", sa.Text()),
        sa.Column("ip_masked", sa.Text(), nullable=False),
        sa.Column("ip_key", sa.Text()),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("permalink", sa.Text(), nullable=False),
        sa.Column("article_title", sa.Text(), nullable=False),
        sa.Column("article_language", sa.Text(), nullable=False),
        sa.Column("article_published_at", UtcTime()),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("honeypot", sa.Boolean(), nullable=False),
        sa.Column("seconds_to_fill", sa.Double()),
        sa.Column("text_key", sa.Text()),
        sa.Column("twin_key", sa.Text()),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided", sa.Text()),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_comments_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
    )
    op.create_index("ix_comments_author_key", "comments", ["author_key", "received_at"])
    op.create_index(
        "ix_comments_decided_author_key",
        "comments",
        ["author_key", "decided"],
        sqlite_where=_DECIDED,
        postgresql_where=_DECIDED,
    )
    op.create_index(
        "ix_comments_decided_ip_key",
        "comments",
        ["ip_key", "decided"],
        sqlite_where=_DECIDED,
        postgresql_where=_DECIDED,
    )
    op.create_index(
        "ix_comments_decided_text_key",
        "comments",
        ["text_key", "decided"],
        sqlite_where=_DECIDED,
        postgresql_where=_DECIDED,
    )
    op.create_index("ix_comments_text_key", "comments", ["text_key"])
    op.create_index("ix_comments_twin_key", "comments", ["twin_key"])

    op.create_table(
        "policies",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_policies_site_id"),
        sa.PrimaryKeyConstraint("site_id", "version", name="pk_policies"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime()),
        sa.ForeignKeyConstraint(
            ["moderator_id"], ["moderators.id"], name="fk_sessions_moderator_id"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_table(
        "sign_in_links",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("moderator_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("used_at", UtcTime()),
        sa.ForeignKeyConstraint(
            ["moderator_id"], ["moderators.id"], name="fk_sign_in_links_moderator_id"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sign_in_links"),
    )
    op.create_table(
        "site_keys",
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime()),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_site_keys_site_id"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_site_keys"),
    )
    op.create_index("ix_site_keys_site_id", "site_keys", ["site_id"])

    op.create_table(
        "decisions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("moderator", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("was_state", sa.Text(), nullable=False),
        sa.Column("was_waiting_since", UtcTime()),
        sa.Column("was_why", sa.Text()),
        sa.Column("was_risk", sa.Double()),
        sa.ForeignKeyConstraint(["comment_id"], ["comments.id"], name="fk_decisions_comment_id"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_decisions_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_comment_id", "decisions", ["comment_id"])
    op.create_index("ix_decisions_site_id", "decisions", ["site_id", "change"], unique=True)

    op.create_table(
        "idempotency",
        sa.Column("key_mac", sa.Text(), nullable=False),
        sa.Column("body_mac", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["comment_id"], ["comments.id"], name="fk_idempotency_comment_id"),
        sa.PrimaryKeyConstraint("key_mac", name="pk_idempotency"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])

    op.create_table(
        "queue",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("waiting_since", UtcTime(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("risk", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["comment_id"], ["comments.id"], name="fk_queue_comment_id"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_queue_site_id"),
        sa.PrimaryKeyConstraint("comment_id", name="pk_queue"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_queue_risk", "queue", ["risk", "comment_id"])
    op.create_index("ix_queue_site_id", "queue", ["site_id", "waiting_since", "comment_id"])
    op.create_index("ix_queue_waiting_since", "queue", ["waiting_since", "comment_id"])

    op.create_table(
        "reports",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["comment_id"], ["comments.id"], name="fk_reports_comment_id"),
        sa.PrimaryKeyConstraint("comment_id", "kind", name="pk_reports"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdicts",
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("spam", sa.Double()),
        sa.Column("toxicity", sa.Double()),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("audit", sa.Boolean(), nullable=False),
        sa.Column("unaudited", sa.Text()),
        sa.Column("review_probability", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["comment_id"], ["comments.id"], name="fk_verdicts_comment_id"),
        sa.PrimaryKeyConstraint("comment_id", name="pk_verdicts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "undos",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("moderator", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_undos_decision_id"),
        sa.PrimaryKeyConstraint("decision_id", name="pk_undos"),
    )
