"""What a challenger made of live comments, and comments to be judged again, on both databases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from model.outcome import Outcome
from model.policy import Policy
from model.promotion import Shadowed
from service.storage import Retention, Site, Store
from service.storage.counts import day_of
from service.storage.figures import Scope
from service.storage.past import PastComment, Stretch, count_past, first_past, past_page
from service.storage.shadows import FLIPS_KEPT, Flipped, Kind, Shadows, Tally
from service.storage.tables import EPOCH, shadow_flips
from tests.storage.cases import Clock, many, put, reject, verdict


def tallied(site: Site, clock: Clock, ids: list[str], *, would: str = "reject") -> Tally:
    tally = Tally()
    for comment_id in ids:
        kind = Kind(site.id, day_of(clock()), "vi", "m-2", "m-1", "accept", would)
        tally.count(kind, clock(), layered=False)
        tally.flips.append(Flipped(comment_id, kind, clock()))
    return tally


def kept(store: Store) -> set[str]:
    with store.reads() as connection:
        return set(connection.scalars(sa.select(shadow_flips.c.comment_id)))


def test_counts_add_up_and_a_sample_is_the_same_whoever_writes_first(
    store: Store, site: Site, clock: Clock
) -> None:
    shadows, ids = Shadows(store), put(store, *many(3 * FLIPS_KEPT, site, clock))
    for at in range(0, len(ids), 7):
        shadows.add(tallied(site, clock, ids[at : at + 7]))
    first = kept(store)
    shadows.add(tallied(site, clock, ids[::-1]))

    assert shadows.of("m-1", "m-2") == Shadowed(120, 1, 0, {"accept>reject": 120})
    assert len(first) == FLIPS_KEPT
    assert kept(store) == first


def test_the_sample_goes_with_its_comments_and_what_is_gone_never_enters_it(
    store: Store, site: Site, clock: Clock
) -> None:
    shadows = Shadows(store)
    ids = put(store, *many(3, site, clock), by=verdict(Outcome.ACCEPT))
    shadows.add(tallied(site, clock, ids))
    clock.advance(days=50)
    store.forget(Retention(days=40), pause=lambda: None)
    gone = kept(store)
    shadows.add(tallied(site, clock, ids))

    assert gone == kept(store) == set()
    assert shadows.of("m-1", "m-2").comments == 6


def test_the_newest_pair_of_the_sites_asked_for_is_shown(
    store: Store, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("khác", Policy())
    shadows, day = Shadows(store), clock().date()
    shadows.add(tallied(site, clock, put(store, *many(2, site, clock)), would="queue"))
    scope = Scope(frozenset({site.id}), day, day)

    found = shadows.shadowing(scope)

    assert found is not None
    assert (found.challenger, found.champion) == ("m-2", "m-1")
    assert found.by_day == {day: {(Outcome.ACCEPT, Outcome.QUEUE): 2}}
    assert found.by_place == {(site.id, "vi"): {(Outcome.ACCEPT, Outcome.QUEUE): 2}}
    assert len(found.flips) == 2
    assert shadows.shadowing(Scope(frozenset({other.id}), day, day)) is None
    assert shadows.shadowing(Scope(None, day - timedelta(9), day - timedelta(1))) is None


def pages(store: Store, stretch: Stretch) -> Iterator[PastComment]:
    before = ""
    while page := past_page(store, stretch, before=before, limit=2):
        yield from page
        before = page[-1].id


def test_comments_of_a_stretch_are_read_whole_and_newest_first(
    store: Store, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("khác", Policy())
    start = clock()
    ids = put(store, *many(5, site, clock))
    elsewhere = put(store, *many(1, other, clock))
    store.decide(None, ids[0], reject(clock()))
    end = clock() + timedelta(seconds=1)
    mine = Stretch.between(frozenset({site.id}), EPOCH, end)

    found = [*pages(store, mine)]

    assert [one.id for one in found] == ids[::-1]
    assert [one.decided for one in found] == [None] * 4 + [Outcome.REJECT]
    assert count_past(store, mine) == 5
    assert {one.id for one in pages(store, Stretch.between(None, EPOCH, end))} == {*ids, *elsewhere}
    assert [*pages(store, Stretch.between(None, EPOCH, start))] == []
    assert first_past(store) > start - timedelta(seconds=1)
    past = found[0].past
    assert past is not None
    assert past.address_domain == "mail.example"
    assert [hit.rule for hit in past.hits] == ["links.many"]
    assert "An" not in repr(past)


@pytest.mark.parametrize("unaudited", [None, Outcome.ACCEPT])
def test_what_chance_drew_is_taken_for_what_it_was(
    store: Store, site: Site, clock: Clock, unaudited: Outcome | None
) -> None:
    put(store, *many(1, site, clock), by=verdict(Outcome.QUEUE, unaudited=unaudited))

    [one] = past_page(
        store, Stretch.between(None, EPOCH, clock() + timedelta(days=1)), before="", limit=9
    )

    assert one.past is not None
    assert one.past.outcome is (Outcome.QUEUE if unaudited is None else unaudited)
