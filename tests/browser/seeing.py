"""Looks at a page as tests of all pages do: what axe says, what is too wide, too small, unseen.

Knows no page. What it measures it gives back as words; to judge is for the test. What it asks a
page is in seeing.js.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from playwright.sync_api import Page, Response

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROWEST = 320
"""WCAG 1.4.10: 1280 at 400 %, and the smallest phone."""

ZOOMED = 640
"""1280 at 200 % (WCAG 1.4.4)."""

MOST_STOPS = 80
MOST_CARDS = 4

Act = Callable[[Page], None]
"""What somebody does on a page before it is looked at."""


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@cache
def _asked() -> str:
    return Path(__file__).with_suffix(".js").read_text("utf-8")


def ask(page: Page, what: str, *values: object) -> list[str]:
    """What a function of seeing.js says of a page."""
    found: list[str] | None = page.evaluate(
        f"(values) => {_asked().rstrip()}.{what}(...values)", list(values)
    )
    return found or []


def axe(page: Page, *rules: str) -> list[str]:
    """What axe has against a page, by some rules only if any are named; [] for nothing."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_axe())
    return ask(page, "axe", RULES, rules)


@dataclass
class Seen:
    """A page that was looked at. Each list but the last names what is wrong.

    `words` are the sentences and words of ours that it shows or reads out.
    """

    status: int
    is_page: bool
    axe: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list, repr=False)


def look(
    page: Page, answer: Response | None, *, schemes: Sequence[str], thorough: bool = True
) -> Seen:
    """Look at what a page shows now, in the first of these colour schemes; at colours in all.

    At nothing but its words where that is not to be `thorough`.
    """
    kind = (answer.headers.get("content-type", "") if answer else "text/html").partition(";")[0]
    seen = Seen(answer.status if answer else 200, kind == "text/html")
    if not seen.is_page:
        return seen
    ask(page, "open")
    seen.words = ask(page, "words")
    if not thorough:
        return seen
    seen.bare = ask(page, "bare")
    seen.foreign = ask(page, "foreign")
    seen.wide = too_wide(page)
    ask(page, "shorten", MOST_CARDS)
    seen.small = ask(page, "small")
    seen.axe = axe(page)
    for scheme in schemes[1:]:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        seen.axe += axe(page, "color-contrast")
    page.keyboard.press("Tab")  # from now on the focus is moved by keys
    seen.unseen = ask(page, "unseen", MOST_STOPS)
    return seen


def too_wide(page: Page) -> list[str]:
    """What sticks out sideways, at the size the page has, zoomed, and on the smallest phone."""
    size = page.viewport_size
    assert size is not None, "a page of ours has one"
    found = ask(page, "wide")
    for width in (ZOOMED, NARROWEST):
        page.set_viewport_size({"width": width, "height": size["height"]})
        found += ask(page, "wide")
    page.set_viewport_size(size)
    return found
