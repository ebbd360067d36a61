"""What a registry asks of a place that many machines share it by, beyond a directory.

The registry in the directory stays what is read and checked; a shared place brings what is new
there, and takes what was written. Knows no such place.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from model.moves import Standing
from model.signing import Signature

Believes = Callable[[Standing, Signature | None], None]
"""Raises RegistryError for names that are not to be taken over."""


class Shared(Protocol):
    """A place with the same files as the registry's directory. Methods raise RegistryError."""

    @property
    def is_away(self) -> bool:
        """Whether the place did not answer when it was asked last."""
        ...

    def pull(
        self, believes: Believes, is_right: Callable[[str], bool], *, at_once: bool = False
    ) -> None:
        """Bring names and moves that are new there, and the versions that they name.

        Where the place does not answer, what is here stays good. Names that are not believed
        change nothing here, and are refused until others are there. Asks not every time
        unless `at_once`.
        """
        ...

    def fetch(self, version: str) -> None:
        """Bring a version, if it is there."""
        ...

    def fetch_report(self, challenger: str, champion: str) -> None:
        """Bring the report on two versions, if it is there."""
        ...

    def publish(self, folder: Path) -> None:
        """Take the files of a folder of the registry."""
        ...

    def stand(self, before: bytes | None, *, names: str, moves: str) -> None:
        """Take moves, and then names in the place of those from `before`, None for none yet.

        Refused where somebody else was faster.
        """
        ...
