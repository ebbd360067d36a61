"""Clients of Perspective, unchanged, and Coral's signatures by node: scripts/install-clients."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import Service, running

HERE = Path(__file__).parent
INSTALLED = Path(os.environ.get("DUYET_TEST_CLIENTS", HERE.parents[1] / ".clients")).resolve()
SECONDS = 60

pytestmark = pytest.mark.clients


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as service:
        yield service


def told_by(there: Path | None, command: list[str], body: str = "") -> dict[str, Any]:
    """What a client made of the answers it got; skips where it is not there."""
    if (there is not None and not there.exists()) or shutil.which(command[0]) is None:
        pytest.skip("the client is not installed: scripts/install-clients brings it")
    done = subprocess.run(
        command,
        input=body,
        env={**os.environ, "PYTHONPATH": str(INSTALLED / "python"), "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("how", ["document", "short", "long"])
def test_google_s_client_is_built_from_the_served_document(service: Service, how: str) -> None:
    driver = str(HERE / "perspective_google.py")
    told = told_by(
        INSTALLED / "python" / "googleapiclient",
        [sys.executable, "-S", driver, service.url, service.key, how],
    )

    scores = told["scores"]
    assert {*scores["attributeScores"]} == {"TOXICITY", "SPAM"}
    for score in scores["attributeScores"].values():
        assert 0 <= score["summaryScore"]["value"] <= 1
    assert (scores["clientToken"], scores["languages"]) == ("one", ["vi"])
    assert told["suggested"] == {"clientToken": "two"}
    assert told["refused"][0] == 400
    assert "THREAT is not measured" in told["refused"][1]
    assert service.stored() == 1  # what was suggested, not what was analysed


def test_the_client_from_npm_gets_scores_and_reasons(service: Service) -> None:
    told = told_by(
        INSTALLED / "node_modules" / "perspective-api-client",
        ["node", str(HERE / "perspective_npm.cjs"), str(INSTALLED), service.url, service.key],
    )

    assert {*told["scores"]["attributeScores"]} == {"TOXICITY", "SPAM"}
    assert told["refused"][0] == 400
    assert "THREAT is not measured" in told["refused"][1]
    assert service.stored() == 0


def test_coral_s_signatures_by_node_s_crypto_are_taken(service: Service) -> None:
    secret = "3f0a52c5e3bbd8d1"
    service.store.set_coral_secret(service.site.id, secret)
    url = f"{service.url}/coral/v1/external-moderation/{service.site.id}"
    driver = ["node", str(HERE / "coral_sign.cjs"), url]
    body = json.dumps({"comment": {"body": "Đúng là hữu ích."}}, ensure_ascii=False)

    assert told_by(None, [*driver, secret], body) == {"status": 204, "body": None}
    assert told_by(None, [*driver, "rolled", secret], body)["status"] == 204
    assert told_by(None, [*driver, "wrong"], body)["status"] == 401
    assert service.stored() == 1
