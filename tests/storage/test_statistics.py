"""Counts of what was decided: each once, whoever counts, and an undo takes away what was added."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from model.outcome import Outcome, Scores
from model.policy import Policy
from model.verdict import Reason, RuleHit
from service.storage import Checked, Site, Store, arrivals
from service.storage.statistics import PAGE, Record, Statistics
from service.storage.tables import (
    arrival_days,
    audit_days,
    decision_days,
    language_days,
    queue_samples,
    reason_days,
    score_days,
)
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


# ------------------------------------------------------------------ what came


def table(store: Store, of: sa.Table) -> list[tuple[object, ...]]:
    with store.reads() as connection:
        return [tuple(row) for row in connection.execute(sa.select(of).order_by(*of.primary_key))]


def test_what_came_is_counted_once_by_day_verdict_and_version(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    put(store, *many(3, site, clock))
    put(store, *many(2, site, clock), by=replace(VERDICT, outcome=Outcome.ACCEPT, model="m-2"))
    clock.advance(minutes=3)

    counted = [statistics.count_arrivals(), statistics.count_arrivals()]

    assert counted == [5, 0]
    assert table(store, arrival_days) == [
        (site.id, "2026-03-01", "accept", "m-2", "p-1", 2),
        (site.id, "2026-03-01", "queue", "m-1", "p-1", 3),
    ]
    assert {(row[3], row[4]): row[5] for row in table(store, score_days) if row[2] == "m-1"} == {
        ("spam", 12): 3,
        ("toxicity", 2): 3,
    }
    assert table(store, language_days) == [
        (site.id, "2026-03-01", "vi", "accept", 2.0),
        (site.id, "2026-03-01", "vi", "queue", 3.0),
    ]


def test_counting_gives_way_after_each_text_and_keeps_no_comment_from_being_written(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    put(store, *many(3, site, clock))
    clock.advance(minutes=3)
    meanwhile: list[str] = []

    counted = statistics.count_arrivals(
        give_way=lambda: meanwhile.extend(put(store, *many(1, site, clock)))
    )

    assert counted == len(meanwhile) == 3
    assert table(store, language_days) == [(site.id, "2026-03-01", "vi", "queue", 3.0)]


@pytest.mark.parametrize("score", [0.0, 0.05, 0.3, 0.9999999, 1.0])
def test_a_score_falls_into_the_bin_that_drift_puts_it_in(
    store: Store, site: Site, clock: Clock, statistics: Statistics, score: float
) -> None:
    put(store, *many(1, site, clock), by=replace(VERDICT, scores=Scores(score, 0)))
    clock.advance(minutes=3)

    statistics.count_arrivals()

    found = [row[4] for row in table(store, score_days) if row[3] == "spam"]
    assert found == [min(int(score * 20), 19)]


def test_what_may_still_be_committed_is_counted_later(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    put(store, *many(1, site, clock))

    counted = [statistics.count_arrivals()]
    clock.advance(minutes=3)
    counted.append(statistics.count_arrivals())

    assert counted == [0, 1]


def test_days_end_at_midnight_in_utc(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    clock.at = datetime(2026, 3, 29, 23, 59, 59, 999000, tzinfo=UTC)  # a day of 23 hours in Paris
    put(store, *many(1, site, clock))
    put(store, *many(1, site, clock))
    clock.advance(minutes=3)

    statistics.count_arrivals()

    assert [row[1] for row in table(store, arrival_days)] == ["2026-03-30"]


def test_a_clock_of_1970_is_counted_too(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    clock.at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    (comment_id,) = put(store, *many(1, site, clock))
    store.decide(None, comment_id, reject(clock()))
    clock.advance(minutes=3)

    counted = statistics.count_arrivals(), statistics.count_decisions()

    assert counted == (1, 1)
    assert [row[1] for row in table(store, arrival_days)] == ["1970-01-01"]


def test_what_was_spooled_is_counted_though_the_count_has_gone_past(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    batch = [Checked(one, store.unrecorded([one])[0], VERDICT, 1.0) for one in many(2, site, clock)]
    kept = store.sealed(batch)
    put(store, *many(1, site, clock))
    clock.advance(minutes=3)
    statistics.count_arrivals()

    store.replay(kept)
    store.replay(kept)

    assert statistics.count_arrivals() == 0
    assert [row[5] for row in table(store, arrival_days)] == [3]


def test_what_came_with_a_history_did_not_arrive_here(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    came = replace(VERDICT, reasons=(Reason("history.imported"),), model="")
    put(store, *many(2, site, clock), by=came)
    put(store, *many(1, site, clock), by=replace(VERDICT, model=""))
    clock.advance(minutes=3)

    statistics.count_arrivals()

    assert [row[5] for row in table(store, arrival_days)] == [1]


def test_many_are_counted_in_pages_and_their_languages_estimated(
    store: Store, site: Site, clock: Clock, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "PAGE", 150)
    monkeypatch.setattr(arrivals, "MOST_READ", 100)
    put(store, *many(400, site, clock))
    clock.advance(minutes=3)

    counted = statistics.count_arrivals()

    estimated = sum(float(str(row[4])) for row in table(store, language_days))
    assert counted == 400
    assert sum(int(str(row[5])) for row in table(store, arrival_days)) == 400
    assert 100 < estimated < 900


# ------------------------------------------------------------------ the queue


def test_the_queue_is_sampled_once_in_five_minutes(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    start = clock()
    put(store, *many(1, site, clock))
    clock.at = start + timedelta(minutes=10)
    put(store, *many(18, site, clock))
    clock.at = start + timedelta(minutes=20)
    put(store, *many(1, site, clock))
    clock.at = start + timedelta(minutes=22)

    statistics.sample_queue()
    statistics.sample_queue()

    at = start + timedelta(minutes=20)
    found = [(row[0], row[1], row[2]) for row in table(store, queue_samples)]
    seconds = [round(float(str(v))) for row in table(store, queue_samples) for v in row[3:]]
    assert found == [(at, "", 20), (at, site.id, 20)]
    assert seconds == [720, 720, 720, 720]


def test_an_empty_queue_is_a_sample_of_none(
    store: Store, site: Site, clock: Clock, statistics: Statistics
) -> None:
    statistics.sample_queue()
    clock.advance(days=401)

    statistics.sample_queue()

    assert [row[1:] for row in table(store, queue_samples)] == [("", 0, 0.0, 0.0)]
