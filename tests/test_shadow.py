"""The challenger's shadow: what is compared, counted and kept, and what must never happen."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from model.outcome import Outcome, Scores
from model.promotion import Shadowed
from model.registry import CHALLENGER, CHAMPION
from model.rejudging import compared
from model.verdict import Learnt
from service.serving import RETRY_SECONDS
from service.shadow import MOST_WAITING
from service.storage import Retention
from service.storage.figures import Scope
from service.storage.shadows import FLIPS_KEPT, Shadows
from tests.both_models import AT, POLICY, SENT, Desk, open_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as desk:
        yield desk


def test_both_models_are_counted_side_by_side(desk: Desk) -> None:
    desk.challenged(bias=1.0)
    desk.check(3)
    desk.clock.advance(hours=2)
    desk.check(2)
    desk.catch_up()

    assert desk.shadowed() == Shadowed(5, 2, 0, {"accept>queue": 5})
    assert desk.counted() == {"other": 5.0}
    assert len(desk.flips()) == 5


@pytest.mark.parametrize("is_idle", [True, False])
def test_by_itself_it_scores_what_it_is_offered_though_somebody_always_waits(
    desk: Desk, is_idle: bool
) -> None:
    desk.challenged()
    desk.shadow.start(lambda: is_idle)
    desk.check(3)
    waited = Event()
    for _ in range(1000):
        if not desk.shadow.waiting:
            break
        waited.wait(0.01)
    desk.shadow.close()

    assert desk.shadowed().comments == 3


def test_without_a_challenger_nothing_is_kept_waiting(desk: Desk) -> None:
    desk.check(3)

    assert desk.shadow.waiting == 0
    assert not desk.shadow.is_wanted


def test_rules_and_a_second_look_by_chance_take_the_same_part_in_both(desk: Desk) -> None:
    desk.site = desk.store.set_policy(desk.site.id, replace(POLICY, audit_rate=1))
    desk.challenged(bias=-8.0)
    links = " ".join(f"https://x{n}.example/" for n in range(9))
    desk.check(1, replace(SENT, content=links))
    answers = desk.check(1)
    desk.catch_up()

    assert answers[0].verdict.audit
    assert desk.shadowed() == Shadowed(2, 1, 2, {})


def test_a_layer_over_the_champion_is_told_and_not_compared(desk: Desk) -> None:
    challenger = desk.registry.load(desk.challenged(bias=-8.0))
    champion = desk.serving.champion()
    assert champion is not None
    verdict = desk.check()[0].verdict
    layer = Learnt("l-1", 9, 0, 0, 9, added=12.0)
    raised = replace(verdict, scores=Scores(0.95257, 0.0), learnt=layer)  # by twelve from -9

    found = compared(
        SENT,
        replace(raised, outcome=Outcome.REJECT),
        POLICY,
        champion=champion,
        challenger=challenger,
    )

    assert found is not None
    assert (found.was, found.would, found.layered) == (Outcome.ACCEPT, Outcome.ACCEPT, True)


def test_a_backlog_is_bounded_and_what_is_dropped_is_counted(desk: Desk) -> None:
    desk.challenged()
    checked = desk.check(1)
    assert checked
    item = desk.shadow._waiting[0]
    policies = {desk.site.id: POLICY}
    desk.shadow.offer([item.checked] * (MOST_WAITING + 7), policies, item.champion)
    long = replace(item.checked.asked, submission=replace(SENT, content="x" * 5_000_000))
    desk.shadow.score_one()
    desk.shadow.offer([replace(item.checked, asked=long)], policies, item.champion)

    assert desk.shadow.waiting == MOST_WAITING - 1
    assert desk.counted()["dropped"] == 8 + 1


def test_what_was_judged_before_the_champion_moved_is_compared_with_the_old_one(
    desk: Desk,
) -> None:
    challenger, before = desk.challenged(), desk.registry.names()[CHAMPION]
    desk.check(2)
    desk.name(CHAMPION, desk.version(-7.0, -9.0, seed=5))
    desk.check(1)
    desk.catch_up()

    assert Shadows(desk.store).of(before, challenger).comments == 2
    assert desk.shadowed().comments == 1


def test_a_promoted_challenger_is_no_challenger_any_more(desk: Desk) -> None:
    challenger, before = desk.challenged(), desk.registry.names()[CHAMPION]
    desk.check(2)
    desk.name(CHAMPION, challenger)
    desk.check(1)
    desk.catch_up()

    assert desk.serving.challenger() is None
    assert Shadows(desk.store).of(before, challenger).comments == 0
    assert desk.counted() == {"skipped": 2.0}


def test_a_broken_challenger_is_said_once_and_tried_again_later(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    good, broken = desk.challenged(), desk.version(2.0, -9.0, seed=6)
    desk.registry.move(CHALLENGER, broken, who="t", why="t", at=AT)
    table = desk.registry.root / "versions" / broken / "table.npy"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            desk.serving.refresh()
    answers = desk.check()
    table.write_bytes(whole)
    desk.serving.refresh()
    too_early = desk.serving.challenger()
    desk.ticks.at += RETRY_SECONDS
    desk.serving.refresh()
    found = desk.serving.challenger()

    assert good != broken
    assert sum("challenger cannot be loaded" in r.message for r in caplog.records) == 1
    assert answers[0].verdict.outcome is Outcome.ACCEPT
    assert too_early is None
    assert found is not None
    assert found.version == broken


def test_a_challenger_that_vanishes_from_the_disk_goes_on_until_its_name_moves(desk: Desk) -> None:
    version = desk.challenged()
    shutil.rmtree(desk.registry.root / "versions" / version)
    desk.serving.refresh()
    desk.check()
    desk.catch_up()
    desk.name(CHALLENGER, desk.registry.names()[CHAMPION])

    assert desk.counted() == {"other": 1.0}
    assert desk.serving.challenger() is None
    assert desk.serving.champion() is not None


def test_counts_wait_while_the_database_is_away(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.challenged()
    desk.check(2)
    with desk.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE shadow_days RENAME TO gone")
    desk.catch_up()
    desk.shadow.write()
    with desk.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO shadow_days")
    desk.shadow.write()
    desk.shadow.write()

    assert desk.shadowed().comments == 2
    assert sum("counts wait" in r.message for r in caplog.records) == 1


def test_of_flips_a_fair_sample_is_kept_and_goes_with_its_comments(desk: Desk) -> None:
    desk.challenged()
    for _ in range(3):
        desk.check(FLIPS_KEPT)
        desk.catch_up()
    kept = desk.flips()
    desk.clock.advance(days=40)
    desk.check()
    with desk.store.writes() as connection:  # erased before it was written
        connection.exec_driver_sql("DELETE FROM verdicts")
        connection.exec_driver_sql("DELETE FROM queue")
    desk.store.forget(Retention(days=30), pause=lambda: None)
    desk.catch_up()

    assert len(kept) == FLIPS_KEPT
    assert len(set(kept)) == FLIPS_KEPT
    assert desk.shadowed().comments == 61
    assert len(desk.flips()) <= 1


def test_old_counts_are_forgotten(desk: Desk) -> None:
    desk.challenged()
    desk.check(2)
    desk.catch_up()
    last = desk.clock().date()
    desk.clock.advance(days=401)
    Shadows(desk.store).forget()

    scope = Scope(None, last - timedelta(days=1), last)
    assert Shadows(desk.store).shadowing(scope) is None
    assert desk.shadowed() == Shadowed(0, 0, 0, {})
    assert desk.flips() == []
