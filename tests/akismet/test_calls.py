"""Every call of the protocol, as clients send it and expect it answered."""

import json

import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.api.akismet.described import FIELDS, fields_of
from service.api.akismet.forms import WANTED
from service.storage import AkismetChoices, QueueSpoken
from tests.akismet.conftest import HOME, Client

GUID = "x-akismet-guid"
THANKS = "Thanks for making the web a better place."
SPAMMY = Policy(audit_rate=1)  # every comment waits for a person


def test_a_good_comment_is_false_to_the_byte_and_stored(client: Client):
    before = client.service.stored()
    answer = client.check("Một bình luận hay.")

    assert (answer.status_code, answer.content) == (200, b"false")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers[GUID]
    assert client.service.stored() == before + 1
    stored = client.store.comment([client.service.site.id], answer.headers[GUID])
    assert stored is not None
    assert stored.submission.content == "Một bình luận hay."
    assert not [n for n in answer.headers if n.startswith(("x-akismet-alert", "x-akismet-debug"))]


@pytest.mark.parametrize("sent", ["9" * 400, "-" + "9" * 5000, "1e999", ""])
def test_a_form_s_clock_that_says_anything_is_no_clock(client: Client, sent: str):
    fields = {"POST_ak_bib": "1", "POST_ak_bfs": sent}

    answer = client.check(f"Một bình luận hay, lần {len(sent)}.", **fields)

    assert answer.text in ("true", "false")
    assert answer.headers.get("x-akismet-error") != "unavailable"
    assert client.store.comment([client.service.site.id], answer.headers[GUID]) is not None
    assert client.form("/1.1/submit-spam", user_ip="203.0.113.7", **fields).text == THANKS


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("akismet-guaranteed-spam", ""),
        ("viagra-test-123", ""),
        ("Lan", "akismet-guaranteed-spam@example.com"),
    ],
)
def test_agreed_names_are_spam_and_leave_nothing_behind(client: Client, name: str, email: str):
    before = client.service.stored()
    answer = client.check(comment_author=name, comment_author_email=email)

    assert answer.text == "true"
    assert answer.headers[GUID]
    assert "x-akismet-pro-tip" not in answer.headers
    assert client.service.stored() == before


def test_only_a_test_call_provokes_a_discard(client: Client):
    spam = {"comment_author": "akismet-guaranteed-spam", "test_discard": "1"}

    assert "x-akismet-pro-tip" not in client.check(**spam).headers
    assert client.check(**spam, is_test="1").headers["x-akismet-pro-tip"] == "discard"


def test_an_administrator_is_never_spam(client: Client):
    assert client.check(user_role="editor, administrator").text == "false"


@pytest.mark.parametrize("spelling", ["1", "true"])
def test_a_test_is_judged_and_leaves_nothing_behind(client: Client, spelling: str):
    before = client.service.stored()

    answer = client.check("Chỉ thử thôi.", is_test=spelling)

    assert answer.text == "false"
    assert answer.headers[GUID]
    assert client.service.stored() == before


@pytest.mark.parametrize("spelling", ["0", "false", ""])
def test_what_is_no_test_is_stored(client: Client, spelling: str):
    before = client.service.stored()
    client.check(f"Không thử {spelling}.", is_test=spelling)
    assert client.service.stored() == before + 1


def test_the_key_is_found_in_every_place_it_may_be(client: Client):
    base = f"blog={HOME}&user_ip=203.0.113.7&comment_author=Lan&is_test=1&comment_content=hay"
    key = client.key
    host = {"Host": f"{key.upper()}.rest.akismet.com:443"}

    assert client.call("/1.1/comment-check", f"{base}&api_key={key}").text == "false"
    assert client.call("/1.1/comment-check", f"{base}&key={key}").text == "false"
    assert client.call(f"/1.1/comment-check?api_key={key}", base).text == "false"
    assert client.call("/1.1/comment-check", base, **host).text == "false"
    nowhere = client.call("/1.1/comment-check", base)
    assert nowhere.text == "invalid"
    assert nowhere.headers[GUID]
    assert nowhere.headers["x-akismet-debug-help"]


