"""What looks at pages sees what is wrong with one: each flaw here is named, and nothing else."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Opened
from tests.browser.hostile import forms_in, raw_in
from tests.browser.seeing import ask, axe, too_wide

pytestmark = pytest.mark.browser

GOOD = """<!doctype html><html lang="vi"><title>Tốt</title><style>
:focus-visible { outline: 3px solid blue } button, a.box { min-height: 24px; min-width: 24px }
</style><main><h1>Tốt</h1><p>Xem <a href="/x">ở đây</a> nhé.</p><button>Duyệt</button></main>"""


@pytest.fixture
def page(opened: Opened) -> Page:
    page = opened(width=360)
    page.set_content(GOOD)
    page.keyboard.press("Tab")
    return page


def put(page: Page, html: str) -> None:
    page.evaluate(
        "(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", html
    )


def test_a_good_page_has_no_flaw(page: Page) -> None:
    found = [ask(page, what) for what in ("small", "bare", "wide")]

    assert (found, ask(page, "unseen", 9), axe(page), too_wide(page)) == ([[]] * 3, [], [], [])


@pytest.mark.parametrize(
    ("what", "flaw", "named"),
    [
        ("small", '<button id="b" style="all:unset">x</button>', "BUTTON b"),
        ("small", '<a href="/y" id="y" style="display:inline-block">y</a>', "A y"),
        ("unseen", '<button id="b" style="outline:none">Bỏ</button>', "BUTTON b"),
        ("bare", "<p>\u202egnp.exe</p>", "P: "),
        ("wide", f"<p class='long'>{'w' * 200}</p>", "px where"),
        ("foreign", '<a href="javascript:1">x</a>', '<a href="javascript:1">'),
        ("foreign", "<p onclick=1>x</p>", "<p onclick"),
        ("foreign", '<img src="https://x.example/">', "<img"),
        ("foreign", '<button formaction="https://x.example">x</button>', "<button"),
    ],
)
def test_a_flaw_is_seen(page: Page, what: str, flaw: str, named: str) -> None:
    put(page, flaw)

    found = ask(page, what, *([9] if what == "unseen" else []))

    assert any(named in one for one in found), found


def test_axe_sees_grey_on_grey(page: Page) -> None:
    put(page, '<p style="color:#999;background:#aaa">Khó đọc</p>')

    assert "color-contrast" in axe(page)[0]
    assert "color-contrast" in axe(page, "color-contrast")[0]


def test_words_are_ours_and_not_what_is_quoted(page: Page) -> None:
    put(page, "<p lang=en>quoted</p><bdi>name</bdi><kbd>a</kbd><b aria-label=said>shown</b>")

    found = ask(page, "words")

    assert {"shown", "said"} <= set(found)
    assert not {"quoted", "name", "a"} & set(found)


def test_forms_are_read_with_what_they_send() -> None:
    [form] = forms_in(
        '<form method=post action="/x"><input type=hidden name=t value=1><input name=w><textarea '
        "name=c></textarea><select name=s><option value=first><option value=second></select>"
        '<button name=b value=2 formaction="/y"></button><button>go</button></form>'
    )

    assert list(form.filled("evil")) == [
        ("/y", {"t": "1", "s": "first", "w": "evil", "c": "evil", "b": "2"}),
        ("/x", {"t": "1", "s": "first", "w": "evil", "c": "evil"}),
    ]


@pytest.mark.parametrize(
    ("html", "is_raw"),
    [
        ("<script>1</script>", True),
        ('<script type="module" src="/static/x.js"></script>', False),
        ("&lt;script&gt;", False),
        ("<img src=x onerror=1>", True),
        ('<a href="javascript:1">', True),
        ('<a href="/x">', False),
    ],
)
def test_markup_that_came_through_is_told_from_what_is_text(html: str, is_raw: bool) -> None:
    assert bool(raw_in(html)) is is_raw
