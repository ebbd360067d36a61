"""Many comments in one request: results in order, and each for itself."""

import json
from pathlib import Path

import pytest

from tests.api.service import PROBLEM, Service, a_comment, running

BATCH = "/v1/comments/batch"
NDJSON = "application/x-ndjson"


def numbered(count: int) -> list[dict[str, object]]:
    return [a_comment(f"Bình luận thứ {n}") for n in range(count)]


def test_results_come_in_the_order_of_the_comments(fresh: Service) -> None:
    sent = numbered(1000)

    answer = fresh.post(sent, BATCH)

    items = answer.json()["items"]
    assert [item["index"] for item in items] == list(range(1000))
    assert {item["status"] for item in items} == {200}
    assert [item["answer"]["publishable"]["html"] for item in items] == [
        one["content"] for one in sent
    ]
    assert len({item["answer"]["id"] for item in items}) == fresh.stored() == 1000


def test_one_comment_more_than_a_thousand_is_refused_whole(fresh: Service) -> None:
    answer = fresh.post(numbered(1001), BATCH)

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_items")
    assert fresh.stored() == 0


BAD: list[object] = [7, None, "x", [], {"content": 1}, {"content": ""}, {"author": {"email": "x"}}]


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
def test_bad_items_do_not_fail_the_rest(service: Service, lines: bool) -> None:
    sent = [a_comment("Đầu"), *BAD, a_comment("Cuối")]
    body = "\n".join(map(json.dumps, sent)).encode() if lines else json.dumps(sent).encode()

    answer = service.post(body, BATCH, Content_Type=NDJSON if lines else "application/json")

    items = answer.json()["items"]
    assert answer.status_code == 200
    assert [item["status"] for item in items] == [200, *[422] * len(BAD), 200]
    assert [("answer" in item, "problem" in item) for item in items] == [
        (item["status"] == 200, item["status"] != 200) for item in items
    ]
    assert [item["problem"]["code"] for item in items[1:-1]] == [
        *["wrong_fields"] * 5,
        *["submission_invalid"] * 2,
    ]


def test_a_broken_line_fails_alone(service: Service) -> None:
    good = json.dumps(a_comment("Dòng tốt")).encode()
    lines = [good, b'{"content": "x', b"\xff", b'{"content":"\\ud800', b"[" * 1000, good]

    answer = service.post(b"\n".join(lines), BATCH, Content_Type=NDJSON)

    assert [item["status"] for item in answer.json()["items"]] == [200, 400, 400, 400, 400, 200]


def test_each_refusal_speaks_its_own_articles_language(service: Service) -> None:
    sent = [{"article": {"language": tag}} for tag in ("vi", "en", "fr")]

    items = service.post(sent, BATCH, Accept_Language="").json()["items"]

    sentences = [item["problem"]["errors"][0]["message"] for item in items]
    assert "tên" in sentences[0]
    assert "name" in sentences[1]
    assert sentences[1] == sentences[2]


def test_an_empty_batch_is_an_empty_answer(service: Service) -> None:
    assert service.post([], BATCH).json() == {"items": []}


def test_a_batch_without_a_model_says_so_of_each(tmp_path: Path) -> None:
    with running(tmp_path / "var", has_model=False) as service:
        items = service.post(numbered(3), BATCH).json()["items"]

    assert [item["answer"]["scores"] for item in items] == [None] * 3


@pytest.mark.parametrize("body", [b"", b"7", b'"x"', b"[1,", b"[" * 600_000, b"," * 5_000_000])
def test_what_is_no_batch_is_a_problem(service: Service, body: bytes) -> None:
    answer = service.post(body, BATCH)

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM


def test_thirty_three_megabytes_are_413(service: Service) -> None:
    assert service.post(b"[" + b" " * 33 * 1024 * 1024, BATCH).status_code == 413
