"""A campaign on the queue page, decided in one press and brought back in another."""

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from model.outcome import Outcome
from model.policy import Policy
from model.submission import Submission
from service.campaigns import CampaignFinder
from service.storage import Role
from service.storage.campaigns import Campaigns
from tests.browser.conftest import SignedIn
from tests.browser.newsroom import SPAM, Newsroom, verdict_on
from tests.storage.cases import asked, put, reject

pytestmark = pytest.mark.browser

WORDS = (
    "Mình vừa rút được 12 triệu sau ba ngày chơi ở đây, nạp rút nhanh gọn, hỗ trợ nhiệt tình, "
    "anh em nào cần thì nhắn mình chỉ cho cách vào nhé"
)
EVIL = "<img src=x onerror=alert(1)>\u202e"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_campaign_of_two_sites_is_decided_and_undone(
    newsroom: Newsroom, signed_in: SignedIn, width: int
) -> None:
    store, clock = newsroom.store, newsroom.clock
    shop, _ = store.add_site(f"shop {EVIL}", Policy())
    for site in (newsroom.site, shop):
        Campaigns(store).share(site.id, allowed=True, by="an")
    ids = [newsroom.say(f"{WORDS} {n}", name=f"Tên {n} {EVIL}") for n in range(3)]
    clock.advance(seconds=1)
    sent = Submission(content=f"{WORDS} <b>9</b>", author=SPAM.author)
    ids += put(store, asked(shop, clock(), sent), by=verdict_on(sent))
    newsroom.say("Một bình luận khác hẳn về bài báo này, không giống ai.")
    CampaignFinder(store).turn()
    page = signed_in("an", Role.ADMIN, width=width, locale="en")
    page.emulate_media(color_scheme="dark" if width == 390 else "light")
    page.goto(f"{newsroom.url}/queue")

    expect(page.locator(".campaigns-line")).to_contain_text("1 campaign for 4 of the comments")
    card = page.locator("article.campaign")
    expect(card).to_have_count(1)
    expect(card.get_by_role("heading")).to_have_text("4 comments that belong together")
    expect(card.locator("mark.differs").first).to_be_visible()
    expect(page.locator("article.card")).to_have_count(2)
    assert not Axe().run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    card.get_by_role("button", name="Spam").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Queue")
    expect(page.locator("#flash")).to_contain_text("4 comments")
    assert {newsroom.comment(one).state for one in ids} == {Outcome.REJECT}
    page.locator("#more-of-notice").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("A campaign of 4 comments")
    expect(page.locator(".stands")).to_contain_text("4 comments decided")
    page.get_by_role("button", name="Undo for all of them").click()

    expect(page.locator(".stands")).to_have_count(0)
    assert {newsroom.comment(one).state for one in ids} == {Outcome.QUEUE}


@pytest.fixture
def wave(newsroom: Newsroom) -> list[str]:
    """Four comments of a campaign, and one that is not of it; their ids."""
    ids = [newsroom.say(f"{WORDS} {n}", name=f"Tên {n}") for n in range(4)]
    ids.append(newsroom.say("Một bình luận khác hẳn về bài báo này, không giống ai."))
    CampaignFinder(newsroom.store).turn()
    return ids


def states(newsroom: Newsroom, ids: list[str]) -> set[Outcome]:
    return {newsroom.comment(one).state for one in ids}


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_keys_reach_a_campaign_in_reading_order_and_ask_before_they_decide(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str]
) -> None:
    page = signed_in("mai")
    campaign, alone = page.locator("article.campaign"), page.locator(f"#c-{wave[-1]}")
    asked = page.locator("#ask")

    press(page, "j")
    expect(campaign).to_be_focused()
    press(page, "j", "j")
    expect(alone).to_be_focused()
    press(page, "k", "r", "s")
    expect(asked.get_by_role("heading")).to_have_text("Reject 4 comments as spam?")
    expect(asked).to_contain_text("for 24 hours")
    assert not Axe().run(page).response["violations"]
    press(page, "s", "a", "u", "Escape")
    expect(asked).to_be_hidden()
    expect(campaign).to_be_focused()
    assert states(newsroom, wave) == {Outcome.QUEUE}

    press(page, "r", "s")
    with page.expect_navigation(url="**/queue?campaign=*"):
        press(page, "Enter")
    expect(page.locator("#flash")).to_contain_text("4 comments rejected as spam")
    expect(alone).to_be_focused()
    assert states(newsroom, wave[:4]) == {Outcome.REJECT}
    assert newsroom.comment(wave[-1]).decision is None

    with page.expect_navigation():
        press(page, "u")
    expect(campaign).to_be_focused()
    assert states(newsroom, wave) == {Outcome.QUEUE}
    press(page, "a")
    with page.expect_navigation(url="**/queue?campaign=*"):
        press(page, "Enter")
    assert states(newsroom, wave[:4]) == {Outcome.ACCEPT}


