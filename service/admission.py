"""Who may wait to be judged: all that can be answered in time, and when those are not all, few.

A queue that stands answers nobody sooner, it makes everybody wait. So a burst may wait for some
time: most of it is there at once, and then it shrinks. Where ever more wait, batch after batch, or
more were turned away than wait, it is a flood: those that wait leave but for the few that came
last, and who comes next waits for no batch but a slow one, until nobody has been turned away for
a while. That is what RFC 8289 (CoDel) does, which drops at the head of a standing queue,
with two batches in place of its interval.
Knows work, seconds and sites, no protocol. Called on one event loop.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import ceil

from service.pace import Pace

LARGEST_BATCH = 64
"""Submissions judged and committed together: about 30 ms of work, so that none waits long."""

LARGEST_OF_MANY = 256
"""The same where nobody posts one at a time: about 80 ms, in which each costs a quarter less."""

LONGEST_BATCH = 65_536
"""Characters judged together, give or take one submission: about 0.2 s at the slowest."""

MOST_WAITING = 10_000
"""Submissions that may wait before more are turned away: some seconds of work."""

MOST_WAITING_CHARACTERS = 64 * 1024 * 1024
"""Characters that may wait before more are turned away: what bounds the memory."""

MOST_WAIT_SECONDS = 0.5
"""How long a submission may have to wait for others, by default."""

ALWAYS_ADMITTED = 64
"""Callers that may wait however slow the store is: they make up one batch, and without them
nobody would find out that it is fast again."""

FEWEST_OF_TOO_MANY = 3
"""Callers that may be judged together while others are being turned away, at the least."""

STANDS_STILL_SECONDS = 0.01
"""How long all wait for a batch of these, at the most: a few take 2 ms. One that takes longer waits
for its store, which others may do as well: else few enough for it were turned away for ever."""

TIMES_ALONE = 2.0
"""Times that a comment alone takes, in calm: while batches of a flood follow each other faster, one
more is judged together in the next, else one less."""

TIMES_ALONE_OF_FEW = 10.0
"""The same where hardly any are turned away: of a load that all fit into, soon none are. Between
by the square of the share of those let in, so that a real flood's batches stay short."""

FIRST_TOGETHER = 8
"""Submissions of a batch of many callers after one of one; each next may have twice as many as the
last. So a flood's first batches are short, and it is known for one before many have waited long."""

STANDING_SHARE = 0.2
"""Of the longest wait: a queue that is longer, and still grows, is no burst."""

BURST_SECONDS = 0.02
"""In which some two hundred are read. A turn of the event loop that takes longer reads what comes
meanwhile, for as long as more comes than it can read, and until it ends nothing is judged."""

GROWING_BATCHES = 2
"""Batches in a row after which more wait than before: of a burst most are there at once."""

CALM_SECONDS = 1.0
"""How long after the last one was turned away a burst may wait again."""

_WORK_OF_ANY = 500
"""The work of a submission besides its characters, in characters."""

_WEIGHT_ALONE = 0.05
"""Of the newest comment alone: the first few of a flood, which are slower, hardly count."""

_USUAL_WORK = 2 * _WORK_OF_ANY
"""Of one that nobody has seen yet."""


