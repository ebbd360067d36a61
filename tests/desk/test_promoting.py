"""A challenger is promoted by itself where that was said and is allowed, and not twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.comparison import Comparison, Figure, Interval
from model.promotion import Shadowed
from model.registry import CHALLENGER, CHAMPION, Registry
from service.promoting import Promoting
from service.storage import Store
from service.storage.jobs import CLOCK, Jobs, Nightly
from tests.browser.newsroom import open_newsroom
from tests.judging_cases import a_manifest, a_table
from tests.test_comparison import a_comparison

SEEN = Shadowed(1000, 48.0, 995, {"queue>accept": 5})


def same(name: str, value: float) -> Figure:
    at = Interval(value, value, value)
    return Figure(name, at, at, Interval(0.0, 0.0, 0.0), 900)


def good(champion: str, challenger: str) -> Comparison:
    caught = Figure(
        "spam_caught", Interval(0.5, 0.45, 0.55), Interval(0.9, 0.85, 0.95),
        Interval(0.4, 0.35, 0.45), 900,
    )  # fmt: skip
    figures = (same("genuine_rejected", 0.0), same("genuine_held", 0.005), caught)
    found = replace(a_comparison(), champion=champion, challenger=challenger, genuine=900)
    return replace(found, figures=figures, slices=())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom.store


def test_only_where_it_was_said_and_allowed_and_never_what_was_taken_back(
    store: Store, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    champion, challenger = (registry.add(a_manifest(), a_table(seed)) for seed in (1, 2))
    for name, version in ((CHAMPION, champion), (CHALLENGER, challenger)):
        registry.move(name, version, who="t", why="t", at=datetime(2026, 1, 1, tzinfo=UTC))
    seen: list[Shadowed | None] = [SEEN]
    promoting = Promoting(store, registry, lambda *_: seen[0])

    registry.add_report(good(champion, challenger))
    assert not promoting.turn()  # nobody said so
    Jobs(store).set_nightly(Nightly(promotes=True), by="an")
    seen[0] = None
    assert not promoting.turn()  # nobody watched it
    seen[0] = SEEN

    other = Promoting(store, Registry(tmp_path / "models"), lambda *_: SEEN)
    with ThreadPoolExecutor(2) as pool:  # as two services do
        assert sorted(pool.map(Promoting.turn, (promoting, other))) == [False, True]
    assert registry.names()[CHAMPION] == challenger
    assert registry.moves()[-1]["who"] == CLOCK
    assert not promoting.turn()

    registry.roll_back(who="an", why="too strict", at=datetime(2026, 1, 2, tzinfo=UTC))
    assert not promoting.turn()
    assert registry.names()[CHAMPION] == champion


def test_a_registry_that_refuses_stops_nothing(store: Store, tmp_path: Path) -> None:
    Jobs(store).set_nightly(Nightly(promotes=True), by="an")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "names.json").write_text("[]")

    assert not Promoting(store, Registry(tmp_path / "models"), lambda *_: SEEN).turn()


def test_a_challenger_is_watched_in_peace_for_a_week_where_only_that_is_missing(
    tmp_path: Path,
) -> None:
    with open_newsroom(tmp_path) as room:
        registry = Registry(tmp_path / "models")
        champion, challenger = (registry.add(a_manifest(), a_table(seed)) for seed in (1, 2))
        for name, version in ((CHAMPION, champion), (CHALLENGER, challenger)):
            registry.move(name, version, who="t", why="t", at=room.clock())
        seen: list[Shadowed | None] = [None]
        promoting = Promoting(room.store, registry, lambda *_: seen[0])
        room.clock.advance(hours=1)

        assert not promoting.is_watching()  # never compared, and will not be by waiting
        registry.add_report(good(champion, challenger))
        for shadowed, is_watching in (
            (None, True),
            (replace(SEEN, hours=23.0), True),
            (replace(SEEN, would_be={"accept>reject": 100}, agreed=900), False),
        ):
            seen[0] = shadowed
            assert promoting.is_watching() is is_watching
        seen[0] = None
        for days, is_watching in ((6, True), (2, False), (-30, False)):
            room.clock.advance(days=days)
            assert promoting.is_watching() is is_watching
        (tmp_path / "models" / "names.json").write_text("[]")
        assert not promoting.is_watching()
