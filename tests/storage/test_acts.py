"""Acts on many comments: a snapshot, decided in steps, taken back whole. On both databases."""

import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from model.decision import RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.storage import NothingToUndo, Retention, Site, Store
from service.storage.acts import STEP, Acts, ActState, ItemState
from service.storage.errors import UnknownAct
from service.storage.records import Changes
from service.storage.tables import act_items, comments, queue
from tests.storage.cases import Clock, accept, found, many, put, reject, verdict


@pytest.fixture
def acts(store: Store) -> Acts:
    return Acts(store, pause_seconds=0)


def everything(store: Store) -> tuple[object, object]:
    """What a decision changes: the queue, and the state of comments."""
    columns = (comments.c.id, comments.c.state, comments.c.decided)
    with store.reads() as connection:
        waiting = connection.execute(sa.select(queue).order_by(queue.c.comment_id)).all()
        states = connection.execute(sa.select(*columns).order_by(comments.c.id)).all()
    return waiting, states


def until(count: int) -> Callable[[], bool]:
    """Lets so many transactions happen, then stops."""
    left: Iterator[bool] = iter([True] * (count - 1))
    return lambda: next(left, False)


def test_an_act_decides_its_snapshot_and_nothing_that_came_later(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(3, site, clock))
    planned = acts.plan(None, ids, reject(clock()), kind="bulk", body={"filter": "all"})
    later = put(store, *many(1, site, clock))

    acts.begin(None, planned.id, "bob")
    done = acts.run(None, planned.id)

    assert (planned.state, planned.counts) == (ActState.PLANNED, {ItemState.WAITS: 3})
    assert (done.state, done.counts) == (ActState.DONE, {ItemState.DONE: 3})
    assert {found(store, one).state for one in ids} == {Outcome.REJECT}
    assert found(store, ids[0]).decision == reject(clock())
    assert found(store, later[0]).waiting_since is not None


def test_undo_brings_back_exactly_what_was(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(3, site, clock))
    ids += put(store, *many(2, site, clock), by=verdict(Outcome.ACCEPT))
    before = everything(store)
    act = acts.decide(None, ids, reject(clock()), kind="bulk", body={})
    clock.advance(hours=1)

    undone = acts.undo(None, act.id, "bob", only_own=True)

    assert everything(store) == before
    assert (undone.state, undone.counts) == (ActState.UNDONE, {ItemState.UNDONE: 5})
    assert (undone.undone_by, undone.undone_at) == ("bob", clock())
    assert store.changes(site.id) == Changes(last=10, undo=10)


def test_every_decision_and_undo_has_a_number_of_its_own(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(3, site, clock))
    first = store.decide(None, ids[0], accept(clock()))

    acts.decide(None, ids, reject(clock()), kind="bulk", body={})

    decided = store.decided(site.id, after=0, upto=9, undone_upto=9, limit=9)
    assert [(one.change, one.id) for one in decided] == [(1, first.id), (2, ids[1]), (3, ids[2])]


def test_what_others_decided_meanwhile_is_left_and_counted(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(3, site, clock))
    planned = acts.plan(None, ids, reject(clock()), kind="bulk", body={})
    store.decide(None, ids[1], accept(clock()))

    acts.begin(None, planned.id, "bob")
    done = acts.run(None, planned.id)
    undone = acts.undo(None, done.id, "bob", only_own=True)

    assert done.counts == {ItemState.DONE: 2, ItemState.LEFT: 1}
    assert undone.counts == {ItemState.UNDONE: 2, ItemState.LEFT: 1}
    assert found(store, ids[1]).decision == accept(clock())


def test_an_act_that_was_killed_is_gone_on_with(
    store: Store, site: Site, clock: Clock, acts: Acts, open_store: Callable[[], Store]
) -> None:
    ids = put(store, *many(2 * STEP + 5, site, clock))
    planned = acts.plan(None, ids, reject(clock()), kind="bulk", body={})
    acts.begin(None, planned.id, "bob")

    half = acts.run(None, planned.id, goes_on=until(1))
    done = Acts(open_store(), pause_seconds=0).run(None, planned.id)

    assert (half.state, half.count(ItemState.DONE)) == (ActState.RUNNING, STEP)
    assert (done.state, done.counts) == (ActState.DONE, {ItemState.DONE: len(ids)})
    assert store.queue_size(None) == 0


def test_an_act_that_was_killed_is_taken_back_and_not_gone_on_with(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(2 * STEP + 5, site, clock))
    before = everything(store)
    planned = acts.plan(None, ids, reject(clock()), kind="bulk", body={})
    acts.begin(None, planned.id, "bob")
    acts.run(None, planned.id, goes_on=until(2))

    half = acts.undo(None, planned.id, "bob", only_own=True, goes_on=until(1))
    undone = acts.undo(None, planned.id, "bob", only_own=True)
    after = acts.run(None, planned.id)

    assert (half.state, half.count(ItemState.UNDONE)) == (ActState.UNDOING, STEP)
    assert everything(store) == before
    assert undone == after
    assert undone.counts == {ItemState.UNDONE: 2 * STEP, ItemState.WAITS: 5}


