"""Files that are whole or absent, also after a power cut, and no longer than they can be."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from model.refusals import Refusal, RegistryError

DRAFT = ".new-"
"""How what is being written is called until it is whole; left over only by who was killed."""

_SMALL = 2**16


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new one, also after a power cut.

    Where it cannot be written, as on a full disk, nothing is left of the attempt.
    """
    handle, name = tempfile.mkstemp(prefix=DRAFT, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)  # it is gone where it took its place
    sync(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder and the files in it to the disk."""
    for path in [*folder.iterdir(), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Bring a file or a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_at_most(path: Path, most: int) -> bytes:
    """A file that has no more than so many bytes: nobody's gift fills the memory.

    Raises RegistryError.
    """
    try:
        with path.open("rb") as file:
            body = file.read(most + 1)
    except FileNotFoundError:
        raise RegistryError(f"{path.name} is gone", Refusal.ABSENT) from None
    if len(body) > most:
        raise RegistryError(f"{path.name} is longer than it can be", Refusal.CHANGED)
    return body


def object_in(path: Path) -> dict[str, Any]:
    """The JSON object in a small file; {} where there is none. Raises RegistryError."""
    if not path.is_file():
        return {}
    try:
        body = json.loads(read_at_most(path, _SMALL))
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
