"""What people sign in with besides links: passwords, codes used once; and their sessions.

Knows that a step of one-time codes and a recovery code work once, and what ends with what: a new
password ends every other session. Does not know how a password is hashed: it is given the hash.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from service.storage import sign_in
from service.storage.sign_in import Client, Entered, folded
from service.storage.store import SESSION_LIFETIME, Store
from service.storage.tables import accounts, moderators, recovery_codes, sessions

CODE_KEY_BYTES = 20
"""Of the key of one-time codes: as long as SHA-1's output, as RFC 4226 recommends."""

STEP_SECONDS = 30
CODE_DIGITS = 6
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is easily taken for another


@dataclass(frozen=True, slots=True)
class Account:
    """What a moderator signs in with. `password` is a hash, None without one."""

    moderator_id: str
    name: str
    password: str | None = field(repr=False)
    password_at: datetime | None
    has_codes: bool
    recovery_codes: int
    language: str
    single_keys: bool


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session in force, as its owner may see it; what is not known of it is ""."""

    id: str
    created_at: datetime
    seen_at: datetime
    browser: str
    network: str


class Accounts:
    """The accounts of a database. Whoever is disabled has none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entered(self, token: str) -> Entered | None:
        """The session that a token is of, None if none is in force."""
        with self._store.reads() as connection:
            now = self._store.now()
            return sign_in.entered(connection, self._store.keyring, token, now=now)

    def note_seen(self, token: str) -> None:
        """Put down that a session is in use."""
        with self._store.writes() as connection:
            now = self._store.now()
            sign_in.note_seen(connection, self._store.keyring, token, now=now)

    # -------------------------------------------------------------- finding

    def named(self, name: str) -> Account | None:
        """The account of a name, however it is written; None if there is none."""
        wanted = folded(name)
        with self._store.reads() as connection:
            found = connection.execute(sa.select(moderators.c.id, moderators.c.name)).all()
            ids = [row.id for row in found if row.name == name.strip()]
            ids += [row.id for row in found if folded(row.name) == wanted]
            # The same is asked where there is none, and takes as long.
            return self._account(connection, ids[0] if ids else "")

    def of(self, moderator_id: str) -> Account | None:
        """The account of a moderator; None if there is none."""
        with self._store.reads() as connection:
            return self._account(connection, moderator_id)

    def of_link(self, token: str) -> Account | None:
        """Whose a link is that still works, which it does afterwards as well."""
        with self._store.reads() as connection:
            now = self._store.now()
            owner = sign_in.owner_of_link(connection, self._store.keyring, token, now=now)
            return self._account(connection, owner) if owner else None

    def _account(self, connection: sa.Connection, moderator_id: str) -> Account | None:
        table = accounts
        row = connection.execute(
            sa.select(moderators.c.name, table)
            .outerjoin(table, table.c.moderator_id == moderators.c.id)
            .where(moderators.c.id == moderator_id, table.c.disabled_at.is_(None))
        ).one_or_none()
        unused = (recovery_codes.c.moderator_id == moderator_id, recovery_codes.c.used_at.is_(None))
        statement = sa.select(sa.func.count()).select_from(recovery_codes).where(*unused)
        left = connection.execute(statement).scalar_one()
        if row is None:
            return None
        return Account(
            moderator_id,
            row.name,
            row.password,
            row.password_at,
            row.totp_cipher is not None,
            left,
            row.language or "",
            row.single_keys is not False,
        )

    def _is_still(self, connection: sa.Connection, account: Account) -> bool:
        """Whether an account still has that password, and is not disabled."""
        sign_in.add_account(connection, account.moderator_id)
        of_it = sa.select(accounts).where(accounts.c.moderator_id == account.moderator_id)
        row = connection.execute(of_it.with_for_update()).one()
        return row.disabled_at is None and row.password == account.password

    # -------------------------------------------------------------- sessions

    def begin_session(self, account: Account, client: Client, *, how: str) -> str | None:
        """The token of a new session; None when the account changed since it was read.

        `account` is as it was when its password was checked: who changed the password or
        disabled the account meanwhile was first.
        """
        with self._store.writes() as connection:
            if not self._is_still(connection, account):
                return None
            return sign_in.begin_session(
                connection,
                self._store.keyring,
                account.moderator_id,
                lifetime=SESSION_LIFETIME,
                now=self._store.now(),
                client=replace(client, how=how),
            )

    def use_link(self, token: str, client: Client, *, password: str | None = None) -> str | None:
        """The token of a new session, and a password set with it; None for a link that is bad."""
        now, keyring = self._store.now(), self._store.keyring
        with self._store.writes() as connection:
            owner = sign_in.owner_of_link(connection, keyring, token, now=now)
            if owner is not None and password is not None:
                self._set_password(connection, owner, password)
            return sign_in.use_sign_in_link(
                connection, keyring, token, lifetime=SESSION_LIFETIME, now=now, client=client
            )

    def sessions_of(self, moderator_id: str) -> Sequence[OpenSession]:
        """The sessions in force of a moderator, the one seen last first."""
        with self._store.reads() as connection:
            return open_sessions(connection, [moderator_id], self._store.now())[moderator_id]

    def end_session(self, moderator_id: str, session_id: str) -> bool:
        """End one of a moderator's sessions; False when there is none of that id."""
        with self._store.writes() as connection:
            now = self._store.now()
            return sign_in.end_sessions(connection, moderator_id, now=now, only=session_id) > 0

    def end_others(self, moderator_id: str, session_id: str) -> int:
        """End all sessions of a moderator but one; how many."""
        with self._store.writes() as connection:
            now = self._store.now()
            return sign_in.end_sessions(connection, moderator_id, now=now, but=session_id)

    # -------------------------------------------------------------- passwords

    def set_password(self, account: Account, password: str | None, *, client: Client) -> str | None:
        """Put the hash of a password in force, or none; the token of a new session.

        Every other session of the account ends, and links work no more. None when the account
        changed since it was read.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            if not self._is_still(connection, account):
                return None
            self._set_password(connection, account.moderator_id, password)
            sign_in.end_links(connection, account.moderator_id, now=now)
            return sign_in.begin_session(
                connection,
                self._store.keyring,
                account.moderator_id,
                lifetime=SESSION_LIFETIME,
                now=now,
                client=replace(client, how="password_changed"),
            )

    def _set_password(
        self, connection: sa.Connection, moderator_id: str, password: str | None
    ) -> None:
        now = self._store.now()
        self._change(connection, moderator_id, password=password, password_at=now)
        kind = "password_changed" if password else "password_removed"
        sign_in.tell_of_account(connection, kind, moderator_id, now)
        sign_in.end_sessions(connection, moderator_id, now=now)

    def rehash(self, account: Account, password: str) -> None:
        """Keep the same password under another hash, unless it was changed meanwhile."""
        table = accounts
        same = (table.c.moderator_id == account.moderator_id, table.c.password == account.password)
        with self._store.writes() as connection:
            connection.execute(table.update().where(*same).values(password=password))

    # -------------------------------------------------------------- one-time codes

    def turn_codes_on(self, moderator_id: str, key: bytes, code: str) -> Sequence[str] | None:
        """Ask for one-time codes from now on; the recovery codes, shown this once.

        None when the code is not the key's of now.
        """
        step = _step_of(key, code, self._store.now(), after=0)
        if step is None:
            return None
        sealed = sign_in.seal_code_key(self._store.keyring, moderator_id, key.hex())
        with self._store.writes() as connection:
            self._change(connection, moderator_id, totp_cipher=sealed, totp_step=step)
            now = self._store.now()
            sign_in.tell_of_account(connection, "codes_turned_on", moderator_id, now)
            return self._new_recovery_codes(connection, moderator_id)

    def turn_codes_off(self, moderator_id: str) -> None:
        """Ask for no one-time codes any more."""
        with self._store.writes() as connection:
            forget_codes(connection, moderator_id)
            now = self._store.now()
            sign_in.tell_of_account(connection, "codes_turned_off", moderator_id, now)

    def renew_recovery_codes(self, moderator_id: str) -> Sequence[str]:
        """New recovery codes, shown this once; earlier ones work no more."""
        with self._store.writes() as connection:
            now = self._store.now()
            sign_in.tell_of_account(connection, "recovery_codes_renewed", moderator_id, now)
            return self._new_recovery_codes(connection, moderator_id)

    def _new_recovery_codes(self, connection: sa.Connection, moderator_id: str) -> Sequence[str]:
        of_them = recovery_codes.c.moderator_id == moderator_id
        connection.execute(recovery_codes.delete().where(of_them))
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        rows = [
            {"code_hash": self._hash(moderator_id, code), "moderator_id": moderator_id}
            for code in codes
        ]
        connection.execute(recovery_codes.insert(), rows)
        return codes

    def use_code(self, moderator_id: str, code: str) -> bool:
        """Use up a one-time code or a recovery code; False for one that is wrong, or used.

        A code counts for its own 30 seconds and those before and after. Of two who use it
        at once, one has it.
        """
        plain = "".join(code.split()).replace("-", "").casefold()
        with self._store.writes() as connection:
            columns = (accounts.c.totp_cipher, accounts.c.totp_step)
            statement = sa.select(*columns).where(accounts.c.moderator_id == moderator_id)
            row = connection.execute(statement.with_for_update()).one_or_none()
            if row is None or row.totp_cipher is None:
                return False
            sealed = sign_in.unseal_code_key(self._store.keyring, moderator_id, row.totp_cipher)
            key = bytes.fromhex(sealed)
            step = _step_of(key, plain, self._store.now(), after=row.totp_step)
            if step is not None:
                self._change(connection, moderator_id, totp_step=step)
                return True
            return self._use_recovery_code(connection, moderator_id, plain)

    def _use_recovery_code(self, connection: sa.Connection, moderator_id: str, code: str) -> bool:
        now, table = self._store.now(), recovery_codes
        unused = (
            table.c.code_hash == self._hash(moderator_id, code),
            table.c.moderator_id == moderator_id,
            table.c.used_at.is_(None),
        )
        used = connection.execute(table.update().where(*unused).values(used_at=now)).rowcount == 1
        if used:
            sign_in.tell_of_account(connection, "recovery_code_used", moderator_id, now)
        return used

    def _hash(self, moderator_id: str, code: str) -> str:
        plain = code.replace("-", "")
        return self._store.keyring.token_hash(f"recovery\0{moderator_id}\0{plain}")

    # -------------------------------------------------------------- choices

    def choose(self, moderator_id: str, *, language: str, single_keys: bool) -> None:
        """Keep in which language, and whether by single keys, somebody works."""
        with self._store.writes() as connection:
            self._change(connection, moderator_id, language=language, single_keys=single_keys)

    def _change(self, connection: sa.Connection, moderator_id: str, **values: object) -> None:
        sign_in.add_account(connection, moderator_id)
        of_them = accounts.c.moderator_id == moderator_id
        connection.execute(accounts.update().where(of_them).values(values))


def forget_codes(connection: sa.Connection, moderator_id: str) -> None:
    """Forget the key of somebody's one-time codes, and their recovery codes."""
    of_them = accounts.c.moderator_id == moderator_id
    connection.execute(accounts.update().where(of_them).values(totp_cipher=None))
    of_them = recovery_codes.c.moderator_id == moderator_id
    connection.execute(recovery_codes.delete().where(of_them))


