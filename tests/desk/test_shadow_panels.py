"""The challenger's panels over HTTP: what they say, whose they are, and their files."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model.policy import Policy
from service.storage import Role, Site
from service.storage.counts import day_of
from service.storage.shadows import Flipped, Kind, Shadows, Tally
from tests.browser.newsroom import SPAM, Newsroom, open_newsroom
from tests.storage.cases import asked, put

KEYS = ("shadow", "shadow-places", "shadow-flips")


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def shadowed(newsroom: Newsroom, site: Site, was: str, would: str, number: int = 1) -> list[str]:
    """Comments of a site that both models were asked about."""
    tally, ids = Tally(), []
    for _ in range(number):
        newsroom.clock.advance(minutes=1)
        at = newsroom.clock()
        ids += put(newsroom.store, asked(site, at, SPAM))
        kind = Kind(site.id, day_of(at), "vi", "m-new", "m-old", was, would)
        tally.count(kind, at, layered=was == "queue")
        if was != would:
            tally.flips.append(Flipped(ids[-1], kind, at))
    Shadows(newsroom.store).add(tally)
    return ids


def rows_of(client: httpx.Client, key: str, **asked: str) -> list[list[str]]:
    answer = client.get(f"/dashboard/{key}.csv", params=asked)
    assert answer.status_code == 200
    return [*csv.reader(io.StringIO(answer.text))][1:]


def test_what_a_challenger_would_change_is_shown_by_day_place_and_comment(
    newsroom: Newsroom,
) -> None:
    shadowed(newsroom, newsroom.site, "accept", "accept", 6)
    shadowed(newsroom, newsroom.site, "queue", "queue", 2)
    flipped = shadowed(newsroom, newsroom.site, "accept", "reject", 2)
    with newsroom.moderator(role=Role.VIEWER) as client:
        page = client.get("/dashboard").text
        by_day, places, flips = (rows_of(client, key) for key in KEYS)
        whole_year = rows_of(client, "shadow", days="365")

    assert "challenger" in page.lower()
    assert "m-new" in page
    assert [row[1:] for row in by_day] == [["10", "0.8", "2", "0", "0", "0", "0", "0"]]
    assert [row[1:] for row in whole_year] == [row[1:] for row in by_day]
    assert places[0][:4] == ["bao", "vi", "10", "0.8"]
    assert {row[0] for row in flips} == set(flipped)
    assert {tuple(row[4:]) for row in flips} == {("accept", "reject")}


def test_without_a_challenger_the_dashboard_has_no_such_panels(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        page = client.get("/dashboard").text
        files = [rows_of(client, key) for key in KEYS]

    assert "hallenger" not in page
    assert files == [[], [], []]


def test_another_site_s_comments_are_nobody_else_s_to_see(newsroom: Newsroom) -> None:
    other, _ = newsroom.store.add_site("khác", Policy())
    ids = shadowed(newsroom, newsroom.site, "accept", "reject", 3)
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=other.id)
    with newsroom.moderator("lan") as client:
        asks: list[dict[str, str]] = [{}, {"site": newsroom.site.id}]
        pages = [client.get("/dashboard", params=ask).text for ask in asks]
        files = [client.get(f"/dashboard/{key}.csv", params=asks[1]).text for key in KEYS]

    assert all(word not in text for word in ("m-new", *ids) for text in (*pages, *files))
