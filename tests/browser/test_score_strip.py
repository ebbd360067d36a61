"""The score strip as somebody drags over it: a range, its samples, one decision for all of it."""

import pytest
from playwright.sync_api import Page, expect

from model.outcome import Outcome
from tests.browser.conftest import SignedIn
from tests.browser.newsroom import SPAM, Newsroom, verdict_on
from tests.storage.cases import accept

pytestmark = pytest.mark.browser

SCORES = (0.05, 0.12, 0.41, 0.44, 0.46, 0.71, 0.72, 0.73, 0.91)
WITHIN = slice(2, 8)


@pytest.fixture
def ids(newsroom: Newsroom) -> list[str]:
    return [newsroom.put(SPAM, verdict_on(SPAM, spam=score)) for score in SCORES]


def states(newsroom: Newsroom, ids: list[str]) -> list[Outcome]:
    return [newsroom.comment(one).state for one in ids]


def drag(page: Page, start: float, end: float) -> None:
    """Drag from one share of the strip to another, and hold there."""
    box = page.locator("#plot svg").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], middle, steps=5)


@pytest.mark.parametrize(("start", "end"), [(0.42, 0.74), (0.74, 0.42)])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_range_is_dragged_seen_decided_and_undone(
    newsroom: Newsroom, signed_in: SignedIn, ids: list[str], width: int, start: float, end: float
) -> None:
    page = signed_in("mai", width=width)
    page.locator("#strip summary").click()
    expect(page.locator("#plot.draggable")).to_be_visible()

    drag(page, start, end)
    expect(page.locator("#chosen")).to_contain_text("6 comments from 40 to 75 %")
    assert page.locator(".bar.chosen").count() == 7
    with page.expect_navigation(url="**/queue?*"):
        page.mouse.up()
    expect(page.locator(".samples li")).to_have_count(5)
    expect(page.locator("[data-card]")).to_have_count(6)
    expect(page.locator("#count")).to_have_text("6 of 9 waiting")

    # What somebody else decides leaves, wherever it stands, and is not in what is decided here.
    newsroom.store.decide(None, ids[4], accept(newsroom.clock(), "lan"))
    expect(page.locator(f"#c-{ids[4]}")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("5 of 8 waiting")
    page.locator("button[value=all]").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("5 comments")
    expect(page.locator(".samples li")).to_have_count(5)
    page.locator(".act-buttons .primary").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    decided = states(newsroom, ids)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()

    assert decided[WITHIN] == [Outcome.REJECT] * 2 + [Outcome.ACCEPT] + [Outcome.REJECT] * 3
    assert {*decided[:2], decided[8]} == {Outcome.QUEUE}
    assert states(newsroom, ids) == [
        Outcome.ACCEPT if one == ids[4] else Outcome.QUEUE for one in ids
    ]
