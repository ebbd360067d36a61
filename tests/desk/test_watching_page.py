"""Alerts, advice and estimates where people meet them: dashboard, log, digest, metrics."""

import csv
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from model.decision import Decision, RejectReason, ReportKind
from model.outcome import Outcome
from model.policy import Policy
from service.alerts import Alert, Kind
from service.digest import DigestPost
from service.metrics import Metrics
from service.storage import Checked, Role
from service.storage.counts import Counts, add
from service.storage.digests import Digests, Every
from service.storage.jobs import Jobs
from service.storage.standing_alerts import StandingAlerts
from service.storage.statistics import Statistics
from service.storage.tables import arrival_days, shape_days
from service.storage.watched import no_histogram
from service.watching import LEASE, Watchman
from tests.browser.newsroom import SPAM, Newsroom, open_newsroom, verdict_on
from tests.storage.cases import asked


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def alert_on(site_id: str, kind: Kind = Kind.SHAPES_SHIFT, what: str = "length") -> Alert:
    return Alert(site_id, kind, what, 0.5, 0.25)


def on(newsroom: Newsroom, days_ago: int) -> str:
    return (newsroom.clock().date() - timedelta(days=days_ago)).isoformat()


def drawn(newsroom: Newsroom, said: Outcome, decided: Outcome) -> None:
    """A comment that was drawn with a chance of one in ten, and decided."""
    newsroom.clock.advance(minutes=1)
    one = asked(newsroom.site, newsroom.clock(), SPAM)
    verdict = replace(verdict_on(SPAM), audit=True, unaudited=said)
    newsroom.store.record([Checked(one, newsroom.store.gather([one])[0], verdict, 0.1)])
    reason = RejectReason.SPAM if decided is Outcome.REJECT else None
    newsroom.store.decide(None, one.comment_id, Decision(decided, reason, "mai", newsroom.clock()))


def shifted(newsroom: Newsroom) -> None:
    """Six weeks of counts, the last of which is of other lengths."""
    site_id = newsroom.site.id
    came: Counts = {(site_id, on(newsroom, at), "accept", "m-1", "p"): [100] for at in range(42)}
    shapes: Counts = {
        (site_id, on(newsroom, at), "length", "20" if at < 7 else "320"): [100, 100]
        for at in range(42)
    }
    with newsroom.store.writes() as connection:
        add(connection, arrival_days, came)
        add(connection, shape_days, shapes)


def test_alerts_are_shown_to_whoever_sees_their_site_and_to_nobody_else(
    newsroom: Newsroom,
) -> None:
    other, _ = newsroom.store.add_site("khác", Policy())
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=other.id)
    StandingAlerts(newsroom.store).settle(
        [
            alert_on(newsroom.site.id),
            alert_on(newsroom.site.id, Kind.SCORES_DRIFT, "spam"),
            alert_on(newsroom.site.id, Kind.PROMISE_BROKEN, ""),
        ]
    )
    with newsroom.moderator(role=Role.VIEWER) as client:
        seen = client.get("/dashboard").text
        elsewhere = client.get(f"/dashboard?site={other.id}").text
        line = client.get("/log").text
    with newsroom.moderator("lan") as client:
        unseen = client.get("/dashboard").text

    assert seen.count('<li id="alert-') == 3
    assert "comments of the last seven days are unlike those before (index \u20680.50\u2069" in seen
    assert "About \u206850\N{NO-BREAK SPACE}%\u2069 of genuine comments were rejected" in seen
    assert "Something began to want a look." in line
    for page in (elsewhere, unseen):
        assert "What wants a look" not in page


def test_every_kind_of_alert_has_its_sentence_in_every_language(newsroom: Newsroom) -> None:
    whats = {Kind.SCORES_DRIFT: "toxicity", Kind.SHAPES_SHIFT: "language"}
    StandingAlerts(newsroom.store).settle(
        [alert_on(newsroom.site.id, kind, whats.get(kind, "")) for kind in Kind]
    )
    with newsroom.moderator(role=Role.VIEWER) as client:
        shown = [client.get("/dashboard", params={"lang": tag}).text for tag in ("en", "vi")]

    assert [page.count('<li id="alert-') for page in shown] == [len(Kind)] * 2


