"""WordPress' own form, its own Akismet plugin and its own moderator's screen, with Duyet behind."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.storage import AkismetChoices
from tests.api.service import UNAUDITED, Service, running
from tests.wordpress.blog import Blog, running_blog, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no WordPress: {why_not()}"),
    pytest.mark.waits,  # for MariaDB and PHP to start
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Blog]]:
    """A service, and a blog that asks it, its key entered by the plugin's settings form."""
    place = tmp_path_factory.mktemp("wordpress")
    with (
        running(place / "duyet") as service,
        running_blog(place / "blog", service.url) as blog,
    ):
        key = service.store.new_akismet_key(service.site.id)
        home = AkismetChoices(homes=(f"127.0.0.1:{blog.port}",))
        service.store.set_akismet_choices(service.site.id, home)
        blog.sign_in()
        blog.enter_key(key)
        assert blog.run("echo get_option( 'wordpress_api_key' );") == key
        yield service, blog


@pytest.fixture
def service(both: tuple[Service, Blog]) -> Service:
    return both[0]


@pytest.fixture
def blog(both: tuple[Service, Blog]) -> Blog:
    # WordPress lets one visitor comment every 15 s, which is not what is tried here.
    both[1].query("UPDATE wp_comments SET comment_date_gmt = '2001-01-01'")
    return both[1]


def newest(service: Service) -> str:
    with service.store._reads() as connection:
        found = connection.exec_driver_sql("SELECT id FROM comments ORDER BY received_at DESC")
        return str(found.scalars().first())


def test_a_good_comment_is_published_and_kept_as_typed(service: Service, blog: Blog):
    typed = 'Bài viết "rất" hay — it\'s a C:\\path & <b>đậm</b>, cảm ơn!'
    blog.comment(typed, 'O\'Brien "Bob"')

    assert blog.last()[1] == "1"
    stored = service.store.comment(None, newest(service))
    assert stored is not None
    assert stored.submission.content == typed
    assert stored.submission.author.name == 'O\'Brien "Bob"'


def test_agreed_spam_lands_in_spam(blog: Blog):
    blog.comment("Nothing of worth.", "akismet-guaranteed-spam")
    assert blog.last()[1] == "spam"


def test_a_thousand_fields_change_nothing(service: Service, blog: Blog):
    before = service.stored()
    many = {f"f{number}": "x" for number in range(1_100)}
    blog.comment("Nhiều trường quá.", "Nam", **many)

    assert blog.last()[1] == "1"
    assert service.stored() == before + 1


def test_a_moderator_s_clicks_arrive_as_reports(service: Service, blog: Blog):
    blog.comment('Bình luận "bị" báo cáo, it\'s C:\\spam <i>nhé</i>.', "O'Hoa")
    number, _ = blog.last()
    comment_id = newest(service)

    blog.click(number, "spamcomment")
    assert blog.standing(number) == "spam"
    assert [r.kind.value for r in service.store.reports_of(comment_id)] == ["spam"]
    blog.click(number, "unspamcomment")
    assert blog.standing(number) != "spam"
    assert {r.kind.value for r in service.store.reports_of(comment_id)} == {"spam", "ham"}


@pytest.mark.parametrize("outcome", [Outcome.ACCEPT, Outcome.REJECT])
def test_what_waits_is_pending_until_a_person_here_decides(
    service: Service, blog: Blog, outcome: Outcome
):
    service.store.set_policy(service.site.id, Policy(audit_rate=1))
    _until_in_force(service, blog, waits=True)
    blog.comment(f"Chờ người duyệt: {outcome.word}.", f"Mai {outcome.word}")
    number, standing = blog.last()
    assert standing == "0"
    service.store.set_policy(service.site.id, UNAUDITED)
    _until_in_force(service, blog, waits=False)

    blog.run("Akismet::cron_recheck();")
    assert blog.standing(number) == "0"
    reason = RejectReason.SPAM if outcome is Outcome.REJECT else None
    decision = Decision(outcome, reason, "an", service.store._now())
    service.store.decide(None, newest(service), decision)
    blog.run("Akismet::cron_recheck();")

    assert blog.standing(number) == ("1" if outcome is Outcome.ACCEPT else "spam")


def _until_in_force(service: Service, blog: Blog, *, waits: bool) -> None:
    """Ask, as a test that leaves nothing behind, until a policy counts."""
    key = blog.run("echo get_option( 'wordpress_api_key' );")
    form = {"api_key": key, "blog": blog.url, "is_test": "1", "comment_content": "Thử."}
    with httpx.Client(trust_env=False) as client:
        for _ in range(400):
            time.sleep(0.02)
            answer = client.post(f"{service.url}/1.1/comment-check", data=form)
            if ("x-akismet-error" in answer.headers) == waits:
                return
    raise AssertionError("the policy does not come into force")


@pytest.mark.parametrize(
    "url",
    ["'http://127.0.0.9:9'", "''", "'https://rest.akismet.com'"],
    ids=["away", "no", "theirs"],
)
def test_without_a_service_comments_are_held(service: Service, blog: Blog, url: str):
    config, before = blog.root / "wp-config.php", service.stored()
    set_up = config.read_text()
    config.write_text(re.sub(r"'DUYET_URL', '[^']*'", f"'DUYET_URL', {url}", set_up))
    try:
        blog.comment(f"Khi không có dịch vụ: {url}", "Tú")
    finally:
        config.write_text(set_up)

    assert blog.last()[1] == "0"
    assert service.stored() == before
    blog.run("Akismet::cron_recheck();")
    assert blog.last()[1] == "1"
