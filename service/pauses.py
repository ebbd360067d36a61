"""How chores give way to comments that are being judged, and end with the service.

Knows nothing of their work: one that takes long pauses between its steps, outside any transaction.
"""

import threading
import time
from collections.abc import Callable
from functools import wraps

PAUSE_SECONDS = 0.001
"""How long other threads have the interpreter between two comments that a chore looks at."""

PATIENCE_SECONDS = 0.005
"""How long a chore waits then at most for a moment in which nobody waits for an answer."""

PATIENCE_IN_FLOOD_SECONDS = 0.025
"""The same while callers are turned away: such a moment hardly comes then, and who is let in waits
for every row that it takes longer."""

WRITE_PAUSE_SECONDS = 0.05
"""How long others may write between two transactions of a chore that has many."""


class ServiceEnds(Exception):
    """Ends a chore where it paused."""


class Pauses:
    """Lets chores pause. May be used by any thread.

    `is_idle` says that nobody waits for an answer, `is_turning_away` that callers are turned away.
    """

    def __init__(
        self,
        is_idle: Callable[[], bool] = lambda: True,
        is_turning_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_idle = is_idle
        self._is_turning_away = is_turning_away
        self._ends = threading.Event()

    def end(self) -> None:
        """Let chores under way end at their next pause: the process waits for their threads."""
        self._ends.set()

    def give_way(self) -> None:
        """Let comments that are being judged go first, for a moment. Raises ServiceEnds.

        Who waits for the interpreter does so after each statement to the database, so that a chore
        that goes on without a pause is paid for in full by the batch beside it.
        """
        until = time.monotonic()
        until += PATIENCE_IN_FLOOD_SECONDS if self._is_turning_away() else PATIENCE_SECONDS
        time.sleep(PAUSE_SECONDS)
        while not self._is_idle() and time.monotonic() < until:
            time.sleep(PAUSE_SECONDS)
        if self._ends.is_set():
            raise ServiceEnds

    def let_others_write(self) -> None:
        """Stand back between two transactions. Raises ServiceEnds."""
        if self._ends.wait(WRITE_PAUSE_SECONDS):
            raise ServiceEnds

    def rarely_in_flood(self, do: Callable[[], object], seconds: float) -> Callable[[], None]:
        """What does it each time, but only every so many seconds while callers are turned away."""
        done_at = 0.0

        @wraps(do)
        def done() -> None:
            nonlocal done_at
            if self._is_turning_away() and time.monotonic() < done_at + seconds:
                return
            do()
            done_at = time.monotonic()

        return done
