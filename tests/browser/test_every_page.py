"""Every page there is, looked at: axe, narrow and zoomed, controls, focus, words, what it loads.

The pages are read off the app; a new one is looked at as soon as it is there: in English by day on
a desktop and narrowed to a phone, and for its words in Vietnamese too; `make test-browser
SEEN=complete` looks at every combination of language, scheme and width, whole.
"""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.seeded import ARTICLES, PEOPLE, SITES, Seeded
from service.web.texts import TEXTS
from tests.browser.conftest import Noticed, enter
from tests.browser.seeing import Act, Seen, look
from tests.browser.site_map import READ, Found, SiteMap, is_for_anyone, walked

pytestmark = pytest.mark.browser


COMPLETE = os.environ.get("SEEN") == "complete"
WIDE, PHONE = 1280, 360


@dataclass(frozen=True, slots=True)
class How:
    """How somebody looks at a page."""

    language: str
    scheme: str
    width: int

    @property
    def schemes(self) -> list[str]:
        """The schemes whose colours are looked at; those of a phone are the same."""
        both = sorted(("light", "dark"), key=lambda scheme: scheme != self.scheme)
        return both if self.width == WIDE and not COMPLETE else both[:1]


@dataclass(frozen=True, slots=True)
class Visit:
    """A page, or a state of one, and how it is looked at."""

    name: str
    how: How
    signed_in: bool = True

    def __str__(self) -> str:
        signed = "" if self.signed_in else " signed out"
        return f"{self.name} {self.how.language} {self.how.scheme} {self.how.width}{signed}"


HOWS = [How("en", "light", WIDE), How("vi", "dark", PHONE)]
if COMPLETE:
    ways = itertools.product(("en", "vi"), ("light", "dark"), (WIDE, PHONE))
    HOWS = sorted((How(*way) for way in ways), key=lambda how: how not in HOWS)

PAGES = [path for path in READ if not path.startswith("/static/")]