class Overloaded(Exception):
    """More submissions wait than could be answered in time. Nothing was stored.

    `retry_after_seconds`, 1 or more, is when those that wait now will have been answered.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__("more submissions wait than could be answered in time")
        self.retry_after_seconds = _retry_after(seconds)


def _soon(call: Callable[[], None]) -> None:
    """Call when what is ready now has been done."""
    asyncio.get_running_loop().call_soon(call)


def _retry_after(seconds: float) -> int:
    return max(1, ceil(seconds))


class Admission:
    """Counts who waits, measures how fast they are answered, lets in or turns away."""

    def __init__(
        self,
        most_wait_seconds: float = MOST_WAIT_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.pace = Pace()
        self.waiting = 0
        """Submissions that are not in work yet."""
        self._characters = 0
        self._callers: Counter[str] = Counter()  # that wait, by site
        self._all_callers = 0
        self._judged: Counter[str] = Counter()  # those whose last submission is in work
        self._expected: Counter[str] = Counter()  # those let in that are on their way here
        self._all_expected = 0
        self._in_work = 0
        self._began = 0.0  # when the last batch began
        self._most_wait = most_wait_seconds
        self._clock = clock
        self._soon = soon or _soon
        self._calm_from = 0.0
        self._alone_at = float("-inf")  # when somebody last posted one submission
        self._alone = 0.0  # seconds of a comment alone, while nobody is turned away
        self._together = 0  # submissions of the last batch
        self._of_too_many = FEWEST_OF_TOO_MANY
        self._waited = 0  # callers, after that before it
        self._grew = 0  # batches in a row after which more callers waited than before
        self._refused = 0  # callers, since nobody had been turned away
        self._refused_beside = 0  # callers, since the last batch began
        self._first_at = float("inf")  # when somebody came, after the last batch began

    @property
    def is_turning_away(self) -> bool:
        """Whether somebody was turned away a moment ago."""
        return self._clock() < self._calm_from

    def expect(self, site_id: str = "", *, many: bool = False) -> int | None:
        """Let in one more caller, of whom no more is known than who it is, if that.

        None, or after how many seconds it may come again when it should not be read at all. A
        site that has less than its share here is let in as if nobody were turned away: it is
        another one that floods.
        """
        now = self._clock()
        callers = self._all_callers + self._all_expected
        if now >= self._calm_from or self._is_modest(site_id):
            has_room = callers < ALWAYS_ADMITTED or self._wait_of_one(many=many) <= self._most_wait
        else:
            is_soon = not self._in_work or now - self._began > STANDS_STILL_SECONDS
            has_room = is_soon and callers < self._of_too_many
        if not has_room:
            self._turns_away(now)
            return _retry_after(self._wait_of_one(many=many))
        if not self._all_expected:
            self._soon(self._forget_expected)  # they are here by then, or will not come
        self._expected[site_id] += 1
        self._all_expected += 1
        return None

    def _is_modest(self, site_id: str) -> bool:
        """Whether a site has less than its share of those here, so that another one floods."""
        waiting, judged, expected = self._callers, self._judged, self._expected
        own = waiting[site_id] + judged[site_id] + expected[site_id]
        callers = self._all_callers + self._all_expected + judged.total()
        if not site_id or own * 2 >= callers:
            return False
        return own * len(waiting.keys() | judged.keys() | {site_id}) < callers

    def _wait_of_one(self, *, many: bool) -> float:
        return self._wait(2 if many else 1, self._all_expected)

    def comes(self, site_id: str) -> None:
        """One of those who were let in is here: it is not expected any more."""
        if self._expected[site_id]:
            self._expected[site_id] -= 1
            self._all_expected -= 1

    def admit(self, submissions: int = 1) -> None:
        """Ask for so many, by a caller who is here. Raises Overloaded if they would wait too long.

        What counts is the others' work before them. One submission has its turn after one of
        each caller, many wait for all that wait. Where they go on coming for longer than a burst
        does, and none of them could be judged yet, what may wait is what is no burst.
        """
        if self._all_callers < ALWAYS_ADMITTED:
            return
        seconds = self._wait(submissions)
        now = self._clock()
        is_burst = now - self._first_at <= BURST_SECONDS
        if seconds > self._most_wait * (1 if is_burst else STANDING_SHARE):
            self._turns_away(now)
            raise Overloaded(seconds)

    def _turns_away(self, now: float) -> None:
        self._refused = self._refused + 1 if now < self._calm_from else 1
        self._refused_beside += 1
        self._calm_from = now + CALM_SECONDS

    def _wait(self, submissions: int, expected: int = 0) -> float:
        """Seconds until those ahead are answered, and `expected` that nobody has seen yet."""
        ahead = self._all_callers if submissions == 1 else self.waiting
        share = ahead / self.waiting if self.waiting else 0.0
        work = share * (self._characters + _WORK_OF_ANY * self.waiting)
        batches = max((ahead + expected) / LARGEST_BATCH, share * self._characters / LONGEST_BATCH)
        # And the batch in work, of which nobody knows how much is left.
        work += self._in_work + expected * _USUAL_WORK
        return self.pace.wait(batches=ceil(batches) + bool(self._in_work), work=work)

    def enters(self, site_id: str, submissions: int, characters: int) -> None:
        """One more caller waits. Raises Overloaded when that would be more than memory holds."""
        if self.waiting + submissions > MOST_WAITING or self._characters > MOST_WAITING_CHARACTERS:
            raise Overloaded
        now = self._clock()
        if submissions == 1:
            self._alone_at = now
        self._first_at = min(self._first_at, now)
        self._all_callers += 1
        self._callers[site_id] += 1
        self.waiting += submissions
        self._characters += characters

    def leaves(self, site_id: str) -> None:
        """The last submission of a caller is in work."""
        self._judged[site_id] += 1
        self._goes(site_id)

    def _goes(self, site_id: str) -> None:
        self._all_callers -= 1
        self._callers[site_id] -= 1
        if not self._callers[site_id]:
            del self._callers[site_id]

    @property
    def most_together(self) -> int:
        """How many submissions the next batch may have: all that fit, of few callers.

        More where nobody has posted one by itself for a while, who would wait for so many.
        """
        if self._all_callers < FIRST_TOGETHER:
            is_of_many = self._clock() - self._alone_at >= CALM_SECONDS
            return LARGEST_OF_MANY if is_of_many else LARGEST_BATCH
        return min(LARGEST_BATCH, max(FIRST_TOGETHER, 2 * self._together))

    def begins(self, sizes: Sequence[int]) -> None:
        """A batch of submissions with so many characters each is in work."""
        self._together = len(sizes)
        self.waiting -= len(sizes)
        self._characters -= sum(sizes)
        self._in_work = sum(sizes) + _WORK_OF_ANY * len(sizes)
        before, self._began = self._began, self._clock()
        self._of_too_many = self._after(self._began - before)
        self._refused_beside = 0
        self._first_at = float("inf")

    def _after(self, seconds: float) -> int:
        """How many of too many may be judged together next, as this batch began so long after one.

        One more only where there were as many as may be.
        """
        if not self.is_turning_away:
            return FEWEST_OF_TOO_MANY
        share = self._together / (self._together + self._refused_beside)
        times = TIMES_ALONE + share * share * (TIMES_ALONE_OF_FEW - TIMES_ALONE)
        if seconds > times * self._alone:
            return max(FEWEST_OF_TOO_MANY, self._of_too_many - 1)
        return min(LARGEST_BATCH, self._of_too_many + (self._together >= self._of_too_many))

    def took(self, seconds: float) -> None:
        """The batch in work is answered, and took so long."""
        self.pace.took(self._in_work, seconds)
        if self._together == 1 and not self.is_turning_away:
            weight = _WEIGHT_ALONE if self._alone else 1.0
            self._alone += weight * (seconds - self._alone)
        self._in_work = 0
        self._judged.clear()
        self._grew = self._grew + 1 if self._all_callers > self._waited else 0
        self._waited = self._all_callers

    @property
    def seconds(self) -> float:
        """Until all callers that wait now have had their turn."""
        return self._wait(1)

    @property
    def is_flooded(self) -> bool:
        """Whether many wait, for long, and ever more do, or would if they were let in."""
        would_grow = self.is_turning_away and self._refused > self._all_callers
        return (
            (would_grow or self._grew >= GROWING_BATCHES)
            and self._all_callers > ALWAYS_ADMITTED
            and self.seconds > STANDING_SHARE * self._most_wait
        )

    def too_many(self, site_ids: Iterable[str]) -> list[bool]:
        """Which of those that wait are turned away after all, as they are a flood's beginning.

        `site_ids` are theirs, who came last first: a few of those stay, as they have waited
        least, and all of a site that has less than its share. The others leave now.
        """
        callers, sites = self._all_callers, max(2, len(self._callers))
        modest = {site for site, own in self._callers.items() if own * sites < callers and site}
        left = FEWEST_OF_TOO_MANY
        found: list[bool] = []
        for site_id in site_ids:
            left -= site_id not in modest
            found.append(site_id not in modest and left < 0)
        self._calm_from = self._clock() + CALM_SECONDS
        self._grew = 0
        return found

    def leaves_unanswered(self, site_id: str, characters: int) -> None:
        """The only submission of a caller is not going to be in work."""
        self._goes(site_id)
        self.waiting -= 1
        self._characters -= characters

    def forget(self) -> None:
        """Nobody waits any more."""
        self.waiting = self._characters = self._all_callers = self._in_work = 0
        self._callers.clear()
        self._judged.clear()

    def _forget_expected(self) -> None:
        self._expected.clear()
        self._all_expected = 0
