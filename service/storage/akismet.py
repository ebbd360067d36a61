"""What is kept for sites whose clients speak Akismet's protocol: keys, choices, checks.

A check is remembered by a keyed hash of what all spellings of its comment have in common, so
that a report or a recheck finds it.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

import sqlalchemy as sa

from model.decision import ReportKind
from model.outcome import Outcome
from service.keyring import Keyring
from service.storage.events import Actor, tell
from service.storage.records import Site
from service.storage.sites import site
from service.storage.tables import (
    akismet_checks,
    akismet_sites,
    comments,
    decisions,
    reports,
    undos,
    verdicts,
)

LONGEST_HOME = 2000
"""Characters of a site's address; more is cut."""


class QueueSpoken(StrEnum):
    """What a client is told of a comment that waits for a person.

    `pending` holds it where a client can (WordPress) and calls it spam elsewhere, from where a
    person can bring it back; `recheck` lets WordPress 6.8 and later hold it until it is told;
    `accept` publishes it meanwhile, `reject` calls it spam everywhere.
    """

    PENDING = "pending"
    RECHECK = "recheck"
    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class AkismetChoices:
    """How a site wants to be spoken to in Akismet's protocol.

    `homes` are its addresses without scheme, such as "blog.example/news"; with none, calls may
    name any, and no one is called back. `discards` allows the hint that blatant spam need not
    be kept. `reaches_private` allows calls back to addresses of the local network.
    """

    queue: QueueSpoken = QueueSpoken.PENDING
    homes: tuple[str, ...] = ()
    discards: bool = False
    reaches_private: bool = False

    def is_home(self, home: str) -> bool:
        """Whether a call may come from this address."""
        return not self.homes or any(_lies_in(home, known) for known in self.homes)

    def may_call(self, url: str) -> bool:
        """Whether a late verdict may be told to this URL: it is one of a registered address."""
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.lower() not in {"http", "https"} or "@" in rest.split("/")[0]:
            return False
        return any(_lies_in(rest.partition("?")[0].lower(), known) for known in self.homes)


def home_of(address: str) -> str:
    """A site's address in one spelling: host, port and path, without scheme or last slash.

    "" for what is no address.
    """
    return _home_of(address[:LONGEST_HOME])


@lru_cache(maxsize=1024)  # a site's calls name the same one again and again
def _home_of(address: str) -> str:
    text = address.strip().lower()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not _HOST.fullmatch(host):
        return ""
    shown = f"{host}:{port}" if port not in (None, 80, 443) else host
    return f"{shown}{parts.path.rstrip('/')}"[:LONGEST_HOME]


_HOST = re.compile(r"[\w:][\w.:-]*")  # no other first: it stands first in a cell of a table


def _lies_in(address: str, home: str) -> bool:
    return address == home or address.startswith(f"{home}/")


@dataclass(frozen=True, slots=True)
class AkismetSite:
    """A site that an Akismet key belongs to, with its choices."""

    site: Site
    choices: AkismetChoices


@dataclass(frozen=True, slots=True)
class AkismetCheck:
    """A check that was answered, and what is in force for its comment now."""

    comment_id: str
    state: Outcome


@dataclass(slots=True)
class Counts:
    """Comments by what was said of them, and what people said of that."""

    spam: int = 0
    ham: int = 0
    missed_spam: int = 0
    false_positives: int = 0

    def of(self, name: str) -> int:
        """One of the counts, or `calls`, which is all of them."""
        return self.spam + self.ham if name == "calls" else int(getattr(self, name))

    def as_numbers(self) -> dict[str, int]:
        """The counts by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def add(self, other: "Counts") -> None:
        """Count what another one counts as well."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(frozen=True, slots=True)
class Months:
    """Counts of each month, such as "2026-11", and of all."""

    by_month: Mapping[str, Counts]

    @property
    def total(self) -> Counts:
        """All months together."""
        total = Counts()
        for counts in self.by_month.values():
            total.add(counts)
        return total


# ------------------------------------------------------------------ keys and choices


def new_key(connection: sa.Connection, keyring: Keyring, site_id: str, *, actor: Actor) -> str:
    """A new key of 12 hexadecimal digits, which replaces an earlier one. Raises UnknownSite.

    It is kept sealed as well, because a late verdict has to name it.
    """
    site(connection, site_id)
    key = secrets.token_hex(6)
    row = {"key_hash": keyring.token_hash(key), "key_cipher": keyring.seal(key, site_id=site_id)}
    updated = connection.execute(
        akismet_sites.update().where(akismet_sites.c.site_id == site_id).values(row)
    )
    if not updated.rowcount:
        chosen = _as_row(AkismetChoices())
        connection.execute(akismet_sites.insert(), {"site_id": site_id} | row | chosen)
    tell(connection, "akismet_key_made", actor, site_id=site_id, body={})
    return key


