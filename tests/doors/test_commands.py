"""The commands that set the doors of Coral and of Perspective's clients."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.commands.sites import sites
from tests.api.service import running


def called(*arguments: str, typed: str = "") -> str:
    done = CliRunner().invoke(sites, arguments, input=typed)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(autouse=True)
def a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path))
    with running(tmp_path):  # makes the installation, with a site of that name
        pass


def test_coral_needs_a_secret_first_and_never_shows_it() -> None:
    assert CliRunner().invoke(sites, ["coral", "blog"]).exit_code == 1
    assert CliRunner().invoke(sites, ["coral", "blog", "--secret", "-"], input="\n").exit_code == 1

    first = json.loads(called("coral", "blog", "--secret", "-", "--json", typed="s3cr3t\n"))
    called("coral", "blog", "--accept", "approved", "--queue", "premod")
    said = called("coral", "blog")

    assert (first["accept"], first["queue"]) == ("abstain", "system_withheld")
    assert "/coral/v1/external-moderation/" in first["url"]
    assert "accept: approved" in said
    assert "queue: premod" in said
    assert "s3cr3t" not in said + json.dumps(first)


def test_perspective_s_comments_are_kept_only_when_that_is_said() -> None:
    assert json.loads(called("perspective", "blog", "--json")) == {"store": False}
    assert called("perspective", "blog", "--store") == "store: true\n"
    assert called("perspective", "blog") == "store: true\n"
    assert called("perspective", "blog", "--no-store") == "store: false\n"