def test_a_new_key_is_verified_beside_a_stored_one(client: Client):
    stored = "0" * 12
    both = f"key={client.key}&blog={HOME}&api_key={stored}"

    assert client.call("/1.1/verify-key", both).content == b"valid"
    other = client.call("/1.1/verify-key", f"key={stored}&blog={HOME}&api_key={client.key}")
    assert (other.status_code, other.content) == (200, b"invalid")


def test_a_key_of_the_other_kind_opens_nothing(client: Client):
    service = client.service

    assert client.form("/1.1/verify-key", key=service.key, api_key="").text == "invalid"
    assert service.get("/v1/queue", Authorization=f"Bearer {client.key}").status_code == 401


@pytest.mark.parametrize("blog", ["", "  ", "https://", "http://[", "%"])
def test_a_call_without_a_site_is_invalid(client: Client, blog: str):
    answer = client.check(blog=blog)
    assert answer.text == "invalid"
    assert "blog" in answer.headers["x-akismet-debug-help"]


def test_a_key_serves_its_registered_addresses_alone(fresh: Client):
    homes = AkismetChoices(homes=("blog.example/news",))
    fresh.store.set_akismet_choices(fresh.service.site.id, homes)

    for blog in ("https://blog.example/news/", "http://BLOG.example/news", "blog.example/news/vi"):
        assert fresh.check(blog=blog, is_test="1").text == "false", blog
    for blog in ("https://blog.example", "https://blog.example/newsroom", "evil.example"):
        assert fresh.check(blog=blog, is_test="1").text == "invalid", blog


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://shop.example/?a=1&region=2&lt=3", "https://shop.example/?a=1&amp;region=2&amp;lt=3"),
        ("5 &star; of 5 &notit;", "5 &amp;star; of 5 &amp;notit;"),
        ("a &ndash; b &#8230; c &amp; d", "a &ndash; b &#8230; c &amp; d"),
        ("R&D & Q&A", "R&amp;D &amp; Q&amp;A"),
    ],
)  # fmt: skip
def test_a_recheck_is_known_by_what_wordpress_makes_of_an_ampersand(
    client: Client, typed: str, stored: str
):
    checked = client.check(typed)

    assert client.check(stored, recheck_reason="retry").headers[GUID] == checked.headers[GUID]


def test_three_spellings_of_one_comment_are_one_check(client: Client):
    typed = 'He said "it\'s" a C:\\path & <b>bold</b>'
    slashed = 'He said \\"it\\\'s\\" a C:\\\\path & <b>bold</b>'
    before = client.service.stored()
    checked = client.check(
        slashed,
        comment_author='O\\\'Brien \\"Bob\\"',
        POST_comment=slashed,
        REQUEST_URI="/wp-comments-post.php",
    )
    stored = client.store.comment(None, checked.headers[GUID])
    assert stored is not None
    assert stored.submission.content == typed
    assert stored.submission.author.name == 'O\'Brien "Bob"'

    reported = client.form(
        "/1.1/submit-spam",
        user_ip="203.0.113.7",
        comment_author='O\'Brien "Bob"',
        comment_content=typed,
    )
    again = client.check(
        'He said "it\'s" a C:\\path &amp; bold',
        comment_author='O\'Brien "Bob"',
        recheck_reason="retry",
    )

    assert reported.content == THANKS.encode()
    assert again.headers[GUID] == checked.headers[GUID]
    assert client.service.stored() == before + 1
    assert [r.kind.value for r in client.store.reports_of(checked.headers[GUID])] == ["spam"]


def test_a_recheck_is_told_what_a_person_decided(fresh: Client):
    fresh.store.set_policy(fresh.service.site.id, SPAMMY)
    first = fresh.check("Chờ người duyệt nhé.")
    assert first.headers["x-akismet-error"]
    guid = first.headers[GUID]

    waits = fresh.check("Chờ người duyệt nhé.", recheck_reason="retry")
    decision = Decision(Outcome.REJECT, RejectReason.SPAM, "an", fresh.store._now())
    fresh.store.decide(None, guid, decision)
    decided = fresh.check("Chờ người duyệt nhé.", recheck_reason="retry")

    assert waits.headers["x-akismet-error"]
    assert (decided.text, decided.headers[GUID]) == ("true", guid)
    assert "x-akismet-error" not in decided.headers


