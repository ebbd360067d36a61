"""Where model versions live: a directory of immutable versions and names that move.

    versions/VERSION/manifest.json   what it is: digests, recipe, evaluation, promise, probes
    versions/VERSION/table.npy       the weights, plain numbers
    versions/VERSION/signature.json  who vouches for the manifest, and so for all it lists
    names.json                       where `champion` and `challenger` point, and who says so
    moves.jsonl                      each move of a name: when, from, to, who, why
    reports/VERSION/CHAMPION/        what VERSION does otherwise than CHAMPION: comparison.json
                                     and its pages; written again when either is measured anew

Nothing here is ever unpickled. A version is loaded only if its digests, its feature version
and the scores of its probe texts are right. With a guard, only what is signed by somebody whom
that trusts is believed, and nothing older than what was seen. Writers wait for each other,
readers for nobody.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from model.durable import DRAFT, digest_of, sync, sync_folder, write_whole
from model.features import FEATURES_VERSION, Spec, Texts
from model.guard import Guard, digest_of_state
from model.moves import Standing, chained, in_force, line_of, lines_in, move_of, standing_of
from model.promise import Promise
from model.refusals import Refusal
from model.refusals import RegistryError as RegistryError  # noqa: PLC0414  named from here
from model.signing import Kind, Signature

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
_SIGNATURE = "signature.json"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_MOST_HEADER = 4096
_MOST_SIGNATURE = 64 * 1024
_MOST_NAMES = 2**20
_MOST_MANIFEST, _MOST_MOVES, _MOST_REPORT = 2**26, 2**26, 2**26
"""Bytes that a file may have, so that nobody's gift fills the memory."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    """A directory of model versions.

    Without a `guard` it holds for true what its digests agree with: enough for files that
    nobody else may write. With one, what is read must be signed, and what is written is.
    """

    root: Path
    guard: Guard | None = None

    # -------------------------------------------------------------- reading

    def versions(self) -> list[str]:
        """The names of all versions, in order of their directories' names."""
        folder = self.root / "versions"
        return (
            sorted(p.name for p in folder.iterdir() if (p / _MANIFEST).is_file())
            if (folder.is_dir())
            else []
        )

    def names(self) -> dict[str, str]:
        """Which version each name points to. Raises RegistryError."""
        return dict(self._standing().names)

    def resolve(self, name: str) -> str:
        """The version behind a name, or the version of that name. Raises RegistryError."""
        names, versions = self.names(), self.versions()
        version = names.get(name, name)
        if version not in versions:
            known = ", ".join([*sorted(names), *versions]) or "none"
            raise RegistryError(
                f"no model {name!r} in this registry; there are: {known}", Refusal.ABSENT
            )
        return version

    def manifest(self, name: str) -> Manifest:
        """The manifest of a version or name. Raises RegistryError."""
        version = self.resolve(name)
        if self.guard is not None:
            self._check_signature(self.guard, version)
        return self._manifest(version)

    def load(self, name: str = CHAMPION) -> Classifier:
        """A version, checked, its table in memory. Raises RegistryError."""
        manifest = self.manifest(name)
        if manifest.features_version != FEATURES_VERSION:
            raise RegistryError(
                f"version {manifest.version} was fitted to features {manifest.features_version}; "
                f"this program makes features {FEATURES_VERSION}: train again",
                Refusal.UNFIT,
            )
        table = self._checked_table(manifest)
        classifier = Classifier(
            version=manifest.version,
            spec=manifest.spec,
            table=table,
            bias=np.array(manifest.bias, np.float64),
            promise=manifest.promise,
        )
        for text, expected in manifest.probes:
            got = classifier.log_odds([Texts(text)])[0]
            if not np.allclose(got, expected, rtol=0, atol=PROBE_TOLERANCE):
                raise RegistryError(
                    f"version {manifest.version} does not score as it was fitted", Refusal.UNFIT
                )
        return classifier

    def moves(self) -> list[dict[str, Any]]:
        """Every move of a name, oldest first. What a power cut left of a line is left out.

        Raises RegistryError where they are not what was written.
        """
        return [move_of(line) for line in self._lines(self._standing())]

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
        """The page of that comparison in a language, None where there is none.

        Raises RegistryError where it is not what was written.
        """
        return self._report_file(challenger, champion, f"report.{language}.html")

    # -------------------------------------------------------------- writing

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
        as it is, unless the guard refuses that one. Raises ValueError for a name that is taken
        or no plain file's, and for a table that is not of the shape its spec asks for.
        """
        if table.shape != (2**manifest.spec.bits, len(HEADS)):
            raise ValueError("the table is not of the shape that its spec asks for")
        for file in extra:
            taken = (_MANIFEST, _TABLE, _SIGNATURE, "")
            if file in taken or file[0] == "." or file != Path(file).name:
                raise ValueError("extra files need plain names of their own")
        with self._writing() as building:
            np.save(building / _TABLE, np.ascontiguousarray(table, np.float32), allow_pickle=False)
            for file, text in extra.items():
                (building / file).write_text(text, "utf-8")
            digests = {file: digest_of(building / file) for file in (_TABLE, *extra)}
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
        texts = {**pages, _COMPARISON: comparison.to_json()}
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            for file, text in texts.items():
                write_whole(folder / file, text)
            if self.guard is not None:
                digests = {f: hashlib.sha256(t.encode()).hexdigest() for f, t in texts.items()}
                body = _report_body(comparison.challenger, comparison.champion, digests)
                signature = self.guard.signature(Kind.REPORT, body)
                told = {"files": digests} | signature.body()
                write_whole(folder / _SIGNATURE, json.dumps(told, indent=1) + "\n")
        return folder

    def move(
        self,
        name: str,
        to: str,
        *,
        who: str,
        why: str,
        at: datetime,
        overrode: Sequence[str] = (),
    ) -> None:
        """Point a name at a version that loads.

        `overrode` are the reasons against it that somebody went past. Raises RegistryError,
        and moves nothing, when it does not load, or when the name is not one: a word in lower
        case that no version is called.
        """
        self.resolve(to)  # before anything is made in a directory that may be a slip
        with self._writing():
            said = {"who": who, "why": why, "at": at.isoformat(), "overrode": list(overrode)}
            self._move(name, to, said)

    def roll_back(self, *, who: str, why: str, at: datetime) -> str:
        """Point `champion` at the version it had before, and give that version.

        Raises RegistryError when it never had another.
        """
        self.resolve(CHAMPION)
        with self._writing():
            line = line_of(CHAMPION, self.moves(), self.names()[CHAMPION])
            if len(line) < 2:
                raise RegistryError(
                    "no champion came before this one; nothing to roll back to", Refusal.ABSENT
                )
            said = {"who": who, "why": why, "at": at.isoformat(), "is_roll_back": True}
            self._move(CHAMPION, line[-2], said)
            return line[-2]

    def sign(
        self, versions: Collection[str], *, who: str, why: str, at: datetime
    ) -> tuple[str, ...]:
        """Vouch for versions as they lie here and for where names point; the names let go.

        For an operator who knows that they are right: whatever signed them before, or brought
        them back, is passed over from now on. Versions must agree with their digests. A name
        whose version would not load then is dropped. Raises RegistryError.
        """
        if self.guard is None:
            raise RegistryError("there is no key here to sign with", Refusal.UNSIGNED)
        with self._writing():
            for version in versions:
                self._vouch(self.guard, version)
            before = self._written()[0]
            lines = self._all_lines()
            kept = {name: to for name, to in before.names.items() if self._is_usable(to)}
            for name in sorted(kept):
                move = {"name": name, "from": kept[name], "to": kept[name], "who": who}
                lines.append(json.dumps({"at": at.isoformat(), "why": why} | move).encode())
            self._stand(replace(before, names=kept), lines)
            return tuple(sorted(before.names.keys() - kept))

    # -------------------------------------------------------------- names and moves

    def _standing(self) -> Standing:
        """Where names point, believed by the guard. Raises RegistryError."""
        standing, signature = self._written()
        if self.guard is None:
            return standing
        if signature is None and not standing.names:
            if self.guard.last_seen is not None and self.guard.last_seen.newest() is not None:
                raise RegistryError(
                    f"{_NAMES} is gone; restore it, or `duyet models sign` begins anew",
                    Refusal.ROLLED_BACK,
                )
            return standing
        self.guard.check(_NAMES, Kind.NAMES, standing.body(), signature)
        if self.guard.last_seen is not None:
            digest = digest_of_state(standing.body())
            self.guard.last_seen.check(standing.count, digest)
            self.guard.last_seen.note(standing.count, digest)
        return standing

    def _written(self) -> tuple[Standing, Signature | None]:
        path = self.root / _NAMES
        if not path.is_file():
            return Standing({}), None
        return standing_of(_read(path, _MOST_NAMES).decode("utf-8", "replace"))

    def _lines(self, standing: Standing) -> list[bytes]:
        """The lines of the moves that led to where names point. Raises RegistryError."""
        lines = self._all_lines()
        if self.guard is None and not standing.head:
            return lines
        found = in_force(lines, standing.head)
        if found is None:
            raise RegistryError(
                f"{_MOVES} is not what was written; restore it, or `duyet models sign` accepts it",
                Refusal.CHANGED,
            )
        return list(found)

    def _all_lines(self) -> list[bytes]:
        path = self.root / _MOVES
        return lines_in(_read(path, _MOST_MOVES)) if path.is_file() else []

    def _move(self, name: str, to: str, said: Mapping[str, Any]) -> None:
        standing = self._standing()
        if not _NAME.fullmatch(name) or name in self.versions():
            raise RegistryError("a name is a word in lower case that no version is called")
        version = self.load(to).version
        move = {"name": name, "from": standing.names.get(name), "to": version, **said}
        lines = [*self._lines(standing), json.dumps(move).encode()]
        self._stand(replace(standing, names={**standing.names, name: version}), lines)

    def _stand(self, standing: Standing, lines: Sequence[bytes]) -> None:
        """Write down the moves and, with them in force, where names point."""
        if self.guard is None and standing.head:
            raise RegistryError(
                "this registry is signed, and there is no key here to sign with",
                Refusal.UNSIGNED,
            )
        # Written down first: a move that is in force but was never noted could not be undone,
        # one that was noted and cut short is seen by where the next one starts.
        write_whole(self.root / _MOVES, b"".join(line + b"\n" for line in lines).decode())
        if self.guard is None:
            write_whole(self.root / _NAMES, standing.unsigned())
            return
        seen = self.guard.last_seen.newest() if self.guard.last_seen is not None else None
        count = max(standing.count, seen[0] if seen is not None else 0) + 1
        standing = Standing(standing.names, count, chained(lines))
        signature = self.guard.signature(Kind.NAMES, standing.body())
        write_whole(self.root / _NAMES, standing.signed(signature))
        if self.guard.last_seen is not None:
            self.guard.last_seen.note(count, digest_of_state(standing.body()))

    # -------------------------------------------------------------- versions

    def _manifest(self, version: str) -> Manifest:
        """A manifest that agrees with itself. Raises RegistryError."""
        written = _read(self._file(version, _MANIFEST), _MOST_MANIFEST).decode("utf-8", "replace")
        manifest = Manifest.from_json(written)
        if manifest.version != version:
            raise RegistryError(f"version {version} calls itself by another name", Refusal.CHANGED)
        if manifest.digests.get(_MANIFEST) != _manifest_digest(written):
            raise RegistryError(
                f"version {version}: {_MANIFEST} is not what was written", Refusal.CHANGED
            )
        return manifest

    def _checked_table(self, manifest: Manifest) -> NDArray[np.float32]:
        """The table, after all files of the version were found to be what was written."""
        others = manifest.digests.keys() - {_MANIFEST, _TABLE}
        for file in others:
            if digest_of(self._file(manifest.version, file)) != manifest.digests[file]:
                raise _not_as_written(manifest.version, file)
        # Read once: what is used is what was looked at, whoever writes meanwhile. And not
        # mapped: a table that is cut short in place would end the process (SIGBUS).
        shape = (2**manifest.spec.bits, len(HEADS))
        most = shape[0] * shape[1] * np.dtype(np.float32).itemsize + _MOST_HEADER
        body = _read(self._file(manifest.version, _TABLE), most)
        if hashlib.sha256(body).hexdigest() != manifest.digests.get(_TABLE):
            raise _not_as_written(manifest.version, _TABLE)
        return _table_in(body, shape, manifest.version)

    def _check_signature(self, guard: Guard, version: str) -> None:
        # Before the manifest is understood, or even read as JSON.
        digest = digest_of(self._file(version, _MANIFEST))
        if guard.released.get(version) == digest:
            return
        path = self.root / "versions" / version / _SIGNATURE
        signature = Signature.from_body(_json_in(path)) if path.is_file() else None
        guard.check(f"version {version}", Kind.VERSION, _version_body(version, digest), signature)

    def _vouch(self, guard: Guard, version: str) -> None:
        """Sign a version as it lies here. Raises RegistryError."""
        if version not in self.versions():
            raise RegistryError(f"no version {version!r} in this registry", Refusal.ABSENT)
        self._checked_table(self._manifest(version))
        folder = self.root / "versions" / version
        body = _version_body(version, digest_of(folder / _MANIFEST))
        text = json.dumps(guard.signature(Kind.VERSION, body).body(), indent=1) + "\n"
        write_whole(folder / _SIGNATURE, text)

    def _is_usable(self, version: str) -> bool:
        try:
            if self.guard is not None and version in self.versions():
                self._check_signature(self.guard, version)
            self._checked_table(self._manifest(version))
        except RegistryError:
            return False
        return True

    def _place(self, building: Path, version: str) -> None:
        """Make what was built a version, in one step, unless it is there already."""
        target = self.root / "versions" / version
        if (target / _MANIFEST).is_file() and (self.guard is None or self._is_usable(version)):
            return
        if self.guard is not None:
            body = _version_body(version, digest_of(building / _MANIFEST))
            text = json.dumps(self.guard.signature(Kind.VERSION, body).body(), indent=1) + "\n"
            (building / _SIGNATURE).write_text(text, "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        sync_folder(building)
        os.chmod(building, 0o755)
        os.rename(building, target)
        sync(target.parent)
        sync(self.root)

    def _file(self, version: str, file: str) -> Path:
        path = self.root / "versions" / version / file
        if not path.is_file():
            raise RegistryError(f"version {version} has no {file}", Refusal.ABSENT)
        return path

    # -------------------------------------------------------------- reports

    def _reports(self, challenger: str, champion: str) -> Path:
        return self.root / "reports" / self.resolve(challenger) / self.resolve(champion)

    def _report_file(self, challenger: str, champion: str, file: str) -> str | None:
        folder = self._reports(challenger, champion)
        if not (folder / file).is_file():
            return None
        try:
            return self._believed(folder, file)
        except RegistryError:
            # Perhaps it is being written at this moment.
            with self._alone():
                return self._believed(folder, file)

    def _believed(self, folder: Path, file: str) -> str:
        body = _read(folder / file, _MOST_REPORT)
        if self.guard is not None:
            path = folder / _SIGNATURE
            told = _json_in(path) if path.is_file() else {}
            files = told.get("files")
            digests = files if isinstance(files, dict) else {}
            challenger, champion = folder.parent.name, folder.name
            signed = _report_body(challenger, champion, digests)
            what = f"the report on {challenger}"
            self.guard.check(what, Kind.REPORT, signed, Signature.from_body(told))
            if digests.get(file) != hashlib.sha256(body).hexdigest():
                raise RegistryError(f"{what}: {file} is not what was written", Refusal.CHANGED)
        return body.decode("utf-8", "replace")

    # -------------------------------------------------------------- one writer at a time

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """A folder to build in, while every other writer waits.

        What writers left that were killed is cleared away: none can be at work now.
        """
        (self.root / "versions").mkdir(parents=True, exist_ok=True)
        with self._alone():
            for left in self.root.glob(f"{DRAFT}*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            building = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.root))
            try:
                yield building
            finally:
                shutil.rmtree(building, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def registry_at(root: Path, guard: Guard | None = None) -> Registry:
    """The registry in a directory; an empty one begins with the shipped champion.

    The copy is complete or absent, whenever the process ends, and two that start at once
    make the same. Raises RegistryError, also where the guard has seen names that are gone.
    """
    registry = Registry(root, guard)
    if registry.names():
        return registry
    shipped = Registry(SHIPPED)
    version = shipped.resolve(CHAMPION)
    with registry._writing() as copy:
        if not registry.names():  # another process may have been first
            shutil.copytree(SHIPPED / "versions" / version, copy, dirs_exist_ok=True)
            registry._place(copy, version)
            registry._stand(Standing({CHAMPION: version}), [])
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


def _version_body(version: str, manifest_digest: str) -> dict[str, str]:
    """What is signed of a version: its manifest, which has the digests of all its files."""
    return {"version": version, "manifest": manifest_digest}


def _report_body(challenger: str, champion: str, digests: Mapping[str, str]) -> dict[str, Any]:
    return {"challenger": challenger, "champion": champion, "files": dict(digests)}


def _not_as_written(version: str, file: str) -> RegistryError:
    return RegistryError(f"version {version}: {file} is not what was written", Refusal.CHANGED)


def _table_in(body: bytes, shape: tuple[int, int], version: str) -> NDArray[np.float32]:
    try:
        # Not np.load, which opens archives as well, and pickles if it is let.
        table = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise RegistryError(f"version {version}: {_TABLE} cannot be read") from None
    if table.shape != shape or table.dtype != np.float32:
        raise RegistryError(f"version {version}: {_TABLE} has the wrong shape")
    table.flags.writeable = False
    return table


def _json_in(path: Path) -> dict[str, Any]:
    """A JSON object in a small file; {} for anything else."""
    try:
        body = json.loads(_read(path, _MOST_SIGNATURE))
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _read(path: Path, most: int) -> bytes:
    """A file that is not longer than it can be. Raises RegistryError."""
    try:
        with path.open("rb") as file:
            body = file.read(most + 1)
    except FileNotFoundError:
        raise RegistryError(f"{path.name} is gone", Refusal.ABSENT) from None
    if len(body) > most:
        raise RegistryError(f"{path.name} is longer than it can be", Refusal.CHANGED)
    return body
