"""The straight way answers a whole plain request as the framework's way does."""

import gc
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from service.api.akismet.door import AkismetDoor
from service.api.comments import CommentDoor
from service.app import build
from service.keyring import Keyring
from service.moderation import Answered
from service.plain_post import plain_post
from service.settings import load_settings
from service.storage import Site, Store, StoreUnavailable
from tests.api.service import UNAUDITED, Clock, a_comment, model_at, running, signed
from tests.migrated import lay_database
from tests.serving import exchanged, served

STRAIGHT, USUAL = True, False


@dataclass(frozen=True)
class Both:
    """Ports of two services over one store, with and without the straight way; a site's keys."""

    ports: dict[bool, int]
    key: str
    forms_key: str


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory: Path = tmp_path_factory.mktemp("straight")
    model_at(directory / "models")
    settings = load_settings({"DUYET_DATA_DIR": str(directory), "DUYET_MAX_BODY_BYTES": "4096"})
    lay_database(directory)
    keyring = Keyring.open(settings.secrets_dir)
    store = Store.open(settings.sqlalchemy_url, keyring)
    store.migrate()
    signed(settings)
    site, key = store.add_site("blog", UNAUDITED)
    forms_key = store.new_akismet_key(site.id)
    apps = {}
    for way in (STRAIGHT, USUAL):
        own = Store.open(settings.sqlalchemy_url, keyring, now=Clock())
        app = apps[way] = build(settings, own, now=Clock())
        if way is USUAL:
            app.straight_ways.clear()
    with served(apps[STRAIGHT]) as straight, served(apps[USUAL]) as usual:
        ports = {STRAIGHT: straight, USUAL: usual}
        for port in ports.values():  # so that the keys are known
            exchanged(port, post(key, a_comment()))
            exchanged(port, post_form(a_form(forms_key)))
        yield Both(ports, key, forms_key)
    store.close()


def post(key: str, body: Any, *lines: str, close: bool = True) -> bytes:
    """One whole request."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {line.partition(":")[0].lower() for line in lines}
    own = [f"Authorization: Bearer {key}", "Content-Type: application/json"]
    head = [
        "POST /v1/comments HTTP/1.1",
        "Host: x",
        *(line for line in own if line.partition(":")[0].lower() not in named),
        *lines,
        f"Content-Length: {len(sent)}",
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + sent


def told(answer: bytes) -> tuple[bytes, list[bytes], dict[str, Any]]:
    """Status line, headers and body, but for what differs from one request to the next."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    said = json.loads(body)
    for name in ("id", "reasons", "verdict"):
        said.pop(name, None)
    changing = (b"date:", b"x-request-id:") + ((b"content-length:",) if b"200" in status else ())
    return status, [line for line in headers if not line.startswith(changing)], said


@pytest.mark.parametrize(
    ("body", "lines", "status"),
    [
        (a_comment("Bình luận thường"), [], 200),
        (a_comment("<b>Đậm</b> https://x.vn a@b.vn"), ["Accept-Language: vi"], 200),
        (a_comment(author={"name": "", "email": "x"}), ["Accept-Language: vi"], 422),
        ({"content": 1}, [], 422),
        (b"{", [], 400),
        (b"\xff", [], 400),
        (b" " * 5_000, [], 413),
        (a_comment(), ["Content-Type: text/plain"], 415),
        (a_comment(), ["Content-Encoding: gzip"], 415),
        (a_comment(), ["Authorization: Bearer nobody"], 401),
        (a_comment(), ["Idempotency-Key: " + "k" * 300], 422),
    ],
)
def test_both_ways_answer_alike_to_the_last_header(
    both: Both, body: Any, lines: list[str], status: int
) -> None:
    ports, key = both.ports, both.key

    straight, usual = (told(exchanged(ports[way], post(key, body, *lines))) for way in ports)

    assert straight[0].split()[1] == str(status).encode()
    assert straight == usual


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, b"true"), ({"comment_author": "viagra-test-123"}, b"true"), ({"blog": ""}, b"invalid")],
)
def test_forms_are_answered_alike_as_well(
    both: Both, changes: dict[str, str], words: bytes
) -> None:
    form = a_form(both.forms_key) | changes

    answers = [exchanged(both.ports[way], post_form(form)) for way in both.ports]

    straight, usual = (answer.partition(b"\r\n\r\n") for answer in answers)
    assert straight[2] == usual[2]
    assert straight[2] == words
    assert names_of(straight[0]) == names_of(usual[0])


