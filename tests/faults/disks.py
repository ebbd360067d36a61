"""Small file systems that a drill may fill, freeze and break: a tmpfs, an ext4 on a loop device."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDS_ROOT = "mounting a small disk takes root; run the drills as root (sudo make drill)"


def _done(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def _mounted(*options: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    with tempfile.TemporaryDirectory(prefix="duyet-disk-") as folder:
        if not _done("mount", *options, folder):
            pytest.skip(f"this machine does not let root mount ({' '.join(options[:2])})")
        try:
            yield Path(folder)
        finally:
            _done("umount", "--lazy", folder)


@contextmanager
def a_tmpfs(megabytes: int) -> Iterator[Path]:
    """A disk in memory of that size."""
    with _mounted("-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs") as folder:
        yield folder


@contextmanager
def an_ext4(megabytes: int) -> Iterator[Path]:
    """An ext4 file system in a file, which an error can make read-only while it is in use."""
    with tempfile.NamedTemporaryFile(prefix="duyet-disk-", suffix=".img") as image:
        image.truncate(megabytes * 1024 * 1024)
        if not _done("mkfs.ext4", "-q", image.name):
            pytest.skip("there is no mkfs.ext4: install e2fsprogs")
        with _mounted("-t", "ext4", "-o", "loop,errors=remount-ro", image.name) as folder:
            yield folder


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; the file."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 512):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def break_writes(folder: Path) -> None:
    """What the kernel does to a file system with a broken journal: read-only, files open or not."""
    assert _done("mount", "-o", "remount,abort", str(folder)), "the file system was not aborted"


def make_read_only(folder: Path) -> None:
    assert _done("mount", "-o", "remount,ro", str(folder))


def make_writable(folder: Path) -> None:
    assert _done("mount", "-o", "remount,rw", str(folder))
