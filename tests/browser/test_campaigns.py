"""A campaign on the queue page, decided in one press and brought back in another."""

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from model.outcome import Outcome
from model.policy import Policy
from model.submission import Submission
from service.campaigns import CampaignFinder
from service.storage import Role
from service.storage.campaigns import Campaigns
from tests.browser.conftest import SignedIn
from tests.browser.newsroom import SPAM, Newsroom, verdict_on
from tests.storage.cases import asked, put

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