def a_form(key: str) -> dict[str, str]:
    return {
        "api_key": key,
        "blog": "https://blog.example",
        "user_ip": "203.0.113.7",
        "comment_author": "Lan",
        "comment_content": "Bài viết rất hữu ích",
    }


def post_form(form: dict[str, str]) -> bytes:
    sent = urlencode(form).encode()
    head = (
        "POST /1.1/comment-check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    return head.encode() + sent


def names_of(head: bytes) -> list[bytes]:
    return [line.partition(b":")[0] for line in head.split(b"\r\n")]


def test_a_key_of_one_way_is_known_to_the_other(both: Both) -> None:
    ports, key = both.ports, both.key
    sent = post(key, a_comment("Gửi lại"), "Idempotency-Key: một-lần")

    first, again = (exchanged(ports[way], sent).partition(b"\r\n\r\n")[2] for way in ports)

    assert json.loads(first)["id"] == json.loads(again)["id"]


@pytest.fixture
def usual_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each request that goes the usual way, from now on."""
    went: list[str] = []
    for door, name in ((CommentDoor, "answer"), (AkismetDoor, "comment_check")):
        goes = getattr(door, name)

        async def gone(*sent: Any, goes: Any = goes, name: str = name) -> Any:
            went.append(name)
            return await goes(*sent)

        monkeypatch.setattr(door, name, gone)
    return went


def sent_by(port: int, requests: list[bytes]) -> list[bytes]:
    """All that each of some callers is told, who come at once, and say no more."""
    with ExitStack() as stack:
        callers = []
        for sent in requests:
            one = socket.create_connection(("127.0.0.1", port), timeout=20)
            callers.append(stack.enter_context(one))
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
        return [b"".join(iter(partial(one.recv, 65_536), b"")) for one in callers]


def test_who_comes_before_the_key_is_known_goes_straight_as_well(
    tmp_path: Path, usual_way: list[str]
) -> None:
    with running(tmp_path) as service:
        forms_key = service.store.new_akismet_key(service.site.id)
        requests = [
            *(post(service.key, a_comment(f"Câu {n}"), close=n % 2 == 0) for n in range(40)),
            *(post_form(a_form(forms_key) | {"comment_content": f"Mẫu {n}"}) for n in range(10)),
        ]
        answers = sent_by(service.port, requests)
        two = post(service.key, a_comment("Một"), close=False) + post(service.key, a_comment("Hai"))
        told_twice = sent_by(service.port, [two])[0].count(b"HTTP/1.1 200 OK")
        stored = service.stored()

    assert all(answer.count(b"HTTP/1.1 200 OK") == 1 for answer in answers)
    assert (told_twice, stored) == (2, 52)
    assert usual_way == ["answer"] * 2  # those that came in one piece


def test_a_key_that_is_nobodys_is_told_so_the_usual_way(
    tmp_path: Path, usual_way: list[str]
) -> None:
    with running(tmp_path) as service:
        answers = sent_by(service.port, [post("nobody", a_comment(), close=False)] * 3)

    assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers)
    assert all(b"\r\nconnection: close\r\n" in answer for answer in answers)  # who said all
    assert usual_way == ["answer"] * 3


def test_whose_key_cannot_be_looked_up_is_told_so_at_once(
    tmp_path: Path, usual_way: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(_: Store, key: str) -> None:
        asked.append(key)
        raise StoreUnavailable("away")

    monkeypatch.setattr(Store, "site_of_key", away)
    with running(tmp_path) as service:
        [answer] = sent_by(service.port, [post(service.key, a_comment())])

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert told(answer)[2]["code"] == "store_unavailable"
    assert (len(asked), usual_way) == (1, [])


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Is set when a key's look-up has begun, which takes a while."""
    look_up, begun = Store.site_of_key, threading.Event()

    def slow(store: Store, key: str) -> Site | None:
        begun.set()
        time.sleep(0.3)
        return look_up(store, key)

    monkeypatch.setattr(Store, "site_of_key", slow)
    return begun


def test_who_waits_for_a_key_when_the_service_ends_is_answered(
    tmp_path: Path, looked_up: threading.Event
) -> None:
    with ExitStack() as stack:
        with running(tmp_path) as service:
            one = socket.create_connection(("127.0.0.1", service.port), timeout=20)
            stack.enter_context(one).sendall(post(service.key, a_comment("Cuối"), close=False))
            assert looked_up.wait(20)
        answer = b"".join(iter(lambda: one.recv(65_536), b""))

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nconnection: close\r\n" in answer


def test_what_arrives_while_a_key_is_looked_up_waits_its_turn(
    tmp_path: Path, looked_up: threading.Event
) -> None:
    with running(tmp_path) as service:
        first = post(service.key, a_comment("Trước"), close=False)
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(first)
            assert looked_up.wait(20)
            connection.sendall(post(service.key, a_comment("Sau")))
            answered = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert answered.count(b"HTTP/1.1 200 OK") == 2
    assert answered.count(b"connection: close") == 1


def test_who_leaves_before_the_key_is_known_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", service.port)) as one:
                one.sendall(post(service.key, a_comment("Đi rồi")))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer = exchanged(service.port, post(service.key, a_comment("Còn đây")))

    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_what_arrives_while_one_is_answered_waits_its_turn(
    both: Both,
) -> None:
    ports, key = both.ports, both.key
    first = post(key, a_comment("Trước"), close=False)

    with socket.create_connection(("127.0.0.1", ports[STRAIGHT]), timeout=20) as connection:
        connection.sendall(first)
        connection.sendall(post(key, a_comment("Sau")))
        answered = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert answered.count(b"HTTP/1.1 200 OK") == 2
    assert answered.count(b"connection: close") == 1


def test_who_hangs_up_meanwhile_has_the_comment_judged_all_the_same(both: Both) -> None:
    sent = post(both.key, a_comment("Vội vàng"), "Idempotency-Key: gone")

    with socket.create_connection(("127.0.0.1", both.ports[STRAIGHT]), timeout=20) as connection:
        connection.sendall(sent)
    again = exchanged(both.ports[STRAIGHT], sent)

    assert again.startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is left to the garbage collector stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("way", [STRAIGHT, USUAL])
def test_what_was_answered_is_not_left_to_the_garbage_collector(both: Both, way: bool) -> None:
    comments = [post(both.key, a_comment(f"Chuyện thứ {number}")) for number in range(5)]
    forms = [post_form(a_form(both.forms_key)) for _ in range(5)]

    for sent in (*comments, *forms):
        exchanged(both.ports[way], sent)

    left = [one for one in gc.get_objects() if type(one) is Answered]
    assert len(left) <= 1  # the batch of the last one may not be over yet


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxy",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 01\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nConnection: Upgrade\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nX: a\r\n b\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nX: a\x00b\r\n\r\nx",
        b"POST / HTTP/1.1\nContent-Length: 1\n\nx",
        b"POST  / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_is_out_of_the_way_is_left_to_the_parser(sent: bytes) -> None:
    assert plain_post(sent) is None


def test_a_plain_post_is_read_whole() -> None:
    read = plain_post(
        b"POST /a?b HTTP/1.1\r\nHost:x\r\nX-A: \t 1 2 \r\nx-a: 3\r\nContent-Length: 2\r\n\r\n\r\n"
    )

    assert read is not None
    assert (read.target, read.body, read.keeps_open) == (b"/a?b", b"\r\n", True)
    assert read.first_headers() == {b"host": b"x", b"x-a": b"1 2", b"content-length": b"2"}


# ------------------------------------------------------------------ one parser decides


def said(port: int, *parts: bytes, answers: int = 0, half_close: bool = False) -> bytes:
    """What is answered to parts that are sent one after another: so many, and what follows soon.

    Without a number, all until the connection is closed.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.15)  # so that each is read by itself; together they mean the same
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        with suppress(TimeoutError):
            while part := connection.recv(65_536):
                found += part
                if answers and len(statuses(found)) >= answers:
                    connection.settimeout(0.3)
        return found


def statuses(answer: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("way", [STRAIGHT, USUAL])
def test_what_goes_on_with_a_head_is_no_request(both: Both, way: bool) -> None:
    begun = b"POST /nowhere HTTP/1.1\r\nX-Junk: "

    for before in (b"", GET, GET + post(both.key, a_comment(), close=False)):
        whole = (before + begun, post(both.key, a_comment()))

        assert statuses(said(both.ports[way], *whole))[-1] == b"404", before


@pytest.mark.parametrize("way", [STRAIGHT, USUAL])
@pytest.mark.parametrize(
    "offer",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        ("Connection: keep-alive, upgrade", "Upgrade: websocket"),
    ],
)
def test_an_offer_of_another_protocol_is_passed_over_and_its_body_read(
    both: Both, way: bool, offer: tuple[str, ...]
) -> None:
    whole = post(both.key, a_comment(), *offer, close=False)
    inner = post(both.key, a_comment(), close=False)
    outer = post(both.key, inner, *offer, close=False)
    head = len(outer) - len(inner)

    port = both.ports[way]
    assert statuses(said(port, whole, whole + whole, answers=3)) == [b"200"] * 3
    assert statuses(said(port, whole[:60], whole[60:200], whole[200:], answers=1)) == [b"200"]
    # That body is no JSON, and no request.
    assert statuses(said(port, outer[:head], outer[head:], answers=1)) == [b"400"]
    many = GET.replace(b"\r\n\r\n", "\r\n".join(("", *offer, "", "")).encode()) * 500
    assert statuses(said(port, many, answers=500)) == [b"200"] * 500
    assert statuses(said(port, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")) == [b"400"]


@pytest.mark.parametrize("way", [STRAIGHT, USUAL])
def test_who_has_said_all_hears_the_answers(both: Both, way: bool) -> None:
    one = post(both.key, a_comment(), close=False)

    for parts, answers in (((one,), 1), ((one + one,), 2), ((GET + one,), 2), ((one, GET), 2)):
        answer = said(both.ports[way], *parts, answers=answers, half_close=True)
        assert statuses(answer) == [b"200"] * answers
    assert statuses(said(both.ports[way], one[:-3], half_close=True)) == []


@pytest.mark.parametrize("way", [STRAIGHT, USUAL])
def test_what_was_accepted_is_answered_before_what_is_broken(both: Both, way: bool) -> None:
    port, one = both.ports[way], post(both.key, a_comment(), close=False)
    chunked = b"POST /v1/comments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert statuses(said(port, one + one + b"BAD\r\n\r\n")) == [b"200", b"200", b"400"]
    assert statuses(said(port, one, b"WRONG")) == [b"200", b"400"]
    assert statuses(said(port, one + b"WRONG")) == [b"200", b"400"]
    for broken in (b"zz\r\n", b"5\nhello\n0\n\n", b"3\r\nabcdef\r\n"):
        assert statuses(said(port, chunked + broken)) == [b"400"]
        assert statuses(said(port, one + chunked + broken)) == [b"200", b"400"]
    assert statuses(said(port, one + b"WRONG", half_close=True)) == [b"200", b"400"]
    assert statuses(said(port, one, answers=1)) == [b"200"]


def test_blanks_within_a_value_are_read_once(both: Both) -> None:
    value = b"a" + b" " * 1_000_000 + b"b"
    sent = b"POST /x HTTP/1.1\r\nX: " + value + b"\t\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

    found = plain_post(sent)  # read again from each blank it would take minutes

    assert found is not None
    assert found.headers[0] == (b"x", value)
