"""The tables, and how a time is kept in them.

Knows columns, keys and indexes. What is in a row's JSON is known to `rows`.

Ids are UUIDv7 in text. Closed words (outcomes, kinds, reasons) are stored as the words
callers read, so that a person with a database shell can read them too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def microseconds_of(at: datetime) -> int:
    """Microseconds since 1970, negative before. Raises ValueError for a naive time."""
    return (in_utc(at) - EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> datetime:
    """The time that `microseconds_of` counted. Raises OverflowError outside years 1 to 9999."""
    return EPOCH + microseconds * _MICROSECOND


def in_utc(at: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a naive time.

    A moment that leaves the years 1 to 9999 on the way becomes the first or last there is.
    """
    if at.tzinfo is UTC:
        return at
    if at.utcoffset() is None:
        raise ValueError("a stored time must be aware")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return _FIRST if at.year == 1 else _LAST


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in, an aware time in UTC out, to the microsecond, years 1 to 9999.

    PostgreSQL keeps it as `timestamptz`; SQLite, which has no such type, as microseconds
    since 1970, which sort and compare as they should in any century.
    """

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The column type of a database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """What is written. Raises ValueError for a naive time."""
        if value is None:
            return None
        return in_utc(value) if dialect.name == "postgresql" else microseconds_of(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """What is read."""
        if value is None:
            return None
        return in_utc(value) if dialect.name == "postgresql" else time_of(value)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str, *more: Any, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *more, nullable=False, **options)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _maybe_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=True)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, UtcTime, nullable=False)


def _maybe_time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, UtcTime, nullable=True)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


# ------------------------------------------------------------------ sites

# What people change of a site's decisions is numbered from 1 by `last_change`, in the order in
# which it is committed: whoever takes a number holds the site's row until then. Decisions that came
# with a site's history are numbered downwards from 0, where nobody looks for what is new.
sites = sa.Table(
    "sites",
    metadata,
    _id("id", primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("policy_version"),
    _time("created_at"),
    _number("last_change"),
    _number("last_undo"),
    _number("last_reset"),
    sa.Column("rate_limit", sa.Double, nullable=True),  # comments a second; None is the setting's
)

rate_buckets = sa.Table(  # worth nothing after a minute: may be emptied at any time
    "rate_buckets",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    sa.Column("full_at", sa.Double, nullable=False),  # seconds since 1970
    sqlite_with_rowid=False,
)

policies = sa.Table(  # rows are never changed; a site points to the one in force
    "policies",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    _id("version", primary_key=True),
    _text("body"),
    _time("created_at"),
)

site_keys = sa.Table(
    "site_keys",
    metadata,
    _id("key_hash", primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id"), index=True),
    _text("prefix"),
    _time("created_at"),
    _maybe_time("revoked_at"),
)

# ------------------------------------------------------------------ comments

comments = sa.Table(  # what was sent, never changed; only `state`, `decided` and the cipher are
    "comments",
    metadata,
    _id("id", primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id")),
    _time("received_at"),
    _text("type"),
    _text("content"),
    _text("author_name"),
    _text("author_url"),
    sa.Column("email_cipher", sa.LargeBinary, nullable=True),
    sa.Column("email_key_id", sa.Integer, nullable=True),
    _text("email_masked"),
    _maybe_text("author_key"),
    _text("ip_masked"),
    _maybe_text("ip_key"),
    _text("user_agent"),
    _text("permalink"),
    _text("article_title"),
    _text("article_language"),
    _maybe_time("article_published_at"),
    _text("parent_id"),
    _text("external_id"),
    sa.Column("honeypot", sa.Boolean, nullable=False),
    sa.Column("seconds_to_fill", sa.Double, nullable=True),
    _maybe_text("text_key"),
    _maybe_text("twin_key"),
    _text("history"),
    _text("state"),
    _maybe_text("decided"),
)
sa.Index("ix_comments_author_key", comments.c.author_key, comments.c.received_at)
sa.Index("ix_comments_text_key", comments.c.text_key)
sa.Index("ix_comments_twin_key", comments.c.twin_key)
# Decided comments are few beside all others, so what people said of an author, an IP or a text
# has small indexes of its own.
for _name in ("author_key", "ip_key", "text_key"):
    sa.Index(
        f"ix_comments_decided_{_name}",
        comments.c[_name],
        comments.c.decided,
        sqlite_where=comments.c.decided.is_not(None),
        postgresql_where=comments.c.decided.is_not(None),
    )

verdicts = sa.Table(
    "verdicts",
    metadata,
    _id("comment_id", sa.ForeignKey("comments.id"), primary_key=True),
    _text("outcome"),
    sa.Column("spam", sa.Double, nullable=True),
    sa.Column("toxicity", sa.Double, nullable=True),
    _text("explanation"),  # reasons, hits and spans
    _text("model"),
    _text("policy"),
    sa.Column("audit", sa.Boolean, nullable=False),
    _maybe_text("unaudited"),
    sa.Column("review_probability", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

queue = sa.Table(  # only what waits
    "queue",
    metadata,
    _id("comment_id", sa.ForeignKey("comments.id"), primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id")),
    _time("waiting_since"),
    _text("why"),
    sa.Column("risk", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("ix_queue_waiting_since", queue.c.waiting_since, queue.c.comment_id)
sa.Index("ix_queue_risk", queue.c.risk, queue.c.comment_id)
sa.Index("ix_queue_site_id", queue.c.site_id, queue.c.waiting_since, queue.c.comment_id)
sa.Index("ix_queue_site_id_risk", queue.c.site_id, queue.c.risk, queue.c.comment_id)

idempotency = sa.Table(
    "idempotency",
    metadata,
    _id("key_mac", primary_key=True),  # keyed by the site as well
    _text("body_mac"),
    _id("comment_id", sa.ForeignKey("comments.id")),
    sa.Column("created_at", UtcTime, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ Akismet's protocol

akismet_sites = sa.Table(
    "akismet_sites",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    sa.Column("key_hash", sa.Text, nullable=False, unique=True),
    sa.Column("key_cipher", sa.LargeBinary, nullable=False),
    _text("queue"),
    _text("homes"),
    sa.Column("discards", sa.Boolean, nullable=False),
    sa.Column("reaches_private", sa.Boolean, nullable=False),
)

akismet_checks = sa.Table(  # how a comment came; goes with its comment
    "akismet_checks",
    metadata,
    _id("comment_id", primary_key=True),
    _id("site_id"),
    _text("match_key"),
    _text("home"),
    _text("month"),
    _text("callback"),
    sqlite_with_rowid=False,
)
sa.Index("ix_akismet_checks_match_key", akismet_checks.c.match_key, akismet_checks.c.comment_id)
sa.Index("ix_akismet_checks_site_id", akismet_checks.c.site_id, akismet_checks.c.month)

# ------------------------------------------------------------------ other protocols

coral_sites = sa.Table(
    "coral_sites",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    sa.Column("secret_cipher", sa.LargeBinary, nullable=False),
    _text("accept"),
    _text("queue"),
)

perspective_sites = sa.Table(
    "perspective_sites",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    sa.Column("stores", sa.Boolean, nullable=False),
)

# ------------------------------------------------------------------ what is to be told

outbox = sa.Table(
    "outbox",
    metadata,
    _id("id", primary_key=True),
    _id("site_id"),
    _id("comment_id"),
    _text("state"),
    sa.Column("attempts", sa.Integer, nullable=False),
    _time("due_at"),
    _text("problem"),
    sqlite_with_rowid=False,
)
sa.Index("ix_outbox_state", outbox.c.state, outbox.c.due_at)
# ------------------------------------------------------------------ what came from elsewhere

# No key to `comments`: what was imported once stays known when it is forgotten, so that a second
# import does not bring back what retention ended.
imported = sa.Table(
    "imported",
    metadata,
    _id("origin_mac", primary_key=True),  # keyed by the site as well
    _text("body_mac"),
    _text("comment_id"),
    sqlite_with_rowid=False,
)

imports = sa.Table(  # how far each import has come
    "imports",
    metadata,
    _id("job_mac", primary_key=True),  # of the file, what was asked for and the site
    _id("site_id", sa.ForeignKey("sites.id")),
    _text("format"),
    _number("position"),
    _time("started_at"),
    _time("committed_at"),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ what people said

decisions = sa.Table(  # append-only; `was_*` is what an undo brings back
    "decisions",
    metadata,
    _id("id", primary_key=True),
    _id("comment_id", sa.ForeignKey("comments.id"), index=True),
    _id("site_id", sa.ForeignKey("sites.id")),
    _number("change"),
    _text("outcome"),
    _maybe_text("reason"),
    _text("moderator"),
    _time("at"),
    _text("was_state"),
    _maybe_time("was_waiting_since"),
    _maybe_text("was_why"),
    sa.Column("was_risk", sa.Double, nullable=True),
)
sa.Index("ix_decisions_site_id", decisions.c.site_id, decisions.c.change, unique=True)

undos = sa.Table(
    "undos",
    metadata,
    _id("decision_id", sa.ForeignKey("decisions.id"), primary_key=True),
    _number("change"),
    _text("moderator"),
    _time("at"),
)

# ------------------------------------------------------------------ many decisions in one go

acts = sa.Table(  # an act ends when none of its comments is left to be dealt with
    "acts",
    metadata,
    _id("id", primary_key=True),
    _text("kind"),
    _text("outcome"),
    _maybe_text("reason"),
    _text("moderator"),
    _time("at"),
    _text("body"),
    _text("state"),
    _maybe_time("undone_at"),
    _maybe_text("undone_by"),
    sqlite_with_rowid=False,
)

# No key to `comments`, which are forgotten before acts are.
act_comments = sa.Table(  # the snapshot that an act works through
    "act_comments",
    metadata,
    _id("act_id", sa.ForeignKey("acts.id"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, nullable=False),
    _id("comment_id"),
    _id("site_id"),
    _text("state"),
    _maybe_text("decision_id"),
    sqlite_with_rowid=False,
)
sa.Index("ix_act_comments_act_id", act_comments.c.act_id, act_comments.c.state)

reports = sa.Table(
    "reports",
    metadata,
    _id("comment_id", sa.ForeignKey("comments.id"), primary_key=True),
    _id("kind", primary_key=True),
    _time("at"),
    sqlite_with_rowid=False,
)

events = sa.Table(  # append-only; no address, no content
    "events",
    metadata,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    _time("at"),
    _maybe_text("site_id"),
    _text("kind"),
    sa.Column("comment_id", sa.Text, nullable=True, index=True),
    _text("actor"),
    _text("body"),
    sqlite_autoincrement=True,
)

# ------------------------------------------------------------------ moderators

moderators = sa.Table(
    "moderators",
    metadata,
    _id("id", primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("role"),  # on every site; "" for one who has roles on some sites only
    _time("created_at"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    _id("moderator_id", sa.ForeignKey("moderators.id"), primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    _text("role"),
    sqlite_with_rowid=False,
)

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    _id("token_hash", primary_key=True),
    _id("moderator_id", sa.ForeignKey("moderators.id")),
    _time("created_at"),
    _time("expires_at"),
    _maybe_time("used_at"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    _id("token_hash", primary_key=True),
    _id("moderator_id", sa.ForeignKey("moderators.id")),
    _time("created_at"),
    _time("expires_at"),
    _maybe_time("revoked_at"),
)

# ------------------------------------------------------------------ commenters' pages, and digests

appeals = sa.Table(  # goes with its comment
    "appeals",
    metadata,
    _id("comment_id", primary_key=True),
    _id("site_id"),
    _time("at"),
    _text("words"),
    _maybe_text("superseded"),  # the decision that the answer to it took the place of
    sqlite_with_rowid=False,
)
sa.Index("ix_appeals_site_id", appeals.c.site_id, appeals.c.at)

digests = sa.Table(
    "digests",
    metadata,
    _id("moderator_id", primary_key=True),
    sa.Column("address_cipher", sa.LargeBinary, nullable=False),
    _text("address_masked"),
    _text("language"),
    _text("every"),
    sa.Column("hour", sa.Integer, nullable=False),  # of the day in UTC, for a daily one
    _text("nonce"),  # new with each address: what its links are made of
    _maybe_time("confirmed_at"),
    _time("asked_at"),  # when the day began in which `asked` mails for confirmation were sent
    sa.Column("asked", sa.Integer, nullable=False),
    _time("period_at"),  # the moment that the digest due next is for
    _maybe_time("due_at"),  # when somebody may try to send it; None for never
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("unheard", sa.Integer, nullable=False),  # attempts whose end nobody told
    sa.Column("refusals", sa.Integer, nullable=False),  # digests in a row refused for good
    _maybe_time("sent_at"),
    _text("problem"),
    sqlite_with_rowid=False,
)
sa.Index("ix_digests_due_at", digests.c.due_at)

# ------------------------------------------------------------------ the installation

keyring_marks = sa.Table(  # tells that the keyring is the one this database was written with
    "keyring_marks",
    metadata,
    _id("file", primary_key=True),
    _text("fingerprint"),
)
