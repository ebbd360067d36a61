"""Who is calling, and how rarely the store is asked for that."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.access import LOOKED_UP_AHEAD_SECONDS, REMEMBERED_SECONDS, SiteKeys
from service.keyring import Keyring
from service.spool import Spool
from service.storage import Site, Store, StoreUnavailable
from tests.api.service import UNAUDITED
from tests.migrated import lay_database

LATE = REMEMBERED_SECONDS - LOOKED_UP_AHEAD_SECONDS / 2
"""When a key is still known, and looked up ahead."""


@dataclass
class Keys:
    """A site's key, who finds its site by it, and how often that asked a real store."""

    store: Store
    key: str
    now: float = 100.0
    asked: int = 0
    fails: bool = False
    keys: SiteKeys = field(init=False)

    def __post_init__(self) -> None:
        look_up: Callable[[str], Site | None] = self.store.site_of_key

        def site_of_key(key: str) -> Site | None:
            self.asked += 1
            if self.fails:
                raise StoreUnavailable("away")
            return look_up(key)

        self.store.site_of_key = site_of_key  # type: ignore[method-assign]  # and counts
        self.keys = SiteKeys(self.store, clock=lambda: self.now)

    @property
    def authorization(self) -> str:
        return f"Bearer {self.key}"

    async def of(self) -> Site:
        return await self.keys.site_of(self.authorization)

    def known(self) -> Site | None:
        return self.keys.known(self.authorization)

    async def looked_up(self) -> None:
        """What was asked is answered."""
        while self.keys._sites._asked:
            await asyncio.sleep(0.001)


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    store = Store.open(lay_database(tmp_path), Keyring.open(tmp_path / "secrets"))
    store.migrate()
    _, key = store.add_site("blog", UNAUDITED)
    yield Keys(store, key)
    store.close()


def test_many_who_come_at_once_are_looked_up_once(keys: Keys) -> None:
    async def come() -> set[str]:
        return {site.id for site in await asyncio.gather(*(keys.of() for _ in range(50)))}

    assert len(asyncio.run(come())) == 1
    assert keys.asked == 1


def test_a_key_in_use_is_looked_up_before_it_has_to_be(keys: Keys) -> None:
    async def used() -> list[bool]:
        await keys.of()
        found = []
        for _ in range(5):
            keys.now += LATE
            found += [keys.known() is not None for _ in range(10)]
            await keys.looked_up()
        return found

    assert all(asyncio.run(used()))
    assert keys.asked == 6


def test_a_key_that_nobody_uses_is_not_looked_up(keys: Keys) -> None:
    async def used_early() -> Site | None:
        await keys.of()
        keys.now += REMEMBERED_SECONDS / 4
        keys.known()
        keys.now += REMEMBERED_SECONDS
        return keys.known()

    assert asyncio.run(used_early()) is None
    assert keys.asked == 1


def test_a_revoked_key_counts_no_longer_than_it_is_remembered(keys: Keys) -> None:
    async def revoked() -> tuple[Site | None, Site | None]:
        site = await keys.of()
        keys.store.rotate_key(site.id)
        keys.now += LATE
        before = keys.known()
        await keys.looked_up()
        return before, keys.known()

    before, after = asyncio.run(revoked())
    assert before is not None
    assert after is None


def test_a_look_up_ahead_that_fails_disturbs_nobody(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def fails() -> Site | None:
        await keys.of()
        keys.fails = True
        keys.now += LATE
        known = keys.known()
        await keys.looked_up()
        assert keys.known() == known
        await keys.looked_up()
        keys.now += REMEMBERED_SECONDS
        with pytest.raises(StoreUnavailable):
            await keys.of()
        return known

    assert asyncio.run(fails()) is not None
    assert not caplog.records


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Basic x", "Bearer " + "k" * 300])
def test_what_is_no_key_is_not_looked_up(keys: Keys, authorization: str) -> None:
    async def asked() -> object:
        return keys.keys.asked(authorization)

    assert asyncio.run(asked()) is None
    assert not keys.asked


def test_with_a_spool_a_key_counts_as_it_was_while_the_store_is_away(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool", 1_000_000)
    known = SiteKeys(keys.store, clock=lambda: keys.now, spool=spool)
    monkeypatch.setattr(spool.sites, "site_of", lambda _: None)  # as if the disk had taken nothing

    async def away() -> tuple[Site, Site | None]:
        site = await known.site_of(keys.authorization)
        keys.fails = True
        keys.now += 2 * REMEMBERED_SECONDS
        asked = known.asked(keys.authorization)
        assert asked is not None
        return site, await asked

    site, still = asyncio.run(away())
    assert still == site
