"""Whether domains take mail, asked of a real DNS server on loopback."""

import socket
import threading
from contextlib import contextmanager
from datetime import timedelta

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.rdatatype import MX, TXT, A, to_text
from dns.resolver import Resolver

from service.deliverability import Deliverability

SOON = timedelta(seconds=10)
ZONE = {
    ("mail.example", MX): ["10 mx.mail.example."],
    ("nullmx.example", MX): ["0 ."],
    ("web.example", A): ["8.8.8.8"],
    ("nomail.example", A): ["8.8.8.8"],
    ("nomail.example", TXT): ['"v=spf1 -all"'],
    ("private.example", A): ["10.0.0.1"],
}
BROKEN = "broken.example"
SILENT = "silent.example"


class DnsServer:
    """Answers from `ZONE` over UDP; `asked` holds the names it was asked for, in order."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.asked = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            if not packet:
                return
            self.may_answer.wait()
            query = dns.message.from_wire(packet)
            name = query.question[0].name.to_text(omit_final_dot=True)
            self.asked.append(name)
            if name != SILENT:
                self.socket.sendto(self.answer(query, name).to_wire(), peer)

    def answer(self, query, name):
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        kind = query.question[0].rdtype
        if name == BROKEN:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in ZONE:
            records = ZONE[name, kind]
            answer.answer.append(
                dns.rrset.from_text(name + ".", 300, "IN", to_text(kind), *records)
            )
        elif name not in {known for known, _ in ZONE}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def close(self):
        self.may_answer.set()
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


@pytest.fixture
def server():
    running = DnsServer()
    yield running
    running.close()


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@contextmanager
def asking(server, **options):
    resolver = Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.socket.getsockname()[1]
    with Deliverability(resolver=resolver, **options) as deliverability:
        yield deliverability


@pytest.mark.parametrize(
    ("domain", "takes_mail"),
    [
        ("mail.example", True),
        ("web.example", True),
        ("nullmx.example", False),
        ("nomail.example", False),
        ("private.example", False),
        ("missing.example", False),
        (BROKEN, None),
        ("x.test", None),
        ("no domain", None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_domain_takes_mail_or_not_or_nothing_is_learnt(server, domain, takes_mail):
    with asking(server) as deliverability:
        assert deliverability.known(domain, wait=SOON) is takes_mail


def test_dns_that_does_not_answer_in_time_says_nothing(server):
    with asking(server, time_limit=timedelta(milliseconds=100)) as deliverability:
        assert deliverability.known(SILENT, wait=SOON) is None
        assert server.asked


def test_first_question_is_answered_at_once_and_the_next_from_memory(server):
    server.may_answer.clear()
    with asking(server) as deliverability:
        first = deliverability.known("missing.example")
        server.may_answer.set()
        second = deliverability.known("missing.example", wait=SOON)
        third = deliverability.known("missing.example")

    assert (first, second, third) == (None, False, False)
    assert server.asked == ["missing.example"]


def test_answers_are_asked_again_when_they_are_old(server):
    clock = Clock()
    with asking(server, now=clock) as deliverability:
        deliverability.known("missing.example", wait=SOON)
        clock.seconds += timedelta(hours=1).total_seconds() - 1
        fresh = deliverability.known("missing.example")
        clock.seconds += 2
        old = deliverability.known("missing.example")

    assert (fresh, old) == (False, None)


def test_what_could_not_be_learnt_is_not_asked_again_at_once(server):
    with asking(server) as deliverability:
        deliverability.known(BROKEN, wait=SOON)
        asked = len(server.asked)
        deliverability.known(BROKEN, wait=SOON)

    assert len(server.asked) == asked


def test_many_at_once_ask_once(server):
    server.may_answer.clear()
    answers = []
    with asking(server) as deliverability:
        deliverability.known("mail.example")
        askers = [
            threading.Thread(
                target=lambda: answers.append(deliverability.known("mail.example", wait=SOON))
            )
            for _ in range(20)
        ]
        for asker in askers:
            asker.start()
        server.may_answer.set()
        for asker in askers:
            asker.join()

    assert answers == [True] * 20
    assert server.asked == ["mail.example"]


def test_lookups_that_wait_are_bounded(server):
    server.may_answer.clear()
    with asking(server, workers=1, most_waiting=2) as deliverability:
        for n in range(50):
            deliverability.known(f"a{n}.example")
        refused = deliverability.known("mail.example", wait=SOON)
        server.may_answer.set()
        deliverability.known("a1.example", wait=SOON)

    assert refused is None
    assert server.asked == ["a0.example", "a1.example"]


def test_least_recently_asked_domains_are_forgotten(server):
    with asking(server, most_known=2) as deliverability:
        for domain in ("mail.example", "missing.example", "web.example"):
            deliverability.known(domain, wait=SOON)

        assert deliverability.known("missing.example") is False
        assert deliverability.known("mail.example") is None


def test_closed_it_knows_what_it_knew_and_asks_nothing(server):
    with asking(server) as deliverability:
        deliverability.known("mail.example", wait=SOON)

    assert deliverability.known("mail.example") is True
    assert deliverability.known("web.example", wait=SOON) is None
