"""An address that goes in anywhere comes out nowhere.

Addresses that occur once, each in a place of its own, are sent in every field, header, path and
broken body there is. Then every answer, page, log line, metric, export and file is searched for
them, in clear and in the forms in which a leak would show.
"""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from service.storage.tables import metadata
from tests.api.service import NO_SUCH_ID, model_at, running

DOMAIN = "privat.example"
BATCH = "/v1/comments/batch"
NDJSON = "application/x-ndjson"


class Canaries:
    """Addresses that occur once. `typed` are those that a commenter typed into the text."""

    def __init__(self) -> None:
        self.all: dict[str, str] = {}
        self.typed: set[str] = set()

    def __call__(self, place: str, *, typed: bool = False) -> str:
        """A new address for a place; the same place gets the same again."""
        if place not in self.all:
            letters = re.sub("[^a-z]", "", place.lower())
            self.all[place] = f"Kanari.{letters}{len(self.all)}Q@{DOMAIN}"
        if typed:
            self.typed.add(place)
        return self.all[place]


def forms(address: str) -> Iterator[bytes]:
    """What one who looks for an address would look for."""
    for text in {address, address.lower(), address.upper()}:
        raw, local = text.encode(), text.partition("@")[0].encode()
        yield from (local, quote(text, safe="").encode(), local.hex().encode(), local[::-1])
        yield "".join(f"%{byte:02x}" for byte in local).encode()
        yield "".join(f"&#{byte};" for byte in local).encode()
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, raw).digest()
            yield from (digest, digest.hex().encode(), digest.hex().upper().encode())
            yield base64.b64encode(digest).rstrip(b"=")
            yield base64.urlsafe_b64encode(digest).rstrip(b"=")
        for shift in range(3):  # base64 of a longer text shows it in one of three ways
            encoded = base64.b64encode(b"\0" * shift + local)
            yield encoded[4 if shift else 0 : -4]


def found_in(text: bytes, canaries: Canaries, *, text_is_kept: bool = False) -> list[str]:
    """The places whose address shows; what was typed may be in clear where texts are kept."""
    leaks = []
    for place, address in canaries.all.items():
        kept = {address.partition("@")[0].encode()} if place in canaries.typed else set()
        allowed = kept if text_is_kept else set()
        leaks += [place for form in forms(address) if form not in allowed and form in text]
    return sorted(set(leaks))


@pytest.mark.parametrize(
    "leak",
    [
        "to Kanari.x0Q@privat.example",
        "KANARI.X0Q@PRIVAT.EXAMPLE",
        "kanari.x0q",
        "m=Kanari.x0Q%40privat.example",
        base64.b64encode(b"12Kanari.x0Q@privat.example").decode(),
        hashlib.md5(b"kanari.x0q@privat.example").hexdigest(),
        base64.b64encode(hashlib.sha256(b"Kanari.x0Q@privat.example").digest()).decode(),
    ],
)
def test_the_search_would_find_a_leak(leak: str) -> None:
    canaries = Canaries()
    canaries("x")

    assert found_in(leak.encode(), canaries) == ["x"]
    assert found_in(b"k\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@privat.example", canaries) == []


# ------------------------------------------------------------------ what is sent


def comment(c: Canaries, at: str, **changes: Any) -> dict[str, Any]:
    """A comment with an address in every field that has room for one."""
    return {
        "content": f"Viết cho {c(f'{at} content', typed=True)} <b>nhé</b> "
        f'<a href="mailto:{c(f"{at} mailto", typed=True)}">x</a> <script>'
        f"http://x.vn/?m={c(f'{at} link', typed=True)}",
        "author": {
            "name": f"Lan {c(f'{at} name', typed=True)}",
            "email": c(f"{at} email"),
            "url": f"https://x.example/{c(f'{at} path')}?m={c(f'{at} query')}"
            f"&n={quote(c(f'{at} quoted'), safe='')}#{c(f'{at} fragment')}",
            "ip": "203.0.113.77",
            "user_agent": f"Bot (+mailto:{c(f'{at} agent')})",
        },
        "permalink": f"https://blog.example/{c(f'{at} permalink path')}?u={c(f'{at} permalink')}"
        f"&q={quote(c(f'{at} permalink quoted'), safe='')}",
        "article": {"title": f"Về {c(f'{at} title')}", "language": "vi"},
        "parent_id": c(f"{at} parent"),
        "external_id": c(f"{at} external"),
        "form": {"honeypot": c(f"{at} honeypot"), "seconds_to_fill": 0.5},
        c(f"{at} unknown field"): c(f"{at} unknown value"),
    } | changes


