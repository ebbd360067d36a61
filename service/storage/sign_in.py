"""Moderators, their one-time links and their sessions.

Knows that a link works once, that of every token only a hash is stored, and that whoever is
disabled has neither. What else people sign in with is `accounts`' to know.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.keyring import Keyring, new_token
from service.storage import sites
from service.storage.errors import NameTaken, UnknownModerator
from service.storage.events import Actor, tell
from service.storage.records import EVERY_SITE, Moderator, Role, new_id
from service.storage.sites import insert_named
from service.storage.tables import accounts, memberships, moderators, sessions, sign_in_links

IDLE_LIFETIME = timedelta(hours=4)
"""How long a session lasts of which nothing is seen."""

_OPERATOR = "operator"  # in the log, whoever works on the command line
_CODE_KEYS = "accounts"  # in place of a site, for what seals the keys of one-time codes


@dataclass(frozen=True, slots=True)
class Client:
    """Where and how somebody signs in: a browser in words, the network of the address, by what."""

    browser: str = ""
    network: str = ""
    how: str = "link"


@dataclass(frozen=True, slots=True)
class Entered:
    """A session in force: whose, and what is known of it. `id` is no secret."""

    id: str
    moderator: Moderator
    seen_at: datetime
    language: str
    single_keys: bool


def folded(name: str) -> str:
    """What names that people would take for the same have in common."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def add_moderator(
    connection: sa.Connection, name: str, role: Role, *, site_id: str = EVERY_SITE, actor: Actor
) -> Moderator:
    """A new moderator. Raises NameTaken, UnknownSite.

    Names by which sites and imports decide are taken: what a site takes back is known by them.
    """
    wanted = folded(name)
    names = connection.execute(sa.select(moderators.c.name)).scalars()
    is_of_another_kind = wanted == _OPERATOR or wanted.startswith(("site ", "import "))
    if is_of_another_kind or any(folded(one) == wanted for one in names):
        raise NameTaken("this name is taken")
    moderator = Moderator(new_id(actor.at), name, {site_id: role})
    everywhere = role.value if site_id == EVERY_SITE else ""
    row = {"id": moderator.id, "name": name, "role": everywhere, "created_at": actor.at}
    insert_named(connection, moderators, row)
    add_account(connection, moderator.id, home=site_id)
    if site_id != EVERY_SITE:
        sites.site(connection, site_id)
        member = {"moderator_id": moderator.id, "site_id": site_id, "role": role.value}
        connection.execute(memberships.insert(), member)
    body = {"moderator": moderator.id, "name": name, "role": role}
    tell(connection, "moderator_added", actor, site_id=site_id or None, body=body)
    return moderator


def add_account(connection: sa.Connection, moderator_id: str, *, home: str = EVERY_SITE) -> None:
    """Have a row for what a moderator signs in with, unless there is one."""
    known = sa.exists().where(accounts.c.moderator_id == moderator_id)
    if connection.execute(sa.select(known)).scalar_one():
        return
    row = {"moderator_id": moderator_id, "home": home, "totp_step": 0}
    connection.execute(accounts.insert(), row | {"language": "", "single_keys": True})


