"""The queue page as a moderator meets it: in a real browser, with keys, fingers and foes."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from model.decision import Decision, RejectReason
from model.outcome import Head, Outcome, Scores
from model.submission import Article, Author, Submission
from model.verdict import Reason, Span, Verdict
from service.storage import Role
from tests.browser.conftest import Noticed, Opened, SignedIn
from tests.browser.newsroom import ADDRESS, SPAM, Newsroom, verdict_on

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>{{7*7}}"
HOSTILE = Submission(
    content=f"{EVIL}\u202eevil\u2066 z\u0338{chr(0x301) * 900} {'w' * 5000}\n" + "\n" * 400 + EVIL,
    author=Author(EVIL + "\u202e" + "n" * 150, "a@b.example", "javascript:alert(4)", "203.0.113.9"),
    permalink="javascript:alert(5)",
    article=Article(EVIL + "t" * 300, "vi"),
)
HOSTILE_VERDICT = Verdict(
    outcome=Outcome.QUEUE,
    scores=Scores(0.9, 0.9),
    reasons=(Reason("score.spam_likely", "content", EVIL), Reason(f"no.such{EVIL}", "", EVIL)),
    hits=(),
    spans=(Span("content", 5, 60, Head.SPAM, 1.0), Span("content", 40, 99, Head.TOXICITY, 2.0)),
    model=EVIL,
    policy=EVIL,
)


def sent(page: Page, *keys: str) -> None:
    """Press keys, the last of which sends something; until that was answered."""
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        for key in keys:
            page.keyboard.press(key)


def cards(page: Page) -> int:
    return page.locator("[data-card]").count()


def test_a_link_is_used_up_by_the_button_and_not_by_looking(
    newsroom: Newsroom, opened: Opened
) -> None:
    link = newsroom.link("mai")
    scanner, person, late = opened(), opened(), opened()
    scanner.goto(link)

    person.goto(link)
    with person.expect_navigation(url="**/queue"):
        person.get_by_role("button", name="Sign in").click()
    late.goto(link)
    late.get_by_role("button", name="Sign in").click()

    expect(person.get_by_role("heading", level=1)).to_have_text("Queue")
    expect(late.get_by_role("heading", level=1)).to_have_text("This link does not work any more")


def test_reasons_evidence_and_what_weighed_are_seen(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    newsroom.put(SPAM, verdict_on(SPAM, "Vay tiền online lãi suất 0%"))

    page = signed_in()

    expect(page.locator(".reasons")).to_contain_text("Might be spam.")
    expect(page.locator("mark.spam")).to_have_text("Vay tiền online lãi suất 0%")
    expect(page.locator(".content")).to_contain_text("k•••@nhanh.example")
    expect(page.locator(".facts").first).to_contain_text("t•••@thu.example")
    expect(page.get_by_text("71.0 %")).to_be_hidden()
    page.locator(".figures summary").click()
    expect(page.get_by_text("71.0 %")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_accept_and_undo_with_and_without_a_script(
    newsroom: Newsroom, signed_in: SignedIn, scripts: bool
) -> None:
    waiting = newsroom.put()
    page = signed_in(scripts=scripts)

    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name="Accept").click()
    expect(page.locator(".flash")).to_contain_text("Accepted: \u2068Trần Văn Kiệm\u2069.")
    accepted = newsroom.comment(waiting).state
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".flash")).to_contain_text("Undone")

    assert accepted is Outcome.ACCEPT
    assert newsroom.comment(waiting).state is Outcome.QUEUE
    assert cards(page) == 1


@pytest.mark.parametrize(
    ("button", "reason"),
    [
        ("Spam", RejectReason.SPAM),
        ("Toxic", RejectReason.TOXIC),
        ("Off topic", RejectReason.OFF_TOPIC),
        ("Other", RejectReason.OTHER),
    ],
)
def test_reject_with_each_reason(
    newsroom: Newsroom, signed_in: SignedIn, button: str, reason: RejectReason
) -> None:
    waiting = newsroom.put()
    page = signed_in(scripts=False)

    page.get_by_role("button", name=button).click()
    expect(page.locator(".flash")).to_contain_text("Rejected")

    decision = newsroom.comment(waiting).decision
    assert decision is not None
    assert (decision.outcome, decision.reason, decision.moderator) == (
        Outcome.REJECT,
        reason,
        "mai",
    )


def test_the_second_of_two_moderators_is_told_which_decision_stands(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    waiting = newsroom.put()
    mai, an = signed_in("mai", scripts=False), signed_in("an", scripts=False)
    mai.get_by_role("button", name="Spam").click()
    expect(mai.locator(".flash")).to_be_visible()

    an.get_by_role("button", name="Accept").click()

    expect(an.get_by_role("heading", level=1)).to_have_text("Someone decided first")
    expect(an.locator("main")).to_contain_text("\u2068mai\u2069: \u2068rejected as spam\u2069")
    assert newsroom.comment(waiting).state is Outcome.REJECT


@pytest.mark.parametrize("state", ["accepted", "rejected", "decided"])
def test_what_does_not_wait_stays_on_the_page_that_lists_it(
    newsroom: Newsroom, signed_in: SignedIn, state: str
) -> None:
    mai = signed_in("mai")
    outcome = Outcome.REJECT if state == "rejected" else Outcome.ACCEPT
    for words in ("a first one about zalo", "another one about zalo"):
        sent = replace(SPAM, content=words)
        judged = replace(verdict_on(sent), outcome=outcome)
        listed = newsroom.put(sent, None if state == "decided" else judged)
        if state == "decided":
            decision = Decision(Outcome.ACCEPT, None, "mai", newsroom.clock())
            newsroom.store.decide(None, listed, decision)

    mai.goto(f"{newsroom.url}/queue?state={state}&q=zalo")
    mai.wait_for_load_state("networkidle")  # never, where the page goes on listening
    mai.wait_for_timeout(500)

    assert cards(mai) == 2
    expect(mai.locator("#empty")).to_be_hidden()
    if state == "accepted":  # one that is rejected leaves, and comes back
        mai.locator("[data-card]").first.get_by_role("button", name="Spam").click()
        expect(mai.locator("[data-card]")).to_have_count(1)
        mai.keyboard.press("u")
        expect(mai.locator("[data-card]")).to_have_count(2)


def test_keys_move_reject_undo_and_accept(newsroom: Newsroom, signed_in: SignedIn) -> None:
    first, second, third = (newsroom.say(f"Bình luận số {n}") for n in (1, 2, 3))
    page = signed_in()

    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator(f"#c-{second}")).to_be_focused()
    sent(page, "r", "t")
    expect(page.locator(f"#c-{third}")).to_be_focused()
    expect(page.locator("#said")).to_contain_text("Rejected as toxic")
    rejected = newsroom.comment(second).decision
    sent(page, "u")
    expect(page.locator(f"#c-{second}")).to_be_focused()
    page.keyboard.press("k")
    sent(page, "a")

    assert rejected is not None
    assert rejected.reason is RejectReason.TOXIC
    assert [newsroom.comment(one).state for one in (first, second, third)] == [
        Outcome.ACCEPT,
        Outcome.QUEUE,
        Outcome.QUEUE,
    ]


@pytest.mark.parametrize(
    "keys",
    [
        ["a"],  # nothing is chosen yet
        ["j", "s"],  # a reason without "reject"
        ["j", "Control+a"],
        ["j", "Alt+a"],
        ["j", "Meta+a"],
        ["j", "r", "Control+s"],
        ["j", "r", "Escape", "s"],
        ["j", "r", "j", "s"],
        ["j", "?", "a", "Escape"],
    ],
)
def test_keys_that_must_not_decide(
    newsroom: Newsroom, signed_in: SignedIn, keys: list[str]
) -> None:
    waiting = newsroom.put()
    page = signed_in()

    for key in keys:
        page.keyboard.press(key)
    page.reload()

    assert newsroom.comment(waiting).decision is None
    assert cards(page) == 1


def test_keys_do_nothing_while_one_types_or_when_switched_off(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    waiting = newsroom.put()
    page = signed_in(role=Role.ADMIN)

    page.get_by_text("Reveal the email address").click()
    page.get_by_label("Why do you need it?").press_sequentially("arsu?")
    typed = page.get_by_label("Why do you need it?").input_value()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use single keys on this browser").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    for key in ("j", "a"):
        page.keyboard.press(key)

    assert typed == "arsu?"
    assert newsroom.comment(waiting).decision is None
    assert page.evaluate("document.activeElement === document.body")


def test_the_help_opens_by_key_and_gives_the_focus_back(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    waiting = newsroom.put()
    page = signed_in()
    page.keyboard.press("j")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(f"#c-{waiting}")).to_be_focused()


@pytest.mark.parametrize(("width", "locale"), [(320, "vi"), (360, "en"), (1280, "en")])
def test_hostile_comments_run_nothing_load_nothing_and_break_nothing(
    newsroom: Newsroom, signed_in: SignedIn, noticed: Noticed, width: int, locale: str
) -> None:
    newsroom.put(HOSTILE, HOSTILE_VERDICT)

    page = signed_in(width=width, locale=locale)
    for summary in page.locator("summary").all():
        summary.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    shown = page.locator(".content").first.inner_text()
    page.locator("[data-accept]").click()
    expect(page.locator(".flash")).to_be_visible()

    assert (noticed.dialogs, noticed.lines) == ([], [])
    assert noticed.hosts == {newsroom.url.removeprefix("http://")}
    assert page.locator(".card :is(img, svg, script, a[href^='javascript'])").count() == 0
    assert wide == width
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert "U+202E" in shown
    assert "\u202e" not in shown


def test_every_control_is_large_enough_to_touch(newsroom: Newsroom, signed_in: SignedIn) -> None:
    newsroom.put()
    page = signed_in(role=Role.ADMIN, width=360)

    small = page.evaluate(
        """[...document.querySelectorAll("a, button, summary, input:not([type=hidden])")]
        .filter((one) => !one.closest("p, .skip") && one.checkVisibility())
        .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
        .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""
    )

    assert small == []


