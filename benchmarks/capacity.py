"""What a database bears: bytes for each comment, and what a batch costs as it grows.

    python -m benchmarks.capacity --url sqlite:////tmp/capacity.db
    python -m benchmarks.capacity --url postgresql://duyet@/capacity?host=/run/postgresql

The database should be new; it is filled. Prints bytes for each stored comment, and the seconds
that gathering and recording a batch takes as `a + b * comments`. No judging and no HTTP is in
them: `benchmarks.door` measures those, and what callers wait for.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
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


def database_bytes(store: Store) -> int:
    """What comments, verdicts and their indexes take."""
    with store.reads() as connection:
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
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(given.url, Keyring.open(Path(directory) / "secrets"))
        store.migrate()
        store.make_partitions(Retention())
        site, _ = store.add_site(f"capacity {time.time()}", Policy())
        run(store, Source(site, 1), given.rounds)
        store.close()


def run(store: Store, source: Source, rounds: int) -> None:
    """Measure, fit, print."""
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


if __name__ == "__main__":
    main()