def test_a_report_never_overwrites_what_a_person_decided(fresh: Client):
    guid = fresh.check("Tin rao vặt.").headers[GUID]
    fresh.store.decide(None, guid, Decision(Outcome.ACCEPT, None, "an", fresh.store._now()))

    fields = {"comment_author": "Lan", "comment_content": "Tin rao vặt."}
    assert fresh.form("/1.1/submit-spam", user_ip="203.0.113.7", **fields).text == THANKS

    stored = fresh.store.comment(None, guid)
    assert stored is not None
    assert stored.state is Outcome.ACCEPT


def test_a_report_of_a_comment_never_checked_becomes_a_label(fresh: Client):
    fields = {"comment_author": "Old", "comment_content": "Từ trước khi chuyển sang."}
    assert fresh.form("/1.1/submit-spam", user_ip="203.0.113.7", **fields).text == THANKS

    [example] = list(fresh.store.labelled())
    assert (example.text, example.label.positive) == ("Từ trước khi chuyển sang.", True)


@pytest.mark.parametrize(
    ("spoken", "agent", "callback", "text", "header"),
    [
        (QueueSpoken.PENDING, "WordPress/6.9 | Akismet/5.6", "", "held", "x-akismet-error"),
        (QueueSpoken.PENDING, "akismet.py/25", "", "true", "x-akismet-error"),
        (QueueSpoken.PENDING, "Discourse/3.1 | discourse-akismet/0.1.0", "", "true", ""),
        (QueueSpoken.RECHECK, "WordPress/6.9 | Akismet/5.6", f"{HOME}/wp-json/akismet/v1/webhook",
         "false", "x-akismet-recheck-after"),
        (QueueSpoken.RECHECK, "WordPress/6.1 | Akismet/5.0.2", "", "held", "x-akismet-error"),
        # Told where to call by integrations/wordpress, it would publish what is to be rechecked.
        (QueueSpoken.RECHECK, "WordPress/6.1 | Akismet/5.0.2", f"{HOME}/?rest_route=/duyet",
         "held", "x-akismet-error"),
        (QueueSpoken.RECHECK, "WordPress/6.8.12 | Akismet/5.5", f"{HOME}/?rest_route=/duyet",
         "false", "x-akismet-recheck-after"),
        (QueueSpoken.RECHECK, "WordPress/7.1 | Akismet/10.0-beta", f"{HOME}/?rest_route=/duyet",
         "false", "x-akismet-recheck-after"),
        (QueueSpoken.RECHECK, "WordPress/6.9 | Akismet/5.6", "https://evil.example/hook", "held",
         "x-akismet-error"),
        (QueueSpoken.ACCEPT, "akismet.py/25", "", "false", ""),
        (QueueSpoken.REJECT, "akismet.py/25", "", "true", ""),
    ],
)  # fmt: skip
def test_what_waits_is_told_as_the_site_chose(
    fresh: Client, spoken: QueueSpoken, agent: str, callback: str, text: str, header: str
):
    site_id = fresh.service.site.id
    fresh.store.set_policy(site_id, SPAMMY)
    fresh.store.set_akismet_choices(site_id, AkismetChoices(spoken, ("blog.example",)))

    body = (
        f"api_key={fresh.key}&blog={HOME}&user_ip=::1&comment_author=A&comment_content=b"
        f"&callback={callback}"
    )
    answer = fresh.call("/1.1/comment-check", body, User_Agent=agent)

    assert answer.text == text
    assert answer.headers[GUID]
    signals = {"x-akismet-error", "x-akismet-recheck-after", "x-akismet-pro-tip"}
    assert signals & set(answer.headers) == ({header} if header else set())


