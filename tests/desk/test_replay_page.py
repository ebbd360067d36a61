"""The page where a change is tried on stored comments: who may, what it says, and its limits."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from model.outcome import Outcome, Scores
from model.policy import Policy
from service.rule_trial import SECONDS
from service.storage import Role
from service.web.replay import Tried, _alone, _number
from tests.browser.newsroom import ADDRESS, SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.desk.routes import whole
from tests.storage.cases import accept

SAID = replace(verdict_on(SPAM), outcome=Outcome.ACCEPT, scores=Scores(0.01, 0.01), reasons=())
HARSH = {"strict": "scores", "spam_queue": "0", "spam_reject": "0"}


@pytest.fixture(scope="module")
def building(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newsroom]:
    """One for all tests, each of which has a site of its own."""
    with open_newsroom(tmp_path_factory.mktemp("newsroom")) as newsroom:
        yield newsroom


@pytest.fixture
def newsroom(building: Newsroom) -> Newsroom:
    number = len(building.store.sites())
    site, _ = building.store.add_site(f"báo {number}", Policy())
    building.app.state.replay_seconds = SECONDS
    return replace(building, site=site)


@pytest.fixture(scope="module")
def admin(building: Newsroom) -> Iterator[httpx.Client]:
    with building.moderator("an", Role.ADMIN) as client:
        yield client


def tried(client: httpx.Client, newsroom: Newsroom, **fields: str) -> httpx.Response:
    usual = {"form_token": form_token(client), "site": newsroom.site.id}
    return client.post("/replay", data=usual | fields)


def test_genuine_comments_that_would_be_lost_come_first(
    newsroom: Newsroom, admin: httpx.Client
) -> None:
    ids = [newsroom.put(replace(SPAM, content=f"Bài {n} hay quá"), SAID) for n in range(3)]
    newsroom.store.decide(None, ids[0], accept(newsroom.clock()))
    before = whole(newsroom.store)

    page = tried(admin, newsroom, **HARSH).text

    assert page.index("accepted by a person") < page.index("no person has decided")
    assert page.index("Bài 0") < page.index("Bài 1")
    assert 'class="bad"' in page
    assert ADDRESS not in page
    after = whole(newsroom.store)
    assert after | {"sessions": []} == before | {"sessions": []}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"entries": "lãi suất"}, "<dd>1</dd>"),
        ({"strict": "risks", "reject": "0,5", "queue": "1"}, "Nothing is changed"),
        ({"model": "champion", "days": "7", "against": "now"}, "No outcome would"),
        ({"days": "-1", "against": "?", "strict": "?", "kind": "?", "act": "?"}, "Looked at"),
    ],
)
def test_whatever_is_tried_is_answered(
    newsroom: Newsroom, admin: httpx.Client, fields: dict[str, str], says: str
) -> None:
    newsroom.put(SPAM, SAID)

    answer = tried(admin, newsroom, **fields)

    assert answer.status_code == 200
    assert says in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {"strict": "risks", "reject": "x", "queue": "1"},
        {"strict": "risks", "reject": "2", "queue": "1"},
        {"strict": "risks", "reject": "", "queue": "1"},
        {"strict": "risks", "reject": "nan", "queue": "inf"},
        {"strict": "scores", "spam_queue": "0,9", "spam_reject": "0.1"},
        {"strict": "scores", "spam_queue": "-1"},
        {"model": "../../etc"},
        {"entries": "***"},
        {"entries": "x.example", "act": "trust"},
    ],
)
def test_what_cannot_be_tried_is_said(
    newsroom: Newsroom, admin: httpx.Client, fields: dict[str, str]
) -> None:
    answer = tried(admin, newsroom, **fields)

    assert answer.status_code == 422
    assert "Nothing was tried" in answer.text


def test_admins_alone_try_and_on_their_own_sites(newsroom: Newsroom) -> None:
    other, _ = newsroom.store.add_site("khác", Policy())
    newsroom.put(SPAM, SAID)
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=other.id)
    with newsroom.moderator("mai") as moderator, newsroom.moderator("lan") as elsewhere:
        refused = [moderator.get("/replay"), tried(moderator, newsroom)]
        hidden = [
            elsewhere.get("/replay", params={"site": newsroom.site.id}),
            tried(elsewhere, newsroom),
        ]
        own = elsewhere.get("/replay")
        linked = [client.get("/dashboard").text for client in (moderator, elsewhere)]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert [answer.status_code for answer in hidden] == [404, 404]
    assert own.status_code == 200
    assert newsroom.site.name not in own.text
    assert ["/replay" in text for text in linked] == [False, True]


def test_one_at_a_time(newsroom: Newsroom, admin: httpx.Client) -> None:
    newsroom.app.state.replay_seconds = 0.01
    with _alone:
        answer = tried(admin, newsroom)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "one change is tried at a time" in answer.text


def test_what_there_was_no_time_for_is_said(newsroom: Newsroom, admin: httpx.Client) -> None:
    newsroom.put(SPAM, SAID)
    newsroom.app.state.replay_seconds = 0.0

    page = tried(admin, newsroom).text

    assert "Only the newest" in page
    assert 'name="longer"' in page


@pytest.mark.parametrize(
    ("text", "number"),
    [("0,5 %", 0.5), ("0,5\N{NO-BREAK SPACE}%", 0.5), (" 1 ", 1), ("", None), ("1e-2", 0.01)],
)
def test_numbers_are_read_as_people_write_them(text: str, number: float | None) -> None:
    assert _number(text) == number
    assert Tried().strict == "keep"
