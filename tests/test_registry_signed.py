"""A registry that somebody else may write to, and an installation that believes its own keys."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.durable import digest_of
from model.guard import SEEN, Guard
from model.manifest import manifest_digest
from model.moves import standing_of
from model.refusals import Refusal
from model.registry import (
    CHALLENGER,
    CHAMPION,
    RELEASED,
    SHIPPED,
    Registry,
    RegistryError,
    registry_at,
)
from model.signing import Kind, Signature, Signer
from tests.judging_cases import a_manifest, a_table
from tests.test_comparison import a_comparison

AT = datetime(2026, 1, 2, tzinfo=UTC)
SAID: dict[str, Any] = {"who": "lan", "why": "better", "at": AT}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def opened(models: Path, secrets: Path, *trusted: str) -> Registry:
    """As another process sees it: nothing is remembered but what lies there."""
    return Registry(models, Guard.open(secrets, trusted, released=RELEASED))


@pytest.fixture
def ours(tmp_path: Path, secrets: Path) -> Registry:
    """A signed registry with three versions, of which the second is champion by two moves."""
    registry = opened(tmp_path / "models", secrets)
    for seed in (1, 2, 3):
        registry.add(a_manifest(), a_table(seed))
    for version in versions(registry)[:2]:
        registry.move(CHAMPION, version, **SAID)
    registry.move(CHALLENGER, versions(registry)[2], **SAID)
    return registry


def versions(registry: Registry) -> list[str]:
    """By seed."""
    named = {
        digest_of(registry.root / "versions" / v / "table.npy"): v for v in registry.versions()
    }
    return [named[_digest_of_table(seed, registry.root.parent)] for seed in (1, 2, 3)]


def _digest_of_table(seed: int, folder: Path) -> str:
    np.save(folder / "table.npy", a_table(seed))
    return digest_of(folder / "table.npy")


@pytest.fixture
def again(ours: Registry, secrets: Path) -> Callable[[], Registry]:
    """What a service that has just started sees."""
    return lambda: opened(ours.root, secrets)


def folder(registry: Registry, version: str) -> Path:
    return registry.root / "versions" / version


def rewritten(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


# --- what is right ---------------------------------------------------------------------------


def test_what_was_signed_is_believed_by_whoever_has_the_key(again):
    registry = again()

    assert registry.load().version == registry.names()[CHAMPION]
    assert [registry.load(version).version for version in registry.versions()]
    assert len(registry.moves()) == 3


def test_who_has_the_public_key_alone_believes_it_and_cannot_write(ours, tmp_path):
    assert ours.guard is not None
    elsewhere = Registry(ours.root, Guard(None, ours.guard.trusted))

    assert elsewhere.load().version == ours.names()[CHAMPION]
    with pytest.raises(RegistryError, match="no key here to sign with"):
        elsewhere.move(CHAMPION, versions(ours)[0], **SAID)
    assert again_names(ours) == ours.names()


def again_names(registry: Registry) -> dict[str, str]:
    return dict(standing_of((registry.root / "names.json").read_text())[0].names)


def test_the_key_lies_outside_the_registry_for_its_owner_alone(ours, secrets):
    inside = b"".join(path.read_bytes() for path in ours.root.rglob("*") if path.is_file())

    assert (secrets / "models.key").read_bytes()[12:76] not in inside
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert "models.key" not in repr(ours)
    assert (secrets / "models.key").read_text()[12:76] not in repr(ours.guard)


def test_a_legal_roll_back_is_a_move_like_any_other(ours, again):
    first, second, _ = versions(ours)

    assert ours.roll_back(**SAID) == first
    assert again().load().version == first
    ours.move(CHAMPION, second, **SAID)
    assert again().roll_back(**SAID) == first
    assert again().names()[CHAMPION] == first


def test_the_released_version_is_believed_before_anybody_signed_it(tmp_path, secrets):
    models = tmp_path / "models"
    shutil.copytree(SHIPPED, models)
    [version] = Registry(models).versions()

    assert opened(models, secrets).manifest_of(version).version == version


def test_what_came_with_the_program_is_what_it_vouches_for():
    told = {
        v: digest_of(SHIPPED / "versions" / v / "manifest.json")
        for v in Registry(SHIPPED).versions()
    }

    assert told == RELEASED  # after a new fit: write its digest into model/registry.py


def test_a_registry_that_begins_is_signed(tmp_path, secrets):
    begun = registry_at(tmp_path / "models", Guard.open(secrets))  # nothing is released here

    assert opened(begun.root, secrets).load().version in RELEASED
    assert begun.is_signed()


# --- attacks by one who may write to the registry, and no more -------------------------------


def refusal(act: Callable[[], object]) -> Refusal:
    with pytest.raises(RegistryError) as refused:
        act()
    return refused.value.refusal


@pytest.mark.parametrize("file", ["table.npy", "manifest.json", "signature.json"])
@pytest.mark.parametrize("at", [2, 40, -40, -3])
def test_a_changed_byte_is_refused(ours, again, file, at):
    path = folder(ours, ours.names()[CHAMPION]) / file
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)

    assert refusal(again().load) in (Refusal.CHANGED, Refusal.UNSIGNED, Refusal.FOREIGN)


def consistent(path: Path, table: Path) -> None:
    """A manifest that agrees with another table, as one who knows how could write it."""
    body = json.loads(path.read_text("utf-8"))
    body["digests"] = {"table.npy": digest_of(table)}
    body["digests"]["manifest.json"] = manifest_digest(json.dumps(body))
    path.write_text(json.dumps(body))


def test_a_swapped_table_with_digests_that_agree_is_refused(ours, again):
    _, champion, other = versions(ours)
    shutil.copy(folder(ours, other) / "table.npy", folder(ours, champion) / "table.npy")
    consistent(folder(ours, champion) / "manifest.json", folder(ours, champion) / "table.npy")

    assert Registry(ours.root).load(champion)  # digests alone do not see it
    assert refusal(again().load) is Refusal.CHANGED


def test_a_version_under_the_name_of_another_is_refused(ours, again):
    first, champion, _ = versions(ours)
    shutil.rmtree(folder(ours, champion))
    shutil.copytree(folder(ours, first), folder(ours, champion))

    assert refusal(again().load) is Refusal.CHANGED


def test_a_signature_of_another_version_is_refused(ours, again):
    first, champion, _ = versions(ours)
    signature = "signature.json"
    shutil.copy(folder(ours, first) / signature, folder(ours, champion) / signature)

    assert refusal(again().load) is Refusal.CHANGED


def test_a_version_without_a_signature_is_refused(ours, again):
    (folder(ours, ours.names()[CHAMPION]) / "signature.json").unlink()

    assert refusal(again().load) is Refusal.UNSIGNED


def test_a_foreign_signature_is_refused_until_it_is_trusted(ours, again, secrets, tmp_path):
    other = opened(tmp_path / "theirs", tmp_path / "their-secrets")
    theirs = other.add(a_manifest(), a_table(9))
    shutil.copytree(folder(other, theirs), folder(ours, theirs))
    assert other.guard is not None
    assert other.guard.signer is not None

    assert refusal(lambda: again().move(CHAMPION, theirs, **SAID)) is Refusal.FOREIGN
    trusting = opened(ours.root, secrets, other.guard.signer.public)
    trusting.move(CHAMPION, theirs, **SAID)
    assert trusting.load().version == theirs


def test_a_foreign_key_cannot_move_a_name(ours, again):
    stranger = Signer(b"\x01" * 32)
    path = ours.root / "names.json"
    standing, _ = standing_of(path.read_text())
    moved = replace(standing, names={CHAMPION: versions(ours)[0]}, count=standing.count + 1)
    path.write_text(moved.signed(stranger.signature(Kind.NAMES, moved.body())))

    assert refusal(again().load) is Refusal.FOREIGN


def test_a_signature_that_claims_our_key_is_refused(ours, again):
    assert ours.guard is not None
    assert ours.guard.signer is not None
    path = ours.root / "names.json"
    standing, _ = standing_of(path.read_text())
    moved = replace(standing, names={CHAMPION: versions(ours)[0]}, count=standing.count + 1)
    forged = Signer(b"\x01" * 32).signature(Kind.NAMES, moved.body())
    path.write_text(moved.signed(replace(forged, key=ours.guard.signer.public)))

    assert refusal(again().load) is Refusal.CHANGED


@pytest.mark.parametrize(
    "change", [{"names": {}}, {"count": 99}, {"head": ""}, {"names": {CHAMPION: "0" * 12}}]
)
def test_changed_names_are_refused(ours, again, change):
    rewritten(ours.root / "names.json", **change)

    assert refusal(again().names) is Refusal.CHANGED


def test_names_that_nobody_signed_are_refused(ours, again):
    (ours.root / "names.json").write_text(json.dumps({CHAMPION: versions(ours)[0]}))

    assert refusal(again().load) is Refusal.UNSIGNED
    assert refusal(lambda: again().move(CHAMPION, versions(ours)[0], **SAID)) is Refusal.UNSIGNED


def test_an_older_registry_put_back_whole_is_refused(ours, again, tmp_path):
    shutil.copytree(ours.root, tmp_path / "old")
    ours.move(CHAMPION, versions(ours)[2], **SAID)
    shutil.rmtree(ours.root)
    shutil.copytree(tmp_path / "old", ours.root)

    assert refusal(again().load) is Refusal.ROLLED_BACK
    assert refusal(lambda: again().roll_back(**SAID)) is Refusal.ROLLED_BACK


def test_a_running_process_remembers_even_when_nothing_else_does(ours, secrets, tmp_path):
    shutil.copytree(ours.root, tmp_path / "old")
    ours.move(CHAMPION, versions(ours)[2], **SAID)
    shutil.rmtree(ours.root)
    shutil.copytree(tmp_path / "old", ours.root)
    (secrets / SEEN).unlink()

    assert refusal(ours.load) is Refusal.ROLLED_BACK


def test_a_machine_that_saw_the_newest_tells_the_others_through_the_secrets(ours, again, tmp_path):
    waiting = again()
    assert waiting.load()
    before = (ours.root / "names.json").read_bytes()
    ours.move(CHAMPION, versions(ours)[2], **SAID)
    (ours.root / "names.json").write_bytes(before)

    assert refusal(waiting.load) is Refusal.ROLLED_BACK


def test_another_history_of_the_same_length_is_refused(ours, again, secrets, tmp_path):
    shutil.copytree(ours.root, tmp_path / "fork")
    shutil.copytree(secrets, tmp_path / "fork-secrets")
    opened(tmp_path / "fork", tmp_path / "fork-secrets").move(CHAMPION, versions(ours)[0], **SAID)
    ours.move(CHAMPION, versions(ours)[2], **SAID)
    shutil.copy(tmp_path / "fork" / "names.json", ours.root / "names.json")

    assert refusal(again().load) is Refusal.ROLLED_BACK


def test_names_that_are_gone_do_not_bring_the_shipped_model_back(ours, again):
    (ours.root / "names.json").unlink()

    assert refusal(again().load) is Refusal.ROLLED_BACK
    assert refusal(lambda: registry_at(ours.root, again().guard)) is Refusal.ROLLED_BACK


def test_a_registry_that_was_emptied_does_not_begin_anew(ours, again):
    shutil.rmtree(ours.root)

    assert refusal(lambda: registry_at(ours.root, again().guard)) is Refusal.ROLLED_BACK


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines[1:], lines[0]],
        lambda lines: [lines[0].replace("lan", "an"), *lines[1:]],
        lambda lines: [],
    ],
)
def test_changed_moves_are_refused(ours, again, change):
    path = ours.root / "moves.jsonl"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))

    assert refusal(again().moves) is Refusal.CHANGED
    assert refusal(lambda: again().roll_back(**SAID)) is Refusal.CHANGED
    assert again().load()  # what serves needs none of them


def test_a_move_that_somebody_added_is_none(ours, again):
    first, second, third = versions(ours)
    path = ours.root / "moves.jsonl"
    faked = json.loads(path.read_text().splitlines()[0]) | {"from": first, "to": third}
    with path.open("a") as file:
        file.write(json.dumps(faked) + "\n" + json.dumps(faked | {"to": second}) + "\n")

    assert len(again().moves()) == 3
    assert again().roll_back(**SAID) == first
    assert len(again().moves()) == 4


def test_an_unsigned_program_does_not_write_over_signatures(ours):
    before = {p: p.read_bytes() for p in ours.root.rglob("*") if p.is_file()}

    assert refusal(lambda: Registry(ours.root).move(CHAMPION, versions(ours)[0], **SAID)) is (
        Refusal.UNSIGNED
    )
    assert {p: p.read_bytes() for p in ours.root.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("file", ["table.npy", "card.md", "manifest.json"])
def test_a_file_that_fills_the_memory_or_takes_hours_is_not_read(ours, again, file):
    version = ours.add(a_manifest(), a_table(4), extra={"card.md": "A card."})
    with (folder(ours, version) / file).open("r+b") as opened_file:
        opened_file.truncate(2**40)  # of holes

    assert refusal(lambda: again().load(version)) is Refusal.CHANGED


def test_a_memory_that_is_broken_is_told_and_not_taken_for_none(ours, again, secrets):
    (secrets / SEEN).write_text("{")

    with pytest.raises(RegistryError, match=r"models\.seen cannot be read"):
        again().load()
    (secrets / SEEN).unlink()
    assert again().load()


# --- reports ---------------------------------------------------------------------------------


@pytest.fixture
def reported(ours: Registry) -> Registry:
    _, champion, challenger = versions(ours)
    comparison = replace(a_comparison(), champion=champion, challenger=challenger)
    ours.add_report(comparison, {"report.en.html": "<p>fine"})
    return ours


def test_a_report_that_was_signed_is_believed(reported, again):
    found = again().report(CHALLENGER)

    assert found is not None
    assert found.challenger == versions(reported)[2]
    assert again().report_page(CHALLENGER) == "<p>fine"


@pytest.mark.parametrize("file", ["comparison.json", "report.en.html", "signature.json"])
def test_a_report_that_was_changed_rules_nothing_and_is_shown_to_nobody(reported, again, file):
    [path] = (reported.root / "reports").rglob(file)
    path.write_text(path.read_text().replace("fine", "<script>").replace("0.6", "0.9") + " ")
    if file == "signature.json":
        path.write_text("{}")

    with pytest.raises(RegistryError):
        again().report(CHALLENGER) if file != "report.en.html" else again().report_page(CHALLENGER)


def test_a_report_on_another_pair_is_not_taken_for_this_one(reported, again):
    first, champion, challenger = versions(reported)
    reports = reported.root / "reports"
    shutil.copytree(reports / challenger / champion, reports / first / champion)

    with pytest.raises(RegistryError):
        again().report(first)


# --- what an operator may do -----------------------------------------------------------------


def test_an_operator_may_accept_a_registry_that_was_restored(ours, again, tmp_path):
    shutil.copytree(ours.root, tmp_path / "old")
    ours.move(CHAMPION, versions(ours)[2], **SAID)
    shutil.rmtree(ours.root)
    shutil.copytree(tmp_path / "old", ours.root)

    again().sign([], who="an", why="restored from the backup", at=AT)

    assert again().load().version == versions(ours)[1]
    assert again().moves()[-1]["why"] == "restored from the backup"
    assert again().roll_back(**SAID) == versions(ours)[0]


@pytest.mark.parametrize("lost", ["{", "", None])
def test_names_that_are_lost_are_found_again_by_the_moves(ours, again, lost):
    path = ours.root / "names.json"
    path.unlink() if lost is None else path.write_text(lost)

    again().sign([], who="an", why="lost", at=AT)

    assert again().names() == {CHAMPION: versions(ours)[1], CHALLENGER: versions(ours)[2]}


def test_signing_drops_a_name_whose_version_is_not_right(ours, again):
    _, champion, challenger = versions(ours)
    (folder(ours, challenger) / "table.npy").write_bytes(b"")

    assert again().sign([], who="an", why="as it is", at=AT) == (CHALLENGER,)
    assert again().names() == {CHAMPION: champion}


def test_signing_takes_nothing_that_disagrees_with_its_digests(ours, again):
    challenger = versions(ours)[2]
    (folder(ours, challenger) / "table.npy").write_bytes(b"")

    refused = refusal(lambda: again().sign([challenger], who="an", why="as it is", at=AT))

    assert refused is Refusal.CHANGED


@pytest.fixture
def unsigned(tmp_path: Path) -> Registry:
    """A registry of before there were signatures, with a version that is spoilt."""
    registry = Registry(tmp_path / "before")
    for seed in (1, 2, 3):
        registry.add(a_manifest(), a_table(seed))
    for version in versions(registry)[:2]:
        registry.move(CHAMPION, version, **SAID)
    (folder(registry, versions(registry)[2]) / "manifest.json").write_text("{}")
    return registry


def test_a_registry_of_before_is_adopted_once(unsigned, secrets):
    adopted = opened(unsigned.root, secrets).adopt(who="serve", why="first start", at=AT)

    registry = opened(unsigned.root, secrets)
    assert adopted
    assert registry.load().version == unsigned.names()[CHAMPION]
    assert [move["why"] for move in registry.moves()] == ["better", "better", "first start"]
    assert registry.roll_back(**SAID) == versions(unsigned)[0]
    assert not registry.adopt(who="serve", why="again", at=AT)


def test_what_comes_unsigned_after_that_is_not_adopted(ours, again, unsigned):
    shutil.rmtree(ours.root)
    shutil.copytree(unsigned.root, ours.root)

    assert not again().adopt(who="serve", why="start", at=AT)
    assert refusal(again().load) is Refusal.UNSIGNED


def test_what_a_stranger_signed_is_not_adopted(ours, tmp_path):
    stranger = opened(ours.root, tmp_path / "other-secrets")

    assert not stranger.adopt(who="serve", why="first start", at=AT)
    assert refusal(stranger.load) is Refusal.FOREIGN


# --- keys and statements ---------------------------------------------------------------------


def test_a_signature_on_one_kind_is_none_on_another():
    signer = Signer(b"\x07" * 32)
    body = {"version": "a", "manifest": "b"}
    signature = signer.signature(Kind.VERSION, body)

    assert signature.is_of(Kind.VERSION, dict(reversed(body.items())))
    assert not signature.is_of(Kind.NAMES, body)
    assert not signature.is_of(Kind.VERSION, body | {"more": 1})


def test_the_signature_of_rfc_8032_is_what_the_library_makes():
    """Test 1 of section 7.1: the key and its public half."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")

    assert Signer(seed).public == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"key": 1, "signature": "00"}, {"key": "00" * 32, "signature": "zz" * 64}],
)
def test_what_is_no_signature_is_none(body):
    assert Signature.from_body(body) is None


