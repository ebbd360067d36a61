"""What goes into the store and what comes out. Frozen values, no I/O, never an address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import uuid_utils

from model.decision import Decision, ReportKind
from model.outcome import Outcome
from model.policy import Policy
from model.submission import History, Submission
from model.verdict import Verdict
from service.storage.tables import microseconds_of


def new_id(at: datetime) -> str:
    """A new UUIDv7: ids sort by the millisecond; a clock before 1970 counts as 1970."""
    return str(uuid_utils.uuid7(nanoseconds=max(0, microseconds_of(at)) * 1000))


@dataclass(frozen=True, slots=True)
class Site:
    """An installation that sends submissions, with the policy in force.

    `rate_limit` is its own limit in comments a second, 0 for none; None leaves it to the
    setting.
    """

    id: str
    name: str
    policy: Policy
    policy_version: str
    rate_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """How far what people decided on a site has come.

    Decisions, undos and resets of one site are numbered from 1, in the order in which they
    were committed. `last` is the number of the last of them, `undo` of the last undo and
    `reset` of the last reset, 0 for none. `rules` is the version of the site's own rules, 0
    while it has none.
    """

    last: int = 0
    undo: int = 0
    reset: int = 0
    rules: int = 0


@dataclass(frozen=True, slots=True)
class AkismetOrigin:
    """How a comment came by Akismet's protocol.

    `match` is what all spellings of it have in common, `home` the address of the site as its
    client names it, `callback` where a late verdict is told, "" for nowhere.
    """

    match: str = field(repr=False)
    home: str
    callback: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission about to be judged.

    `comment_id` comes from `new_id`; `normal_text` is the content's normal form, by which
    equal texts are found; `idempotency_key` is the caller's, empty when there is none. One that
    `is_test` is judged and not recorded. `origin` is None but for Akismet's protocol. The
    address and IP in `submission` are in clear: this is the last place where they are.
    """

    site_id: str
    comment_id: str
    submission: Submission = field(repr=False)
    received_at: datetime
    normal_text: str = field(repr=False)
    idempotency_key: str = field(default="", repr=False)
    origin: AkismetOrigin | None = None
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class MatchKeys:
    """The keyed hashes a submission is matched by; "" for what was not sent."""

    author: str
    ip: str
    text: str
    twin: str
    idempotency: str
    body: str


@dataclass(frozen=True, slots=True)
class StoredComment:
    """A comment as stored.

    `submission` has neither address nor IP; `email_masked` ("n•••@gmail.com") and `ip_masked`
    ("203.0.113.0/24") may be shown. Where a honeypot was filled in, its text is "•". `state`
    is the outcome in force: the verdict's until a report or a decision changed it.
    `waiting_since` is None unless the comment waits in the queue.
    """

    id: str
    site_id: str
    received_at: datetime
    submission: Submission = field(repr=False)
    email_masked: str
    ip_masked: str
    history: History
    verdict: Verdict
    review_probability: float
    state: Outcome
    decision: Decision | None
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """What was known about one submission of a batch.

    `replay` is the comment that the same request made before; `same_as` the place in this
    batch of an earlier item that is the same request; `conflict` says that the idempotency
    key was used for another submission. With any of the three there is nothing to judge.
    `changes` is how far the decisions of its site have come.
    """

    history: History
    keys: MatchKeys
    changes: Changes = field(default_factory=Changes)
    replay: StoredComment | None = None
    same_as: int | None = None
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A judged submission, to be recorded.

    `review_probability` in [0, 1] is the chance that this verdict, whatever the comment,
    would be looked at by a person: 1 for the queue, the policy's audit rate for the rest.
    """

    asked: Asked
    known: Known
    verdict: Verdict
    review_probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.review_probability <= 1:
            raise ValueError("review_probability must be from 0 to 1")


class Waiting(StrEnum):
    """Why a comment waits for a person."""

    VERDICT = "verdict"
    AUDIT = "audit"
    REPORT = "report"
    IMPORT = "import"
    APPEAL = "appeal"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A comment that waits, and why."""

    comment: StoredComment
    why: Waiting


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Part of the queue, in order. `after` continues it; empty when this is the end."""

    items: tuple[QueueItem, ...]
    after: str


@dataclass(frozen=True, slots=True)
class SiteKey:
    """What is known of a site's key: how it begins, and from when on it is refused."""

    prefix: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `body` is compact JSON and holds neither content nor address."""

    number: int
    at: datetime
    site_id: str | None
    kind: str
    comment_id: str | None
    actor: str
    body: str


@dataclass(frozen=True, slots=True)
class Report:
    """A site's word that a verdict was wrong."""

    kind: ReportKind
    at: datetime


class Role(StrEnum):
    """What a person may do on a site; each role may all that the ones before it may.

    A viewer reads, a moderator decides, an admin also reveals addresses and manages people and
    the site's rules.
    """

    VIEWER = "viewer"
    MODERATOR = "moderator"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        """Whether whoever has this role may do what the other one may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


EVERY_SITE = ""
"""In the place of a site's id: all there are and will be."""


@dataclass(frozen=True, slots=True)
class Moderator:
    """A person who may enter, with a role on each of some sites, or on `EVERY_SITE`."""

    id: str
    name: str
    roles: Mapping[str, Role]

    def sites_as(self, role: Role) -> frozenset[str] | None:
        """The ids of the sites on which this person has that role or more; None is every site."""
        held = {site_id for site_id, one in self.roles.items() if one.covers(role)}
        return None if EVERY_SITE in held else frozenset(held)

    @property
    def role(self) -> Role | None:
        """The role on every site, None for one who has roles on some sites only."""
        return self.roles.get(EVERY_SITE)
