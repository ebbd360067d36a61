"""Sites, their keys and their policies.

Knows that a key is shown once and stored as a hash, and that a policy is never edited.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from model.policy import Policy
from service.keyring import Keyring, new_token
from service.storage.errors import NameTaken, UnknownSite
from service.storage.events import Actor, tell
from service.storage.records import Changes, Site, SiteKey, new_id
from service.storage.tables import policies, site_keys, sites

_PREFIX_LENGTH = len("dk_") + 4  # enough to tell keys apart; 264 bits stay unknown

_SITE = sa.select(
    sites.c.id, sites.c.name, sites.c.policy_version, policies.c.body, sites.c.rate_limit
).join(
    policies,
    sa.and_(policies.c.site_id == sites.c.id, policies.c.version == sites.c.policy_version),
)

# Policies are immutable and read at every request.
_policy_of = lru_cache(maxsize=256)(Policy.from_json)


def _site(site_id: str, name: str, version: str, body: str, rate_limit: float | None) -> Site:
    return Site(site_id, name, _policy_of(body), version, rate_limit)


def add_site(
    connection: sa.Connection, keyring: Keyring, name: str, policy: Policy, *, actor: Actor
) -> tuple[Site, str]:
    """A new site and its key in clear, which is shown this once. Raises NameTaken."""
    site = Site(new_id(actor.at), name, policy, policy.version)
    row = {"id": site.id, "name": name, "policy_version": policy.version, "created_at": actor.at}
    unchanged = {"last_change": 0, "last_undo": 0, "last_reset": 0}
    insert_named(connection, sites, row | unchanged)
    _keep_policy(connection, site.id, policy, at=actor.at)
    key = _add_key(connection, keyring, site.id, at=actor.at)
    tell(connection, "site_added", actor, site_id=site.id, body={"policy": policy.version})
    return site, key


def insert_named(connection: sa.Connection, table: sa.Table, row: Mapping[str, object]) -> None:
    """Insert a row whose name is unique. Raises NameTaken."""
    taken = False
    try:
        connection.execute(table.insert(), row)
    except IntegrityError:
        taken = True
    if taken:  # outside the handler: a chained error would carry the driver's message
        raise NameTaken("this name is taken")


def all_sites(connection: sa.Connection) -> list[Site]:
    """All sites by name."""
    return [_site(*row) for row in connection.execute(_SITE.order_by(sites.c.name, sites.c.id))]


def site(connection: sa.Connection, site_id: str) -> Site:
    """One site. Raises UnknownSite."""
    row = connection.execute(_SITE.where(sites.c.id == site_id)).one_or_none()
    if row is None:
        raise UnknownSite("there is no such site")
    return _site(*row)


def site_of_key(
    connection: sa.Connection, keyring: Keyring, key: str, now: datetime
) -> Site | None:
    """The site that a key in clear belongs to; None for an unknown or revoked one."""
    valid = sa.or_(site_keys.c.revoked_at.is_(None), site_keys.c.revoked_at > now)
    statement = _SITE.join(site_keys, site_keys.c.site_id == sites.c.id)
    statement = statement.where(site_keys.c.key_hash == keyring.token_hash(key), valid)
    row = connection.execute(statement).one_or_none()
    return _site(*row) if row else None


def keys_of(connection: sa.Connection, site_id: str) -> list[SiteKey]:
    """What is known of a site's keys, newest first."""
    columns = (site_keys.c.prefix, site_keys.c.created_at, site_keys.c.revoked_at)
    statement = sa.select(*columns).where(site_keys.c.site_id == site_id)
    order = (site_keys.c.created_at.desc(), site_keys.c.key_hash)
    return [SiteKey(*row) for row in connection.execute(statement.order_by(*order))]


def rotate_key(
    connection: sa.Connection,
    keyring: Keyring,
    site_id: str,
    *,
    keep_old_for: timedelta | None,
    actor: Actor,
) -> str:
    """A new key in clear, shown this once; the others are refused from now or the delay on.

    A key that already has an earlier end keeps it. Raises UnknownSite.
    """
    site(connection, site_id)
    ends = actor.at + (keep_old_for or timedelta())
    still = sa.or_(site_keys.c.revoked_at.is_(None), site_keys.c.revoked_at > ends)
    statement = site_keys.update().where(site_keys.c.site_id == site_id, still)
    connection.execute(statement.values(revoked_at=ends))
    key = _add_key(connection, keyring, site_id, at=actor.at)
    tell(connection, "key_rotated", actor, site_id=site_id, body={"prefix": key[:_PREFIX_LENGTH]})
    return key


