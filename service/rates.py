"""How many comments a second a site may send, counted together with every other process.

Knows rates and what is answered to too much; no protocol and no table. Each process lets a few
comments through on its own word and posts them to the shared bucket behind the answer; only
when it has posted nothing for too many does a request wait for the bucket. So an answer costs
no transaction, and the sum over all processes is off by those few at the most.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from service.problems import Problem
from service.storage import Buckets, Claim, Settled, Site, StoreError

log = logging.getLogger(__name__)

BURST_SECONDS = 10.0
"""A bucket holds what may be sent in so many seconds, and at least one comment."""

UNPOSTED_SHARE = 1 / 20
"""The part of a bucket, at least one comment, that a process spends before it has to ask."""

POST_SECONDS = 1.0
"""What was spent is posted after so long at the latest."""

ASK_SECONDS = 0.25
"""How long a request waits for the shared bucket before this process decides alone."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate in comments a second, above 0, and the bucket that goes with it."""

    rate: float

    @property
    def most_at_once(self) -> int:
        """Comments that a full bucket lets through."""
        return max(1, math.floor(self.rate * BURST_SECONDS))

    @property
    def window(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.most_at_once / self.rate

    @property
    def most_unposted(self) -> int:
        """Comments that a process may have spent without having posted them."""
        return max(1, math.floor(self.most_at_once * UNPOSTED_SHARE))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit: `left` comments now, all of them again after `full_in` seconds."""

    limit: Limit
    left: int
    full_in: float

    def headers(self) -> Mapping[str, str]:
        """RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers has them."""
        window, full_in = math.ceil(self.limit.window), math.ceil(self.full_in)
        return {
            "RateLimit-Policy": f'"comments";q={self.limit.most_at_once};w={window}',
            "RateLimit": f'"comments";r={self.left};t={full_in}',
        }


@dataclass(eq=False, slots=True)
class _Asking:
    """A request that waits for the shared bucket."""

    comments: int
    answer: "asyncio.Future[bool | None]"  # None: the store does not say


@dataclass(slots=True)
class _Account:
    """One site's bucket, as this process knows it: what it owed at a time, in seconds.

    `unposted` and `posting` are part of that, in comments: what the shared bucket does not know
    yet, and what it is just being told. Below 0 it gets some back.
    """

    limit: Limit
    owed: float
    at: float
    unposted: int = 0
    posting: int = 0
    asking: list[_Asking] = field(default_factory=list)

    def owed_at(self, now: float) -> float:
        return max(0.0, self.owed - max(0.0, now - self.at))

    def left_at(self, now: float) -> int:
        left = (self.limit.window - self.owed_at(now)) * self.limit.rate
        return max(0, math.floor(left + 1e-3))  # sums of fractions

    def owes(self, owed: float, now: float) -> None:
        self.owed, self.at = owed, now

    def spend(self, comments: int, now: float) -> None:
        self.owes(self.owed_at(now) + comments / self.limit.rate, now)
        self.unposted += comments

    def resize(self, limit: Limit, now: float) -> None:
        """Take another limit, and be as full as before."""
        self.owes(self.owed_at(now) * limit.window / self.limit.window, now)
        self.limit = limit

    def asks(self) -> list[_Asking]:
        """Those that still wait; from now on nobody does."""
        asking, self.asking = self.asking, []
        return [one for one in asking if not one.answer.done()]

    def claim(self, site_id: str, asking: Sequence[_Asking]) -> Claim:
        self.posting, self.unposted = self.posting + self.unposted, 0
        rate = self.limit.rate
        wanted = tuple(one.comments / rate for one in asking)
        return Claim(site_id, self.limit.window, self.posting / rate, wanted)

    def keeps(self) -> None:
        """Post again what could not be posted."""
        self.posting, self.unposted = 0, self.unposted + self.posting

    def settles(self, settled: Settled, asking: Sequence[_Asking], now: float) -> None:
        """Take over what the shared bucket owes, and tell those that asked."""
        self.posting = 0
        for one, granted in zip(asking, settled.granted, strict=True):
            if not one.answer.done():
                one.answer.set_result(granted)
            elif granted:  # it did not wait that long, and was decided about without the store
                self.unposted -= one.comments
        self.owes(max(0.0, settled.owed + self.unposted / self.limit.rate), now)


class RateLimits:
    """The rate limits of all sites in one process. Used on one event loop.

    `usual` is the limit of a site that has none of its own, in comments a second, 0 for none.
    `clock` gives seconds that never go back.
    """

    def __init__(
        self, buckets: Buckets, *, usual: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = buckets
        self._usual = usual
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._unsettled: dict[str, _Account] = {}
        self._is_alone = False  # the store is away, or slow
        self._urgent = asyncio.Event()
        self._poster: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rates")

    async def take(self, site: Site, comments: int = 1) -> Mapping[str, str]:
        """Let so many comments through; headers that tell what is left, none without a limit.

        All of them or none. With 0, whether one would be let through. Raises Problem 429, and
        then nothing was counted. Does not wait unless this process has to ask.
        """
        account = self._account(site)
        if account is None:
            return {}
        self._refuse_unless_left(account, max(1, comments))
        if comments:
            unknown = account.posting + account.unposted + comments
            has_to_ask = unknown > account.limit.most_unposted
            if not has_to_ask or self._is_alone:
                self._spend(site, account, comments)
            else:
                await self._ask(site, account, comments)
        return self._allowance(account).headers()

    def has_limit(self, site: Site) -> bool:
        """Whether a site may send only so many."""
        return self._account(site) is not None

    async def close(self) -> None:
        """Post what is still to be posted, if the store is there, and end the thread."""
        if self._poster is not None:
            self._poster.cancel()
            await asyncio.wait([self._poster])
        if self._unsettled and not self._is_alone:
            await self._post()
        # In a thread: the last settling may still wait for the store.
        await asyncio.to_thread(self._thread.shutdown)
        self._buckets.close()

    def _account(self, site: Site) -> _Account | None:
        rate = self._usual if site.rate_limit is None else site.rate_limit
        if rate <= 0:
            return None
        account = self._accounts.get(site.id)
        if account is None:
            account = self._accounts[site.id] = _Account(Limit(rate), 0.0, self._clock())
        elif account.limit.rate != rate:
            account.resize(Limit(rate), self._clock())
        return account

    def _allowance(self, account: _Account) -> Allowance:
        now = self._clock()
        return Allowance(account.limit, account.left_at(now), account.owed_at(now))

    def _refuse_unless_left(self, account: _Account, comments: int) -> None:
        # Others only take from the bucket: what this process does not see left, is not there.
        if account.left_at(self._clock()) < comments:
            raise _too_many(self._allowance(account), comments)

    def _spend(self, site: Site, account: _Account, comments: int) -> None:
        account.spend(comments, self._clock())
        self._unsettled[site.id] = account
        if 2 * account.unposted >= account.limit.most_unposted and not self._is_alone:
            self._urgent.set()
        self._keep_posting()

    async def _ask(self, site: Site, account: _Account, comments: int) -> None:
        """Spend what the shared bucket grants; alone, if it takes too long to say."""
        asking = _Asking(comments, asyncio.get_running_loop().create_future())
        account.asking.append(asking)
        self._unsettled[site.id] = account
        self._urgent.set()
        self._keep_posting()
        granted: bool | None = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                granted = await asking.answer
        except TimeoutError:
            self._goes_alone("it is slow")
        if granted is None:
            self._refuse_unless_left(account, comments)
            self._spend(site, account, comments)
        elif not granted:
            raise _too_many(self._allowance(account), comments)

    def _goes_alone(self, why: str) -> None:
        if not self._is_alone:
            log.warning("rates are limited by this process alone: %s", why)
        self._is_alone = True

    # -------------------------------------------------------------- posting

    def _keep_posting(self) -> None:
        if self._poster is None or self._poster.done():
            self._poster = asyncio.create_task(self._keep_posted())

    async def _keep_posted(self) -> None:
        while self._unsettled:
            with suppress(TimeoutError):
                async with asyncio.timeout(POST_SECONDS):
                    await self._urgent.wait()
            self._urgent.clear()
            await self._post()

    async def _post(self) -> None:
        """Settle with the shared buckets once, or keep all for the next time."""
        accounts, self._unsettled = self._unsettled, {}
        asking = {site_id: account.asks() for site_id, account in accounts.items()}
        claims = [a.claim(site_id, asking[site_id]) for site_id, a in accounts.items()]
        loop = asyncio.get_running_loop()
        try:
            settled = await loop.run_in_executor(self._thread, self._buckets.settle, claims)
        except StoreError as problem:
            self._goes_alone(str(problem))
            for account in accounts.values():
                account.keeps()
            self._unsettled = accounts | self._unsettled
            for one in (one for some in asking.values() for one in some if not one.answer.done()):
                one.answer.set_result(None)
            return
        self._is_alone = False
        for (site_id, account), new in zip(accounts.items(), settled, strict=True):
            account.settles(new, asking[site_id], self._clock())
            if account.unposted:
                self._unsettled[site_id] = account


def _too_many(allowance: Allowance, comments: int) -> Problem:
    limit = allowance.limit
    most = limit.most_at_once
    fits_in = allowance.full_in - limit.window + min(comments, most) / limit.rate
    seconds = max(1, math.ceil(fits_in - 1e-6))
    named = f"This site may send {limit.rate:g} comments a second, {most} at once."
    what = (
        f"A batch of {comments} never fits; send at most {most} in one."
        if comments > most
        else f"There is room again in {seconds} s."
    )
    return Problem(
        "too_many_requests",
        f"{named} {what}",
        headers={"Retry-After": str(seconds), **allowance.headers()},
        more={"limit": {"comments_per_second": limit.rate, "at_once": most}},
    )
