"""A real installation for a measurement: `duyet serve` as a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from model.addresses import has_address
from training.examples import Row, read_rows

DUYET = str(Path(sys.executable).with_name("duyet"))
READY_WITHIN_SECONDS = 60


@dataclass
class Installation:
    """A data directory, and the service that runs on it when started.

    `key` is known from the first start on.
    """

    data_dir: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def settings(self) -> dict[str, str]:
        own = {"DUYET_DATA_DIR": str(self.data_dir), "DUYET_PORT": str(self.port)}
        return {**os.environ, "DUYET_LOG_LEVEL": "warning", **self.environment, **own}

    def start(self) -> float:
        """Start the service; the seconds until it is ready."""
        started = time.perf_counter()
        output = (self.data_dir.parent / f"{self.data_dir.name}.log").open("a+")
        self.process = subprocess.Popen(
            [DUYET, "serve"], env=self.settings, stdout=output, stderr=subprocess.STDOUT, text=True
        )
        while not self._is_ready():
            if (
                self.process.poll() is not None
                or time.perf_counter() - started > READY_WITHIN_SECONDS
            ):
                raise SystemExit(f"the service did not start; see {output.name}")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        if not self.key:
            output.seek(0)
            found = re.search(r"Bearer ([\w-]+)", output.read())
            self.key = found.group(1) if found else ""
        output.close()
        return seconds

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the service that was started here."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def run(self, *arguments: str) -> str:
        """What a `duyet` command on this installation prints."""
        done = subprocess.run(
            [DUYET, *arguments], env=self.settings, check=True, text=True, stdout=subprocess.PIPE
        )
        return done.stdout

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def installation(folder: Path, **environment: str) -> Iterator[Installation]:
    """A new installation under `folder`, stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Installation(folder / "var", port, environment)
    try:
        yield made
    finally:
        made.stop()


def comments(data: Path, count: int) -> list[dict[str, Any]]:
    """Real comments as a site would post them, `count` in all, in turn from every file.

    The files' masked addresses are no addresses of the form's rules, so each comment gets
    one that is made up from its place.
    """
    files = sorted(data.glob("*.jsonl.gz")) or sorted(data.glob("*.jsonl"))
    if not files:
        raise SystemExit(f"there are no labelled files in {data}")
    streams = [read_rows(path) for path in files]
    found: list[dict[str, Any]] = []
    while streams and len(found) < count:
        for stream in list(streams):
            row = next(stream, None)
            if row is None:
                streams.remove(stream)
            elif row.text.strip() and len(found) < count:
                found.append(_body(row, len(found)))
    return found


def _body(row: Row, place: int) -> dict[str, Any]:
    name = row.author[:60] if row.author and not has_address(row.author) else f"Reader {place}"
    return {
        "content": row.text,
        "author": {
            "name": name,
            "email": f"reader.{place}@mail-{place % 97}.com",
            "url": row.author_url if row.author_url.startswith("http") else "",
            "user_agent": row.user_agent or "Mozilla/5.0",
        },
        "permalink": f"https://news.example.com/{row.group or row.source}",
        "article": {"language": row.lang if len(row.lang) == 2 else ""},
        "external_id": str(place),
    }


def encoded(body: Mapping[str, Any]) -> bytes:
    """A comment as the JSON that is posted."""
    return json.dumps(body, ensure_ascii=False).encode()
