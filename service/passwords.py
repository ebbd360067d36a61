"""Passwords: hashed by Argon2id, checked one at a time, refused when they can be guessed.

Knows hashes and what people choose. Does not know whose a password is, nor where a hash is kept.
"""

import os
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SHORTEST = 12
"""Characters, after NFKC. NIST SP 800-63B-4 asks for 8 beside a second factor and 15 without."""

LONGEST = 1000
_SALT_BYTES = 16  # RFC 9106, section 3.1
_HASH_BYTES = 32
_LEFT_TO_GUESS = 6

# What passwords are made of when one has to be made: any of these is as good as one letter.
_WORDS = """
password passwort passw0rd p@ssword p@ssw0rd matkhau mật khẩu letmein welcome iloveyou admin
administrator moderator duyet login signin qwertyuiop qwerty asdfghjkl asdfgh zxcvbnm zxcvbn
azerty 1q2w3e4r5t 1q2w3e4r 1q2w3e qazwsx monkey dragon football sunshine princess superman
trustno1 master changeme secret default anhyeuem emyeuanh yeuem vietnam hanoi saigon
toiyeuvietnam tinhyeu khongbiet mothaiba
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a hash costs. The usual one is the first of the OWASP Password Storage Cheat Sheet.

    46 MiB and one pass, by one thread: about 90 ms of a core. RFC 9106 prefers more memory
    and passes where there are both; here comments are judged on the same cores.
    """

    memory_kib: int = 47_104
    passes: int = 1
    lanes: int = 1

    def derive(self, password: bytes) -> str:
        """A new hash as a PHC string, which holds the cost."""
        return Argon2id(
            salt=os.urandom(_SALT_BYTES),
            length=_HASH_BYTES,
            iterations=self.passes,
            lanes=self.lanes,
            memory_cost=self.memory_kib,
        ).derive_phc_encoded(password)

    def is_of(self, stored: str) -> bool:
        """Whether a hash has this cost."""
        return f"$m={self.memory_kib},t={self.passes},p={self.lanes}$" in stored


class TooBusy(Exception):
    """So many are being checked that this one would wait for too long."""


class Passwords:
    """Hashes and checks passwords, one at a time in a process, for whatever that costs in memory.

    `most_waiting` wait for their turn, up to `patience_seconds`; more are told so at once.
    Safe to share between threads, which it blocks.
    """

    def __init__(
        self, cost: Cost | None = None, *, most_waiting: int = 8, patience_seconds: float = 5.0
    ) -> None:
        self._cost = cost or Cost()
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(most_waiting + 1)
        self._patience_seconds = patience_seconds
        self._nobodys = ""

    def hash(self, password: str) -> str:
        """What is stored of a password. Raises TooBusy."""
        with self._turns():
            return self._cost.derive(plain(password))

    def is_right(self, password: str, stored: str | None) -> bool:
        """Whether a hash is that of a password; takes as long where there is none.

        Raises TooBusy.
        """
        with self._turns():
            if not self._nobodys:
                self._nobodys = self._cost.derive(os.urandom(_HASH_BYTES))
            try:
                Argon2id.verify_phc_encoded(plain(password[: LONGEST + 1]), stored or self._nobodys)
            except InvalidKey:
                return False
            return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than those of today."""
        return not self._cost.is_of(stored)

    @contextmanager
    def _turns(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooBusy
        try:
            if not self._turn.acquire(timeout=self._patience_seconds):
                raise TooBusy
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()


def plain(password: str) -> bytes:
    """The bytes that are hashed: the same however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def fault_of(password: str, name: str) -> str:
    """What is wrong with a new password of somebody of that name: `too_short`, `too_long` or
    `guessable`; "" if nothing is."""
    text = unicodedata.normalize("NFKC", password[: LONGEST + 1])
    if len(text) > LONGEST or len(password) > LONGEST:
        return "too_long"
    if len(text) < SHORTEST:
        return "too_short"
    return "guessable" if _left_to_guess(text, name) < _LEFT_TO_GUESS else ""


def _left_to_guess(password: str, name: str) -> int:
    """About how many characters of a password have to be guessed one by one.

    Names, years and words that everybody tries count as one, as do "aaaa", "3456", "dcba" and
    whatever repeats what came before.
    """
    text = _bare(password)
    if len(set(text)) < 5:
        return len(set(text))
    names = [word for word in re.split(r"\W+", _bare(name)) if len(word) > 1]
    words = [*names, _bare(name), "".join(names), *map(_bare, _WORDS.split())]
    for word in sorted(set(words), key=len, reverse=True):
        if len(word) > 1:
            text = text.replace(word, "\0").replace(word[::-1], "\0")
    text = re.sub(r"(?:19|20)\d\d", "\0", text)
    text = re.sub(r"(.{2,}?)\1+", r"\1", text, flags=re.DOTALL)
    steps = [ord(b) - ord(a) for a, b in pairwise(text)]
    runs = zip([2, *steps], steps, strict=False)
    return len(text) - sum(1 for before, step in runs if not step or before == step in {-1, 1})


def _bare(text: str) -> str:
    """A text without case, blanks and marks on letters."""
    apart = unicodedata.normalize("NFKD", text.casefold()).replace("đ", "d")
    return "".join(c for c in apart if not unicodedata.combining(c) and not c.isspace())
