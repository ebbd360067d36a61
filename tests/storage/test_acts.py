"""One decision on many comments, and its undo, on both databases."""

import threading
from dataclasses import replace

import pytest

from model.decision import RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.storage import NothingToUndo, Site, Store, StoredComment, UnknownComment
from service.storage.acts import AT_ONCE, MOST, Act, Acts, ActState, UnknownAct
from tests.storage.cases import Clock, accept, asked, found, many, put, reject

COUNT = 2 * AT_ONCE + 7


@pytest.fixture
def acts(store: Store) -> Acts:
    return Acts(store)


@pytest.fixture
def ids(store: Store, site: Site, clock: Clock) -> list[str]:
    waiting = put(store, *many(COUNT, site, clock))
    clock.advance(minutes=3)
    return waiting


def counts(act: Act) -> tuple[int, int, int, int, int]:
    return act.due, act.decided, act.left, act.restored, act.kept


def all_of(store: Store, ids: list[str]) -> list[StoredComment]:
    return [found(store, one) for one in ids]


def test_one_decision_settles_all_of_a_snapshot(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    act = acts.decide(None, ids, reject(clock()), kind="bulk", body={"of": "a filter"})

    assert (act.state, counts(act), act.count) == (ActState.DONE, (0, COUNT, 0, 0, 0), COUNT)
    assert {(one.state, one.decision) for one in all_of(store, ids)} == {
        (Outcome.REJECT, reject(clock()))
    }
    assert store.queue_size(None) == 0
    assert acts.act(None, act.id) == act
    assert act.body == {"of": "a filter"}


def test_an_undo_brings_back_exactly_what_was(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    before = all_of(store, ids)
    act = acts.decide(None, ids, reject(clock()), kind="bulk")
    clock.advance(minutes=1)

    undone = acts.undo(None, act.id, moderator="bob", only_own=True)

    assert (undone.state, counts(undone)) == (ActState.UNDONE, (0, 0, 0, COUNT, 0))
    assert (undone.undone_by, undone.undone_at) == ("bob", clock())
    assert all_of(store, ids) == before


def test_what_others_decided_stays_and_is_counted(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    store.decide(None, ids[3], accept(clock()))

    act = acts.decide(None, ids, reject(clock()), kind="bulk")
    undone = acts.undo(None, act.id, moderator="bob")

    assert counts(act) == (0, COUNT - 1, 1, 0, 0)
    assert counts(undone) == (0, 0, 1, COUNT - 1, 0)
    assert found(store, ids[3]).decision == accept(clock())


def test_an_undo_leaves_what_was_decided_again_meanwhile(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    act = acts.decide(None, ids, reject(clock()), kind="bulk")
    store.undo(None, ids[0], moderator="ann")
    store.decide(None, ids[0], accept(clock()))
    store.undo(None, ids[1], moderator="ann")

    undone = acts.undo(None, act.id, moderator="bob")

    assert counts(undone) == (0, 0, 0, COUNT - 2, 2)
    assert found(store, ids[0]).decision == accept(clock())
    assert found(store, ids[1]).state is Outcome.QUEUE


def test_an_act_that_stopped_half_way_is_gone_on_with(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    begun = acts.begin(None, ids, reject(clock()), kind="bulk")
    half = acts.go_on(None, begun.id, most=1)

    stopped = acts.unfinished(None)
    ended = acts.go_on(None, begun.id)

    assert counts(begun) == (COUNT, 0, 0, 0, 0)
    assert counts(half) == (COUNT - AT_ONCE, AT_ONCE, 0, 0, 0)
    assert [act.id for act in stopped] == [begun.id]
    assert counts(ended) == (0, COUNT, 0, 0, 0)
    assert acts.unfinished(None) == []


def test_an_act_that_stopped_half_way_is_taken_back(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    before = all_of(store, ids)
    begun = acts.begin(None, ids, reject(clock()), kind="bulk")
    acts.go_on(None, begun.id, most=1)

    undone = acts.undo(None, begun.id, moderator="bob")
    again = acts.go_on(None, begun.id)

    assert counts(undone) == (0, 0, COUNT - AT_ONCE, AT_ONCE, 0)
    assert again == undone
    assert all_of(store, ids) == before


def test_an_undo_is_done_once_and_by_its_own_moderator_where_that_is_asked(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    act = acts.decide(None, ids, reject(clock()), kind="bulk")

    with pytest.raises(NothingToUndo):
        acts.undo(None, act.id, moderator="ann", only_own=True)
    acts.undo(None, act.id, moderator="ann")
    with pytest.raises(NothingToUndo):
        acts.undo(None, act.id, moderator="ann")


def test_two_acts_on_the_same_comments_decide_each_once(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    made: list[Act] = []

    def act(turn: int) -> None:
        by = replace(reject(clock(), reason=RejectReason.OTHER), moderator=f"m{turn}")
        made.append(acts.decide(None, ids[:: 1 - 2 * turn], by, kind="bulk"))

    threads = [threading.Thread(target=act, args=(turn,)) for turn in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 2
    assert sum(one.decided for one in made) == COUNT
    assert sum(one.left for one in made) == COUNT


def test_another_sites_comments_and_acts_are_not_there(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    (theirs,) = put(store, asked(other, clock()))
    mine = {found(store, ids[0]).site_id}

    act = acts.decide(mine, [*ids[:2], theirs], reject(clock()), kind="bulk")
    both = acts.decide(None, [theirs, ids[5]], reject(clock()), kind="bulk")

    assert act.decided == 2
    assert acts.act({other.id}, act.id) is None
    assert acts.act(mine, both.id) is None
    assert acts.act(mine, act.id) == act
    with pytest.raises(UnknownAct):
        acts.undo({other.id}, act.id, moderator="eve")
    with pytest.raises(UnknownAct):
        acts.go_on(mine, both.id)


@pytest.mark.parametrize("wanted", [[], ["x"], ["\0", "no", "é" * 90]])
def test_an_act_on_nothing_is_refused(acts: Acts, clock: Clock, wanted: list[str]) -> None:
    with pytest.raises(UnknownComment):
        acts.decide(None, wanted, reject(clock()), kind="bulk")


def test_an_act_on_too_much_is_refused(acts: Acts, clock: Clock) -> None:
    with pytest.raises(ValueError, match="5000"):
        acts.begin(None, (str(n) for n in range(MOST + 1)), reject(clock()), kind="bulk")


def test_the_log_says_who_did_what_and_took_it_back(
    store: Store, acts: Acts, ids: list[str], clock: Clock
) -> None:
    act = acts.decide(None, ids[:2], reject(clock()), kind="bulk")
    acts.undo(None, act.id, moderator="ann")

    told = [(e.kind, e.actor) for e in store.events(None) if e.kind.startswith("act")]

    assert told == [("acted", "bob"), ("act_undone", "ann")]
