"""A read replica: asked while it answers, left alone for a while when it does not.

Knows nothing of what is read. What is behind, and what to do about it, is the reader's to know.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from service.storage import engine as database
from service.storage.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

LEFT_ALONE_SECONDS = 15.0
"""How long a replica that failed is not asked again."""

_LAG = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END"""


class Away(Exception):
    """The replica does not answer, or did not a moment ago."""


class Replica:
    """A PostgreSQL server that follows another. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._asked_from = float("-inf")

    @classmethod
    def open(cls, url: str, connections: int) -> "Replica":
        """The replica at a `postgresql://` URL. Connects later. Raises ValueError for another."""
        engine = database.open_engine(url, connections=connections, read_only=True)
        if engine.dialect.name != "postgresql":
            raise ValueError("only PostgreSQL has replicas")
        return cls(engine)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()

    def read(self, read: Callable[[sa.Connection], T]) -> T:
        """What `read` finds, in one transaction. Raises Away."""
        if self._clock() < self._asked_from:
            raise Away
        try:
            with database.transaction(self._engine, writes=False) as connection:
                return read(connection)
        except StoreUnavailable as problem:
            # As well when a query was cancelled because it stood in the way of following.
            self._asked_from = self._clock() + LEFT_ALONE_SECONDS
            log.warning("the replica is not asked for a while: %s", problem)
        raise Away

    def lag_seconds(self) -> float | None:
        """How far it is behind; None while it does not answer or is no replica."""
        try:
            lag = self.read(lambda connection: connection.execute(sa.text(_LAG)).scalar_one())
        except Away:
            return None
        return None if lag is None else float(lag)
