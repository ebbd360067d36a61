"""The same comments through mail filters that learn and through this service: which is faster?

    python -m benchmarks.peers --data DIR [--comments N] [--alone N] [--taught N]

rspamd by its controller, SpamAssassin by spamd and bogofilter by a process for each comment run
on this machine with nothing but their Bayes, taught the same labelled rows; the service runs one
worker with the shipped model and everything it does. All are asked in turn, a part of the
comments at a time, over one connection and over sixteen.

None of the filters keeps a comment or a verdict: by itself its answer is gone with the
connection. The service answers once both are on the disk. At equal durability a filter's verdict
counts once comment and verdict have been appended to a file and synced, one sync for all that
wait; that is the least a site would have to add, and it could not look anything up in it.
"""

import argparse
import os
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.closed_loop import Client, Pace, http_client, paced, post
from benchmarks.goals import Row, at_least, at_most, table, unmeasured
from benchmarks.installation import comments, encoded, installation
from benchmarks.labelled import examples_in
from benchmarks.mail_filters import (
    Absent,
    Bogofilter,
    Mail,
    MailFilter,
    bogofilter,
    rspamd,
    spamd,
)
from benchmarks.replay import mail_of
from model.outcome import Head

COMMENTS = 5_000
ALONE = 500
"""Of the comments those that are also sent one after another: it takes long."""

TAUGHT = 1_000
PARTS = 5
CONNECTIONS = (1, 16)
GET_ONE = "not installed: scripts/install-peers"

FILTERS: dict[str, Callable[[], AbstractContextManager[MailFilter]]] = {
    "rspamd": rspamd,
    "spamd": spamd,
    "bogofilter": bogofilter,
}

_Connect = Callable[[], AbstractContextManager[Client]]


