import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from model.durable import digest_of
from model.features import Spec, Texts
from model.manifest import manifest_digest
from model.outcome import HeadThresholds, Thresholds
from model.refusals import Refusal
from model.registry import (
    CHALLENGER,
    CHAMPION,
    SHIPPED,
    Manifest,
    Registry,
    RegistryError,
    registry_at,
)
from tests.judging_cases import a_manifest, a_promise, a_table

ROOT = Path(__file__).parent.parent
AT = datetime(2026, 1, 2, tzinfo=UTC)
TEXT = Texts("đánh bạc", "Lan", "", ("links:1",))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def version(registry: Registry) -> str:
    return registry.add(a_manifest(), a_table())


def another(registry: Registry, seed: int) -> str:
    return registry.add(a_manifest(), a_table(seed))


def moved(registry: Registry, to: str, name: str = CHAMPION, why: str = "better") -> None:
    registry.move(name, to, who="lan", why=why, at=AT)


def folder(registry: Registry, version: str) -> Path:
    return registry.root / "versions" / version


# --- a version -------------------------------------------------------------------------------


def test_a_version_comes_back_as_it_was_added(registry, version):
    loaded = registry.load(version)

    assert registry.versions() == [version]
    assert loaded.version == version
    assert np.array_equal(loaded.table, a_table())
    assert loaded.bias.tolist() == [-0.25, -0.5]
    assert loaded.promise == a_manifest().promise
    assert loaded.spec == a_manifest().spec


def test_a_loaded_table_is_read_only(registry, version):
    with pytest.raises(ValueError, match="read-only"):
        registry.load(version).table[0, 0] = 1


def test_a_manifest_comes_back_from_its_json():
    full = a_manifest(
        recipe={"name": "general"},
        data=({"file": "a.jsonl", "rows": 3},),
        evaluation={"ở": [0.1, None]},
        probes=(("đánh bạc", (1.5, -2.25)),),
    )

    assert Manifest.from_json(full.to_json()) == full


def test_adding_twice_changes_nothing(registry, version):
    before = {p: p.stat().st_mtime_ns for p in registry.root.rglob("*") if p.is_file()}

    again = registry.add(a_manifest(), a_table())

    assert again == version
    assert {p: p.stat().st_mtime_ns for p in registry.root.rglob("*") if p.is_file()} == before


def test_a_version_added_from_what_was_read_has_the_same_name(registry, version, tmp_path):
    read = registry.manifest(version)

    other = Registry(tmp_path / "other").add(read, np.asarray(registry.load(version).table))

    assert other == version


@pytest.mark.parametrize(
    "changed",
    [
        {"bias": (-0.25, -0.75)},
        {"promise": a_promise(HeadThresholds(Thresholds(0.6, 0.91), Thresholds(0.7, 2)))},
        {
            "spec": Spec(
                bits=12, shares={"content": 1, "author.name": 1, "author.url": 1, "signs": 1}
            )
        },
    ],
)
def test_another_model_has_another_name(registry, version, changed):
    assert registry.add(a_manifest(**changed), a_table()) != version


def test_one_weight_makes_another_name(registry, version):
    table = a_table()
    table[17, 1] = np.nextafter(table[17, 1], 9)

    assert registry.add(a_manifest(), table) != version


def test_what_was_measured_makes_no_other_name(registry, version):
    assert registry.add(a_manifest(evaluation={"roc_auc": 0.9}), a_table()) == version


def test_a_table_of_the_wrong_shape_is_not_added(registry):
    with pytest.raises(ValueError, match="shape"):
        registry.add(a_manifest(), a_table()[:-1])

    assert registry.versions() == []


def test_extra_files_lie_beside_and_are_checked(registry):
    version = registry.add(a_manifest(), a_table(), extra={"card.md": "A card"})
    registry.load(version)

    (folder(registry, version) / "card.md").write_text("Another card")

    with pytest.raises(RegistryError, match=r"card\.md is not what was written"):
        registry.load(version)


@pytest.mark.parametrize("file", ["", ".x", "a/b", "../x", "/etc/x", "manifest.json", "table.npy"])
def test_an_extra_file_has_a_plain_name_of_its_own(registry, file):
    with pytest.raises(ValueError, match="plain names"):
        registry.add(a_manifest(), a_table(), extra={file: "x"})


# --- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 9, 130, 5000, -1])
def test_a_changed_byte_in_the_table_is_refused(registry, version, at):
    path = folder(registry, version) / "table.npy"
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)

    with pytest.raises(RegistryError):
        registry.load(version)


def test_a_changed_byte_anywhere_in_what_the_manifest_says_is_refused(registry):
    version = registry.add(
        a_manifest(evaluation={"roc_auc": 0.91}, probes=(("bạc", (0.0, 0.0)),)), a_table()
    )
    path = folder(registry, version) / "manifest.json"
    written = path.read_bytes()
    meant = [at for at in range(len(written)) if not written[at : at + 1].isspace()]

    assert [at for at in meant if not refused(registry, version, path, written, at)] == []


