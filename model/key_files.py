"""Keys of 256 bits, each a file of its own that its owner alone may read.

Knows how a key lies on a disk, and not what it is for.
"""

import os
import re
import secrets
import stat
from pathlib import Path

from model.durable import sync

KEY_BYTES = 32
_KEY_TEXT = re.compile(rb"duyet-key-1 ([0-9a-f]{64})\n")


class KeyFileError(Exception):
    """The keys cannot be used. The message names the file and what would be right."""


def make_private(directory: Path) -> None:
    """Make a directory for keys if there is none. Raises KeyFileError where others may write."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError as error:
        raise KeyFileError(f"{directory}: {error.strerror}; a directory is needed there") from None
    if mode & 0o022:
        raise KeyFileError(
            f"{directory} may be written by others; make it private: chmod 700 {directory}"
        )


def create_key(path: Path) -> bool:
    """Make a key file unless there is one; whether it was made. Raises KeyFileError.

    The link makes it appear whole or not at all, and fails if another process was first.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_key(draft)
        os.link(draft, path)
        sync(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise KeyFileError(f"{path} cannot be made: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return True


def read_key(path: Path) -> bytes:
    """The key in a file. Raises KeyFileError when it is none, or others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1024)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise KeyFileError(f"{path} may be read by others; make it private: chmod 600 {path}")
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        raise KeyFileError(f"{path} is not a key; restore it from a backup")
    return bytes.fromhex(match[1].decode())


def _write_key(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(b"duyet-key-1 %s\n" % secrets.token_hex(KEY_BYTES).encode())
        file.flush()
        os.fsync(file.fileno())
