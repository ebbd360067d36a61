"""What people and sites say of a comment afterwards, over HTTP."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from model.verdict import Reason
from tests.api.service import NO_SUCH_ID, PROBLEM, Service, a_comment
from tests.storage.cases import VERDICT, asked, put

QUEUED = {"form": {"honeypot": "đầy"}}


def queued(service: Service, content: str) -> str:
    answer = service.post(a_comment(content, **QUEUED)).json()
    assert answer["verdict"] == "queue"
    return str(answer["id"])


def decide(service: Service, comment_id: str, outcome: str, reason: str | None = None) -> Any:
    sent = {"outcome": outcome, "reason": reason}
    return service.post(sent, f"/v1/comments/{comment_id}/decision")


def test_a_queued_comment_is_accepted_and_leaves_the_queue(fresh: Service) -> None:
    comment = queued(fresh, "Chờ duyệt")
    waiting = fresh.get("/v1/queue").json()

    answer = decide(fresh, comment, "accept").json()

    assert [item["id"] for item in waiting["items"]] == [comment]
    assert waiting["waiting"] == 1
    assert (answer["verdict"], answer["state"]) == ("queue", "accept")
    assert answer["decision"]["moderator"] == "site blog"
    assert fresh.get("/v1/queue").json() == {"items": [], "waiting": 0, "next": None}


@pytest.mark.parametrize("reason", ["spam", "toxic", "off_topic", "other"])
def test_a_rejection_has_a_reason(service: Service, reason: str) -> None:
    answer = decide(service, queued(service, f"Từ chối {reason}"), "reject", reason).json()

    assert (answer["state"], answer["decision"]["reason"]) == ("reject", reason)


@pytest.mark.parametrize(
    "sent",
    [{}, {"outcome": "reject"}, {"outcome": "accept", "reason": "spam"}, {"outcome": "queue"},
     {"outcome": "reject", "reason": "kanarienvogel"}, {"outcome": ["accept"]}, [], None, 1],
)  # fmt: skip
def test_a_decision_that_is_none_changes_nothing(service: Service, sent: Any) -> None:
    comment = queued(service, "Không đổi")

    answer = service.post(sent, f"/v1/comments/{comment}/decision")

    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert "kanarienvogel" not in answer.text
    assert service.get(f"/v1/comments/{comment}").json()["decision"] is None


def test_the_second_who_decides_is_told_what_stands(service: Service) -> None:
    comment = queued(service, "Hai người")
    decide(service, comment, "accept")

    answer = decide(service, comment, "reject", "spam")

    assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")
    assert answer.json()["standing"]["outcome"] == "accept"
    assert service.get(f"/v1/comments/{comment}").json()["state"] == "accept"


def test_an_undo_brings_back_what_was_and_a_second_one_is_409(service: Service) -> None:
    comment = queued(service, "Hoàn tác")
    before = service.get(f"/v1/comments/{comment}").json()
    decide(service, comment, "reject", "spam")

    with service.client() as client:
        undone, twice = (client.delete(f"/v1/comments/{comment}/decision") for _ in range(2))

    assert undone.json() == before
    assert (twice.status_code, twice.json()["code"]) == (409, "nothing_to_undo")


@pytest.mark.parametrize(
    ("kind", "state"), [("spam", "queue"), ("toxic", "queue"), ("ham", "accept")]
)
def test_a_report_against_what_is_in_force_queues(service: Service, kind: str, state: str) -> None:
    unknown = {"name": "Hoa", "email": f"hoa-{kind}@gmail.com"}
    comment = service.post(a_comment(f"Báo cáo {kind}", author=unknown)).json()

    answer = service.post({"kind": kind}, f"/v1/comments/{comment['id']}/report").json()

    assert (comment["verdict"], answer["verdict"], answer["state"]) == ("accept", "accept", state)


@pytest.mark.parametrize("sent", [{}, {"kind": "kanarienvogel"}, {"kind": None}, []])
def test_a_report_that_is_none_is_refused(service: Service, sent: Any) -> None:
    comment = service.post(a_comment()).json()["id"]

    answer = service.post(sent, f"/v1/comments/{comment}/report")

    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_fields")
    assert "kanarienvogel" not in answer.text


@pytest.mark.parametrize("path", ["report", "decision"])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 600_000, "application/json", 413),
    ],
)
def test_bodies_are_read_as_strictly_as_a_comments(
    service: Service, path: str, body: bytes, kind: str, status: int
) -> None:
    comment = service.post(a_comment()).json()["id"]

    answer = service.post(body, f"/v1/comments/{comment}/{path}", Content_Type=kind)

    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


# ------------------------------------------------------------------ the queue


def pages(service: Service, order: str, limit: int) -> list[str]:
    ids: list[str] = []
    after: str | None = ""
    while after is not None:
        page = service.get(f"/v1/queue?order={order}&limit={limit}&after={after}").json()
        ids += [item["id"] for item in page["items"]]
        after = page["next"]
    return ids


@pytest.mark.parametrize("order", ["oldest", "riskiest"])
@pytest.mark.parametrize("limit", [1, 2, 5, 200])
def test_pages_hold_everything_once(service: Service, order: str, limit: int) -> None:
    ids = [queued(service, word) for word in ("một", "hai", "ba")]

    found = pages(service, order, limit)

    assert len(found) == len(set(found))
    assert set(ids) <= set(found)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=1e3", "limit=" + "9" * 5000,
     "order=kanarienvogel", "after=kanarienvogel", "after=%00", "after=" + "a" * 201,
     "after=W10", "after=e30", "after=WyJvbGRlc3QiLDFlOTk5LCJ4Il0",
     "after=WyJyaXNraWVzdCIsMC41LCJ4Il0", "after=WyJvbGRlc3QiLE5hTiwieCJd"],
)  # fmt: skip
def test_a_query_that_is_none_is_refused(service: Service, query: str) -> None:
    answer = service.get(f"/v1/queue?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_fields")
    assert answer.headers["content-type"] == PROBLEM
    assert "kanarienvogel" not in answer.text


def test_a_site_sees_its_own_queue_only(service: Service) -> None:
    ours = queued(service, "Của blog")

    with service.client(service.other_key) as client:
        theirs = client.get("/v1/queue").json()

    assert ours not in [item["id"] for item in theirs["items"]]


def test_a_reason_that_only_another_version_knows_is_told_by_its_code(fresh: Service) -> None:
    one = asked(fresh.site, datetime(2026, 1, 1, tzinfo=UTC))
    put(fresh.store, one, by=replace(VERDICT, reasons=(Reason("text.gone", "content", "3"),)))

    read = fresh.get(f"/v1/comments/{one.comment_id}").json()
    (waiting,) = fresh.get("/v1/queue").json()["items"]

    assert [reason["message"] for reason in read["reasons"]] == ["text.gone"]
    assert waiting["reasons"] == read["reasons"]


def test_addresses_in_the_queue_are_masked(service: Service) -> None:
    sent = a_comment(
        "viết cho lan@gmail.com",
        author={"name": "lan@gmail.com", "email": "lan@gmail.com", "url": "x.vn/?m=lan@gmail.com"},
        **QUEUED,
    )
    comment = service.post(sent).json()["id"]

    items = service.get("/v1/queue?limit=200").json()["items"]

    item = next(item for item in items if item["id"] == comment)
    assert item["author"]["email"] == "l•••@gmail.com"
    assert "lan@" not in str(item)


def test_a_wrong_method_is_told_all_that_are_right(service: Service) -> None:
    with service.client() as client:
        answer = client.patch(f"/v1/comments/{NO_SUCH_ID}/decision")

    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, POST")
