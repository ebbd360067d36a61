"""The work directory of a training: what is finished is kept there under the name of what it is of.

Every file is named by a digest of all that it depends on, so that one is never taken for another:
after a changed row, recipe or program the name is another. Files appear whole or not at all. They
hold comments as the input had them, so only their owner may read them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

LENGTH = 32


def name_of(*parts: object) -> str:
    """A name for what depends on some parts, each plain JSON."""
    told = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()[:LENGTH]


class Damaged(Exception):
    """A file of the work directory is not as it was written. The message says which."""


@dataclass(frozen=True, slots=True)
class Work:
    """A directory that the training, and every worker of it, reads and writes."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "Work":
        """The directory, made if need be. Raises OSError."""
        for part in ("rows", "looks", "shards", "taught", "fits"):
            (root / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(root)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from training here meanwhile. Raises BlockingIOError where one does."""
        with (self.root / "lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def belonged_to_another(self, name: str) -> bool:
        """Whether what is here is of a training of another name; from now on it is of this one.

        Then its fits are taken away, which serve no other; and what a killed one was writing is,
        in any case.
        """
        of = self.root / "training"
        before = of.read_text("ascii") if of.exists() else None
        for path in (self.root / "fits").iterdir():
            if before != name or path.name.startswith("."):
                path.unlink(missing_ok=True)
        of.write_text(name, "ascii")
        return before not in (None, name)

    def path(self, kind: str, name: str) -> Path:
        """Where something lies, or will."""
        return self.root / kind / name

    def has(self, kind: str, name: str) -> bool:
        """Whether it is finished."""
        return self.path(kind, name).exists()

    def write(self, kind: str, name: str, content: bytes) -> None:
        """Put bytes there."""
        with self._placing(self.path(kind, name)) as building:
            building.write_bytes(content)

    def write_rows(self, name: str, lines: bytes) -> None:
        """Put lines there, packed."""
        self.write("rows", name, zlib.compress(lines, 1))

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects of the lines that were put there."""
        for line in zlib.decompress(self.path("rows", name).read_bytes()).splitlines():
            yield json.loads(line)

    def save(self, kind: str, name: str, **arrays: NDArray[Any] | np.generic) -> None:
        """Put arrays there."""
        with self._placing(self.path(kind, name)) as building, building.open("wb") as stream:
            np.savez(
                stream,
                allow_pickle=False,
                **{name: np.asarray(one) for name, one in arrays.items()},
            )

    def save_record(self, kind: str, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put arrays there as one record, at most 2 GiB: what is read again and again.

        Reading an archive of arrays costs several times as much.
        """
        fields = [(field, one.dtype, one.shape) for field, one in arrays.items()]
        record = np.zeros((), np.dtype(fields, align=True))
        for field, one in arrays.items():
            record[field] = one
        # Through memory: to a file NumPy writes past Python, and does not tell that a disk is full.
        content = BytesIO()
        np.save(content, record, allow_pickle=False)
        self.write(kind, name, content.getvalue())

    def load_record(self, kind: str, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of the record that was put there, views of one array. Raises Damaged."""
        with self.path(kind, name).open("rb") as stream:
            try:
                record = np.load(stream, allow_pickle=False)
            except (ValueError, EOFError):
                raise self.damaged(kind, name) from None
        return {field: record[field] for field in record.dtype.names or ()}

    def damaged(self, kind: str, name: str) -> Damaged:
        """What is said of a file that cannot be used: without it the training makes it anew."""
        return Damaged(f"{self.path(kind, name)} is damaged: delete it and start again")

    def load(self, kind: str, name: str) -> dict[str, NDArray[Any]]:
        """The arrays that were put there. Raises Damaged."""
        try:
            with np.load(self.path(kind, name), allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, EOFError, BadZipFile):
            raise self.damaged(kind, name) from None

    def forget(self, kind: str, name: str) -> None:
        """Take something away, if it is there."""
        self.path(kind, name).unlink(missing_ok=True)

    def keep_only(self, **names: Iterable[str]) -> None:
        """Take all else away of the kinds that are named: of rows, recipes and runs before.

        Whoever holds the directory may call it while nobody writes there.
        """
        for kind, kept in names.items():
            wanted = set(kept)
            for path in (self.root / kind).iterdir():
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def _placing(self, path: Path) -> "_Placing":
        return _Placing(path, path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"))


def remove_if_left(root: Path) -> None:
    """Remove a work directory that a killed training left, and none that somebody trains in.

    Raises OSError where it cannot be removed.
    """
    if root.is_symlink() or not (root / "lock").exists():
        return
    with suppress(BlockingIOError), Work(root).held():
        shutil.rmtree(root)


@dataclass(frozen=True, slots=True)
class _Placing:
    """A file beside the one it becomes once it is whole."""

    path: Path
    building: Path

    def __enter__(self) -> Path:
        os.close(os.open(self.building, os.O_CREAT | os.O_EXCL, 0o600))
        return self.building

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            os.replace(self.building, self.path)
        else:
            self.building.unlink(missing_ok=True)
