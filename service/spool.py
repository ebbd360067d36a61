"""Keep comments in files while the database is away, and bring them into it exactly once.

Knows files, frames and locks, and which parts of a comment go into the store; judges nothing.

Every process appends to a file of its own in one directory, under a lock that all of them
share: so each sees what the others keep, and a request that is sent again gets its first
answer whichever of them it meets. While any file is there, comments go on being kept, until
one process has brought all of it into the store and removed the files; so nothing is judged
between its two halves. A record is brought in by the id of its comment, hence twice is once.

A record is a mark, the length and the CRC-32 of a body, and the body: a JSON object of rows as
the database gets them, addresses sealed. What a crash left of the last one was never answered.
"""

import base64
import fcntl
import json
import logging
import os
import struct
import zlib
from collections import ChainMap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from service.known_sites import KnownSites
from service.storage import SpooledComment, Store

log = logging.getLogger(__name__)

_MARK = b"\xd1dy\n"
_HEAD = struct.Struct("<4sII")  # mark, length of the body, its CRC-32
_SUFFIX = ".spool"
_DAMAGED = ".damaged"
REPLAYED_TOGETHER = 200
"""Comments brought into the store in one transaction."""


class SpoolFull(Exception):
    """The files would grow beyond what they may. Nothing was kept."""


