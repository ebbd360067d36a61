"""Where model versions live: a directory of immutable versions and names that move.

    versions/VERSION/manifest.json   what it is: digests, recipe, evaluation, thresholds, probes
    versions/VERSION/table.npy       the weights, plain numbers
    names.json                       {"champion": VERSION, "challenger": VERSION}
    moves.jsonl                      each move of a name: when, from, to, who, why

Nothing here is ever unpickled. A version is loaded only if its digests, its feature version
and the scores of its probe texts are right.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS, Classifier
from model.features import FEATURES_VERSION, Lengths, Spec, Texts
from model.outcome import HeadThresholds, Thresholds

CHAMPION = "champion"
CHALLENGER = "challenger"
SHIPPED = Path(__file__).parent / "champion"
"""The registry that comes with the project: one version, which is its champion."""

PROBE_TOLERANCE = 1e-6
_MANIFEST = "manifest.json"
_TABLE = "table.npy"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class RegistryError(Exception):
    """A version that is not there or not what its manifest says. The message says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model version is. Everything in it is plain JSON.

    `digests` are SHA-256 of the version's files by name; `data` says which files were read
    (name, rows, digest, licence tier where known); `evaluation` is what was measured on held
    out groups; `probes` are texts of our own with the log-odds they must get.
    """

    version: str
    features_version: int
    spec: Spec
    bias: tuple[float, ...]
    thresholds: HeadThresholds
    digests: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    histogram: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def to_json(self) -> str:
        """The manifest as JSON with sorted keys: equal manifests are equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest that `to_json` wrote. Raises RegistryError for anything else."""
        try:
            body = json.loads(text)
            spec = body.pop("spec")
            return cls(
                spec=Spec(
                    bits=spec["bits"],
                    typed=_lengths(spec["typed"]),
                    folded=_lengths(spec["folded"]),
                    shares=spec["shares"],
                ),
                bias=tuple(body.pop("bias")),
                thresholds=HeadThresholds(
                    **{h: Thresholds(**at) for h, at in body.pop("thresholds").items()}
                ),
                data=tuple(body.pop("data")),
                probes=tuple((text, tuple(odds)) for text, odds in body.pop("probes")),
                **body,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise RegistryError(f"the manifest cannot be read: {type(problem).__name__}") from None


def _lengths(body: Mapping[str, list[int]]) -> Lengths:
    return Lengths(chars=tuple(body["chars"]), words=tuple(body["words"]))


@dataclass(frozen=True, slots=True)
class Registry:
    """A directory of model versions."""

    root: Path

    def versions(self) -> list[str]:
        """The names of all versions, in order of their directories' names."""
        folder = self.root / "versions"
        return (
            sorted(p.name for p in folder.iterdir() if (p / _MANIFEST).is_file())
            if (folder.is_dir())
            else []
        )

    def names(self) -> dict[str, str]:
        """Which version each name points to."""
        path = self.root / "names.json"
        if not path.is_file():
            return {}
        try:
            names = json.loads(path.read_text("utf-8"))
        except ValueError:
            raise RegistryError(f"{path.name} is not JSON") from None
        return {str(k): str(v) for k, v in names.items()}

    def resolve(self, name: str) -> str:
        """The version behind a name, or the version of that name. Raises RegistryError."""
        version = self.names().get(name, name)
        if version not in self.versions():
            known = ", ".join([*sorted(self.names()), *self.versions()]) or "none"
            raise RegistryError(f"no model {name!r} in this registry; there are: {known}")
        return version

    def manifest(self, name: str) -> Manifest:
        """The manifest of a version or name. Raises RegistryError."""
        version = self.resolve(name)
        manifest = Manifest.from_json(self._file(version, _MANIFEST).read_text("utf-8"))
        if manifest.version != version:
            raise RegistryError(f"version {version} calls itself {manifest.version}")
        return manifest

    def load(self, name: str = CHAMPION) -> Classifier:
        """A version, checked, its table memory-mapped. Raises RegistryError."""
        manifest = self.manifest(name)
        if manifest.features_version != FEATURES_VERSION:
            raise RegistryError(
                f"version {manifest.version} was fitted to features {manifest.features_version}; "
                f"this program makes features {FEATURES_VERSION}: train again"
            )
        for file, digest in manifest.digests.items():
            if _digest(self._file(manifest.version, file)) != digest:
                raise RegistryError(f"version {manifest.version}: {file} is not what was written")
        classifier = Classifier(
            version=manifest.version,
            spec=manifest.spec,
            table=self._table(manifest),
            bias=np.array(manifest.bias, np.float64),
            thresholds=manifest.thresholds,
        )
        for text, expected in manifest.probes:
            got = classifier.log_odds(Texts(text))
            if not np.allclose(got, expected, rtol=0, atol=PROBE_TOLERANCE):
                raise RegistryError(f"version {manifest.version} does not score as it was fitted")
        return classifier

    def add(
        self,
        manifest: Manifest,
        table: NDArray[np.float32],
        *,
        extra: Mapping[str, str] = _NOTHING,
    ) -> str:
        """Write a version, whole or not at all, and give its name.

        The version's name and digests are made here from what is written. `extra` are texts
        to lie beside it by file name, such as a card. A version that is there already stays
        as it is. Raises ValueError for a name that is taken or no plain file's.
        """
        for file in extra:
            if file in (_MANIFEST, _TABLE, "") or file[0] == "." or file != Path(file).name:
                raise ValueError("extra files need plain names of their own")
        (self.root / "versions").mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
        try:
            np.save(building / _TABLE, np.ascontiguousarray(table, np.float32), allow_pickle=False)
            for file, text in extra.items():
                (building / file).write_text(text, "utf-8")
            digests = {file: _digest(building / file) for file in (_TABLE, *extra)}
            digest = digests[_TABLE]
            identity = [digest, manifest.spec, manifest.bias, manifest.thresholds, FEATURES_VERSION]
            version = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
            body = asdict(manifest) | {"version": version, "digests": digests}
            written = Manifest.from_json(json.dumps(body))
            (building / _MANIFEST).write_text(written.to_json(), "utf-8")
            _sync_tree(building)
            target = self.root / "versions" / version
            if not (target / _MANIFEST).is_file():
                os.chmod(building, 0o755)
                os.rename(building, target)
                _sync(target.parent)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return version

    def move(self, name: str, to: str, *, who: str, why: str, at: datetime) -> None:
        """Point a name at a version that loads. Raises RegistryError and moves nothing else."""
        version = self.load(to).version
        names = self.names()
        move = {
            "at": at.isoformat(),
            "name": name,
            "from": names.get(name),
            "to": version,
            "who": who,
            "why": why,
        }
        _replace(self.root / "names.json", json.dumps(names | {name: version}, indent=1) + "\n")
        with (self.root / "moves.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(move, ensure_ascii=False) + "\n")

    def moves(self) -> list[dict[str, Any]]:
        """Every move of a name, oldest first."""
        path = self.root / "moves.jsonl"
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def roll_back(self, *, who: str, why: str, at: datetime) -> str:
        """Point `champion` at the version it had before, and give that version.

        Raises RegistryError when it never had another.
        """
        current = self.names().get(CHAMPION)
        undone = 0
        for move in reversed([m for m in self.moves() if m["name"] == CHAMPION]):
            # A roll-back undoes one earlier move, so two in a row go back two steps.
            if move["why"].startswith(_ROLL_BACK):
                undone += 1
            elif undone:
                undone -= 1
            elif move["from"] and move["to"] == current:
                self.move(CHAMPION, move["from"], who=who, why=f"{_ROLL_BACK}: {why}", at=at)
                return str(move["from"])
        raise RegistryError("the champion never was another version; nothing to roll back to")

    def _file(self, version: str, file: str) -> Path:
        path = self.root / "versions" / version / file
        if not path.is_file():
            raise RegistryError(f"version {version} has no {file}")
        return path

    def _table(self, manifest: Manifest) -> NDArray[np.float32]:
        try:
            table = np.load(self._file(manifest.version, _TABLE), mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError):
            raise RegistryError(f"version {manifest.version}: {_TABLE} cannot be read") from None
        if table.shape != (2**manifest.spec.bits, len(HEADS)) or table.dtype != np.float32:
            raise RegistryError(f"version {manifest.version}: {_TABLE} has the wrong shape")
        return np.asarray(table)


_ROLL_BACK = "roll back"


def registry_at(root: Path) -> Registry:
    """The registry in a directory; an empty one begins with the shipped champion.

    The copy is complete or absent, whenever the process ends, and two that start at once
    make the same.
    """
    registry = Registry(root)
    if registry.names():
        return registry
    shipped = Registry(SHIPPED)
    version = shipped.resolve(CHAMPION)
    root.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        shutil.copytree(SHIPPED / "versions" / version, copy, dirs_exist_ok=True)
        (root / "versions").mkdir(exist_ok=True)
        if not (root / "versions" / version).exists():
            os.chmod(copy, 0o755)
            os.rename(copy, root / "versions" / version)
    except OSError:
        if not (root / "versions" / version / _MANIFEST).is_file():
            raise
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    if not registry.names():
        _replace(root / "names.json", json.dumps({CHAMPION: version}, indent=1) + "\n")
    return registry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, also after a power cut."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(name, 0o644)
    os.replace(name, path)
    _sync(path.parent)


def _sync_tree(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
