"""What people change is numbered within a site, and can be read in order, as of any number."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from model.decision import Decision, RejectReason
from model.policy import Policy
from model.verdict import Learnt
from service.storage import Changes, Site, Store, UnknownSite
from tests.storage.cases import (
    EMAIL,
    VERDICT,
    Clock,
    accept,
    asked,
    found,
    many,
    put,
    record,
    reject,
    submission,
)

ALL = {"after": 0, "upto": 1000, "undone_upto": 1000, "limit": 1000}


def decided(store: Store, site: Site, clock: Clock, *decisions: Decision) -> list[str]:
    """New comments, each with its decision; their ids."""
    ids = put(store, *many(len(decisions), site, clock))
    for comment_id, decision in zip(ids, decisions, strict=True):
        store.decide(None, comment_id, decision)
    return ids


def test_decisions_undos_and_resets_are_numbered_within_their_site(
    store: Store, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("shop", Policy())
    first, _ = decided(store, site, clock, reject(clock()), accept(clock()))
    decided(store, other, clock, accept(clock()))
    before = store.changes(site.id)

    store.undo(None, first, moderator="bob")
    undone = store.changes(site.id)
    number = store.forget_decisions(site.id)

    assert before == Changes(last=2)
    assert undone == Changes(last=3, undo=3)
    assert number == 4
    assert store.changes(site.id) == Changes(last=4, undo=3, reset=4)
    assert store.changes(other.id) == Changes(last=1)


def test_a_batch_is_told_how_far_the_decisions_of_each_site_have_come(
    store: Store, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("shop", Policy())
    decided(store, other, clock, accept(clock()), reject(clock()))

    known = store.gather([asked(s, clock()) for s in (site, other, site)])

    assert [k.changes for k in known] == [Changes(), Changes(last=2), Changes()]


def test_decided_comments_come_in_order_with_what_was_decided(
    store: Store, site: Site, clock: Clock
) -> None:
    sent = submission("Nổ hũ ngay", name="Bot", email=EMAIL)
    (first,) = put(store, asked(site, clock(), sent))
    (second,) = put(store, asked(site, clock()))
    store.decide(None, second, accept(clock(), by="ann"))
    store.decide(None, first, reject(clock(), by="bob", reason=RejectReason.SPAM))

    page = store.decided(site.id, **ALL)

    assert [(d.change, d.id) for d in page] == [(1, second), (2, first)]
    assert page[1].decision == reject(clock(), by="bob", reason=RejectReason.SPAM)
    assert page[1].submission == found(store, first).submission
    assert page[1].submission.author.email == ""
    assert EMAIL not in repr(page)


def test_decided_comments_are_read_in_pages(store: Store, site: Site, clock: Clock) -> None:
    decided(store, site, clock, *[accept(clock())] * 7)

    first = store.decided(site.id, after=0, upto=6, undone_upto=6, limit=4)
    rest = store.decided(site.id, after=first[-1].change, upto=6, undone_upto=6, limit=4)

    assert [d.change for d in first + rest] == [1, 2, 3, 4, 5, 6]


def test_what_was_taken_back_is_left_out_from_then_on(
    store: Store, site: Site, clock: Clock
) -> None:
    first, second = decided(store, site, clock, reject(clock()), accept(clock()))
    store.undo(None, first, moderator="bob")
    store.decide(None, first, accept(clock()))

    as_of = [
        [d.id for d in store.decided(site.id, **(ALL | {"upto": n, "undone_upto": n}))]
        for n in range(5)
    ]

    assert as_of == [[], [first], [first, second], [second], [second, first]]


def test_a_decision_that_is_refused_takes_no_number(store: Store, site: Site, clock: Clock) -> None:
    (first,) = decided(store, site, clock, reject(clock()))

    with pytest.raises(Exception, match="decided"):
        store.decide(None, first, accept(clock()))

    assert store.changes(site.id) == Changes(last=1)


def test_nobody_sees_a_number_before_those_below_it(
    store: Store, open_store: Callable[[], Store], site: Site, clock: Clock
) -> None:
    ids = put(store, *many(40, site, clock))
    writers = [open_store() for _ in range(4)]
    gaps: list[tuple[int, int]] = []
    done = threading.Event()

    def decide(writer: Store, own: list[str]) -> None:
        for comment_id in own:
            writer.decide(None, comment_id, accept(clock()))

    def watch() -> None:
        while not done.is_set():
            last = store.changes(site.id).last
            seen = len(store.decided(site.id, **(ALL | {"upto": last})))
            if seen != last:
                gaps.append((seen, last))

    watching = threading.Thread(target=watch)
    deciding = [
        threading.Thread(target=decide, args=(writer, ids[n::4]))
        for n, writer in enumerate(writers)
    ]
    watching.start()
    for thread in deciding:
        thread.start()
    for thread in deciding:
        thread.join()
    done.set()
    watching.join()

    assert gaps == []
    numbers = [d.change for d in store.decided(site.id, **ALL)]
    assert numbers == list(range(1, 41))


def test_a_reset_is_on_record_and_decisions_stay(store: Store, site: Site, clock: Clock) -> None:
    (first,) = decided(store, site, clock, reject(clock()))

    store.forget_decisions(site.id, by="lan@mail.example")

    last = store.events(None)[-1]
    assert (last.kind, last.site_id, last.body) == ("decisions_forgotten", site.id, '{"change":2}')
    assert "lan" not in last.actor
    assert found(store, first).decision is not None
    assert len(list(store.labelled())) == 1


def test_a_site_that_there_is_not_has_no_changes(store: Store) -> None:
    for call in (store.changes, store.forget_decisions):
        with pytest.raises(UnknownSite):
            call("no-such-site")


@pytest.mark.parametrize(
    "learnt",
    [None, Learnt("a1b2c3d4e5f6", 52, 4, 9, 61, 1.2999999999999998, "c-1"), Learnt("", 1, 0, 0, 1)],
)
def test_what_was_learnt_is_kept_with_the_verdict(
    store: Store, site: Site, clock: Clock, learnt: Learnt | None
) -> None:
    by = replace(VERDICT, learnt=learnt)

    (stored,) = record(store, asked(site, clock()), by=by)

    assert stored.verdict == by
