"""What OpenAPI says is what is answered."""

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.api.service import NO_SUCH_ID, PROBLEM, Service, a_comment, running

NDJSON = "application/x-ndjson"
OTHER_PROTOCOLS = ("/1.1/", "/1.2/", "/v1alpha1/", "/coral/")
FULL = a_comment(
    author={"name": "Lan", "email": "lan@gmail.com", "url": "x.vn", "ip": "203.0.113.7",
            "user_agent": "x"},
    article={"title": "Bài", "language": "vi", "published_at": "2026-01-30T08:00:00+07:00"},
    parent_id="7", type="reply", external_id="8",
    form={"honeypot": "", "seconds_to_fill": 12.5},
)  # fmt: skip


@pytest.fixture(scope="module")
def described(service: Service) -> dict[str, Any]:
    answer = service.get("/openapi.json")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def problems_with(described: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Where a value is not what a schema of the description says."""
    whole = {**schema, "components": described["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def answer_schema(described: dict[str, Any], method: str, path: str, answer: Any) -> dict[str, Any]:
    """What is said of an answer with this status and type."""
    told = described["paths"][path][method]["responses"][str(answer.status_code)]
    kind = answer.headers["content-type"].partition(";")[0]
    schema: dict[str, Any] = told["content"][kind]["schema"]
    return schema


COMMENTS, BATCH = "/v1/comments", "/v1/comments/batch"
ONE = "/v1/comments/{comment_id}"
REPORT, DECISION, QUEUE = f"{ONE}/report", f"{ONE}/decision", "/v1/queue"


ACCEPT = {"outcome": "accept"}
HUGE = b" " * 600_000


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("post", COMMENTS, FULL, 200),
        ("post", COMMENTS, {}, 422),
        ("post", COMMENTS, {"content": 1}, 422),
        ("post", COMMENTS, b"{", 400),
        ("post", COMMENTS, HUGE, 413),
        ("post", BATCH, [FULL, {}, 7], 200),
        ("post", BATCH, 7, 422),
        ("get", ONE, None, 200),
        ("post", REPORT, {"kind": "spam"}, 200),
        ("post", REPORT, {"kind": "x"}, 422),
        ("post", REPORT, HUGE, 413),
        ("post", DECISION, {"outcome": "reject", "reason": "spam"}, 200),
        ("post", DECISION, {"outcome": "reject"}, 422),
        ("post", DECISION, b"", 400),
        ("post", DECISION, HUGE, 413),
        ("delete", DECISION, None, 409),
        ("get", QUEUE, None, 200),
        ("get", f"{QUEUE}?limit=0", None, 422),
    ],
)
def test_answers_are_as_described(
    service: Service, *, described: dict[str, Any], method: str, path: str, body: Any, status: int
) -> None:
    answer = asked(service, waiting(service), method, path, body)

    schema = answer_schema(described, method, path.partition("?")[0], answer)
    assert answer.status_code == status
    assert problems_with(described, schema, answer.json()) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [("get", ONE, None, 200), ("post", DECISION, ACCEPT, 409), ("delete", DECISION, None, 200)],
)
def test_answers_about_a_decided_comment_are_as_described(
    service: Service, *, described: dict[str, Any], method: str, path: str, body: Any, status: int
) -> None:
    comment_id = waiting(service)
    asked(service, comment_id, "post", DECISION, ACCEPT)

    answer = asked(service, comment_id, method, path, body)

    assert answer.status_code == status
    schema = answer_schema(described, method, path, answer)
    assert problems_with(described, schema, answer.json()) == []


def waiting(service: Service) -> str:
    """The id of a comment that waits for a person."""
    return str(service.post(a_comment(form={"honeypot": "đầy"})).json()["id"])


def asked(service: Service, comment_id: str, method: str, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with service.client(Content_Type="application/json") as client:
        return client.request(method, path.format(comment_id=comment_id), content=content)


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", COMMENTS), ("post", BATCH), ("get", ONE), ("post", REPORT), ("post", DECISION),
     ("delete", DECISION), ("get", QUEUE)],
)  # fmt: skip
@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_refused_key_is_as_described(
    service: Service, described: dict[str, Any], method: str, path: str, key: str
) -> None:
    with service.client(key) as client:
        answer = client.request(method, path.format(comment_id=NO_SUCH_ID))

    schema = answer_schema(described, method, path, answer)
    assert answer.status_code == 401
    assert problems_with(described, schema, answer.json()) == []
    assert described["paths"][path][method]["security"] == [{"site key": []}]


def test_without_a_model_answers_are_as_described(described: dict[str, Any], tmp_path: Any) -> None:
    with running(tmp_path / "var", has_model=False) as service:
        answers = [
            (COMMENTS, service.post(FULL)),
            (BATCH, service.post([FULL, {}], BATCH)),
        ]
        ready = service.get("/readyz")

    assert [
        problem
        for path, answer in answers
        for problem in problems_with(
            described, answer_schema(described, "post", path, answer), answer.json()
        )
    ] == []
    assert problems_with(described, {"$ref": "#/components/schemas/ProblemOut"}, ready.json()) == []


def body_schema(described: dict[str, Any], path: str, kind: str = "application/json") -> Any:
    return described["paths"][path]["post"]["requestBody"]["content"][kind]["schema"]


@pytest.mark.parametrize(
    ("path", "kind", "body", "is_right"),
    [
        (COMMENTS, "application/json", FULL, True),
        (COMMENTS, "application/json", {}, True),
        (COMMENTS, "application/json", {"content": None, "more": 1}, True),
        (COMMENTS, "application/json", {"content": 1}, False),
        (COMMENTS, "application/json", {"type": "essay"}, False),
        (COMMENTS, "application/json", [], False),
        (BATCH, "application/json", [FULL], True),
        (BATCH, "application/json", [FULL] * 1001, False),
        (BATCH, "application/json", FULL, False),
        (BATCH, NDJSON, FULL, True),
        (REPORT, "application/json", {"kind": "ham"}, True),
        (REPORT, "application/json", {}, False),
        (DECISION, "application/json", {"outcome": "accept"}, True),
        (DECISION, "application/json", {"outcome": "queue"}, False),
    ],
)
def test_bodies_are_described_as_they_are_read(
    service: Service, described: dict[str, Any], path: str, kind: str, body: Any, is_right: bool
) -> None:
    assert (problems_with(described, body_schema(described, path, kind), body) == []) is is_right


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert names <= set(described["components"]["schemas"])
    assert "HTTPValidationError" not in names  # no answer of ours has that form


def test_problems_are_said_to_be_problems(described: dict[str, Any]) -> None:
    kinds = [
        set(answer["content"])
        for path, operations in described["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status >= "400" and not path.startswith(OTHER_PROTOCOLS)
    ]

    assert len(kinds) > 30
    assert set().union(*kinds) == {PROBLEM}


def test_the_explorer_works_offline(service: Service) -> None:
    page = service.get("/docs")
    parts = [service.get(f"/docs/{name}") for name in (
        "start.js", "assets/swagger-ui-bundle.js", "assets/swagger-ui.css", "assets/favicon.png"
    )]  # fmt: skip

    assert [answer.status_code for answer in (page, *parts)] == [200] * 5
    assert "http://" not in page.text
    assert "https://" not in page.text
