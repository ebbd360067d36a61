import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request

from service.limits import BodyLimit, HeadLimited
from service.problems import Problem, install
from tests.serving import exchanged, request, served

LIMIT = 100_000


class ShortHeads(HeadLimited):
    head_seconds = 0.2


def app_that_measures(timeout_seconds: float = 10.0) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.post("/measure")
    @app.post("/batch")
    async def measure(request: Request) -> int:
        return len(await request.body())

    @app.post("/locked")
    async def locked() -> int:
        raise Problem("unknown_key")

    app.add_middleware(
        BodyLimit,
        max_bytes=LIMIT,
        timeout_seconds=timeout_seconds,
        by_path={"/batch": 2 * LIMIT},
    )
    install(app)
    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(app_that_measures()) as port:
        yield port


@pytest.fixture
def impatient_port() -> Iterator[int]:
    with served(app_that_measures(timeout_seconds=0.2), http=ShortHeads) as port:
        yield port


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    parsed: dict[str, object] = json.loads(body)
    assert parsed["status"] == status_of(answer)
    return parsed


def said_before_hanging_up(port: int, sent: bytes) -> bytes:
    try:
        return exchanged(port, sent)
    except ConnectionResetError:
        return b""


def in_chunks(size: int, *, ended: bool) -> bytes:
    head = b"POST /measure HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"3e8\r\n" + b"a" * 1000 + b"\r\n"
    return head + chunk * (size // 1000) + (b"0\r\n\r\n" if ended else b"")


def test_a_body_of_exactly_the_limit_is_read(port: int) -> None:
    answer = exchanged(port, request("/measure", b"a" * LIMIT))

    assert answer.endswith(b"\r\n\r\n100000")


def test_a_byte_more_is_too_large(port: int) -> None:
    answer = exchanged(port, request("/measure", b"a" * (LIMIT + 1)))

    assert problem_of(answer)["code"] == "body_too_large"


def test_a_path_may_have_a_limit_of_its_own(port: int) -> None:
    answer = exchanged(port, request("/batch", b"a" * (LIMIT + 1)))

    assert status_of(answer) == 200


def test_ten_megabytes_are_refused_and_the_answer_arrives(port: int) -> None:
    answer = exchanged(port, request("/measure", b"a" * 10_000_000))

    assert problem_of(answer)["status"] == 413


@pytest.mark.parametrize("ended", [True, False])
def test_chunks_are_counted_as_they_arrive(port: int, ended: bool) -> None:
    answer = exchanged(port, in_chunks(5_000_000, ended=ended))

    assert problem_of(answer)["code"] == "body_too_large"


def test_an_announcement_too_large_is_refused_before_a_byte_of_it_comes(port: int) -> None:
    head = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"

    answer = exchanged(port, head)

    assert problem_of(answer)["code"] == "body_too_large"


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"9" * 40, b"\xb2", b"5, 6"])
def test_a_length_that_is_none_is_a_bad_request(port: int, length: bytes) -> None:
    head = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\nabc"

    answer = exchanged(port, head)

    assert problem_of(answer)["code"] == "broken_request"


def test_an_answer_that_did_not_need_the_body_arrives_before_all_of_it(port: int) -> None:
    answer = exchanged(port, request("/locked", b"a" * (LIMIT - 1)))

    assert problem_of(answer)["code"] == "unknown_key"


def test_a_body_that_does_not_come_is_given_up(impatient_port: int) -> None:
    head = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"

    answer = exchanged(impatient_port, head)

    assert problem_of(answer)["code"] == "body_timeout"


def test_a_head_that_does_not_end_is_given_up(impatient_port: int) -> None:
    answer = exchanged(impatient_port, b"POST /measure HTTP/1.1\r\nHost: x\r\nX-A: ")

    assert problem_of(answer)["code"] == "head_timeout"


def test_a_connection_that_says_nothing_is_closed(impatient_port: int) -> None:
    answer = exchanged(impatient_port, b"")

    assert answer == b""


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X-Long: " + b"a" * 40_000 + b"\r\n\r\n", id="one header"),
        pytest.param(b"X-Long: " + b"a" * 2_000_000, id="one header without end"),
        pytest.param(b"X-Short: a\r\n" * 5_000 + b"\r\n", id="many headers"),
        pytest.param(b"Cookie: " + b"b" * 300_000 + b"\r\n\r\n", id="larger than one read"),
    ],
)
def test_a_huge_head_is_431(port: int, head: bytes) -> None:
    answer = exchanged(port, b"POST /measure HTTP/1.1\r\nHost: x\r\n" + head)

    assert problem_of(answer)["code"] == "head_too_large"


def test_a_huge_address_is_431(port: int) -> None:
    answer = exchanged(port, b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert problem_of(answer)["code"] == "head_too_large"


def test_a_large_head_within_the_limit_is_served(port: int) -> None:
    answer = exchanged(port, request("/measure", headers="X-Long: " + "a" * 30_000 + "\r\n"))

    assert status_of(answer) == 200


def test_a_header_after_the_chunks_cannot_grow_without_end(port: int) -> None:
    trailer = b"0\r\nX-Long: " + b"a" * 2_000_000

    answer = said_before_hanging_up(port, in_chunks(1000, ended=False) + trailer)

    assert answer == b""  # the request was being answered already; two answers would mix


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"],
)
def test_what_is_not_http_is_a_bad_request(port: int, sent: bytes) -> None:
    answer = exchanged(port, sent)

    assert problem_of(answer)["code"] == "broken_request"


def test_two_requests_on_one_connection_are_both_served(port: int) -> None:
    first = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

    answer = exchanged(port, first + request("/measure", b"ab"))

    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_the_body_clock_stops_when_the_body_is_complete() -> None:
    async def slow_reader(scope: object, receive: object, send: object) -> None:
        first = await receive()  # type: ignore[operator]
        second = await receive()  # type: ignore[operator]
        seen.extend([first["type"], second["type"]])

    async def run() -> None:
        messages = asyncio.Queue[Any]()
        messages.put_nowait({"type": "http.request", "body": b"abc", "more_body": False})
        asyncio.get_running_loop().call_later(
            0.05, messages.put_nowait, {"type": "http.disconnect"}
        )
        limited = BodyLimit(slow_reader, max_bytes=10, timeout_seconds=0.01)
        scope = {"type": "http", "path": "/", "headers": [(b"content-length", b"3")]}
        await limited(scope, messages.get, messages.put)

    seen: list[str] = []

    asyncio.run(run())

    assert seen == ["http.request", "http.disconnect"]
