"""Requests that come before the one ahead of them is answered: over real sockets."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from service.connections import HeadLimited
from tests.serving import exchanged, request, served

UNREADABLE = [b"http://x", b"http://", b"http://x:999999/", b"//\x7f"]


class Short(HeadLimited):
    head_seconds = 0.3
    talk_seconds = 0.0
    opened: list["Short"] = []  # noqa: RUF012  read by the tests

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.opened.append(self)
        super().connection_made(transport)


async def slow(request: Request) -> PlainTextResponse:
    body = await request.body()
    await asyncio.sleep(0.15)
    return PlainTextResponse(f"read {len(body)}")


async def headers(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse(request.headers.items())


@pytest.fixture
def port() -> Iterator[int]:
    Short.opened.clear()
    routes = [
        Route("/slow", slow, methods=["POST"]),
        Route("/headers", headers, methods=["GET", "POST"]),
    ]
    with served(Starlette(routes=routes), http=Short, connections=16) as port:
        yield port


def post(body: bytes = b"abc", path: str = "/slow", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def unreadable(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def is_served_soon(port: int) -> bool:
    """Whether a new caller finds room, at last."""
    until = time.monotonic() + 10
    while statuses(exchanged(port, request("/slow"))) != [200]:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("target", UNREADABLE)
def test_a_target_that_cannot_be_read_is_400_after_the_answers_before_it(
    port: int, target: bytes
) -> None:
    assert statuses(exchanged(port, unreadable(target))) == [400]
    assert statuses(exchanged(port, post() + unreadable(target))) == [200, 400]
    assert statuses(exchanged(port, post() + post() + unreadable(target))) == [200, 200, 400]


@pytest.mark.parametrize("target", UNREADABLE)
def test_it_leaves_nothing_of_its_connection(port: int, target: bytes) -> None:
    for _ in range(32):  # twice as many as may be open at once
        with socket.create_connection(("127.0.0.1", port), timeout=5) as gone:
            gone.sendall(post() + unreadable(target))
    assert is_served_soon(port)


def test_what_comes_behind_one_that_waits_is_left_as_it_came(port: int) -> None:
    many = 10_000
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.settimeout(20)
        connection.sendall(post() + b"GET /headers HTTP/1.1\r\nHost: x\r\n\r\n" * many)
        longest, said = 0, b""
        while said.count(b"HTTP/1.1 200 OK") < 50:
            said += connection.recv(65_536)
            longest = max([longest, *(len(one.pipeline) for one in Short.opened)])
    assert longest < 100


def test_all_of_many_are_answered_in_their_order(port: int) -> None:
    sent = b"".join(post(b"x" * size, path="/slow") for size in range(3))
    sent += b"".join(
        f"GET /headers HTTP/1.1\r\nHost: x\r\nX-Number: {at}\r\n\r\n".encode() for at in range(300)
    )
    said = exchanged(port, sent + request("/slow", b"12345"))
    assert statuses(said) == [200] * 304
    numbers = [int(part.split(b'"')[0]) for part in said.split(b'["x-number","')[1:]]
    assert numbers == [*range(300)]
    assert re.findall(rb"read \d", said) == [b"read 0", b"read 1", b"read 2", b"read 5"]


@pytest.mark.waits
def test_a_body_behind_an_answered_request_has_its_own_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        whole = post(b"abcdef")
        connection.sendall(post() + whole[:-3])
        time.sleep(0.6)  # twice what a head may take
        connection.sendall(whole[-3:])
        said = b""
        while not said.endswith(b"read 6"):
            part = connection.recv(65_536)
            assert part, "hung up on"
            said += part
    assert statuses(said) == [200, 200]


def test_who_owes_a_body_behind_an_answered_request_makes_room(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Short, "head_seconds", 15.0)  # no clock makes it
    held = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(16)]
    try:
        for connection in held:
            connection.sendall(post() + post(b"abc")[:-1])
        assert is_served_soon(port)
    finally:
        for connection in held:
            connection.close()


def test_who_says_no_more_in_the_middle_of_a_request_hears_the_answer_before(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Short, "head_seconds", 15.0)  # what it would be waited for otherwise
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post() + post(b"abc")[:-1])
        connection.shutdown(socket.SHUT_WR)
        began, said = time.monotonic(), b""
        while part := connection.recv(65_536):
            said += part
    assert statuses(said) == [200]
    assert time.monotonic() - began < 10, "and then the connection ends"


@pytest.mark.parametrize("pieces", [1, 2])
def test_blanks_behind_a_value_are_none_of_it(port: int, pieces: int) -> None:
    sent = request("/headers", b"a", headers="X-Some: value \t \r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for at in range(pieces):
            connection.sendall(sent[at * 20 : (at + 1) * 20 if at < pieces - 1 else None])
            time.sleep(0.05)
        said = b""
        while part := connection.recv(65_536):
            said += part
    assert b'["x-some","value"]' in said


def test_what_follows_the_chunks_is_no_header(port: int) -> None:
    head = "POST /headers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    sent = f"{head}Connection: close\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    said = exchanged(port, sent.encode())
    assert statuses(said) == [200]
    assert b"authorization" not in said


def test_a_refusal_of_the_connections_own_says_when_it_was(port: int) -> None:
    assert b"\r\ndate: " in exchanged(port, unreadable(b"http://x")).lower()


@pytest.mark.parametrize("hosts", ["", "Host: a\r\nHost: b\r\n"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_does_not_name_one_host_is_refused(
    port: int, hosts: str, method: str
) -> None:
    head = f"{method} /headers HTTP/1.1\r\n{hosts}Content-Length: 0\r\n\r\n"
    assert statuses(exchanged(port, head.encode())) == [400]
    older = head.replace("HTTP/1.1", "HTTP/1.0")
    assert statuses(exchanged(port, older.encode())) == [400 if hosts else 200]
