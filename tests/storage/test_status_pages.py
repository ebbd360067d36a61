"""Appeals, their answers and digests, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from model.decision import RejectReason, ReportKind
from model.outcome import Outcome
from service.storage import (
    AlreadyDecided,
    NothingToUndo,
    Retention,
    Role,
    Site,
    Store,
    UnknownComment,
    Waiting,
)
from service.storage.acts import Acts
from service.storage.digests import Digests, Every
from service.storage.status_pages import CannotAppeal, StatusPages, TooManyAppeals
from tests.storage.cases import Clock, accept, asked, found, many, put, reject, submission, verdict

REJECTS = verdict(Outcome.REJECT, spam=0.97)


def rejected(store: Store, site: Site, clock: Clock) -> str:
    """A comment that the machine rejected."""
    clock.advance(minutes=1)
    return put(store, asked(site, clock()), by=REJECTS)[0]


def decided(store: Store, site: Site, clock: Clock) -> str:
    """A comment that waited, and that bob rejected as spam."""
    clock.advance(minutes=1)
    comment_id = put(store, asked(site, clock()))[0]
    clock.advance(minutes=1)
    store.decide(None, comment_id, reject(clock()))
    return comment_id


def test_an_appeal_puts_a_comment_in_the_queue_and_changes_nothing_in_force(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = rejected(store, site, clock)

    after = StatusPages(store).appeal(comment_id, " please, lan.viet@thu.example ")

    item = store.queue_page(None).items[0]
    assert (item.comment.id, item.why) == (comment_id, Waiting.APPEAL)
    assert item.comment.state is Outcome.REJECT
    assert after.appeal
    assert after.appeal.words == "please, l•••@thu.example"
    assert not after.may_appeal


def test_words_are_given_for_the_sites_that_are_asked_for(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = rejected(store, site, clock)
    pages = StatusPages(store)
    pages.appeal(comment_id, "please")

    assert pages.appeals_of([site.id], [comment_id])[comment_id].words == "please"
    assert pages.appeals_of(["another"], [comment_id]) == {}
    assert pages.appeals_of(None, ["x\0", "none"]) == {}


def test_of_many_who_appeal_at_once_one_does(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock
) -> None:
    comment_id = rejected(store, site, clock)

    def appeal(words: str) -> bool:
        try:
            StatusPages(open_store()).appeal(comment_id, words)
        except CannotAppeal:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(appeal, "abcd")) == [False, False, False, True]
    assert store.queue_size(None) == 1


def test_the_last_that_fits_in_a_day_is_one(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock
) -> None:
    ids = [rejected(store, site, clock) for _ in range(6)]  # all of one author

    def appeal(comment_id: str) -> bool:
        try:
            StatusPages(open_store()).appeal(comment_id, "please")
        except TooManyAppeals:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(appeal, ids)) == [False] * 3 + [True] * 3


def test_an_unknown_comment_and_words_that_cannot_be_kept_are_refused(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = rejected(store, site, clock)
    pages = StatusPages(store)

    for words in ("", " \n", "x" * 1001, "a\0b", "\ud800"):  # each in a transaction of its own
        with pytest.raises(ValueError, match="1 to 1000"):
            pages.appeal(comment_id, words)
    with pytest.raises(UnknownComment):
        pages.appeal("01890000-0000-7000-8000-000000000000", "please")
    assert pages.standing("x\0") is None
    assert store.queue_size(None) == 0


def test_the_answer_takes_the_place_of_the_decision_appealed_against(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = decided(store, site, clock)
    StatusPages(store).appeal(comment_id, "please")
    waiting = found(store, comment_id)

    clock.advance(minutes=1)
    store.decide(None, comment_id, accept(clock()))

    answered = found(store, comment_id)
    told = [event.body for event in store.events(None) if event.kind == "decided"]
    assert waiting.decision == reject(clock() - timedelta(minutes=1))
    assert answered.decision == accept(clock())
    assert (answered.state, answered.waiting_since) == (Outcome.ACCEPT, None)
    assert '"answers":"appeal"' in told[-1]
    assert {(e.label.word, e.extra["decided_by"]) for e in store.labelled()} == {
        ("ham", "ann"),
        ("clean", "ann"),
    }


def test_undoing_the_answer_brings_back_exactly_what_was(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = decided(store, site, clock)
    StatusPages(store).appeal(comment_id, "please")
    before, queue = found(store, comment_id), store.queue_page(None).items

    for _ in range(3):  # as often as anybody likes
        clock.advance(minutes=1)
        store.decide(None, comment_id, accept(clock()))
        store.undo(None, comment_id, moderator="ann", only_own=True)

    assert found(store, comment_id) == before
    assert store.queue_page(None).items == queue
    with pytest.raises(NothingToUndo):
        store.undo(None, comment_id, moderator="ann", only_own=True)


def test_the_decision_that_stands_again_can_be_undone_as_before(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = decided(store, site, clock)
    StatusPages(store).appeal(comment_id, "please")
    store.decide(None, comment_id, accept(clock()))
    store.undo(None, comment_id, moderator="ann", only_own=True)

    store.undo(None, comment_id, moderator="bob", only_own=True)

    after = found(store, comment_id)
    assert (after.decision, after.state) == (None, Outcome.QUEUE)
    assert [item.why for item in store.queue_page(None).items] == [Waiting.APPEAL]
    store.decide(None, comment_id, accept(clock()))
    assert store.undo(None, comment_id, moderator="ann").decision is None


def test_undoing_the_decision_while_the_appeal_waits_leaves_it_waiting(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = decided(store, site, clock)
    StatusPages(store).appeal(comment_id, "please")

    store.undo(None, comment_id, moderator="bob", only_own=True)

    assert found(store, comment_id).state is Outcome.QUEUE
    assert store.queue_size(None) == 1


def test_what_was_answered_is_decided(store: Store, site: Site, clock: Clock) -> None:
    comment_id = decided(store, site, clock)
    pages = StatusPages(store)
    pages.appeal(comment_id, "please")
    store.decide(None, comment_id, reject(clock(), by="ann", reason=RejectReason.OTHER))

    with pytest.raises(AlreadyDecided):
        store.decide(None, comment_id, accept(clock()))
    with pytest.raises(CannotAppeal):
        pages.appeal(comment_id, "again")
    standing = pages.standing(comment_id)
    assert standing
    assert (standing.reason, standing.waits) == (RejectReason.OTHER, False)


def test_a_report_and_an_appeal_are_one_place_in_the_queue(
    store: Store, site: Site, clock: Clock
) -> None:
    comment_id = rejected(store, site, clock)
    StatusPages(store).appeal(comment_id, "please")

    store.report(None, comment_id, ReportKind.HAM)

    assert found(store, comment_id).state is Outcome.QUEUE
    assert store.queue_size(None) == 1


def test_an_act_on_many_leaves_appeals_against_people_s_decisions_to_be_read(
    store: Store, site: Site, clock: Clock
) -> None:
    person_s, machine_s = decided(store, site, clock), rejected(store, site, clock)
    for one in (person_s, machine_s):
        StatusPages(store).appeal(one, "please")

    act = Acts(store).decide(None, [person_s, machine_s], accept(clock()), kind="selected")

    assert (act.decided, act.left) == (1, 1)
    assert [item.comment.id for item in store.queue_page(None).items] == [person_s]


def test_an_appeal_is_forgotten_with_its_comment(store: Store, site: Site, clock: Clock) -> None:
    ids = [rejected(store, site, clock) for _ in range(2)]
    for one in ids:
        StatusPages(store).appeal(one, "please")
    store.decide(None, ids[0], accept(clock()))
    clock.advance(days=40)
    put(store, *many(3, site, clock, submission("new")))

    store.forget(Retention(30, 30))

    pages = StatusPages(store)
    assert pages.standing(ids[0]) is None
    assert set(pages.appeals_of(None, ids)) == {ids[1]}  # it waits


# ------------------------------------------------------------------ digests


def test_a_moderator_s_address_is_sealed_and_sealed_again_with_a_new_key(
    store: Store, clock: Clock
) -> None:
    who = store.add_moderator("mai", Role.MODERATOR)
    digests = Digests(store)
    parcel = digests.choose(who, address="mai@b.example", language="en", every=Every.DAY, hour=7)
    assert parcel
    digests.confirm(who.id, parcel.link_id)

    def stored() -> bytes:
        with store.reads() as connection:
            row = connection.exec_driver_sql("SELECT address_cipher, address_masked FROM digests")
            cipher, masked = row.one()
        assert masked == "m•••@b.example"
        return bytes(cipher)

    before = stored()
    store.keyring.add_address_key()
    store.reencrypt_addresses()

    assert b"mai@" not in before + stored()
    assert stored() != before
    assert store.address_keys_in_use() == frozenset({2})
    assert [one.address for one in digests.everybody()] == ["mai@b.example"]


def test_a_digest_is_claimed_by_one_of_many(
    open_store: Callable[[], Store], store: Store, clock: Clock
) -> None:
    for name in ("lan", "mai"):
        who = store.add_moderator(name, Role.MODERATOR)
        address = f"{name}@b.example"
        parcel = Digests(store).choose(
            who, address=address, language="en", every=Every.HOUR, hour=0
        )
        assert parcel
        assert Digests(store).confirm(who.id, parcel.link_id)
    clock.advance(hours=1)

    def claim(_: int) -> str:
        parcel = Digests(open_store()).claim()
        return parcel.moderator.name if parcel else ""

    with ThreadPoolExecutor(4) as threads:
        claimed = sorted(threads.map(claim, range(5)))

    assert claimed == ["", "", "", "lan", "mai"]


def test_what_waits_is_counted_by_site_and_kind(store: Store, site: Site, clock: Clock) -> None:
    put(store, *many(6, site, clock))
    appealed = rejected(store, site, clock)
    StatusPages(store).appeal(appealed, "please")
    last = clock()
    put(store, *many(2, site, clock, submission("another text")))

    load = Digests(store).workload([site.id], last)

    assert len(load) == 1
    assert (load[0].waiting, load[0].since_last) == (9, 2)
    assert load[0].by_why == {"verdict": 8, "appeal": 1}
    assert (load[0].copies, load[0].groups) == (7, 1)
    assert load[0].oldest == found(store, store.queue_page(None).items[0].comment.id).waiting_since
    assert Digests(store).workload(["another"], last) == []
