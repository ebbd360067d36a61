"""The versions of a registry: directories that never change, each checked before it is used.

    VERSION/manifest.json   what it is: digests, recipe, evaluation, promise, probes
    VERSION/table.npy       the weights, plain numbers
    VERSION/signature.json  who vouches for the manifest, and so for all it lists

Nothing here is ever unpickled, and no file that the manifest does not list is opened. Knows no
names.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS, Classifier
from model.durable import digest_of, object_in, read_at_most, sync, sync_folder, write_whole
from model.features import FEATURES_VERSION, Texts
from model.guard import Guard
from model.manifest import MANIFEST, Manifest, manifest_digest, version_name
from model.refusals import Refusal, RegistryError
from model.signing import Kind, Signature

TABLE = "table.npy"
SIGNATURE = "signature.json"
PROBE_TOLERANCE = 1e-6
_MOST_HEADER = 4096
_MOST_MANIFEST = 2**26
_MOST_EXTRA = 2**26
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Versions:
    """The directory of versions. Without a guard it believes what agrees with its digests."""

    folder: Path
    guard: Guard | None = None

    def all(self) -> list[str]:
        """The names of all versions, in order of their directories' names."""
        if not self.folder.is_dir():
            return []
        return sorted(p.name for p in self.folder.iterdir() if (p / MANIFEST).is_file())

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version, believed by the guard. Raises RegistryError."""
        written = self._written(version)
        if self.guard is not None:  # before it is understood, or even read as JSON
            self._check_signature(self.guard, version, written)
        return _manifest_in(written, version)

    def load(self, version: str) -> Classifier:
        """A version, checked, its table in memory. Raises RegistryError."""
        manifest = self.manifest(version)
        if manifest.features_version != FEATURES_VERSION:
            raise RegistryError(
                f"version {version} was fitted to features {manifest.features_version}; "
                f"this program makes features {FEATURES_VERSION}: train again",
                Refusal.UNFIT,
            )
        classifier = Classifier(
            version=version,
            spec=manifest.spec,
            table=self._table(manifest),
            bias=np.array(manifest.bias, np.float64),
            promise=manifest.promise,
            learnt_until=manifest.learnt_until,
        )
        for text, expected in manifest.probes:
            got = classifier.log_odds([Texts(text)])[0]
            if not np.allclose(got, expected, rtol=0, atol=PROBE_TOLERANCE):
                raise RegistryError(
                    f"version {version} does not score as it was fitted", Refusal.UNFIT
                )
        return classifier

    def is_right(self, version: str) -> bool:
        """Whether a version is there, believed, and every file of it as it was written."""
        try:
            self._table(self.manifest(version))
        except RegistryError:
            return False
        return True

    def build(
        self,
        building: Path,
        manifest: Manifest,
        table: NDArray[np.float32],
        extra: Mapping[str, str] = _NOTHING,
    ) -> str:
        """Write the files of a version to a folder to be placed; its name.

        Raises ValueError for a file name that is taken or no plain one, and for a table that is
        not of the shape its spec asks for.
        """
        if table.shape != (2**manifest.spec.bits, len(HEADS)):
            raise ValueError("the table is not of the shape that its spec asks for")
        for file in extra:
            taken = (MANIFEST, TABLE, SIGNATURE, "")
            if file in taken or file[0] == "." or file != Path(file).name:
                raise ValueError("extra files need plain names of their own")
        np.save(building / TABLE, np.ascontiguousarray(table, np.float32), allow_pickle=False)
        for file, text in extra.items():
            (building / file).write_text(text, "utf-8")
        digests = {file: digest_of(building / file) for file in (TABLE, *extra)}
        version = version_name(manifest, digests[TABLE])
        named = replace(manifest, version=version, digests=digests)
        own = {MANIFEST: manifest_digest(named.to_json())}
        whole = replace(named, digests=digests | own)
        (building / MANIFEST).write_text(whole.to_json(), "utf-8")
        return version

    def place(self, building: Path, version: str) -> None:
        """Make what was built a version, in one step, unless it is there already and believed."""
        target = self.folder / version
        if (target / MANIFEST).is_file() and (self.guard is None or self.is_right(version)):
            return
        if self.guard is not None:
            signed = self._signed(self.guard, version, (building / MANIFEST).read_bytes())
            (building / SIGNATURE).write_text(signed, "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        sync_folder(building)
        os.chmod(building, 0o755)
        os.rename(building, target)
        sync(target.parent)
        sync(target.parent.parent)

    def vouch(self, version: str) -> None:
        """Sign a version as it lies here. Raises RegistryError where its digests disagree."""
        if version not in self.all():
            raise RegistryError(f"no version {version!r} in this registry", Refusal.ABSENT)
        if self.guard is None:
            raise RegistryError("there is no key here to sign with", Refusal.UNSIGNED)
        written = self._written(version)
        self._table(_manifest_in(written, version))
        signed = self._signed(self.guard, version, written)
        write_whole(self.folder / version / SIGNATURE, signed)

    def file(self, version: str, file: str) -> Path:
        """Where a file of a version lies. Raises RegistryError when it does not."""
        path = self.folder / version / file
        if not path.is_file():
            raise RegistryError(f"version {version} has no {file}", Refusal.ABSENT)
        return path

    def _written(self, version: str) -> bytes:
        return read_at_most(self.file(version, MANIFEST), _MOST_MANIFEST)

    def _table(self, manifest: Manifest) -> NDArray[np.float32]:
        """The table, after all files of the version were found to be what was written."""
        version = manifest.version
        for file in manifest.digests.keys() - {MANIFEST, TABLE}:
            body = read_at_most(self.file(version, file), _MOST_EXTRA)
            if hashlib.sha256(body).hexdigest() != manifest.digests[file]:
                raise _not_as_written(version, file)
        # Read once: what is used is what was looked at, whoever writes meanwhile. And not
        # mapped: a table that is cut short in place would end the process (SIGBUS).
        shape = (2**manifest.spec.bits, len(HEADS))
        most = shape[0] * shape[1] * np.dtype(np.float32).itemsize + _MOST_HEADER
        body = read_at_most(self.file(version, TABLE), most)
        if hashlib.sha256(body).hexdigest() != manifest.digests.get(TABLE):
            raise _not_as_written(version, TABLE)
        return _table_in(body, shape, version)

    def _check_signature(self, guard: Guard, version: str, written: bytes) -> None:
        digest = hashlib.sha256(written).hexdigest()
        if guard.released.get(version) == digest:
            return
        body = _signed_body(version, digest)
        signature = Signature.from_body(object_in(self.folder / version / SIGNATURE))
        guard.check(f"version {version}", Kind.VERSION, body, signature)

    def _signed(self, guard: Guard, version: str, written: bytes) -> str:
        body = _signed_body(version, hashlib.sha256(written).hexdigest())
        return json.dumps(guard.signature(Kind.VERSION, body).body(), indent=1) + "\n"


def _manifest_in(written: bytes, version: str) -> Manifest:
    """A manifest that agrees with itself. Raises RegistryError."""
    text = written.decode("utf-8", "replace")
    manifest = Manifest.from_json(text)
    if manifest.version != version:
        raise RegistryError(f"version {version} calls itself by another name", Refusal.CHANGED)
    if manifest.digests.get(MANIFEST) != manifest_digest(text):
        raise _not_as_written(version, MANIFEST)
    return manifest


def _signed_body(version: str, digest: str) -> dict[str, str]:
    """What is signed of a version: its manifest, which has the digests of all its files."""
    return {"version": version, "manifest": digest}


def _not_as_written(version: str, file: str) -> RegistryError:
    return RegistryError(f"version {version}: {file} is not what was written", Refusal.CHANGED)


def _table_in(body: bytes, shape: tuple[int, int], version: str) -> NDArray[np.float32]:
    try:
        # Not np.load, which opens archives as well, and pickles if it is let.
        table = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise RegistryError(f"version {version}: {TABLE} cannot be read") from None
    if table.shape != shape or table.dtype != np.float32:
        raise RegistryError(f"version {version}: {TABLE} has the wrong shape")
    table.flags.writeable = False
    return table
