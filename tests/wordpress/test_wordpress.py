"""WordPress' own form, its own Akismet plugin and its own moderator's screen, with Duyet behind."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import pytest

from model.decision import ReportKind
from model.outcome import Outcome
from tests.faults.running import until
from tests.wordpress.blog import Blog, why_not
from tests.wordpress.conftest import WITHIN, Duyet, waits

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no WordPress: {why_not()}"),
    pytest.mark.waits,  # for MariaDB and PHP to start
]

# ------------------------------------------------------------------ verdicts


def test_a_good_comment_is_published_and_kept_as_typed(duyet: Duyet, blog: Blog):
    typed = 'Bài viết "rất" hay — it\'s a C:\\path & <b>đậm</b>, cảm ơn!'
    blog.comment(typed, 'O\'Brien "Bob"')

    assert blog.last()[1] == "1"
    sent = duyet.newest().submission
    assert sent.content == typed
    assert sent.author.name == 'O\'Brien "Bob"'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Kèo nhà cái uy tín, đăng ký nhận ngay 500k: https://keo.example", "Nhà cái 88"),
        ("Buy cheap viagra online, casino bonus http://cheap-pills.example", "cheap pills"),
    ],
)
def test_what_the_shipped_model_rejects_lands_in_spam(
    duyet: Duyet, blog: Blog, content: str, name: str
):
    blog.comment(content, name)

    assert blog.last()[1] == "spam"
    assert duyet.newest().submission.content == content
    assert duyet.newest().state is Outcome.REJECT


def test_agreed_spam_lands_in_spam(blog: Blog):
    blog.comment("Nothing of worth.", "akismet-guaranteed-spam")
    assert blog.last()[1] == "spam"


def test_a_thousand_fields_change_nothing(duyet: Duyet, blog: Blog):
    before = len(duyet.ids())
    many = {f"f{number}": "x" for number in range(1_100)}
    blog.comment("Nhiều trường quá.", "Nam", **many)

    assert blog.last()[1] == "1"
    assert len(duyet.ids()) == before + 1


@pytest.mark.parametrize("name", ["x&user_role", "x&is_test", "ak_x&api_key", "x#&comment_type"])
def test_a_visitor_s_field_is_never_one_of_the_site(duyet: Duyet, blog: Blog, name: str):
    before = len(duyet.ids())
    values = {"x&user_role": "administrator", "x&is_test": "1"}
    text = f"Casino bonus, cheap viagra here http://cheap-pills.example/{len(name)}"
    blog.comment(text, f"pills {name}", **{name: values.get(name, "000000000000")})

    assert blog.last()[1] == "spam"
    assert len(duyet.ids()) == before + 1


def test_a_plugin_with_its_key_in_the_host_name_is_led_here_as_well(duyet: Duyet, blog: Blog):
    before = len(duyet.ids())
    host = f"{duyet.key}.rest.akismet.com"
    called = (
        "$answer = wp_remote_post( '%s://%s/1.1/%s', array( 'headers' => array( 'Host' => '%s',"
        " 'User-Agent' => 'WordPress/6.0.14 | Akismet/5.0.1' ), 'httpversion' => '1.0',"
        " 'body' => http_build_query( array( 'blog' => home_url(), 'user_ip' => '203.0.113.7',"
        " 'comment_author' => '%s', 'comment_content' => '%s' ) ) ) );"
        " echo wp_remote_retrieve_body( $answer ), ' ';"
    )
    said = blog.run(
        called % ("https", host, "comment-check", host, "Lan", "Cám ơn bạn nhiều nhé!")
        + called % ("http", host, "comment-check", host, "akismet-guaranteed-spam", "Thử.")
        + called % ("https", host, "submit-spam", host, "Lan", "Cám ơn bạn nhiều nhé!")
        # Its test of connections, which calls an address and says in a header whom it means.
        + called % ("http", "192.0.2.1", "verify-key", "rest.akismet.com", "", "")
    )

    assert said.split(" ", 2)[:2] == ["false", "true"]
    assert "Thanks for making the web a better place." in said
    assert said.endswith(" invalid ")
    assert len(duyet.ids()) == before + 1


# ------------------------------------------------------------------ reports


def test_a_moderator_s_clicks_arrive_as_reports(duyet: Duyet, blog: Blog):
    blog.comment('Bình luận "bị" báo cáo, it\'s C:\\spam <i>nhé</i>.', "O'Hoa")
    number, _ = blog.last()
    comment_id = duyet.newest().id

    blog.click(number, "spamcomment")
    assert blog.standing(number) == "spam"
    assert [r.kind for r in duyet.store.reports_of(comment_id)] == [ReportKind.SPAM]
    blog.click(number, "unspamcomment")
    assert blog.standing(number) != "spam"
    assert {r.kind for r in duyet.store.reports_of(comment_id)} == {ReportKind.SPAM, ReportKind.HAM}


def test_a_report_overrules_no_decision_and_is_seen_beside_it(duyet: Duyet, blog: Blog):
    blog.comment("Bài này giúp mình sửa được lỗi, cảm ơn nhiều.", "Thảo")
    number, comment_id = blog.last()[0], duyet.newest().id
    duyet.decide(comment_id, Outcome.ACCEPT)

    blog.click(number, "spamcomment")

    stored = duyet.store.comment(None, comment_id)
    assert stored is not None
    assert stored.decision is not None
    assert (stored.state, stored.decision.moderator) == (Outcome.ACCEPT, "an")
    assert [report.kind for report in duyet.store.reports_of(comment_id)] == [ReportKind.SPAM]
    labelled = [one for one in duyet.store.labelled() if one.id.startswith(comment_id)]
    assert {(one.label.word, one.extra["decided_by"]) for one in labelled} == {
        ("ham", "an"),
        ("clean", "an"),
    }


# ------------------------------------------------------------------ without Duyet


@contextmanager
def _stopped(duyet: Duyet, blog: Blog) -> Iterator[None]:
    duyet.running.end()
    try:
        yield
    finally:
        duyet.running.start()


@contextmanager
def _store_away(duyet: Duyet, blog: Blog) -> Iterator[None]:
    duyet.database.cut()
    try:
        yield
    finally:
        duyet.database.mend()
        until(lambda: duyet.running.status("/readyz") == 200, WITHIN, "it does not come back")


def _address(said: str) -> Callable[[Duyet, Blog], AbstractContextManager[None]]:
    @contextmanager
    def changed(duyet: Duyet, blog: Blog) -> Iterator[None]:
        config = blog.root / "wp-config.php"
        set_up = config.read_text()
        told = said.format(blog=blog.url)
        config.write_text(re.sub(r"'DUYET_URL', '[^']*'", f"'DUYET_URL', '{told}'", set_up))
        try:
            yield
        finally:
            config.write_text(set_up)

    return changed


GOOD = {
    "stopped": "Cảm ơn tác giả, bài rất hay và dễ hiểu.",
    "store away": "Mình làm theo đến bước ba thì báo lỗi quyền truy cập, sửa sao ạ?",
    "a proxy without it": "Phần cấu hình này khác bản cũ khá nhiều, nên đọc kỹ.",
    "no address": "Hôm qua trời mưa to nên cả xóm ở nhà đọc truyện.",
    "theirs": "Theo mình nên thêm một ví dụ nhỏ ở cuối bài.",
}
FAULTS = {
    "stopped": _stopped,
    "store away": _store_away,
    "a proxy without it": _address("{blog}/nothing-there"),
    "no address": _address(""),
    "theirs": _address("https://rest.akismet.com"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_has_no_verdict_is_held_and_settled_by_wordpress_own_cron(
    duyet: Duyet, blog: Blog, fault: str
):
    # One that waits for a person anyhow is in the way of none of the others.
    waiting = waits(blog, f"Người chờ {len(fault)}")
    before = len(duyet.ids())
    with FAULTS[fault](duyet, blog):
        blog.comment(GOOD[fault], f"Tú {fault}")
        good, held = blog.last()
        blog.comment(f"Cheap viagra, casino http://pills.example/{len(fault)}", f"Pills {fault}")
        bad, also_held = blog.last()
        assert (held, also_held) == ("0", "0")
        blog.cron()
        assert (blog.standing(good), blog.standing(bad)) == ("0", "0")
    assert len(duyet.ids()) == before

    blog.cron()

    assert [blog.standing(one) for one in (good, bad, waiting)] == ["1", "spam", "0"]
    assert blog.meta(good, "akismet_error") == blog.meta(good, "duyet_waits") == ""


# ------------------------------------------------------------------ the plugin itself


def test_nothing_of_akismet_is_loaded_into_the_settings_page(duyet: Duyet, blog: Blog):
    page = blog.admin.get(f"{blog.url}/wp-admin/options-general.php?page=akismet-key-config")

    assert "https://tools.akismet.com" in page.text  # a frame, with the key in its address
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "Past six months" in page.text


def test_nobody_who_is_not_signed_in_reads_the_key(duyet: Duyet, blog: Blog):
    for path in ("/", "/wp/v2/settings", "/wp/v2/comments", "/akismet/v1/key", "/duyet/v1",
                 "/duyet/v1/decisions"):  # fmt: skip
        answer = blog.visitor.get(f"{blog.url}/", params={"rest_route": path})
        assert duyet.key not in answer.text
        assert "duyet_guid" not in answer.text


def test_wordpress_goes_on_without_the_akismet_plugin(duyet: Duyet, blog: Blog):
    blog.run("update_option( 'active_plugins', array() );")
    try:
        page = blog.admin.get(f"{blog.url}/wp-admin/index.php")
        answer = blog.told({"comments": []}, "", datetime.now(UTC))
        blog.comment("Không có plugin nào hỏi cả.", "Chi")
        blog.cron()
    finally:
        blog.run("update_option( 'active_plugins', array( 'akismet/akismet.php' ) );")

    assert "install and activate the plugin Akismet Anti-Spam" in page.text
    assert answer.status_code == 401


def test_php_has_nothing_to_say_of_the_plugin(duyet: Duyet, blog: Blog):
    blog.comment("Lần cuối, cảm ơn mọi người.", "Dung")
    blog.run("trigger_error( 'this is how it would say it' );")

    log = blog.log.read_text()
    assert "this is how it would say it" in log
    assert [line for line in log.splitlines() if "duyet.php" in line] == []
