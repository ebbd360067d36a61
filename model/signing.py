"""Signatures by Ed25519 (RFC 8032) on what a registry of models holds.

The one module of the domain that uses `cryptography` (docs/adr/0031): whoever reads a registry
checks it, and whoever adds to it signs. Knows no file and no policy of whom to trust.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
"""A public key as it is written: 32 bytes in hexadecimal digits."""

_SIGNATURE = re.compile(r"[0-9a-f]{128}")


class Kind(StrEnum):
    """What a signature is on; one on a version is never taken for one on names."""

    VERSION = "version"
    NAMES = "names"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, by public key, and the signature; both in hexadecimal digits."""

    key: str
    value: str

    @classmethod
    def from_body(cls, body: object) -> "Signature | None":
        """The signature that `body` wrote; None for anything else."""
        if not isinstance(body, dict):
            return None
        key, value = body.get("key"), body.get("signature")
        if not isinstance(key, str) or not isinstance(value, str):
            return None
        is_one = PUBLIC_KEY.fullmatch(key) and _SIGNATURE.fullmatch(value)
        return cls(key, value) if is_one else None

    def body(self) -> dict[str, str]:
        """As JSON has it."""
        return {"key": self.key, "signature": self.value}

    def is_of(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Whether the owner of the key signed exactly this."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            key.verify(bytes.fromhex(self.value), _statement(kind, body))
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """Who can sign. Its repr shows the public key alone."""

    def __init__(self, seed: bytes) -> None:
        """The key that 32 secret random bytes are. Raises ValueError for another number."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw().hex()

    def __repr__(self) -> str:
        return f"Signer({self.public})"

    def signature(self, kind: Kind, body: Mapping[str, Any]) -> Signature:
        """A signature on a body of plain JSON, the order of whose keys does not matter."""
        return Signature(self.public, self._key.sign(_statement(kind, body)).hex())


def _statement(kind: Kind, body: Mapping[str, Any]) -> bytes:
    """What is signed: what was understood, not the bytes it came in, so that no two readers of

    JSON can take one signature for two meanings.
    """
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"duyet {kind} 1\n{text}".encode()
