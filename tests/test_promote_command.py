"""`duyet models promote` in an installation: what its comparison and its shadow say."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from duyet.cli import run
from model.registry import CHALLENGER, CHAMPION, Registry
from service.first_start import prepare
from service.keyring import Keyring
from service.serving import registry_of
from service.settings import Settings, load_settings
from service.storage import Store, utc_now
from service.storage.counts import day_of
from service.storage.log import Log, Seen, Sought
from service.storage.shadows import Kind, Shadows, Tally
from tests.judging_cases import a_manifest, a_table
from tests.test_promotion import compared

AT = datetime(2026, 1, 2, tzinfo=UTC)
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("DUYET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path))
    settings = load_settings({"DUYET_DATA_DIR": str(tmp_path)})
    prepare(settings, utc_now)
    return settings


@pytest.fixture
def registry(settings: Settings) -> Registry:
    """What the first start made, with a challenger that was compared and is better."""
    registry = registry_of(settings)
    challenger = registry.add(a_manifest(), a_table(1))
    registry.move(CHALLENGER, challenger, who="lan", why="trained", at=AT)
    champion = registry.names()[CHAMPION]
    registry.add_report(compared(champion=champion, challenger=challenger))
    return registry


@pytest.fixture
def promote(registry: Registry, capsys: pytest.CaptureFixture[str]) -> Call:
    def promote(*more: str) -> tuple[int, str]:
        status = run(["models", "promote", CHALLENGER, "--why", "it is better", *more])
        return status, capsys.readouterr().err

    return promote


def shadow(settings: Settings, registry: Registry, comments: int, *, would: str = "accept") -> None:
    """Comments over thirty hours that the champion accepted."""
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir))
    names, tally = registry.names(), Tally()
    site = store.sites()[0].id
    for number in range(comments):
        at = AT + timedelta(hours=30 * number / comments)
        outcome = would if number % 10 == 0 else "accept"
        kind = Kind(site, day_of(at), "vi", names[CHALLENGER], names[CHAMPION], "accept", outcome)
        tally.count(kind, at, layered=False)
    Shadows(store).add(tally)
    store.close()


def test_what_is_better_and_was_shadowed_is_promoted(settings, registry, promote):
    shadow(settings, registry, 300)

    status, said = promote()

    assert (status, said) == (0, "")
    assert registry.names()[CHAMPION] == registry.names()[CHALLENGER]
    assert registry.moves()[-1]["overrode"] == []


def test_what_was_not_shadowed_enough_is_refused_and_can_be_overridden(settings, registry, promote):
    shadow(settings, registry, 299)

    refused = promote()
    overridden = promote("--override")

    assert refused[0] == 1
    assert "299" in refused[1]
    assert "300" in refused[1]
    assert overridden[0] == 0
    assert registry.moves()[-1]["overrode"] == ["shadowed_too_little"]
    assert registry.moves()[-1]["why"] == "it is better"


def test_what_would_reject_many_more_is_refused(settings, registry, promote):
    shadow(settings, registry, 300, would="reject")

    status, said = promote()

    assert status == 1
    assert "10.0" in said
    assert registry.names()[CHAMPION] != registry.names()[CHALLENGER]


def test_a_report_that_somebody_else_wrote_promotes_nothing(settings, registry, promote):
    shadow(settings, registry, 300)
    [report] = (registry.root / "reports").rglob("comparison.json")
    report.write_text(report.read_text().replace('"spam": 400', '"spam": 401'))

    refused, overridden = promote(), promote("--override")

    assert refused[0] == 1
    assert "comparison.json is not what was written" in refused[1]
    assert overridden[0] == 0
    assert registry.moves()[-1]["overrode"] == ["not_compared"]


def test_a_database_that_cannot_be_asked_does_not_keep_a_bad_champion(settings, registry, promote):
    (settings.data_dir / "duyet.db").write_bytes(b"no database" * 100)

    refused, overridden = promote(), promote("--override")

    assert refused[0] == 1
    assert "unknown" in refused[1]
    assert overridden[0] == 0
    assert registry.moves()[-1]["overrode"] == ["not_shadowed"]


def test_a_copy_of_the_registry_is_moved_without_the_installation_hearing_of_it(
    settings, registry, promote, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(registry.root, copy)
    before = registry.names()

    assert promote("--models", str(copy), "--override")[0] == 0

    assert Registry(copy).names()[CHAMPION] == before[CHALLENGER]
    assert registry_of(settings).names() == before
    assert moved_in_the_log(settings) == []
    assert promote("--override")[0] == 0
    assert run(["models", "rollback", "--why", "it erred"]) == 0
    assert moved_in_the_log(settings) == ["model_rolled_back", "model_promoted"]


def moved_in_the_log(settings: Settings) -> list[str]:
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir))
    try:
        page = Log(store).page(Seen(None, None), Sought())
    finally:
        store.close()
    return [line.kind for line in page.lines if line.kind.startswith("model_")]


@pytest.mark.parametrize("command", [("promote", CHALLENGER, "--override"), ("rollback",)])
@pytest.mark.parametrize("why", ["", "  ", "\u200b", "\n"])
def test_a_reason_that_nobody_sees_is_none(registry, capsys, command, why):
    before = registry.moves()

    assert run(["models", *command, "--why", why]) == 2
    assert "--why" in capsys.readouterr().err
    assert registry.moves() == before


def test_a_reason_is_one_line_and_passes_for_no_move(registry, capsys):
    forged = "ok\n2026-11-27T00:00 champion by eve: forged"

    assert run(["models", "promote", CHALLENGER, "--override", "--why", forged]) == 0
    assert registry.moves()[-1]["why"] == forged.replace("\n", " ")
    capsys.readouterr()
    assert run(["models", "show", CHALLENGER]) == 0
    assert not [x for x in capsys.readouterr().out.splitlines() if x.startswith("2026-11-27T00:00")]
