"""What several hosts let through together of a flood, against the limit that they share."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from service.rates import Limit

RATE = 20.0
"""Comments a second that the site may send, far below what it tries to."""

FLOOD_SECONDS = 15.0
CALLERS = 4  # for each host


@dataclass(frozen=True, slots=True)
class Flood:
    """Comments that each host let through, those that were refused, in so many seconds."""

    passed: tuple[int, ...]
    refused: int
    seconds: float

    @property
    def most(self) -> float:
        """A full bucket, what it was refilled with, and what each process may owe."""
        limit = Limit(RATE)
        return limit.most_at_once + RATE * self.seconds + len(self.passed) * limit.most_unposted

    @property
    def least(self) -> float:
        """What was refilled, but for the last of it: the bucket may have been empty."""
        return RATE * (self.seconds - 1) - len(self.passed) * Limit(RATE).most_unposted

    def check(self) -> None:
        """Fails unless the hosts counted together, and each let something through."""
        assert self.least <= sum(self.passed) <= self.most, "the hosts do not share the limit"
        assert min(self.passed) > 0, "one of the hosts let nothing through"
        assert self.refused, "nothing was refused"

    def __str__(self) -> str:
        return (
            f"{RATE:g} a second, {Limit(RATE).most_at_once} at once: in {self.seconds:.1f} s"
            f" {' + '.join(map(str, self.passed))} = {sum(self.passed)} passed,"
            f" {self.refused} were refused; {self.least:.0f} to {self.most:.0f} may pass"
        )


def flooded(
    hosts: Sequence[Callable[[], httpx.Client]], comment: Callable[[int], dict[str, Any]]
) -> Flood:
    """Send comments one by one to all hosts at once; each must be answered 200 or 429.

    `hosts` make a client each; `comment` makes the one with a number.
    """
    began = time.monotonic()

    def flood(host: int) -> Counter[int]:
        said: Counter[int] = Counter()
        with hosts[host]() as client:
            while time.monotonic() - began < FLOOD_SECONDS:
                answer = client.post("/v1/comments", json=comment(time.monotonic_ns()))
                said[answer.status_code] += 1
        return said

    asked = [host for host in range(len(hosts)) for _ in range(CALLERS)]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = [*pool.map(flood, asked)]
    seconds = time.monotonic() - began
    said = sum(answers, Counter[int]())
    assert set(said) <= {200, 429}, said
    passed = [0] * len(hosts)
    for host, answer in zip(asked, answers, strict=True):
        passed[host] += answer[200]
    return Flood(tuple(passed), said[429], seconds)
