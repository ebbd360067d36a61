"""Campaigns on the desk, over HTTP: one card for many, decided, followed and taken back."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from model.outcome import Outcome
from model.verdict import Reason
from service.campaigns import CampaignFinder
from service.storage import Role
from tests.browser.newsroom import SPAM, Newsroom, form_token, open_newsroom, verdict_on

WORDS = (
    "Mình vừa rút được 12 triệu sau ba ngày chơi ở đây, nạp rút nhanh gọn, hỗ trợ nhiệt tình, "
    "anh em nào cần thì nhắn mình chỉ cho cách vào nhé"
)
NO_SUCH = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


@pytest.fixture
def ids(newsroom: Newsroom) -> list[str]:
    found = [newsroom.say(f"{WORDS} {n}", name=f"<b>Tên</b> {n}") for n in range(5)]
    newsroom.say("Một bình luận khác hẳn về bài báo này, không giống ai.")
    CampaignFinder(newsroom.store).turn()
    return found


def campaign_in(page: str) -> str:
    found = re.search(r'href="/campaigns/([0-9a-f-]{36})"', page)
    assert found is not None
    return found[1]


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client)} | fields)


def test_many_are_one_card_and_the_others_stand_by_themselves(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator() as client:
        page = client.get("/queue").text
        listed = client.get("/campaigns").text

    assert "5 comments that belong together" in page
    assert "Nearly the same words" in listed
    assert page.count("data-card=") == 1
    assert not [one for one in ids if f'id="c-{one}"' in page]
    assert "<b>Tên</b>" not in page + listed


def test_a_filter_shows_each_by_itself(newsroom: Newsroom, ids: list[str]) -> None:
    with newsroom.moderator() as client:
        page = client.get("/queue", params={"q": "rút nhanh"}).text

    assert "belong together" not in page
    assert all(f'id="c-{one}"' in page for one in ids)


def test_one_press_settles_all_and_another_brings_them_back(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator() as client:
        campaign = campaign_in(client.get("/queue").text)
        path = f"/campaigns/{campaign}"
        done = send(client, f"{path}/decide", outcome="spam", upto=ids[-1], hours="24")
        settled = [newsroom.comment(one).state for one in ids]
        page = client.get(path).text
        undone = send(client, f"{path}/undo")
        again = client.get("/queue").text

    assert "5 comments that belong together" in again
    assert (done.status_code, undone.status_code) == (303, 303)
    assert set(settled) == {Outcome.REJECT}
    assert "5 comments decided" in page
    assert "What comes later follows until" in page
    assert {newsroom.comment(one).state for one in ids} == {Outcome.QUEUE}


def test_one_that_is_taken_back_of_a_followed_campaign_waits_and_goes_on_waiting(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator() as client:
        path = f"/campaigns/{campaign_in(client.get('/queue').text)}"
        send(client, f"{path}/decide", outcome="spam", upto=ids[-1], hours="24")
        send(client, f"/queue/{ids[1]}/undo")
        shown = client.get("/queue").text
    CampaignFinder(newsroom.store).turn()

    assert f'id="c-{ids[1]}"' in shown
    assert newsroom.comment(ids[1]).state is Outcome.QUEUE


def test_one_is_taken_out(newsroom: Newsroom, ids: list[str]) -> None:
    with newsroom.moderator() as client:
        path = f"/campaigns/{campaign_in(client.get('/queue').text)}"
        taken = send(client, f"{path}/leave/{ids[1]}")
        page = client.get("/queue").text

    assert taken.status_code == 303
    assert "4 comments that belong together" in page
    assert f'id="c-{ids[1]}"' in page


def test_what_was_taken_out_is_put_back_from_the_page_or_the_log(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator() as client:
        path = f"/campaigns/{campaign_in(client.get('/queue').text)}"
        taken = send(client, f"{path}/leave/{ids[1]}")
        said = client.get(taken.headers["location"]).text
        offered = f'action="{path}/return"' in client.get("/log").text
        first, second = (send(client, f"{path}/return", comment=ids[1]) for _ in range(2))
        wrong = send(client, f"{path}/return", comment=ids[2])
        page, log = client.get("/queue").text, client.get("/log").text

    assert "Taken out: it waits by itself." in said
    assert offered
    assert (first.status_code, second.status_code, wrong.status_code) == (303, 409, 409)
    assert "5 comments that belong together" in page
    assert f'action="{path}/return"' not in log


def test_from_the_queue_one_stays_there_and_undoes_there(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator("mai") as mai, newsroom.moderator("lan") as lan:
        campaign = campaign_in(mai.get("/queue").text)
        sent = {"outcome": "spam", "upto": ids[-1], "hours": "24", "back": "queue"}
        done = send(mai, f"/campaigns/{campaign}/decide", **sent)
        at = done.headers["location"]
        said, to_another = mai.get(at).text, lan.get(at).text
        undone = send(mai, f"/campaigns/{campaign}/undo", back="queue")
        back = mai.get(undone.headers["location"]).text

    assert at == f"/queue?campaign={campaign}"
    assert "5 comments rejected as spam. What comes later follows until" in said
    assert f'action="/campaigns/{campaign}/undo"' in said
    assert "rejected as spam. What" not in to_another
    assert "5 comments brought back" in back


def test_somebody_elses_decision_is_taken_back_by_an_admin_only(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator("mai") as mai, newsroom.moderator("lan") as lan:
        path = f"/campaigns/{campaign_in(mai.get('/queue').text)}"
        send(mai, f"{path}/decide", outcome="accept", upto=ids[-1], hours="0")
        refused = send(lan, f"{path}/undo")
    with newsroom.moderator("an", Role.ADMIN) as admin:
        taken_back = send(admin, f"{path}/undo")

    assert (refused.status_code, taken_back.status_code) == (409, 303)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"outcome": "maybe", "hours": "24"}, 400),
        ({"outcome": "spam", "hours": "9999999"}, 400),
        ({"outcome": "spam", "hours": ""}, 400),
        ({"outcome": "spam", "hours": "24", "upto": "\0"}, 409),
        ({"outcome": "spam", "hours": "24", "upto": "é" * 5000}, 409),
    ],
)
def test_what_a_form_of_ours_never_sends_changes_nothing(
    newsroom: Newsroom, ids: list[str], fields: dict[str, str], status: int
) -> None:
    with newsroom.moderator() as client:
        path = f"/campaigns/{campaign_in(client.get('/queue').text)}/decide"
        answer = send(client, path, **({"upto": ids[-1]} | fields))

    assert answer.status_code == status
    assert {newsroom.comment(one).state for one in ids} == {Outcome.QUEUE}


@pytest.mark.parametrize("campaign", [NO_SUCH, "x", "%00", "a" * 5000])
def test_a_campaign_that_never_was(newsroom: Newsroom, campaign: str) -> None:
    with newsroom.moderator() as client:
        newsroom.say("Một bình luận đang chờ.")
        answers = [
            client.get(f"/campaigns/{campaign}").status_code,
            *(
                send(client, f"/campaigns/{campaign}/{act}", outcome="spam", hours="1").status_code
                for act in ("decide", "undo", "follow", f"leave/{NO_SUCH}")
            ),
        ]

    assert set(answers) == {404}


def test_a_viewer_sees_and_does_not_decide(newsroom: Newsroom, ids: list[str]) -> None:
    with newsroom.moderator("xem", Role.VIEWER) as client:
        page = client.get("/campaigns").text
        campaign = campaign_in(page)
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
        assert token is not None
        sent = {"form_token": token[1], "outcome": "spam", "hours": "1", "upto": ids[-1]}
        refused = client.post(f"/campaigns/{campaign}/decide", data=sent)

    assert "Accept all" not in page
    assert refused.status_code == 403


def test_the_same_press_twice_is_one_and_another_is_told_which_stands(
    newsroom: Newsroom, ids: list[str]
) -> None:
    with newsroom.moderator("mai") as mai, newsroom.moderator("lan") as lan:
        path = f"/campaigns/{campaign_in(mai.get('/queue').text)}/decide"
        wanted = {"upto": ids[-1], "hours": "0"}
        first, again = (send(mai, path, outcome="spam", **wanted) for _ in range(2))
        other = send(mai, path, outcome="accept", **wanted)
        late = send(lan, path, outcome="spam", **wanted)

    assert (first.status_code, again.status_code) == (303, 303)
    assert (other.status_code, late.status_code) == (409, 409)
    assert "\u2068mai\u2069: \u2068rejected as spam\u2069" in other.text
    assert "\u2068mai\u2069: \u2068rejected as spam\u2069" in late.text


def test_a_sample_has_its_language_and_is_folded_where_it_insults(newsroom: Newsroom) -> None:
    sent = [replace(SPAM, content=f"{WORDS} {n}") for n in range(3)]
    insult = (Reason("score.toxicity_likely", "content", ""),)
    for one in sent:
        newsroom.put(one, replace(verdict_on(one, toxicity=0.97), reasons=insult))
    CampaignFinder(newsroom.store).turn()

    with newsroom.moderator() as client:
        page = client.get("/queue").text
        many = client.get("/queue", params={"above": "5", "below": "100"}).text

    campaign = page[page.index("campaign-samples") :]
    assert campaign.count('<details class="folded">') >= 3
    assert campaign.count('<div class="content" lang="vi"') >= 3
    samples = many[many.index('<div class="samples">') : many.index("</ul>", many.index("samples"))]
    assert '<details class="folded">' in many
    assert samples.count('<bdi lang="vi">') == 3
