"""Room for connections: how many may be open, what each is doing, and who gives way to a new one.

Knows open files and times of the loop; nothing of HTTP.
"""

import logging
import resource
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

log = logging.getLogger(__name__)

RESERVED_FILES = 256
"""Open files of a process that are no connections of callers: database, log, model, itself."""


def connections_that_fit(asked: int) -> int:
    """How many connections this process can hold open, up to `asked`.

    Raises the soft limit of open files as far as that needs and the hard limit lets. Worker
    processes inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = asked + refused_at_once(asked) + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return asked
    fit = max(1, (soft - RESERVED_FILES) * 16 // 17 - 16)
    log.warning("of %d connections only %d fit the limit of open files", asked, fit)
    return fit


def refused_at_once(most: int) -> int:
    """Connections over the limit that are told so at the same time; any more are just closed."""
    return most // 16 + 16


class Leaving(Protocol):
    """A connection that can be closed for another one."""

    def leave(self) -> None:
        """Close, and be in no list any more."""
        ...


Doing: TypeAlias = dict[Leaving, float]
"""Connections that do the same, those that have done so longest first, since a time of the loop."""


@dataclass(slots=True)
class Room:
    """What the connections of one server are doing.

    `idle` were answered and may ask again, `talking` owe the rest of a request, `refused` read
    that there is no room. Whoever is being answered is in none.
    """

    idle: Doing = field(default_factory=dict)
    talking: Doing = field(default_factory=dict)
    refused: Doing = field(default_factory=dict)

    def is_made(self, number: int, most: int, now: float, talk_seconds: float) -> bool:
        """Whether there is room for the newest of a number, if need be after closing another.

        In the last sixteenth of `most` the one goes that has been idle longest; above, where none
        is, the one that has been talking longest, for `talk_seconds` at least.
        """
        if number <= most - most // 16:
            return True
        if (idle := next(iter(self.idle), None)) is not None:
            idle.leave()
            return True
        if number <= most:
            return True
        slowest = next(iter(self.talking), None)
        if slowest is None or now - self.talking[slowest] < talk_seconds:
            return False
        slowest.leave()
        return True
