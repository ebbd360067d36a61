"""Model versions that are corrupt or half there, a registry that vanishes: doubt queues."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from model.moves import standing_of
from model.registry import CHAMPION, Registry
from model.signing import Kind
from tests.api.service import model_at, models_in
from tests.faults.ledger import ledger
from tests.faults.load import UNHURRIED, Load
from tests.faults.running import Running, sqlite_url, until
from tests.faults.table import TABLE
from tests.judging_cases import a_manifest, a_table

SEEN_SECONDS = 15.0


def _registry(one: Running) -> Registry:
    """With the key of the installation."""
    return models_in(one.directory / "var", one.models)


def _point_at(registry: Registry, version: str) -> None:
    """Move the name as nobody should who has the key: nothing looks whether it loads."""
    assert registry.guard is not None
    names = registry.root / "names.json"
    before, _ = standing_of(names.read_text())
    moved = replace(before, names={CHAMPION: version}, count=before.count + 1)
    names.write_text(moved.signed(registry.guard.signature(Kind.NAMES, moved.body())))


def _cut_table(root: Path, version: str) -> None:
    table = root / "versions" / version / "table.npy"
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])


def _flip_a_bit(root: Path, version: str) -> None:
    table = root / "versions" / version / "table.npy"
    body = bytearray(table.read_bytes())
    body[-9] ^= 1
    table.write_bytes(body)


def _lose_manifest(root: Path, version: str) -> None:
    (root / "versions" / version / "manifest.json").unlink()


@pytest.mark.parametrize("spoil", [_cut_table, _flip_a_bit, _lose_manifest])
def test_a_spoilt_version_never_serves_and_the_last_good_one_stays(
    service: Callable[..., Running], spoil: Callable[[Path, str], None]
):
    one = service()
    one.start()
    load = Load(one, pause=UNHURRIED)
    registry = _registry(one)
    good = registry.names()[CHAMPION]
    bad = registry.add(a_manifest(), a_table(9, scale=0.02))
    spoil(one.models, bad)

    with load.running():
        load.reaches(20)
        _point_at(registry, bad)
        until(lambda: "champion cannot be loaded" in one.said(), SEEN_SECONDS, "nobody looked")
        load.reaches(40)
        ready = one.status("/readyz")
        registry.move(CHAMPION, good, who="a", why="b", at=datetime.now(UTC))
        load.reaches(20)

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert ready == 200
    assert set(load.statuses) == {200}
    assert load.broken == 0
    assert one.said().count("champion cannot be loaded") == 1
    TABLE.row(
        f"model version spoilt ({spoil.__name__.strip('_').replace('_', ' ')})",
        "the last good one goes on serving; one line in the log",
        f"{load}; {found}",
    )


def test_a_registry_that_vanishes_under_the_service_stops_nothing(
    service: Callable[..., Running],
):
    one = service()
    one.start()
    load = Load(one, pause=UNHURRIED)

    with load.running():
        load.reaches(20)
        # In place, as `rm -r` and `rsync --inplace` do it: what is mapped must not be missed.
        for table in one.models.glob("versions/*/table.npy"):
            with table.open("r+b") as file:
                file.truncate(0)
        load.reaches(40)
        shutil.rmtree(one.models)
        load.reaches(40)
        ready = one.status("/readyz")

    assert ready == 200
    assert set(load.statuses) == {200}
    assert load.broken == 0
    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    TABLE.row(
        "model directory emptied, then gone, under load",
        "verdicts go on with the model in memory",
        f"{load}; {found}",
    )


def test_without_a_model_every_comment_is_queued_until_one_appears(
    service: Callable[..., Running],
):
    one = service()
    one.models.mkdir(parents=True)
    (one.models / "names.json").write_text("{")
    one.start(ready=False)
    load = Load(one, pause=UNHURRIED)

    with load.running():
        load.reaches(20)
        unready = one.readiness()
        before = {verdict for _, verdict in load.answered.values()}
        shutil.rmtree(one.models)
        model_at(one.models)
        _registry(one)  # which signs it, as `duyet models sign` would
        seen = until(lambda: one.status("/readyz") == 200, SEEN_SECONDS, "no model was found")
        load.reaches(60)

    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    assert before == {"queue"}
    assert (unready[0], unready[2]) == (503, "model: no champion could be loaded")
    assert "accept" in {verdict for _, verdict in load.answered.values()}
    TABLE.row(
        "no usable model at the start",
        "every comment is queued, /readyz tells; the model is found when it appears",
        f"found after {seen:.1f} s; {load}; {found}",
    )


def test_champions_that_change_under_load_drop_no_request(service: Callable[..., Running]):
    one = service()
    one.start()
    registry = _registry(one)
    first = registry.names()[CHAMPION]
    second = registry.add(a_manifest(), a_table(11, scale=0.01))
    load = Load(one, pause=UNHURRIED)

    with load.running():
        load.reaches(20)
        registry.move(CHAMPION, second, who="a", why="b", at=datetime.now(UTC))
        there = until(lambda: _serves(one, second), SEEN_SECONDS, "it was not swapped")
        registry.roll_back(who="a", why="b", at=datetime.now(UTC))
        back = until(lambda: _serves(one, first), SEEN_SECONDS, "it was not swapped back")
        load.reaches(40)

    assert set(load.statuses) == {200}
    assert load.broken == 0
    found = ledger(sqlite_url(one), load)
    assert found.faults == {}
    TABLE.row(
        "champion promoted, then rolled back, under load",
        "no request is dropped",
        f"served after {there:.1f} s, the old one after {back:.1f} s; {load}; {found}",
    )


def _serves(one: Running, version: str) -> bool:
    """Whether the process says that this version serves."""
    told = f'duyet_model_info{{name="champion",version="{version}"}} 1.0'
    return told in httpx.get(f"http://127.0.0.1:{one.port}/metrics", trust_env=False).text
