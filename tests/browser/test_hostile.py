"""Hostile words in every field of everything, on every page: nothing runs, loads, hides, breaks.

The forms and pages are found by themselves: every form that there is, is filled with them, and
then every page is looked at.
"""

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page

from benchmarks.installation import Installation, installation
from model.decision import ReportKind
from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.submission import Article, Author, CommentType, FormFacts, Submission
from model.verdict import Reason, RuleHit, Span, Verdict
from service.digest import CONFIRM, STOP, link_path
from service.keyring import Keyring
from service.status_links import path_of
from service.storage import Role, Store, StoredComment
from service.storage.digests import Digests, Every
from service.storage.rows import STORED, stored_comment
from tests.browser.conftest import Noticed, enter
from tests.browser.hostile import ADDRESSES, EVERY, LONG, MARKUP, forms_in, packed, raw_in
from tests.browser.seeing import ask, too_wide
from tests.browser.site_map import READ, Found, SiteMap, asked_by, walked
from tests.storage.cases import accept, asked, put, reject

pytestmark = pytest.mark.browser

COMPLETE = os.environ.get("SEEN") == "complete"
PAGES = [path for path in READ if not path.startswith("/static/")]
ENDS_A_SESSION = re.compile(r"sign-out|session|revoke|remove|leave|password|totp")


def sent(number: int) -> Submission:
    """A comment with something hostile in every field."""
    evil, address = packed(240, number), ADDRESSES[number % len(ADDRESSES)]
    return Submission(
        content=packed(9_000, number) + "\n" * 200 + EVERY[number % len(EVERY)],
        author=Author(evil, f"a{number}@{evil[:40]}.example", address, f"203.0.113.{number}", evil),
        permalink=ADDRESSES[(number + 1) % len(ADDRESSES)],
        article=Article(packed(900, number) + LONG, evil[:20]),
        parent_id=packed(60, number),
        type=CommentType.REPLY,
        form=FormFacts(honeypot=evil, seconds_to_fill=0.1),
        external_id=packed(60, number),
    )


def verdict(number: int, outcome: Outcome) -> Verdict:
    evil, ours = packed(300, number), MARKUP[number % 3]  # versions and codes are plain letters
    return Verdict(
        outcome=outcome,
        scores=Scores(0.9, 0.9),
        reasons=(Reason("score.spam_likely", "content", evil), Reason(f"no.such{ours}", "", evil)),
        hits=(RuleHit("links.many", Outcome.QUEUE, evil, "content"),),
        spans=(Span("content", 5, 60, Head.SPAM, 1), Span("author.name", 0, 99, Head.TOXICITY, 2)),
        model=ours,
        policy=ours,
    )


@dataclass
class Besieged:
    """A newsroom full of it, and somebody signed in there."""

    service: Installation
    store: Store
    client: httpx.Client
    there: SiteMap = field(default_factory=dict)

    def link(self) -> str:
        mine = next(one for one in self.store.moderators() if one.sites_as(Role.ADMIN) is None)
        token = self.store.new_sign_in_link(mine.id, timedelta(hours=1))
        return f"{self.service.url}/sign-in?token={token}"


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with installation(tmp_path_factory.mktemp("hostile")) as service:
        store = _filled(service.data_dir)
        service.start()
        own = {"origin": service.url, "accept-language": "en"}
        with httpx.Client(base_url=service.url, headers=own, trust_env=False, timeout=30) as client:
            newsroom = Besieged(service, store, client)
            enter(client, newsroom.link())
            newsroom.there = walked(client)
            yield newsroom
        store.close()


