"""What is watched of a site, read from the counts, and alerts that stand, on either database."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from model.decision import ReportKind
from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.submission import Submission
from service.alerts import Alert, Kind, alerts_of
from service.storage import Checked, Site, Store
from service.storage.audited import By, judged
from service.storage.counts import Counts, add
from service.storage.figures import Scope
from service.storage.grounds import advice, grounds
from service.storage.jobs import Jobs
from service.storage.standing_alerts import STANDS, StandingAlerts
from service.storage.statistics import Statistics
from service.storage.tables import arrival_days, audit_language_days, language_days, shape_days
from service.storage.watched import Days, days_before, no_histogram, seen
from tests.storage.cases import (
    SUBMISSION,
    VERDICT,
    Clock,
    accept,
    many,
    put,
    reject,
    submission,
    verdict,
)

ENGLISH = submission("Thank you for this, it was what I was looking for and it works.")


def counted(store: Store, clock: Clock) -> None:
    clock.advance(minutes=3)
    Statistics(store).count_arrivals()
    Statistics(store).count_decisions()


def added(store: Store, table: sa.Table, counts: Counts) -> None:
    with store.writes() as connection:
        add(connection, table, counts)


def on(clock: Clock, days_ago: int) -> str:
    return (clock().date() - timedelta(days=days_ago)).isoformat()


# ------------------------------------------------------------------ estimates


def drawn(store: Store, site: Site, clock: Clock, sent: Submission) -> str:
    """A comment that was accepted and drawn with a chance of one in four."""
    batch = many(1, site, clock, sent)
    said = replace(VERDICT, audit=True, unaudited=Outcome.ACCEPT)
    store.record([Checked(batch[0], store.gather(batch)[0], said, 0.25)])
    return batch[0].comment_id


def test_audits_are_counted_by_language_and_an_undo_takes_them_away(
    store: Store, site: Site, clock: Clock
) -> None:
    vietnamese = drawn(store, site, clock, SUBMISSION)
    english = drawn(store, site, clock, ENGLISH)
    store.decide(None, vietnamese, accept(clock()))
    store.decide(None, english, reject(clock()))
    store.undo(None, vietnamese, moderator="ann")

    counted(store, clock)

    with store.reads() as connection:
        rows = connection.execute(
            sa.select(audit_language_days).where(audit_language_days.c.times != 0)
        ).all()
    assert [(r.language, r.said, r.decided, r.weight, r.squares) for r in rows] == [
        ("en", "accept", "reject", 4.0, 16.0)
    ]


def test_what_is_drawn_counts_where_the_machine_had_put_it(
    store: Store, site: Site, clock: Clock
) -> None:
    put(store, *many(5, site, clock), by=verdict(Outcome.ACCEPT))
    put(store, *many(3, site, clock), by=verdict(Outcome.REJECT))
    waiting = put(store, *many(2, site, clock))
    store.decide(None, waiting[0], reject(clock()))
    store.decide(None, drawn(store, site, clock, ENGLISH), accept(clock()))
    counted(store, clock)

    today = clock().date()
    found = judged(store, Scope([site.id], today, today), By.SITE)[site.id]
    by_language = judged(store, Scope(None, today, today), By.LANGUAGE)

    assert {outcome.word: one.number for outcome, one in found.items()} == {
        "accept": 6,
        "queue": 2,
        "reject": 3,
    }
    assert found[Outcome.ACCEPT].genuine.weight == 4.0
    assert (found[Outcome.QUEUE].unwanted.times, found[Outcome.QUEUE].genuine.times) == (1, 0)
    assert by_language["en"][Outcome.ACCEPT].number == 1
    assert by_language["vi"][Outcome.ACCEPT].number == 5


# ------------------------------------------------------------------ what is seen


def test_a_site_is_seen_beside_the_weeks_before_its_model(
    store: Store, site: Site, clock: Clock
) -> None:
    arrivals: Counts = {}
    for back in range(40):
        model = "m-2" if back < 10 else "m-1"
        arrivals[site.id, on(clock, back), "accept", model, "p"] = [90]
        arrivals[site.id, on(clock, back), "queue", model, "p"] = [60 if back < 7 else 10]
    added(store, arrival_days, arrivals)
    shapes: Counts = {}
    for back in range(40):
        for step, times in (("20", 90 if back < 7 else 10), ("320", 10 if back < 7 else 90)):
            shapes[site.id, on(clock, back), "length", step] = [times, times]
        shapes[site.id, on(clock, back), "links", "0"] = [100, 100]
    added(store, shape_days, shapes)
    languages: Counts = {(site.id, on(clock, back), "vi", "accept"): [100] for back in range(40)}
    added(store, language_days, languages)

    (found,) = seen(store, no_histogram)

    assert found.came == 7 * 150
    assert found.queued is not None
    assert found.queued_before is not None
    assert found.queued.middle == pytest.approx(0.4)
    assert found.queued_before.middle == pytest.approx(0.1)
    assert found.shifts["length"].read == 700
    assert found.shifts["length"].index > 1
    assert found.shifts["links"].index == found.shifts["language"].index == 0
    assert [alert.kind for alert in alerts_of(found)] == [Kind.SHAPES_SHIFT, Kind.MORE_QUEUED]


@pytest.mark.parametrize(
    ("began", "is_new_here", "first", "last"),
    [
        (date(2026, 2, 1), False, date(2026, 1, 4), date(2026, 1, 31)),
        (date(2026, 2, 27), False, date(2026, 1, 25), date(2026, 2, 21)),  # not within the recent
        (date(2026, 1, 1), True, date(2026, 1, 1), date(2026, 1, 28)),
        (date(2026, 2, 15), True, date(2026, 2, 15), date(2026, 2, 21)),  # as far as it is over
        (date(2026, 2, 25), True, date(2026, 2, 25), date(2026, 2, 21)),  # not begun
    ],
)
def test_days_before_are_of_before_the_model_or_else_its_first_weeks(
    began: date, is_new_here: bool, first: date, last: date
) -> None:
    recent = Days(date(2026, 2, 22), date(2026, 2, 28))

    assert days_before(began, recent, is_new_here=is_new_here) == Days(first, last)


def test_scores_drift_on_one_site_and_not_on_the_other(
    store: Store, site: Site, clock: Clock
) -> None:
    other = store.add_site("Other", Policy())[0]
    for where, spam in ((site, 0.5), (other, 0.01)):
        batch = many(1000, where, clock)
        known = store.gather(batch)
        said = replace(VERDICT, outcome=Outcome.ACCEPT, scores=Scores(spam, 0.01))
        store.record([Checked(a, k, said, 1.0) for a, k in zip(batch, known, strict=True)])
    counted(store, clock)
    ham, spam_row = [950, *[1] * 19], [*[1] * 19, 950]
    histogram = {"bins": 20, "heads": {"spam": {"ham": ham, "spam": spam_row}}}

    found = {one.site_id: one for one in seen(store, lambda _: histogram)}

    assert [(a.kind, a.what) for a in alerts_of(found[site.id])] == [(Kind.SCORES_DRIFT, "spam")]
    assert found[other.id].drifts[Head.SPAM] < 0.05
    assert alerts_of(found[other.id]) == []


def test_a_site_on_which_nothing_came_is_not_seen(store: Store, site: Site) -> None:
    assert seen(store, no_histogram) == []


# ------------------------------------------------------------------ alerts that stand


def an_alert(site: Site, kind: Kind = Kind.SHAPES_SHIFT, value: float = 0.5) -> Alert:
    return Alert(site.id, kind, "length", value, 0.25)


def told(store: Store) -> list[str]:
    return [e.kind for e in store.events(None) if e.kind.startswith("alert_")]


def test_an_alert_is_told_once_and_ends_after_a_day_without_it(
    store: Store, site: Site, clock: Clock
) -> None:
    alerts = StandingAlerts(store)
    began = clock()
    first = alerts.settle([an_alert(site)])
    clock.advance(hours=1)
    again = alerts.settle([an_alert(site, value=0.75)])
    clock.advance(hours=20)
    away = alerts.settle([])
    (standing,) = alerts.standing([site.id])
    counts = alerts.counts()
    clock.advance(seconds=STANDS.total_seconds())
    ended = alerts.settle([])

    assert [len(s.begun) for s in (first, again, away, ended)] == [1, 0, 0, 0]
    assert [len(s.ended) for s in (first, again, away, ended)] == [0, 0, 0, 1]
    assert (standing.since, standing.alert.value) == (began, 0.75)
    assert (counts[Kind.SHAPES_SHIFT], counts[Kind.MORE_QUEUED]) == (1, 0)
    assert alerts.standing(None) == []
    assert told(store) == ["alert_begun", "alert_ended"]


def test_two_who_find_the_same_tell_it_once(
    site: Site, store: Store, open_store: Callable[[], Store]
) -> None:
    begun: list[Sequence[Alert]] = []

    def settle(other: Store) -> None:
        begun.append(StandingAlerts(other).settle([an_alert(site)]).begun)

    threads = [threading.Thread(target=settle, args=(open_store(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(len, begun)) == [0, 0, 0, 1]
    assert told(store) == ["alert_begun"]


def test_alerts_of_other_sites_are_not_seen(store: Store, site: Site) -> None:
    StandingAlerts(store).settle([an_alert(site)])

    assert StandingAlerts(store).standing(["another"]) == []
    assert StandingAlerts(store).standing([]) == []


# ------------------------------------------------------------------ advice


def test_an_installation_without_anything_needs_no_training(store: Store, site: Site) -> None:
    assert advice(store) == []
    assert grounds(store).champion_days is None


def test_spam_of_a_campaign_that_was_published_speaks_for_training(
    store: Store, site: Site, clock: Clock
) -> None:
    ids = put(store, *many(6, site, clock), by=verdict(Outcome.ACCEPT))
    alone = put(store, *many(1, site, clock, ENGLISH), by=verdict(Outcome.ACCEPT))
    for comment_id in (*ids[:3], *alone):
        store.report(None, comment_id, ReportKind.SPAM)
    for comment_id in ids[2:]:
        store.decide(None, comment_id, reject(clock()))
    others = put(store, *many(3, site, clock))
    for comment_id in others:
        store.decide(None, comment_id, accept(clock()))

    found = grounds(store)

    assert (found.missed, found.campaigns, found.labels, found.new_labels) == (6, 1, 11, 11)
    assert [(one.why.value, one.values) for one in advice(store)] == [
        ("missed", {"n": 6, "campaigns": 1})
    ]


def test_a_training_that_is_over_begins_the_count_anew(
    store: Store, site: Site, clock: Clock
) -> None:
    ids = put(store, *many(60, site, clock), by=verdict(Outcome.ACCEPT))
    for comment_id in ids:
        store.decide(None, comment_id, reject(clock()))
    before = [one.why.value for one in advice(store)]
    clock.advance(hours=1)
    asked = Jobs(store)
    job = asked.ask(by="ann")
    while_it_waits = advice(store)
    asked.take("holder")
    asked.ended(job, result={"version": "v"})

    assert before == ["new_labels", "missed"]
    assert while_it_waits == []
    assert advice(store) == []
    assert grounds(store).trained_days == 0


def test_the_champion_s_age_is_that_of_the_model_that_judges_now(
    store: Store, site: Site, clock: Clock
) -> None:
    days = [("m-1", 200), ("m-1", 101), ("m-2", 100), ("m-2", 0), ("", 0)]
    added(
        store,
        arrival_days,
        {(site.id, on(clock, back), "accept", model, "p"): [5] for model, back in days},
    )

    assert grounds(store).champion_days == 100
