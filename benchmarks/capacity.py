"""What a database bears: measured, fitted, simulated, and the simulation measured again.

    python -m benchmarks.capacity --url sqlite:////tmp/capacity.db
    python -m benchmarks.capacity --url postgresql://duyet@/capacity?host=/run/postgresql

The database should be new; it is filled. Prints bytes for each stored comment, the seconds a
batch takes as `a + b * comments`, and for some loads the latency that a simulation of the one door
(batches without a timer) gives beside the one measured with the same arrivals.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.submission import Author, Submission
from model.verdict import Reason, RuleHit, Span, Verdict
from service.keyring import Keyring
from service.storage import Asked, Checked, Retention, Site, Store, new_id
from service.storage.partitions import are_made

LARGEST_BATCH = 256
SIZES = (1, 4, 16, 64, 256)
LOADS = (0.2, 0.5, 0.8)
WORDS = ("bài viết hay quá", "cảm ơn tác giả", "mình thấy đúng", "giá hơi cao", "chất lượng")
VERDICT = Verdict(
    outcome=Outcome.ACCEPT,
    scores=Scores(0.02, 0.01),
    reasons=(Reason("links.many", "content", "3 links"),),
    hits=(RuleHit("links.many", Outcome.QUEUE, "3 links", "content"),),
    spans=tuple(Span("content", 9 * n, 9 * n + 8, Head.SPAM, 0.125) for n in range(5)),
    model="0123456789ab",
    policy="0123456789ab",
)


class Source:
    """Comments of some 250 characters by five thousand authors, each a millisecond later."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self._random = random.Random(seed)
        self._at = datetime.now(UTC) - timedelta(hours=6)

    def batch(self, size: int) -> list[Asked]:
        return [self._one() for _ in range(size)]

    def _one(self) -> Asked:
        draw = self._random
        self._at += timedelta(milliseconds=1)
        content = " ".join(draw.choices(WORDS, k=draw.randint(8, 30)))
        name = f"a{draw.randrange(5000)}"
        ip = f"203.0.{draw.randrange(256)}.{draw.randrange(256)}"
        author = Author(name, f"{name}@mail.example", "", ip, "Mozilla/5.0 (X11; Linux x86_64)")
        sent = Submission(content, author, permalink=f"https://blog.example/{draw.randrange(200)}")
        return Asked(self._site.id, new_id(self._at), sent, self._at, content, str(draw.random()))


def commit(store: Store, batch: Sequence[Asked]) -> float:
    """Seconds to gather and record a batch."""
    began = time.perf_counter()
    known = store.gather(batch)
    store.record([Checked(a, k, VERDICT, 1.0) for a, k in zip(batch, known, strict=True)])
    return time.perf_counter() - began


def measured(store: Store, source: Source, rounds: int) -> dict[int, list[float]]:
    """Seconds of batches of each size, in turn, so that a busy moment hits all alike."""
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(rounds):
        for size in SIZES:
            seconds[size].append(commit(store, source.batch(size)))
    return seconds


def fitted(seconds: dict[int, list[float]]) -> tuple[float, float]:
    """`a` and `b` of `a + b * comments` through the medians of one comment and of most."""
    low, high = (statistics.median(seconds[size]) for size in (SIZES[0], SIZES[-1]))
    b = (high - low) / (SIZES[-1] - SIZES[0])
    return low - b, b


def drawn(seconds: dict[int, list[float]], size: int, draw: random.Random) -> float:
    """Seconds of a batch: one of those measured at the sizes around it, between them by size."""
    above = next(s for s in SIZES if s >= size)
    below = max((s for s in SIZES if s <= size), default=above)
    share = 0.0 if above == below else (size - below) / (above - below)
    rank = draw.random()
    low, high = (sorted(seconds[s])[int(rank * len(seconds[s]))] for s in (below, above))
    return low + share * (high - low)


def door(arrivals: Sequence[float], serve: Callable[[int, int, float], float]) -> list[float]:
    """The latency of each arrival: while a batch is served the next collects, without a timer.

    `serve(first, size, now)` gives when a batch that starts now is done.
    """
    latencies: list[float] = []
    now, first = 0.0, 0
    while first < len(arrivals):
        now = max(now, arrivals[first])
        size = 1
        while (
            size < LARGEST_BATCH and first + size < len(arrivals) and arrivals[first + size] <= now
        ):
            size += 1
        now = serve(first, size, now)
        latencies += [now - at for at in arrivals[first : first + size]]
        first += size
    return latencies


def replayed(store: Store, asked: Sequence[Asked], arrivals: Sequence[float]) -> list[float]:
    """The same arrivals on the real database, in real time."""
    began = time.perf_counter()

    def serve(first: int, size: int, now: float) -> float:
        wait = now - (time.perf_counter() - began)
        if wait > 0:
            time.sleep(wait)
        commit(store, asked[first : first + size])
        return time.perf_counter() - began

    return door(arrivals, serve)


def quantiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Median and p99, in milliseconds."""
    ordered = sorted(latencies)
    return 1000 * ordered[len(ordered) // 2], 1000 * ordered[int(0.99 * len(ordered))]


def database_bytes(store: Store) -> int:
    """What comments, verdicts and their indexes take."""
    with store._reads() as connection:
        if are_made(connection):
            return int(
                connection.exec_driver_sql(
                    "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
                    " WHERE inhparent IN ('comments'::regclass, 'verdicts'::regclass)"
                ).scalar_one()
            )
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def main() -> None:
    """Run it all on one database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=8.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(given.url, Keyring.open(Path(directory) / "secrets"))
        store.migrate()
        store.make_partitions(Retention())
        site, _ = store.add_site(f"capacity {time.time()}", Policy())
        run(store, Source(site, 1), given.rounds, given.seconds)
        store.close()


def run(store: Store, source: Source, rounds: int, length: float) -> None:
    """Measure, simulate, measure again, print."""
    for _ in range(4):
        commit(store, source.batch(LARGEST_BATCH))
    before = database_bytes(store)
    seconds = measured(store, source, rounds)
    stored = rounds * sum(SIZES)
    print(f"bytes for each comment: {(database_bytes(store) - before) / stored:,.0f}")
    for size, found in seconds.items():
        print(f"batch of {size:3}: median {1000 * statistics.median(found):7.2f} ms")
    a, b = fitted(seconds)
    most = LARGEST_BATCH / (a + b * LARGEST_BATCH)
    print(
        f"seconds of a batch: {1000 * a:.2f} ms + {1e6 * b:.0f} µs a comment; {most:,.0f} a second"
    )
    draw = random.Random(2)
    for load in LOADS:
        rate = load * most
        arrivals = [0.0]
        while arrivals[-1] < length:
            arrivals.append(arrivals[-1] + draw.expovariate(rate))
        simulated = door(arrivals, lambda _, size, now: now + drawn(seconds, size, draw))
        real = replayed(store, source.batch(len(arrivals)), arrivals)
        (s50, s99), (r50, r99) = quantiles(simulated), quantiles(real)
        print(
            f"at {rate:6,.0f} a second: median simulated {s50:6.1f} ms, measured {r50:6.1f} ms"
            f" ({s50 / r50 - 1:+.0%}); p99 {s99:7.1f}, {r99:7.1f} ms ({s99 / r99 - 1:+.0%})"
        )


if __name__ == "__main__":
    main()