def _filled(directory: Path) -> Store:
    directory.mkdir(parents=True)
    store = Store.open(f"sqlite:///{directory / 'duyet.db'}", Keyring.open(directory / "secrets"))
    store.migrate()
    people = [store.add_moderator(packed(200, n), Role.ADMIN).name for n in (0, 3)]
    for place in range(2):
        site, _ = store.add_site(packed(200, place * 5), Policy())
        for number in range(len(EVERY)):
            at = datetime.now(UTC) - timedelta(days=number)
            outcome = (Outcome.QUEUE, Outcome.ACCEPT, Outcome.REJECT)[number % 3]
            [one] = put(store, asked(site, at, sent(number)), by=verdict(number, outcome))
            if outcome is Outcome.ACCEPT:
                store.report(None, one, ReportKind.SPAM)
            if number % 4 == 3:
                by = people[number % 2]
                store.decide(None, one, reject(at, by) if number % 8 == 3 else accept(at, by))
            if number % 12 == 3:
                store.undo(None, one, moderator=people[number % 2])
    return store


@dataclass
class Answer:
    address: str
    status: int
    raw: list[str]


@pytest.fixture(scope="module")
def answers(besieged: Besieged) -> list[Answer]:
    """What is answered when every form on every page is sent, its fields full of it."""
    found: list[Answer] = []
    done: set[tuple[str, str]] = set()
    for one in [one for all_ in besieged.there.values() for one in all_ if one.is_page]:
        for form in forms_in(one.text):
            for number in (0, 8, 14):
                found += _sent(
                    besieged, one, form.filled(packed(180, number)), form.method, done, number
                )
    besieged.there = walked(besieged.client)
    return found


def _sent(besieged, one: Found, filled, method: str, done, number: int) -> Iterator[Answer]:
    for action, fields in filled:
        address = action or one.address
        kind = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "*", address)
        if ENDS_A_SESSION.search(address) or (f"{method} {kind} {sorted(fields)}", number) in done:
            continue
        done.add((f"{method} {kind} {sorted(fields)}", number))
        client = besieged.client
        told = {"params": fields} if method == "get" else {"data": fields}
        answer = client.request(method.upper(), address, **told)
        page = answer.headers.get("content-type", "").startswith("text/html")
        yield Answer(f"{method} {address}", answer.status_code, raw_in(answer.text) if page else [])


def test_no_form_breaks_by_it_and_no_answer_repeats_it_as_markup(answers: list[Answer]) -> None:
    wrong = [one for one in answers if one.status >= 500 or one.raw]

    assert wrong == []
    assert len(answers) > 5


@pytest.fixture(scope="module")
def noticed_here() -> Noticed:
    return Noticed()


@pytest.fixture(scope="module")
def pages(
    besieged: Besieged, answers: list[Answer], browser: Browser, noticed_here: Noticed
) -> Iterator[dict[int, Page]]:
    """Somebody's page on a desktop, in English, and on a small phone, in Vietnamese."""
    found = {}
    for width, locale in ((1280, "en"), (320, "vi")):
        context = browser.new_context(viewport={"width": width, "height": 700}, locale=locale)
        context.set_default_timeout(15_000)
        page = context.new_page()
        noticed_here.watch(page)
        page.goto(besieged.link())
        with page.expect_navigation(url="**/queue"):
            page.locator("main button").first.click()
        found[width] = page
    yield found
    for page in found.values():
        page.context.close()


@pytest.mark.parametrize("width", [1280, 320] if COMPLETE else [320])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_runs_loads_hides_or_breaks(
    besieged: Besieged, pages: dict[int, Page], noticed_here: Noticed, path: str, width: int
) -> None:
    assert besieged.there.get(path), f"no link leads to {path}, and no address of one is known"
    found = besieged.there[path][0]
    if not found.is_page:
        # In a file markup is text, if the browser is told so.
        assert raw_in(found.text) == [] or not found.kind.startswith("text/html")
        return

    _asks_nothing_of_others(besieged, pages[width], noticed_here, found.address)


def _asked_of(found: Found, path: str) -> list[str]:
    """What a page's address may hold: what its route reads, and what its own forms put there."""
    forms = [form for form in forms_in(found.text) if form.method == "get"] if found.is_page else []
    return list(dict.fromkeys([*asked_by(READ[path]), *(n for f in forms for n in f.typed)]))


