"""Callers that post comment after comment and never give one up, as a careful site does.

Each comment has an idempotency key of its own; one without an answer is sent again with it.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any

from tests.faults.running import Running, ask, until

CALLERS = 8
UNHURRIED = 0.1
"""Seconds: eighty comments a second at most, for what goes on while something is away."""

_TEXTS = (
    "Cảm ơn tác giả, mình làm được rồi ({}).",
    "Bài viết hay quá, mong có phần tiếp theo, câu {}",
    "Mua ngay giá rẻ tại http://re.example/{} http://nua.example http://nhe.example",
)


def a_comment(number: int) -> dict[str, Any]:
    """The comment with this number: always the same, each by an author of its own."""
    return {
        "content": _TEXTS[number % len(_TEXTS)].format(number),
        "author": {"name": f"Bạn đọc {number}", "email": f"reader.{number}@gmail.com"},
        "permalink": f"https://blog.example/{number % 7}",
        "external_id": str(number),
    }


@dataclass
class Load:
    """What was asked of a service and what it said. Counts are of requests, not of comments.

    `pause` is how many seconds a caller lets go by after an answer, where many answers would say
    no more than some.
    """

    service: Running
    pause: float = 0.0
    answered: dict[int, tuple[str, str]] = field(default_factory=dict)  # number: id, verdict
    changed: list[int] = field(default_factory=list)  # answered twice, and not the same
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0  # no answer: refused, reset, timed out
    slowest: float = 0.0
    last_answer: float = 0.0
    given_out: int = 0
    attempts: int = 0
    _numbers: Iterator[int] = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _no_more: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def running(self, callers: int = CALLERS, *, within: float = 60) -> Iterator["Load"]:
        """Post from threads; at the end, wait until every comment has its answer.

        Once that is over it may be done again, with the comments after these.
        """
        self._over.clear()
        self._no_more.clear()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]
        for thread in self._threads:
            thread.start()
        try:
            yield self
            self._no_more.set()
            until(self._is_idle, within, lambda: f"comments are without an answer: {self}")
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def again(self, numbers: list[int]) -> None:
        """Send comments once more, with their keys, and note what is answered otherwise."""
        connection = HTTPConnection("127.0.0.1", self.service.port, timeout=40)
        for number in numbers:
            assert self._post(connection, number), f"comment {number} was not answered again"
        connection.close()

    def reaches(self, more: int, *, within: float = 60) -> float:
        """Wait until so many more comments are answered; the seconds it took."""
        goal = len(self.answered) + more
        return until(
            lambda: len(self.answered) >= goal, within, lambda: f"no {more} more answers: {self}"
        )

    def __str__(self) -> str:
        said = ", ".join(f"{n} × {status}" for status, n in sorted(self.statuses.items()))
        return (
            f"{len(self.answered)} comments answered; {said}; {self.broken} without an answer; "
            f"slowest {self.slowest:.1f} s"
        )

    def _is_idle(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _call(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.service.port, timeout=40)
        while not self._over.is_set() and not self._no_more.is_set():
            with self._lock:
                number = next(self._numbers)
                self.given_out = number + 1
            while not self._over.is_set() and not self._post(connection, number):
                self._over.wait(0.05)
            self._over.wait(self.pause)
        connection.close()

    def _post(self, connection: HTTPConnection, number: int) -> bool:
        started = time.monotonic()
        key = f"key {number}"
        with self._lock:
            self.attempts += 1
        try:
            status, answer = ask(
                connection,
                "POST",
                "/v1/comments",
                a_comment(number),
                key=self.service.key,
                headers={"Idempotency_Key": key},
            )
        except (OSError, HTTPException, ValueError):
            connection.close()
            with self._lock:
                self.broken += 1
            return False
        with self._lock:
            self.statuses[status] += 1
            self.slowest = max(self.slowest, time.monotonic() - started)
            if status == 200:
                self._note(number, (answer["id"], answer["verdict"]))
        return status == 200

    def _note(self, number: int, said: tuple[str, str]) -> None:
        self.last_answer = time.monotonic()
        if self.answered.setdefault(number, said) != said:
            self.changed.append(number)
