"""Where model versions live: a directory of immutable versions and names that move.

    versions/VERSION/manifest.json   what it is: digests, recipe, evaluation, promise, probes
    versions/VERSION/table.npy       the weights, plain numbers
    names.json                       {"champion": VERSION, "challenger": VERSION}
    moves.jsonl                      each move of a name: when, from, to, who, why
    reports/VERSION/CHAMPION/        what VERSION does otherwise than CHAMPION: comparison.json
                                     and its pages; written again when either is measured anew

Nothing here is ever unpickled. A version is loaded only if its digests, its feature version
and the scores of its probe texts are right. Writers wait for each other, readers for nobody.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS, Classifier
from model.comparison import Comparison, ComparisonError
from model.features import FEATURES_VERSION, Spec, Texts
from model.promise import Promise

CHAMPION = "champion"
CHALLENGER = "challenger"
SHIPPED = Path(__file__).parent / "champion"
"""The registry that comes with the project: one version, which is its champion."""

PROBE_TOLERANCE = 1e-6
_MANIFEST = "manifest.json"
_TABLE = "table.npy"
_NAMES = "names.json"
_MOVES = "moves.jsonl"
_COMPARISON = "comparison.json"
_PAGE = re.compile(r"report\.[a-z]{2}\.html")
_BUILDING = ".new-"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class RegistryError(Exception):
    """A version that is not there or not what its manifest says. The message says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model version is. Everything in it is plain JSON.

    `digests` are SHA-256 of the version's files by name, of the manifest's own file that of
    all it says but this one digest; `data` says which files were read
    (name, rows, digest, licence tier where known); `evaluation` is what was measured on held
    out groups; `probes` are texts of our own with the log-odds they must get.
    """

    version: str
    features_version: int
    spec: Spec
    bias: tuple[float, ...]
    promise: Promise
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
                    chars=tuple(spec["chars"]),
                    words=tuple(spec["words"]),
                    marked=tuple(spec["marked"]),
                    shares=spec["shares"],
                    worst_part=spec["worst_part"],
                ),
                bias=tuple(body.pop("bias")),
                promise=Promise.from_body(body.pop("promise")),
                data=tuple(body.pop("data")),
                probes=tuple((text, tuple(odds)) for text, odds in body.pop("probes")),
                **body,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
            raise RegistryError(f"the manifest cannot be read: {type(problem).__name__}") from None


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
        path = self.root / _NAMES
        if not path.is_file():
            return {}
        try:
            names = json.loads(path.read_text("utf-8"))
            return {str(k): str(v) for k, v in names.items()}
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"{_NAMES} is not a JSON object of names") from None

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
        written = self._file(version, _MANIFEST).read_bytes().decode("utf-8", "replace")
        manifest = Manifest.from_json(written)
        if manifest.version != version:
            raise RegistryError(f"version {version} calls itself by another name")
        if manifest.digests.get(_MANIFEST) != _manifest_digest(written):
            raise RegistryError(f"version {version}: {_MANIFEST} is not what was written")
        return manifest

    def load(self, name: str = CHAMPION) -> Classifier:
        """A version, checked, its table in memory. Raises RegistryError."""
        manifest = self.manifest(name)
        if manifest.features_version != FEATURES_VERSION:
            raise RegistryError(
                f"version {manifest.version} was fitted to features {manifest.features_version}; "
                f"this program makes features {FEATURES_VERSION}: train again"
            )
        files = {file: digest for file, digest in manifest.digests.items() if file != _MANIFEST}
        for file, digest in ({_TABLE: None} | files).items():
            if _digest(self._file(manifest.version, file)) != digest:
                raise RegistryError(f"version {manifest.version}: {file} is not what was written")
        classifier = Classifier(
            version=manifest.version,
            spec=manifest.spec,
            table=self._table(manifest),
            bias=np.array(manifest.bias, np.float64),
            promise=manifest.promise,
        )
        for text, expected in manifest.probes:
            got = classifier.log_odds([Texts(text)])[0]
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
        as it is. Raises ValueError for a name that is taken or no plain file's, and for a
        table that is not of the shape its spec asks for.
        """
        if table.shape != (2**manifest.spec.bits, len(HEADS)):
            raise ValueError("the table is not of the shape that its spec asks for")
        for file in extra:
            if file in (_MANIFEST, _TABLE, "") or file[0] == "." or file != Path(file).name:
                raise ValueError("extra files need plain names of their own")
        with self._writing() as building:
            np.save(building / _TABLE, np.ascontiguousarray(table, np.float32), allow_pickle=False)
            for file, text in extra.items():
                (building / file).write_text(text, "utf-8")
            digests = {file: _digest(building / file) for file in (_TABLE, *extra)}
            version = _version_name(manifest, digests[_TABLE])
            named = replace(manifest, version=version, digests=digests)
            own = {_MANIFEST: _manifest_digest(named.to_json())}
            whole = replace(named, digests=digests | own)
            (building / _MANIFEST).write_text(whole.to_json(), "utf-8")
            self._place(building, version)
        return version

    def add_report(self, comparison: Comparison, pages: Mapping[str, str] = _NOTHING) -> Path:
        """Keep a comparison of two versions of this registry, instead of an earlier one of them.

        `pages` are its pages by file name, `report.LANGUAGE.html`. Gives the folder. Raises
        RegistryError when either version is not here, ValueError for another file name.
        """
        if not all(map(_PAGE.fullmatch, pages)):
            raise ValueError("a page of a report is called report.LANGUAGE.html")
        folder = self._reports(comparison.challenger, comparison.champion)
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            for file, text in (*pages.items(), (_COMPARISON, comparison.to_json())):
                _replace(folder / file, text)
        return folder

    def report(self, challenger: str, champion: str = CHAMPION) -> Comparison | None:
        """How two versions, or those behind two names, compared; None where nobody compared them.

        Raises RegistryError when either is not here or the comparison cannot be read.
        """
        text = self._report_file(challenger, champion, _COMPARISON)
        try:
            found = Comparison.from_json(text) if text is not None else None
        except ComparisonError as problem:
            raise RegistryError(f"version {challenger}: {problem}") from None
        pair = (self.resolve(challenger), self.resolve(champion))
        if found is not None and (found.challenger, found.champion) != pair:
            raise RegistryError(f"version {pair[0]}: its comparison is of other versions")
        return found

    def report_page(
        self, challenger: str, champion: str = CHAMPION, *, language: str = "en"
    ) -> str | None:
        """The page of that comparison in a language, None where there is none."""
        return self._report_file(challenger, champion, f"report.{language}.html")

    def _report_file(self, challenger: str, champion: str, file: str) -> str | None:
        path = self._reports(challenger, champion) / file
        return path.read_text("utf-8", "replace") if path.is_file() else None

    def _reports(self, challenger: str, champion: str) -> Path:
        return self.root / "reports" / self.resolve(challenger) / self.resolve(champion)

    def move(self, name: str, to: str, *, who: str, why: str, at: datetime) -> None:
        """Point a name at a version that loads.

        Raises RegistryError, and moves nothing, when it does not, or when the name is not one:
        a word in lower case that no version is called.
        """
        self.resolve(to)  # before anything is made in a directory that may be a slip
        with self._writing():
            self._move(name, to, who=who, why=why, at=at)

    def moves(self) -> list[dict[str, Any]]:
        """Every move of a name, oldest first. What a power cut left of a line is left out."""
        path = self.root / _MOVES
        if not path.is_file():
            return []
        return [
            move for line in path.read_bytes().split(b"\n") if (move := _move_of(line)) is not None
        ]

    def roll_back(self, *, who: str, why: str, at: datetime) -> str:
        """Point `champion` at the version it had before, and give that version.

        Raises RegistryError when it never had another.
        """
        self.resolve(CHAMPION)
        with self._writing():
            line = _line_of(CHAMPION, self.moves(), self.names()[CHAMPION])
            if len(line) < 2:
                raise RegistryError("no champion came before this one; nothing to roll back to")
            self._move(CHAMPION, line[-2], who=who, why=why, at=at, is_roll_back=True)
            return line[-2]

    def _move(
        self, name: str, to: str, *, who: str, why: str, at: datetime, is_roll_back: bool = False
    ) -> None:
        names = self.names()
        if not _NAME.fullmatch(name) or name in self.versions():
            raise RegistryError("a name is a word in lower case that no version is called")
        version = self.load(to).version
        move = {
            "at": at.isoformat(),
            "name": name,
            "from": names.get(name),
            "to": version,
            "who": who,
            "why": why,
            "is_roll_back": is_roll_back,
        }
        # Written down first: a move that is in force but was never noted could not be undone,
        # one that was noted and cut short is seen by where the next one starts.
        _append(self.root / _MOVES, json.dumps(move))
        _replace(self.root / _NAMES, json.dumps(names | {name: version}, indent=1) + "\n")

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """A folder to build in, while every other writer waits.

        What writers left that were killed is cleared away: none can be at work now.
        """
        (self.root / "versions").mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for left in self.root.glob(f"{_BUILDING}*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self.root))
            try:
                yield building
            finally:
                shutil.rmtree(building, ignore_errors=True)
        finally:
            os.close(handle)

    def _place(self, building: Path, version: str) -> None:
        """Make what was built a version, in one step, unless it is there already."""
        target = self.root / "versions" / version
        if (target / _MANIFEST).is_file():
            return
        shutil.rmtree(target, ignore_errors=True)
        _sync_tree(building)
        os.chmod(building, 0o755)
        os.rename(building, target)
        _sync(target.parent)
        _sync(self.root)

    def _file(self, version: str, file: str) -> Path:
        path = self.root / "versions" / version / file
        if not path.is_file():
            raise RegistryError(f"version {version} has no {file}")
        return path

    def _table(self, manifest: Manifest) -> NDArray[np.float32]:
        try:
            # Not np.load, which opens archives as well, and pickles if it is let.
            table = np.lib.format.open_memmap(self._file(manifest.version, _TABLE), mode="r")
        except (ValueError, OSError):
            raise RegistryError(f"version {manifest.version}: {_TABLE} cannot be read") from None
        if table.shape != (2**manifest.spec.bits, len(HEADS)) or table.dtype != np.float32:
            raise RegistryError(f"version {manifest.version}: {_TABLE} has the wrong shape")
        # Not mapped for good: a table that is cut short in place would end the process (SIGBUS).
        copy = np.array(table)
        copy.flags.writeable = False
        return copy


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
    with registry._writing() as copy:
        if not registry.names():  # another process may have been first
            shutil.copytree(SHIPPED / "versions" / version, copy, dirs_exist_ok=True)
            registry._place(copy, version)
            _replace(root / _NAMES, json.dumps({CHAMPION: version}, indent=1) + "\n")
    return registry


def _version_name(manifest: Manifest, table_digest: str) -> str:
    """A name made from what decides a score and an outcome: equal models have equal names."""
    body = asdict(manifest)
    told = [body[part] for part in ("spec", "bias", "promise", "features_version")]
    return hashlib.sha256(json.dumps([table_digest, told], sort_keys=True).encode()).hexdigest()[
        :12
    ]


def _manifest_digest(text: str) -> str:
    body = json.loads(text)
    body["digests"].pop(_MANIFEST, None)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _line_of(name: str, moves: Sequence[Mapping[str, Any]], current: str) -> list[str]:
    """The versions that a name stood for, in order, less what was rolled back; last `current`."""
    line: list[str] = []
    for move in moves:
        if move["name"] != name:
            continue
        line = _up_to(line, move["from"]) if move["from"] else line
        if move.get("is_roll_back"):
            line = _up_to(line[:-1], move["to"])
        elif move["to"] != move["from"]:
            line.append(move["to"])
    return _up_to(line, current)


def _up_to(line: list[str], version: str) -> list[str]:
    """The line with that version last: moves that were noted but not made are taken back."""
    if version not in line:
        return [*line, version]
    last = max(at for at, known in enumerate(line) if known == version)
    return line[: last + 1]


def _move_of(line: bytes) -> dict[str, Any] | None:
    try:
        move = json.loads(line)
        return move if {"at", "name", "from", "to", "who", "why"} <= move.keys() else None
    except (ValueError, AttributeError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(path: Path, line: str) -> None:
    """Add a line for good; one that a power cut left unfinished is ended first."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, also after a power cut."""
    handle, name = tempfile.mkstemp(prefix=_BUILDING, dir=path.parent)
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