def test_the_calls_of_a_settings_page_are_answered(client: Client):
    assert client.call("/1.1/test", method="GET").content == b"connected"
    plugins = client.call("/1.2/compatible-plugins", method="GET")
    assert (plugins.headers["content-type"], plugins.json()) == ("application/json", [])
    subscription = client.form("/1.1/get-subscription", key=client.key).json()
    assert {name: type(value) for name, value in subscription.items()} == {
        "account_id": int,
        "account_type": str,
        "account_name": str,
        "status": str,
        "next_billing_date": bool,
        "limit_reached": bool,
    }
    assert subscription["status"] == "active"
    assert client.form("/1.1/deactivate").content == b"deactivated"
    assert client.form("/1.1/token").text not in ("", "invalid")
    for path in ("get-subscription", "get-stats", "deactivate", "token"):
        assert client.form(f"/1.1/{path}", api_key="f" * 12).text == "invalid", path


def test_counts_are_those_of_real_checks(fresh: Client):
    good = fresh.check("Bài hay.").headers[GUID]
    fresh.check("Bài rất hay.")
    robot = {"blog": "https://blog.example/en/", "POST_ak_hp_textarea": "x"}
    held = fresh.check("Bài dở.", **robot).headers[GUID]
    fresh.form("/1.1/submit-spam", user_ip="::1", comment_author="Lan", comment_content="Bài hay.")
    fresh.store.decide(None, held, Decision(Outcome.ACCEPT, None, "an", fresh.store._now()))

    stats = fresh.form("/1.1/get-stats", key=fresh.key, **{"from": "6-months"}).json()
    usage = fresh.call(f"/1.2/usage-limit?api_key={fresh.key}&extended=true", method="GET").json()
    sites = fresh.call(f"/1.2/key-sites?api_key={fresh.key}&month=2026-01", method="GET").json()
    table = fresh.call(f"/1.2/key-sites?api_key={fresh.key}&month=2026-01&format=csv", method="GET")

    counts = {"spam": 1, "ham": 2, "missed_spam": 1, "false_positives": 1}
    assert {name: stats[name] for name in counts} == counts
    assert stats["accuracy"] == "33.33"
    assert list(stats["breakdown"]) == ["2026-01"]
    assert usage["usage"] == 3
    assert usage["limit"] == "none"
    assert [row["site"] for row in sites["2026-01"]] == ["blog.example", "blog.example/en"]
    assert (sites["limit"], sites["offset"], sites["total"]) == (500, 0, 2)
    assert table.text.splitlines()[1].startswith("Site,Total API Calls,Spam,Ham")
    assert good != held


@pytest.mark.parametrize("path", ["/1.1/comment-check/", "/1.1/nothing", "/1.2/x/y", "/1.1/"])
def test_an_unknown_call_is_plain_text(client: Client, path: str):
    answer = client.call(path, f"api_key={client.key}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")
    with pytest.raises(ValueError, match=r"Expecting"):
        json.loads(answer.text)


def test_a_key_outlives_a_new_address_key(fresh: Client):
    keyring = fresh.store._keyring
    keyring.add_address_key()
    assert 1 in fresh.store.address_keys_in_use()

    fresh.store.reencrypt_addresses()

    assert fresh.store.address_keys_in_use() == {2}
    assert fresh.form("/1.1/verify-key").text == "valid"


@pytest.mark.parametrize("path", ["/1.1/submit-spam", "/1.1/test", "/1.2/key-sites"])
def test_a_wrong_method_is_told_which_are_right(client: Client, path: str):
    answer = client.call(path, method="PATCH")

    allowed = {"/1.1/submit-spam": "POST", "/1.1/test": "GET", "/1.2/key-sites": "GET, POST"}
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed[path])


def test_only_fields_that_are_read_are_described():
    described = {
        name
        for path in FIELDS
        for kind in (fields_of("POST", path) or {})["requestBody"]["content"].values()
        for name in kind["schema"]["properties"]
    }

    assert described <= WANTED
    assert len(described) > 25
