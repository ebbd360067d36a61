"""Where names point and how they came to: the forms of names.json and moves.jsonl.

Unsigned, names.json is an object of names. Signed, it holds them with the count of moves and a
digest of all lines of moves.jsonl that are in force, so that none can be changed, left out or
put back. Knows no file and no key.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.addresses import mask_addresses
from model.refusals import RegistryError
from model.signing import Signature

LONGEST_WHY = 500
"""Characters of why a name was moved."""

_KEYS = {"at", "name", "from", "to", "who", "why"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Which version each name points to, after `count` moves.

    `head` is `chained` of the lines of those moves. Where nobody signs, nothing is counted.
    """

    names: Mapping[str, str]
    count: int = 0
    head: str = ""

    def body(self) -> dict[str, Any]:
        """As JSON has it, and as it is signed."""
        return {"names": dict(self.names), "count": self.count, "head": self.head}

    def signed(self, signature: Signature) -> str:
        """The text of names.json."""
        return json.dumps(self.body() | signature.body(), indent=1) + "\n"

    def unsigned(self) -> str:
        """The text of names.json where nobody signs."""
        return json.dumps(dict(self.names), indent=1) + "\n"


def standing_of(text: str) -> tuple[Standing, Signature | None]:
    """What names.json says, and who signed it; None where nobody did. Raises RegistryError."""
    try:
        body = json.loads(text)
        if isinstance(body.get("names"), str) or "names" not in body:
            return Standing(_names(body)), None
        count, head = body["count"], body["head"]
        if type(count) is not int or count < 1 or not isinstance(head, str):
            raise ValueError
        return Standing(_names(body["names"]), count, head), Signature.from_body(body)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise RegistryError("names.json is not a JSON object of names") from None


def _names(body: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(version) for name, version in body.items()}


def lines_in(body: bytes) -> list[bytes]:
    """The lines that are whole moves. What a power cut left of one is left out."""
    return [line for line in body.split(b"\n") if _move_of(line) is not None]


def line_saying(move: Mapping[str, Any]) -> bytes:
    """A move as a line: addresses in what somebody typed are masked, as the line stays for ever."""
    typed = {key: mask_addresses(str(move[key])) for key in ("who", "why")}
    return json.dumps({**move, **typed}).encode()


def move_of(line: bytes) -> dict[str, Any]:
    """The move that a line of `lines_in` says."""
    return _move_of(line) or {}


def _move_of(line: bytes) -> dict[str, Any] | None:
    try:
        move = json.loads(line)
        return move if move.keys() >= _KEYS else None
    except (ValueError, AttributeError, RecursionError):
        return None


def chained(lines: Sequence[bytes]) -> str:
    """A digest of lines and their order: SHA-256 of the digest of those before and the last."""
    head = ""
    for line in lines:
        head = hashlib.sha256(head.encode() + line).hexdigest()
    return head


def in_force(lines: Sequence[bytes], head: str) -> Sequence[bytes] | None:
    """The lines up to the head; None where no number of them leads to it.

    A line after it was noted by somebody who was killed before the move, or is nobody's.
    """
    if head == "":
        return lines[:0]
    so_far = ""
    for at, line in enumerate(lines):
        so_far = hashlib.sha256(so_far.encode() + line).hexdigest()
        if so_far == head:
            return lines[: at + 1]
    return None


def line_of(name: str, moves: Sequence[Mapping[str, Any]], current: str) -> list[str]:
    """The versions that a name stood for, in order, less what was rolled back; last `current`."""
    line: list[str] = []
    for move in moves:
        if move["name"] != name:
            continue
        line = _up_to(line, move["from"]) if move["from"] else line
        if move.get("is_roll_back"):
            line = _up_to(line[:-1], move["to"])
        elif move["to"] != move["from"]:
            line.append(move["to"])
    return _up_to(line, current)


def _up_to(line: list[str], version: str) -> list[str]:
    """The line with that version last: moves that were noted but not made are taken back."""
    if version not in line:
        return [*line, version]
    last = max(at for at, known in enumerate(line) if known == version)
    return line[: last + 1]


def was_taken_back(moves: Sequence[Mapping[str, Any]], name: str, version: str) -> bool:
    """Whether somebody rolled a name back from a version."""
    return any(
        move["name"] == name and move.get("is_roll_back") and move["from"] == version
        for move in moves
    )
