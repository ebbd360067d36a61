"""A comment in, a verdict out: what a site may rely on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from model.policy import FormRules, Policy
from tests.api.service import NO_SUCH_ID, PROBLEM, Clock, Service, a_comment, running

WORDS = ("một", "hai", "ba", "bốn", "năm")  # not numbers: texts that differ in those are twins


def told(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def test_a_verdict_has_all_that_a_site_needs(service: Service) -> None:
    sent = a_comment(
        "Xem <b>đây</b> <script>alert(1)</script>, hỏi lan@gmail.com",
        author={"name": "Lan", "email": "lan@gmail.com", "url": "lan.example/blog"},
    )

    answer = service.post(sent)

    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == [
        "id", "verdict", "scores", "reasons", "model", "policy", "publishable",
    ]  # fmt: skip
    assert body["verdict"] == "queue"
    assert [set(reason) for reason in body["reasons"]] == [{"code", "message", "field", "evidence"}]
    assert body["reasons"][0]["code"] == "text.active_markup"
    assert set(body["scores"]) == {"spam", "toxicity"}
    assert body["policy"] == service.site.policy_version
    shown = body["publishable"]
    assert list(shown) == ["name", "url", "rel", "html"]
    assert (shown["name"], shown["url"]) == ("Lan", "http://lan.example/blog")
    assert shown["rel"] == "nofollow ugc"
    assert "<b>đây</b>" in shown["html"]
    assert "l•••@gmail.com" in shown["html"]
    assert "<script" not in shown["html"]
    assert "lan@" not in answer.text


def test_what_was_answered_is_stored(service: Service) -> None:
    answered = service.post(a_comment("Một bình luận để đọc lại.")).json()

    stored = service.store.comment([service.site.id], answered["id"])
    read = service.get(f"/v1/comments/{answered['id']}").json()

    assert stored is not None
    assert stored.verdict.outcome.word == answered["verdict"] == read["verdict"] == read["state"]
    assert {name: read[name] for name in answered} == answered


def test_a_plain_comment_is_accepted(service: Service) -> None:
    assert service.post(a_comment("Bài này rõ ràng, cảm ơn.")).json()["verdict"] == "accept"


# ------------------------------------------------------------------ the form's rules

EVERYTHING_WRONG = {"content": "", "author": {"name": "", "email": "khong-phai", "url": "ftp://x"}}


def test_all_errors_of_the_form_are_told_at_once_in_wordpress_order(fresh: Service) -> None:
    answer = fresh.post(EVERYTHING_WRONG)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["verdict"] == "reject"
    assert told(answer) == [
        ("author.name", "required"),
        ("author.email", "invalid_email"),
        ("author.url", "url_scheme"),
        ("content", "required"),
    ]
    assert fresh.stored() == 0


def test_nothing_at_all_misses_what_is_required(service: Service) -> None:
    assert told(service.post({})) == [
        ("author.name", "required"),
        ("author.email", "required"),
        ("content", "required"),
    ]


@pytest.mark.parametrize(
    "email", ["a@b", "a b@c.vn", "@c.vn", "a@c..vn", "a@-c.vn", "<a@c.vn>", "a@c.vn, b@c.vn"]
)
def test_what_is_no_address_is_refused(service: Service, email: str) -> None:
    answer = service.post(a_comment(author={"name": "Lan", "email": email}))

    assert told(answer) == [("author.email", "invalid_email")]


@pytest.mark.parametrize(
    "email",
    ["lan+blog@gmail.com", "đặng@thư.vn", "用户@例子.广告", "A.B@GMAIL.COM", "x@xn--mnchen-3ya.de"],
)
def test_addresses_of_every_kind_are_taken(service: Service, email: str) -> None:
    assert service.post(a_comment(author={"name": "Lan", "email": email})).status_code == 200


@pytest.mark.parametrize("kind", ["pingback", "trackback"])
def test_a_ping_needs_neither_name_nor_address(service: Service, kind: str) -> None:
    assert service.post({"content": "[…] xem bài […]", "type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "article", "language", "sentence"),
    [
        ("vi", "", "vi", "Bạn chưa nhập tên."),
        ("en-GB,en;q=0.9", "vi", "en", "name"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "en", "vi", "tên"),
        ("en;q=0.1, vi;q=0.9", "en", "vi", "tên"),
        ("fr", "vi", "vi", "tên"),
        ("", "vi", "vi", "tên"),
        ("", "fr", "en", "name"),
        (";;q=,*;q=2", "", "en", "name"),
        ("x" * 5000, "vi-VN", "vi", "tên"),
    ],
)
def test_errors_are_worded_for_the_visitor(
    service: Service, accepted: str, article: str, language: str, sentence: str
) -> None:
    sent = a_comment(author={"email": "lan@gmail.com"}, article={"language": article})

    answer = service.post(sent, Accept_Language=accepted)

    assert answer.headers["content-language"] == language
    assert sentence.rstrip(".").split()[-1] in answer.json()["errors"][0]["message"]


def test_a_sites_own_form_rules_hold(tmp_path: Path) -> None:
    rules = FormRules(require_name=False, require_email=False, require_url=True)
    with running(tmp_path / "var", policy=Policy(form=rules, audit_rate=0)) as service:
        refused = service.post({"content": "Hay"})
        taken = service.post({"content": "Hay", "author": {"url": "https://a.example/"}})

    assert told(refused) == [("author.url", "required")]
    assert taken.status_code == 200


# ------------------------------------------------------------------ who is calling


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer nobody-knows-it",
        "Bearer duyet_" + "a" * 43,
        "Basic bm9ib2R5OngK",
        "bearer\tx",
        "Bearer " + "k" * 10_000,
        "Bearer ké",
        "Bearer \u00ff\u00fe",
        "Bearer ' OR 1=1 --",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/comments"),
        ("POST", "/v1/comments/batch"),
        ("GET", f"/v1/comments/{NO_SUCH_ID}"),
        ("POST", f"/v1/comments/{NO_SUCH_ID}/report"),
        ("POST", f"/v1/comments/{NO_SUCH_ID}/decision"),
        ("DELETE", f"/v1/comments/{NO_SUCH_ID}/decision"),
        ("GET", "/v1/queue"),
    ],
)
def test_an_unknown_key_is_401(
    service: Service, method: str, path: str, authorization: str
) -> None:
    with service.client("") as client:
        headers = [(b"Authorization", authorization.encode("latin-1"))]
        answer = client.request(method, path, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_ends_within_the_seconds_it_is_remembered(tmp_path: Path) -> None:
    with running(tmp_path / "var") as service:
        service.store.rotate_key(service.site.id)

        answer = service.post(a_comment())  # nobody had used it, so nothing is remembered

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("POST", "/report", {"kind": "spam"}),
        ("POST", "/decision", {"outcome": "accept"}),
        ("DELETE", "/decision", None),
    ],
)
def test_another_sites_comment_cannot_be_told_from_none(
    service: Service, method: str, suffix: str, body: Any
) -> None:
    theirs = service.post(a_comment("Của blog.")).json()["id"]
    with service.client(service.other_key) as client:
        other = client.request(method, f"/v1/comments/{theirs}{suffix}", json=body)
        none = client.request(method, f"/v1/comments/{NO_SUCH_ID}{suffix}", json=body)

    varying = {"x-request-id", "date"}
    assert (other.status_code, other.json()["code"]) == (404, "unknown_comment")
    assert other.content == none.content
    assert {k: v for k, v in other.headers.items() if k not in varying} == {
        k: v for k, v in none.headers.items() if k not in varying
    }
    assert service.get(f"/v1/comments/{theirs}").json()["decision"] is None


@pytest.mark.parametrize(
    "comment_id",
    [
        "batch",
        "0",
        "%00",
        "%FF",
        "..",
        "%2e%2e%2fx",
        "a" * 5000,
        "%F0%9F%92%A9",
        "'%20OR%201=1",
        "a%20b",
    ],
)
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", "/decision")])
def test_an_id_that_is_none_is_404(
    service: Service, comment_id: str, method: str, suffix: str
) -> None:
    with service.client() as client:
        answer = client.request(method, f"/v1/comments/{comment_id}{suffix}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/comments", "POST"),
        ("PUT", "/v1/comments", "POST"),
        ("DELETE", "/v1/comments/batch", "POST"),
        ("PATCH", f"/v1/comments/{NO_SUCH_ID}", "GET"),
        ("GET", f"/v1/comments/{NO_SUCH_ID}/report", "POST"),
        ("POST", "/v1/queue", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    service: Service, method: str, path: str, allowed: str
) -> None:
    with service.client() as client:
        answer = client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (405, "wrong_method")
    assert answer.headers["content-type"] == PROBLEM
    assert allowed in answer.headers["allow"]


# ------------------------------------------------------------------ policy and clock


def test_an_audit_of_all_queues_everything_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "var", policy=Policy(audit_rate=1)) as service:
        answers = [service.post(a_comment(f"Bình luận {word}.")).json() for word in WORDS]
        queue = service.get("/v1/queue").json()

    assert {answer["verdict"] for answer in answers} == {"queue"}
    assert {answer["reasons"][-1]["code"] for answer in answers} == {"audit.sample"}
    assert [item["id"] for item in queue["items"]] == [answer["id"] for answer in answers]
    assert queue["waiting"] == 5


def test_without_a_model_everything_is_queued_and_the_service_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path / "var", has_model=False) as service:
        answer = service.post(a_comment()).json()
        ready = service.get("/readyz")
        alive = service.get("/healthz")
        stored = service.store.comment(None, answer["id"])

    assert (answer["verdict"], answer["scores"], answer["model"]) == ("queue", None, "")
    assert [reason["code"] for reason in answer["reasons"]] == ["score.unavailable"]
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert "no champion" in ready.json()["detail"]
    assert alive.status_code == 200
    assert stored is not None
    assert stored.waiting_since is not None


def test_failing_open_is_a_sites_written_choice(tmp_path: Path) -> None:
    policy = Policy(audit_rate=0, fail_open=True)
    with running(tmp_path / "var", policy=policy, has_model=False) as service:
        assert service.post(a_comment()).json()["verdict"] == "accept"


def test_a_clock_before_1970_changes_neither_ids_nor_order_nor_times(tmp_path: Path) -> None:
    clock = Clock(datetime(1969, 12, 31, 20, 0, tzinfo=UTC))
    with running(tmp_path / "var", policy=Policy(audit_rate=1), now=clock) as service:
        ids = [service.post(a_comment(f"Số {word}")).json()["id"] for word in WORDS]
        read = [service.get(f"/v1/comments/{one}").json() for one in ids]
        waiting = [item["id"] for item in service.get("/v1/queue").json()["items"]]
        decided = service.post({"outcome": "accept"}, f"/v1/comments/{ids[0]}/decision").json()

    times = [datetime.fromisoformat(one["received_at"]) for one in read]
    assert len(set(ids)) == len(WORDS)
    assert waiting == ids
    assert times == sorted(times)
    assert times[0] < datetime(1970, 1, 1, tzinfo=UTC)
    assert all(one["received_at"].endswith(("Z", "+00:00")) for one in read)
    assert decided["state"] == "accept"
