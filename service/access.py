"""Who is calling: the site behind a key.

Looked up in the store and remembered for two seconds, so that the hot path asks the database
rarely and a revoked key or a changed policy counts almost at once, on every machine. A key in use
is looked up again before those are over, so that nobody waits for it. With a spool it is kept on
disk as well: a process that starts while the store is away knows its callers.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.known_sites import KnownSites
from service.problems import Problem
from service.spool import Spool
from service.storage import AkismetSite, CoralSite, Site, Store, StoreUnavailable
from service.storage.review import may_be_id

REMEMBERED_SECONDS = 2.0
LOOKED_UP_AHEAD_SECONDS = 1.0
"""Before the end of these, by whoever asks then: else all who come until it is known would wait."""

MOST_REMEMBERED = 4096
"""Keys remembered at once, unknown ones included: guessing keys must not fill the memory."""

LONGEST_KEY = 256


Found = TypeVar("Found")
Known = TypeVar("Known", Site, AkismetSite)


class SiteKeys:
    """Finds the site of a request by its `Authorization: Bearer` key, or by an Akismet key."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.monotonic,
        spool: Spool | None = None,
    ) -> None:
        self._store = store
        self._spool = spool
        of_key: Callable[[str], Site | None] = store.site_of_key
        of_akismet_key: Callable[[str], AkismetSite | None] = store.site_of_akismet_key
        if spool is not None:
            of_key = _kept(of_key, spool.sites, spool.sites.site_of, store.name_of_key)
            of_akismet_key = _kept(
                of_akismet_key,
                spool.sites,
                spool.sites.akismet_site_of,
                lambda key: f"akismet {store.name_of_key(key)}",
            )
        self._sites = _Remembered(of_key, clock, spool)
        self._akismet_sites = _Remembered(of_akismet_key, clock, spool)
        # A score or a signature's secret cannot be had while the store is away, so these are not.
        self._coral_sites = _Remembered(store.coral_site, clock, spool)
        self._perspective = _Remembered(store.perspective_stores, clock, spool)

    async def site(self, request: Request) -> Site:
        """The site that calls. Raises Problem 401, and StoreUnavailable."""
        return await self.site_of(request.headers.get("authorization", ""))

    async def site_of(self, authorization: str) -> Site:
        """The site that an `Authorization` header names. Raises as `site` does."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(key) <= LONGEST_KEY:
            raise Problem("unknown_key", "Send the site's key as `Authorization: Bearer KEY`.")
        site = await self._sites.of(key)
        if site is None:
            raise Problem("unknown_key", "`duyet sites list` shows how each site's keys begin.")
        return site

    def remembered(self, authorization: str) -> Site | None:
        """The site that an `Authorization` header names, if it was asked for a moment ago."""
        scheme, _, key = authorization.partition(" ")
        return self._sites.remembered(key) if scheme.lower() == "bearer" else None

    def known(self, authorization: str) -> Site | None:
        """The site that an `Authorization` header names, where that needs no look-up just now."""
        scheme, _, key = authorization.partition(" ")
        return self._sites.known(key) if scheme.lower() == "bearer" else None

    def asked(self, authorization: str) -> asyncio.Future[Site | None] | None:
        """The look-up that `known` needs; None where what it said is certain."""
        scheme, _, key = authorization.partition(" ")
        return self._sites.asked(key) if scheme.lower() == "bearer" else None

    def known_akismet(self, key: str) -> AkismetSite | None:
        """The site of an Akismet key, where that needs no look-up just now."""
        return self._akismet_sites.known(key)

    def asked_akismet(self, key: str) -> asyncio.Future[AkismetSite | None] | None:
        """The look-up that `known_akismet` needs; None where what it said is certain."""
        return self._akismet_sites.asked(key)

    async def akismet_site(self, key: str) -> AkismetSite | None:
        """The site of an Akismet key, None for an unknown one. Raises StoreUnavailable."""
        return await self._akismet_sites.of(key) if len(key) <= LONGEST_KEY else None

    async def site_of_key(self, key: str) -> Site | None:
        """The site of a key, None for an unknown one. Raises StoreUnavailable."""
        return await self._sites.of(key) if 0 < len(key) <= LONGEST_KEY else None

    async def coral_site(self, site_id: str) -> CoralSite | None:
        """A site that Coral asks, None for any other. Raises StoreUnavailable."""
        return await self._coral_sites.of(site_id) if may_be_id(site_id) else None

    async def perspective_stores(self, site: Site) -> bool:
        """Whether Perspective's clients have comments kept there. Raises StoreUnavailable."""
        return bool(await self._perspective.of(site.id))


