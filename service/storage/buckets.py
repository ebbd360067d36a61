"""The buckets that rate limits are counted in, shared by every process on a database.

Knows one number for each site: when its bucket will be full again. All amounts are seconds of
refilling, so that neither rates nor comments are known here. What is written here is worth
nothing after a minute, and is not synced to the disk: a power cut fills the buckets.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import sqlalchemy as sa

from service.storage.engine import open_engine, transaction
from service.storage.tables import rate_buckets

BUSY_MILLISECONDS = 1000
"""How long SQLite waits for another process' write before counting goes on without it."""

MOST_OWED_WINDOWS = 5
"""A bucket owes at most so many times what it holds. More is a clock that was set back."""

_ADD = sa.text(
    "INSERT INTO rate_buckets (site_id, full_at) VALUES (:site_id, 0) ON CONFLICT DO NOTHING"
)
_SET = sa.text(
    "INSERT INTO rate_buckets (site_id, full_at) VALUES (:site_id, :full_at) "
    "ON CONFLICT (site_id) DO UPDATE SET full_at = excluded.full_at"
)
_CLOCK = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one process spent of a site's bucket already, and what it asks for.

    `window` is what the bucket holds. `spent` counts whatever is there, and is less than 0
    where something is given back; each of `wanted` is granted only if it fits.
    """

    site_id: str
    window: float
    spent: float
    wanted: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """Which of `wanted` were granted, and what the bucket owes then: 0 is full."""

    granted: tuple[bool, ...]
    owed: float


class Buckets:
    """The buckets of a database: `sqlite:///PATH` or `postgresql://…`. Safe between threads.

    Its connection is its own, and is opened for the first claim: where no site has a limit
    there is none. `clock` gives seconds since 1970 and is asked with SQLite, whose processes
    share a machine; PostgreSQL's own clock is one for all machines.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._clock = clock
        self._engine: sa.Engine | None = None
        self._opening = Lock()
        self._added: set[str] = set()

    def settle(self, claims: Sequence[Claim]) -> list[Settled]:
        """Count what was spent and grant what fits, for sites that differ, in one transaction.

        Raises StoreUnavailable, and then nothing was counted; ValueError for a URL of neither
        database.
        """
        ids = sorted(claim.site_id for claim in claims)
        with transaction(self._opened(), writes=True) as connection:
            before = self._full_at(connection, ids)
            now = self._now(connection)
            settled = [settled_of(claim, before.get(claim.site_id, 0.0) - now) for claim in claims]
            full_at = {c.site_id: now + s.owed for c, s in zip(claims, settled, strict=True)}
            connection.execute(_SET, [{"site_id": i, "full_at": full_at[i]} for i in ids])
        self._added.update(ids)
        return settled

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> sa.Engine:
        with self._opening:
            if self._engine is None:
                self._engine = open_engine(self._url, connections=1)
                if self._engine.dialect.name == "sqlite":
                    sa.event.listen(self._engine, "connect", _without_waiting)
            return self._engine

    def _full_at(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, float]:
        """When the buckets are full. Locked, in one order, so that none waits crosswise."""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        new = [{"site_id": site_id} for site_id in ids if site_id not in self._added]
        if new:
            connection.execute(_ADD, new)
        columns = (rate_buckets.c.site_id, rate_buckets.c.full_at)
        statement = sa.select(*columns).where(rate_buckets.c.site_id.in_(ids))
        found = connection.execute(statement.order_by(rate_buckets.c.site_id).with_for_update())
        return {row.site_id: row.full_at for row in found}

    def _now(self, connection: sa.Connection) -> float:
        if connection.dialect.name == "postgresql":
            return float(connection.execute(_CLOCK).scalar_one())
        return self._clock()


def _without_waiting(connection: sqlite3.Connection, _: object) -> None:
    # Without a sync of its own: the next comment's commit syncs this as well.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


def settled_of(claim: Claim, owed: float) -> Settled:
    """What becomes of a claim on a bucket that owes so much; less than 0 is a full one."""
    most = MOST_OWED_WINDOWS * claim.window
    owed = min(most, max(0.0, min(most, max(0.0, owed)) + claim.spent))
    granted = []
    for wanted in claim.wanted:
        fits = owed + wanted <= claim.window + 1e-6  # as exact as seconds since 1970 are
        granted.append(fits)
        owed += wanted if fits else 0.0
    return Settled(tuple(granted), owed)