def test_a_point_that_is_no_key_signs_nothing():
    assert not Signature("ff" * 32, "00" * 64).is_of(Kind.VERSION, {})


# --- pickles ---------------------------------------------------------------------------------


class Runs:
    """A pickle that makes a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.mark,)


PLACES = (
    "names.json",
    "moves.jsonl",
    "model.joblib",
    "champion.pkl",
    "versions/CHAMPION/manifest.json",
    "versions/CHAMPION/table.npy",
    "versions/CHAMPION/signature.json",
    "versions/CHAMPION/estimator.joblib",
    "versions/CHAMPION/table.npz",
    "versions/CHAMPION/table.pkl",
    "reports/CHALLENGER/CHAMPION/comparison.json",
    "reports/CHALLENGER/CHAMPION/signature.json",
    "reports/CHALLENGER/CHAMPION/report.en.html",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_pickle_in_any_place_is_opened_by_nobody(reported, again, tmp_path, place):
    mark = tmp_path / "it ran"
    _, champion, challenger = versions(reported)
    path = reported.root / place.replace("CHAMPION", champion).replace("CHALLENGER", challenger)
    path.write_bytes(pickle.dumps(Runs(mark)))

    for registry in (again(), Registry(reported.root)):
        for act in (
            registry.versions,
            registry.load,
            lambda registry=registry: registry.load(champion),
            registry.moves,
            lambda registry=registry: registry.report(challenger, champion),
            lambda registry=registry: registry.report_page(challenger, champion),
            lambda registry=registry: registry.roll_back(**SAID),
            lambda registry=registry: registry.sign([champion], who="", why="", at=AT),
        ):
            try:
                act()
            except RegistryError:
                continue

    assert not mark.exists()
