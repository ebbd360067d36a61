"""Moderators, their one-time links and their sessions.

Knows that a link works once and that of every token only a hash is stored.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.keyring import Keyring, new_token
from service.storage import sites
from service.storage.errors import UnknownModerator
from service.storage.events import Actor, tell
from service.storage.records import EVERY_SITE, Moderator, Role, new_id
from service.storage.sites import insert_named
from service.storage.tables import memberships, moderators, sessions, sign_in_links


def add_moderator(
    connection: sa.Connection, name: str, role: Role, *, site_id: str = EVERY_SITE, actor: Actor
) -> Moderator:
    """A new moderator. Raises NameTaken, UnknownSite."""
    moderator = Moderator(new_id(actor.at), name, {site_id: role})
    everywhere = role.value if site_id == EVERY_SITE else ""
    row = {"id": moderator.id, "name": name, "role": everywhere, "created_at": actor.at}
    insert_named(connection, moderators, row)
    if site_id != EVERY_SITE:
        sites.site(connection, site_id)
        member = {"moderator_id": moderator.id, "site_id": site_id, "role": role.value}
        connection.execute(memberships.insert(), member)
    body = {"moderator": moderator.id, "role": role}
    tell(connection, "moderator_added", actor, site_id=site_id or None, body=body)
    return moderator


def all_moderators(connection: sa.Connection) -> list[Moderator]:
    """All moderators by name."""
    columns = (moderators.c.id, moderators.c.name, moderators.c.role)
    found = connection.execute(sa.select(*columns).order_by(moderators.c.name)).all()
    roles = _roles(connection, [row.id for row in found])
    return [_moderator(row, roles) for row in found]


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


def use_sign_in_link(
    connection: sa.Connection, keyring: Keyring, token: str, *, lifetime: timedelta, now: datetime
) -> str | None:
    """The token of a new session; None when the link is unknown, used or expired.

    Of two who use a link at once, one gets a session.
    """
    table = sign_in_links
    statement = (
        table.update()
        .where(
            table.c.token_hash == keyring.token_hash(token),
            table.c.used_at.is_(None),
            table.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(table.c.moderator_id)
    )
    moderator_id = connection.execute(statement).scalar_one_or_none()
    if moderator_id is None:
        return None
    session = new_token()
    row = {"token_hash": keyring.token_hash(session), "moderator_id": moderator_id}
    connection.execute(sessions.insert(), row | {"created_at": now, "expires_at": now + lifetime})
    tell(connection, "signed_in", Actor(moderator_id, now), body={})
    return session


def moderator_of_session(
    connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime
) -> Moderator | None:
    """Whose session a token is; None when unknown, ended or expired."""
    statement = (
        sa.select(moderators.c.id, moderators.c.name, moderators.c.role)
        .join(sessions, sessions.c.moderator_id == moderators.c.id)
        .where(
            sessions.c.token_hash == keyring.token_hash(token),
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > now,
        )
    )
    row = connection.execute(statement).one_or_none()
    return _moderator(row, _roles(connection, [row.id])) if row else None


def end_session(connection: sa.Connection, keyring: Keyring, token: str, *, now: datetime) -> None:
    """Refuse a session's token from now on. An unknown one is no error."""
    statement = sessions.update().where(
        sessions.c.token_hash == keyring.token_hash(token), sessions.c.revoked_at.is_(None)
    )
    connection.execute(statement.values(revoked_at=now))
