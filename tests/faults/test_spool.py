"""The spool: with the database away comments are queued in files, and come in exactly once."""

import asyncio
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.judging import undecided
from model.policy import Policy
from model.submission import Submission
from service.access import SiteKeys
from service.keyring import Keyring
from service.known_sites import KnownSites
from service.spool import Spool, SpoolFull
from service.storage import (
    AkismetChoices,
    AkismetSite,
    Asked,
    Checked,
    QueueSpoken,
    Site,
    SpooledComment,
    Store,
    StoreUnavailable,
    new_id,
)
from tests.faults.ledger import ledger
from tests.faults.load import Load
from tests.faults.proxy import proxied
from tests.faults.running import Running, until
from tests.faults.servers import Server
from tests.faults.table import COMPLETE, TABLE
from tests.storage.cases import submission

ADDRESS = "canary-7731@gmail.com"
AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


class Shelf:
    """A store with one site, and a spool beside it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'd.db'}", Keyring.open(folder / "secrets"))
        self.store.migrate()
        self.site, _ = self.store.add_site("blog", Policy())
        self.folder = folder / "spool"
        self.spool = Spool(self.folder, 10 * 2**20)

    def checked(self, content: str, *, key: str = "", sent: Submission | None = None) -> Checked:
        asked = Asked(
            site_id=self.site.id,
            comment_id=new_id(AT),
            submission=sent or submission(content, email=ADDRESS),
            received_at=AT,
            normal_text=content,
            idempotency_key=key,
        )
        [known] = self.store.unrecorded([asked])
        return Checked(asked, known, undecided(self.site.policy_version), 1.0)

    def comment(self, content: str, *, key: str = "") -> SpooledComment:
        return self.store.sealed([self.checked(content, key=key)])[0]

    def stored(self) -> set[str]:
        page = self.store.queue_page(None, limit=1000)
        return {item.comment.submission.content for item in page.items}

    @property
    def file(self) -> Path:
        [path] = self.folder.glob("*.spool")
        return path


@pytest.fixture
def shelf(tmp_path: Path):
    made = Shelf(tmp_path)
    yield made
    made.store.close()


def test_what_is_kept_comes_into_the_store_once_and_the_files_go(shelf):
    kept = [shelf.comment(f"câu {n}", key=f"k{n}" if n % 2 else "") for n in range(450)]
    shelf.spool.keep(kept[:10])
    shelf.spool.keep(kept[10:])

    brought = shelf.spool.replay(shelf.store)

    assert brought == 450
    assert shelf.stored() == {f"câu {n}" for n in range(450)}
    assert not shelf.spool.is_holding()
    assert shelf.spool.replay(shelf.store) == 0


def test_a_replay_that_was_cut_short_is_done_again_without_doubles(shelf):
    kept = [shelf.comment(f"câu {n}", key=f"k{n}") for n in range(20)]
    shelf.spool.keep(kept)
    shelf.store.replay(kept[:13])  # and then the process was killed

    shelf.spool.replay(shelf.store)

    assert len(shelf.stored()) == shelf.store.queue_size(None) == 20


def test_a_comment_whose_commit_went_through_unheard_waits_as_its_caller_was_told(shelf):
    checked = shelf.checked("câu")
    accepted = replace(checked.verdict, outcome=type(checked.verdict.outcome).ACCEPT)
    shelf.store.record([replace(checked, verdict=accepted)])
    shelf.spool.keep(shelf.store.sealed([checked]))

    shelf.spool.replay(shelf.store)

    [item] = shelf.store.queue_page(None).items
    assert (item.comment.state.word, item.comment.verdict.outcome.word) == ("queue", "queue")


def test_a_torn_tail_of_any_length_hides_nothing_that_was_answered(shelf):
    shelf.spool.keep([shelf.comment("một")])
    first = shelf.file.stat().st_size
    shelf.spool.keep([shelf.comment("hai")])
    whole = shelf.file.read_bytes()
    step = 1 if COMPLETE else 37

    for size in range(first, len(whole), step):
        shelf.file.write_bytes(whole[:size])
        fresh = Spool(shelf.folder, 2**20)
        fresh.keep([])
        assert [end for end in fresh._followed.values()] == [first]
    shelf.spool.replay(shelf.store)

    assert shelf.stored() == {"một"}
    assert list(shelf.folder.glob("*.damaged")) == []


def test_what_is_appended_after_a_torn_tail_is_found(shelf):
    shelf.spool.keep([shelf.comment("một")])
    with shelf.file.open("ab") as file:
        file.write(b"\xd1dy\n\x10\x00")
    shelf.spool.keep([shelf.comment("hai")])

    shelf.spool.replay(shelf.store)

    assert shelf.stored() == {"một", "hai"}


def test_a_flipped_bit_costs_its_own_record_which_is_put_aside(shelf):
    shelf.spool.keep([shelf.comment("một")])
    first = shelf.file.stat().st_size
    shelf.spool.keep([shelf.comment("hai")])
    shelf.spool.keep([shelf.comment("ba")])
    body = bytearray(shelf.file.read_bytes())
    body[first + 40] ^= 4
    shelf.file.write_bytes(body)

    shelf.spool.replay(shelf.store)

    assert shelf.stored() == {"một", "ba"}
    [aside] = shelf.folder.glob("*.damaged")
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert b"hai" in aside.read_bytes()


def test_a_repeated_request_gets_its_first_id_from_whichever_process(shelf):
    other = Spool(shelf.folder, 2**20)
    first, again = shelf.comment("câu", key="k"), shelf.comment("câu", key="k")
    another = shelf.comment("câu khác", key="k")

    ids = [*shelf.spool.keep([first, again]), *other.keep([again]), *other.keep([another])]

    assert ids == [first.id, first.id, first.id, None]
    other.replay(shelf.store)
    assert shelf.stored() == {"câu"}


def test_it_grows_no_further_than_it_may_and_keeps_what_it_has(shelf):
    small = Spool(shelf.folder, 8000)
    one = shelf.comment("câu")
    small.keep([one])
    kept = 8000 // small.size()
    for number in range(1, kept):
        small.keep([shelf.comment(f"câu {number % 10}")])
    with pytest.raises(SpoolFull):
        small.keep([shelf.comment("thêm"), shelf.comment("nữa")])

    assert small.size() <= 8000
    assert (small.has_room(), small.replay(shelf.store)) == (False, kept)


def test_no_address_is_in_the_files_and_nobody_else_may_read_them(shelf):
    shelf.spool.keep([shelf.comment("câu")])

    assert ADDRESS.encode() not in shelf.file.read_bytes()
    assert b"canary" not in shelf.file.read_bytes()
    assert stat.S_IMODE(shelf.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700
    shelf.spool.replay(shelf.store)
    [item] = shelf.store.queue_page(None).items
    assert (
        shelf.store.reveal_address(None, item.comment.id, moderator="ann", why="drill") == ADDRESS
    )


def test_with_the_database_away_verdicts_flow_and_come_in_exactly_once(
    service: Callable[..., Running], server: Callable[[], Server]
):
    real = server()
    rounds, kills = (6 if COMPLETE else 1), 0
    with proxied(real.port) as proxy:
        one = service(
            DUYET_DATABASE_URL=real.url("duyet", port=proxy.port),
            DUYET_WORKERS="2",
            DUYET_SPOOL="on",
        )
        one.start()
        spool = Spool(one.directory / "var" / "spool", 2**28)
        load = Load(one)
        kept: list[int] = []
        back: list[float] = []
        with load.running(within=90):
            for turn in range(rounds):
                load.reaches(40)
                proxy.cut()
                until(spool.is_holding, 30, lambda: f"nothing is spooled: {load}")
                load.reaches(100)
                kept.append(spool.size())
                assert one.status("/readyz") == 200
                proxy.mend()
                if turn % 2 == 1:  # in the middle of the replay, or close to it
                    os.kill(one.workers()[0], signal.SIGKILL)
                    kills += 1
                back.append(until(lambda: not spool.is_holding(), 60, "the spool is not replayed"))
        until(lambda: not spool.is_holding(), 60, "the spool is not replayed")
        load.again(sorted(load.answered)[-100:])

    found = ledger(real.url("duyet"), load)
    assert found.faults == {}
    assert found.comments == len(load.answered)
    TABLE.row(
        "database away, with the spool",
        "verdicts flow as queue; everything comes in exactly once, also over kill -9",
        f"{rounds} times, {kills} kills in the replay; {max(kept)} bytes kept, empty after "
        f"{max(back):.1f} s at most; {load}; {found}",
    )


def test_a_start_with_the_database_away_queues_for_the_sites_that_called_before(
    service: Callable[..., Running], server: Callable[[], Server]
):
    real = server()
    with proxied(real.port) as proxy:
        url = real.url("duyet", port=proxy.port)
        one = service(DUYET_DATABASE_URL=url, DUYET_WORKERS="2", DUYET_SPOOL="on")
        proxy.cut()
        one.start(ready=False)
        at_first = one.readiness()[0]  # no site can be known yet
        proxy.mend()
        until(one.read_key, 30, one.said)
        load = Load(one)
        with load.running(within=60):
            load.reaches(20)
        assert one.end() == 0
        proxy.cut()
        up = one.start()
        with load.running(within=60):
            load.reaches(60)
        stranger = one.asked("POST", "/v1/comments", {}, Authorization="Bearer dk_stranger")[0]
        spool = Spool(one.directory / "var" / "spool", 2**28)
        kept = spool.size()
        proxy.mend()
        until(lambda: not spool.is_holding(), 60, "the spool is not replayed")

    found = ledger(real.url("duyet"), load)
    assert found.faults == {}
    assert (at_first, stranger) == (503, 503)
    assert set(load.statuses) == {200}
    assert kept > 0
    assert one.key.encode() not in (spool.directory / "sites.json").read_bytes()
    TABLE.row(
        "database away at the start, with the spool",
        "sites that called before are served with queue; everything comes in exactly once",
        f"up {up:.1f} s after the start; {kept} bytes kept; {load}; {found}",
    )


def test_a_revoked_key_and_a_torn_file_are_known_no_more(tmp_path: Path):
    site = Site("s1", "báo", Policy(max_links=3), "p1", 2.5)
    one, other = KnownSites(tmp_path / "spool"), KnownSites(tmp_path / "spool")
    one.note("dk_mot", site)
    one.note("dk_hai", site)
    known = other.site_of("dk_mot"), other.site_of("dk_ba"), other.are_there()

    other.note("dk_mot", None)

    assert known == (site, None, True)
    assert (one.site_of("dk_mot"), one.site_of("dk_hai")) == (None, site)
    file = tmp_path / "spool" / "sites.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(file.read_bytes()[:-9])
    assert (one.site_of("dk_hai"), one.are_there()) == (None, False)
    one.note("dk_hai", site)
    assert one.site_of("dk_hai") == site


def test_akismet_s_keys_are_known_with_their_choices_while_the_store_is_away(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'd.db'}", Keyring.open(tmp_path / "keys"))
    store.migrate()
    site, site_key = store.add_site("báo", Policy())
    key = store.new_akismet_key(site.id)
    chosen = AkismetChoices(QueueSpoken.RECHECK, ("blog.example",), discards=True)
    store.set_akismet_choices(site.id, chosen)

    async def asked(bearer: str, akismet: str) -> tuple[Site | None, AkismetSite | None]:
        spool = Spool(tmp_path / "spool", 2**20)
        keys = SiteKeys(store, spool=spool)  # as a process that has just started
        return await keys.site_of_key(bearer), await keys.akismet_site(akismet)

    before = asyncio.run(asked(site_key, key))
    crossed = asyncio.run(asked(key, site_key))
    store.close()
    (tmp_path / "d.db").rename(tmp_path / "away.db")
    (tmp_path / "d.db").mkdir()
    after = asyncio.run(asked(site_key, key))

    assert before == after == (site, AkismetSite(site, chosen))
    assert crossed == (None, None)
    with pytest.raises(StoreUnavailable):
        asyncio.run(asked(key, key))
    with pytest.raises(StoreUnavailable):
        asyncio.run(asked(site_key, site_key))
    assert key.encode() not in (tmp_path / "spool" / "sites.json").read_bytes()


def test_a_disk_that_refuses_known_sites_stops_nobody(tmp_path: Path):
    (tmp_path / "file").write_text("")
    sites = KnownSites(tmp_path / "file" / "spool")

    sites.note("dk_mot", Site("s1", "báo", Policy(), "p1"))

    assert sites.site_of("dk_mot") is None