def wrong_bodies(c: Canaries) -> dict[str, Any]:
    """Bodies that are refused, each with an address in it."""
    return {
        "broken": f'{{"content": "{c("broken")}'.encode(),
        "not json": c("not json").encode(),
        "not utf8": c("not utf8").encode() + b"\xff",
        "half": f'"{c("half")}\\ud83d"'.encode(),
        "string": c("string"),
        "userinfo": comment(c, "u", author={"url": f"http://{c('userinfo')}/", "name": "x"}),
        "mailto": comment(c, "m", author={"url": f"mailto:{c('mailto url')}", "name": "x"}),
        "bad address": comment(c, "b", author={"email": f"<{c('bad address')}>"}),
        "two addresses": comment(c, "t", author={"email": f"{c('first')},{c('second')}"}),
        "long": {"content": c("long") * 5000},
        "types": {
            "content": [c("content list")],
            "author": {"email": {"a": c("email object")}, "ip": c("ip"), "name": [c("names")]},
            "article": {"language": c("language"), "published_at": c("published")},
            "type": c("type"),
            "form": {"seconds_to_fill": c("seconds"), "honeypot": {c("honeypot name"): 1}},
            "external_id": c("external long") * 20,
            "permalink": c("permalink long") * 200,
        },
        "author string": {"author": c("author string")},
        "decision": {"outcome": c("outcome"), "reason": c("reason"), c("extra"): 1},
        "report": {"kind": c("kind")},
    }


@dataclass
class Caller:
    """Sends, and keeps all that is answered."""

    client: httpx.Client
    answers: list[bytes] = field(default_factory=list)

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        answer = self.client.request(method, path, **request)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append(f"{answer.status_code}\n{head}\n\n".encode() + answer.content)
        return answer


def send_everything(call: Caller, key: str, c: Canaries) -> list[str]:
    """Send addresses wherever there is room for them; the ids of the comments stored."""
    own = {"Authorization": f"Bearer {key}"}
    visitors = {
        "Referer": f"https://x.example/?m={c('referer')}",
        "Cookie": f"duyet={c('session cookie')}; m={c('cookie')}",
        "X-Forwarded-For": c("forwarded"),
        "X-Real-IP": c("real ip"),
        "User-Agent": c("own agent"),
        "Accept-Language": f"{c('language header')}, vi",
        "From": c("from"),
        "X-Request-ID": c("request id"),
        "Origin": f"http://{c('origin')}",
        "Accept": c("accept"),
        "Traceparent": c("traceparent"),
        "Tracestate": f"v={c('tracestate')}",
        "Baggage": f"who={c('baggage')}",
    }
    ids = []
    for number in range(2):
        key_header = {"Idempotency-Key": c(f"idempotency {number}")}
        sent = comment(c, f"one {number}")
        for _ in range(2):
            answer = call("POST", "/v1/comments", headers=own | visitors | key_header, json=sent)
            ids.append(answer.json()["id"])
        call("POST", "/v1/comments", headers=own | key_header, json=comment(c, f"other {number}"))
    items = [comment(c, f"item {n}") for n in range(3)] + list(
        body for body in wrong_bodies(c).values() if not isinstance(body, bytes)
    )
    batch = call("POST", BATCH, headers=own | {"Idempotency-Key": c("batch key")}, json=items)
    ids += [item["answer"]["id"] for item in batch.json()["items"] if item["status"] == 200]
    lines = b"\n".join(
        body if isinstance(body, bytes) else json.dumps(body).encode()
        for body in wrong_bodies(c).values()
    )
    call("POST", BATCH, headers=own | {"Content-Type": NDJSON}, content=lines)
    paths = [
        "/v1/comments",
        BATCH,
        f"/v1/comments/{ids[0]}/report",
        f"/v1/comments/{ids[0]}/decision",
    ]
    for path in paths:
        for body in wrong_bodies(c).values():
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            call("POST", path, headers=own, content=content)
        call("POST", path, headers=own | {"Content-Type": c("content type")}, content=b"{}")
        call("POST", path, headers={"Authorization": f"Bearer {c('key')}"}, content=b"{}")
        call("POST", path, headers={"Authorization": f"Basic {c('basic')}"}, content=b"{}")
        call("POST", path, headers=own | {"Idempotency-Key": c("long key") * 20}, content=b"{}")
        call("POST", path, headers=own | {"X-Huge": c("huge") * 3000}, content=b"{}")
    address = quote(c("our path"), safe="")
    for path in (
        f"/{address}", f"/v1/comments/{address}", f"/v1/comments/{address}/report",
        f"/v1/{address}", f"/docs/assets/{address}", f"/static/x/{address}", f"/docs/{address}",
        f"/queue/{address}/accept", f"/v1/queue?after={address}", f"/v1/queue?order={address}",
        f"/v1/queue?limit={address}", f"/v1/queue?{address}={address}", f"/queue?done={address}",
        f"/queue?after={address}", f"/queue?order={address}", f"/queue?lang={address}",
        f"/sign-in?token={address}", f"/sign-in?lang={address}", f"/healthz?{address}",
        f"/readyz?m={address}", f"/metrics?m={address}", f"/docs?m={address}",
        f"/v1/comments/{NO_SUCH_ID}?m={address}",
    ):  # fmt: skip
        for method in ("GET", "POST", "DELETE"):
            call(method, path, headers=own | visitors)
    call("POST", "/sign-in", data={"token": c("sign-in token"), c("form name"): c("form value")})
    call("POST", "/sign-in", content=f"token={c('raw form')}\xff".encode("latin-1"))
    return list(dict.fromkeys(ids))