@pytest.mark.parametrize(
    ("locale", "heading", "button"), [("vi", "Hàng chờ", "Duyệt"), ("en", "Queue", "Accept")]
)
def test_pages_speak_the_browsers_language(
    newsroom: Newsroom, signed_in: SignedIn, locale: str, heading: str, button: str
) -> None:
    newsroom.put(replace(SPAM, content="Thanks, I really enjoyed reading this article."))

    page = signed_in(locale=locale)

    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.get_by_role("button", name=button)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", locale)
    expect(page.locator(".content")).to_have_attribute("lang", "en")


def test_the_language_can_be_switched_and_stays(newsroom: Newsroom, signed_in: SignedIn) -> None:
    page = signed_in(locale="en")

    page.get_by_role("link", name="Tiếng Việt").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hàng chờ")
    page.goto(f"{newsroom.url}/queue")

    expect(page.get_by_role("heading", level=1)).to_have_text("Hàng chờ")
    expect(page.get_by_role("heading", level=2)).to_have_text("Không có gì đang chờ bạn")


def test_an_admin_reveals_an_address_for_a_reason(newsroom: Newsroom, signed_in: SignedIn) -> None:
    newsroom.put()
    page = signed_in("an", Role.ADMIN)

    page.get_by_text("Reveal the email address").click()
    page.get_by_label("Why do you need it?").fill("Hỏi lại về đính chính")
    page.get_by_role("button", name="Reveal").click()

    expect(page.locator(".address")).to_have_text(ADDRESS)
    events = [event for event in newsroom.store.events(None) if event.kind == "address_revealed"]
    assert [(event.actor, ADDRESS in event.body) for event in events] == [("an", False)]


def test_signing_out_ends_the_session(newsroom: Newsroom, signed_in: SignedIn) -> None:
    page = signed_in()

    with page.expect_navigation(url="**/sign-in"):
        page.get_by_role("button", name="Sign out").click()
    page.goto(f"{newsroom.url}/queue")

    expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")


def test_the_explorer_loads_without_any_other_host(
    newsroom: Newsroom, opened: Opened, noticed: Noticed
) -> None:
    page = opened()

    page.goto(f"{newsroom.url}/docs")

    expect(page.locator(".swagger-ui .info .title")).to_contain_text("Duyet")
    assert noticed.hosts == {newsroom.url.removeprefix("http://")}


def test_the_bars_come_when_they_are_opened_and_stay_open_on_this_browser(
    newsroom: Newsroom, signed_in: SignedIn
) -> None:
    newsroom.say("one")
    page = signed_in("mai")
    strip = page.locator("#strip")

    strip.locator("summary").click()
    expect(strip.locator("svg")).to_be_visible()
    page.locator("#above").fill("40")
    expect(page.locator("#chosen")).to_contain_text("from 40 to 100 %")
    page.goto(page.url)

    expect(page.locator("#strip svg")).to_be_visible()
