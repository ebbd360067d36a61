"""Every door, tried by schemathesis with what its description allows, and with what it does not.

`make test-doors` tries at length: DOORS_EXAMPLES of each operation, with another seed each time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.policy import FormRules, Policy
from service.storage import AkismetChoices
from tests.api.service import Service, a_comment, running

HERE = Path(__file__).parent
INSTALLED = Path(os.environ.get("DUYET_TEST_CLIENTS", HERE.parents[1] / ".clients")).resolve()
SCHEMATHESIS = INSTALLED / "schemathesis"
EXAMPLES = int(os.environ.get("DOORS_EXAMPLES", "0"))
SHORT = ("--max-examples", "8", "--seed", "5", "--phases", "examples,fuzzing,stateful")
SUCCESSES = {"200", "204"}
HOME = "https://blog.example"
SECRET = "b5a8-signing-secret"

NOTHING_REQUIRED = Policy(audit_rate=0, form=FormRules(require_name=False, require_email=False))
"""Or nearly all that is made up would get no further than the form's rules."""

pytestmark = pytest.mark.clients


def site_of(service: Service) -> dict[str, Any]:
    """A site that every door knows, with comments in each state."""
    store, site = service.store, service.site
    key = store.new_akismet_key(site.id)
    store.set_akismet_choices(site.id, AkismetChoices(homes=("blog.example",)))
    store.set_coral_secret(site.id, SECRET)
    store.set_perspective_stores(site.id, stores=True)
    bodies = [a_comment(f"Bình luận số {n}.", form={"honeypot": "x" * (n % 2)}) for n in range(8)]
    ids = [service.post(body).json()["id"] for body in bodies]
    return {
        "akismet_key": key,
        "home": HOME,
        "coral_secret": SECRET,
        "site_id": [site.id],
        "comment_id": ids,
    }


def test_no_door_breaks_and_each_answers_as_it_is_described(tmp_path: Path) -> None:
    if not SCHEMATHESIS.exists():
        pytest.skip("schemathesis is not installed: scripts/install-clients brings it")
    asked = ("--max-examples", str(EXAMPLES)) if EXAMPLES else SHORT
    with running(tmp_path / "var", policy=NOTHING_REQUIRED) as service:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(SCHEMATHESIS), str(HERE)]),
            "DOORS_SITE": json.dumps(site_of(service)),
            "DOORS_SITE_KEY": service.key,
            "DOORS_COUNTS": str(tmp_path / "counts.json"),
            "no_proxy": "127.0.0.1",
        }
        schemathesis = "from schemathesis.cli import schemathesis; schemathesis()"
        done = subprocess.run(
            [
                *(sys.executable, "-S", "-c", schemathesis),
                *("--config-file", str(HERE / "schemathesis.toml")),
                *("run", f"{service.url}/openapi.json", *asked),
            ],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        stored = service.stored()
        described = service.get("/openapi.json").json()["paths"].values()

    assert done.returncode == 0, done.stdout
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    if EXAMPLES:
        print(done.stdout)
        print(*(f"{label}: {answered}" for label, answered in sorted(counts.items())), sep="\n")
    assert len(counts) == sum(map(len, described)) > 30
    assert [label for label, answered in counts.items() if not answered.keys() & SUCCESSES] == []
    assert stored > 8
