"""A flood in simulated time: what admission makes of it, whatever else the machine does.

    python -m benchmarks.simulated_flood [--comment-ms 0.8] [--batch-ms 1.5] [--times 5]

Callers come at random, batches take what they are said to take, and each caller who is turned away
costs a little of the processor that judges. While some are, those that come during a batch are
looked at after it, as the event loop stands still. Prints the p99 of the accepted beside that at
a tenth of the capacity. Nothing is judged, and no clock is read.
"""

import argparse
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from service.admission import LARGEST_BATCH, Admission

SIZE = 500
"""Characters of a comment."""

SEEN = 30
"""Comments alone, before the first caller comes: what a pace needs to be known."""


@dataclass(slots=True)
class Came:
    """What became of the callers, in seconds: when they came, how long they waited."""

    accepted: list[tuple[float, float]] = field(default_factory=list)
    turned_away: list[tuple[float, float]] = field(default_factory=list)

    def p99(self, *, since: float = 0.0, before: float = float("inf")) -> float:
        """Within which 99 of 100 of the accepted were answered that came in that time."""
        ordered = sorted(took for came, took in self.accepted if since <= came < before)
        return ordered[int(0.99 * len(ordered))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What takes how many seconds."""

    batch: float = 0.0015
    comment: float = 0.0008
    refusal: float = 0.00005

    @property
    def capacity(self) -> float:
        """Comments a second, in batches of half the largest as of 64 callers in a closed loop."""
        return 1 / (2 * self.batch / LARGEST_BATCH + self.comment)

    def takes(self, comments: int) -> float:
        """A batch of so many."""
        return self.batch + self.comment * comments


def flooded(machine: Machine, *, rate: float, seconds: float, seed: int = 1) -> Came:
    """So many callers a second, at random, each with one comment of the same site."""
    return _Flood(machine, seed).run(rate, seconds)


class _Flood:
    def __init__(self, machine: Machine, seed: int) -> None:
        self._machine = machine
        self._random = Random(seed)
        self._now = 0.0
        self._soon: list[Callable[[], None]] = []
        self._admission = Admission(clock=lambda: self._now, soon=self._soon.append)
        self._waiting: deque[float] = deque()
        self._came = Came()
        for _ in range(SEEN):
            self._admission.enters("site", 1, SIZE)
            self._begins(1)
            self._admission.took(machine.takes(1))

    def run(self, rate: float, seconds: float) -> Came:
        comes = self._random.expovariate(rate)
        while comes < seconds or self._waiting:
            if not self._waiting:
                self._now = comes
                self._one_comes(comes)
                comes += self._random.expovariate(rate)
                continue
            batch = [self._waiting.popleft() for _ in range(self._next())]
            self._begins(len(batch))
            began, ends = self._now, self._now + self._machine.takes(len(batch))
            stands_still = self._admission.is_turning_away
            came = []
            while comes < min(ends, seconds):
                came.append(comes)
                if not stands_still:
                    self._now = comes
                    ends += self._costs_to_look_at(comes)
                comes += self._random.expovariate(rate)
            self._now = ends
            self._admission.took(ends - began)
            self._came.accepted += [(one, ends - one) for one in batch]
            self._leave()
            if stands_still:
                for one in came:
                    self._now += self._costs_to_look_at(one)
        return self._came

    def _next(self) -> int:
        return min(len(self._waiting), self._admission.most_together)

    def _begins(self, comments: int) -> None:
        for _ in range(comments):
            self._admission.leaves("site")
        self._admission.begins([SIZE] * comments)

    def _costs_to_look_at(self, at: float) -> float:
        """Seconds of the processor for one that came: nothing, where it is let in."""
        return 0.0 if self._one_comes(at) else self._machine.refusal

    def _one_comes(self, at: float) -> bool:
        """Whether it is let in."""
        is_let_in = self._admission.expect("site") is None
        while self._soon:
            self._soon.pop()()
        if is_let_in:
            self._admission.enters("site", 1, SIZE)
            self._waiting.append(at)
        else:
            self._came.turned_away.append((at, self._now - at))
        return is_let_in

    def _leave(self) -> None:
        if self._admission.is_flooded:
            for _ in range(sum(self._admission.too_many("site" for _ in self._waiting))):
                self._admission.leaves_unanswered("site", SIZE)
                came = self._waiting.popleft()
                self._came.turned_away.append((came, self._now - came))


def _told(came: Came, calm: float, accepted: float) -> None:
    for when, p99 in (
        ("", came.p99()),
        (" of the first second", came.p99(before=1.0)),
        (" after it", came.p99(since=1.0)),
    ):
        print(f"p99 of the accepted{when}  {1000 * p99:.1f} ms, {p99 / calm:.1f} x the calm one")
    print(f"accepted  {accepted:.2f} of the capacity")
    longest = max((took for _, took in came.turned_away), default=0.0)
    print(f"turned away  {len(came.turned_away):,}, after {1000 * longest:.0f} ms at most")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-ms", type=float, default=1.5, help="what a batch takes besides")
    parser.add_argument("--comment-ms", type=float, default=0.8)
    parser.add_argument("--refusal-ms", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=float, default=5, help="of what it can do")
    asked = parser.parse_args()
    machine = Machine(asked.batch_ms / 1000, asked.comment_ms / 1000, asked.refusal_ms / 1000)
    calm = flooded(machine, rate=machine.capacity / 10, seconds=60).p99()
    came = flooded(machine, rate=asked.times * machine.capacity, seconds=asked.seconds)
    print(f"capacity  {machine.capacity:.0f} a second, calm p99 {1000 * calm:.1f} ms")
    accepted = len(came.accepted) / asked.seconds / machine.capacity
    _told(came, calm, accepted)


if __name__ == "__main__":
    main()