def is_enabled(moderator_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a moderator may sign in at all."""
    gone = accounts.c.disabled_at.is_not(None)
    return ~sa.exists().where(accounts.c.moderator_id == moderator_id, gone)


def all_moderators(connection: sa.Connection) -> list[Moderator]:
    """All moderators by name."""
    columns = (moderators.c.id, moderators.c.name, moderators.c.role)
    found = connection.execute(sa.select(*columns).order_by(moderators.c.name)).all()
    roles = _roles(connection, [row.id for row in found])
    return [_moderator(row, roles) for row in found]


def moderator(connection: sa.Connection, moderator_id: str) -> Moderator:
    """One moderator. Raises UnknownModerator."""
    columns = (moderators.c.id, moderators.c.name, moderators.c.role)
    statement = sa.select(*columns).where(moderators.c.id == moderator_id)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise UnknownModerator("there is no such moderator")
    return _moderator(row, _roles(connection, [row.id]))


def _moderator(row: Any, roles: Mapping[str, Mapping[str, Role]]) -> Moderator:
    everywhere = {EVERY_SITE: Role(row.role)} if row.role else {}
    return Moderator(row.id, row.name, everywhere | dict(roles.get(row.id, {})))


def _roles(connection: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, Role]]:
    """The roles that moderators have on single sites, by moderator and site."""
    found: dict[str, dict[str, Role]] = {}
    statement = sa.select(memberships).where(memberships.c.moderator_id.in_(ids))
    for row in connection.execute(statement):
        found.setdefault(row.moderator_id, {})[row.site_id] = Role(row.role)
    return found


# ------------------------------------------------------------------ links


def new_sign_in_link(
    connection: sa.Connection,
    keyring: Keyring,
    moderator_id: str,
    *,
    lifetime: timedelta,
    now: datetime,
) -> str:
    """A token that signs a moderator in, once, within its lifetime. Raises UnknownModerator."""
    known = sa.exists().where(moderators.c.id == moderator_id)
    if not connection.execute(sa.select(known)).scalar_one():
        raise UnknownModerator("there is no such moderator")
    token = new_token()
    row = {"token_hash": keyring.token_hash(token), "moderator_id": moderator_id}
    connection.execute(
        sign_in_links.insert(), row | {"created_at": now, "expires_at": now + lifetime}
    )
    return token


def _in_force(keyring: Keyring, token: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    table = sign_in_links
    return (
        table.c.token_hash == keyring.token_hash(token),
        table.c.used_at.is_(None),
        table.c.expires_at > now,
        is_enabled(table.c.moderator_id),
    )


def owner_of_link(
    connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime
) -> str | None:
    """Whose link a token is, which stays as it is; None when unknown, used or expired."""
    statement = sa.select(sign_in_links.c.moderator_id).where(*_in_force(keyring, token, now))
    return connection.execute(statement).scalar_one_or_none()


def use_sign_in_link(
    connection: sa.Connection,
    keyring: Keyring,
    token: str,
    *,
    lifetime: timedelta,
    now: datetime,
    client: Client | None = None,
) -> str | None:
    """The token of a new session; None when the link is unknown, used or expired.

    Of two who use a link at once, one gets a session.
    """
    statement = (
        sign_in_links.update()
        .where(*_in_force(keyring, token, now))
        .values(used_at=now)
        .returning(sign_in_links.c.moderator_id)
    )
    moderator_id = connection.execute(statement).scalar_one_or_none()
    if moderator_id is None:
        return None
    return begin_session(
        connection, keyring, moderator_id, lifetime=lifetime, now=now, client=client
    )


def end_links(connection: sa.Connection, moderator_id: str, *, now: datetime) -> None:
    """Let no link of a moderator work any more."""
    of_them = (sign_in_links.c.moderator_id == moderator_id, sign_in_links.c.used_at.is_(None))
    connection.execute(sign_in_links.update().where(*of_them).values(used_at=now))


# ------------------------------------------------------------------ sessions


def begin_session(
    connection: sa.Connection,
    keyring: Keyring,
    moderator_id: str,
    *,
    lifetime: timedelta,
    now: datetime,
    client: Client | None = None,
) -> str:
    """The token of a new session of a moderator, who is known and enabled."""
    session, from_ = new_token(), client or Client()
    row = {"token_hash": keyring.token_hash(session), "moderator_id": moderator_id}
    times = {"created_at": now, "seen_at": now, "expires_at": now + lifetime}
    where = {"browser": from_.browser, "network": from_.network}
    connection.execute(sessions.insert(), row | times | where)
    tell_of_account(connection, "signed_in", moderator_id, now, body={"by": from_.how})
    return session


def tell_of_account(
    connection: sa.Connection,
    kind: str,
    moderator_id: str,
    at: datetime,
    *,
    by: str = "",
    body: Mapping[str, object] | None = None,
) -> None:
    """Append what happened to an account, where the admins who look after it read it.

    `by` is who did it, when it was not the account's owner.
    """
    name, home = connection.execute(
        sa.select(moderators.c.name, accounts.c.home)
        .outerjoin(accounts, accounts.c.moderator_id == moderators.c.id)
        .where(moderators.c.id == moderator_id)
    ).one()
    said = {"moderator": moderator_id, "name": name} | dict(body or {})
    tell(connection, kind, Actor(by or name, at), site_id=home or None, body=said)


def entered(
    connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime
) -> Entered | None:
    """The session that a token is of; None when unknown, ended, expired, idle for too long, or
    of somebody disabled."""
    seen = sa.func.coalesce(sessions.c.seen_at, sessions.c.created_at)
    statement = (
        sa.select(
            moderators.c.id,
            moderators.c.name,
            moderators.c.role,
            seen.label("seen"),
            accounts.c.language,
            accounts.c.single_keys,
        )
        .join(sessions, sessions.c.moderator_id == moderators.c.id)
        .outerjoin(accounts, accounts.c.moderator_id == moderators.c.id)
        .where(
            sessions.c.token_hash == keyring.token_hash(token),
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > now,
            seen > now - IDLE_LIFETIME,
            accounts.c.disabled_at.is_(None),
        )
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    one = _moderator(row, _roles(connection, [row.id]))
    keys = row.single_keys is not False
    return Entered(session_id(keyring, token), one, row.seen, row.language or "", keys)


def session_id(keyring: Keyring, token: str) -> str:
    """What a session is called on a page: half of the hash, which leads nowhere."""
    return keyring.token_hash(token)[:32]


def note_seen(connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime) -> None:
    """Put down that a session is in use."""
    of_it = sessions.c.token_hash == keyring.token_hash(token)
    connection.execute(sessions.update().where(of_it).values(seen_at=now))


def end_session(connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime) -> None:
    """Refuse a session's token from now on. An unknown one is no error."""
    statement = (
        sessions.update()
        .where(sessions.c.token_hash == keyring.token_hash(token), sessions.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(sessions.c.moderator_id)
    )
    moderator_id = connection.execute(statement).scalar_one_or_none()
    if moderator_id is not None:
        tell_of_account(connection, "session_ended", moderator_id, now)


def end_sessions(
    connection: sa.Connection,
    moderator_id: str,
    *,
    now: datetime,
    only: str = "",
    but: str = "",
    by: str = "",
) -> int:
    """End the sessions of a moderator: all, `only` that one, or all `but` one; how many."""
    open_ = (
        sessions.c.moderator_id == moderator_id,
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > now,
    )
    name = sa.func.substr(sessions.c.token_hash, 1, 32)
    which = [name == only] if only else [name != but] if but else []
    ended = connection.execute(sessions.update().where(*open_, *which).values(revoked_at=now))
    if ended.rowcount:
        body = {"sessions": ended.rowcount}
        tell_of_account(connection, "session_ended", moderator_id, now, by=by, body=body)
    return ended.rowcount


# ------------------------------------------------------------------ the keys of one-time codes


def seal_code_key(keyring: Keyring, moderator_id: str, key: str) -> bytes:
    """The key of a moderator's one-time codes as it is stored."""
    return keyring.encrypt_address(key, site_id=_CODE_KEYS, comment_id=moderator_id)


def unseal_code_key(keyring: Keyring, moderator_id: str, sealed: bytes) -> str:
    """The key that `seal_code_key` sealed. Raises service.keyring.UnreadableAddress."""
    return keyring.decrypt_address(sealed, site_id=_CODE_KEYS, comment_id=moderator_id)
