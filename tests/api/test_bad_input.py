"""Whatever is sent has a defined answer, a problem that repeats nothing of it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.api.service import PROBLEM, Service, a_comment, running
from tests.judging_cases import any_text
from tests.serving import exchanged

CANARY = "kanarienvogel"
LONGEST = 65_525


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "var", DUYET_BODY_TIMEOUT_SECONDS="0.3") as service:
        yield service


def raw(service: Service, head: str, body: bytes = b"", *, path: str = "/v1/comments") -> bytes:
    start = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n{head}\r\n"
    return exchanged(service.port, start.encode("latin-1") + body)


def said(answer: bytes) -> tuple[int, str]:
    """Status and code of an answer that is a problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-type: {PROBLEM}".encode() in head.lower()
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    return problem["status"], problem["code"]


def nested(depth: int) -> bytes:
    return b'{"content":' + b"[" * depth + b"]" * depth + b"}"


# ------------------------------------------------------------------ bodies that are refused


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "broken_json"),
        (b" \r\n\t ", 400, "broken_json"),
        (b"\xef\xbb\xbf", 400, "broken_json"),
        (b"null", 422, "wrong_fields"),
        (b"[]", 422, "wrong_fields"),
        (b'"kanarienvogel"', 422, "wrong_fields"),
        (b'{"content": "kanarienvogel', 400, "broken_json"),
        (b"{'content': 'kanarienvogel'}", 400, "broken_json"),
        (b'{"content": "kanarienvogel"} {}', 400, "broken_json"),
        (b'{"content": "kanarienvogel\xff"}', 400, "not_utf8"),
        (b'{"content": "kanarienvogel\xc0\x80"}', 400, "not_utf8"),
        (b'{"content": "\xed\xa0\x80 kanarienvogel"}', 400, "not_utf8"),
        ('{"content": "kanarienvogel"}'.encode("utf-16"), 400, "not_utf8"),
        (b'{"content": "kanarienvogel\x00"}', 400, "broken_json"),
        (b'{"content": "kanarienvogel\n"}', 400, "broken_json"),
        (b'{"content": "\\ud83d\\u00zz kanarienvogel"}', 400, "broken_json"),
        (nested(100_000), 400, "too_deep"),
        (b'{"x":' * 50_000, 400, "too_deep"),
        (b'{"content": 1' + b"0" * 5000 + b"}", 400, "broken_json"),
        (b'{"content": true, "author": "kanarienvogel"}', 422, "wrong_fields"),
        (b'{"author": {"name": ["kanarienvogel"]}}', 422, "wrong_fields"),
        (b'{"form": {"seconds_to_fill": NaN}}', 422, "wrong_fields"),
        (b'{"form": {"seconds_to_fill": Infinity}}', 422, "wrong_fields"),
        (b'{"form": {"seconds_to_fill": -Infinity}}', 422, "wrong_fields"),
        (b'{"form": {"seconds_to_fill": 1e999}}', 422, "wrong_fields"),
        (b'{"form": {"seconds_to_fill": "kanarienvogel"}}', 422, "wrong_fields"),
        (b'{"type": "kanarienvogel"}', 422, "wrong_fields"),
        (b'{"author": {"ip": "kanarienvogel"}}', 422, "wrong_fields"),
        (b'{"article": {"published_at": "kanarienvogel"}}', 422, "wrong_fields"),
        (b'{"article": {"language": "kanarienvogel!"}}', 422, "wrong_fields"),
        (b'{"external_id": "' + b"kanarienvogel" * 20 + b'"}', 422, "wrong_fields"),
        (b'{"permalink": "' + b"kanarienvogel" * 200 + b'"}', 422, "wrong_fields"),
    ],
    ids=range(32),
)
def test_a_bad_body_is_a_problem(service: Service, body: bytes, status: int, code: str) -> None:
    before = service.stored()

    answer = service.post(body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == PROBLEM
    assert CANARY not in answer.text
    assert service.stored() == before


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/xml", "kanarienvogel", "application/x-ndjson", "a" * 5000],
)  # fmt: skip
def test_another_content_type_is_415(service: Service, content_type: str) -> None:
    answer = service.post(a_comment(), Content_Type=content_type)

    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_content_type")
    assert answer.headers["content-type"] == PROBLEM
    assert CANARY not in answer.text


