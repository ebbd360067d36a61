#!/usr/bin/env python3
"""Takes a picture of every page, on a desktop and on a phone, in each language: `make screenshots`.

With paths, as in `scripts/screenshots.py /models /labels`, of these pages only.

The pages are found by themselves in a newsroom made for it (benchmarks/seeded.py), whose comments
were written for the project. Writes docs/screenshots/*.webp and the page that shows them.
"""

import io
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.desk import FLAGS  # noqa: E402  the project itself is next to this directory
from benchmarks.seeded import PEOPLE, Seeded, seeded  # noqa: E402
from model.decision import Decision, RejectReason  # noqa: E402
from model.outcome import Outcome  # noqa: E402
from service.digest import CONFIRM, STOP, link_path  # noqa: E402
from service.status_links import path_of  # noqa: E402
from service.storage import Store  # noqa: E402
from service.storage.acts import Acts  # noqa: E402
from service.storage.digests import Digests, Every  # noqa: E402
from service.storage.finding import Filter, Finding, Order  # noqa: E402
from tests.browser.site_map import READ, SiteMap, is_for_anyone, walked  # noqa: E402

PLACE = ROOT / "docs" / "screenshots"
SIZES = {"desktop": (1280, 860, "light"), "phone": (390, 844, "dark")}
LANGUAGES = {"en": "en-GB", "vi": "vi-VN"}
QUALITY = 62
PATIENCE_SECONDS = 60
MOST_BYTES = 4_000_000

HEAD = """\
# Screenshots

Every page as an admin sees it, by `make screenshots`: on a desktop by day, on a phone by night.
The comments were written for the project.
"""


def main() -> None:
    """Take all that are asked for. Raises SystemExit when they would take too much room."""
    asked = sys.argv[1:]
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, seeded(Path(folder)) as newsroom:
        there = _there(newsroom)
        wanted = [path for path in _paths(there) if path in asked or not asked]
        if asked and set(wanted) != set(asked):
            raise SystemExit(f"there is no page at {', '.join(sorted({*asked} - {*wanted}))}")
        if not asked:
            for old in PLACE.glob("*.webp"):
                old.unlink()
        with sync_playwright() as playwright:
            executable = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            for language, size in ((one, other) for one in LANGUAGES for other in SIZES):
                _take(browser, newsroom, {path: there[path] for path in wanted}, language, size)
            browser.close()
    pictures = sorted(PLACE.glob("*.webp"))
    taken = sum(picture.stat().st_size for picture in pictures)
    _show(there)
    print(f"{len(pictures)} pictures, {taken / 1000:,.0f} kB")
    if taken > MOST_BYTES:
        raise SystemExit(f"that is more than {MOST_BYTES / 1000:,.0f} kB: lower QUALITY")


def _there(newsroom: Seeded) -> SiteMap:
    own = {"origin": newsroom.url}
    with httpx.Client(
        base_url=newsroom.url, headers=own, trust_env=False, timeout=PATIENCE_SECONDS
    ) as client:
        client.post("/sign-in", data={"token": newsroom.link().partition("token=")[2]})
        return walked(client, *_unlinked(newsroom.store))


def _unlinked(store: Store) -> Iterator[str]:
    """Pages that a new newsroom links to from nowhere: of an act, and those that mails lead to."""
    admin = next(one for one in store.moderators() if one.name == PEOPLE[0][0])
    ids = Finding(store).ids(None, Filter(), Order.RISKIEST, limit=31)
    spam = Decision(Outcome.REJECT, RejectReason.SPAM, admin.name, store.now())
    yield f"/acts/{Acts(store).decide(None, ids[1:], spam, kind='bulk').id}"
    yield path_of(store.keyring, ids[1])
    parcel = Digests(store).choose(
        admin, address="mai@bao.example", language="vi", every=Every.DAY, hour=7
    )
    if parcel is not None:
        yield from (link_path(store.keyring, one, parcel.link_id) for one in (CONFIRM, STOP))


def _paths(there: SiteMap) -> Iterator[str]:
    found = ((path, there[path][0]) for path in READ if path in there)
    return (path for path, one in found if one.is_page and one.status == HTTPStatus.OK)


def _slug(path: str) -> str:
    return re.sub(r"[^a-z]+", "-", path.lower()).strip("-") or "start"


def _take(browser: Browser, newsroom: Seeded, there: SiteMap, language: str, size: str) -> None:
    signed_in = _context(browser, language, size)
    page = signed_in.new_page()
    page.goto(newsroom.link())
    with page.expect_navigation(url="**/queue"):
        page.locator("main button").first.click()
    stranger = _context(browser, language, size).new_page()
    for path in _paths(there):
        at = stranger if is_for_anyone(READ[path]) else page
        at.goto(newsroom.url + there[path][0].address)
        _save(at, f"{_slug(path)}-{language}-{size}.webp")
    stranger.context.close()
    signed_in.close()


def _context(browser: Browser, language: str, size: str) -> BrowserContext:
    width, height, scheme = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=LANGUAGES[language],
        timezone_id="Asia/Ho_Chi_Minh",
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    return context


def _save(page: Page, name: str) -> None:
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(PLACE / name, "WEBP", quality=QUALITY, method=6)


def _show(there: SiteMap) -> None:
    told = [HEAD]
    for path in _paths(there):
        told.append(f"## `{path}`\n")
        for language in LANGUAGES:
            names = [f"{_slug(path)}-{language}-{size}.webp" for size in SIZES]
            told.append(" ".join(f"![{path}, {name}]({name})" for name in names) + "\n")
    (PLACE / "README.md").write_text("\n".join(told), encoding="utf-8")


if __name__ == "__main__":
    main()
