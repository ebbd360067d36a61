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
    sa.Column("rules_version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("shares_campaigns", sa.Boolean, nullable=False, server_default=sa.false()),
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

ON_SQLITE, ON_POSTGRES = {"only": "sqlite"}, {"only": "postgresql"}
"""Of an index that one kind of database alone has."""

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
# One index serves the questions for a text and for its twins. On PostgreSQL an earlier program may
# be asking for twins alone, while it gives way to this one.
sa.Index("ix_comments_text_twin_key", comments.c.text_key, comments.c.twin_key, info=ON_SQLITE)
sa.Index("ix_comments_text_key", comments.c.text_key, info=ON_POSTGRES)
sa.Index("ix_comments_twin_key", comments.c.twin_key, info=ON_POSTGRES)
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
sa.Index("ix_queue_site_id", queue.c.site_id, queue.c.waiting_since, queue.c.comment_id)

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

following = sa.Table(  # decisions carried over from a campaign's, which no person saw
    "following",
    metadata,
    _id("decision_id", primary_key=True),
    _text("campaign_id"),
    sqlite_with_rowid=False,
)

undos = sa.Table(
    "undos",
    metadata,
    _id("decision_id", sa.ForeignKey("decisions.id"), primary_key=True),
    sa.Column("change", sa.BigInteger, nullable=False, index=True),
    _text("moderator"),
    _time("at"),
)
sa.Index("ix_undos_change", undos.c.change)

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

# No key to `comments`: retention takes these along.
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
sa.Index("ix_act_comments_comment_id", act_comments.c.comment_id)

# ------------------------------------------------------------------ campaigns

campaigns = sa.Table(  # near-duplicates that are seen and decided as one
    "campaigns",
    metadata,
    _id("id", primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id")),
    _text("trait"),
    _text("said"),
    _time("made_at"),
    _maybe_text("act_id"),
    _maybe_time("follows_until"),
    _maybe_text("kin"),  # the same for campaigns of other sites that are alike
    # Whether the site's own comments make it one, or only together with those of other sites.
    sa.Column("own", sa.Boolean, nullable=False, server_default=sa.true()),
    sqlite_with_rowid=False,
)
sa.Index("ix_campaigns_site_id", campaigns.c.site_id, campaigns.c.id)
sa.Index("ix_campaigns_kin", campaigns.c.kin)

# No key to `comments`: what is forgotten there is counted no more.
campaign_members = sa.Table(
    "campaign_members",
    metadata,
    _id("comment_id", primary_key=True),
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), nullable=True),  # NULL: taken out
    sqlite_with_rowid=False,
)
sa.Index(
    "ix_campaign_members_campaign_id",
    campaign_members.c.campaign_id,
    campaign_members.c.comment_id,
)

chore_leases = sa.Table(  # which process does what only one of all may do at a time
    "chore_leases",
    metadata,
    _id("name", primary_key=True),
    _text("holder"),
    _time("until"),
    sqlite_with_rowid=False,
)

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
# The log by time, and by what it is searched for: the rare among millions is found at once.
sa.Index("ix_events_at", events.c.at, events.c.number)
for _name in ("site_id", "kind", "actor"):
    sa.Index(f"ix_events_{_name}", events.c[_name], events.c.at, events.c.number)

# ------------------------------------------------------------------ finding what waits