def refused(registry: Registry, version: str, path: Path, written: bytes, at: int) -> bool:
    path.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
    try:
        registry.manifest(version)
    except RegistryError:
        return True
    return False


@pytest.mark.parametrize("file", ["table.npy", "manifest.json"])
def test_a_missing_file_is_refused(registry, version, file):
    (folder(registry, version) / file).unlink()

    with pytest.raises(RegistryError):
        registry.load(version)


@pytest.mark.parametrize("size", [0, 5, 100, 4000])
@pytest.mark.parametrize("file", ["table.npy", "manifest.json"])
def test_a_file_that_was_cut_short_is_refused(registry, version, file, size):
    path = folder(registry, version) / file
    path.write_bytes(path.read_bytes()[: min(size, path.stat().st_size - 2)])

    with pytest.raises(RegistryError):
        registry.load(version)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"7", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"spec": []}']
)
def test_what_is_no_manifest_is_refused(registry, version, body):
    (folder(registry, version) / "manifest.json").write_bytes(body)

    with pytest.raises(RegistryError):
        registry.load(version)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"champion"', b"\xff", b"[" * 100_000]
)
def test_names_that_cannot_be_read_are_refused(registry, version, body):
    (registry.root / "names.json").write_bytes(body)

    with pytest.raises(RegistryError):
        registry.load()


def test_a_version_under_another_name_is_refused(registry, version):
    shutil.copytree(folder(registry, version), folder(registry, "0123456789ab"))

    with pytest.raises(RegistryError, match="another name"):
        registry.load("0123456789ab")


def with_digests(registry: Registry, version: str) -> None:
    """Makes the manifest agree with whatever lies in the folder, as one who may write could."""
    path = folder(registry, version) / "manifest.json"
    body = json.loads(path.read_text("utf-8"))
    body["digests"] = {"table.npy": digest_of(folder(registry, version) / "table.npy")}
    body["digests"]["manifest.json"] = manifest_digest(json.dumps(body))
    path.write_text(json.dumps(body))


def test_a_manifest_that_vouches_for_no_table_is_refused(registry, version):
    path = folder(registry, version) / "manifest.json"
    body = json.loads(path.read_text("utf-8"))
    body["digests"] = {}
    body["digests"] = {"manifest.json": manifest_digest(json.dumps(body))}
    path.write_text(json.dumps(body))

    with pytest.raises(RegistryError, match=r"table\.npy is not what was written"):
        registry.load(version)


