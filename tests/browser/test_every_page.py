"""Every page there is, looked at: axe, narrow and zoomed, controls, focus, words, what it loads.

The pages are read off the app; a new one is looked at as soon as it is there. In turn, in
English by day on a desktop and in Vietnamese by night on a phone; `SEEN=complete` looks at every
combination (`make test-browser SEEN=complete`).
"""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.seeded import Seeded
from tests.browser.conftest import Noticed, enter
from tests.browser.seeing import Act, Seen, look, words_of
from tests.browser.site_map import READ, SiteMap, is_for_anyone, walked

pytestmark = pytest.mark.browser


@dataclass(frozen=True, slots=True)
class How:
    """How somebody looks at a page."""

    language: str
    scheme: str
    width: int

    def __str__(self) -> str:
        return f"{self.language}-{self.scheme}-{self.width}"


COMPLETE = os.environ.get("SEEN") == "complete"
HOWS = [How("en", "light", 1280), How("vi", "dark", 360)]
if COMPLETE:
    HOWS = [How(*all_) for all_ in itertools.product(("en", "vi"), ("light", "dark"), (1280, 360))]

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
    contexts: dict[tuple[How, bool], BrowserContext]

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

    def look(self, how: How, address: str, act: Act = _stay, *, signed_in: bool = True) -> Seen:
        schemes = sorted(("light", "dark"), key=lambda scheme: scheme != how.scheme)
        page = self.page(how, signed_in=signed_in)
        try:
            answer = page.goto(self.newsroom.url + address)
            act(page)
            return look(page, answer, schemes=schemes[:1] if COMPLETE else schemes)
        finally:
            page.close()

    def words(self, how: How, address: str) -> set[str]:
        page = self.page(how, signed_in=True)
        try:
            page.goto(self.newsroom.url + address)
            return set(words_of(page))
        finally:
            page.close()


@pytest.fixture(scope="module")
def visitors(busy: Seeded, browser: Browser) -> Iterator[Visitors]:
    found = Visitors(browser, busy, Noticed(), {})
    yield found
    for context in found.contexts.values():
        context.close()


@pytest.fixture(scope="module")
def there(busy: Seeded) -> SiteMap:
    """What links lead to, for an admin."""
    with httpx.Client(base_url=busy.url, headers={"origin": busy.url}, trust_env=False) as client:
        enter(client, busy.link())
        return walked(client)


def _visits() -> list[object]:
    visits = [(path, how, True) for path in PAGES for how in HOWS]
    visits += [(path, how, False) for path in PAGES if is_for_anyone(READ[path]) for how in HOWS]
    named = [pytest.param(v, id=f"{v[0]}-{v[1]}{'' if v[2] else '-signed-out'}") for v in visits]
    states = [((name, how, None)) for name in STATES for how in HOWS]
    return [*named, *(pytest.param(v, id=f"{v[0]}-{v[1]}") for v in states)]


@pytest.fixture(scope="module", params=_visits())
def seen(request: pytest.FixtureRequest, visitors: Visitors, there: SiteMap) -> Seen:
    """A page, or a state of one, looked at in one way."""
    name, how, signed_in = request.param
    if signed_in is None:
        address, act = STATES[name]
        return visitors.look(how, address, act)
    assert there.get(name), f"no link leads to {name}, and no address of one is known"
    found = there[name][0]
    if not found.is_page:
        return Seen(found.status, False)
    return visitors.look(how, found.address, signed_in=signed_in)


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
    wrong = [f"{one.status} {one.address}" for all_ in there.values() for one in all_
             if one.status >= 400]  # fmt: skip

    assert wrong == []


IN_BOTH = {
    "Duyet", "Email", "IP", "CSV", "Esc", "Spam", "spam", "OK", "URL", "TOTP", "JSON",
}  # fmt: skip
"""Words that are the same in both languages."""


@pytest.mark.parametrize("path", PAGES)
def test_no_sentence_is_the_same_in_both_languages(
    visitors: Visitors, there: SiteMap, path: str
) -> None:
    address = there[path][0].address
    english, vietnamese = (
        visitors.words(How(language, "light", 1280), address) for language in ("en", "vi")
    )

    same = {text for text in english & vietnamese if re.search(r"[^\W\d_]{2}", text)}

    assert same - IN_BOTH == set()
