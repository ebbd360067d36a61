"""What a person decides here moves the comment in WordPress: told, signed, or asked for."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from model.outcome import Outcome
from service.late_verdicts import signature
from service.storage import QueueSpoken
from tests.faults.running import until
from tests.wordpress.blog import Blog, why_not
from tests.wordpress.conftest import LINKS, WITHIN, Duyet, waits

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no WordPress: {why_not()}"),
    pytest.mark.waits,  # for MariaDB and PHP to start
]


@pytest.mark.parametrize("outcome", [Outcome.ACCEPT, Outcome.REJECT])
def test_what_waits_is_pending_until_a_person_here_decides(
    duyet: Duyet, blog: Blog, outcome: Outcome
):
    number = waits(blog, f"Mai {outcome.word}")
    blog.cron()
    assert blog.standing(number) == "0"

    duyet.decide(duyet.newest().id, outcome)

    told = "1" if outcome is Outcome.ACCEPT else "spam"
    until(lambda: blog.standing(number) == told, WITHIN, "WordPress is not told")
    assert duyet.store.reports_of(duyet.newest().id) == []


def test_a_decision_of_when_wordpress_was_away_is_told_once_it_is_back(duyet: Duyet, blog: Blog):
    number, comment_id = waits(blog, "Yên"), duyet.newest().id
    with blog.away():
        duyet.decide(comment_id, Outcome.REJECT)
        until(
            lambda: any(one.attempts for one in duyet.undelivered(comment_id)), WITHIN, "not tried"
        )
        assert blog.standing(number) == "0"
    with duyet.store.writes() as connection:  # the pause before the next attempt is over
        connection.exec_driver_sql("UPDATE outbox SET due_at = now()")

    until(lambda: blog.standing(number) == "spam", WITHIN, "WordPress is not told")
    until(lambda: not duyet.undelivered(comment_id), WITHIN, "it does not know that it was told")


def test_another_decision_is_told_as_well(duyet: Duyet, blog: Blog):
    blog.comment("Nội dung rất bổ ích, mong tác giả viết tiếp.", "Vy")
    number, comment_id = blog.last()[0], duyet.newest().id
    assert blog.standing(number) == "1"
    duyet.decide(comment_id, Outcome.REJECT)
    until(lambda: blog.standing(number) == "spam", WITHIN, "WordPress is not told")

    duyet.store.undo(None, comment_id, moderator="an")
    duyet.decide(comment_id, Outcome.ACCEPT)

    until(lambda: blog.standing(number) == "1", WITHIN, "WordPress is not told")


def test_what_was_taken_for_spam_comes_back_when_a_person_here_accepts_it(duyet: Duyet, blog: Blog):
    blog.comment("Nạp rút siêu tốc, kèo thơm mỗi ngày: https://keo-thom.example", "Kèo thơm")
    number, comment_id = blog.last()[0], duyet.newest().id
    assert blog.standing(number) == "spam"

    duyet.decide(comment_id, Outcome.ACCEPT)

    until(lambda: blog.standing(number) == "1", WITHIN, "WordPress is not told")


def test_what_a_person_moved_in_wordpress_stays_there(duyet: Duyet, blog: Blog):
    number, comment_id = waits(blog, "Phúc"), duyet.newest().id
    blog.click(number, "approvecomment")
    assert blog.standing(number) == "1"

    duyet.decide(comment_id, Outcome.REJECT)
    until(lambda: not duyet.undelivered(comment_id), WITHIN, "WordPress is not told")

    assert blog.standing(number) == "1"


def test_an_address_that_is_not_registered_any_more_is_not_told_but_asks(duyet: Duyet, blog: Blog):
    number, comment_id = waits(blog, "Quân"), duyet.newest().id
    chosen = duyet.store.akismet_choices(duyet.site.id)
    assert chosen is not None
    duyet.store.set_akismet_choices(duyet.site.id, replace(chosen, homes=("elsewhere.example",)))
    try:
        duyet.decide(comment_id, Outcome.REJECT)
        until(
            lambda: [one.state for one in duyet.undelivered(comment_id)] == ["dead"],
            WITHIN,
            "it is not given up",
        )
    finally:
        duyet.store.set_akismet_choices(duyet.site.id, chosen)
    assert blog.standing(number) == "0"

    until(blog.key_is_good, WITHIN, "the address does not count")
    blog.cron()

    assert blog.standing(number) == "spam"


def test_a_moderator_of_the_site_is_mailed_only_what_is_left_to_the_site(duyet: Duyet, blog: Blog):
    blog.run("update_option( 'comment_moderation', 1 );")  # "must be manually approved"
    try:
        before = len(blog.mails())
        number, comment_id = waits(blog, "Oanh"), duyet.newest().id
        blog.cron()
        blog.cron()
        assert len(blog.mails()) == before

        duyet.decide(comment_id, Outcome.ACCEPT)
        until(lambda: len(blog.mails()) > before, WITHIN, "nobody is mailed")
    finally:
        blog.run("update_option( 'comment_moderation', 0 );")

    assert ["moderate" in mail for mail in blog.mails()[before:]] == [True]
    assert blog.standing(number) == "0"


@pytest.mark.parametrize("queue", [QueueSpoken.RECHECK, QueueSpoken.PENDING])
def test_however_the_queue_is_spoken_what_waits_is_held(
    duyet: Duyet, blog: Blog, queue: QueueSpoken
):
    chosen = duyet.store.akismet_choices(duyet.site.id)
    assert chosen is not None
    duyet.store.set_akismet_choices(duyet.site.id, replace(chosen, queue=queue))
    header = "x-akismet-recheck-after" if queue is QueueSpoken.RECHECK else "x-akismet-error"
    form = {"api_key": duyet.key, "blog": blog.url, "is_test": "1", "callback": blog.address}
    form |= {"comment_content": f"Xem thử. {LINKS}", "comment_author": "Thử"}
    agent = {"User-Agent": "WordPress/7.1 | Akismet/5.7"}

    def is_in_force() -> bool:
        url = f"{duyet.url}/1.1/comment-check"
        return header in httpx.post(url, data=form, headers=agent, trust_env=False).headers

    until(is_in_force, WITHIN, "the choice does not count")

    waits(blog, f"Rau {queue.value}")  # WordPress 6.8 and later are told otherwise than earlier


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("signed_by", "at", "status"),
    [
        ("", NOW, 401),
        ("000000000000", NOW, 401),
        ("the key", NOW - timedelta(hours=1), 401),
        ("the key", NOW + timedelta(hours=1), 401),
        ("the key", NOW, 200),
    ],
    ids=["unsigned", "wrong", "replayed", "ahead", "right"],
)
def test_only_what_was_signed_just_now_with_the_key_moves_a_comment(
    duyet: Duyet, blog: Blog, signed_by: str, at: datetime, status: int
):
    blog.comment(f"Mình rất thích bài này, {signed_by} {status} {at.hour}.", "Khánh")
    number, guid = blog.last()[0], duyet.newest().id
    told = {"key": duyet.key, "comments": [{"guid": guid, "result": "true"}]}

    key = duyet.key if signed_by == "the key" else signed_by
    answer = blog.told(told, key, at)

    assert answer.status_code == status
    assert duyet.key not in answer.text
    assert blog.standing(number) == ("spam" if status == 200 else "1")


def test_a_message_that_was_overheard_does_not_undo_a_later_one(duyet: Duyet, blog: Blog):
    blog.comment("Đoạn giữa hơi khó hiểu, còn lại rất ổn.", "Huy")
    number, guid = blog.last()[0], duyet.newest().id
    now = datetime.now(UTC)
    good, bad = ({"comments": [{"guid": guid, "result": result}]} for result in ("false", "true"))
    assert blog.told(good, duyet.key, now - timedelta(seconds=60)).status_code == 200
    assert blog.told(bad, duyet.key, now).status_code == 200

    again = blog.told(good, duyet.key, now - timedelta(seconds=60))

    assert again.json()["comments"][guid] == {"status": "success"}
    assert blog.standing(number) == "spam"


def test_a_body_that_was_changed_is_not_believed(duyet: Duyet, blog: Blog):
    blog.comment("Bài hay, chờ phần tiếp theo của tác giả.", "Sơn")
    number, guid = blog.last()[0], duyet.newest().id
    body = json.dumps({"comments": [{"guid": guid, "result": "false"}]}).encode()
    signed = signature(duyet.key, body, at=datetime.now(UTC))

    changed = body.replace(b"false", b"true")
    answer = httpx.post(
        blog.address, content=changed, headers={"X-Duyet-Signature": signed}, trust_env=False
    )

    assert answer.status_code == 401
    assert blog.standing(number) == "1"


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        ([{"guid": "unknown", "result": "true"}], 200, {"unknown": {"status": "error"}}),
        ([{"guid": ["a"], "result": "true"}, 7, {"guid": "x", "result": True}], 200, {}),
        ("all", 400, None),
        (None, 400, None),
    ],
)
def test_what_is_unknown_or_malformed_is_told_so(
    duyet: Duyet, blog: Blog, told: object, status: int, said: object
):
    answer = blog.told({"comments": told}, duyet.key, datetime.now(UTC))

    assert answer.status_code == status
    assert answer.json().get("comments") == said