def moderate(call: Caller, url: str, link: str, ids: list[str], c: Canaries) -> None:
    """Sign in, look at every page, decide, undo; addresses in whatever a form may hold."""
    own = {"Origin": url, "Accept-Language": "vi"}
    token = link.partition("token=")[2]
    call("GET", f"/sign-in?token={token}", headers=own)
    call("POST", "/sign-in", headers=own, data={"token": token})
    queue = call("GET", "/queue", headers=own)
    assert queue.status_code == 200, "signed in"
    form = re.search(r'name="form_token" value="([0-9a-f]{64})"', queue.text)
    assert form is not None
    fields = {name: c(f"page {name}") for name in ("order", "after", "next", "why", "reason")}
    sent = {"form_token": form[1]} | fields
    call("POST", f"/queue/{ids[0]}/accept", headers=own, data=sent)
    call("POST", f"/queue/{ids[0]}/undo", headers=own, data=sent)
    call("POST", f"/queue/{ids[1]}/reject", headers=own, data=sent)
    call("POST", f"/queue/{ids[1]}/reject", headers=own, data=sent | {"reason": "spam"})
    call("POST", f"/queue/{ids[2]}/accept", headers=own, data=sent)
    call("POST", f"/queue/{ids[2]}/accept", headers=own, data={"form_token": c("form token")})
    address = quote(c("signed-in path"), safe="")
    for path in ("?done=", "?undone=", "?after=", "?order=", "?lang=", f"?done={ids[0]}&after="):
        call("GET", f"/queue{path}{address}", headers=own)
    for what in ("accept", "reject", "undo", "reveal"):
        call("POST", f"/queue/{address}/{what}", headers=own, data=sent)
    # The one page that shows an address, to an admin who says why; its record must not.
    shown = call.client.post(f"/queue/{ids[3]}/reveal", headers=own, data=sent)
    assert DOMAIN in shown.text
    for order in ("", "?order=riskiest"):
        call("GET", f"/queue{order}", headers=own)