def test_ten_megabytes_are_413(service: Service) -> None:
    answer = service.post(a_comment(CANARY * 800_000))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert CANARY not in answer.text


def test_chunks_that_grow_without_end_are_413(service: Service) -> None:
    chunk = b"2710\r\n" + b"a" * 10_000 + b"\r\n"

    answer = raw(service, "Transfer-Encoding: chunked\r\n", chunk * 100)

    assert said(answer) == (413, "body_too_large")


@pytest.mark.parametrize("sent", [b"5\r\nabcde\r\n", b"ffff\r\nabc", b""])
def test_chunks_that_never_end_are_408(impatient: Service, sent: bytes) -> None:
    assert said(raw(impatient, "Transfer-Encoding: chunked\r\n", sent)) == (408, "body_timeout")


def test_a_body_that_is_shorter_than_announced_is_408(impatient: Service) -> None:
    assert said(raw(impatient, "Content-Length: 100\r\n", b"{}")) == (408, "body_timeout")


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (f"X-Huge: {CANARY * 5000}\r\n", 431, "head_too_large"),
        ("".join(f"X-{n}: {CANARY}\r\n" for n in range(3000)), 431, "head_too_large"),
        (f"{CANARY}\r\n", 400, "broken_request"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400, "broken_request"),
        ("Content-Length: -1\r\n", 400, "broken_request"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400, "broken_request"),
        (f"Idempotency-Key: {CANARY * 50}\r\nContent-Length: 2\r\n", 422, "wrong_fields"),
    ],
    ids=["one header", "many headers", "no header", "two lengths", "negative", "two ways", "key"],
)
def test_a_bad_head_is_a_problem(service: Service, head: str, status: int, code: str) -> None:
    answer = raw(service, f"Connection: close\r\n{head}", b"{}")

    assert said(answer) == (status, code)
    assert CANARY.encode() not in answer


def test_a_client_that_leaves_in_the_middle_harms_nobody(service: Service) -> None:
    head = f"POST /v1/comments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n"
    for sent in (head, f"{head}Content-Length: 100\r\n\r\n{{"):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(sent.encode())

    assert service.post(a_comment()).status_code == 200


# ------------------------------------------------------------------ texts that are taken


@pytest.mark.parametrize(
    ("language", "sentence"), [("vi", "quá dài"), ("en", "too long")], ids=["vi", "en"]
)
def test_a_byte_too_many_is_told_in_the_visitors_language(
    service: Service, language: str, sentence: str
) -> None:
    answer = service.post(a_comment("a" * (64 * 1024 + 1)), Accept_Language=language)

    body = answer.json()
    assert (answer.status_code, body["verdict"]) == (422, "reject")
    assert [(e["field"], e["code"]) for e in body["errors"]] == [("content", "too_long")]
    assert sentence in body["errors"][0]["message"].lower()
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize(("letter", "size"), [("a", 1), ("đ", 2), ("字", 3), ("😀", 4)])
def test_the_limit_counts_bytes(service: Service, letter: str, size: int) -> None:
    longest = letter * (LONGEST // size)

    assert service.post(a_comment(longest)).status_code == 200
    assert service.post(a_comment(longest + letter)).status_code == 422


def shown(service: Service, content: str | bytes) -> Any:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    body = b'{"content": %s, "author": {"name": "A", "email": "a@gmail.com"}}' % text
    answer = service.post(body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "content",
    [rb'"half \ud83d"', rb'"half \udE00 an emoji"', rb'"\udc00\ud800 x"', rb'"\\\ud800"'],
)
def test_half_an_emoji_is_repaired(service: Service, content: bytes) -> None:
    answer = shown(service, content)

    stored = service.store.comment(None, answer["id"])
    assert stored is not None
    assert "\ufffd" in stored.submission.content
    assert "\ufffd" in answer["publishable"]["html"]


def test_nul_is_replaced(service: Service) -> None:
    answer = shown(service, "a\0b")

    stored = service.store.comment(None, answer["id"])
    assert stored is not None
    assert stored.submission.content == "a\ufffdb"


@pytest.mark.parametrize(
    "override", ["\u202e", "\u202d", "\u202a", "\u2066", "&#x202e;", "&#8238;"]
)
def test_nothing_published_turns_the_text_around(service: Service, override: str) -> None:
    answer = shown(service, f"Tải <b>{override}gpj.exe</b>")

    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067") & set(answer["publishable"]["html"])


def test_an_override_is_queued_for_a_person(service: Service) -> None:
    reasons = shown(service, "Tải \u202egpj.exe ngay")["reasons"]

    assert "text.direction" in [reason["code"] for reason in reasons]


def test_zalgo_is_cut_down_and_queued(service: Service) -> None:
    answer = shown(service, "Z" + "\u0335\u0321\u0327\u0300" * 200 + "algo")

    assert "text.stacked_marks" in [reason["code"] for reason in answer["reasons"]]
    assert len(answer["publishable"]["html"]) < 20


def test_a_comment_of_links_alone_is_queued_or_worse(service: Service) -> None:
    answer = shown(service, "http://a.vn " * 5400)

    assert answer["verdict"] in ("queue", "reject")
    assert {"code": "links.too_many", "evidence": "5400×"}.items() <= next(
        reason for reason in answer["reasons"] if reason["code"] == "links.too_many"
    ).items()


def test_ten_thousand_links_are_too_long(service: Service) -> None:
    answer = service.post(a_comment("http://a.vn " * 10_000))

    assert [e["code"] for e in answer.json()["errors"]] == ["too_long"]


def test_of_a_name_given_twice_the_last_counts(service: Service) -> None:
    twice = b'{"content": "mot", "content": "hai", "author": {"name":"A","email":"a@gmail.com"}}'

    assert service.post(twice).json()["publishable"]["html"] == "hai"


@pytest.mark.parametrize("content", ["", "   ", "\u00a0\u3000", "\u200b\u2060", "<br>", "<b></b>"])
def test_a_comment_in_which_nothing_shows_is_missing(service: Service, content: str) -> None:
    answer = service.post(a_comment(content))

    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("content", "required")]


