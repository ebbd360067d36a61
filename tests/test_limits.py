import asyncio
import gzip
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.body_limit import BodyLimit
from service.connections import HeadLimited
from service.problems import Problem, install
from service.room import RESERVED_FILES
from service.storage import Role
from tests.api.service import a_comment, running
from tests.serving import exchanged, request, served

LIMIT = 100_000
TCP_REPAIR = 19  # of linux/tcp.h


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


class Patient(HeadLimited):
    talk_seconds = 60.0


class Impatient(HeadLimited):
    talk_seconds = 0.0
    unread_seconds = 0.2


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


def open_to(port: int) -> int:
    """Connections to a port of this machine that the kernel calls established."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split()[1:4:2] for line in lines]
    return sum(int(end.split(":")[1], 16) == port and state == "01" for end, state in ends)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can leave a connection half open: run as root"
)
def test_who_vanishes_without_a_word_leaves_nothing_open(impatient_port: int) -> None:
    whole = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    for sent in (b"", whole[:20], whole[:-2], whole):
        with socket.create_connection(("127.0.0.1", impatient_port), timeout=20) as client:
            client.sendall(sent)
            if sent == whole:
                assert status_of(client.recv(65_536)) == 200
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # so that closing says nothing
    assert open_to(impatient_port) == 4

    until = time.monotonic() + 20
    while open_to(impatient_port) and time.monotonic() < until:
        time.sleep(0.05)

    assert open_to(impatient_port) == 0
    assert status_of(exchanged(impatient_port, request("/measure", b"abc"))) == 200


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

    assert problem_of(answer)["code"] == "head_too_large"


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"],
)
def test_what_is_not_http_is_a_bad_request(port: int, sent: bytes) -> None:
    answer = exchanged(port, sent)

    assert problem_of(answer)["code"] == "broken_request"


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, chunked", "xchunked"])
def test_a_body_in_a_coding_that_is_not_read_is_refused(port: int, coding: str) -> None:
    whole = in_chunks(1000, ended=True)

    answer = exchanged(port, whole.replace(b"chunked", coding.encode()))

    assert problem_of(answer)["code"] == "broken_request"


def test_the_clock_runs_for_a_head_that_begins_behind_a_request(impatient_port: int) -> None:
    first = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

    answer = exchanged(impatient_port, first + b"POST /measure HTTP/1.1\r\nX: ")

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"HTTP/1.1 408 " in answer


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


@pytest.mark.parametrize("path", ["/measure", "/batch"])
def test_a_compressed_body_is_told_to_come_uncompressed(port: int, path: str) -> None:
    body = gzip.compress(b"{}")

    answer = exchanged(port, request(path, body, headers="Content-Encoding: gzip\r\n"))

    assert problem_of(answer)["code"] == "wrong_content_type"
    assert "without Content-Encoding" in str(problem_of(answer)["detail"])
    assert b"\r\naccept-encoding: identity" in answer.lower()


def test_a_body_that_is_said_to_be_as_it_is_is_read(port: int) -> None:
    answer = exchanged(port, request("/measure", b"abc", headers="Content-Encoding: identity\r\n"))

    assert answer.endswith(b"\r\n\r\n3")


# ------------------------------------------------------------------ connections

MOST = 32
ASK = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
HALF = ASK[:40]


class Callers:
    """Connections that stay open until the end of a test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open: list[socket.socket] = []

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.open.append(connection)
        connection.sendall(sent)
        return connection

    def answered(self, sent: bytes = ASK) -> socket.socket:
        """A connection that was answered and is idle now."""
        connection = self.connect(sent)
        assert is_answered(connection)
        return connection

    def close(self) -> None:
        for connection in self.open:
            connection.close()


@pytest.fixture
def callers() -> Iterator[Callers]:
    with served(app_that_measures(), http=Patient, connections=MOST) as port:
        callers = Callers(port)
        yield callers
        callers.close()


