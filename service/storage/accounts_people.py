"""Who may enter, as admins see and change it: invitations, roles, links, accounts disabled.

Knows how far an admin's word goes. Roles go by site: an admin gives and takes those on their own
sites. An account goes with all it may do: links, sessions, disabling are for an admin of all its
sites. Everybody else is not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.storage import sign_in
from service.storage.accounts import OpenSession, forget_codes, open_sessions
from service.storage.errors import KeptElsewhere, LastAdmin, UnknownModerator, UnknownSite
from service.storage.events import Actor, tell
from service.storage.records import EVERY_SITE, Moderator, Role
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import accounts, memberships, moderators, sign_in_links


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may enter, as one admin may see them: `roles` are those on the admin's sites.

    `is_ours` is whether that admin looks after the account as well.
    """

    id: str
    name: str
    roles: dict[str, Role]
    is_ours: bool
    is_disabled: bool
    has_password: bool
    has_codes: bool
    sessions: Sequence[OpenSession]
    link_until: datetime | None


class People:
    """The people of a database. `admin_of` are the sites that the caller administers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self, admin_of: SiteIds) -> list[Person]:
        """Everybody whom that admin may know of, by name."""
        with self._store.reads() as connection:
            found = sign_in.all_moderators(connection)
            return self._people(connection, found, admin_of)

    def one(self, admin_of: SiteIds, person_id: str) -> Person:
        """One of them. Raises UnknownModerator."""
        with self._store.reads() as connection:
            return self._one(connection, admin_of, person_id)

    def invite(
        self,
        admin_of: SiteIds,
        name: str,
        role: Role,
        *,
        site_id: str,
        by: str,
        lifetime: timedelta,
    ) -> tuple[Moderator, str]:
        """Somebody new, and the token of their first link. Raises NameTaken, UnknownSite."""
        _must_administer(admin_of, site_id)
        now = self._store.now()
        with self._store.writes() as connection:
            actor = Actor(by, now)
            new = sign_in.add_moderator(connection, name, role, site_id=site_id, actor=actor)
            return new, self._link(connection, new.id, lifetime, by)

    def set_role(
        self, admin_of: SiteIds, person_id: str, site_id: str, role: Role | None, *, by: str
    ) -> Role | None:
        """Give a role on a site of the admin's, or take it; the one before.

        Raises UnknownModerator, UnknownSite, LastAdmin.
        """
        _must_administer(admin_of, site_id)
        now = self._store.now()
        with self._store.writes() as connection:
            person = self._one(connection, admin_of, person_id)
            admins = _held_admins(connection)
            was = person.roles.get(site_id)
            if was == role:
                return was
            _put_role(connection, person_id, site_id, role)
            _must_be_left(connection, admins)
            # A link that an admin of fewer sites has made must not lead to more than they have.
            sign_in.end_links(connection, person_id, now=now)
            body = {"moderator": person.id, "name": person.name, "was": was, "role": role}
            tell(connection, "role_changed", Actor(by, now), site_id=site_id or None, body=body)
        return was

    def new_link(self, admin_of: SiteIds, person_id: str, *, by: str, lifetime: timedelta) -> str:
        """The token of a new link, in the place of earlier ones. Raises as `disable` does."""
        with self._store.writes() as connection:
            self._ours(connection, admin_of, person_id)
            sign_in.end_links(connection, person_id, now=self._store.now())
            return self._link(connection, person_id, lifetime, by)

    def end_sessions(self, admin_of: SiteIds, person_id: str, *, by: str) -> int:
        """End all sessions of somebody; how many. Raises as `disable` does."""
        with self._store.writes() as connection:
            self._ours(connection, admin_of, person_id)
            return sign_in.end_sessions(connection, person_id, now=self._store.now(), by=by)

    def disable(self, admin_of: SiteIds, person_id: str, *, by: str) -> None:
        """Let somebody in no more, from this moment; what they decided stands.

        Raises UnknownModerator, KeptElsewhere, LastAdmin.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            self._ours(connection, admin_of, person_id)
            admins = _held_admins(connection)
            self._change(connection, person_id, disabled_at=now)
            _must_be_left(connection, admins)
            sign_in.end_links(connection, person_id, now=now)
            sign_in.tell_of_account(connection, "account_disabled", person_id, now, by=by)
            sign_in.end_sessions(connection, person_id, now=now, by=by)

    def enable(self, admin_of: SiteIds, person_id: str, *, by: str) -> None:
        """Let somebody in again, as before. Raises as `disable` does."""
        now = self._store.now()
        with self._store.writes() as connection:
            self._ours(connection, admin_of, person_id)
            self._change(connection, person_id, disabled_at=None)
            sign_in.tell_of_account(connection, "account_enabled", person_id, now, by=by)

    def reset(self, admin_of: SiteIds, person_id: str, *, by: str) -> None:
        """Take somebody's password and one-time codes away: only a link lets them in then.

        Their sessions and earlier links end. Raises as `disable` does.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            self._ours(connection, admin_of, person_id)
            self._change(connection, person_id, password=None, password_at=None)
            forget_codes(connection, person_id)
            sign_in.end_links(connection, person_id, now=now)
            sign_in.tell_of_account(connection, "account_reset", person_id, now, by=by)
            sign_in.end_sessions(connection, person_id, now=now, by=by)

    # -------------------------------------------------------------- within

    def _one(self, connection: sa.Connection, admin_of: SiteIds, person_id: str) -> Person:
        found = self._people(connection, [sign_in.moderator(connection, person_id)], admin_of)
        if not found:
            raise UnknownModerator("there is no such moderator")
        return found[0]

    def _ours(self, connection: sa.Connection, admin_of: SiteIds, person_id: str) -> None:
        if not self._one(connection, admin_of, person_id).is_ours:
            raise KeptElsewhere("this account is looked after by the admins of every site")

    def _people(
        self, connection: sa.Connection, found: Sequence[Moderator], admin_of: SiteIds
    ) -> list[Person]:
        ids, now = [one.id for one in found], self._store.now()
        statement = sa.select(accounts).where(accounts.c.moderator_id.in_(ids))
        rows = {row.moderator_id: row for row in connection.execute(statement)}
        open_ = open_sessions(connection, ids, now)
        links = _links(connection, ids, now)
        people = []
        for one in found:
            row = rows.get(one.id)
            home = row.home if row else EVERY_SITE
            seen, ours = _reach(one, home, admin_of)
            if seen is not None:
                people.append(
                    Person(
                        one.id,
                        one.name,
                        seen,
                        ours,
                        bool(row and row.disabled_at),
                        bool(row and row.password),
                        bool(row and row.totp_cipher),
                        open_[one.id] if ours else (),
                        links.get(one.id) if ours else None,
                    )
                )
        return people

    def _link(self, connection: sa.Connection, person_id: str, lifetime: timedelta, by: str) -> str:
        now = self._store.now()
        sign_in.tell_of_account(connection, "link_made", person_id, now, by=by)
        return sign_in.new_sign_in_link(
            connection, self._store.keyring, person_id, lifetime=lifetime, now=now
        )

    def _change(self, connection: sa.Connection, person_id: str, **values: object) -> None:
        sign_in.add_account(connection, person_id)
        of_them = accounts.c.moderator_id == person_id
        connection.execute(accounts.update().where(of_them).values(values))


def _reach(one: Moderator, home: str, admin_of: SiteIds) -> tuple[dict[str, Role] | None, bool]:
    """The roles that an admin may see of somebody, None if not even their name; and whether the
    account is theirs to look after.

    That an account is not says nothing of other sites: those made for every site never are.
    """
    if admin_of is None:
        return dict(one.roles), True
    if EVERY_SITE in one.roles:
        return None, False
    seen = {site_id: role for site_id, role in one.roles.items() if site_id in admin_of}
    is_ours = home in admin_of and len(seen) == len(one.roles)
    return (seen, is_ours) if seen or is_ours else (None, False)


def _must_administer(admin_of: SiteIds, site_id: str) -> None:
    if admin_of is not None and site_id not in admin_of:
        raise UnknownSite("there is no such site")


def _put_role(connection: sa.Connection, person_id: str, site_id: str, role: Role | None) -> None:
    if site_id == EVERY_SITE:
        change = moderators.update().where(moderators.c.id == person_id)
        connection.execute(change.values(role=role.value if role else ""))
        return
    of_it = (memberships.c.moderator_id == person_id, memberships.c.site_id == site_id)
    connection.execute(memberships.delete().where(*of_it))
    if role is not None:
        row = {"moderator_id": person_id, "site_id": site_id, "role": role.value}
        connection.execute(memberships.insert(), row)


def _admins() -> sa.Select[str]:
    enabled = sign_in.is_enabled(moderators.c.id)
    return sa.select(moderators.c.id).where(moderators.c.role == Role.ADMIN.value, enabled)


def _held_admins(connection: sa.Connection) -> int:
    """How many administer every site. Nobody else changes that until the end."""
    held = sa.select(moderators.c.id).where(moderators.c.role == Role.ADMIN.value)
    connection.execute(held.order_by(moderators.c.id).with_for_update()).all()
    return len(connection.execute(_admins()).all())


def _must_be_left(connection: sa.Connection, before: int) -> None:
    if before and not connection.execute(_admins()).all():
        raise LastAdmin("somebody must be left who administers every site")


def _links(connection: sa.Connection, ids: Sequence[str], now: datetime) -> dict[str, datetime]:
    """Until when somebody's newest link works, by moderator."""
    table = sign_in_links
    statement = (
        sa.select(table.c.moderator_id, sa.func.max(table.c.expires_at).label("until"))
        .where(table.c.moderator_id.in_(ids), table.c.used_at.is_(None), table.c.expires_at > now)
        .group_by(table.c.moderator_id)
    )
    return {row.moderator_id: row.until for row in connection.execute(statement)}