# What filters and orders need of a waiting comment, read off it when somebody looks for the first
# time: judging writes none of it. A row goes when its comment no longer waits.
waiting = sa.Table(
    "waiting",
    metadata,
    sa.Column(
        "comment_id",
        sa.Text,
        sa.ForeignKey("queue.comment_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    _id("site_id"),
    _time("waiting_since"),
    sa.Column("risk", sa.Double, nullable=False),
    sa.Column("doubt", sa.Double, nullable=False),
    sa.Column("spam_bin", sa.Integer, nullable=False),
    sa.Column("spam_level", sa.Integer, nullable=False),
    sa.Column("toxicity_bin", sa.Integer, nullable=False),
    sa.Column("toxicity_level", sa.Integer, nullable=False),
    _text("band"),
    _text("language"),
    _text("article"),
    sa.Column("is_new_author", sa.Boolean, nullable=False),
    sa.Column("is_reported", sa.Boolean, nullable=False),
    _text("codes"),
    _text("domains"),
    _maybe_text("campaign"),  # its id, "" for none, NULL when nobody has looked yet
    sa.Column("teaches", sa.Double, nullable=False, server_default=sa.text("0")),
    sa.Column("cell", sa.BigInteger, nullable=False, server_default=sa.text("0")),
)
# What the index of campaigns holds. Databases go by it only where a statement says so itself, word
# for word: that a campaign equals a value which they are told later does not tell them.
IN_CAMPAIGN_INDEX = sa.or_(
    waiting.c.campaign.is_(None), waiting.c.campaign != sa.literal_column("''", sa.Text)
)
sa.Index(
    "ix_waiting_campaign",
    waiting.c.campaign,
    waiting.c.comment_id,
    sqlite_where=IN_CAMPAIGN_INDEX,
    postgresql_where=IN_CAMPAIGN_INDEX,
)
sa.Index("ix_waiting_waiting_since", waiting.c.waiting_since, waiting.c.comment_id)
sa.Index("ix_waiting_risk", waiting.c.risk, waiting.c.comment_id)
sa.Index("ix_waiting_doubt", waiting.c.doubt, waiting.c.comment_id)
sa.Index("ix_waiting_teaches", waiting.c.teaches, waiting.c.comment_id)
sa.Index("ix_waiting_cell", waiting.c.cell, waiting.c.site_id)
for _head in ("spam", "toxicity"):
    _columns = (waiting.c.site_id, waiting.c[f"{_head}_bin"], waiting.c[f"{_head}_level"])
    sa.Index(f"ix_waiting_{_head}_bin", *_columns)

waiting_texts = sa.Table(  # beside it, so that filters do not read what only a search needs
    "waiting_texts",
    metadata,
    sa.Column(
        "comment_id",
        sa.Text,
        sa.ForeignKey("waiting.comment_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    _text("text"),
)

# ------------------------------------------------------------------ a site's own rules

# What holds in a version of a site's rules are the rows with `since` <= version, and `ended` none
# or above it; nothing is ever changed but where a row ends, so that old versions stay readable.
site_rules = sa.Table(
    "site_rules",
    metadata,
    _id("id", primary_key=True),
    _id("site_id", sa.ForeignKey("sites.id")),
    _text("kind"),  # author, network, word, domain, raid
    _text("key"),  # a keyed hash, the entry, or the article
    _text("action"),
    _text("scope"),  # "address" for a domain that is looked for in addresses too
    _text("label"),  # what people know an author or article by, addresses masked
    _text("why"),
    _text("made_by"),
    _time("made_at"),
    _maybe_time("expires_at"),
    _number("since"),
    sa.Column("ended", sa.BigInteger, nullable=True),
)
sa.Index(
    "ix_site_rules_site_id",
    site_rules.c.site_id,
    site_rules.c.ended,
    site_rules.c.kind,
    site_rules.c.key,
)
sa.Index("ix_site_rules_since", site_rules.c.site_id, site_rules.c.since)

site_rule_changes = sa.Table(  # append-only, but for `undone`
    "site_rule_changes",
    metadata,
    _id("site_id", sa.ForeignKey("sites.id"), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("actor"),
    _time("at"),
    _text("why"),
    _text("what"),  # the first few, as people know them, addresses masked
    _number("made"),  # rows that began with it, and that ended
    _number("ended"),
    sa.Column("undoes", sa.BigInteger, nullable=True),
    sa.Column("undone", sa.BigInteger, nullable=True),  # by which version
    sqlite_with_rowid=False,
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
    _maybe_time("seen_at"),
    _maybe_text("browser"),
    _maybe_text("network"),
)

# ------------------------------------------------------------------ accounts

accounts = sa.Table(  # what a moderator may sign in with; one without a row has links alone
    "accounts",
    metadata,
    _id("moderator_id", sa.ForeignKey("moderators.id"), primary_key=True),
    _text("home"),  # the site whose admins look after it; "" for those of every site
    _maybe_text("password"),  # Argon2id's PHC string
    _maybe_time("password_at"),
    sa.Column("totp_cipher", sa.LargeBinary, nullable=True),
    _number("totp_step"),  # of the last code used
    _maybe_time("disabled_at"),
    _text("language"),
    sa.Column("single_keys", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    _id("code_hash", primary_key=True),
    _id("moderator_id", sa.ForeignKey("moderators.id"), index=True),
    _maybe_time("used_at"),
    sqlite_with_rowid=False,
)

sign_in_attempts = sa.Table(  # worth nothing after its hour: may be emptied at any time
    "sign_in_attempts",
    metadata,
    _id("key_mac", primary_key=True),
    _number("failures"),
    sa.Column("until", UtcTime, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ who looks at what

# One row for a moderator, written over by the next claim, and worth nothing when it has expired:
# may be emptied at any time. No key to `comments`, which come and go faster.
claims = sa.Table(
    "claims",
    metadata,
    _id("moderator_id", sa.ForeignKey("moderators.id"), primary_key=True),
    _id("comment_id"),
    _id("site_id"),
    _time("expires_at"),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ statistics

# Counts by day, in UTC, as ISO dates. They hang on no comment: what is forgotten stays counted.
# `statistics_marks` says how far each count has come, so that everything is counted once.
statistics_marks = sa.Table(
    "statistics_marks",
    metadata,
    _id("name", primary_key=True),
    _id("site_id", primary_key=True),  # "" for what is counted of all sites at once
    _text("place"),
    sqlite_with_rowid=False,
)

reason_days = sa.Table(  # of decided comments with a reason, and of those agreed with
    "reason_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("code", primary_key=True),
    _id("day", primary_key=True),
    _number("times"),
    _number("agreed"),
    sqlite_with_rowid=False,
)

decision_days = sa.Table(  # `opinions`: where the machine had not left it to a person
    "decision_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("moderator", primary_key=True),
    _id("outcome", primary_key=True),
    _id("reason", primary_key=True),
    _id("language", primary_key=True),
    _number("times"),
    _number("opinions"),
    _number("agreed"),
    sqlite_with_rowid=False,
)

arrival_days = sa.Table(
    "arrival_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("outcome", primary_key=True),
    _id("model", primary_key=True),
    _id("policy", primary_key=True),
    _number("times"),
    sqlite_with_rowid=False,
)

language_days = sa.Table(  # estimated where more came than are read
    "language_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("language", primary_key=True),
    _id("outcome", primary_key=True),
    sa.Column("times", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

score_days = sa.Table(  # twenty bins of [0, 1]
    "score_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("model", primary_key=True),
    _id("head", primary_key=True),
    sa.Column("bin", sa.Integer, primary_key=True, autoincrement=False),
    _number("times"),
    sqlite_with_rowid=False,
)

audit_days = sa.Table(  # what people said of comments drawn at random; a weight is 1 / its chance
    "audit_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("said", primary_key=True),
    _id("decided", primary_key=True),
    _number("times"),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("squares", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

audit_language_days = sa.Table(  # the same by the language that the comments are in
    "audit_language_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("language", primary_key=True),
    _id("said", primary_key=True),
    _id("decided", primary_key=True),
    _number("times"),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("squares", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

shape_days = sa.Table(  # what shape comments had: how many were read, and stand for how many
    "shape_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("shape", primary_key=True),
    _id("step", primary_key=True),
    _number("texts_read"),
    sa.Column("times", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

alerts = sa.Table(  # what wants a look, as long as it does
    "alerts",
    metadata,
    _id("site_id", primary_key=True),
    _id("kind", primary_key=True),
    _id("what", primary_key=True),
    _time("since"),
    _time("seen_at"),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("bound", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

queue_samples = sa.Table(  # how long the queue was; "" for all sites, and no row where none waited
    "queue_samples",
    metadata,
    sa.Column("at", UtcTime, primary_key=True),
    _id("site_id", primary_key=True),
    _number("waiting"),
    sa.Column("p50_seconds", sa.Double, nullable=False),
    sa.Column("p95_seconds", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ the challenger's shadow

# Of comments scored by both, what the champion made of them (`was`) and the challenger (`would`),
# each without a site's layer; `layered` counts where the layer had made something else of it.
shadow_days = sa.Table(
    "shadow_days",
    metadata,
    _id("site_id", primary_key=True),
    _id("day", primary_key=True),
    _id("language", primary_key=True),
    _id("challenger", primary_key=True),
    _id("champion", primary_key=True),
    _id("was", primary_key=True),
    _id("would", primary_key=True),
    _number("times"),
    _number("layered"),
    sqlite_with_rowid=False,
)

shadow_hours = sa.Table(  # how long a challenger has been looked at: the hours with comments
    "shadow_hours",
    metadata,
    _id("challenger", primary_key=True),
    _id("champion", primary_key=True),
    _id("hour", primary_key=True),
    _number("times"),
    sqlite_with_rowid=False,
)

shadow_flips = sa.Table(  # of each kind those with the least `draw`: a fair sample, and small
    "shadow_flips",
    metadata,
    _id("comment_id", primary_key=True),  # goes with its comment
    _id("challenger", primary_key=True),
    _id("champion", primary_key=True),
    _id("site_id"),
    _text("was"),
    _text("would"),
    _text("language"),
    _time("at"),
    _number("draw"),
    sqlite_with_rowid=False,
)
sa.Index(
    "ix_shadow_flips_site_id",
    shadow_flips.c.site_id,
    shadow_flips.c.challenger,
    shadow_flips.c.champion,
    shadow_flips.c.was,
    shadow_flips.c.would,
    shadow_flips.c.draw,
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

# ------------------------------------------------------------------ labels

label_findings = sa.Table(  # the last report on labels and the last audit: figures and ids alone
    "label_findings",
    metadata,
    _id("kind", primary_key=True),  # report, audit
    _time("at"),
    _text("body"),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------ the installation

keyring_marks = sa.Table(  # tells that the keyring is the one this database was written with
    "keyring_marks",
    metadata,
    _id("file", primary_key=True),
    _text("fingerprint"),
)

# ------------------------------------------------------------------ who was erased

erasures = sa.Table(  # append-only: when and how much, never who
    "erasures",
    metadata,
    _id("id", primary_key=True),
    _id("site_id"),
    _time("at"),
    _text("made_by"),
    _text("why"),
    _number("comments"),
    _number("labelled"),
    sqlite_with_rowid=False,
)
sa.Index("ix_erasures_site_id", erasures.c.site_id, erasures.c.at)

# ------------------------------------------------------------------ learning again

jobs = sa.Table(  # trainings; one is open at a time, and `open` is NULL for those that are over
    "jobs",
    metadata,
    _id("id", primary_key=True),
    sa.Column("open", sa.Integer, nullable=True, unique=True),
    _text("asked_by"),
    _time("asked_at"),
    _text("state"),
    _maybe_text("holder"),
    _maybe_time("started_at"),
    _maybe_time("heard_at"),
    _maybe_time("ended_at"),
    _text("stage"),
    sa.Column("share", sa.Double, nullable=False),
    sa.Column("seconds_left", sa.Double, nullable=True),
    _text("result"),
    _text("problem"),
    sqlite_with_rowid=False,
)
sa.Index("ix_jobs_asked_at", jobs.c.asked_at, jobs.c.id)

nightly = sa.Table(  # what is done without being asked; one row, or none
    "nightly",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("new_labels", sa.Integer, nullable=False),
    sa.Column("promotes", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)