def site_of_key(connection: sa.Connection, keyring: Keyring, key: str) -> AkismetSite | None:
    """The site that a key in clear belongs to, None for an unknown one."""
    statement = sa.select(akismet_sites).where(akismet_sites.c.key_hash == keyring.token_hash(key))
    row = connection.execute(statement).one_or_none()
    return AkismetSite(site(connection, row.site_id), choices_in(row)) if row else None


def choices_of(connection: sa.Connection, site_id: str) -> AkismetChoices | None:
    """What a site chose, None for one without a key. Raises UnknownSite."""
    site(connection, site_id)
    statement = sa.select(akismet_sites).where(akismet_sites.c.site_id == site_id)
    row = connection.execute(statement).one_or_none()
    return choices_in(row) if row else None


def choose(
    connection: sa.Connection, site_id: str, choices: AkismetChoices, *, actor: Actor
) -> None:
    """Put a site's choices in force; it has to have a key. Raises UnknownSite."""
    site(connection, site_id)
    statement = akismet_sites.update().where(akismet_sites.c.site_id == site_id)
    connection.execute(statement.values(_as_row(choices)))
    tell(connection, "akismet_set", actor, site_id=site_id, body=_as_row(choices))


def _as_row(choices: AkismetChoices) -> dict[str, object]:
    return {
        "queue": choices.queue.value,
        "homes": json.dumps(choices.homes),
        "discards": choices.discards,
        "reaches_private": choices.reaches_private,
    }


def choices_in(row: sa.Row[tuple[object, ...]]) -> AkismetChoices:
    """The choices in a row of `akismet_sites`."""
    return AkismetChoices(
        queue=QueueSpoken(row.queue),
        homes=tuple(json.loads(row.homes)),
        discards=bool(row.discards),
        reaches_private=bool(row.reaches_private),
    )


# ------------------------------------------------------------------ checks


def match_key(keyring: Keyring, site_id: str, match: str) -> str:
    """What a check is found by."""
    return keyring.match_key("akismet", site_id, match)


def check(
    connection: sa.Connection, keyring: Keyring, site_id: str, match: str
) -> AkismetCheck | None:
    """The newest check of a comment, in whatever spelling; None when there was none."""
    statement = (
        sa.select(akismet_checks.c.comment_id, comments.c.state)
        .join(comments, comments.c.id == akismet_checks.c.comment_id)
        .where(akismet_checks.c.match_key == match_key(keyring, site_id, match))
        .order_by(akismet_checks.c.comment_id.desc())
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return AkismetCheck(row.comment_id, Outcome.of(row.state)) if row else None


def months(connection: sa.Connection, site_id: str, since: datetime | None) -> Months:
    """What became of the checks of a site, by the month they were made in."""
    found: dict[str, Counts] = {}
    for month, _, counts in _counted(connection, site_id, since):
        found.setdefault(month, Counts()).add(counts)
    return Months(dict(sorted(found.items())))


def homes(connection: sa.Connection, site_id: str, month: str) -> dict[str, Counts]:
    """What became of the checks of a site in a month, by the address they named."""
    since = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    found: dict[str, Counts] = {}
    for of_month, home, counts in _counted(connection, site_id, since):
        if of_month == month:
            found.setdefault(home, Counts()).add(counts)
    return found


def _counted(
    connection: sa.Connection, site_id: str, since: datetime | None
) -> list[tuple[str, str, Counts]]:
    """Month, address, and counts of the checks that fall together in both."""
    standing = (
        sa.select(decisions.c.outcome)
        .where(
            decisions.c.comment_id == akismet_checks.c.comment_id,
            ~sa.exists().where(undos.c.decision_id == decisions.c.id),
        )
        .limit(1)
        .scalar_subquery()
    )
    said = {
        kind: sa.exists().where(
            reports.c.comment_id == akismet_checks.c.comment_id, reports.c.kind == kind.value
        )
        for kind in (ReportKind.SPAM, ReportKind.HAM)
    }
    is_spam = verdicts.c.outcome != Outcome.ACCEPT.word
    missed = sa.or_(standing == "reject", sa.and_(standing.is_(None), said[ReportKind.SPAM]))
    wronged = sa.or_(standing == "accept", sa.and_(standing.is_(None), said[ReportKind.HAM]))
    columns = (
        akismet_checks.c.month,
        akismet_checks.c.home,
        sa.func.sum(sa.case((is_spam, 1), else_=0)),
        sa.func.sum(sa.case((is_spam, 0), else_=1)),
        sa.func.sum(sa.case((sa.and_(~is_spam, missed), 1), else_=0)),
        sa.func.sum(sa.case((sa.and_(is_spam, wronged), 1), else_=0)),
    )
    statement = (
        sa.select(*columns)
        .join(verdicts, verdicts.c.comment_id == akismet_checks.c.comment_id)
        .where(akismet_checks.c.site_id == site_id)
        .group_by(akismet_checks.c.month, akismet_checks.c.home)
    )
    if since is not None:
        statement = statement.where(akismet_checks.c.month >= f"{since:%Y-%m}")
    return [
        (month, home, Counts(*map(int, counts)))
        for month, home, *counts in connection.execute(statement)
    ]
