"""A `duyet serve` of its own, as its supervisor, its callers and its load balancer see it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.api.service import model_at

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
_LISTEN_AGAIN_SECONDS = 0.02
_pause = threading.Event()  # never set: `wait` on it is the pause between two looks


def until(condition: Callable[[], object], within: float, what: str | Callable[[], str]) -> float:
    """Look until `condition` holds; the seconds it took. Fails after `within` seconds."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < within, f"after {waited:.1f} s: {what if isinstance(what, str) else what()}"
        _pause.wait(_LISTEN_AGAIN_SECONDS)
    return time.monotonic() - started


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@dataclass
class Running:
    """The service over `directory`, always on the same port."""

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    key: str = ""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    program: Path = ROOT  # another one's working copy, for one that is earlier
    log: Path = Path()  # beside the data directory unless another one is named

    @property
    def models(self) -> Path:
        return self.directory / "models"

    def __post_init__(self) -> None:
        if self.log == Path():
            self.log = self.directory / "log"

    @property
    def settings(self) -> dict[str, str]:
        own = {
            "DUYET_DATA_DIR": str(self.directory / "var"),
            "DUYET_MODELS": str(self.models),
            "DUYET_PORT": str(self.port),
            "DUYET_LOG_LEVEL": "warning",
            "PYTHONPATH": str(self.program),
            "PYTHONUNBUFFERED": "1",
        }
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("DUYET_")}
        return inherited | own | dict(self.environment)

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "duyet", "serve"],
                env=self.settings,
                cwd=self.program,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start(self, *, ready: bool = True) -> float:
        """Start as a supervisor does, again when it ends at once; the seconds until it answers.

        `ready` waits for readiness as well, otherwise that it is alive is enough.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.models.exists() and not self.models.is_symlink():
            model_at(self.models)
        self.launch()
        path = "/readyz" if ready else "/healthz"

        def answers() -> bool:
            if self.has_ended():
                self.launch()
            return self.status(path) == 200

        seconds = until(answers, START_SECONDS, lambda: f"it does not start: {self.said()}")
        self.read_key()
        return seconds

    def read_key(self) -> str:
        """Take the key of the first site, if it was told by now."""
        if not self.key:
            found = re.search(r"Bearer (\S+?)'", self.log.read_text("utf-8"))
            self.key = found[1] if found else ""
        return self.key

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def said(self) -> str:
        """The end of what it printed and logged, but for the key."""
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return re.sub(r"Bearer \S+", "Bearer …", text)[-2000:]

    def workers(self) -> list[int]:
        """The process ids of the workers, the parent's own when it has none."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = [int(pid) for pid in children.read_text().split()]
        except OSError:
            return []
        workers = [pid for pid in found if b"spawn_main" in _command(pid)]
        return workers or [self.process.pid]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the process and give what it ended with."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=40)

    def stop(self) -> None:
        """Whatever still runs of it ends, for the end of a drill."""
        if self.process is None or self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait(timeout=40)
        for pid in workers:
            if b"spawn_main" in _command(pid):
                os.kill(pid, signal.SIGKILL)

    # -------------------------------------------------------------- asking it

    def asked(
        self, method: str, path: str, body: Any = None, *, timeout: float = 40, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request. Raises OSError, HTTPException when there is none."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            return ask(connection, method, path, body, key=self.key, headers=headers)
        finally:
            connection.close()

    def status(self, path: str, *, timeout: float = 10) -> int:
        """The status of a GET, 0 when there is no answer."""
        try:
            return self.asked("GET", path, timeout=timeout)[0]
        except (OSError, HTTPException, ValueError):
            return 0

    def readiness(self) -> tuple[int, float, str]:
        """What `/readyz` says, after how many seconds, and the reason it gives."""
        started = time.monotonic()
        try:
            status, answer = self.asked("GET", "/readyz", timeout=40)
        except (OSError, HTTPException, ValueError):
            return 0, time.monotonic() - started, ""
        return status, time.monotonic() - started, str(answer.get("detail", ""))


def ask(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """One request on a connection that may be used again."""
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    content = None
    if body is not None:
        content = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    connection.request(method, path, content, sent)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"{}")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def sqlite_url(service: Running) -> str:
    """Where a service keeps its comments when it is told nothing else."""
    return f"sqlite:///{service.directory / 'var' / 'duyet.db'}"
