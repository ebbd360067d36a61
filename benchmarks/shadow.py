"""What a challenger's shadow costs whoever waits for an answer, and what it costs the machine.

    python -m benchmarks.shadow [--rate 40] [--blocks 120] [--seconds 1]

In this process, over SQLite, with the project's own texts. First the processor time of a comment
on the hot path, with no shadow at all and with one that has no challenger, batch by batch in turn.
Then comments that arrive one by one at a steady rate, in blocks without and with a challenger in
turn: what a caller waits, and the processor time of the whole process. Ratios are within a run, so
that other work on the machine is in both. At last the texts are judged while one in eight is
decided and learnt from, and judged again by the same champion: none may have another outcome.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import training
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from model.registry import CHALLENGER, CHAMPION, Registry, registry_at
from model.submission import Author, Submission
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.metrics import Metrics
from service.moderation import Answered, Moderation
from service.replay import replayed, setups_of
from service.serving import Serving
from service.shadow import Shadow
from service.storage import Site, Store, utc_now
from service.storage.past import Stretch
from service.storage.tables import EPOCH

OWN_TEXTS = Path(training.__file__).parent / "texts"
POLICY = Policy(flood_seconds=0)


@dataclass
class Parts:
    """An installation without its sockets."""

    store: Store
    site: Site
    registry: Registry
    serving: Serving
    metrics: Metrics
    moderation: Moderation

    def challenge(self, version: str) -> None:
        """Name a challenger; with the champion's own version there is none."""
        self.registry.move(CHALLENGER, version, who="benchmark", why="measured", at=utc_now())
        self.serving.refresh()

    def came(self) -> dict[str, float]:
        """What became of comments in the shadow."""
        lines = self.metrics.text()[0].decode().splitlines()
        found = [line for line in lines if line.startswith("duyet_shadow_total{")]
        return {line.split('"')[1]: float(line.split()[-1]) for line in found}


@contextmanager
def parts(directory: Path, *, has_shadow: bool) -> Iterator[Parts]:
    """A new installation in a directory, with the shipped champion."""
    metrics = Metrics()
    registry = registry_at(directory / "models")
    serving = Serving(registry, metrics)
    serving.refresh()
    keyring = Keyring.open(directory / "secrets")
    store = Store.open(f"sqlite:///{directory / 'duyet.db'}", keyring)
    store.migrate()
    site, _ = store.add_site("benchmark", POLICY)
    moderation = Moderation(
        store,
        serving,
        now=utc_now,
        deliverability=Deliverability(),
        metrics=metrics,
        shadow=Shadow(store, serving, metrics) if has_shadow else None,
    )
    moderation.start()
    yield Parts(store, site, registry, serving, metrics, moderation)
    asyncio.run(moderation.drain())
    store.close()