def test_other_keys_on_a_campaign_decide_nothing(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str]
) -> None:
    page = signed_in("mai")

    press(page, "j", "x")
    expect(page.locator("#said")).to_have_text("There is nothing to select here.")
    press(page, "s", "t", "Enter", "r", "Escape", "s", "r", "j", "s")
    with page.expect_navigation(url="**/campaigns/*"):
        press(page, "k", "c")

    expect(page.get_by_role("heading", level=1)).to_have_text("A campaign of 4 comments")
    assert states(newsroom, wave) == {Outcome.QUEUE}


def decide_as(newsroom: Newsroom, name: str, wave: list[str]) -> str:
    store = Campaigns(newsroom.store)
    [found] = store.all_open(None)
    decision = reject(newsroom.clock(), name)
    store.decide(None, found.ids[0], decision, upto=wave[3], follow_for=timedelta(0))
    return found.ids[0]


def test_a_campaign_that_another_decided_leaves_the_screen_and_comes_back(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str]
) -> None:
    page = signed_in("mai")
    campaign = page.locator("article.campaign")
    expect(page.locator("#count")).to_have_text("5 waiting")

    decided = decide_as(newsroom, "lan", wave)
    expect(campaign).to_have_count(0)
    expect(page.locator(".gone")).to_contain_text("\u2068lan\u2069 rejected this as spam.")
    expect(page.locator("#count")).to_have_text("1 waiting")
    Campaigns(newsroom.store).undo(None, decided, moderator="lan", only_own=True)

    expect(campaign).to_be_visible()
    expect(page.locator("#count")).to_have_text("5 waiting")


def test_a_campaign_in_one_s_hands_says_who_decided_and_decides_nothing_more(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str]
) -> None:
    page = signed_in("mai")
    campaign = page.locator("article.campaign")
    press(page, "j", "a")
    expect(page.locator("#ask")).to_be_visible()

    decide_as(newsroom, "lan", wave)
    expect(campaign).to_contain_text("\u2068lan\u2069 rejected this as spam.")
    expect(page.locator("#ask")).to_be_hidden()
    expect(campaign).to_be_focused()
    press(page, "a", "Enter", "j")

    expect(campaign).to_have_count(0)
    expect(page.locator(f"#c-{wave[-1]}")).to_be_focused()
    assert states(newsroom, wave[:4]) == {Outcome.REJECT}


@pytest.mark.parametrize("scripts", [True, False])
def test_a_double_click_on_a_campaign_is_one_decision(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str], scripts: bool
) -> None:
    page = signed_in("mai", scripts=scripts)

    page.locator("article.campaign").get_by_role("button", name="Spam").dblclick()

    expect(page.locator("#flash")).to_contain_text("4 comments rejected as spam")
    assert states(newsroom, wave[:4]) == {Outcome.REJECT}
    assert newsroom.comment(wave[-1]).decision is None


def test_when_all_comments_are_decided_the_campaign_is_next_and_nothing_is_called_empty(
    newsroom: Newsroom, signed_in: SignedIn, wave: list[str]
) -> None:
    page = signed_in("mai")
    press(page, "j", "j")

    with page.expect_response(lambda answer: answer.request.method == "POST"):
        press(page, "a")

    expect(page.locator("article.campaign")).to_be_focused()
    expect(page.locator("#empty")).to_be_hidden()