def look_around(call: Caller, key: str, ids: list[str]) -> None:
    """Everything that shows something of what was stored."""
    own = {"Authorization": f"Bearer {key}"}
    for comment_id in ids:
        call("GET", f"/v1/comments/{comment_id}", headers=own)
        call("POST", f"/v1/comments/{comment_id}/report", headers=own, json={"kind": "spam"})
    for path in ("/v1/queue?limit=200", "/v1/queue?order=riskiest", "/metrics", "/openapi.json"):
        call("GET", path, headers=own)
    call("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})


# ------------------------------------------------------------------ where it is looked for


@dataclass
class Traces:
    """What a service has left behind."""

    canaries: Canaries
    answers: bytes
    log: bytes
    exports: bytes
    files: dict[str, bytes]


def _duyet(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "duyet", *arguments]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """Those of `duyet serve` at its most talkative, after all that can be sent to it."""
    directory = tmp_path_factory.mktemp("private")
    model_at(directory / "models")
    c = Canaries()
    environment = {n: v for n, v in os.environ.items() if not n.startswith("DUYET_")} | {
        "DUYET_DATA_DIR": str(directory / "var"),
        "DUYET_MODELS": str(directory / "models"),
        "DUYET_PORT": "0",
        "DUYET_LOG_LEVEL": "debug",
        "PYTHONUNBUFFERED": "1",
    }
    log = directory / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            _duyet("serve"), env=environment, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            assert process.stdout is not None
            told = _first_start(process.stdout)
            key = re.search(r"Bearer (\S+?)'", told)
            link = re.search(r"(http://\S+?)(/sign-in\S+)", told)
            assert key is not None
            assert link is not None
            with httpx.Client(
                base_url=link[1], timeout=30, trust_env=False, verify=False,
                transport=httpx.HTTPTransport(retries=20),
            ) as client:  # fmt: skip
                call = Caller(client)
                ids = send_everything(call, key[1], c)
                client.cookies.clear()
                moderate(call, link[1], link[2], ids, c)
                look_around(call, key[1], ids)
            exports = b"".join(
                subprocess.run(
                    _duyet(*command), env=environment, check=True, capture_output=True
                ).stdout
                for command in (
                    ["export", "labels"],
                    ["queue", "list", "--json"],
                    ["queue", "list"],
                )
            )
            # While it runs, with the log of what is not in the main file yet.
            files = _files(directory)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            process.stdout.close()  # type: ignore[union-attr]
    files |= {f"{n} afterwards": f for n, f in _files(directory).items() if files.get(n) != f}
    return Traces(c, b"\n".join(call.answers), log.read_bytes(), exports, files)


def _first_start(stream: Any) -> str:
    """What the first start tells, up to its last line."""
    told = b""
    while b"rotate-key" not in told:
        line = stream.readline()
        assert line, "the service ended"
        told += line
    return str(told.decode())


def _files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "log"
    }


def test_no_answer_and_no_page_shows_an_address(traces: Traces) -> None:
    assert DOMAIN.encode() in traces.answers  # masked addresses are there: the search works
    assert found_in(traces.answers, traces.canaries) == []


def test_no_log_line_shows_an_address(traces: Traces) -> None:
    assert traces.log.count(b"request") > 100
    assert found_in(traces.log, traces.canaries) == []


def test_no_export_shows_an_address(traces: Traces) -> None:
    assert traces.exports.count(b'"task"') > 2
    assert found_in(traces.exports, traces.canaries) == []


def test_no_file_holds_an_address_but_where_a_commenter_typed_it(traces: Traces) -> None:
    leaks = {
        name: found_in(content, traces.canaries, text_is_kept="duyet.db" in name)
        for name, content in traces.files.items()
    }

    assert {"var/duyet.db", "var/duyet.db-wal", "var/secrets/match.key"} <= set(leaks)
    assert {name: found for name, found in leaks.items() if found} == {}


@pytest.mark.postgres
def test_no_row_in_postgresql_holds_an_address_but_where_a_commenter_typed_it(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres_server")
    url = server.url(server.new_database())
    c = Canaries()
    with running(tmp_path / "var", database=url) as service, service.client("") as client:
        call = Caller(client)
        ids = send_everything(call, service.key, c)
        look_around(call, service.key, ids)
    rows = []
    with psycopg.connect(url) as connection:
        for table in metadata.tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'.encode()).fetchall():
                rows += [v if isinstance(v, bytes) else str(v).encode() for v in row]

    assert len(ids) == 5
    assert found_in(b"\n".join(rows), c, text_is_kept=True) == []
    assert found_in(b"\n".join(call.answers), c) == []