@dataclass(slots=True)
class Spool:
    """The files in `directory`, together at most `max_bytes` long. Safe among threads.

    The directory is made when it is needed, for its owner alone.
    """

    directory: Path
    max_bytes: int
    sites: KnownSites = field(init=False)
    _mutex: Lock = field(default_factory=Lock)
    _own: Path | None = None
    _requests: dict[str, tuple[str, str]] = field(default_factory=dict)  # key: body, comment id
    _followed: dict[str, int] = field(default_factory=dict)  # file: how far it was read

    def __post_init__(self) -> None:
        self.sites = KnownSites(self.directory)

    def is_holding(self) -> bool:
        """Whether comments are kept that the store has not got yet, by any process."""
        return bool(self._files())

    def size(self) -> int:
        """Bytes kept."""
        return sum(_size(path) for path in self._files())

    def can_take(self) -> bool:
        """Whether comments would be kept: there is room, and a site whose comments they are."""
        return self.has_room() and self.sites.are_there()

    def has_room(self) -> bool:
        """Whether more may be kept: less than nine tenths of what may be is."""
        return self.size() < 0.9 * self.max_bytes

    def keep(self, comments: Sequence[SpooledComment]) -> list[str | None]:
        """Append comments, and give the id each is kept under; durable when this returns.

        That is another than its own for a request that was kept before, and None when its
        idempotency key was kept with another body. Raises SpoolFull, OSError; nothing is kept
        then.
        """
        with self._alone():
            self._follow()
            ids, fresh = self._new_among(comments)
            if fresh:
                self._append(b"".join(map(_frame, fresh)))
        return ids

    def replay(self, store: Store) -> int:
        """Bring all that is kept into the store, and remove the files; how many comments.

        0 when another process is at it. What comes in meanwhile is brought in as well, the
        last of it while nobody can append. Raises StoreUnavailable, and OSError; then all that
        is not in the store is still here.
        """
        if not self.is_holding():
            return 0
        with self._locked("replaying", wait=False) as is_ours:
            if not is_ours:
                return 0
            read: dict[Path, int] = {}
            count = self._bring(store, read)  # without the lock: this may be long
            with self._alone():
                count += self._bring(store, read)
                for path in read:
                    path.unlink(missing_ok=True)
                _sync(self.directory)
                self._forget()
        log.info("the spool is empty again", extra={"comments": count})
        return count

    # -------------------------------------------------------------- replaying

    def _bring(self, store: Store, read: dict[Path, int]) -> int:
        count = 0
        for path in self._files():
            bodies: list[SpooledComment] = []
            for body, end in _bodies(path, read.get(path, 0)):
                read[path] = end
                bodies.append(_loaded(body))
                if len(bodies) == REPLAYED_TOGETHER:
                    store.replay(bodies)
                    count, bodies = count + len(bodies), []
            store.replay(bodies)
            count += len(bodies)
            read.setdefault(path, 0)
        return count

    # -------------------------------------------------------------- appending

    def _new_among(
        self, comments: Sequence[SpooledComment]
    ) -> tuple[list[str | None], list[SpooledComment]]:
        ids: list[str | None] = []
        fresh: list[SpooledComment] = []
        requests: ChainMap[str, tuple[str, str]] = ChainMap(
            {}, self._requests
        )  # what is kept now is learnt by following
        for comment in comments:
            own = (comment.body_mac, comment.id)
            body, id_ = requests.setdefault(comment.key_mac, own) if comment.key_mac else own
            ids.append(id_ if body == comment.body_mac else None)
            if id_ == comment.id:
                fresh.append(comment)
        return ids, fresh

    def _append(self, frames: bytes) -> None:
        if self.size() + len(frames) > self.max_bytes:
            raise SpoolFull
        path = self._own_file()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            before = os.fstat(handle).st_size
            try:
                written = 0
                while written < len(frames):
                    written += os.write(handle, frames[written:])
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)  # a half record would hide those after it
                raise
        finally:
            os.close(handle)
        self._follow()

    def _own_file(self) -> Path:
        """This process' file, made if it is not there any more."""
        if self._own is None or not self._own.exists():
            self._own = self.directory / f"{os.getpid()}-{os.urandom(6).hex()}{_SUFFIX}"
            os.close(os.open(self._own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _sync(self.directory)
        return self._own

    # -------------------------------------------------------------- following

    def _follow(self) -> None:
        """Learn which requests were kept since the last time, by this process or another."""
        files = {path.name: path for path in self._files()}
        if any(name not in files for name in self._followed):
            self._forget()
        for name, path in files.items():
            self._followed.setdefault(name, 0)
            for body, end in _bodies(path, self._followed[name]):
                comment = _loaded(body)
                self._followed[name] = end
                if comment.key_mac:
                    self._requests.setdefault(comment.key_mac, (comment.body_mac, comment.id))

    def _forget(self) -> None:
        self._requests.clear()
        self._followed.clear()

    def _files(self) -> list[Path]:
        try:
            names = os.listdir(self.directory)
        except OSError:
            return []
        return sorted(self.directory / name for name in names if name.endswith(_SUFFIX))

    # -------------------------------------------------------------- locks

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._mutex, self._locked("lock", wait=True):
            yield

    @contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Hold a lock among processes, which ends with its holder; whether it was got."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.directory / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)


# ------------------------------------------------------------------ frames


def _frame(comment: SpooledComment) -> bytes:
    body = json.dumps(comment.by_table, default=_plain, ensure_ascii=False).encode()
    return _HEAD.pack(_MARK, len(body), zlib.crc32(body)) + body


def _bodies(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """The whole records from a place in a file on, each with where it ends.

    A torn tail ends it. What is damaged before whole records is passed over, told, and kept
    for a person to look at.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return
    at = 0
    while at < len(content):
        body = _body_at(content, at)
        if body is not None:
            at += _HEAD.size + len(body)
            yield body, offset + at
            continue
        whole = _next_whole(content, at)
        if whole is None:
            return
        log.error("damaged records in %s were passed over: %d bytes", path.name, whole - at)
        aside = os.open(
            path.with_suffix(f".{offset + at}{_DAMAGED}"), os.O_WRONLY | os.O_CREAT, 0o600
        )
        with open(aside, "wb") as file:
            file.write(content[at:whole])
        at = whole


def _body_at(content: bytes, offset: int) -> bytes | None:
    if offset + _HEAD.size > len(content):
        return None
    mark, length, crc = _HEAD.unpack_from(content, offset)
    body = content[offset + _HEAD.size : offset + _HEAD.size + length]
    is_whole = mark == _MARK and len(body) == length and zlib.crc32(body) == crc
    return body if is_whole else None


def _next_whole(content: bytes, offset: int) -> int | None:
    while (offset := content.find(_MARK, offset + 1)) >= 0:
        if _body_at(content, offset) is not None:
            return offset
    return None


def _plain(value: object) -> dict[str, str]:
    match value:
        case datetime():
            return {"time": value.isoformat()}
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case _:
            raise TypeError("a row holds a value that the spool does not know")


def _loaded(body: bytes) -> SpooledComment:
    return SpooledComment(json.loads(body, object_hook=_rich))


def _rich(found: dict[str, Any]) -> Any:
    match found:
        case {"time": str(at), **rest} if not rest:
            return datetime.fromisoformat(at)
        case {"bytes": str(sealed), **rest} if not rest:
            return base64.b64decode(sealed)
        case _:
            return found


# ------------------------------------------------------------------ files


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
