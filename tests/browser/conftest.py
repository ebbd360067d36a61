"""Chromium, a newsroom, and pages that notice whatever a page should not do."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.seeded import COUNT, Seeded, seeded
from service.storage import Role
from tests.browser.newsroom import Newsroom, open_newsroom

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = "there is no `chromium` on the PATH: run scripts/install-browser"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """A newsroom with 5,000 comments and the shipped model, as a process of its own.

    For tests that look. The comments are those of the directory `SEEN_DATA` of labelled files,
    else those written for the project; for a quick try `SEEN_COUNT` of them are enough.
    """
    data = os.environ.get("SEEN_DATA")
    count = int(os.environ.get("SEEN_COUNT", COUNT))
    folder = tmp_path_factory.mktemp("busy")
    with seeded(folder, data=Path(data) if data else None, count=count) as newsroom:
        yield newsroom


def enter(client: httpx.Client, link: str) -> None:
    """Sign somebody in by a link."""
    answer = client.post("/sign-in", data={"token": link.partition("token=")[2]})
    assert answer.status_code == 303, answer.status_code


@dataclass
class Noticed:
    """What the pages of a test did: console lines, dialogs, hosts asked."""

    lines: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        page.on("console", lambda line: self.lines.append(line.text))
        page.on("pageerror", lambda error: self.lines.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

        def dismiss(dialog: object) -> None:
            self.dialogs.append(dialog.message)  # type: ignore[attr-defined]  # Playwright's Dialog
            dialog.dismiss()  # type: ignore[attr-defined]

        page.on("dialog", dismiss)


@pytest.fixture
def noticed() -> Noticed:
    return Noticed()


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, noticed: Noticed) -> Iterator[Opened]:
    """Opens a blank page in a browser of its own: `opened(locale="vi", width=360)`."""
    contexts: list[BrowserContext] = []

    def open_one(*, locale: str = "en", width: int = 1280, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, locale=locale, java_script_enabled=scripts
        )
        context.set_default_timeout(10_000)
        context.set_default_navigation_timeout(60_000)  # a page on a machine with much to do
        contexts.append(context)
        page = context.new_page()
        noticed.watch(page)
        return page

    yield open_one
    for context in contexts:
        context.close()


SignedIn = Callable[..., Page]


@pytest.fixture
def signed_in(newsroom: Newsroom, opened: Opened) -> SignedIn:
    """Opens the queue in a browser of its own, signed in by a link."""

    def sign_in(name: str = "mai", role: Role = Role.MODERATOR, **browser: object) -> Page:
        page = opened(**browser)
        page.goto(newsroom.link(name, role))
        with page.expect_navigation(url="**/queue"):
            page.locator("main button").click()
        return page

    return sign_in