@pytest.mark.parametrize("path", [path for path in PAGES if asked_by(READ[path])])
def test_nothing_of_an_address_runs_loads_hides_or_breaks(
    besieged: Besieged, pages: dict[int, Page], noticed_here: Noticed, path: str
) -> None:
    address = urlsplit(besieged.there[path][0].address).path
    fields = _asked_of(besieged.there[path][0], path)
    asked_alone = [
        besieged.client.get(address, params={name: evil}, follow_redirects=True)
        for name in fields
        for evil in (*EVERY[::4], "\0", "9" * 400, "-1")
        if not besieged.there[path][0].kind.startswith("text/event-stream")
    ]

    assert [f"{a.status_code} {a.url}" for a in asked_alone if a.status_code >= 500] == []
    assert [
        raw_in(a.text)
        for a in asked_alone
        if "html" in a.headers["content-type"] and raw_in(a.text)
    ] == []
    if besieged.there[path][0].is_page:
        together = {name: packed(600, n) for n, name in enumerate(fields)}
        _asks_nothing_of_others(
            besieged, pages[320], noticed_here, f"{address}?{urlencode(together)}"
        )


def test_nothing_runs_loads_hides_or_breaks_behind_links_with_real_tokens(
    besieged: Besieged, pages: dict[int, Page], noticed_here: Noticed
) -> None:
    store, client, keyring = besieged.store, besieged.client, besieged.store.keyring
    hostile = [path_of(keyring, one.id) for one in comments_in(store)]
    rejected = next(path for path in hostile if "/appeal" in client.get(path).text)
    form = next(f for f in forms_in(client.get(rejected).text) if "/appeal" in f.action)
    appeals = [client.post(at, data=sent) for at, sent in form.filled(packed(180, 8))]
    reader = store.moderators()[0]
    asked_by_mail = Digests(store).choose(
        reader, address="lan@mail.example", language="vi", every=Every.DAY, hour=7
    )
    assert asked_by_mail is not None
    mail = [link_path(keyring, what, asked_by_mail.link_id) for what in (CONFIRM, STOP)]
    answers = [*appeals, *(client.get(path) for path in [*hostile, *mail])]

    assert {one.status_code for one in answers} <= {200, 303, 422}
    assert [raw_in(one.text) for one in answers if raw_in(one.text)] == []
    assert len(hostile) > len(EVERY)
    for path in (rejected, *mail):
        _asks_nothing_of_others(besieged, pages[320], noticed_here, path)


def comments_in(store: Store) -> list[StoredComment]:
    """All comments there are."""
    with store.reads() as connection:
        rows = connection.execute(STORED).mappings().all()
    return [stored_comment(row) for row in rows]


def _asks_nothing_of_others(besieged: Besieged, page: Page, noticed: Noticed, address: str) -> None:
    page.goto(besieged.service.url + address)
    ask(page, "open")
    lines = [line for line in noticed.lines if "Failed to load resource" not in line]
    assert (lines, noticed.dialogs) == ([], [])
    assert noticed.hosts == {urlsplit(besieged.service.url).netloc}
    assert page.evaluate("typeof window.ran") == "undefined"
    assert (ask(page, "foreign"), ask(page, "bare")) == ([], [])
    assert too_wide(page) == []
    assert page.locator("main").is_visible()


FORMULA = re.compile(r"\s*[=+@\t\r]|\s*-(?![\d.]+$)")


def test_no_cell_of_an_export_is_a_formula(besieged: Besieged, answers: list[Answer]) -> None:
    exports = [
        one for all_ in besieged.there.values() for one in all_ if one.kind.startswith("text/csv")
    ]

    cells = [cell for one in exports for row in csv.reader(io.StringIO(one.text)) for cell in row]

    assert [cell[:40] for cell in cells if FORMULA.match(cell)] == []
