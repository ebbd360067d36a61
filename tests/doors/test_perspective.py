"""Perspective's protocol by hand: what is asked, what is told, what is kept, what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.admission import Overloaded
from service.storage import StoreUnavailable
from tests.api.service import Service, running
from tests.serving import exchanged

ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
BOTH: dict[str, Any] = {"TOXICITY": {}, "SPAM": {}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("perspective")) as service:
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as service:
        yield service


def call(
    service: Service,
    body: object,
    path: str = ANALYZE,
    *,
    key: str | None = None,
    **headers: str,
) -> httpx.Response:
    """The answer to a body, made JSON unless it is bytes; with the site's key unless another."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = service.key if key is None else key
    with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as http:
        return http.post(
            path,
            content=content,
            params={"key": key, "alt": "json"} if key else {},
            headers={"Content-Type": "application/json"} | headers,
        )


def asking(text: str = "Cảm ơn bài viết!", **more: Any) -> dict[str, Any]:
    return {"comment": {"text": text}, "requestedAttributes": BOTH} | more


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error, which has Google's shape."""
    assert answer.headers["content-type"].startswith("application/json")
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == answer.status_code
    assert error["message"]
    assert error["status"]
    return error


def test_the_scores_are_those_of_the_verdict(fresh: Service) -> None:
    text = "Mua ngay kẻo lỡ 😀 http://shop.example"
    fresh.store.set_perspective_stores(fresh.site.id, stores=True)

    answer = call(fresh, asking(text, clientToken="a1", languages=["vi"]))

    told = answer.json()
    assert answer.status_code == 200
    assert (told["clientToken"], told["languages"]) == ("a1", ["vi"])
    [stored] = rows(fresh, "SELECT toxicity, spam FROM verdicts")
    for name, value in zip(BOTH, stored, strict=True):
        score = told["attributeScores"][name]["summaryScore"]
        [span] = told["attributeScores"][name]["spanScores"]
        assert score == {"value": value, "type": "PROBABILITY"}
        assert span == {"begin": 0, "end": len(text) + 1, "score": score}  # 😀 is two in UTF-16


def test_only_what_was_asked_for_and_is_over_its_threshold_is_told(shared: Service) -> None:
    asked = {"TOXICITY": {"scoreThreshold": 1.0}, "SPAM": {"scoreType": "PROBABILITY"}}

    told = call(shared, asking(requestedAttributes=asked)).json()

    assert [*told["attributeScores"]] == ["SPAM"]


def test_nothing_is_kept_unless_the_site_wants_it_and_the_call_lets_it(fresh: Service) -> None:
    call(fresh, asking("Một."))
    fresh.store.set_perspective_stores(fresh.other_site.id, stores=True)
    call(fresh, asking("Hai.", doNotStore=True), key=fresh.other_key)
    assert fresh.stored() == 0

    call(fresh, asking("Ba.", doNotStore=False), key=fresh.other_key)

    [(site_id, content)] = rows(fresh, "SELECT site_id, content FROM comments")
    assert (site_id, content) == (fresh.other_site.id, "Ba.")


def test_a_suggestion_becomes_a_report_of_the_comment_with_that_text(fresh: Service) -> None:
    fresh.store.set_perspective_stores(fresh.site.id, stores=True)
    call(fresh, asking("Đồ ngu."))
    scores = {"TOXICITY": {"summaryScore": {"value": 0.9}}}

    answer = call(
        fresh,
        {"comment": {"text": "Đồ  ngu."}, "attributeScores": scores, "clientToken": "b"},
        SUGGEST,
    )

    [(comment_id,)] = rows(fresh, "SELECT id FROM comments")
    assert (answer.status_code, answer.json()) == (200, {"clientToken": "b"})
    assert [r.kind.value for r in fresh.store.reports_of(comment_id)] == ["toxic"]