class Ledger:
    """A file to which records are appended; each is on the disk when `keep` returns.

    Whoever comes first writes and syncs for all who wait. Safe for threads.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._entering = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[bytes] = []
        self._entered = self._kept = 0
        self.syncs = 0

    def keep(self, record: bytes) -> None:
        """Append a record and wait until it is on the disk."""
        with self._entering:
            self._waiting.append(record)
            self._entered += 1
            mine = self._entered
        with self._writing:
            if self._kept >= mine:
                return
            with self._entering:
                batch, self._waiting, upto = self._waiting, [], self._entered
            self._file.write(b"".join(batch))
            os.fdatasync(self._file.fileno())
            self.syncs += 1
            self._kept = upto

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def around(self, connect: _Connect) -> _Connect:
        """The same client, whose answers count once they are kept together with the request."""

        @contextmanager
        def kept() -> Iterator[Client]:
            with connect() as ask:

                def asked(request: bytes) -> bytes:
                    answer = ask(request)
                    self.keep(request + answer)
                    return answer

                yield asked

        return kept


@dataclass
class Measured:
    """Who was asked, and how fast the parts were answered."""

    connect: _Connect
    requests: Sequence[bytes]
    paces: list[Pace] = field(default_factory=list)

    @property
    def a_second(self) -> float:
        """Median over the parts."""
        return statistics.median(pace.a_second for pace in self.paces)

    @property
    def all(self) -> Pace:
        """All parts as one."""
        took = sorted(m for pace in self.paces for m in pace.milliseconds)
        return Pace(sum(pace.seconds for pace in self.paces), took)

    def told(self) -> str:
        """Verdicts a second, and milliseconds."""
        return (
            f"{self.a_second:,.0f} a second, p50 {self.all.median:.1f}, p99 {self.all.p99:.1f} ms"
        )


def rows(
    data: Path, *, count: int = COMMENTS, alone: int = ALONE, taught: int = TAUGHT
) -> list[Row]:
    """The service beside each filter, the same `count` comments; `alone` of them one by one.

    The filters are taught `taught` rows first.
    """
    bodies = comments(data, count)
    found: list[Row] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        lessons = _taught(data, taught)
        filters: dict[str, MailFilter] = {}
        for name, start in FILTERS.items():
            try:
                filters[name] = opened.enter_context(start())
            except Absent:
                found.append(unmeasured(f"service for {name}", "≥ 1 ×", GET_ONE))
                continue
            filters[name].learn_all(lessons)
        for connections in CONNECTIONS:
            sent = bodies[: alone if connections == 1 else count]
            found += _beside(filters, sent, folder, connections=connections)
        found += _in_bulk(filters, bodies, folder)
    return found


def _taught(data: Path, count: int) -> list[tuple[Mail, bool]]:
    """Labelled rows on spam, with texts, drawn from all files."""
    found = [e for e in examples_in(data, rows=count) if e.label.head is Head.SPAM]
    found = [e for e in found if e.text.strip()]
    drawn = Random(7).sample(found, min(count, len(found)))
    return [(mail_of(example), example.label.positive) for example in drawn]


def _mail(body: dict[str, Any]) -> Mail:
    return Mail(body["content"], body["author"]["name"], body["author"]["url"])


def _beside(
    filters: dict[str, MailFilter],
    bodies: Sequence[dict[str, Any]],
    folder: Path,
    *,
    connections: int,
) -> Iterator[Row]:
    """All in turn, a part of the comments at a time. The service begins with an empty store."""
    place = folder / str(connections)
    place.mkdir()
    ledger = Ledger(place / "ledger")
    with installation(place) as site:
        site.start()
        headers = {**site.headers, "Content-Type": "application/json"}
        ours = [post("/v1/comments", encoded(body), headers) for body in bodies]
        service = Measured(partial(http_client, site.port), ours)
        peers: dict[str, tuple[Measured, Measured]] = {}
        for name, peer in filters.items():
            mails = [peer.request(_mail(body)) for body in bodies]
            kept = Measured(ledger.around(peer.connect), mails)
            peers[name] = (kept, Measured(peer.connect, mails))
        everyone = [service, *(measured for pair in peers.values() for measured in pair)]
        part = -(-len(bodies) // PARTS)
        for at in range(0, len(bodies), part):
            for one in everyone:
                # What keeps nothing has no goal: a part of the comments is enough of it.
                if at == 0 or one is service or any(one is kept for kept, _ in peers.values()):
                    sent = one.requests[at : at + part]
                    one.paces.append(paced(one.connect, sent, connections=connections))
    ledger.close()
    over = f"{connections} connection{'s' if connections > 1 else ''}"
    for name, (kept, gone) in peers.items():
        note = f"service {service.told()}; {name}, kept {kept.told()}; nothing kept {gone.told()}"
        rate = service.a_second / kept.a_second
        yield at_least(f"verdicts, service for {name}, {over}", rate, 1, " ×", note=note)
        p99 = service.all.p99 / kept.all.p99
        yield at_most(f"p99, service for {name}, {over}", p99, 1, " ×")


def _in_bulk(
    filters: dict[str, MailFilter], bodies: Sequence[dict[str, Any]], folder: Path
) -> Iterator[Row]:
    """What bogofilter can at best: one process that is given all, and nothing kept."""
    peer = filters.get("bogofilter")
    if not isinstance(peer, Bogofilter):
        return
    paths = []
    for place, body in enumerate(bodies):
        paths.append(folder / f"{place}.eml")
        paths[-1].write_bytes(bytes(_mail(body)))
    pace = paced(lambda: _one_call(peer, paths), [b""], connections=1)
    note = f"{len(paths):,} files; nothing kept, and no verdict before all are read"
    name = "bogofilter -b, one process for all"
    yield Row(name, "", f"{len(paths) / pace.seconds:,.0f} a second", None, note)


@contextmanager
def _one_call(peer: Bogofilter, paths: Sequence[Path]) -> Iterator[Client]:
    def ask(_: bytes) -> bytes:
        if peer.judge_files(paths) != len(paths):
            raise RuntimeError("bogofilter left some out")
        return b""

    yield ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--comments", type=int, default=COMMENTS, metavar="N")
    parser.add_argument("--alone", type=int, default=ALONE, metavar="N", help="of them one by one")
    parser.add_argument("--taught", type=int, default=TAUGHT, metavar="N")
    options = parser.parse_args()
    counts = {"count": options.comments, "alone": options.alone, "taught": options.taught}
    print(table(rows(options.data, **counts)))


if __name__ == "__main__":
    main()
