"""Requests that are turned away before they are any: over real sockets, whole and in pieces."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.access import SiteKeys
from service.admission import Admission
from service.api.akismet import CHECK
from service.api.perspective import ANALYZE
from service.api.turning_away import TurningAway
from service.connections import HeadLimited
from service.keyring import Keyring
from service.metrics import Metrics
from service.plain_post import Headers
from service.storage import Store
from tests.api.service import UNAUDITED, a_comment, running
from tests.migrated import lay_database
from tests.serving import exchanged, request, served

TURNED_AWAY = b'duyet_requests_refused_total{reason="overloaded"}'
ANSWER = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


class Busy:
    """Turns away /busy, and says what it was asked."""

    def __init__(self) -> None:
        self.is_needed = True
        self.asked: list[tuple[bytes, Headers]] = []

    def __call__(self, target: bytes, headers: Headers) -> bytes | None:
        self.asked.append((target, headers))
        return ANSWER if target == b"/busy" else None


class Short(HeadLimited):
    head_seconds = 0.2


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def port(busy: Busy) -> Iterator[int]:
    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"read {len(await request.body())}")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        yield {"turn_away": busy}

    routes = [Route(path, length, methods=["GET", "POST"]) for path in ("/busy", "/free")]
    with served(Starlette(routes=routes, lifespan=lifespan), http=Short) as port:
        yield port


def post(path: str, body: bytes = b"abc", headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_one_connection_is_turned_away_and_served_in_turn(port: int, busy: Busy) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(post("/busy"))
            assert connection.recv(65_536) == ANSWER
            connection.sendall(post("/free", b"ab"))
            assert connection.recv(65_536).endswith(b"read 2")

    assert [target for target, _ in busy.asked] == [b"/busy", b"/free"] * 3


@pytest.mark.parametrize("is_needed", [True, False])
@pytest.mark.parametrize("size", [0, 3, 60_000])
def test_a_body_in_pieces_is_awaited_and_thrown_away(
    port: int, busy: Busy, size: int, is_needed: bool
) -> None:
    busy.is_needed = is_needed
    sent = post("/busy", b"x" * size)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post("/free"))
        assert connection.recv(65_536).endswith(b"read 3")
        for part in (sent[:9], sent[9:70], sent[70:]):
            connection.sendall(part)
        connection.sendall(post("/free", b"ab"))
        answers = b""
        while not answers.endswith(b"read 2"):
            answers += connection.recv(65_536)

    assert answers.startswith(ANSWER + b"HTTP/1.1 200 OK")


def test_several_requests_at_once_are_answered_in_their_order(port: int) -> None:
    sent = post("/free", b"1") + post("/busy") + post("/free", b"22") + request("/busy", b"333")

    answer = exchanged(port, sent)

    # Behind one that is being served, none is turned away: its answer would come first.
    order = [part[-6:] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert order == [b"read 1", b"read 3", b"read 2", b"read 3"]


@pytest.mark.parametrize(
    ("headers", "is_turned_away"),
    [
        ("Connection: keep-alive\r\n", True),
        ("Connection: close\r\n", True),
        ("connection:Keep-Alive\r\n", True),
        ("X-Note: \xe9\t!\r\n", True),
        ("Expect: 100-continue\r\n", False),
    ],
)
def test_what_the_client_says_of_the_connection_counts(
    port: int, headers: str, is_turned_away: bool
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(post("/busy", headers=headers).replace(b"\xc3\xa9", b"\xe9"))
            answer = connection.recv(65_536)
            while answer[-16:] == b"100 Continue\r\n\r\n":
                answer += connection.recv(65_536)
            ends = b"connection: close\r\n" if "close" in headers else b""
            told = ANSWER.replace(b"\r\n\r\n", b"\r\n" + ends + b"\r\n", 1)
            assert (answer == told) == is_turned_away
            if ends:
                assert connection.recv(1) == b""
                break


def test_a_body_in_chunks_is_read_to_its_end(port: int) -> None:
    head = b"POST /busy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post("/free") + head)
        connection.sendall(b"3\r\nabc\r\n0\r\n\r\n" + request("/free", b"ab"))
        answers = b""
        while part := connection.recv(65_536):
            answers += part

    assert answers.endswith(b"read 2")
    assert ANSWER in answers or b"read 3HTTP/1.1 200 OK" in answers


@pytest.mark.parametrize(
    "odd",
    [
        b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        b"POST /busy HTTP/1.1\r\nHost: x\r\nContent Length: 3\r\n\r\nabc",
        b"POST /busy HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"POST /busy HTTP/9.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /busy HTTP/1.1\r\nA\x00: x\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_not_plain_is_for_the_parser_to_refuse(port: int, odd: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post("/busy"))
        assert connection.recv(65_536) == ANSWER
        connection.sendall(odd)
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_long_body_is_not_read_to_its_end(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post("/busy", b"x" * 200_000)[:150_000])
        assert connection.recv(65_536) == ANSWER
        assert connection.recv(1) == b""


def test_a_body_that_does_not_come_is_given_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert ANSWER not in connection.recv(65_536)


def test_only_posts_are_turned_away(port: int, busy: Busy) -> None:
    assert exchanged(port, request("/busy", method="GET")).endswith(b"read 0")
    assert not busy.asked


# ------------------------------------------------------------------ of the service


Said = tuple[int, dict[str, str], bytes]


@dataclass
class Flooded:
    """What turns away, of which admission has just turned somebody away."""

    metrics: Metrics
    turning_away: TurningAway

    def says(self, target: str, **headers: str) -> Said | None:
        """Status, headers and body of what a POST is told."""
        sent = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
        answer = self.turning_away(target.encode(), sent)
        if answer is None:
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        told = dict(line.split(": ", 1) for line in lines)
        assert int(told["content-length"]) == len(body)
        return int(line.split(" ")[1]), told, body


@pytest.fixture
def key_and_flooded(tmp_path: Path) -> Iterator[tuple[str, Flooded]]:
    keyring = Keyring.open(tmp_path / "secrets")
    store = Store.open(lay_database(tmp_path), keyring)
    store.migrate()
    _, key = store.add_site("blog", UNAUDITED)
    keys, admission, metrics = SiteKeys(store), Admission(soon=lambda _: None), Metrics()
    asyncio.run(keys.site_of(f"Bearer {key}"))
    admission.pace.took(1000, 60.0)
    for _ in range(1000):
        admission.enters("another", 1, 500)
    assert admission.expect("another") is not None
    yield key, Flooded(metrics, TurningAway(keys, admission, metrics))
    store.close()


@pytest.mark.parametrize("path", ["/v1/comments", "/v1/comments/batch", "/v1/comments?x=1"])
def test_a_comment_is_turned_away_as_a_problem(
    key_and_flooded: tuple[str, Flooded], path: str
) -> None:
    _, flooded = key_and_flooded

    first, second = flooded.says(path), flooded.says(path)

    assert first is not None
    assert second is not None
    status, headers, body = first
    assert status == json.loads(body)["status"] == 503
    assert json.loads(body)["code"] == "overloaded"
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["retry-after"]) > 60
    assert len(headers["x-request-id"]) == 16
    assert headers["x-request-id"] != second[1]["x-request-id"]


def test_other_doors_turn_away_in_words_of_their_own(
    key_and_flooded: tuple[str, Flooded],
) -> None:
    _, flooded = key_and_flooded

    wordpress = flooded.says(CHECK, user_agent="WordPress/6.9 | Akismet/5.6")
    discourse = flooded.says(CHECK, user_agent="Discourse/3")
    perspective = flooded.says(f"{ANALYZE}?key=x")

    assert wordpress is not None
    assert (wordpress[0], wordpress[2]) == (200, b"held")
    assert wordpress[1]["x-akismet-error"] == "unavailable"
    assert discourse is not None
    assert (discourse[0], discourse[2]) == (200, b"true")
    assert perspective is not None
    assert json.loads(perspective[2])["error"]["status"] == "UNAVAILABLE"


def test_a_site_that_has_less_than_its_share_is_let_in_and_a_stranger_is_not(
    key_and_flooded: tuple[str, Flooded],
) -> None:
    key, flooded = key_and_flooded
    for _ in range(100):  # fast again
        flooded.turning_away._admission.pace.took(1000, 0.0001)

    assert flooded.says("/v1/comments", authorization="Bearer unknown") is not None
    let_in = 0
    while flooded.says("/v1/comments", authorization=f"Bearer {key}") is None:
        let_in += 1
    assert 900 <= let_in <= 1100  # a thousand of the other site wait


@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/queue", "/v1/comments/x/report", "/1.1/submit-spam"]
)
def test_what_asks_for_no_verdict_is_let_in(
    key_and_flooded: tuple[str, Flooded], path: str
) -> None:
    assert key_and_flooded[1].says(path) is None


def test_who_is_turned_away_is_counted(key_and_flooded: tuple[str, Flooded]) -> None:
    _, flooded = key_and_flooded
    flooded.says("/v1/comments")
    flooded.says(CHECK)

    counts = flooded.metrics.text()[0].decode()
    assert 'duyet_requests_total{method="POST",route="/v1/comments",status="503"} 1.0' in counts
    assert 'duyet_requests_refused_total{reason="overloaded"} 2.0' in counts


def test_of_a_flood_some_are_judged_and_the_others_told_to_come_back(tmp_path: Path) -> None:
    body = json.dumps(a_comment("Bình luận")).encode()
    with running(tmp_path, DUYET_MAX_WAIT_SECONDS="0.000001") as service, ExitStack() as all_:
        service.post(a_comment("Trước đó"))  # so that it knows how long one takes
        other = sqlite3.connect(tmp_path / "duyet.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the first batch waits, and all behind it
        own = f"Authorization: Bearer {service.key}\r\n"
        connections = [
            all_.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
            for _ in range(200)
        ]
        for connection in connections:
            connection.sendall(post("/v1/comments", body, own))
        until = time.monotonic() + 20
        while TURNED_AWAY not in service.get("/metrics").content:
            assert time.monotonic() < until
        other.close()
        answers = [connection.recv(65_536) for connection in connections]
        judged = sum(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        stored = service.stored()

    turned_away = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
    assert judged == stored - 1 >= 64
    assert len(turned_away) == 200 - judged > 0
    assert all(b"\r\nretry-after: " in answer for answer in turned_away)