def open_sessions(
    connection: sa.Connection, moderator_ids: Sequence[str], now: datetime
) -> dict[str, list[OpenSession]]:
    """The sessions in force by moderator, the one seen last first."""
    seen = sa.func.coalesce(sessions.c.seen_at, sessions.c.created_at)
    statement = (
        sa.select(sessions, seen.label("seen"))
        .where(
            sessions.c.moderator_id.in_(moderator_ids),
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > now,
            seen > now - sign_in.IDLE_LIFETIME,
        )
        .order_by(seen.desc(), sessions.c.token_hash)
    )
    found: dict[str, list[OpenSession]] = {one: [] for one in moderator_ids}
    for row in connection.execute(statement):
        found[row.moderator_id].append(
            OpenSession(
                row.token_hash[:32], row.created_at, row.seen, row.browser or "", row.network or ""
            )
        )
    return found


def new_code_key() -> bytes:
    """A new key of one-time codes."""
    return secrets.token_bytes(CODE_KEY_BYTES)


def codes_of(key: bytes) -> TOTP:
    """The one-time codes of a key, as every authenticator app makes them (RFC 6238)."""
    return TOTP(key, CODE_DIGITS, SHA1(), STEP_SECONDS)


def _step_of(key: bytes, code: str, now: datetime, *, after: int) -> int | None:
    """The step that a code is of, of now, the one before or the one to come; None if of none."""
    made, current = codes_of(key), int(now.timestamp()) // STEP_SECONDS
    right = None
    for step in (current - 1, current, current + 1):
        expected = made.generate(step * STEP_SECONDS)
        if hmac.compare_digest(expected, code.encode(errors="replace")) and step > after:
            right = step
    return right


def _recovery_code() -> str:
    """Eleven characters, of 49 bits."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(10))
    return f"{code[:5]}-{code[5:]}"
