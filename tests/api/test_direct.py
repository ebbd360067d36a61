"""The short way answers a comment as the framework's way does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.admission import Overloaded
from service.app import build
from service.keyring import Keyring
from service.problems import answers
from service.settings import load_settings
from service.storage import Store
from tests.api.service import UNAUDITED, Clock, a_comment, model_at, signed
from tests.migrated import lay_database
from tests.serving import exchanged, served

LONG = a_comment("Một đoạn dài. " * 3000)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[bool, int], str]]:
    """Ports of two services over one store, with and without the short way; a site's key."""
    directory: Path = tmp_path_factory.mktemp("direct")
    model_at(directory / "models")
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    lay_database(directory)
    keyring = Keyring.open(settings.secrets_dir)
    store = Store.open(settings.sqlalchemy_url, keyring)
    store.migrate()
    signed(settings)
    _, key = store.add_site("blog", UNAUDITED)
    apps = {}
    for is_direct in (True, False):
        own = Store.open(settings.sqlalchemy_url, keyring, now=Clock())
        app = apps[is_direct] = build(settings, own, now=Clock())
        if not is_direct:
            app.short_ways.clear()
    assert "/v1/comments" in apps[True].short_ways
    with served(apps[True]) as direct, served(apps[False]) as framework:
        yield {True: direct, False: framework}, key
    store.close()


def answered(port: int, key: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    own = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    named = {name: value for name, value in (own | headers).items() if value}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as http:
        return http.post("/v1/comments", content=content, headers=named)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (a_comment("Bình luận thường"), {}, 200),
        (a_comment("<b>Đậm</b> https://x.vn a@b.vn"), {"Accept-Language": "vi"}, 200),
        (LONG, {}, 200),
        (a_comment(author={"name": "", "email": "x"}), {"Accept-Language": "vi"}, 422),
        ({"content": 1}, {}, 422),
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"", {}, 400),
        (b" " * 600_000, {}, 413),
        (a_comment(), {"Content-Type": "text/plain"}, 415),
        (a_comment(), {"Content-Type": ""}, 200),
        (a_comment(), {"Authorization": "Bearer nobody"}, 401),
        (a_comment(), {"Authorization": ""}, 401),
        (a_comment(), {"Idempotency-Key": "k" * 300}, 422),
    ],
)
def test_both_ways_answer_alike(
    both: tuple[dict[bool, int], str], body: Any, headers: dict[str, str], status: int
) -> None:
    ports, key = both

    direct, framework = (answered(ports[way], key, body, headers) for way in (True, False))

    assert direct.status_code == framework.status_code == status
    assert comparable(direct) == comparable(framework)


def comparable(answer: httpx.Response) -> tuple[dict[str, Any], dict[str, str]]:
    """All but what differs from one request to the next, and what history adds to reasons."""
    body = answer.json()
    for name in ("id", "reasons", "verdict"):
        body.pop(name, None)
    told = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
    if answer.status_code == 200:
        told.pop("content-length")
    return body, told


def test_a_key_of_one_way_is_known_to_the_other(both: tuple[dict[bool, int], str]) -> None:
    ports, key = both
    sent = a_comment("Gửi lại"), {"Idempotency-Key": "một lần".encode().hex()}

    first, again = (answered(ports[way], key, *sent).json() for way in (True, False))

    assert first == again


def test_of_a_header_sent_twice_the_first_counts(both: tuple[dict[bool, int], str]) -> None:
    ports, key = both
    body = json.dumps(a_comment()).encode()
    head = (
        f"POST /v1/comments HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\nAuthorization: Bearer other\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    told = [exchanged(ports[way], head.encode() + body).split(b" ")[1] for way in (True, False)]

    assert told == [b"200", b"200"]


def test_a_body_in_chunks_is_read_whole(both: tuple[dict[bool, int], str]) -> None:
    ports, key = both
    body = json.dumps(a_comment("Từng mẩu")).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
    head = (
        f"POST /v1/comments HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    answer = exchanged(ports[True], head.encode() + chunks + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200")


def test_the_overloaded_say_when_to_come_back() -> None:
    response = answers({Overloaded: "overloaded"})(Overloaded(6.2))

    assert response is not None
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
