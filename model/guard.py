"""Whom a registry must have been signed by to be believed, and what was seen of it last.

What is kept for that lies outside the registry, with the installation's secrets: whoever may
write a registry can neither sign it nor bring back an older one.

    models.key     the key that signs, made when it is missing
    models.seen    how many moves of names were seen, and a digest of the last state of them
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from model.durable import write_whole
from model.key_files import create_key, make_private, read_key
from model.refusals import Refusal, RegistryError
from model.signing import PUBLIC_KEY, Kind, Signature, Signer

KEY = "models.key"
SEEN = "models.seen"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class LastSeen:
    """The newest state of a registry's names that this installation has seen.

    Shared by all processes through the file; each also remembers by itself, so that a file
    that vanishes makes nobody believe in what is old.
    """

    def __init__(self, path: Path, *, is_kept: bool = True) -> None:
        """What a file says; with `is_kept` off it is only read."""
        self._path = path
        self._is_kept = is_kept
        self._known: tuple[int, str] | None = None

    def newest(self) -> tuple[int, str] | None:
        """Its count and digest; None where nothing was ever seen. Raises RegistryError."""
        read = self._read()
        if read is not None and (self._known is None or read[0] > self._known[0]):
            self._known = read
        return self._known

    def check(self, count: int, digest: str) -> None:
        """Refuse what is older than the newest, or another state of the same age.

        Raises RegistryError.
        """
        newest = self.newest()
        if newest is None or count > newest[0] or (count, digest) == newest:
            return
        what = (
            f"went back from move {newest[0]} to {count}"
            if count < newest[0]
            else f"is another history than the one seen at move {count}"
        )
        raise RegistryError(
            f"names.json {what}; if you restored it, `duyet models sign` accepts it",
            Refusal.ROLLED_BACK,
        )

    def note(self, count: int, digest: str) -> None:
        """Remember this if it is newer than what was seen. Raises RegistryError.

        By this process alone where the file cannot be written: what serves must go on.
        """
        newest = self.newest()
        if newest is not None and count <= newest[0]:
            return
        self._known = (count, digest)
        if not self._is_kept:
            return
        try:
            self._write(count, digest)
        except OSError:
            return

    def _write(self, count: int, digest: str) -> None:
        with self._alone():
            read = self._read()
            if read is None or count > read[0]:
                write_whole(self._path, json.dumps({"count": count, "digest": digest}), mode=0o600)

    def _read(self) -> tuple[int, str] | None:
        try:
            body = json.loads(self._path.read_text("utf-8"))
            return int(body["count"]), str(body["digest"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise RegistryError(
                f"{self._path} cannot be read; restore it, or delete it to believe the names that "
                "are signed now"
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class Guard:
    """Whose signatures count, who signs, and what was seen last.

    `released` are versions that need no signature, with the digest of their manifest: those
    that the program itself brought.
    """

    signer: Signer | None
    trusted: frozenset[str]
    last_seen: LastSeen | None = None
    released: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def open(
        cls,
        secrets: Path,
        trusted: Iterable[str] = (),
        *,
        released: Mapping[str, str] = _NOTHING,
    ) -> "Guard":
        """The guard of an installation, its key made first where it is missing.

        `trusted` are public keys whose signatures count beside its own. Raises KeyFileError.
        """
        make_private(secrets)
        create_key(secrets / KEY)
        return cls._of(secrets, trusted, released, is_kept=True)

    @classmethod
    def to_read(
        cls,
        secrets: Path,
        trusted: Iterable[str] = (),
        *,
        released: Mapping[str, str] = _NOTHING,
    ) -> "Guard":
        """The same for who only looks: makes and writes nothing. Raises KeyFileError."""
        return cls._of(secrets, trusted, released, is_kept=False)

    @classmethod
    def _of(
        cls, secrets: Path, trusted: Iterable[str], released: Mapping[str, str], *, is_kept: bool
    ) -> "Guard":
        signer = Signer(read_key(secrets / KEY))
        keys = frozenset((signer.public, *trusted))
        return cls(signer, keys, LastSeen(secrets / SEEN, is_kept=is_kept), released)

    def __post_init__(self) -> None:
        if not all(map(PUBLIC_KEY.fullmatch, self.trusted)):
            raise ValueError("a public key is 64 hexadecimal digits")

    def signature(self, kind: Kind, body: Mapping[str, Any]) -> Signature:
        """A signature of ours. Raises RegistryError when there is no key to sign with."""
        if self.signer is None:
            raise RegistryError("there is no key here to sign with", Refusal.UNSIGNED)
        return self.signer.signature(kind, body)

    def check(
        self, what: str, kind: Kind, body: Mapping[str, Any], signature: Signature | None
    ) -> None:
        """Refuse what was not signed, not like this, or not by one who is trusted.

        `what` names it in the message. Raises RegistryError.
        """
        if signature is None:
            raise RegistryError(
                f"{what} is not signed; if it is yours, `duyet models sign`", Refusal.UNSIGNED
            )
        if signature.key not in self.trusted:
            raise RegistryError(
                f"{what} is signed with key {signature.key[:12]}…, which is not trusted here; "
                "if it should be, add it to DUYET_TRUSTED_MODEL_KEYS",
                Refusal.FOREIGN,
            )
        if not signature.is_of(kind, body):
            raise RegistryError(f"{what} is not what was signed", Refusal.CHANGED)


def digest_of_state(body: Mapping[str, Any]) -> str:
    """SHA-256 of plain JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
