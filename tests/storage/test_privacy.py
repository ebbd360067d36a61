"""An address is not in the database: not in clear, not encoded, not under a common digest."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from model.outcome import Outcome
from model.submission import Article, FormFacts
from model.verdict import Reason, RuleHit
from service.storage import Site, Store
from service.storage.tables import metadata
from tests.storage.cases import SUBMISSION, VERDICT, Clock, accept, asked, found, record

CANARIES = {
    where: f"canary-{where}-7q@privat.example"
    for where in (
        "email",
        "url",
        "agent",
        "permalink",
        "title",
        "language",
        "parent",
        "external",
        "honeypot",
        "evidence",
        "key",
        "moderator",
        "why",
    )
}
IP = "198.51.100.77"


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it might be found by one who looks for it."""
    for text in {secret, secret.upper(), secret.lower()}:
        raw = text.encode()
        yield from (raw, quote(text, safe="").encode(), raw.hex().encode(), raw[::-1])
        for digest in ("md5", "sha1", "sha256"):
            hashed = hashlib.new(digest, raw)
            yield from (hashed.hexdigest().encode(), hashed.digest())
        for shift in range(3):  # base64 of a longer text shows it in one of three ways
            encoded = base64.b64encode(b"\0" * shift + raw)
            yield encoded[4 if shift else 0 : -4]


@pytest.fixture
def everything_written(store: Store, site: Site, clock: Clock, url: str, database: str) -> bytes:
    """All bytes of a database in which every field that can hold an address was given one."""
    sent = replace(
        SUBMISSION,
        author=replace(
            SUBMISSION.author,
            email=CANARIES["email"],
            url=f"https://x.example/?m={quote(CANARIES['url'])}",
            user_agent=f"Bot (+mailto:{CANARIES['agent']})",
            ip=IP,
        ),
        permalink=f"https://blog.example/?u={CANARIES['permalink']}",
        article=Article(CANARIES["title"], CANARIES["language"]),
        parent_id=CANARIES["parent"],
        external_id=CANARIES["external"],
        form=FormFacts(honeypot=CANARIES["honeypot"]),
    )
    leaky = replace(
        VERDICT,
        reasons=(Reason("x", "content", CANARIES["evidence"]),),
        hits=(RuleHit("x", Outcome.QUEUE, CANARIES["evidence"]),),
    )
    request = asked(site, clock(), sent, idempotency_key=CANARIES["key"])
    (comment,) = record(store, request, by=leaky)
    store.decide(None, comment.id, accept(clock(), by=CANARIES["moderator"]))
    store.undo(None, comment.id, moderator=CANARIES["moderator"])
    store.reveal_address(None, comment.id, moderator=CANARIES["moderator"], why=CANARIES["why"])
    if database == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(p.read_bytes() for p in sorted(path.parent.glob("duyet.db*")))
    return _dumped(url)


def _dumped(url: str) -> bytes:
    parts = []
    with psycopg.connect(url) as connection:
        for table in metadata.tables:
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
            for value in (value for row in rows for value in row):
                parts.append(value if isinstance(value, bytes) else str(value).encode())
    return b"\n".join(parts)


def test_no_address_is_in_the_database(everything_written: bytes) -> None:
    leaks = [
        where
        for where, canary in CANARIES.items()
        if any(form in everything_written for form in forms(canary))
    ]

    assert b"privat.example" in everything_written  # masked forms are there: the search works
    assert leaks == []


def test_no_ip_is_in_the_database(everything_written: bytes) -> None:
    assert not any(form in everything_written for form in forms(IP))
    assert b"198.51.100.0/24" in everything_written


def test_the_search_would_find_a_leak() -> None:
    secret = CANARIES["email"]
    leaks = [
        secret.encode(),
        base64.b64encode(f"to: {secret}".encode()),
        base64.b64encode(f"to:{secret}.".encode()),
        hashlib.md5(secret.encode()).hexdigest().encode(),
    ]

    assert all(any(form in leak for form in forms(secret)) for leak in leaks)


def test_no_record_shows_an_address(store: Store, site: Site, clock: Clock) -> None:
    request = asked(site, clock(), idempotency_key=CANARIES["key"])
    (known,) = store.gather([request])
    (stored,) = record(store, request)

    shown = (
        f"{request!r} {known!r} {stored!r} {found(store, stored.id)!r} {store.queue_page(None)!r}"
    )

    assert SUBMISSION.author.email not in shown
    assert SUBMISSION.author.ip not in shown
    assert CANARIES["key"] not in shown
