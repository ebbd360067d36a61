"""The queue looked through, the score strip and acts on many, as HTTP."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx
import pytest

from model.outcome import Outcome
from model.policy import Policy
from model.verdict import Reason
from service.storage import Role
from service.web.place import Look, Place
from service.web.strip import HEIGHT, strip_of
from tests.browser.newsroom import SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.storage.cases import asked, put


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def cards_in(answer: httpx.Response) -> list[str]:
    return re.findall(r'<article class="card" id="c-([0-9a-f-]{36})"', answer.text)


def title(answer: httpx.Response) -> str:
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text)
    assert heading is not None, answer.text
    return re.sub("[\u2068\u2069]", "", unescape(heading[1]))


def say(newsroom: Newsroom, content: str, spam: float = 0.5) -> str:
    verdict = verdict_on(SPAM, "", spam=spam)
    return newsroom.put(replace(SPAM, content=content), verdict)


def plan(client: httpx.Client, **fields: object) -> httpx.Response:
    sent = {"form_token": form_token(client), "what": "spam", "scope": "all"} | fields
    return client.post("/acts", data=sent)


def press(client: httpx.Client, address: str, what: str, **fields: str) -> httpx.Response:
    sent = {"form_token": form_token(client)} | fields
    return client.post(f"{address.partition('?')[0]}/{what}", data=sent)


# ------------------------------------------------------------------ looking


def test_what_is_looked_for_is_found_and_said_and_taken_away_again(newsroom: Newsroom) -> None:
    wanted = say(newsroom, "Một cốc Nước Đá")
    say(newsroom, "Một cốc trà")
    with newsroom.moderator() as client:
        page = client.get("/queue", params={"q": "nuoc  DA", "order": "newest"})

    assert cards_in(page) == [wanted]
    assert 'value="nuoc DA"' in page.text
    assert '<a class="chip" href="/queue?order=newest">' in page.text
    assert "of 2 waiting" in re.sub("[\u2068\u2069]", "", page.text)


@pytest.mark.parametrize(
    "query",
    [
        "q=%25_%27%22%3C%3E%5C",
        "q=%00%ff%ED%A0%80",
        "q=" + "a" * 9000,
        "q=" + "%F0%9F%92%A9" * 300,
        "site=x&language=%3Ci%3E&reason=%27&band=none&head=none&state=none&order=none",
        "above=-1&below=1e9",
        "above=99&below=1",
        "above=%D9%A3&below=%EF%BC%91",
        "domain=%25&article=%25&new=%00&reported=x",
        "state=decided&after=zzzz",
        "after=WyJvbGRlc3QiLDEsIngiXQ&order=unsure",
        "q=a&q=b&state=accepted&state=waiting",
        "act=x&done=y&undone=z",
        "act=01890000-0000-7000-8000-000000000000",
    ],
)
def test_a_hostile_address_is_a_page_all_the_same(newsroom: Newsroom, query: str) -> None:
    say(newsroom, "one")
    with newsroom.moderator() as client:
        page = client.get(f"/queue?{query}", follow_redirects=True)

    assert page.status_code == 200
    assert len(page.content) < 100_000
    assert "<i>" not in page.text.partition('id="cards"')[0]


def test_a_view_is_what_its_address_says() -> None:
    place = Place.looking(
        "riskiest", "", Look.of({"q": "a&b=c", "above": "83", "below": "97", "new": "x", "no": "1"})
    )

    assert place.path() == "/queue?q=a%26b%3Dc&new=1&above=80&below=95&order=riskiest"
    assert Place.of("riskiest", "", place.view) == place
    assert Look.of({"above": "100", "below": "0"}) == Look()
    assert Look.of({"above": "50", "below": "50"}).asked == {"above": "50", "below": "55"}
    assert Look.of_query("a=1&" * 500) == Look()


@pytest.mark.parametrize("state", ["accepted", "rejected", "decided"])
def test_what_does_not_wait_can_be_looked_at(newsroom: Newsroom, state: str) -> None:
    one = say(newsroom, "one")
    with newsroom.moderator() as client:
        client.post(f"/queue/{one}/accept", data={"form_token": form_token(client)})

        page = client.get(f"/queue?state={state}")

    assert (page.status_code, cards_in(page)) == (200, [one] if state == "decided" else [])


def test_all_that_the_machine_accepted_and_match_are_a_snapshot_as_well(newsroom: Newsroom) -> None:
    sent = [
        asked(newsroom.site, newsroom.clock(), replace(SPAM, content=f"buy {n}"))
        for n in range(320)
    ]
    accepted = replace(verdict_on(SPAM), outcome=Outcome.ACCEPT)
    put(newsroom.store, *sent, by=accepted)
    with newsroom.moderator() as client:
        planned = plan(client, view="q=buy&state=accepted")
        put(newsroom.store, asked(newsroom.site, newsroom.clock(), sent[0].submission), by=accepted)
        done = press(client, planned.headers["location"], "run")
        after = client.get(done.headers["location"])

    assert title(after) == "320 comments rejected as spam"


def test_another_site_s_comments_are_not_found(newsroom: Newsroom) -> None:
    other, _ = newsroom.store.add_site("other", Policy())
    hidden = put(newsroom.store, asked(other, newsroom.clock(), SPAM))
    say(newsroom, "one")
    newsroom.store.add_moderator("lan", Role.MODERATOR, site_id=newsroom.site.id)
    with newsroom.moderator("lan") as client:
        page = client.get(f"/queue?site={other.id}")
        refused = plan(client, scope="picked", ids=hidden)
        text = client.get("/queue").text

    assert cards_in(page) == []
    assert "other<" not in text
    assert (refused.status_code, title(refused)) == (404, "No such comment")


# ------------------------------------------------------------------ the strip


def test_the_bars_are_counted_when_somebody_opens_them(newsroom: Newsroom) -> None:
    for n in range(3):
        say(newsroom, f"buy {n}")
    say(newsroom, "a word")
    with newsroom.moderator() as client:
        closed = client.get("/queue", params={"q": "buy"})
        path = re.search(r'id="strip-link" href="([^"]+)#strip"', closed.text)
        assert path is not None
        opened = client.get(unescape(path[1]))
        part = client.get(unescape(path[1]), headers={"X-Part": "1"})
        ranged = client.get("/queue?above=40&below=60")
        nothing = client.get("/queue?q=nowhere")

    numbers = [re.findall(r'data-number="([1-9])"', one.text) for one in (closed, opened, part)]
    assert numbers == [[], ["3"], ["3"]]
    assert '<details class="strip" id="strip" open>' in opened.text
    assert cards_in(part) == [] != cards_in(opened)
    assert re.findall(r'data-number="([1-9])"', ranged.text) == ["4"]
    assert 'id="strip"' not in nothing.text


def test_a_bar_is_as_high_as_the_root_of_its_number_and_split_by_sureness() -> None:
    strip = strip_of([(1, 0, 0), (0, 0, 0), (0, 2, 2), (0, 0, 100)], low=2, high=3)

    assert [bar.number for bar in strip.bars] == [1, 0, 4, 100]
    assert [sum(p.height for p in bar.pieces) for bar in strip.bars] == [10, 0, 20, HEIGHT]
    assert [p.level for p in strip.bars[2].pieces] == ["unsure", "likely"]
    assert strip.chosen == 104
    assert strip.thresholds == (("unsure", 40, 50), ("likely", 60, 75))


def test_a_range_is_shown_with_its_count_and_five_samples(newsroom: Newsroom) -> None:
    for at in range(7):
        say(newsroom, f"spam number {at}", spam=0.91)
    say(newsroom, "ham", spam=0.1)
    with newsroom.moderator() as client:
        page = client.get("/queue?above=90")

    text = re.sub("[\u2068\u2069]", "", page.text)
    assert len(cards_in(page)) == 7
    assert "7 comments from 90 to 100\N{NO-BREAK SPACE}%" in text
    assert len(re.findall("<li><b>", text)) == 5
    assert "style=" not in text


# ------------------------------------------------------------------ acts


def test_all_that_match_is_shown_then_decided_then_taken_back(newsroom: Newsroom) -> None:
    ids = [say(newsroom, f"buy {at}") for at in range(3)]
    other = say(newsroom, "hello")
    with newsroom.moderator() as client:
        planned = plan(client, view="q=buy")
        later = say(newsroom, "buy more")
        shown = client.get(planned.headers["location"])
        waiting_then = newsroom.store.queue_size(None)

        run = press(client, planned.headers["location"], "run", view="q=buy")
        done = client.get(run.headers["location"])
        states = [newsroom.comment(one).decision is not None for one in [*ids, other, later]]
        undone = press(client, run.headers["location"], "undo", view="q=buy")
        after = client.get(undone.headers["location"])

    assert (planned.status_code, waiting_then) == (303, 5)
    assert title(shown) == "Reject 3 comments as spam?"
    assert title(done) == "3 comments rejected as spam"
    assert states == [True, True, True, False, False]
    assert title(after) == "3 comments brought back"
    assert newsroom.store.queue_size(None) == 5
    assert 'href="/queue?q=buy"' in after.text


def test_what_was_picked_and_decided_by_others_meanwhile_is_left(newsroom: Newsroom) -> None:
    one, two, _ = (say(newsroom, "x") for _ in range(3))
    with newsroom.moderator() as client, newsroom.moderator("lan") as lan:
        planned = plan(client, scope="picked", ids=[one, two, "x", "\0"], what="accept")
        lan.post(f"/queue/{two}/reject", data={"form_token": form_token(lan), "reason": "spam"})
        run = press(client, planned.headers["location"], "run")
        done = client.get(run.headers["location"])

    assert title(done) == "1 comment accepted"
    assert "1 was left" in re.sub("[\u2068\u2069]", "", done.text)


def test_two_acts_on_the_same_comments_decide_each_once(newsroom: Newsroom) -> None:
    ids = [say(newsroom, "x") for _ in range(4)]
    with newsroom.moderator() as client, newsroom.moderator("lan") as lan:
        first = plan(client, scope="picked", ids=ids[:3])
        second = plan(lan, scope="picked", ids=ids[1:], what="accept")
        press(lan, second.headers["location"], "run")
        press(client, first.headers["location"], "run")
        titles = [title(client.get(one.headers["location"])) for one in (first, second)]

    assert titles == ["1 comment rejected as spam", "3 comments accepted"]


def test_an_act_is_its_maker_s_to_run_and_to_undo(newsroom: Newsroom) -> None:
    say(newsroom, "x")
    with newsroom.moderator() as client, newsroom.moderator("lan") as lan:
        address = plan(client).headers["location"]
        seen = lan.get(address).status_code, press(lan, address, "run").status_code
        press(client, address, "run")
        then = lan.get(address).status_code, press(lan, address, "undo").status_code
        first, second = (press(client, address, "undo").status_code for _ in range(2))

    assert seen == (404, 404)
    assert then == (200, 409)
    assert (first, second) == (303, 409)


def test_an_admin_takes_back_another_s_act_from_the_log(newsroom: Newsroom) -> None:
    waiting = say(newsroom, "x")
    with newsroom.moderator() as client, newsroom.moderator("an", Role.ADMIN) as admin:
        address = plan(client).headers["location"]
        press(client, address, "run")
        path = address.partition("?")[0]
        offered = f'action="{path}/undo"' in admin.get("/log").text
        undone = press(admin, address, "undo")
        log = admin.get("/log").text

    assert (offered, undone.status_code) == (True, 303)
    assert newsroom.comment(waiting).state is Outcome.QUEUE
    assert f'action="{path}/undo"' not in log


def test_a_plan_that_is_too_old_decides_nothing(newsroom: Newsroom) -> None:
    say(newsroom, "x")
    with newsroom.moderator() as client:
        address = plan(client).headers["location"]
        newsroom.clock.advance(minutes=31)
        shown = client.get(address)
        run = press(client, address, "run")

    assert "too old" in shown.text
    assert run.status_code == 409
    assert newsroom.store.queue_size(None) == 1


def test_a_script_is_told_how_far_an_act_has_come(newsroom: Newsroom) -> None:
    for _ in range(3):
        say(newsroom, "x")
    with newsroom.moderator() as client:
        address = plan(client).headers["location"]
        sent = {"form_token": form_token(client), "step": "1"}
        path = address.partition("?")[0]
        told = client.post(f"{path}/run", data=sent, headers={"accept": "application/json"})

    assert told.json() == {"done": 3, "of": 3, "over": True}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": "picked"}, 422),
        ({"scope": "picked", "ids": ["x"]}, 422),
        ({"scope": "none"}, 400),
        ({"what": "ban"}, 400),
        ({"view": "q=nothing+like+that"}, 422),
        ({"form_token": "0" * 64}, 403),
    ],
)
def test_what_is_no_act_is_none(newsroom: Newsroom, fields: dict[str, str], status: int) -> None:
    say(newsroom, "x")
    with newsroom.moderator() as client:
        assert plan(client, **fields).status_code == status
    assert newsroom.store.queue_size(None) == 1


def test_a_viewer_may_not_act(newsroom: Newsroom) -> None:
    say(newsroom, "x")
    with newsroom.moderator("eve", Role.VIEWER) as client:
        page = client.get("/queue")
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
        assert token is not None
        sent = {"form_token": token[1], "what": "spam", "scope": "all"}

        assert client.post("/acts", data=sent).status_code == 403
        assert 'id="bulk"' not in page.text


def test_an_act_on_one_flashes_on_the_queue_with_a_way_back(newsroom: Newsroom) -> None:
    for code in ("score.spam_likely", "score.spam_unsure"):
        verdict = replace(verdict_on(SPAM), reasons=(Reason(code, "content", ""),))
        newsroom.put(SPAM, verdict)
    with newsroom.moderator() as client:
        address = plan(client, view="band=spam").headers["location"]
        press(client, address, "run")
        done = client.get(address)
        back = re.search(r'href="(/queue\?[^"]*act=[^"]*)"', done.text)
        assert back is not None
        page = client.get(unescape(back[1]))

    text = re.sub("[\u2068\u2069]", "", page.text)
    assert "1 comment rejected as spam" in text
    assert f'action="{address.partition("?")[0]}/undo"' in text
