"""A registry that machines share by a bucket, over a real server on loopback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from obstore.store import S3Store

from model.bucket import Bucket
from model.guard import Guard
from model.refusals import Refusal
from model.registry import CHALLENGER, CHAMPION, RELEASED, Registry, RegistryError, registry_at
from tests.judging_cases import a_manifest, a_table
from tests.test_comparison import a_comparison

HERE = Path(__file__).resolve().parent
INSTALLED = Path(os.environ.get("DUYET_TEST_CLIENTS", HERE.parents[1] / ".clients")).resolve()
SERVE = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()
server.stop()
"""

pytestmark = pytest.mark.clients

SAID: dict[str, Any] = {"who": "lan", "why": "better", "at": datetime(2026, 1, 2, tzinfo=UTC)}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server, which has packages of its own."""
    if not (INSTALLED / "moto").is_dir():
        pytest.skip("moto is not installed: scripts/install-clients brings it")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=os.environ | {"PYTHONPATH": str(INSTALLED / "moto")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The bucket `models`, empty, as one sees it who may write there and has no key of ours."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "lan",
        "AWS_SECRET_ACCESS_KEY": "secret-canary",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with httpx.Client(base_url=server, trust_env=False, timeout=30) as client:
        client.post("/moto-api/reset").raise_for_status()
        client.put("/models").raise_for_status()
    return S3Store("models", prefix="of/duyet", client_options={"allow_http": True})


class Clock:
    """Always late enough to ask again."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 10
        return self.seconds


@pytest.fixture
def machine(tmp_path: Path, store: S3Store) -> Callable[..., Registry]:
    """The registry as a machine sees it, by name; all have the same key, each its own secrets."""

    def seen_by(name: str, *, begins: bool = False) -> Registry:
        secrets = tmp_path / name / "secrets"
        if not secrets.exists() and (tmp_path / "one" / "secrets").exists():
            secrets.mkdir(parents=True, mode=0o700)
            shutil.copy(tmp_path / "one" / "secrets" / "models.key", secrets / "models.key")
        guard = Guard.open(secrets, released=RELEASED)
        root = tmp_path / name / "models"
        bucket = Bucket("s3://models/of/duyet", root, clock=Clock())
        return registry_at(root, guard, bucket) if begins else Registry(root, guard, bucket)

    return seen_by


@pytest.fixture
def one(machine) -> Registry:
    """The machine that began, with a champion of its own and a challenger."""
    registry = machine("one", begins=True)
    for seed, name in ((1, CHAMPION), (2, CHALLENGER)):
        registry.move(name, registry.add(a_manifest(), a_table(seed)), **SAID)
    return registry


def test_a_machine_that_comes_later_has_what_the_first_one_wrote(one, machine):
    other = machine("other", begins=True)

    assert other.names() == one.names()
    assert other.load().version == one.load().version
    assert other.moves() == one.moves()


def test_a_move_on_one_machine_is_seen_on_the_others_and_rolled_back_by_them(one, machine):
    other = machine("other")
    before = other.load().version

    one.move(CHAMPION, CHALLENGER, **SAID)
    after = other.load().version
    other.roll_back(**SAID)

    assert after == one.names()[CHALLENGER] != before
    assert one.load().version == before
    assert [move["to"] for move in one.moves()][-2:] == [after, before]


def test_a_version_that_no_name_points_to_is_brought_when_it_is_asked_for(one, machine):
    version = one.add(a_manifest(), a_table(7))
    other = machine("other")

    assert version not in other.versions()
    assert other.load(version).version == version


def test_of_two_that_move_at_once_one_is_told(one, machine):
    other = machine("other")
    other.load()
    mine, theirs = (one.add(a_manifest(), a_table(seed)) for seed in (7, 8))
    other.resolve(theirs)
    late = replace(other, shared=_Deaf(other.shared))

    one.move(CHAMPION, mine, **SAID)
    with pytest.raises(RegistryError, match="somebody else moved a name") as told:
        late.move(CHAMPION, theirs, **SAID)

    assert told.value.refusal is Refusal.OVERTAKEN
    assert other.names()[CHAMPION] == mine
    other.move(CHAMPION, theirs, **SAID)
    assert one.names()[CHAMPION] == theirs


