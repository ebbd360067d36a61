"""What was answered is there, whatever becomes of the process: kill -9 and SIGTERM, for real."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Store
from tests.api.service import a_comment, model_at

CALLERS = 8
ROUNDS = 3


@dataclass
class Started:
    """A `duyet serve` of its own."""

    process: subprocess.Popen[bytes]
    port: int
    key: str  # of the first start; "" when an installation was there


@dataclass
class Posted:
    """What callers were answered, and which of their comments got none."""

    answered: dict[str, tuple[str, str]] = field(default_factory=dict)  # id: content, verdict
    unanswered: list[str] = field(default_factory=list)
    first: threading.Event = field(default_factory=threading.Event)

    def post_until_it_ends(self, port: int, key: str, name: str) -> None:
        """Post one comment after another until the service does not answer any more."""
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        for number in range(10_000):
            content = f"{name}, câu {number}"
            try:
                answer = posted(connection, key, a_comment(content))
            except (OSError, HTTPException):
                self.unanswered.append(content)
                break
            self.answered[answer["id"]] = (content, answer["verdict"])
            if len(self.answered) > 4 * CALLERS:
                self.first.set()
        connection.close()


def posted(connection: HTTPConnection, key: str, body: Any, path: str = "/v1/comments") -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    return json.loads(connection.getresponse().read())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Started]]:
    model_at(tmp_path / "models")
    environment = {n: v for n, v in os.environ.items() if not n.startswith("DUYET_")} | {
        "DUYET_DATA_DIR": str(tmp_path / "var"),
        "DUYET_MODELS": str(tmp_path / "models"),
        "DUYET_PORT": "0",
        "DUYET_LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
    }
    processes: list[subprocess.Popen[bytes]] = []

    def started() -> Started:
        process = subprocess.Popen(
            [sys.executable, "-m", "duyet", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        told = ""
        while "duyet sign-in`" not in told:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert line, "the service ended"
            told += line
        port = re.search(r"http://127\.0\.0\.1:(\d+)", told)
        key = re.search(r"Bearer (\S+?)'", told)
        assert port is not None
        _wait_until_ready(int(port[1]))
        return Started(process, int(port[1]), key[1] if key else "")

    yield started
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _wait_until_ready(port: int) -> None:
    """The kernel keeps the first request until the service listens; before, it is refused."""
    pause = threading.Event()
    for _ in range(400):
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            return
        except OSError:
            pause.wait(0.05)
        finally:
            connection.close()
    pytest.fail("the service does not listen")


def all_contents(directory: Path) -> dict[str, tuple[str, str]]:
    """Every stored comment by id: its content and its verdict."""
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir))
    with store.reads() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, content, outcome FROM comments JOIN verdicts ON comment_id = id"
        ).all()
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        comments = connection.exec_driver_sql("SELECT count(*) FROM comments").scalar_one()
    store.close()
    assert comments == len(rows), "no comment without its verdict"
    return {row[0]: (row[1], row[2]) for row in rows}


def test_killed_in_the_middle_it_has_all_that_it_answered_once(
    start: Callable[[], Started], tmp_path: Path
) -> None:
    said, key = Posted(), ""
    for number in range(ROUNDS):
        service = start()
        key = service.key or key
        said.first.clear()
        callers = [
            threading.Thread(
                target=said.post_until_it_ends, args=(service.port, key, f"{number}-{n}")
            )
            for n in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        said.first.wait(20)
        service.process.send_signal(signal.SIGKILL)
        for caller in callers:
            caller.join()
        service.process.wait()

    stored = all_contents(tmp_path / "var")

    assert len(said.answered) >= 4 * CALLERS
    assert {one: stored.get(one) for one in said.answered} == said.answered
    contents = [content for content, _ in stored.values()]
    assert len(contents) == len(set(contents))
    # Nothing but what was posted: answered, or under way when it was killed.
    assert set(contents) <= {c for c, _ in said.answered.values()} | set(said.unanswered)


def test_told_to_stop_it_answers_what_it_has_begun(
    start: Callable[[], Started], tmp_path: Path
) -> None:
    service = start()
    answers: list[Any] = []

    def post_batch(name: str) -> None:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        batch = [a_comment(f"{name}, câu {n}") for n in range(300)]
        answers.append(posted(connection, service.key, batch, "/v1/comments/batch"))
        connection.close()

    callers = [threading.Thread(target=post_batch, args=(f"b{n}",)) for n in range(4)]
    for caller in callers:
        caller.start()
    _wait_until_stored(tmp_path / "var", [f"b{n}" for n in range(4)])
    service.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join()
    status = service.process.wait(20)

    stored = all_contents(tmp_path / "var")
    items = [item for answer in answers for item in answer["items"]]
    assert [len(answer["items"]) for answer in answers] == [300] * 4
    assert {item["status"] for item in items} == {200}
    assert {item["answer"]["id"] for item in items} == set(stored)
    # Ended by the signal it was sent, after all was done: as a shell expects of SIGTERM.
    assert status in (0, -signal.SIGTERM)


def _wait_until_stored(directory: Path, names: list[str]) -> None:
    """Until something of each batch is stored. Callers take turns: most of each still waits."""
    pause = threading.Event()
    for _ in range(1000):
        stored = " ".join(content for content, _ in all_contents(directory).values())
        if all(f"{name}, câu" in stored for name in names):
            return
        pause.wait(0.01)
    pytest.fail("the batches were not begun")
