"""A decision that comes late is told to the site's own address, signed, until it is taken."""

import contextlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.callbacks import Refused, Unreached, _is_everybody_s, post
from service.late_verdicts import LateVerdicts
from service.storage import AkismetChoices, QueueSpoken
from tests.akismet.conftest import Client
from tests.api.service import Clock, running

WAITING = Policy(audit_rate=1)


@dataclass
class Site:
    """A site's webhook, as WordPress has it: what it was told, and how it will answer."""

    port: int = 0
    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, bytes | None]] = field(default_factory=list)
    hangs_up: bool = False

    @property
    def home(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.home}/wp-json/akismet/v1/webhook"


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.told.append((headers, body))
            if found.hangs_up:
                return
            status, answer = found.answers.pop(0) if found.answers else (200, None)
            if answer is None:
                guids = [one["guid"] for one in json.loads(body)["comments"]]
                told = {"comments": {guid: {"status": "success"} for guid in guids}}
                answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if status == 302:
                self.send_header("Location", found.url)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("service.chores.DELIVER_SECONDS", 3600.0)  # the tests deliver
    with running(tmp_path, policy=WAITING, now=Clock()) as service:
        one = Client(service, service.store.new_akismet_key(service.site.id))
        chosen = AkismetChoices(QueueSpoken.RECHECK, (site.home,), reaches_private=True)
        one.store.set_akismet_choices(service.site.id, chosen)
        yield one


@pytest.fixture
def late(client: Client) -> LateVerdicts:
    return LateVerdicts(client.store, now=client.store._now)


def waits(client: Client, site: Site, content: str = "Chờ duyệt.") -> str:
    """The guid of a comment that was told to wait."""
    answer = client.check(content, blog=f"http://{site.home}", callback=site.url)
    assert answer.text == "false"
    assert answer.headers["x-akismet-recheck-after"]
    return answer.headers["x-akismet-guid"]


def decide(client: Client, guid: str, outcome: Outcome = Outcome.ACCEPT) -> None:
    reason = RejectReason.SPAM if outcome is Outcome.REJECT else None
    client.store.decide(None, guid, Decision(outcome, reason, "an", client.store._now()))


@pytest.mark.parametrize(
    ("outcome", "result"), [(Outcome.ACCEPT, "false"), (Outcome.REJECT, "true")]
)
def test_a_decision_is_told_in_the_words_of_the_webhook(
    client: Client, site: Site, late: LateVerdicts, outcome: Outcome, result: str
):
    guid = waits(client, site)
    assert late.deliver() == 0
    decide(client, guid, outcome)

    assert late.deliver() == 1

    [(headers, body)] = site.told
    assert json.loads(body) == {
        "key": client.key,
        "endpoint": "comment-check",
        "comments": [{"guid": guid, "result": result}],
    }
    at, _, signed = headers["x-duyet-signature"].partition(",v1=")
    own = hmac.new(client.key.encode(), f"{at.removeprefix('t=')}.".encode() + body, "sha256")
    assert signed == own.hexdigest()
    assert headers["host"] == site.home
    assert late.deliver() == 0
    assert client.store.undelivered() == []


def test_an_undone_decision_is_told_once_it_is_another(
    client: Client, site: Site, late: LateVerdicts
):
    guid = waits(client, site)
    decide(client, guid)
    client.store.undo(None, guid, moderator="an")
    late.deliver()
    assert site.told == []

    decide(client, guid, Outcome.REJECT)
    late.deliver()

    assert [json.loads(body)["comments"][0]["result"] for _, body in site.told] == ["true"]


@pytest.mark.parametrize(
    "answer",
    [
        (500, b""),
        (503, b"busy"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"comments": 1}'),
    ],
)
def test_a_site_that_does_not_take_it_is_told_again(
    client: Client, site: Site, late: LateVerdicts, answer: tuple[int, bytes]
):
    decide(client, waits(client, site))
    site.answers = [answer]

    assert late.deliver() == 0
    [one] = client.store.undelivered()
    assert (one.state, one.attempts) == ("waiting", 1)
    assert late.deliver() in (0, 1)  # the clock goes a minute on with each look
    for _ in range(3):
        late.deliver()

    assert client.store.undelivered() == []
    assert len(site.told) == 2


@pytest.mark.parametrize("answer", [(404, b""), (200, None)])
def test_a_site_that_does_not_know_the_comment_is_let_be(
    client: Client, site: Site, late: LateVerdicts, answer: tuple[int, bytes | None]
):
    guid = waits(client, site)
    decide(client, guid)
    unknown = json.dumps({"comments": {guid: {"status": "error", "message": "?"}}}).encode()
    site.answers = [(answer[0], answer[1] if answer[0] != 200 else unknown)]

    late.deliver()
    [one] = client.store.undelivered()
    assert (one.state, one.attempts) == ("dead", 1)
    assert client.store.retry_dead_deliveries() == 1
    assert late.deliver() == 1


