"""The rules of a site in a real browser: tried and saved, an author banned, a raid started."""

import pytest
from axe_playwright_python.sync_playwright import (  # type: ignore[import-untyped]  # has no types
    Axe,
)
from playwright.sync_api import Page, expect

from service.storage import Role
from tests.browser.conftest import SignedIn
from tests.browser.newsroom import SPAM, Newsroom, verdict_on

pytestmark = pytest.mark.browser


def is_clean(page: Page) -> bool:
    """No violation by axe, and nothing wider than the window."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return bool(width <= window)


def test_a_word_is_tried_saved_and_undone_on_a_phone_without_scripts(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    for n in range(3):
        newsroom.say(f"Mình bán hàng cũ, món số {n}")
    page = signed_in("an", Role.ADMIN, width=320, scripts=False)
    page.goto(f"{newsroom.url}/rules")

    page.get_by_label("One on each line").fill("ban hang\nvay nhanh\n博彩")
    page.get_by_label("are rejected").check()
    page.locator("#why").fill("Rao vặt")
    page.get_by_role("button", name="Test it first").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Test of a change")
    expect(page.locator(".shout")).to_contain_text("3 of 3")
    expect(page.locator(".tried mark").first).to_have_text("bán hàng")
    page.get_by_label("I have looked, and mean it.").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".entries .entry")).to_have_count(3)
    page.get_by_role("button", name="Undo").first.click()
    expect(page.locator(".entries .entry")).to_have_count(0)


def test_a_raid_takes_two_clicks_from_a_card_and_an_author_as_many(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    newsroom.put(SPAM, verdict_on(SPAM))
    page = signed_in("mai")

    page.locator(".author-actions summary").click()
    page.get_by_role("button", name="Raid mode on this article").click()
    expect(page.locator(".raid")).to_contain_text("Lãi suất giảm")
    assert is_clean(page)

    page.locator(".author-actions summary").click()
    page.get_by_role("button", name="Ban", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Trần Văn Kiệm · t•••@thu.example")
    expect(page.locator("[data-card]")).to_be_focused()
    assert is_clean(page)
    page.keyboard.press("u")
    expect(page.locator("#said")).to_have_text("Undone: everything is as it was before.")


@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_of_the_rules_are_for_everyone(
    newsroom: Newsroom, signed_in: SignedIn, width: int
) -> None:
    newsroom.say("<script>alert(1)</script> bán hàng " + "w" * 3000, name="x" * 300)
    page = signed_in("an", Role.ADMIN, locale="vi", width=width)
    page.goto(f"{newsroom.url}/rules")
    page.locator("#entries").fill("bán hàng\n" + "w" * 99)
    page.locator("#why").fill("<b>vì</b>" + "ơ" * 200)
    page.locator("button.primary").click()
    assert is_clean(page)
    page.locator("[name=sure]").check()
    page.locator("button.primary").click()

    assert is_clean(page)