def texts() -> list[Submission]:
    """The project's own texts, each by another author."""
    rows = [
        json.loads(line)
        for path in sorted(OWN_TEXTS.glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    return [
        Submission(row["text"], Author(row.get("author") or "An", f"a{n}@site{n % 97}.example"))
        for n, row in enumerate(rows)
    ]


def second_model(registry: Registry) -> str:
    """A version that scores nearly as the champion does, and costs as much."""
    manifest, champion = registry.manifest(CHAMPION), registry.load(CHAMPION)
    return registry.add(replace(manifest, probes=()), champion.table * 1.01)


async def _judged(of: Parts, batch: Sequence[Submission]) -> float:
    began = time.process_time()
    await of.moderation.check(of.site, batch)
    return (time.process_time() - began) / len(batch)


async def without_challenger(one: Parts, other: Parts, rounds: int, size: int) -> list[float]:
    """Processor time with the shadow by that without it, for each batch, the order in turn."""
    sent, ratios = cycle(texts()), []
    for turn in range(rounds):
        batch = [replace(next(sent), permalink=f"https://blog.example/{turn}") for _ in range(size)]
        order = (one, other) if turn % 2 else (other, one)
        took = {id(of): await _judged(of, batch) for of in order}
        ratios.append(took[id(other)] / took[id(one)])
    return ratios[rounds // 10 :]


async def paced(of: Parts, sent: Iterator[Submission], rate: float, seconds: float) -> list[float]:
    """What callers waited, in seconds, while comments arrived one by one."""
    waits: list[float] = []

    async def ask(submission: Submission) -> None:
        began = time.perf_counter()
        await of.moderation.check_one(of.site, submission)
        waits.append(time.perf_counter() - began)

    asking = []
    for _ in range(int(rate * seconds)):
        asking.append(asyncio.create_task(ask(next(sent))))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*asking)
    return waits


def held_up() -> float:
    """Seconds that the two threads which an answer needs were ready to run and had no core.

    What other work on the machine costs; 0 where Linux does not tell.
    """
    needed = {thread.native_id for thread in threading.enumerate() if _is_needed(thread)}
    found = (Path(f"/proc/self/task/{one}/schedstat") for one in needed)
    return sum(int(path.read_text().split()[1]) for path in found if path.exists()) / 1e9


def _is_needed(thread: threading.Thread) -> bool:
    return thread.name.startswith(("MainThread", "moderation"))


def told(name: str, values: Sequence[float], unit: str = "") -> str:
    """A row of numbers as their median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{name}: {middle:.4f}{unit} (quartiles {low:.4f} to {high:.4f})"


def high(waits: Sequence[float], percent: int) -> float:
    """A percentile."""
    return statistics.quantiles(waits, n=100)[percent - 1]


def measure_hot_path(rounds: int, size: int) -> None:
    """Without a challenger, with a shadow and with none."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "a").mkdir()
        (place / "b").mkdir()
        with parts(place / "a", has_shadow=False) as one, parts(place / "b", has_shadow=True) as b:
            ratios = asyncio.run(without_challenger(one, b, rounds, size))
    print(told(f"processor time of a comment, batches of {size}, shadow by none", ratios))


def measure_waiting(rate: float, blocks: int, seconds: float) -> None:
    """With a challenger and without one, in turn."""
    with (
        tempfile.TemporaryDirectory() as directory,
        parts(Path(directory), has_shadow=True) as of,
    ):
        champion, other = of.registry.names()[CHAMPION], second_model(of.registry)
        sent = cycle(texts())
        asyncio.run(paced(of, sent, rate, 2))
        waits: dict[str, list[list[float]]] = {champion: [], other: []}
        own: dict[str, list[float]] = {champion: [], other: []}
        used: dict[str, list[float]] = {champion: [], other: []}
        for block in range(2 * blocks):
            version = (champion, other)[(block + block // 2) % 2]
            of.challenge(version)
            busy, delay = time.process_time(), held_up()
            waits[version].append(asyncio.run(paced(of, sent, rate, seconds)))
            delay = (held_up() - delay) / len(waits[version][-1])
            own[version].append(1000 * (statistics.mean(waits[version][-1]) - delay))
            used[version].append((time.process_time() - busy) / int(rate * seconds))
        came = of.came()
    print(f"{rate:g} comments a second, {blocks} blocks of {seconds:g} s each way; shadow: {came}")
    for percent in (10, 50, 95):
        # A low percentile is what a caller waits while nothing else on the machine is in the way.
        without, with_one = (
            [1000 * high(block, percent) for block in waits[version]]
            for version in (champion, other)
        )
        print(
            f"a caller waits, {percent} of 100: {statistics.median(without):.2f} ms without,"
            f" {statistics.median(with_one):.2f} ms with; "
            + told("ratio", [b / a for a, b in zip(without, with_one, strict=True)])
        )
    without, with_one = own[champion], own[other]
    print(
        f"a caller waits, the mean without what other work on the machine took:"
        f" {statistics.median(without):.2f} ms without, {statistics.median(with_one):.2f} ms with; "
        + told("ratio", [b / a for a, b in zip(without, with_one, strict=True)])
    )
    micro = [1e6 * statistics.median(used[version]) for version in (champion, other)]
    print(f"processor time of a comment: {micro[0]:.0f} µs without, {micro[1]:.0f} µs with")


async def _judged_and_decided(of: Parts, sent: Sequence[Submission], one_in: int) -> None:
    """All of them, and of every few one decided by what a person would mostly say."""
    for at in range(0, len(sent), 16):
        answers = await of.moderation.check(of.site, sent[at : at + 16])
        for answer in answers[::one_in]:
            if isinstance(answer, Answered) and answer.verdict.scores is not None:
                is_spam = answer.verdict.scores.spam > 0.3
                outcome = Outcome.REJECT if is_spam else Outcome.ACCEPT
                reason = RejectReason.SPAM if is_spam else None
                decision = Decision(outcome, reason, "an", of.store.now())
                of.store.decide(None, answer.id, decision)


def measure_replay() -> None:
    """What the champion says again of what it judged, while its site was learnt."""
    sent = texts()
    with (
        tempfile.TemporaryDirectory() as directory,
        parts(Path(directory), has_shadow=False) as of,
    ):
        asyncio.run(_judged_and_decided(of, sent, 8))
        champion = of.serving.champion()
        assert champion is not None, "the shipped one"
        stretch = Stretch.between(None, EPOCH, of.store.now() + timedelta(days=1))
        busy = time.process_time()
        found = replayed(of.store, stretch, setups_of([of.site], champion))
        micro = 1e6 * (time.process_time() - busy) / found.judged
        with of.store.reads() as connection:
            moved = connection.exec_driver_sql(
                "SELECT count(*) FROM verdicts WHERE explanation LIKE '%\"added\":%'"
                " AND explanation NOT LIKE '%\"added\":0.0,%'"
            ).scalar_one()
    print(
        f"replay: {found.judged} comments, in {moved} of them the site's layer had a part;"
        f" {found.total} with another outcome; {micro:.0f} µs of processor time each"
    )


def main() -> None:
    """Measure as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--blocks", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=1)
    chosen = parser.parse_args()
    measure_hot_path(chosen.rounds, chosen.size)
    measure_waiting(chosen.rate, chosen.blocks, chosen.seconds)
    measure_replay()


if __name__ == "__main__":
    main()