def is_answered(connection: socket.socket) -> bool:
    """Whether the length of the body of ASK comes back, read to the end."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n3") and (part := connection.recv(65_536)):
        answer += part
    return answer.startswith(b"HTTP/1.1 200 ")


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has hung up, as far as can be known now."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.settimeout(20)


def test_the_longest_idle_are_closed_for_the_new(callers: Callers) -> None:
    opened = [callers.answered() for _ in range(3 * MOST)]

    kept = MOST - MOST // 16
    assert [connection.recv(1) for connection in opened[:-kept]] == [b""] * (3 * MOST - kept)
    assert not any(is_closed(connection) for connection in opened[-kept + 1 :])


def test_who_asked_a_moment_ago_is_not_the_longest_idle(callers: Callers) -> None:
    first = callers.answered()
    for _ in range(3 * MOST):
        callers.answered()
        first.sendall(ASK)
        assert is_answered(first)

    assert not is_closed(first)


def test_over_the_limit_is_503_while_everybody_is_talking(callers: Callers) -> None:
    talking = [callers.connect(HALF) for _ in range(MOST)]

    answer = exchanged(callers.port, request("/measure", b"abc"))
    for connection in talking:
        connection.sendall(ASK[len(HALF) :])

    assert problem_of(answer)["code"] == "overloaded"
    assert problem_of(answer)["detail"] == f"All {MOST} connections are in use."
    assert b"\r\nretry-after: 5\r\n" in answer.lower()
    assert all(is_answered(connection) for connection in talking)


def test_who_sends_too_slowly_makes_room_for_the_new() -> None:
    with served(app_that_measures(), http=Impatient, connections=MOST) as port:
        callers = Callers(port)
        slow = [callers.connect(part) for part in (HALF, b"", ASK[:-1]) for _ in range(MOST // 3)]

        new = [callers.connect(HALF) for _ in range(10)]
        too_many = len(slow) + len(new) - MOST
        assert [c.recv(1) for c in slow[:too_many]] == [b""] * too_many
        for connection in new:
            connection.sendall(ASK[len(HALF) :])

        assert all(is_answered(connection) for connection in new)
        assert not any(is_closed(c) for c in slow[too_many:])
        callers.close()


def test_nobody_who_is_being_answered_is_closed() -> None:
    go_on = threading.Event()
    entered = threading.Semaphore(0)

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        entered.release()
        await asyncio.to_thread(go_on.wait, 20)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    most = 4  # as many as there are threads to wait in, anywhere
    with served(quiet(waits), http=Impatient, connections=most) as port:
        callers = Callers(port)
        answered = [callers.connect(ASK) for _ in range(most)]
        for _ in answered:
            assert entered.acquire(timeout=20)

        refused = [exchanged(port, request("/measure")) for _ in range(10)]
        go_on.set()

        assert {status_of(answer) for answer in refused} == {503}
        assert [status_of(connection.recv(65_536)) for connection in answered] == [200] * most
        callers.close()


def quiet(app: ASGIApp) -> ASGIApp:
    """The app without a lifespan."""

    async def served_app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    return served_app


def test_very_many_over_the_limit_do_not_wait_to_be_told() -> None:
    with served(app_that_measures(), http=Patient, connections=16) as port:
        callers = Callers(port)
        for _ in range(16):
            callers.connect(HALF)

        turned_away = [callers.connect() for _ in range(100)]
        told = [answer_or_nothing(connection) for connection in turned_away]

        assert told.count(b"") >= 1
        assert {status_of(answer) for answer in told if answer} == {503}
        callers.close()


def answer_or_nothing(connection: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return connection.recv(65_536)
    return b""


def test_an_answer_that_is_not_read_is_given_up() -> None:
    given_up = threading.Event()

    async def endless() -> Any:
        try:
            while True:
                yield b"a" * 65_536
                await asyncio.sleep(0)
        finally:
            given_up.set()

    app = FastAPI(docs_url=None, redoc_url=None)
    app.add_api_route("/endless", lambda: StreamingResponse(endless()), response_model=None)
    with served(app, http=Impatient, connections=MOST) as port:
        callers = Callers(port)
        callers.connect(request("/endless", method="GET"))

        assert given_up.wait(20)
        callers.close()


def test_a_body_that_nobody_waits_for_ends_all_the_same(impatient_port: int) -> None:
    head = b"POST /locked HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"

    answer = exchanged(impatient_port, head)

    assert status_of(answer) == 401  # and then the connection was closed, or this would not end


@pytest.mark.parametrize(("soft", "hard", "fits"), [(512, 4096, 1000), (300, 300, 25)])
def test_open_files_are_raised_as_far_as_they_may(soft: int, hard: int, fits: int) -> None:
    program = (
        "import resource; from service.room import connections_that_fit as fit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "print(fit(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    found, raised = map(int, done.stdout.split())
    assert found == fits
    assert found + RESERVED_FILES <= raised <= hard


def test_idle_and_slow_connections_take_nothing_from_comments(tmp_path: Path) -> None:
    """A small form of `python -m benchmarks.connections`."""
    crowd = 600
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * crowd + RESERVED_FILES:
        pytest.skip(f"needs {2 * crowd + RESERVED_FILES} open files: `ulimit -n 4096`")
    with running(tmp_path / "var", DUYET_MAX_CONNECTIONS="64") as service, ExitStack() as stack:
        callers = Callers(service.port)
        stack.callback(callers.close)
        alive = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        client = stack.enter_context(service.client())
        times = []
        for place in range(crowd):
            callers.connect(HALF if place % 15 == 0 else alive)
            if place % 10 == 0:
                started = time.monotonic()
                answer = client.post("/v1/comments", json=a_comment(f"câu {place}"))
                times.append(time.monotonic() - started)
                assert answer.status_code == 200

    assert statistics.median(times) < 1


def test_who_listens_for_what_is_new_leaves_connections_for_comments(tmp_path: Path) -> None:
    at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    with (
        running(tmp_path / "var", now=lambda: at, DUYET_MAX_CONNECTIONS="16") as service,
        ExitStack() as stack,
    ):
        someone = service.store.add_moderator("lan", Role.MODERATOR)
        token = service.store.new_sign_in_link(someone.id, timedelta(minutes=10))
        desk = stack.enter_context(service.client("", origin=service.url))
        assert desk.post("/sign-in", data={"token": token}).status_code == 303
        answers = [
            stack.enter_context(desk.stream("GET", "/queue/events")).status_code for _ in range(8)
        ]
        comment = service.post(a_comment())

    assert answers == [200] * 4 + [503] * 4
    assert comment.status_code == 200
