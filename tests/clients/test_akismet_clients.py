"""Real clients, unchanged, as their registries give them: scripts/install-clients brings them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.storage import AkismetChoices
from tests.akismet.conftest import HOME, Client
from tests.api.service import running

HERE = Path(__file__).parent
INSTALLED = Path(os.environ.get("DUYET_TEST_CLIENTS", HERE.parents[1] / ".clients")).resolve()
SECONDS = 60

pytestmark = pytest.mark.clients


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running(tmp_path) as service:
        client = Client(service, service.store.new_akismet_key(service.site.id))
        choices = AkismetChoices(homes=("blog.example",))
        client.store.set_akismet_choices(service.site.id, choices)
        yield client


def command_of(name: str, client: Client, key: str) -> list[str]:
    """How a client's driver is run; skips where the client is not there."""
    port = str(client.service.port)
    python, node = INSTALLED / "python", INSTALLED / "node_modules"
    match name:
        case "python sync" | "python async":
            there, command = python / "akismet", [sys.executable, "-S", HERE / "akismet_python.py"]
            arguments = [port, key, HOME, name.partition(" ")[2]]
        case "cedx":
            there, command = node / "@cedx", ["node", HERE / "akismet_cedx.mjs"]
            arguments = [str(INSTALLED), port, key, HOME]
        case "akismet-api" | "npm akismet":
            driver = "akismet_api.cjs" if name == "akismet-api" else "akismet_npm.cjs"
            there, command = node / "akismet-api", ["node", HERE / driver]
            arguments = [str(INSTALLED), port, key, HOME]
        case "perl":
            there, command = Path("/usr/share/perl5/Net/Akismet.pm"), ["perl"]
            arguments = [str(HERE / "akismet_perl.pl"), port, key, HOME]
        case _:
            there, command = Path("/usr/share/rubygems-integration"), ["ruby"]
            arguments = [str(HERE / "akismet_ruby.rb"), port, key, HOME]
    if not there.exists() or shutil.which(str(command[0])) is None:
        pytest.skip(f"{name} is not installed: scripts/install-clients brings it")
    return [*map(str, command), *arguments]


def told_by(name: str, client: Client, key: str = "") -> dict[str, Any]:
    """What a client made of the answers it got."""
    done = subprocess.run(
        command_of(name, client, key or client.key),
        env={**os.environ, "PYTHONPATH": str(INSTALLED / "python")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


CLIENTS = ("python sync", "python async", "cedx", "akismet-api", "npm akismet", "perl", "ruby")


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_gets_its_verdicts_and_reports(client: Client, name: str):
    told = told_by(name, client)

    assert told["valid"] is True
    if name.startswith("python"):
        assert (told["good"], told["spam"]) == ("HAM", "SPAM")
        assert told["reported"] == [True, True]
        assert told["usage"]["usage"] == 1
    else:
        assert [told[of] for of in ("good", "spam", "reported")] == [True, True, True]
    [comment_id] = ids(client)
    assert {r.kind.value for r in client.store.reports_of(comment_id)} == {"spam", "ham"}
    stored = client.store.comment(None, comment_id)
    assert stored is not None
    assert stored.submission.content == "Đúng là hữu ích."
    assert stored.submission.author.name == "Zoë"


@pytest.mark.parametrize("name", [name for name in CLIENTS if name != "cedx"])
def test_a_client_is_told_that_its_key_is_wrong(client: Client, name: str):
    assert told_by(name, client, "f" * 12) == {"valid": False}


def ids(client: Client) -> list[str]:
    with client.store.reads() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM comments").scalars())
