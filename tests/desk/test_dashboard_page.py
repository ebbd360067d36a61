"""The dashboard over HTTP: plots, tables and files, whatever is or is not there."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from model.decision import Decision, ReportKind
from model.outcome import Outcome, Scores
from model.policy import Policy
from service.estimates import Drawn, weighted, wilson
from service.storage import Role
from service.storage.counts import add
from service.storage.statistics import Statistics
from service.storage.tables import decision_days
from service.web.plots import Interval, Plot, Series, histogram, intervals, lines, nice_step
from tests.browser.newsroom import SPAM, Newsroom, open_newsroom, verdict_on

PANELS = (
    "arrivals",
    "queue",
    "waits",
    "decisions",
    "people",
    "reversals",
    "reasons",
    "audits",
    "audits-languages",
    "scores-spam",
    "scores-toxicity",
    "drift",
    "shapes",
    "languages",
)


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def counted(newsroom: Newsroom) -> None:
    newsroom.clock.advance(minutes=3)
    statistics = Statistics(newsroom.store)
    statistics.count_arrivals()
    statistics.count_decisions()
    statistics.sample_queue()


def busy(newsroom: Newsroom, by: str = "mai") -> None:
    """A comment of each kind, with what people made of it."""
    ids = [newsroom.put() for _ in range(3)]
    for outcome in (Outcome.ACCEPT, Outcome.REJECT):
        ids.append(newsroom.put(verdict=replace(verdict_on(SPAM), outcome=outcome)))
    newsroom.store.decide(None, ids[0], Decision(Outcome.ACCEPT, None, by, newsroom.clock()))
    newsroom.store.report(None, ids[3], ReportKind.SPAM)
    newsroom.store.decide(None, ids[4], Decision(Outcome.ACCEPT, None, by, newsroom.clock()))
    counted(newsroom)


def plots_in(answer: httpx.Response) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", answer.text, re.S)]


def file_of(client: httpx.Client, key: str, **asked: str) -> list[dict[str, str]]:
    answer = client.get(f"/dashboard/{key}.csv", params=asked)
    assert answer.status_code == 200
    return [*csv.DictReader(io.StringIO(answer.text))]


def test_an_empty_site_says_that_there_is_nothing(newsroom: Newsroom) -> None:
    with newsroom.moderator(role=Role.VIEWER) as client:
        answer = client.get("/dashboard")
        files = [client.get(f"/dashboard/{key}.csv").status_code for key in PANELS]

    assert answer.status_code == 200
    assert answer.text.count("Nothing to show for these days yet.") == len(PANELS)
    assert plots_in(answer) == []
    assert files == [200] * len(PANELS)


@pytest.mark.parametrize("days", ["7", "28", "90", "365", "x", "-1", ""])
def test_one_comment_is_a_dashboard(newsroom: Newsroom, days: str) -> None:
    newsroom.put()
    counted(newsroom)
    with newsroom.moderator() as client:
        answer = client.get("/dashboard", params={"days": days})

    plots = plots_in(answer)
    assert len(plots) == 2 * 5  # arrivals, queue, waits and two of scores, for two widths
    assert "1 comment: " in re.sub("[\u2068\u2069]", "", answer.text)


def test_a_plot_is_named_and_described_and_has_a_table(newsroom: Newsroom) -> None:
    busy(newsroom)
    with newsroom.moderator() as client:
        answer = client.get("/dashboard")

    ids = re.findall(r'\bid="([^"]+)"', answer.text)
    plots = plots_in(answer)
    assert len(ids) == len(set(ids))
    assert plots
    assert all(p.get("role") == "img" and p[0].tag == "title" and p[1].tag == "desc" for p in plots)
    assert all(p[0].text and p[1].text for p in plots)
    nothing = 4  # of audits, by language too, of drift, of kinds of comments
    assert answer.text.count("<table>") == answer.text.count('class="panel"') - nothing
    assert " style=" not in answer.text


def test_the_files_say_what_was_counted(newsroom: Newsroom) -> None:
    busy(newsroom)
    with newsroom.moderator() as client:
        came = file_of(client, "arrivals", days="7")
        people = file_of(client, "people")
        turned = file_of(client, "reversals")
        reasons = file_of(client, "reasons")
        languages = file_of(client, "languages")

    assert [*came[-1].values()] == ["2026-03-01", "1.0", "3.0", "1.0"]
    assert len(came) == 7
    assert people == [{"Person": "mai", "Decisions": "2"}]
    assert [row["Share"] for row in turned] == ["1.0", "1.0"]
    assert [(row["Code"], row["Share"], row["Out of"]) for row in reasons] == [
        ("score.spam_unsure", "0.0", "2")
    ]
    assert [(row["Language"], row["Came"], row["Agreed"]) for row in languages] == [
        ("vi", "5", "0.0")
    ]


def test_a_person_sees_figures_of_their_own_sites_alone(newsroom: Newsroom) -> None:
    busy(newsroom)
    other, _ = newsroom.store.add_site("khác", Policy())
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=other.id)
    with newsroom.moderator("lan") as client:
        answers = [client.get("/dashboard", params={"site": s}) for s in ("", newsroom.site.id)]
        files = [client.get(f"/dashboard/{k}.csv?site={newsroom.site.id}").text for k in PANELS]

    for answer in answers:
        assert len(plots_in(answer)) == 4  # that none waits, whatever waits elsewhere
        assert newsroom.site.id not in answer.text
        assert "<td>1</td>" not in answer.text
    assert all("mai" not in text and "bao" not in text for text in files)


def test_a_site_is_chosen_among_several(newsroom: Newsroom) -> None:
    busy(newsroom)
    newsroom.store.add_site("khác", Policy())
    with newsroom.moderator() as client:
        all_sites, one = client.get("/dashboard"), client.get(f"/dashboard?site={newsroom.site.id}")

    assert '<select id="site"' in all_sites.text
    assert f'value="{newsroom.site.id}" selected' in one.text
    assert len(plots_in(all_sites)) == len(plots_in(one))


def test_names_of_people_do_no_harm(newsroom: Newsroom) -> None:
    busy(newsroom, by="<svg/onload=alert(1)>\u202e=1")
    with newsroom.moderator() as client:
        answer = client.get("/dashboard")
        (row,) = file_of(client, "people")
        shown = client.get("/dashboard/decisions.csv").text

    assert "<svg/onload" not in answer.text
    assert "\u202e" not in answer.text
    assert plots_in(answer)
    assert row["Decisions"] == "2"
    assert "\n=" not in shown


def test_ten_thousand_people_are_five_and_the_others(newsroom: Newsroom) -> None:
    day = f"{newsroom.clock():%Y-%m-%d}"
    with newsroom.store.writes() as connection:
        keys = ((newsroom.site.id, day, f"=n{n}", "accept", "", "vi") for n in range(10_000))
        add(connection, decision_days, {key: [1, 0, 0] for key in keys})
    with newsroom.moderator() as client:
        answer = client.get("/dashboard")
        rows = file_of(client, "people")

    assert "9,995 others" in re.sub("[\u2068\u2069]", "", answer.text)
    assert len(answer.text) < 200_000
    assert len(rows) == 10_000
    assert all(row["Person"].startswith("'=") for row in rows)


@pytest.mark.parametrize(
    "at", [datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)]
)
def test_a_clock_far_off_is_no_matter(newsroom: Newsroom, at: datetime) -> None:
    with newsroom.moderator() as client:
        newsroom.clock.at = at
        busy(newsroom)
        newsroom.clock.at = at + timedelta(hours=1)
        with newsroom.moderator("eve") as later:
            answers = [later.get("/dashboard", params={"days": days}) for days in ("7", "365")]

    assert client.is_closed
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("key", ["nothing", "..%2Farrivals", "arrivals.csv", "Arrivals"])
def test_a_file_that_is_none_is_a_page(newsroom: Newsroom, key: str) -> None:
    with newsroom.moderator() as client:
        assert client.get(f"/dashboard/{key}.csv").status_code == 404


def test_scores_at_the_ends_are_drawn(newsroom: Newsroom) -> None:
    for spam in (0.0, 1.0):
        newsroom.put(verdict=replace(verdict_on(SPAM), scores=Scores(spam, spam)))
    counted(newsroom)
    with newsroom.moderator() as client:
        rows = file_of(client, "scores-spam")

    assert [row["Comments"] for row in rows] == ["1", *["0"] * 18, "1"]


# ------------------------------------------------------------------ plots and estimates


@pytest.mark.parametrize(
    ("rough", "step"), [(0, 1), (0.03, 0.05), (1, 1), (1.2, 2), (2.0001, 5), (7, 10), (1e9, 1e9)]
)
def test_steps_of_a_scale_are_round(rough: float, step: float) -> None:
    assert nice_step(rough) == pytest.approx(step)


def a_plot(*labels: str) -> Plot:
    return Plot("p", "<&>", "“said”", labels, str, marks=((0, "M1"),), unit="h")


@pytest.mark.parametrize("values", [(), (None,), (0,), (1e-9, 1e12), (None, 3, None, 4, 5)])
def test_any_values_make_a_plot(values: tuple[float | None, ...]) -> None:
    plot, series = a_plot(*map(str, range(len(values)))), Series("a", "<a>", values)

    drawn = [lines(plot, [series]), histogram(plot, series, series)]

    found = [ElementTree.fromstring(f"<both>{svg}</both>") for svg in drawn]
    assert all("nan" not in svg and "inf" not in svg for svg in drawn)
    assert [len(both) for both in found] == [2, 2]


def test_an_interval_s_name_makes_room_for_its_number() -> None:
    drawn = intervals(a_plot(), [Interval("n" * 300, 0, 0.5, 1, "50 % of 1,000")])

    assert "n" * 80 not in drawn
    assert "50 % of 1,000" in drawn


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_of_the_literature(hits: int, of: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    found = wilson(hits, of)

    assert found is not None
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_a_share_of_nothing_is_none() -> None:
    assert wilson(0, 0) is None
    assert weighted([], []) is None


def test_a_sample_with_one_chance_is_counted_as_it_is() -> None:
    drawn, plain = weighted([Drawn(60, 1200)], [Drawn(40, 800)]), wilson(3, 5)

    assert drawn is not None
    assert plain is not None
    assert (drawn.low, drawn.middle, drawn.high) == pytest.approx(
        (plain.low, plain.middle, plain.high)
    )
