"""Which sites called here before, for a process that starts while the database is away.

Knows one file. Keys are in it as SHA-256 alone: they are 264 random bits, which no guessing finds.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.policy import Policy
from service.storage import Site

log = logging.getLogger(__name__)

MOST_KNOWN = 4096
"""Keys in the file; what was learnt first is forgotten first."""

_NAME = "sites.json"


class KnownSites:
    """The file in `directory`, shared by all processes that use it. Safe among threads.

    The directory is made when it is needed, for its owner alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: tuple[object, Mapping[str, Any]] = (None, {})  # the file it was, and its rows

    def note(self, key: str, site: Site | None) -> None:
        """Keep what the store said of a key; None is an unknown or revoked one.

        Writes only what is new. A disk that refuses it is logged, and changes nothing else.
        """
        name, row = _name(key), _row(site) if site else None
        try:
            if self._rows().get(name) == row:
                return
            with self._alone():
                rows = dict(self._rows())
                rows.pop(name, None)
                if row is not None:
                    rows[name] = row
                self._write(dict([*rows.items()][-MOST_KNOWN:]))
        except OSError as problem:
            log.warning("a known site was not kept: %s", type(problem).__name__)

    def site_of(self, key: str) -> Site | None:
        """What the store said last of a key; None too for one that was never asked about."""
        row = self._rows().get(_name(key))
        try:
            return _site(row) if row is not None else None
        except (KeyError, TypeError, ValueError):
            log.error("what is known of a site cannot be read")
            return None

    def are_there(self) -> bool:
        """Whether any site is known."""
        return bool(self._rows())

    def _rows(self) -> Mapping[str, Any]:
        path = self._directory / _NAME
        try:
            of = path.stat()
            file = (of.st_ino, of.st_size, of.st_mtime_ns)
            was, rows = self._read
            if file != was:
                found = json.loads(path.read_bytes())
                rows = found if isinstance(found, dict) else {}
                self._read = (file, rows)  # in one go: others may be reading
        except (OSError, ValueError, RecursionError):
            return {}
        return rows

    def _write(self, rows: Mapping[str, Any]) -> None:
        draft = self._directory / f"{_NAME}.new"  # one writer at a time, so one name does
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(rows, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._directory / _NAME)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._directory / "sites.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _row(site: Site) -> dict[str, Any]:
    return {
        "id": site.id,
        "name": site.name,
        "policy": site.policy.to_json(),
        "policy_version": site.policy_version,
        "rate_limit": site.rate_limit,
    }


def _site(row: Mapping[str, Any]) -> Site:
    policy = Policy.from_json(row["policy"])
    return Site(row["id"], row["name"], policy, row["policy_version"], row["rate_limit"])