def _kept(
    look_up: Callable[[str], Known | None],
    sites: KnownSites,
    recall: Callable[[str], Known | None],
    name_of: Callable[[str], str],
) -> Callable[[str], Known | None]:
    """What the store says of a key, or while it is away, what it said last."""

    def found(key: str) -> Known | None:
        name = name_of(key)
        try:
            site = look_up(key)
        except StoreUnavailable:
            known = recall(name)
            if known is None:
                raise
            return known
        sites.note(name, site)
        return site

    return found


class _Remembered(Generic[Found]):
    """What the store says of keys, for a while; with a spool, while it is away, what it said."""

    def __init__(
        self,
        look_up: Callable[[str], Found | None],
        clock: Callable[[], float],
        spool: Spool | None,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._spool = spool
        self._known: OrderedDict[str, tuple[Found | None, float]] = OrderedDict()
        self._asked: dict[str, asyncio.Future[Found | None]] = {}

    def remembered(self, key: str) -> Found | None:
        """What belonged to a key a moment ago; None where nobody asked, or there was nothing."""
        return self._known.get(key, (None, 0.0))[0]

    def known(self, key: str) -> Found | None:
        """What belongs to a key, where that is known for certain."""
        return self._known_until_now(key)[0]

    def asked(self, key: str) -> asyncio.Future[Found | None] | None:
        """The look-up of a key; None where it is none, or known, or the store is away."""
        if not 0 < len(key) <= LONGEST_KEY or self._known_until_now(key)[1]:
            return None
        return None if self._spool is not None and self._spool.is_holding() else self._ask(key)

    async def of(self, key: str) -> Found | None:
        """What belongs to a key. Raises StoreUnavailable."""
        found, is_certain = self._known_until_now(key)
        return found if is_certain else await self._looked_up(key)

    def _known_until_now(self, key: str) -> tuple[Found | None, bool]:
        """What belongs to a key and whether that is certain.

        Whoever asks late is the one for whom it is looked up anew, so that nobody has to wait.
        """
        found, until = self._known.get(key, (None, 0.0))
        left = until - self._clock()
        if left <= 0:
            return None, False
        if left < LOOKED_UP_AHEAD_SECONDS and found is not None:
            self._ask(key)
        return found, True

    async def _looked_up(self, key: str) -> Found | None:
        remembered = self.remembered(key)
        if remembered is not None and self._spool is not None and self._spool.is_holding():
            return remembered
        # A caller who leaves must not end it for the others.
        return await asyncio.shield(self._ask(key))

    def _ask(self, key: str) -> asyncio.Future[Found | None]:
        """Look it up, once for all requests that want to know now."""
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.ensure_future(self._told(key))
            self._asked[key] = asked
            asked.add_done_callback(partial(self._is_told, key))
        return asked

    async def _told(self, key: str) -> Found | None:
        try:
            found = await run_in_threadpool(self._look_up, key)
        except StoreUnavailable:
            found = self.remembered(key)
            if found is None or self._spool is None:
                raise
        self._remember(key, found)
        return found

    def _is_told(self, key: str, asked: asyncio.Future[Found | None]) -> None:
        del self._asked[key]
        if not asked.cancelled():
            asked.exception()  # seen: ahead, nobody waits for it

    def _remember(self, key: str, found: Found | None) -> None:
        self._known[key] = (found, self._clock() + REMEMBERED_SECONDS)
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