@pytest.mark.parametrize(
    ("scores", "kinds"),
    [
        ({"SPAM": 1.0}, ["spam"]),
        ({"SPAM": 0.1, "TOXICITY": 0}, ["ham"]),
        ({"SPAM": 0.5, "TOXICITY": 1}, ["spam", "toxic"]),
    ],
)
def test_a_suggestion_for_a_comment_nobody_saw_is_judged_and_reported(
    fresh: Service, scores: dict[str, float], kinds: list[str]
) -> None:
    sent = {name: {"summaryScore": {"value": value}} for name, value in scores.items()}

    for _ in range(2):
        call(fresh, {"comment": {"text": "Chào."}, "attributeScores": sent}, SUGGEST)

    [(comment_id,)] = rows(fresh, "SELECT id FROM comments")
    assert sorted(r.kind.value for r in fresh.store.reports_of(comment_id)) == kinds


def test_another_site_s_comment_is_not_reported(fresh: Service) -> None:
    fresh.store.set_perspective_stores(fresh.site.id, stores=True)
    call(fresh, asking("Chào."))
    [(comment_id,)] = rows(fresh, "SELECT id FROM comments")
    sent = {"SPAM": {"summaryScore": {"value": 1}}}

    body = {"comment": {"text": "Chào."}, "attributeScores": sent}
    assert call(fresh, body, SUGGEST, key=fresh.other_key).status_code == 200

    assert fresh.store.reports_of(comment_id) == []


@pytest.mark.parametrize(
    "name",
    ["SEVERE_TOXICITY", "INSULT", "PROFANITY", "THREAT", "IDENTITY_ATTACK", "FLIRTATION"],
)
def test_what_is_not_measured_is_refused_by_name(shared: Service, name: str) -> None:
    error = error_of(call(shared, asking(requestedAttributes={"TOXICITY": {}, name: {}})))

    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert name in error["message"]
    assert error["details"][0]["errorType"] == "INVALID_REQUEST"


def test_no_error_repeats_what_was_sent(shared: Service) -> None:
    canary = "canary@example.org"
    bodies = [
        asking(requestedAttributes={canary: {}}),
        asking(requestedAttributes={"TOXICITY": {canary: 1}}),
        asking() | {canary: 1},
        asking(languages=[canary]),
        asking(clientToken={canary: canary}),
        {"comment": {"text": canary, "type": canary}, "requestedAttributes": BOTH},
        asking(context={"entries": canary}),
    ]
    for body in bodies:
        answer = call(shared, body)
        assert error_of(answer)["code"] == 400, body
        assert canary not in answer.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (asking(""), "COMMENT_EMPTY"),
        (asking(" \n"), "COMMENT_EMPTY"),
        ({"requestedAttributes": BOTH}, "COMMENT_EMPTY"),
        (asking(requestedAttributes={}), "NO_REQUESTED_ATTRIBUTES"),
        ({"comment": {"text": "Chào."}}, "NO_REQUESTED_ATTRIBUTES"),
        (asking(spanAnnotations="yes"), "INVALID_REQUEST"),
        (asking(requestedAttributes={"SPAM": {"scoreType": "STD_DEV_SCORE"}}), "INVALID_REQUEST"),
        (asking(requestedAttributes={"SPAM": {"scoreThreshold": "1"}}), "INVALID_REQUEST"),
        (
            asking(context={"entries": [{}], "articleAndParentComment": {"article": {}}}),
            "INVALID_REQUEST",
        ),
        (b"", "INVALID_REQUEST"),
        (b"[]", "INVALID_REQUEST"),
        (b"{", "INVALID_REQUEST"),
        (b"\xff\xfe", "INVALID_REQUEST"),
        (b"[" * 100_000, "INVALID_REQUEST"),
        (b"null", "INVALID_REQUEST"),
    ],
)
def test_a_call_that_cannot_be_answered_is_told_why(
    shared: Service, body: object, kind: str
) -> None:
    error = error_of(call(shared, body))

    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["errorType"] == kind


