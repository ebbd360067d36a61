"""The examples of docs/api.md: what they send, what they say is answered, what really is.

`python -m tests.api_page` writes the real answers into the page, which is needed when the
shipped model or the wire form has changed.
"""

import json
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from model.policy import Policy
from model.registry import registry_at
from service.app import build
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Store
from tests.api.service import signed
from tests.migrated import lay_database
from tests.serving import served

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
VOLATILE = {"at", "id", "next", "received_at", "waiting_since"}
"""Members that differ from run to run; their types do not."""

_SHOWN_HEADERS = ("content-type", "content-language", "www-authenticate")
_TITLES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict"}
_TITLES |= {422: "Unprocessable Content", 503: "Service Unavailable"}
_BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Clock:
    """A minute later each time somebody asks, so that no author floods."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(minutes=1)
        return self._now


@contextmanager
def service(directory: Path) -> Iterator[tuple[FastAPI, str]]:
    """An application over a new SQLite store, and a key of its one site.

    Its models are those in the directory, if any. The site draws no audit sample, which would
    queue one accepted comment in a hundred.
    """
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    lay_database(directory)
    clock = Clock()
    store = Store.open(settings.sqlalchemy_url, Keyring.open(settings.secrets_dir), now=clock)
    store.migrate()
    _, key = store.add_site("example", Policy(audit_rate=0))
    try:
        signed(settings)
        yield build(settings, store, now=clock), key
    finally:
        store.close()


@dataclass(frozen=True)
class Message:
    """A request or an answer, as the page shows it."""

    first: list[str]
    headers: dict[str, str]
    body: str

    @classmethod
    def of(cls, block: str) -> "Message":
        head, _, body = block.partition("\n\n")
        first, *lines = head.splitlines()
        headers = dict(line.split(": ", 1) for line in lines)
        return cls(first.split(), headers, body.rstrip("\n"))

    @property
    def value(self) -> Any:
        """The body as what its JSON means; a body that is none as it is."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body

    def text(self, *, as_typed: bool = False) -> str:
        """The message as the page shows it, its JSON laid out anew unless `as_typed`."""
        lines = [" ".join(self.first), *(f"{k}: {v}" for k, v in self.headers.items())]
        body = self.body if as_typed or isinstance(self.value, str) else laid_out(self.value)
        return "\n".join(lines) + (f"\n\n{body}" if body else "") + "\n"


def laid_out(value: Any, indent: str = "") -> str:
    """JSON as a person would break it: on one line what fits there."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= 96 or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(name)}: {laid_out(each, inner)}" for name, each in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + laid_out(each, inner) for each in value) + f"\n{indent}]"


def examples() -> list[tuple[Message, Message]]:
    """Requests and answers, in the order of the page."""
    messages = [Message.of(block) for block in _BLOCK.findall(PAGE.read_text("utf-8"))]
    return list(zip(messages[::2], messages[1::2], strict=True))


def sent(port: int, request: Message, known: dict[str, str], key: str) -> Message:
    """The answer to a request of the page, its key and ids replaced by those of this service."""
    path, body = request.first[1], request.body
    for written, real in known.items():
        path, body = path.replace(written, real), body.replace(written, real)
    headers = {name: value.replace("KEY", key) for name, value in request.headers.items()}
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(request.first[0], path, body.encode() or None, headers)
        answer = connection.getresponse()
        title = _TITLES[answer.status]
        shown = {
            name.title(): value
            for name in _SHOWN_HEADERS
            if (value := answer.getheader(name)) is not None
        }
        if "Www-Authenticate" in shown:
            shown["WWW-Authenticate"] = shown.pop("Www-Authenticate")
        return Message(
            ["HTTP/1.1", str(answer.status), *title.split()], shown, answer.read().decode()
        )
    finally:
        connection.close()


def answers() -> Iterator[tuple[Message, Message, Message]]:
    """Each request of the page with the answer that it shows and the one it really gets.

    The model is the shipped one.
    """
    known: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        registry_at(directory / "models")
        with service(directory) as (app, key), served(app) as port:
            for request, written in examples():
                real = sent(port, request, known, key)
                known |= paired_ids(written.value, real.value)
                yield request, written, real


def paired_ids(written: Any, real: Any) -> dict[str, str]:
    """Which id of this service stands for which of the page."""
    if isinstance(written, dict) and isinstance(real, dict):
        pairs = {written["id"]: real["id"]} if "id" in written and "id" in real else {}
        for name in written.keys() & real.keys():
            pairs |= paired_ids(written[name], real[name])
        return pairs
    if isinstance(written, list) and isinstance(real, list):
        pairs = {}
        for one, other in zip(written, real, strict=False):
            pairs |= paired_ids(one, other)
        return pairs
    return {}


def differences(written: Any, real: Any, place: str = "") -> Iterator[str]:
    """Where an answer is not what the page says, what differs from run to run apart."""
    if type(written) is not type(real):
        yield f"{place}: {type(real).__name__}"
    elif isinstance(written, dict):
        if written.keys() != real.keys():
            yield f"{place}: {sorted(written.keys() ^ real.keys())}"
        for name in sorted(written.keys() & real.keys()):
            yield from differences(written[name], real[name], f"{place}.{name}")
    elif isinstance(written, list):
        if len(written) != len(real):
            yield f"{place}: {len(real)} items"
        for at, (one, other) in enumerate(zip(written, real, strict=False)):
            yield from differences(one, other, f"{place}[{at}]")
    elif place.rpartition(".")[2] not in VOLATILE and not _same(written, real):
        yield f"{place}: {real!r}"


def _same(written: object, real: object) -> bool:
    """Equal; for scores but for what machines add up differently."""
    if isinstance(written, float) and isinstance(real, float):
        return math.isclose(written, real, rel_tol=1e-6)
    return written == real


def rewrite() -> None:
    """Put the real answers into the page, ids as they come, in requests as well."""
    text = PAGE.read_text("utf-8")
    known: dict[str, str] = {}
    blocks = list(_BLOCK.finditer(text))
    new: list[str] = []
    for request, written, real in answers():
        known |= paired_ids(written.value, real.value)
        asked = " ".join(request.first)
        for old, now in known.items():
            asked = asked.replace(old, now)
        new += [
            Message(asked.split(), request.headers, request.body).text(as_typed=True),
            real.text(),
        ]
    for block, replacement in reversed(list(zip(blocks, new, strict=True))):
        text = text[: block.start(1)] + replacement + text[block.end(1) :]
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    rewrite()