class Runs:
    """A pickle that makes a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def npy_of(thing: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([thing], dtype=object), allow_pickle=True)
    return out.getvalue()


def npz_of(thing: object) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("table.npy", npy_of(thing))
    return out.getvalue()


@pytest.mark.parametrize("kind", [pickle.dumps, npy_of, npz_of])
@pytest.mark.parametrize("place", ["table.npy", "manifest.json", "names.json", "moves.jsonl"])
def test_no_pickle_is_ever_opened(registry, version, tmp_path, kind, place):
    mark = tmp_path / "it ran"
    moved(registry, version)
    inside = folder(registry, version) / place
    path = inside if inside.exists() else registry.root / place
    path.write_bytes(kind(Runs(mark)))
    if place == "table.npy":
        with_digests(registry, version)

    for act in (
        registry.load,
        registry.moves,
        lambda: moved(registry, version),
        lambda: registry.roll_back(who="lan", why="", at=AT),
    ):
        try:
            act()
        except RegistryError:
            continue

    assert not mark.exists()
    assert pickle.loads(pickle.dumps(Runs(mark))) is None  # it would have run
    assert mark.exists()


@pytest.mark.parametrize(
    "array", [np.zeros((4096, 2)), np.zeros((4096, 3), np.float32), np.zeros(9)]
)
def test_a_table_of_another_kind_is_refused(registry, version, array):
    np.save(folder(registry, version) / "table.npy", array)
    with_digests(registry, version)

    with pytest.raises(RegistryError, match=r"wrong shape|longer than"):
        registry.load(version)


def test_a_model_of_other_features_is_refused(registry):
    old = registry.add(a_manifest(features_version=0), a_table())

    with pytest.raises(RegistryError, match="train again"):
        registry.load(old)


def test_a_model_that_does_not_score_its_probes_as_noted_is_refused(registry):
    wrong = registry.add(a_manifest(probes=(("đánh bạc", (9.0, 9.0)),)), a_table())

    with pytest.raises(RegistryError, match="does not score as it was fitted"):
        registry.load(wrong)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/", "\x00", "a\x00", "x" * 9999, "ệ", "\ud800"]
)
def test_a_name_that_is_none_is_refused(registry, version, name):
    with pytest.raises(RegistryError):
        registry.load(name)
    with pytest.raises(RegistryError):
        moved(registry, version, name)
    with pytest.raises(RegistryError):
        moved(registry, name)

    assert registry.names() == {}
    assert registry.moves() == []


def test_a_name_may_not_hide_a_version(registry, version):
    with pytest.raises(RegistryError):
        moved(registry, another(registry, 4), name=version)


def test_names_that_point_out_of_the_registry_are_refused(registry, version):
    (registry.root / "names.json").write_text('{"champion": "../versions/' + version + '"}')

    with pytest.raises(RegistryError, match="no model"):
        registry.load()


def test_an_empty_registry_says_what_is_there(registry):
    with pytest.raises(RegistryError, match="there are: none"):
        registry.load()

    assert registry.versions() == []
    assert not registry.root.exists()


# --- moves -----------------------------------------------------------------------------------


def test_each_move_is_written_down(registry, version):
    second = another(registry, 4)
    moved(registry, version, why="the first")
    moved(registry, second, why="tốt\nhơn\u2028\x85 \ud800")

    first_move, second_move = registry.moves()
    assert registry.names() == {CHAMPION: second}
    assert (
        first_move | {"from": None, "to": version, "who": "lan", "why": "the first"} == first_move
    )
    assert second_move["from"] == version
    assert second_move["why"] == "tốt\nhơn\u2028\x85 \ud800"
    assert second_move["at"] == AT.isoformat()


def test_a_broken_version_is_not_promoted(registry, version):
    moved(registry, version)
    broken = another(registry, 4)
    (folder(registry, broken) / "table.npy").write_bytes(b"")

    with pytest.raises(RegistryError):
        moved(registry, broken)

    assert registry.names() == {CHAMPION: version}
    assert len(registry.moves()) == 1


def rolled_back(registry: Registry, why: str = "worse") -> str:
    return registry.roll_back(who="lan", why=why, at=AT)


def test_rolling_back_twice_goes_back_two_steps(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    for to in (a, b, c):
        moved(registry, to)

    assert [rolled_back(registry), rolled_back(registry)] == [b, a]
    assert registry.names() == {CHAMPION: a}
    with pytest.raises(RegistryError, match="nothing to roll back to"):
        rolled_back(registry)


def test_a_champion_after_a_roll_back_rolls_back_to_the_one_before_it(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    moved(registry, a)
    moved(registry, b)
    rolled_back(registry)
    moved(registry, c)

    assert rolled_back(registry) == a
    with pytest.raises(RegistryError):
        rolled_back(registry)


def test_promoting_the_champion_again_is_no_step(registry):
    a, b = (another(registry, seed) for seed in (1, 2))
    for to in (a, b, b, b):
        moved(registry, to)

    assert rolled_back(registry) == a


def test_promoting_an_old_champion_again_is_a_step(registry):
    a, b = (another(registry, seed) for seed in (1, 2))
    for to in (a, b, a):
        moved(registry, to)

    assert [rolled_back(registry), rolled_back(registry)] == [b, a]


def test_a_reason_that_sounds_like_a_roll_back_is_none(registry):
    a, b = (another(registry, seed) for seed in (1, 2))
    moved(registry, a)
    moved(registry, b, why="roll back: the other site's idea")

    assert rolled_back(registry) == a


def test_of_many_who_roll_back_from_one_version_at_once_one_does(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    for to in (a, b, c):
        moved(registry, to)

    def from_c(who: str) -> str:
        try:
            mine = Registry(registry.root)
            return mine.roll_back(who=who, why="twice", at=AT, instead_of=c)
        except RegistryError as problem:
            return str(problem.refusal)

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(from_c, "abcdefgh"))

    assert sorted(said) == sorted([b] + [Refusal.OVERTAKEN] * 7)
    assert registry.names() == {CHAMPION: b}


def test_other_names_do_not_take_part_in_a_roll_back(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    moved(registry, a)
    moved(registry, b)
    moved(registry, c, CHALLENGER)

    assert rolled_back(registry) == a
    assert registry.names() == {CHAMPION: a, CHALLENGER: c}


def test_a_roll_back_without_a_champion_is_refused(registry, version):
    with pytest.raises(RegistryError):
        rolled_back(registry)


def test_a_line_that_a_power_cut_left_unfinished_is_passed_over(registry):
    a, b = (another(registry, seed) for seed in (1, 2))
    moved(registry, a)
    with (registry.root / "moves.jsonl").open("ab") as log:
        log.write(b'{"at": "2026-01-02", "na')
    moved(registry, b)

    assert [move["to"] for move in registry.moves()] == [a, b]
    assert rolled_back(registry) == a


def test_a_move_that_was_noted_but_not_made_is_no_step(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    moved(registry, a)
    names = (registry.root / "names.json").read_bytes()
    moved(registry, b)
    (registry.root / "names.json").write_bytes(names)  # as if killed between the two writes
    moved(registry, c)

    assert rolled_back(registry) == a
    with pytest.raises(RegistryError):
        rolled_back(registry)


# --- several processes -----------------------------------------------------------------------

PRELUDE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from model.registry import Registry, registry_at
from tests.judging_cases import a_manifest, a_promise, a_table
root = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
"""