def test_a_site_away_for_a_day_is_given_up(client: Client, site: Site, late: LateVerdicts):
    clock = client.store._now
    assert isinstance(clock, Clock)
    decide(client, waits(client, site))
    site.answers = [(500, b"")] * 40

    for _ in range(40):
        clock.at += timedelta(hours=4)
        late.deliver()

    [one] = client.store.undelivered()
    assert (one.state, one.attempts) == ("dead", 16)
    assert len(site.told) == 16


def test_two_who_deliver_tell_it_once(client: Client, site: Site, monkeypatch: pytest.MonkeyPatch):
    for number in range(12):
        decide(client, waits(client, site, f"Bình luận số {number}."))
    at = client.store._now()
    monkeypatch.setattr(client.store, "_now", lambda: at)
    both = [LateVerdicts(client.store, now=client.store._now) for _ in range(2)]
    threads = [threading.Thread(target=one.deliver) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = [json.loads(body)["comments"][0]["guid"] for _, body in site.told]
    assert len(told) == len(set(told)) == 12


def test_a_comment_without_a_callback_tells_nobody(client: Client, site: Site, late: LateVerdicts):
    answer = client.check("Không gọi lại.", blog=f"http://{site.home}")
    decide(client, answer.headers["x-akismet-guid"])
    assert late.deliver() == 0
    assert client.store.outbox_size() == 0


def test_an_address_that_was_taken_off_is_not_called(
    client: Client, site: Site, late: LateVerdicts
):
    decide(client, waits(client, site))
    other = AkismetChoices(homes=("elsewhere.example",), reaches_private=True)
    client.store.set_akismet_choices(client.service.site.id, other)

    assert late.deliver() == 0
    assert site.told == []
    assert client.store.undelivered()[0].state == "dead"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "ftp://blog.example/",
        "http://user:pass@127.0.0.1:{port}/",
        "http://[",
        "//127.0.0.1/",
    ],
)
def test_no_private_network_is_called(site: Site, url: str):
    with pytest.raises(Refused):
        post(url.format(port=site.port), b"{}", {})
    assert site.told == []


def test_a_site_that_is_not_there_is_unreached():
    with pytest.raises(Unreached):
        post("http://127.0.0.1:9/", b"{}", {}, reaches_private=True)


@pytest.mark.parametrize(
    ("url", "is_called"),
    [
        ("https://blog.example/news/hook", True),
        ("https://blog.example/news?rest_route=/hook", True),
        ("https://blog.example/newsroom/hook", False),
        ("https://blog.example.evil.example/news/hook", False),
        ("https://evil.example/blog.example/news", False),
        ("https://blog.example@evil.example/news", False),
        ("javascript:alert(1)", False),
        ("https://blog.example:8443/news/hook", False),
    ],
)
def test_only_what_lies_in_a_registered_address_is_called(url: str, is_called: bool):
    assert AkismetChoices(homes=("blog.example/news",)).may_call(url) is is_called


@pytest.mark.parametrize(
    ("address", "is_everybody_s"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::93.184.216.34", True),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_is_everybody_s_by_where_it_leads(address: str, is_everybody_s: bool):
    assert _is_everybody_s(address) is is_everybody_s


def test_a_site_that_drips_is_left_in_time():
    def drip(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        accepted.settimeout(1)
        with accepted, contextlib.suppress(OSError):
            while True:
                accepted.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

        with pytest.raises(Unreached):
            post(url, b"{}", {}, reaches_private=True, longest_seconds=0.05)

        thread.join()


def test_a_site_that_does_not_answer_is_waited_for_once(
    client: Client, site: Site, late: LateVerdicts
):
    guids = [waits(client, site, f"Bình luận số {number}.") for number in range(3)]
    site.hangs_up = True
    for guid in guids:
        decide(client, guid)

    late.deliver()

    assert len(site.told) == 1
    waiting = client.store.undelivered()
    assert {(one.state, one.attempts) for one in waiting} == {("waiting", 1)}


def test_a_key_that_cannot_be_opened_holds_up_no_other_site(
    client: Client, site: Site, late: LateVerdicts
):
    guid = waits(client, site)
    decide(client, guid)
    with client.store.writes() as connection:
        connection.exec_driver_sql("UPDATE akismet_sites SET key_cipher = x'0100000009'")

    assert late.deliver() == 0
    [one] = client.store.undelivered()

    assert (one.state, site.told) == ("dead", [])
    assert "keyring" in one.problem
