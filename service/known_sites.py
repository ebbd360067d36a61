"""Which sites called here before, for a process that starts while the database is away.

Knows one file. Keys are in it by the names that the store gives them, which do not reveal them.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from model.policy import Policy
from service.storage import AkismetChoices, AkismetSite, QueueSpoken, Site

log = logging.getLogger(__name__)

MOST_KNOWN = 4096
"""Keys in the file; what was learnt first is forgotten first."""

_NAME = "sites.json"

_Row = Mapping[str, Any]
_Found = TypeVar("_Found")


class KnownSites:
    """The file in `directory`, shared by all processes that use it. Safe among threads.

    The directory is made when it is needed, for its owner alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: tuple[object, _Row] = (None, {})  # the file it was, and its rows

    def note(self, name: str, site: Site | AkismetSite | None) -> None:
        """Keep what the store said of the key of that name; None is an unknown or revoked one.

        Writes only what is new. A disk that refuses it is logged, and changes nothing else.
        """
        row = _row(site) if site else None
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

    def site_of(self, name: str) -> Site | None:
        """What the store said last of a key; None too for one that was never asked about."""
        return self._found(name, _site)

    def akismet_site_of(self, name: str) -> AkismetSite | None:
        """What the store said last of an Akismet key, and how its site wants to be spoken to."""
        return self._found(name, _akismet_site)

    def _found(self, name: str, made: Callable[[_Row], _Found]) -> _Found | None:
        row = self._rows().get(name)
        try:
            return made(row) if row is not None else None
        except (KeyError, TypeError, ValueError):
            log.error("what is known of a site cannot be read")
            return None

    def are_there(self) -> bool:
        """Whether any site is known."""
        return bool(self._rows())

    def _rows(self) -> _Row:
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

    def _write(self, rows: _Row) -> None:
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


def _row(known: Site | AkismetSite) -> dict[str, Any]:
    if isinstance(known, AkismetSite):
        # As the file will have it, so that what is read is equal to what would be written.
        choices = asdict(known.choices) | {"homes": [*known.choices.homes]}
        return _row(known.site) | {"akismet": choices}
    site = known
    return {
        "id": site.id,
        "name": site.name,
        "policy": site.policy.to_json(),
        "policy_version": site.policy_version,
        "rate_limit": site.rate_limit,
    }


def _akismet_site(row: _Row) -> AkismetSite:
    chosen = row["akismet"]
    choices = AkismetChoices(
        QueueSpoken(chosen["queue"]),
        tuple(chosen["homes"]),
        chosen["discards"],
        chosen["reaches_private"],
    )
    return AkismetSite(_site(row), choices)


def _site(row: _Row) -> Site:
    policy = Policy.from_json(row["policy"])
    return Site(row["id"], row["name"], policy, row["policy_version"], row["rate_limit"])