def test_a_suggestion_without_a_score_is_refused(shared: Service) -> None:
    wrong: list[Any] = [{}, None, {"SPAM": {}}, {"SPAM": None}]
    for scores in [*wrong, {"SPAM": {"summaryScore": {"value": 2}}}]:
        body = {"comment": {"text": "Chào."}, "attributeScores": scores}
        assert error_of(call(shared, body, SUGGEST))["code"] == 400


def test_fields_with_underscores_nulls_and_half_an_emoji_are_taken(shared: Service) -> None:
    body = rb"""{"comment": {"text": "\ud83d b\u0000", "type": "PLAIN_TEXT"}, "do_not_store": true,
        "requested_attributes": {"SPAM": {"score_threshold": 0}}, "languages": null,
        "context": {"articleAndParentComment": {"article": {"text": "x"}, "parentComment": {}}},
        "span_annotations": true, "session_id": "s", "community_id": "c"}"""

    answer = call(shared, body)

    assert answer.status_code == 200, answer.text
    assert "SPAM" in answer.json()["attributeScores"]


def test_a_key_is_asked_for_and_may_come_as_a_header(shared: Service) -> None:
    missing = error_of(call(shared, asking(), key=""))
    wrong = error_of(call(shared, asking(), key="duyet_wrong"))
    long = error_of(call(shared, asking(), key="k" * 5000))
    right = call(shared, asking(), key="", **{"X-Goog-Api-Key": shared.key})

    assert (missing["code"], missing["status"]) == (403, "PERMISSION_DENIED")
    assert wrong["status"] == long["status"] == "INVALID_ARGUMENT"
    assert right.status_code == 200


@pytest.mark.parametrize("path", [ANALYZE, SUGGEST])
@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Overloaded(3.0), 503, "UNAVAILABLE"),
        (StoreUnavailable("away"), 503, "UNAVAILABLE"),
        (RuntimeError("new"), 500, "INTERNAL"),
    ],
)
def test_whatever_goes_wrong_is_told_in_google_s_shape(
    shared: Service,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    error: Exception,
    code: int,
    status: str,
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("service.moderation.Moderation.check_one", fails)
    sent = {"SPAM": {"summaryScore": {"value": 1}}}
    body = (
        asking("Chưa ai thấy.")
        if path == ANALYZE
        else {"comment": {"text": "Chưa ai thấy."}, "attributeScores": sent}
    )

    answer = call(shared, body, path)

    told = error_of(answer)
    assert (told["code"], told["status"]) == (code, status)
    assert ("retry-after" in answer.headers) == (code == 503)


def test_a_site_over_its_rate_limit_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path, DUYET_RATE_LIMIT="0.01") as service:
        answers = [call(service, asking(f"Bình luận {n}")) for n in range(4)]

    assert answers[0].status_code == 200
    assert error_of(answers[-1])["status"] == "RESOURCE_EXHAUSTED"
    assert int(answers[-1].headers["retry-after"]) > 0


def test_too_large_a_comment_and_other_methods_have_google_s_shape(shared: Service) -> None:
    head = (
        f"POST {ANALYZE}?key={shared.key} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    )
    large = exchanged(shared.port, head.encode()).decode()
    with shared.client() as http:
        got, nowhere = http.get(ANALYZE), http.post("/v1alpha1/comments:delete", content=b"{}")

    assert '"errorType": "COMMENT_TOO_LONG"' in large
    assert error_of(got)["code"] == 405
    assert error_of(nowhere)["code"] == 404


def test_without_a_model_there_is_no_score(tmp_path: Path) -> None:
    with running(tmp_path, has_model=False) as service:
        error = error_of(call(service, asking()))

    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")


def rows(service: Service, statement: str) -> list[Any]:
    with service.store.reads() as connection:
        return list(connection.exec_driver_sql(statement))
