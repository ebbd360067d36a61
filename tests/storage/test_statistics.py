"""Counts of what was decided: each once, whoever counts, and an undo takes away what was added."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from model.outcome import Outcome
from model.policy import Policy
from model.verdict import Reason, RuleHit
from service.storage import Site, Store
from service.storage.statistics import PAGE, Record, Statistics
from service.storage.tables import audit_days, decision_days, reason_days
from tests.storage.cases import VERDICT, Clock, accept, many, put, reject

CODES = ("links.many", "author.known", "score.spam_likely", "site.learnt", "audit.sample")


@pytest.fixture
def statistics(store: Store) -> Statistics:
    return Statistics(store)


def decided(store: Store, site: Site, clock: Clock, number: int = 1) -> list[str]:
    """Comments with one reason each, rejected."""
    ids = put(store, *many(number, site, clock))
    for comment_id in ids:
        store.decide(None, comment_id, reject(clock()))
    return ids


def test_a_reason_is_right_where_people_reject(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    first, second, third = put(store, *many(3, site, clock))
    store.decide(None, first, reject(clock()))
    store.decide(None, second, reject(clock()))
    store.decide(None, third, accept(clock()))

    counted = statistics.count_decisions()

    assert counted == 3
    assert statistics.records(None, CODES) == {(site.id, "links.many"): Record(2, 3)}


@pytest.mark.parametrize(
    ("reasons", "right_if_accepted"),
    [
        ((Reason("author.known", "author.email", "3×"),), 1),
        ((Reason("site.learnt", evidence="-1.3"),), 1),
        ((Reason("site.learnt", evidence="+1.3"),), 0),
        ((Reason("score.spam_likely", "content", "…"),), 0),
        ((Reason("score.spam_likely"), Reason("score.spam_likely")), 0),
    ],
)
def test_a_reason_is_right_by_what_it_speaks_for(
    store: Store,
    site: Site,
    clock: Clock,
    statistics: Statistics,
    reasons: tuple[Reason, ...],
    right_if_accepted: int,
) -> None:
    trust = RuleHit("author.known", Outcome.ACCEPT, "3×", "author.email", trust=True)
    said = replace(VERDICT, reasons=reasons, hits=(trust,))
    (comment_id,) = put(store, *many(1, site, clock), by=said)
    store.decide(None, comment_id, accept(clock()))

    statistics.count_decisions()

    found = statistics.records(None, CODES)
    assert found == {(site.id, reasons[0].code): Record(right_if_accepted, 1)}


def test_what_speaks_for_nothing_has_no_record(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    said = replace(VERDICT, reasons=(Reason("audit.sample"),), hits=())
    (comment_id,) = put(store, *many(1, site, clock), by=said)
    store.decide(None, comment_id, accept(clock()))

    statistics.count_decisions()

    assert statistics.records(None, CODES) == {}


def test_counting_again_adds_nothing(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    decided(store, site, clock, 2)
    statistics.count_decisions()

    again = statistics.count_decisions()

    assert again == 0
    assert statistics.records(None, CODES) == {(site.id, "links.many"): Record(2, 2)}


@pytest.mark.parametrize("between", [True, False])
def test_an_undo_takes_away_what_its_decision_added(
    store: Store, site: Site, clock: Clock, statistics: Statistics, between: bool
) -> None:
    (comment_id,) = decided(store, site, clock)
    counted = statistics.count_decisions() if between else 0
    clock.advance(days=3)
    store.undo(None, comment_id, moderator="bob")

    counted += statistics.count_decisions()

    assert counted == 2
    assert statistics.records(None, CODES) == {}
    assert _sums(store) == [0, 0, 0]


def _sums(store: Store) -> list[int]:
    with store.reads() as connection:
        return [
            connection.execute(sa.select(sa.func.sum(table.c.times))).scalar_one() or 0
            for table in (reason_days, decision_days, audit_days)
        ]


def test_what_is_decided_anew_counts_as_decided_last(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    (comment_id,) = decided(store, site, clock)
    store.undo(None, comment_id, moderator="bob")
    store.decide(None, comment_id, accept(clock()))

    statistics.count_decisions()

    assert statistics.records(None, CODES) == {(site.id, "links.many"): Record(0, 1)}


def test_more_than_a_page_is_counted_once(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    decided(store, site, clock, PAGE + 3)

    counted = statistics.count_decisions()

    assert counted == PAGE + 3
    assert statistics.records(None, CODES) == {(site.id, "links.many"): Record(counted, counted)}


def test_two_who_count_at_once_count_once(
    store: Store, site: Site, clock: Clock, open_store: Callable[[], Store]
) -> None:
    decided(store, site, clock, 30)
    together = threading.Barrier(3)
    others = [open_store() for _ in range(3)]

    def count(other: Store) -> None:
        together.wait()
        Statistics(other).count_decisions()

    threads = [threading.Thread(target=count, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = Statistics(store).records(None, CODES)
    assert found == {(site.id, "links.many"): Record(30, 30)}


def test_a_record_is_of_one_site_and_of_the_last_days(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    other, _ = store.add_site("other", Policy())
    decided(store, other, clock)
    clock.advance(days=89)
    decided(store, site, clock)
    statistics.count_decisions()

    both = statistics.records(None, CODES)
    one = statistics.records([site.id], CODES)
    clock.advance(days=1)
    later = statistics.records(None, CODES)

    assert set(both) == {(site.id, "links.many"), (other.id, "links.many")}
    assert set(one) == set(later) == {(site.id, "links.many")}


def test_nothing_is_asked_for_no_codes_or_no_sites(statistics: Statistics) -> None:
    assert statistics.records(None, ()) == {}
    assert statistics.records([], CODES) == {}
    assert statistics.count_decisions() == 0


def test_audits_are_weighted_by_their_chance(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    said = replace(VERDICT, audit=True, unaudited=Outcome.ACCEPT)
    known = many(1, site, clock)
    (comment_id,) = put(store, *known, by=said)
    store.decide(None, comment_id, reject(clock()))

    statistics.count_decisions()

    with store.reads() as connection:
        found = connection.execute(sa.select(audit_days)).one()
    assert (found.said, found.decided, found.times, found.weight) == ("accept", "reject", 1, 1.0)
