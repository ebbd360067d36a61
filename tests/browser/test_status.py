"""A commenter's page in a browser: on a small phone, without scripts."""

from dataclasses import replace

from playwright.sync_api import Browser, ViewportSize, expect

from model.outcome import Outcome
from service.status_links import path_of
from tests.browser.conftest import Noticed
from tests.browser.newsroom import SPAM, Newsroom, verdict_on

LONG = "ê" * 300 + " <script>document.title='x'</script> \u202e"


def test_another_look_is_asked_for_without_scripts_on_a_small_phone(
    browser: Browser, newsroom: Newsroom
) -> None:
    rejects = replace(verdict_on(SPAM), outcome=Outcome.REJECT)
    address = newsroom.url + path_of(newsroom.store.keyring, newsroom.put(SPAM, rejects))
    phone = ViewportSize(width=320, height=640)
    context = browser.new_context(java_script_enabled=False, viewport=phone, locale="vi")
    page, noticed = context.new_page(), Noticed()
    noticed.watch(page)

    page.goto(address)
    page.get_by_label("Bạn muốn nói gì với người kiểm duyệt?").fill(LONG)
    width = page.locator("html").bounding_box()
    page.get_by_role("button", name="Đề nghị xem lại").click()
    expect(page.get_by_role("heading", name="Bạn đã đề nghị xem lại")).to_be_visible()
    page.get_by_role("link", name="English").click()

    expect(page.get_by_role("heading", name="You asked for another look")).to_be_visible()
    assert page.get_by_role("textbox").count() == 0
    assert width
    assert width["width"] <= phone["width"]
    assert noticed.lines == []
    assert {host.partition(":")[0] for host in noticed.hosts} == {"127.0.0.1"}
    context.close()