def processes(root: Path, *programs: str) -> list[subprocess.Popen[str]]:
    """Programs that have all imported what they need and go on together."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program, str(root)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for program in programs
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return started


def ended(started: list[subprocess.Popen[str]]) -> list[str]:
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    return [out.strip() for out, _ in said]


def test_two_that_add_the_same_version_at_once_both_have_it(registry):
    add = "print([Registry(root).add(a_manifest(), a_table(n)) for n in range(30)])"

    one, other = ended(processes(registry.root, add, add))

    assert one == other
    assert len(registry.versions()) == 30
    assert not list(registry.root.glob(".new-*"))


def test_names_that_two_move_at_once_are_both_moved(registry, version):
    move = (
        "for n in range(40): Registry(root).move('{name}' + str(n), sys.argv[2], who='', why='', "
        "at=datetime.now(UTC))"
    ).replace("sys.argv[2]", repr(version))

    ended(processes(registry.root, *(move.replace("{name}", name) for name in ("a", "b"))))

    assert len(registry.names()) == 80
    assert len(registry.moves()) == 80


def test_a_disk_that_is_full_leaves_no_half_of_a_version_and_no_move(registry, version):
    full = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as a full disk: bytes are not taken
mine = Registry(root)
for attempt in (lambda: mine.add(a_manifest(), a_table(7)),
                lambda: mine.move("next", VERSION, who="", why="w" * 2000, at=datetime.now(UTC))):
    try:
        attempt()
    except OSError as problem:
        print(problem.errno)
"""
    before, files = registry.names(), set(registry.root.rglob("*"))

    (said,) = ended(processes(registry.root, full.replace("VERSION", repr(version))))

    assert len(said.split()) == 2
    assert (registry.names(), registry.versions(), registry.moves()) == (before, [version], [])
    assert set(registry.root.rglob("*")) == files
    moved(registry, version)
    assert [move["to"] for move in registry.moves()] == [version]


@pytest.mark.parametrize("times", range(3))
def test_a_version_whose_writer_was_killed_is_whole_or_absent(registry, times):
    endless = (
        "for n in range(10**9): print(Registry(root).add(a_manifest(), a_table(n)), flush=True)"
    )
    (process,) = processes(registry.root, endless)
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(2 + times)]

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert set(seen) <= set(registry.versions())
    assert [registry.load(version).version for version in registry.versions()]
    assert len(list((registry.root / "versions").iterdir())) == len(registry.versions())
    another(registry, 77)
    assert not list(registry.root.glob(".new-*"))


def test_an_empty_directory_begins_with_the_shipped_champion(tmp_path):
    registry = registry_at(tmp_path / "models")

    assert registry.load().version == Registry(SHIPPED).load().version
    assert registry_at(registry.root) == registry


def test_two_services_that_start_at_once_have_the_same_champion(tmp_path):
    program = "print(registry_at(root).load().version)"

    one, other = ended(processes(tmp_path / "models", program, program))

    assert one == other == Registry(SHIPPED).load().version
    assert not list((tmp_path / "models").glob(".new-*"))


def test_a_directory_with_names_is_left_as_it_is(registry, version):
    moved(registry, version)

    assert registry_at(registry.root).names() == {CHAMPION: version}
    assert registry.versions() == [version]


def test_written_files_may_be_read_by_other_users(registry, version):
    moved(registry, version)

    modes = {p.name: p.stat().st_mode & 0o777 for p in registry.root.rglob("*")}

    assert modes["names.json"] == 0o644
    assert modes[version] & 0o555 == 0o555
    assert os.access(folder(registry, version) / "table.npy", os.R_OK)


def test_a_name_that_moved_since_somebody_looked_is_not_moved_again(registry):
    a, b, c = (another(registry, seed) for seed in (1, 2, 3))
    moved(registry, a)
    moved(registry, b)

    with pytest.raises(RegistryError, match="moved meanwhile"):
        registry.move(CHAMPION, c, who="lan", why="better than a", at=AT, instead_of=a)
    registry.move(CHAMPION, c, who="lan", why="better than b", at=AT, instead_of=b)
    with pytest.raises(RegistryError) as there:
        registry.move(CHAMPION, a, who="lan", why="the first", at=AT, instead_of="")
    assert there.value.refusal is Refusal.OVERTAKEN

    assert [move["to"] for move in registry.moves()] == [a, b, c]