def test_advice_is_for_who_administers_every_site(newsroom: Newsroom) -> None:
    for _ in range(12):
        comment_id = newsroom.put(verdict=replace(verdict_on(SPAM), outcome=Outcome.ACCEPT))
        newsroom.store.report(None, comment_id, ReportKind.SPAM)
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=newsroom.site.id)
    with newsroom.moderator("chu", role=Role.ADMIN) as client:
        now = client.get("/dashboard").text
        Jobs(newsroom.store).ask(by="chu")
        asked_for = client.get("/dashboard").text
    with newsroom.moderator("lan") as client:
        of_one_site = client.get("/dashboard").text

    assert "It is time to train anew" in now
    assert "12 comments of one campaign were published" in now
    assert "train anew" not in asked_for + of_one_site


def test_estimates_are_told_by_outcome_and_language(newsroom: Newsroom) -> None:
    for _ in range(4):
        drawn(newsroom, Outcome.REJECT, Outcome.REJECT)
    drawn(newsroom, Outcome.ACCEPT, Outcome.REJECT)
    for _ in range(5):
        drawn(newsroom, Outcome.ACCEPT, Outcome.ACCEPT)
    newsroom.clock.advance(minutes=3)
    Statistics(newsroom.store).count_arrivals()
    Statistics(newsroom.store).count_decisions()

    with newsroom.moderator() as client:
        rows = read(client.get("/dashboard/audits.csv").text)
        (vi,) = read(client.get("/dashboard/audits-languages.csv").text)
        absent = client.get("/dashboard/audits-sites.csv").status_code

    shares = {row["What is estimated"]: (row["Share"], row["Out of"]) for row in rows}
    assert shares["Rejections that were right"] == ("1.0", "4")
    assert shares["Of all unwanted, rejected"] == ("0.8", "10")
    assert shares["Of all genuine, rejected"] == ("0.0", "10")
    assert (vi["Language"], vi["Looked at"], vi["Of all unwanted, rejected"]) == ("vi", "10", "0.8")
    assert absent == 404  # there is one site


def read(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(text))]


def test_the_watchman_tells_the_log_once_and_metrics_while_it_stands(
    newsroom: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    shifted(newsroom)
    metrics, others = Metrics(), Metrics()
    first, second = (Watchman(newsroom.store, m, no_histogram) for m in (metrics, others))

    with caplog.at_level(logging.INFO, "service.watching"):
        for watchman in (first, second, first):
            watchman.turn()
        newsroom.clock.advance(days=40)  # on which nothing came
        second.turn()

    told = [(r.message, r.__dict__["alert"], r.__dict__["what"]) for r in caplog.records]
    assert told == [
        ("something wants a look", "shapes_shift", "length"),
        ("an alert has ended", "shapes_shift", "length"),
    ]
    assert b'duyet_alerts{alert="shapes_shift"} 1.0' in metrics.text()[0]
    assert b'duyet_alerts{alert="shapes_shift"} 0.0' in others.text()[0]


def test_another_process_looks_when_the_one_that_did_is_gone(newsroom: Newsroom) -> None:
    first, second = (Watchman(newsroom.store, Metrics(), no_histogram) for _ in range(2))
    first.turn()
    shifted(newsroom)

    second.turn()
    while_it_lives = StandingAlerts(newsroom.store).standing(None)
    newsroom.clock.advance(seconds=LEASE.total_seconds())
    second.turn()

    assert while_it_lives == []
    assert len(StandingAlerts(newsroom.store).standing(None)) == 1


def test_a_digest_says_how_many_alerts_stand_on_its_reader_s_sites(newsroom: Newsroom) -> None:
    store = newsroom.store
    other, _ = store.add_site("khác", Policy())
    StandingAlerts(store).settle(
        [alert_on(newsroom.site.id), alert_on(newsroom.site.id, what="links"), alert_on(other.id)]
    )
    who = store.add_moderator("lan", Role.MODERATOR, site_id=newsroom.site.id)
    parcel = Digests(store).choose(
        who, address="lan@mail.example", language="en", every=Every.DAY, hour=7
    )
    assert parcel

    text = DigestPost(store, None, "https://duyet.example").written(parcel).text

    assert "2 things want a look on your sites" in text
    assert "https://duyet.example/dashboard" in text