def _pressed(*keys: str) -> Act:
    def act(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return act


def _decided(page: Page) -> None:
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.locator("[data-accept]").first.click()
    page.locator(".flash").wait_for()


def _revealed(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.locator("form[action$='/reveal'] input[name=why]").first.fill("Hỏi lại về đính chính")
    page.locator("form[action$='/reveal'] button").first.click()
    page.locator(".address").wait_for()


def _stay(_: Page) -> None:
    pass


STATES: dict[str, tuple[str, Act]] = {
    "keys": ("/queue", _pressed("?")),
    "rejecting": ("/queue", _pressed("j", "r")),
    "decided": ("/queue", _decided),
    "address": ("/queue", _revealed),
    "bad link": ("/sign-in?token=x", lambda page: page.locator("main button").first.click()),
    "nothing here": ("/static/nothing.css", _stay),
}
"""Where somebody is, and what they do before the page is looked at."""


@dataclass
class Visitors:
    """Browsers that stay signed in, one for each way to look."""

    browser: Browser
    newsroom: Seeded
    noticed: Noticed
    contexts: dict[tuple[How, bool], BrowserContext] = field(default_factory=dict)
    seen: dict["Visit", Seen] = field(default_factory=dict)

    def page(self, how: How, *, signed_in: bool) -> Page:
        context = self.contexts.get((how, signed_in))
        if context is None:
            context = self.browser.new_context(
                viewport={"width": how.width, "height": 800},
                locale=how.language,
                color_scheme="dark" if how.scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            context.set_default_timeout(15_000)
            self.contexts[how, signed_in] = context
            if signed_in:
                page = self.new(context)
                page.goto(self.newsroom.link())
                with page.expect_navigation(url="**/queue"):
                    page.locator("main button").first.click()
                page.close()
        return self.new(context)

    def new(self, context: BrowserContext) -> Page:
        page = context.new_page()
        self.noticed.watch(page)
        return page

    def look(self, visit: "Visit", address: str, act: Act = _stay) -> Seen:
        """What is seen on a visit, which is made once."""
        if visit not in self.seen:
            page = self.page(visit.how, signed_in=visit.signed_in)
            try:
                answer = page.goto(self.newsroom.url + address)
                act(page)
                # What is found is the same in any language: one way is enough for every page.
                thorough = COMPLETE or visit.how == HOWS[0] or visit.name in STATES
                schemes = visit.how.schemes
                self.seen[visit] = look(page, answer, schemes=schemes, thorough=thorough)
            finally:
                page.close()
        return self.seen[visit]


@pytest.fixture(scope="module")
def visitors(busy: Seeded, browser: Browser) -> Iterator[Visitors]:
    found = Visitors(browser, busy, Noticed())
    yield found
    for context in found.contexts.values():
        context.close()


@pytest.fixture(scope="module")
def there(busy: Seeded) -> SiteMap:
    """What links lead to, for an admin."""
    with httpx.Client(base_url=busy.url, headers={"origin": busy.url}, trust_env=False) as client:
        enter(client, busy.link())
        return walked(client)


def _visits() -> list[Visit]:
    """Every page in every way that is looked at whole; states of pages in one way each, in turn."""
    open_to_all = [path for path in PAGES if is_for_anyone(READ[path])]
    states = enumerate(STATES)
    whole = HOWS if COMPLETE else HOWS[:1]
    return [
        *(Visit(path, how) for path in PAGES for how in whole),
        *(Visit(path, how, signed_in=False) for path in open_to_all for how in whole),
        *(Visit(s, how) for n, s in states for how in (HOWS if COMPLETE else [HOWS[n % 2]])),
    ]


def _first(there: SiteMap, path: str) -> Found:
    assert there.get(path), f"no link leads to {path}, and no address of one is known"
    return there[path][0]


@pytest.fixture(scope="module", params=_visits(), ids=str)
def seen(request: pytest.FixtureRequest, visitors: Visitors, there: SiteMap) -> Seen:
    """A page, or a state of one, looked at in one way."""
    visit: Visit = request.param
    if visit.name in STATES:
        return visitors.look(visit, *STATES[visit.name])
    return _looked(visitors, visit, _first(there, visit.name))


def _looked(visitors: Visitors, visit: Visit, found: Found) -> Seen:
    if not found.is_page:
        return Seen(found.status, False)  # a file, or a piece that a page is made of
    return visitors.look(visit, found.address)


def test_axe_finds_nothing(seen: Seen) -> None:
    assert seen.axe == []


def test_nothing_scrolls_sideways_at_200_percent_or_320_pixels(seen: Seen) -> None:
    assert seen.wide == []


def test_every_control_is_24_pixels(seen: Seen) -> None:
    assert seen.small == []


def test_the_focus_is_seen_on_every_control(seen: Seen) -> None:
    assert seen.unseen == []


def test_nothing_is_inline_foreign_or_bare(seen: Seen) -> None:
    assert (seen.foreign, seen.bare) == ([], [])


def test_the_pages_asked_nobody_else_and_said_nothing(visitors: Visitors, seen: Seen) -> None:
    quiet = [line for line in visitors.noticed.lines if "Failed to load resource" not in line]

    assert (quiet, visitors.noticed.dialogs) == ([], [])
    assert visitors.noticed.hosts <= {urlsplit(visitors.newsroom.url).netloc}
    assert seen.status < 500


def test_every_link_leads_somewhere(there: SiteMap) -> None:
    links = [one for all_ in there.values() for one in all_ if not one.is_guessed]

    wrong = [f"{one.status} {one.address}" for one in links if one.status >= 400]

    assert wrong == []


IN_BOTH = {"Duyet", "Email", "IP", "CSV", "Spam", "spam", "URL", "TOTP", "JSON"}
IN_BOTH |= {"JSON Lines", "Chrome · Linux", *SITES, *(texts.name for texts in TEXTS.values())}
IN_BOTH |= {name for name, _, _ in PEOPLE} | {title for all_ in ARTICLES.values() for title in all_}
"""Words that are the same in both languages, and names."""


@pytest.mark.parametrize("path", PAGES)
def test_no_sentence_is_the_same_in_both_languages(
    visitors: Visitors, there: SiteMap, path: str
) -> None:
    visits = [Visit(path, how) for how in HOWS[:2]]

    english, vietnamese = (
        set(_looked(visitors, visit, _first(there, path)).words) for visit in visits
    )

    same = {text for text in english & vietnamese if re.search(r"[^\W\d_]{2}", text)}
    assert same - IN_BOTH == set()