def test_undo_leaves_what_was_decided_anew(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(3, site, clock))
    act = acts.decide(None, ids, reject(clock()), kind="bulk", body={})
    store.undo(None, ids[0], moderator="bob")
    store.undo(None, ids[1], moderator="bob")
    store.decide(None, ids[1], accept(clock(), by="ann"))

    undone = acts.undo(None, act.id, "bob", only_own=True)

    assert undone.counts == {ItemState.UNDONE: 1, ItemState.KEPT: 2}
    assert found(store, ids[1]).decision == accept(clock(), by="ann")
    assert store.queue_size(None) == 2


def test_an_act_is_taken_back_once(store: Store, site: Site, clock: Clock, acts: Acts) -> None:
    act = acts.decide(None, put(store, *many(2, site, clock)), accept(clock()), kind="b", body={})
    acts.undo(None, act.id, "ann", only_own=True)

    with pytest.raises(NothingToUndo):
        acts.undo(None, act.id, "ann", only_own=True)
    assert store.changes(site.id) == Changes(last=4, undo=4)


def test_only_its_maker_takes_an_act_back_when_only_own_counts(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    act = acts.decide(None, put(store, *many(2, site, clock)), accept(clock()), kind="b", body={})

    with pytest.raises(NothingToUndo):
        acts.undo(None, act.id, "bob", only_own=True)
    assert acts.undo(None, act.id, "bob", only_own=False).undone_by == "bob"


def test_a_plan_is_its_maker_s_and_ends(store: Store, site: Site, clock: Clock, acts: Acts) -> None:
    ids = put(store, *many(2, site, clock))
    mine = acts.plan(None, ids, accept(clock()), kind="bulk", body={})

    with pytest.raises(UnknownAct):
        acts.begin(None, mine.id, "bob")
    with pytest.raises(NothingToUndo):
        acts.undo(None, mine.id, "ann", only_own=True)
    clock.advance(minutes=31)
    with pytest.raises(UnknownAct):
        acts.begin(None, mine.id, "ann")
    acts.plan(None, ids, accept(clock()), kind="bulk", body={})
    with pytest.raises(UnknownAct):
        acts.act(None, mine.id)


def test_another_site_s_comments_are_not_there(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    other, _ = store.add_site("other", Policy())
    own = put(store, *many(2, site, clock))
    hidden = put(store, *many(3, other, clock))
    act = acts.decide(None, own + hidden, reject(clock()), kind="bulk", body={})

    seen = acts.act([site.id], act.id)
    told = [e.body for e in store.events([site.id], limit=500) if e.kind == "act_done"]

    assert seen.counts == {ItemState.DONE: 2}
    assert ['"counts":{"done":2}' in body for body in told] == [True]
    for made_up in ([*hidden], ["no-such-comment"], []):
        with pytest.raises(UnknownAct):
            acts.plan([site.id], made_up, reject(clock()), kind="bulk", body={})
    for site_ids, act_id in (([], act.id), (None, "\0"), (None, "é" * 99)):
        with pytest.raises(UnknownAct):
            acts.act(site_ids, act_id)


def test_two_acts_on_the_same_comments_at_once_decide_each_once(
    store: Store, site: Site, clock: Clock, acts: Acts, open_store: Callable[[], Store]
) -> None:
    ids = put(store, *many(2 * STEP, site, clock))
    plans = [
        acts.plan(None, chosen, decision, kind="bulk", body={})
        for chosen, decision in (
            (ids[: STEP + 50], accept(clock())),
            (ids[50:], reject(clock(), reason=RejectReason.TOXIC)),
        )
    ]
    for plan in plans:
        acts.begin(None, plan.id, plan.moderator)
    stores = [open_store(), open_store()]
    threads = [
        threading.Thread(target=Acts(one).run, args=(None, plan.id))
        for one, plan in zip(stores, plans, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ended = [acts.act(None, plan.id) for plan in plans]
    done = [act.count(ItemState.DONE) for act in ended]
    left = [act.count(ItemState.LEFT) for act in ended]
    assert [act.state for act in ended] == [ActState.DONE] * 2
    assert (sum(done), sum(left)) == (2 * STEP, 100)
    assert store.changes(site.id) == Changes(last=2 * STEP)


def test_later_arrivals_join_an_act_and_are_taken_back_with_it(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    ids = put(store, *many(2, site, clock))
    act = acts.decide(None, ids, reject(clock()), kind="campaign", body={})
    later = put(store, *many(1, site, clock))

    grown = acts.add(None, act.id, ids + later)
    undone = acts.undo(None, act.id, "bob", only_own=True)

    assert (grown.state, grown.counts) == (ActState.DONE, {ItemState.DONE: 3})
    assert undone.counts == {ItemState.UNDONE: 3}
    assert acts.add(None, act.id, later) == undone
    assert store.queue_size(None) == 3


def test_what_is_forgotten_leaves_the_act(
    store: Store, site: Site, clock: Clock, acts: Acts
) -> None:
    act = acts.decide(None, put(store, *many(2, site, clock)), reject(clock()), kind="b", body={})
    clock.advance(days=100)

    store.forget(Retention(days=30, spoken_days=60))

    with store.reads() as connection:
        assert connection.execute(sa.select(act_items)).all() == []
    with pytest.raises(UnknownAct):
        acts.act(None, act.id)
