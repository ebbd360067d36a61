"""The installation's secrets: encrypt addresses, name authors and IPs without revealing them.

Knows the directory the keys lie in and what each is for. Does not know the database: what is
encrypted or hashed here is stored by `service.storage`.

Every key is a file of its own, readable by its owner only:

* `address-N.key`: AES-256-GCM for addresses; the highest N encrypts, all decrypt;
* `match.key`: HMAC-SHA256, names authors, IPs and texts so that they can be matched;
* `token.key`: HMAC-SHA256, for site keys, sign-in links and sessions, and for what makes other
  links unguessable.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import unicodedata
from binascii import b2a_base64
from functools import lru_cache
from pathlib import Path

import idna
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from model.key_files import KeyFileError, create_key, make_private, read_key

_NONCE_BYTES = 12
_KEY_ID_BYTES = 4
_LAYOUT = b"\x01"  # of a ciphertext: layout, key id, nonce, sealed address and tag
_HEADER_BYTES = len(_LAYOUT) + _KEY_ID_BYTES + _NONCE_BYTES
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ADDRESS_KEY_NAME = re.compile(r"address-([1-9][0-9]{0,8})\.key")


_OF_SITE = ""
"""In place of a comment's id, for what belongs to a site as a whole."""

OF_MODERATORS = "moderators"
"""In place of a site's id, for the addresses of moderators; their ids are the comments'."""


KeyringError = KeyFileError
"""The keys cannot be used. The message names the file and what would be right."""


class UnreadableAddress(Exception):
    """A stored address does not open: its key is gone, or it belongs to another comment."""


class Keyring:
    """The keys of one installation. Its repr shows their ids, never their bytes."""

    def __init__(self, directory: Path) -> None:
        """The keys in `directory`, which must hold all of them. Raises KeyringError."""
        self._directory = directory
        self._match = read_key(directory / "match.key")
        self._token = read_key(directory / "token.key")
        self._address_keys = _read_address_keys(directory)
        # No token begins with that byte, so that nobody's hash is this key.
        links = hmac.digest(self._token, b"\xff links", "sha256")
        self._links = hashlib.blake2b(key=links, digest_size=18)
        # A copy of what the key, the purpose and the site made of the hash costs half of a new one.
        self._begun = lru_cache(maxsize=1024)(self._begin)

    @classmethod
    def open(cls, directory: Path) -> "Keyring":
        """The keys in `directory`, made first where they are missing.

        Safe when several processes start at once: each file appears whole, and all use the
        one that came first. Raises KeyringError when a key is malformed, or may be read by
        anybody but its owner.
        """
        make_private(directory)
        for name in ("match.key", "token.key"):
            create_key(directory / name)
        if not _address_key_ids(directory):
            create_key(directory / "address-1.key")
        return cls(directory)

    def __repr__(self) -> str:
        return f"Keyring(address keys {', '.join(map(str, self.address_key_ids))})"

    @property
    def address_key_ids(self) -> tuple[int, ...]:
        """The ids of the keys that open addresses, oldest first; the last one encrypts."""
        return tuple(self._address_keys)

    @property
    def newest_address_key_id(self) -> int:
        """The id of the key that encrypts."""
        return next(reversed(self._address_keys))

    def add_address_key(self) -> int:
        """Make a new key that encrypts from now on; its id.

        Other processes read it as soon as they meet an address it sealed.
        """
        key_id = self.newest_address_key_id + 1
        while not create_key(self._directory / f"address-{key_id}.key"):
            key_id += 1
        self._address_keys = _read_address_keys(self._directory)
        return key_id

    def encrypt_address(self, email: str, *, site_id: str, comment_id: str) -> bytes:
        """The address, sealed for this one comment of this one site.

        33 bytes longer than the address in UTF-8.
        """
        key_id = self.newest_address_key_id
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._address_keys[key_id].encrypt(
            nonce, email.encode(), _bound_to(site_id, comment_id)
        )
        return _LAYOUT + key_id.to_bytes(_KEY_ID_BYTES, "big") + nonce + sealed

    def decrypt_address(self, sealed: bytes, *, site_id: str, comment_id: str) -> str:
        """The address that was sealed for this comment.

        Raises UnreadableAddress when its key is gone, or it was sealed for another comment,
        or changed.
        """
        key = self._address_key(key_id_of(sealed))
        nonce = sealed[_HEADER_BYTES - _NONCE_BYTES : _HEADER_BYTES]
        try:
            address = key.decrypt(nonce, sealed[_HEADER_BYTES:], _bound_to(site_id, comment_id))
        except (InvalidTag, ValueError):
            raise UnreadableAddress("a stored address does not belong where it lies") from None
        return address.decode()

    def seal(self, secret: str, *, site_id: str) -> bytes:
        """A secret of a site that has to be told again later, sealed as addresses are."""
        return self.encrypt_address(secret, site_id=site_id, comment_id=_OF_SITE)

    def unseal(self, sealed: bytes, *, site_id: str) -> str:
        """The secret that `seal` sealed. Raises UnreadableAddress."""
        return self.decrypt_address(sealed, site_id=site_id, comment_id=_OF_SITE)

    def _address_key(self, key_id: int) -> AESGCM:
        if key_id not in self._address_keys:  # another process may have added it since
            self._address_keys = _read_address_keys(self._directory)
        if key_id not in self._address_keys:
            raise UnreadableAddress(f"address-{key_id}.key is missing; restore it from a backup")
        return self._address_keys[key_id]

    def author_key(self, site_id: str, email: str) -> str:
        """A stable name, on this site, for whoever uses an address; "" for no address.

        32 hexadecimal digits: 128 bits of HMAC-SHA256. Case, surrounding space, Unicode
        composition and the domain's script do not matter; dots and plus suffixes do, because
        what they mean is the mail provider's choice.
        """
        return self._name(b"author", site_id, normal_address(email))

    def ip_key(self, site_id: str, ip: str) -> str:
        """A stable name, on this site, for an IPv4 address or an IPv6 /64; "" if not an IP.

        A /64 is what one subscriber is given, who may take another address in it at will.
        """
        if not ip:
            return ""
        plain = _four_bytes(ip)
        if plain is not None:
            return self._name(b"ip", site_id, f"4:{int.from_bytes(plain, 'big'):x}")
        read = _read_ip(ip)
        if read is None:
            return ""
        bits = int(read) >> 64 if read.version == 6 else int(read)
        return self._name(b"ip", site_id, f"{read.version}:{bits:x}")

    def text_key(self, site_id: str, normalised_text: str) -> str:
        """A stable name, on this site, for a text in normal form; "" for an empty one."""
        return self._name(b"text", site_id, normalised_text)

    def match_key(self, purpose: str, site_id: str, value: str) -> str:
        """A stable name, on this site, for anything else that is matched; "" for nothing."""
        return self._name(purpose.encode(), site_id, value)

    def link_token(self, purpose: str, id: str) -> str:
        """What makes a link to a thing unguessable, with nothing stored: 24 URL-safe characters.

        144 bits of keyed BLAKE2b (RFC 7693) over a plain purpose and an id; HMAC-SHA256 takes
        four times as long, and every verdict has such a link.
        """
        mac = self._links.copy()
        mac.update(f"{purpose}/{id}".encode("utf-8", "surrogatepass"))
        return b2a_base64(mac.digest(), newline=False).translate(_URL_SAFE).decode()

    def owns_link(self, token: str, purpose: str, id: str) -> bool:
        """Whether `link_token` gives this, in a time that tells nothing of how near it is."""
        right = self.link_token(purpose, id).encode()
        return hmac.compare_digest(right, token.encode("utf-8", "replace"))

    def token_hash(self, token: str) -> str:
        """What is stored of a random token: 64 hexadecimal digits of HMAC-SHA256."""
        return hmac.digest(self._token, token.encode("utf-8", "surrogatepass"), "sha256").hex()

    def fingerprints(self) -> dict[str, str]:
        """What tells these keys from others, by file name, without revealing them.

        Address keys are not among them: a sealed address tells by itself.
        """
        keys = {"match.key": self._match, "token.key": self._token}
        return {n: hmac.digest(k, b"fingerprint", "sha256").hex()[:32] for n, k in keys.items()}

    def _name(self, purpose: bytes, site_id: str, value: str) -> str:
        if not value:
            return ""
        mac = self._begun(purpose, site_id).copy()
        mac.update(value.encode("utf-8", "surrogatepass"))
        return mac.finalize().hex()[:32]

    def _begin(self, purpose: bytes, site_id: str) -> HMAC:
        mac = HMAC(self._match, SHA256())
        mac.update(b"\0".join((purpose, site_id.encode(), b"")))
        return mac