# ------------------------------------------------------------------ whatever else comes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["content", "author", "name", "email", "url", "form", "type", "article"]
            )
            | any_text,
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("path", ["/v1/comments", "/v1/comments/batch"])
@given(value=json_values)
@example(value={"content": "x", "author": {"name": "\ud800", "email": "a@\ud800.vn"}})
@example(value=[{"content": "x", "author": {"name": "A", "url": "http://[::1"}}] * 3)
def test_no_json_value_breaks_the_service(service: Service, path: str, value: Any) -> None:
    answer = service.post(value, path)

    assert answer.status_code in (200, 422, 400)
    assert answer.status_code == 200 or answer.headers["content-type"] == PROBLEM
    assert {item["status"] for item in answer.json().get("items", [])} <= {200, 422}


@given(body=st.binary(max_size=200))
def test_no_bytes_break_the_service(service: Service, body: bytes) -> None:
    assert service.post(body).status_code in (400, 422)


UNSAFE = ("<script", "<iframe", "<img", "<svg", "<style", "<object", "<form", "javascript:", "<!--")
markup = st.lists(
    st.sampled_from(
        ["<script>", "</script>", "<a href=", "javascript:alert(1)", '"', "'", ">", "<", "<b>",
         "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "&lt;script&gt;", "<!--", "-->",
         "<a href='http://x.vn' onclick=x>", "data:text/html,x", "\0", "\u2028", "</b>", "<math>",
         "<style>", "<plaintext>", "<textarea>", "<noscript>", "x", "&#x6a;avascript:"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(text=any_text | markup, name=any_text | markup)
@example(text="<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", name="x")
@example(text="<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>", name="")
def test_what_is_published_runs_nothing(service: Service, text: str, name: str) -> None:
    answer = service.post(a_comment(text, author={"name": name, "email": "a@gmail.com"}))

    assert answer.status_code in (200, 422)
    html = answer.json().get("publishable", {"html": ""})["html"].lower()
    # Escaped, all of it may be read; as markup, nothing of it may be there.
    tags = [tag for tag in html.split("<")[1:] if tag.strip()]
    assert not [unsafe for unsafe in UNSAFE if unsafe.startswith("<") and unsafe in html]
    assert not [tag for tag in tags if "javascript:" in tag.partition(">")[0]]
    assert not [tag for tag in tags if " on" in tag.partition(">")[0]]
