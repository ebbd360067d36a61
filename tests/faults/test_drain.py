"""SIGTERM under load: what was accepted is answered, and the end is a clean one."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count

import pytest

from tests.faults.ledger import ledger
from tests.faults.load import Load, a_comment
from tests.faults.running import Running, ask, sqlite_url, until
from tests.faults.table import COMPLETE, TABLE

CALLERS = 16
END_SECONDS = 10.0


@dataclass
class Callers:
    """Callers that stop when there is nobody to call, and note every answer they did not get."""

    load: Load
    kept: Counter[str] = field(default_factory=Counter)  # on a connection that was open
    fresh: Counter[str] = field(default_factory=Counter)  # on one made for the request
    unanswered: list[int] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def call(self, *, keeps: bool) -> None:
        connection = HTTPConnection("127.0.0.1", self.load.service.port, timeout=40)
        while True:
            number = next(self.numbers)
            is_open = connection.sock is not None
            try:
                status, answer = ask(
                    connection,
                    "POST",
                    "/v1/comments",
                    a_comment(number),
                    key=self.load.service.key,
                    headers={"Idempotency-Key": f"key {number}"}
                    | ({} if keeps else {"Connection": "close"}),
                )
            except (OSError, HTTPException) as problem:
                if not isinstance(problem, ConnectionRefusedError):
                    (self.kept if is_open else self.fresh)[type(problem).__name__] += 1
                self.unanswered.append(number)
                connection.close()
                return
            (self.kept if is_open else self.fresh)["answered"] += 1
            self.load.statuses[status] += 1
            if status == 200:
                self.load.answered[number] = (answer["id"], answer["verdict"])


@pytest.mark.parametrize("workers", [1, 2])
def test_no_accepted_request_fails_when_the_service_is_told_to_stop(
    service: Callable[..., Running], workers: int
):
    one = service(DUYET_WORKERS=str(workers))
    kept, fresh, seconds = Counter[str](), Counter[str](), []
    load = Load(one)
    numbers = count()

    for _ in range(10 if COMPLETE else 2):
        one.start()
        callers = Callers(load, kept, fresh, numbers=numbers)
        threads = [
            threading.Thread(target=callers.call, kwargs={"keeps": at % 2 == 0})
            for at in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        load.reaches(100)
        told = time.monotonic()
        status = one.end(signal.SIGTERM)
        seconds.append(time.monotonic() - told)
        for thread in threads:
            thread.join()
        assert status == 0, one.said()
        until(lambda: not one.status("/healthz"), 1, "somebody still answers")

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}  # and so nothing was stored that was not answered as well
    assert set(load.statuses) == {200}
    assert set(kept) == {"answered"}
    TABLE.row(
        f"SIGTERM under load, {workers} worker{'s' * (workers > 1)}",
        "every accepted request is answered, exit status 0",
        f"{len(seconds)} stops of at most {max(seconds):.1f} s; {sum(load.statuses.values())} "
        f"requests answered, all with 200; open connections: none broken; new ones reset in the "
        f"kernel's backlog, unread: {fresh.total() - fresh['answered']}; {found}",
    )
