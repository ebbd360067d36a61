"""Why a registry of models, or a version in it, is not used.

A closed list, so that counts and alerts may be kept by it; the message says the rest.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """What kind of thing is wrong."""

    ABSENT = "absent"
    """There is no such version, name or file."""
    UNREADABLE = "unreadable"
    """A file is not of the form that it should have."""
    CHANGED = "changed"
    """Bytes are not those that were written."""
    UNSIGNED = "unsigned"
    """Nobody signed it, and here it must be."""
    FOREIGN = "foreign"
    """It was signed with a key that is not trusted here."""
    ROLLED_BACK = "rolled_back"
    """It is older than what was seen before, or another history."""
    AWAY = "away"
    """The place that is shared does not answer."""
    OVERTAKEN = "overtaken"
    """Somebody else moved a name at the same time."""
    UNFIT = "unfit"
    """It is whole, and cannot be used: other features, or other scores than it was fitted to."""


class RegistryError(Exception):
    """A version that is not there or not what its manifest says. The message says which."""

    def __init__(self, message: str, refusal: Refusal = Refusal.UNREADABLE) -> None:
        super().__init__(message)
        self.refusal = refusal
