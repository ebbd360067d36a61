"""kill -9 at random points under load: what was acknowledged is there, once and whole."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.faults.ledger import ledger
from tests.faults.load import Load
from tests.faults.running import Running, sqlite_url, until
from tests.faults.servers import Server
from tests.faults.table import COMPLETE, TABLE

BACK_SECONDS = 30.0
"""Within which verdicts flow again after a kill, with nobody doing anything by hand."""


@dataclass
class Kills:
    """Kills a worker or the parent of a service, and is its supervisor."""

    service: Running
    load: Load
    chance: random.Random
    back_after: list[float] = field(default_factory=list)
    parents: int = 0

    def one(self, *, of_parent: bool) -> None:
        """Kill at a random moment, and wait until a comment is answered that was sent after."""
        self.load.reaches(self.chance.randrange(1, 40))
        threading.Event().wait(self.chance.random() * 0.05)
        process = self.service.process
        assert process is not None
        victim = process.pid if of_parent else self.chance.choice(self.service.workers())
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            self.parents += 1
            process.wait()
            self.service.launch()
        until(lambda: self._is_back(killed), BACK_SECONDS, self.service.said)
        self.back_after.append(self.load.last_answer - killed)

    def _is_back(self, killed: float) -> bool:
        """Whether it is the killed one's successor that answers, with all of its workers."""
        if self.service.has_ended():  # the port was still taken, or so; a supervisor tries again
            self.service.launch()
        wanted = int(self.service.environment["DUYET_WORKERS"])
        workers = self.service.workers()
        assert self.service.process is not None
        has_all = len(workers) == wanted and (wanted == 1) == (
            workers == [self.service.process.pid]
        )
        return self.load.last_answer > killed and has_all


CASES = [
    pytest.param(1, False, 2, 34, id="one-process-sqlite"),
    pytest.param(2, False, 3, 33, id="two-workers-sqlite"),
    pytest.param(2, True, 3, 33, id="two-workers-postgresql"),
]


@pytest.mark.parametrize(("workers", "on_postgres", "few", "many"), CASES)
def test_after_kill_9_every_acknowledged_comment_is_there_once_and_whole(
    service: Callable[..., Running],
    server: Callable[[], Server],
    workers: int,
    on_postgres: bool,
    few: int,
    many: int,
):
    url = server().url("duyet") if on_postgres else ""
    one = service(DUYET_WORKERS=str(workers), DUYET_DATABASE_URL=url)
    one.start()
    load = Load(one)
    kills = Kills(one, load, random.Random(workers + 10 * on_postgres))

    with load.running():
        for number in range(many if COMPLETE else few):
            kills.one(of_parent=number % 2 == 1)
    load.again(random.Random(1).sample(sorted(load.answered), min(200, len(load.answered))))

    one.end()
    found = ledger(url or sqlite_url(one), load)
    nobody = until(lambda: not one.status("/healthz"), BACK_SECONDS, "an orphan still answers")
    assert nobody < 1.0
    assert found.faults == {}
    assert found.comments == len(load.answered)
    back = sorted(kills.back_after)
    TABLE.row(
        f"kill -9, {workers} worker{'s' * (workers > 1)}, {'PostgreSQL' if url else 'SQLite'}",
        f"nothing acknowledged lost, doubled or half; answers within {BACK_SECONDS:.0f} s",
        f"{len(back)} kills ({kills.parents} of the parent); {found}; answers again after "
        f"{back[len(back) // 2]:.1f} s (median), {back[-1]:.1f} s at most",
    )
