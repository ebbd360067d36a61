"""Who is calling: the site behind a key.

Looked up in the store and remembered for two seconds, so that the hot path asks the database
rarely and a revoked key or a changed policy counts almost at once, on every machine. With a spool
it is kept on disk as well: a process that starts while the store is away knows its callers.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.problems import Problem
from service.spool import Spool
from service.storage import Site, Store, StoreUnavailable

REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 4096
"""Keys remembered at once, unknown ones included: guessing keys must not fill the memory."""

LONGEST_KEY = 256


class SiteKeys:
    """Finds the site of a request by its `Authorization: Bearer` key."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.monotonic,
        spool: Spool | None = None,
    ) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock
        self._known: OrderedDict[str, tuple[Site | None, float]] = OrderedDict()
        self._asked: dict[str, asyncio.Future[Site | None]] = {}

    async def site(self, request: Request) -> Site:
        """The site that calls. Raises Problem 401, and StoreUnavailable."""
        return await self.site_of(request.headers.get("authorization", ""))

    async def site_of(self, authorization: str) -> Site:
        """The site that an `Authorization` header names. Raises as `site` does."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(key) <= LONGEST_KEY:
            raise Problem("unknown_key", "Send the site's key as `Authorization: Bearer KEY`.")
        site, until = self._known.get(key, (None, 0.0))
        if self._clock() >= until:
            site = await self._looked_up(key, site)
        if site is None:
            raise Problem("unknown_key", "`duyet sites list` shows how each site's keys begin.")
        return site

    async def _looked_up(self, key: str, remembered: Site | None) -> Site | None:
        """What the store says of a key; with a spool, while the store is away, what it said.

        Asked once for all requests that want to know now.
        """
        if remembered is not None and self._spool is not None and self._spool.is_holding():
            return remembered
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.ensure_future(run_in_threadpool(self._asked_store, key))
            self._asked[key] = asked
            asked.add_done_callback(lambda _: self._asked.pop(key))
        try:
            # A caller who leaves must not end it for the others.
            site = await asyncio.shield(asked)
        except StoreUnavailable:
            if self._spool is None:
                raise
            site = remembered or await run_in_threadpool(self._spool.sites.site_of, key)
            if site is None:
                raise
        self._remember(key, site)
        return site

    def _asked_store(self, key: str) -> Site | None:
        site = self._store.site_of_key(key)
        if self._spool is not None:
            self._spool.sites.note(key, site)
        return site

    def _remember(self, key: str, site: Site | None) -> None:
        self._known[key] = (site, self._clock() + REMEMBERED_SECONDS)
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
