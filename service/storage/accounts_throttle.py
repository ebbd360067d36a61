"""Attempts to sign in, counted where every process sees them and a restart forgets nothing.

Knows counts in windows of time, by keyed hash: neither a name nor an address is stored. Of two
who try at once both are counted before either is looked at, so that trying in parallel gains
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.storage.store import Store
from service.storage.tables import UtcTime, sign_in_attempts

_TAKE = sa.text(
    "INSERT INTO sign_in_attempts (key_mac, failures, until) VALUES (:key, 1, :later) "
    "ON CONFLICT (key_mac) DO UPDATE SET "
    "failures = CASE WHEN sign_in_attempts.until <= :now THEN 1 "
    "ELSE sign_in_attempts.failures + 1 END, "
    "until = CASE WHEN sign_in_attempts.until <= :now THEN excluded.until "
    "ELSE sign_in_attempts.until END"
).bindparams(sa.bindparam("now", type_=UtcTime), sa.bindparam("later", type_=UtcTime))


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many attempts that failed in a window, of whatever `of` and `who` name."""

    of: str
    who: str
    most: int
    window: timedelta


class _Over(Exception):
    """Somebody else was faster; nothing is counted."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class Throttle:
    """The attempts of a database. Safe to share between threads and processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, limits: Sequence[Limit]) -> timedelta | None:
        """Count one attempt under each limit; None if it may be made, else how long to wait.

        An attempt that has to wait is not counted, and costs no write.
        """
        by_key = {self._key(limit): limit for limit in limits}
        wait = self._wait(by_key)
        if wait is not None:
            return wait
        try:
            self._count(by_key)
        except _Over as over:
            return over.wait
        return None

    def _count(self, by_key: Mapping[str, Limit]) -> None:
        now = self._store.now()
        with self._store.writes() as connection:
            connection.execute(sign_in_attempts.delete().where(sign_in_attempts.c.until <= now))
            for key in sorted(by_key):  # in one order, so that none waits crosswise
                row = {"key": key, "now": now, "later": now + by_key[key].window}
                connection.execute(_TAKE, row)
            counted = self._counted(connection, by_key)
            over = [u - now for key, (n, u) in counted.items() if n > by_key[key].most]
            if over:
                raise _Over(max(over))

    def give_back(self, limits: Sequence[Limit]) -> None:
        """Count an attempt no longer, which succeeded."""
        keys = sorted(self._key(limit) for limit in limits)
        table = sign_in_attempts
        with self._store.writes() as connection:
            for key in keys:
                of_it = (table.c.key_mac == key, table.c.failures > 0)
                connection.execute(
                    table.update().where(*of_it).values(failures=table.c.failures - 1)
                )

    def _wait(self, by_key: Mapping[str, Limit]) -> timedelta | None:
        now = self._store.now()
        with self._store.reads() as connection:
            counted = self._counted(connection, by_key)
        full = (u - now for key, (n, u) in counted.items() if n >= by_key[key].most and u > now)
        return max(full, default=None)

    def _counted(
        self, connection: sa.Connection, by_key: Mapping[str, Limit]
    ) -> dict[str, tuple[int, datetime]]:
        table = sign_in_attempts
        found = connection.execute(sa.select(table).where(table.c.key_mac.in_(by_key)))
        return {row.key_mac: (row.failures, row.until) for row in found}

    def _key(self, limit: Limit) -> str:
        return self._store.keyring.token_hash(f"attempt\0{limit.of}\0{limit.who}")
