"""A service without its sockets, with a champion and, where a test wants one, a challenger."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from model.outcome import HeadThresholds, Thresholds
from model.policy import Policy
from model.promotion import Shadowed
from model.registry import CHALLENGER, CHAMPION, Registry
from model.submission import Author, Submission
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.metrics import Metrics
from service.moderation import Answered, Moderation
from service.serving import Serving
from service.shadow import Shadow
from service.storage import Site, Store
from service.storage.engine import open_engine
from service.storage.schema import upgrade
from service.storage.shadows import Shadows
from service.storage.tables import shadow_flips
from tests.api.service import models_in
from tests.judging_cases import a_manifest, a_table
from tests.storage.cases import Clock

AT = datetime(2026, 1, 2, tzinfo=UTC)
DOUBTFUL = HeadThresholds(Thresholds(0.5, 0.9), Thresholds(2, 2))
POLICY = Policy(audit_rate=0, thresholds=DOUBTFUL)
SENT = Submission("Cảm ơn tác giả, mình làm được rồi.")


class Ticks:
    """Seconds that go on only when told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Desk:
    """A service without its sockets: a champion that accepts, and maybe a challenger."""

    store: Store
    site: Site
    clock: Clock
    registry: Registry
    serving: Serving
    metrics: Metrics
    shadow: Shadow
    moderation: Moderation
    ticks: Ticks
    sent: int = 0

    def version(self, *bias: float, seed: int = 3) -> str:
        """A version that gives every text about the same log-odds."""
        return self.registry.add(a_manifest(bias=bias), a_table(seed, scale=1e-4))

    def name(self, name: str, version: str) -> None:
        self.registry.move(name, version, who="t", why="t", at=AT)
        self.serving.refresh()

    def challenged(self, bias: float = 1.0) -> str:
        """With a challenger that queues, or what its bias makes of everything."""
        version = self.version(bias, -9.0, seed=4)
        self.name(CHALLENGER, version)
        return version

    def check(self, number: int = 1, sent: Submission = SENT) -> list[Answered]:
        self.clock.advance(minutes=1)
        first, self.sent = self.sent, self.sent + number
        batch = [
            replace(
                sent, content=f"{sent.content} {n}", author=Author("Lan", f"lan{n}@thu.example")
            )
            for n in range(first, first + number)
        ]
        answers = asyncio.run(self.moderation.check(self.site, batch))
        assert all(isinstance(one, Answered) for one in answers)
        return [one for one in answers if isinstance(one, Answered)]

    def catch_up(self) -> None:
        while self.shadow.waiting:
            self.shadow.score_one()
        self.shadow.write()

    def shadowed(self) -> Shadowed:
        names = self.registry.names()
        return Shadows(self.store).of(names[CHAMPION], names[CHALLENGER])

    def counted(self) -> dict[str, float]:
        text = self.metrics.text()[0].decode()
        lines = [line for line in text.splitlines() if line.startswith("duyet_shadow_total{")]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    def flips(self) -> list[str]:
        with self.store.reads() as connection:
            return list(connection.scalars(sa.select(shadow_flips.c.comment_id)))


@contextmanager
def open_desk(directory: Path, policy: Policy = POLICY) -> Iterator[Desk]:
    """An empty installation in a directory, with a champion that accepts everything."""
    clock, ticks, metrics = Clock(), Ticks(), Metrics()
    keyring = Keyring.open(directory / "secrets")
    (directory / "duyet.db").write_bytes(_migrated())
    store = Store.open(f"sqlite:///{directory / 'duyet.db'}", keyring, now=clock)
    site, _ = store.add_site("bao", policy)
    registry = models_in(directory)
    serving = Serving(registry, metrics, clock=ticks)
    shadow = Shadow(store, serving, metrics)
    moderation = Moderation(
        store,
        serving,
        now=clock,
        deliverability=Deliverability(),
        metrics=metrics,
        shadow=shadow,
    )
    desk = Desk(store, site, clock, registry, serving, metrics, shadow, moderation, ticks)
    desk.name(CHAMPION, desk.version(-9.0, -9.0))
    yield desk
    asyncio.run(moderation.drain())
    store.close()


@cache
def _migrated() -> bytes:
    """An empty database; migrations have tests of their own."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "duyet.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()
        return path.read_bytes()
