"""Counts of much, kept for a moment: many pages ask, and one of them counts.

A count of tens of thousands takes longer than all else on a page, and nobody minds that it is some
seconds old. Small ones are counted whenever somebody asks. Knows no table.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from service.logs import described
from service.storage.errors import StoreError

LARGE = 10_000
"""From here on a number may be of a moment ago."""

FRESH_SECONDS = 2.0
"""For as long nobody counts again."""

KEPT_SECONDS = 15.0
"""For as long a number is good, while somebody counts again aside."""

Numbers = tuple[int, ...]

log = logging.getLogger(__name__)


@dataclass
class _Counted:
    numbers: Numbers
    at: float
    again: threading.Lock = field(default_factory=threading.Lock)


class Lately:
    """Numbers by what they are of. Safe to share between threads; each process has its own."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: dict[Hashable, _Counted] = {}

    def of(self, what: Hashable, count: Callable[[], Numbers]) -> Numbers:
        """What `count` gives, or gave up to `KEPT_SECONDS` ago if it was `LARGE`."""
        known = self._counted.get(what)
        age = 0.0 if known is None else self._clock() - known.at
        if known is None or age > KEPT_SECONDS or max(known.numbers, default=0) < LARGE:
            return self._count(what, count)
        if age > FRESH_SECONDS and known.again.acquire(blocking=False):
            threading.Thread(
                target=self._again, args=(what, count, known), name="count", daemon=True
            ).start()
        return known.numbers

    def forget(self) -> None:
        """Count anew whatever is asked for next."""
        self._counted.clear()

    def _count(self, what: Hashable, count: Callable[[], Numbers]) -> Numbers:
        at = self._clock()
        numbers = count()
        self._counted[what] = _Counted(numbers, at)
        return numbers

    def _again(self, what: Hashable, count: Callable[[], Numbers], known: _Counted) -> None:
        try:
            at, numbers = self._clock(), count()
            if self._counted.get(what) is known:  # else it was forgotten meanwhile
                self._counted[what] = _Counted(numbers, at)
        except StoreError as error:
            log.warning("a count was cut short", extra={"problem": described(error)})
        finally:
            known.again.release()