class _Deaf:
    """A bucket whose news come too late."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def pull(self, *_: object, **__: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def test_two_machines_that_begin_at_once_have_one_history(machine):
    first, second = machine("one", begins=True), machine("two", begins=True)

    assert first.names() == second.names()
    first.move(CHALLENGER, first.add(a_manifest(), a_table(3)), **SAID)
    assert second.names() == first.names()


def test_reports_come_along_and_are_checked(one, machine, store):
    names = one.names()
    one.add_report(
        replace(a_comparison(), champion=names[CHAMPION], challenger=names[CHALLENGER]),
        {"report.en.html": "<p>fine"},
    )
    other = machine("other")
    page = f"reports/{names[CHALLENGER]}/{names[CHAMPION]}/report.en.html"

    assert other.report(CHALLENGER) == one.report(CHALLENGER)
    assert other.report_page(CHALLENGER) == "<p>fine"
    store.put(page, b"<script>")
    with pytest.raises(RegistryError, match="not what was written"):
        other.report_page(CHALLENGER)


def test_an_old_object_put_back_is_refused_and_what_is_here_stays(one, machine, store):
    other = machine("other")
    old = bytes(store.get("names.json").bytes())
    one.move(CHAMPION, CHALLENGER, **SAID)
    newest = other.load().version
    store.put("names.json", old)

    for _ in range(2):  # not the first time alone
        with pytest.raises(RegistryError) as refused:
            other.names()
        assert refused.value.refusal is Refusal.ROLLED_BACK
    other.sign([], who="an", why="it is as it should be", at=SAID["at"])
    assert other.names()[CHAMPION] != newest
    assert one.names() == other.names()


@pytest.mark.parametrize(
    ("content", "refusal"), [(b'{"champion": "x"}', Refusal.UNSIGNED), (b"{", Refusal.UNREADABLE)]
)
def test_names_that_a_stranger_put_are_refused(one, machine, store, content, refusal):
    other = machine("other")
    other.load()
    store.put("names.json", content)

    with pytest.raises(RegistryError) as refused:
        other.names()

    assert refused.value.refusal is refusal


def test_a_version_that_was_changed_in_the_bucket_is_refused(one, machine, store):
    champion = one.names()[CHAMPION]
    table = f"versions/{champion}/table.npy"
    body = bytes(store.get(table).bytes())
    store.put(table, body[:-1] + b"\x01")

    with pytest.raises(RegistryError, match=r"table\.npy is not what was written"):
        machine("other").load()
    assert one.load().version == champion


def test_objects_with_names_that_lead_deeper_are_not_brought(one, machine, store, tmp_path):
    champion = one.names()[CHAMPION]
    store.put(f"versions/{champion}/deeper/inside.txt", b"x")
    store.put(f"versions/{champion}/estimator.joblib", b"x")

    machine("other").load()

    assert not list(tmp_path.rglob("inside.txt"))


def test_a_bucket_that_is_away_leaves_what_is_here_and_takes_nothing(one, machine, monkeypatch):
    other = machine("other")
    serving = other.load().version
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = replace(other, shared=Bucket("s3://models/of/duyet", other.root, clock=Clock()))
    other.resolve(CHALLENGER)

    assert away.load().version == serving
    assert away.shared is not None
    assert away.shared.is_away
    with pytest.raises(RegistryError, match="does not answer") as told:
        away.move(CHAMPION, CHALLENGER, **SAID)
    assert told.value.refusal is Refusal.AWAY
    assert "canary" not in str(told.value)
    assert other.names() == one.names()


@pytest.mark.parametrize("url", ["", "models", "http://x/y", "s3://", "s3:///prefix"])
def test_what_is_no_bucket_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match="a bucket is"):
        Bucket(url, tmp_path)


def test_a_bucket_that_goes_away_half_way_leaves_the_copy_at_work(one, machine, store):
    other = machine("other")
    serving = other.load().version
    one.move(CHAMPION, one.add(a_manifest(), a_table(7)), **SAID)

    class GoneHalfWay(Bucket):
        def fetch(self, version: str) -> None:
            raise RegistryError("the bucket of models does not answer", Refusal.AWAY)

    half = replace(other, shared=GoneHalfWay("s3://models/of/duyet", other.root, clock=Clock()))

    assert half.load().version == serving
    assert half.shared is not None
    assert half.shared.is_away
    assert other.load().version == one.names()[CHAMPION]