def key_id_of(sealed: bytes) -> int:
    """The id of the key that sealed an address. Raises UnreadableAddress if it is not one."""
    if len(sealed) < _HEADER_BYTES or not sealed.startswith(_LAYOUT):
        raise UnreadableAddress("a stored address has an unknown layout")
    return int.from_bytes(sealed[1 : 1 + _KEY_ID_BYTES], "big")


def new_token() -> str:
    """A random token of 288 bits, in 48 URL-safe characters."""
    return secrets.token_urlsafe(36)


def normal_address(email: str) -> str:
    """An address in the form it is matched by; whatever is not an address is casefolded."""
    if email.isascii():
        return email.strip().lower()
    text = unicodedata.normalize("NFKC", email).strip().casefold()
    local, at, domain = text.rpartition("@")
    if domain.isascii():
        return text
    try:
        domain = idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return text
    return f"{local}{at}{domain}"


def masked_ip(ip: str) -> str:
    """The network an IP lies in: IPv4 cut to /24, IPv6 to /48; "" for anything else."""
    plain = _four_bytes(ip)
    if plain is not None:
        return f"{plain[0]}.{plain[1]}.{plain[2]}.0/24"
    read = _read_ip(ip)
    if read is None:
        return ""
    if read.version == 4:
        return f"{ipaddress.IPv4Address(int(read) >> 8 << 8)}/24"
    return f"{ipaddress.IPv6Address(int(read) >> 80 << 80)}/48"


def _four_bytes(ip: str) -> bytes | None:
    """An IPv4 address that is written as most are; None for anything else, which may be one."""
    # A tenth of what `ipaddress` takes, and no more lenient: both want four plain decimals.
    try:
        return socket.inet_pton(socket.AF_INET, ip)
    except (OSError, ValueError):
        return None


def _read_ip(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        read = ipaddress.ip_address(ip.strip().partition("%")[0])
    except ValueError:
        return None
    # The same host, as a dual-stack socket sees it.
    mapped = read.ipv4_mapped if isinstance(read, ipaddress.IPv6Address) else None
    return mapped or read


def _bound_to(site_id: str, comment_id: str) -> bytes:
    return b"\0".join((b"duyet address", site_id.encode(), comment_id.encode()))


# ------------------------------------------------------------------ files


def _address_key_ids(directory: Path) -> list[int]:
    names = (_ADDRESS_KEY_NAME.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(name[1]) for name in names if name)


def _read_address_keys(directory: Path) -> dict[int, AESGCM]:
    keys = {
        n: AESGCM(read_key(directory / f"address-{n}.key")) for n in _address_key_ids(directory)
    }
    if not keys:
        raise KeyringError(f"{directory} holds no address-N.key; restore it from a backup")
    return keys