def set_policy(connection: sa.Connection, site_id: str, policy: Policy, *, actor: Actor) -> Site:
    """Put a policy in force; earlier ones stay as they were. Raises UnknownSite."""
    before = site(connection, site_id)
    _keep_policy(connection, site_id, policy, at=actor.at)
    statement = sites.update().where(sites.c.id == site_id)
    connection.execute(statement.values(policy_version=policy.version))
    body = {"from": before.policy_version, "to": policy.version}
    tell(connection, "policy_set", actor, site_id=site_id, body=body)
    return site(connection, site_id)


def set_rate_limit(
    connection: sa.Connection, site_id: str, rate_limit: float | None, *, actor: Actor
) -> Site:
    """Give a site a rate limit of its own, or none of its own. Raises UnknownSite."""
    before = site(connection, site_id)
    statement = sites.update().where(sites.c.id == site_id)
    connection.execute(statement.values(rate_limit=rate_limit))
    body = {"from": before.rate_limit, "to": rate_limit}
    tell(connection, "rate_limit_set", actor, site_id=site_id, body=body)
    return site(connection, site_id)


def next_change(connection: sa.Connection, site_id: str, *, undoes: bool = False) -> int:
    """The number of a change to what was decided on a site, made in this transaction.

    The site's row is held until it ends, so that nobody sees a number before those below it.
    Raises UnknownSite.
    """
    change = sites.c.last_change + 1
    values = {"last_change": change} | ({"last_undo": change} if undoes else {})
    return _changed(connection, site_id, values)


def forget(connection: sa.Connection, site_id: str, *, actor: Actor) -> int:
    """Let no decision so far count for what is learnt; the number of that. Raises UnknownSite."""
    change = sites.c.last_change + 1
    number = _changed(connection, site_id, {"last_change": change, "last_reset": change})
    tell(connection, "decisions_forgotten", actor, site_id=site_id, body={"change": number})
    return number


def _changed(connection: sa.Connection, site_id: str, values: Mapping[str, object]) -> int:
    statement = sites.update().where(sites.c.id == site_id).values(values)
    found = connection.execute(statement.returning(sites.c.last_change))
    number: int | None = found.scalar_one_or_none()
    if number is None:
        raise UnknownSite("there is no such site")
    return number


def changes(connection: sa.Connection, site_id: str) -> Changes:
    """How far the decisions of a site have come. Raises UnknownSite."""
    columns = (sites.c.last_change, sites.c.last_undo, sites.c.last_reset)
    row = connection.execute(sa.select(*columns).where(sites.c.id == site_id)).one_or_none()
    if row is None:
        raise UnknownSite("there is no such site")
    return Changes(*row)


def policy(connection: sa.Connection, site_id: str, version: str) -> Policy | None:
    """A policy that is or was in force on a site."""
    statement = sa.select(policies.c.body)
    statement = statement.where(policies.c.site_id == site_id, policies.c.version == version)
    body = connection.execute(statement).scalar_one_or_none()
    return None if body is None else _policy_of(body)


def _keep_policy(connection: sa.Connection, site_id: str, policy: Policy, *, at: datetime) -> None:
    # Equal policies have equal versions: setting an old one again finds it there.
    known = sa.exists().where(policies.c.site_id == site_id, policies.c.version == policy.version)
    if not connection.execute(sa.select(known)).scalar_one():
        row = {"site_id": site_id, "version": policy.version, "body": policy.to_json()}
        connection.execute(policies.insert(), row | {"created_at": at})


def _add_key(connection: sa.Connection, keyring: Keyring, site_id: str, *, at: datetime) -> str:
    key = f"dk_{new_token()}"
    row = {"key_hash": keyring.token_hash(key), "site_id": site_id, "created_at": at}
    connection.execute(site_keys.insert(), row | {"prefix": key[:_PREFIX_LENGTH]})
    return key
