"""Where model versions live: a directory of immutable versions and names that move.

    versions/VERSION/manifest.json   what it is: digests, recipe, evaluation, promise, probes
    versions/VERSION/table.npy       the weights, plain numbers
    versions/VERSION/signature.json  who vouches for the manifest, and so for all it lists
    names.json                       where `champion` and `challenger` point, and who says so
    moves.jsonl                      each move of a name: when, from, to, who, why
    reports/VERSION/CHAMPION/        what VERSION does otherwise than CHAMPION: comparison.json
                                     and its pages; written again when either is measured anew

Nothing here is ever unpickled. A version is loaded only if its digests, its feature version
and the scores of its probe texts are right. With a guard, only what is signed by somebody whom
that trusts is believed, and nothing older than what was seen. Writers wait for each other,
readers for nobody.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import Classifier
from model.comparison import Comparison
from model.durable import DRAFT, read_at_most, write_whole
from model.guard import Guard, digest_of_state
from model.manifest import Manifest as Manifest  # noqa: PLC0414  others know it by this module
from model.moves import (
    Standing,
    chained,
    in_force,
    line_of,
    line_saying,
    lines_in,
    move_of,
    standing_of,
)
from model.refusals import Refusal
from model.refusals import RegistryError as RegistryError  # noqa: PLC0414  likewise
from model.reports import Reports
from model.shared import Shared
from model.signing import Kind, Signature
from model.versions import Versions

CHAMPION = "champion"
CHALLENGER = "challenger"
SHIPPED = Path(__file__).parent / "champion"
"""The registry that comes with the project: one version, which is its champion."""

RELEASED: Mapping[str, str] = MappingProxyType(
    {"7f48ba5d6f58": "de86a83c308e996cedb9fea48aed339fdee1e2f93418e9f64fc1857ba84e98e0"}
)
"""The version in it, and SHA-256 of its manifest: the program vouches for what came with it."""

_NAMES = "names.json"
_MOVES = "moves.jsonl"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_MOST_NAMES = 2**20
_MOST_MOVES = 2**26


@dataclass(frozen=True, slots=True)
class Registry:
    """A directory of model versions.

    Without a `guard` it holds for true what its digests agree with: enough for files that
    nobody else may write. With one, what is read must be signed, and what is written is. One
    that is `shared` has in `root` what this machine brought from there.
    """

    root: Path
    guard: Guard | None = None
    shared: Shared | None = None

    @property
    def _versions(self) -> Versions:
        return Versions(self.root / "versions", self.guard)

    @property
    def _reports(self) -> Reports:
        return Reports(self.root / "reports", self.guard)

    # -------------------------------------------------------------- reading

    def versions(self) -> list[str]:
        """The names of all versions, in order of their directories' names."""
        return self._versions.all()

    def names(self) -> dict[str, str]:
        """Which version each name points to. Raises RegistryError."""
        return dict(self._standing().names)

    def is_signed(self) -> bool:
        """Whether somebody, whoever, signed where names point. Raises RegistryError."""
        return self._written()[0].count > 0

    def resolve(self, name: str) -> str:
        """The version behind a name, or the version of that name. Raises RegistryError."""
        names, versions = self.names(), self.versions()
        version = names.get(name, name)
        if version not in versions and self.shared is not None:
            self.shared.fetch(version)
            versions = self.versions()
        if version not in versions:
            known = ", ".join([*sorted(names), *versions]) or "none"
            raise RegistryError(
                f"no model {name!r} in this registry; there are: {known}", Refusal.ABSENT
            )
        return version

    def manifest(self, name: str) -> Manifest:
        """The manifest of a version or name. Raises RegistryError."""
        return self._versions.manifest(self.resolve(name))

    def manifest_of(self, version: str) -> Manifest:
        """The manifest of a version, wherever names point, and if they cannot be believed.

        Raises RegistryError.
        """
        if version not in self.versions():
            raise RegistryError(f"no version {version!r} in this registry", Refusal.ABSENT)
        return self._versions.manifest(version)

    def is_right(self, version: str) -> bool:
        """Whether a version is believed and every file of it is as it was written."""
        return version in self.versions() and self._versions.is_right(version)

    def load(self, name: str = CHAMPION) -> Classifier:
        """A version, checked, its table in memory. Raises RegistryError."""
        return self._versions.load(self.resolve(name))

    def moves(self) -> list[dict[str, Any]]:
        """Every move of a name, oldest first. What a power cut left of a line is left out.

        Raises RegistryError where they are not what was written.
        """
        return [move_of(line) for line in self._lines(self._standing())]

    def report(self, challenger: str, champion: str = CHAMPION) -> Comparison | None:
        """How two versions, or those behind two names, compared; None where nobody compared them.

        Raises RegistryError when either is not here or the comparison cannot be read.
        """
        pair = self._pair(challenger, champion)
        try:
            return self._reports.comparison(*pair)
        except RegistryError:
            with self._alone():  # perhaps it was being written
                return self._reports.comparison(*pair)

    def report_page(
        self, challenger: str, champion: str = CHAMPION, *, language: str = "en"
    ) -> str | None:
        """The page of that comparison in a language, None where there is none.

        Raises RegistryError where it is not what was written.
        """
        pair = self._pair(challenger, champion)
        try:
            return self._reports.file(*pair, f"report.{language}.html")
        except RegistryError:
            with self._alone():  # perhaps it was being written
                return self._reports.file(*pair, f"report.{language}.html")

    def _pair(self, challenger: str, champion: str) -> tuple[str, str]:
        """Two versions, and their report brought here."""
        pair = self.resolve(challenger), self.resolve(champion)
        if self.shared is not None:
            self.shared.fetch_report(*pair)
        return pair

    # -------------------------------------------------------------- writing

    def add(
        self,
        manifest: Manifest,
        table: NDArray[np.float32],
        *,
        extra: Mapping[str, str] = _NOTHING,
    ) -> str:
        """Write a version, whole or not at all, and give its name.

        The version's name and digests are made here from what is written. `extra` are texts
        to lie beside it by file name, such as a card. A version that is there already stays
        as it is, unless the guard refuses that one. Raises ValueError for a name that is taken
        or no plain file's, and for a table that is not of the shape its spec asks for.
        """
        with self._writing() as building:
            version = self._versions.build(building, manifest, table, extra)
            self._versions.place(building, version)
            self._publish("versions", version)
        return version

    def add_report(self, comparison: Comparison, pages: Mapping[str, str] = _NOTHING) -> Path:
        """Keep a comparison of two versions of this registry, instead of an earlier one of them.

        `pages` are its pages by file name, `report.LANGUAGE.html`. Gives the folder. Raises
        RegistryError when either version is not here, ValueError for another file name.
        """
        for version in (comparison.challenger, comparison.champion):
            self.resolve(version)
        with self._writing():
            folder = self._reports.keep(comparison, pages)
            self._publish(*folder.relative_to(self.root).parts)
        return folder

    def move(  # noqa: PLR0913  what is asked and written down of a move
        self,
        name: str,
        to: str,
        *,
        who: str,
        why: str,
        at: datetime,
        overrode: Sequence[str] = (),
        instead_of: str | None = None,
    ) -> None:
        """Point a name at a version that loads.

        `overrode` are the reasons against it that somebody went past; `instead_of` is the
        version that the name must still point to, for who compared with that one, "" for one
        that must not point anywhere yet. Raises
        RegistryError, and moves nothing, when it does not load, or when the name is not one: a
        word in lower case that no version is called.
        """
        self.resolve(to)  # before anything is made in a directory that may be a slip
        with self._writing():
            if instead_of is not None and self.names().get(name, "") != instead_of:
                raise RegistryError(f"{name} was moved meanwhile; look again", Refusal.OVERTAKEN)
            said = {"who": who, "why": why, "at": at.isoformat(), "overrode": list(overrode)}
            self._move(name, to, said)

    def earlier_champion(self) -> str | None:
        """What `roll_back` would go back to, None where there is nothing. Raises RegistryError."""
        line = line_of(CHAMPION, self.moves(), self.names()[CHAMPION])
        return line[-2] if len(line) > 1 else None

    def roll_back(self, *, who: str, why: str, at: datetime, instead_of: str | None = None) -> str:
        """Point `champion` at the version it had before, and give that version.

        `instead_of` is the champion that somebody wants to go back from: of two who do at once,
        one goes a step back and the other is told. Raises RegistryError then, and when it never
        had another.
        """
        self.resolve(CHAMPION)
        with self._writing():
            champion = self.names()[CHAMPION]
            if instead_of is not None and champion != instead_of:
                raise RegistryError(
                    f"{CHAMPION} was moved meanwhile; look again", Refusal.OVERTAKEN
                )
            earlier = self.earlier_champion()
            if earlier is None:
                raise RegistryError(
                    "no champion came before this one; nothing to roll back to", Refusal.ABSENT
                )
            said = {"who": who, "why": why, "at": at.isoformat(), "is_roll_back": True}
            self._move(CHAMPION, earlier, said)
            return earlier

    def sign(
        self, versions: Collection[str], *, who: str, why: str, at: datetime
    ) -> tuple[str, ...]:
        """Vouch for versions as they lie here and for where names point; the names let go.

        For an operator who knows that they are right: whatever signed them before, or brought
        them back, is passed over from now on. Versions must agree with their digests. A name
        whose version is not believed then is dropped. Raises RegistryError.
        """
        if self.guard is None:
            raise RegistryError("there is no key here to sign with", Refusal.UNSIGNED)
        self._take_as_it_lies()
        with self._writing():
            for version in versions:
                self._versions.vouch(version)
                self._publish("versions", version)
            lines = self._all_lines()
            before = self._as_it_lies(lines)
            kept = {name: to for name, to in before.names.items() if self._versions.is_right(to)}
            for name in sorted(kept):
                move = {"name": name, "from": kept[name], "to": kept[name], "who": who}
                lines.append(line_saying({"at": at.isoformat(), "why": why} | move))
            self._stand(replace(before, names=kept), lines)
            return tuple(sorted(before.names.keys() - kept))

    def adopt(self, *, who: str, why: str, at: datetime) -> bool:
        """Sign what lies here if nothing of it was ever seen and it is unsigned; whether it was.

        For the first start with a key: until then nobody could have told a registry of one's
        own from another. Once something was seen, only `sign` accepts what is unsigned.
        Raises RegistryError.
        """
        if self.guard is None or self.guard.last_seen is None:
            return False
        if self.guard.last_seen.newest() is None:
            self._take_as_it_lies()
        standing, signature = self._written()
        if self.guard.last_seen.newest() is not None or signature is not None or standing.count:
            return False
        if not standing.names:
            return False
        unguarded = Versions(self.root / "versions")
        right = [version for version in self.versions() if unguarded.is_right(version)]
        self.sign(right, who=who, why=why, at=at)
        return True

    # -------------------------------------------------------------- names and moves

    def _standing(self) -> Standing:
        """Where names point, believed by the guard. Raises RegistryError."""
        if self.shared is not None:
            self.shared.pull(self._believe, self._versions.is_right)
        standing, signature = self._written()
        self._believe(standing, signature)
        if signature is not None and self.guard is not None and self.guard.last_seen is not None:
            self.guard.last_seen.note(standing.count, digest_of_state(standing.body()))
        return standing

    def _believe(self, standing: Standing, signature: Signature | None) -> None:
        if self.guard is None:
            return
        if signature is None and not standing.names:
            if self.guard.last_seen is not None and self.guard.last_seen.newest() is not None:
                raise RegistryError(
                    f"{_NAMES} is gone; restore it, or `duyet models sign` begins anew",
                    Refusal.ROLLED_BACK,
                )
            return
        self.guard.check(_NAMES, Kind.NAMES, standing.body(), signature)
        if self.guard.last_seen is not None:
            self.guard.last_seen.check(standing.count, digest_of_state(standing.body()))

    def _written(self) -> tuple[Standing, Signature | None]:
        path = self.root / _NAMES
        if not path.is_file():
            return Standing({}), None
        return standing_of(read_at_most(path, _MOST_NAMES).decode("utf-8", "replace"))

    def _as_it_lies(self, lines: Sequence[bytes]) -> Standing:
        """Where names point, whoever said so; where the moves left them if nothing says it."""
        try:
            standing = self._written()[0]
        except RegistryError:
            standing = Standing({})
        moved = {str(move["name"]): str(move["to"]) for move in map(move_of, lines)}
        return standing if standing.names else replace(standing, names=moved)

    def _lines(self, standing: Standing) -> list[bytes]:
        """The lines of the moves that led to where names point. Raises RegistryError."""
        lines = self._all_lines()
        if self.guard is None and not standing.count:
            return lines
        found = in_force(lines, standing.head)
        if found is None:
            raise RegistryError(
                f"{_MOVES} is not what was written; restore it, or `duyet models sign` accepts it",
                Refusal.CHANGED,
            )
        return list(found)

    def _all_lines(self) -> list[bytes]:
        path = self.root / _MOVES
        return lines_in(read_at_most(path, _MOST_MOVES)) if path.is_file() else []

    def _move(self, name: str, to: str, said: Mapping[str, Any]) -> None:
        standing = self._standing()
        if not _NAME.fullmatch(name) or name in self.versions():
            raise RegistryError("a name is a word in lower case that no version is called")
        version = self._versions.load(self.resolve(to)).version
        move = {"name": name, "from": standing.names.get(name), "to": version, **said}
        lines = [*self._lines(standing), line_saying(move)]
        self._stand(replace(standing, names={**standing.names, name: version}), lines)

    def _stand(self, standing: Standing, lines: Sequence[bytes]) -> None:
        """Write down the moves and, with them in force, where names point."""
        if self.guard is None and standing.count:
            raise RegistryError(
                "this registry is signed, and there is no key here to sign with",
                Refusal.UNSIGNED,
            )
        names = standing.unsigned()
        if self.guard is not None:
            seen = self.guard.last_seen.newest() if self.guard.last_seen is not None else None
            count = max(standing.count, seen[0] if seen is not None else 0) + 1
            standing = Standing(standing.names, count, chained(lines))
            names = standing.signed(self.guard.signature(Kind.NAMES, standing.body()))
        moves = b"".join(line + b"\n" for line in lines).decode()
        if self.shared is not None:
            before = self.root / _NAMES
            self.shared.stand(
                before.read_bytes() if before.is_file() else None, names=names, moves=moves
            )
        # Written down first: a move that is in force but was never noted could not be undone,
        # one that was noted and cut short is seen by where the next one starts.
        write_whole(self.root / _MOVES, moves)
        write_whole(self.root / _NAMES, names)
        if self.guard is not None and self.guard.last_seen is not None:
            self.guard.last_seen.note(standing.count, digest_of_state(standing.body()))

    def _take_as_it_lies(self) -> None:
        """Bring here what a shared place has, whoever signed it: somebody is to vouch for it."""
        if self.shared is not None:
            self.shared.pull(lambda *_: None, self._versions.is_right, at_once=True)

    def _publish(self, *folder: str) -> None:
        if self.shared is not None:
            self.shared.publish(self.root.joinpath(*folder))

    # -------------------------------------------------------------- one writer at a time

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """A folder to build in, while every other writer waits.

        What writers left that were killed is cleared away: none can be at work now.
        """
        (self.root / "versions").mkdir(parents=True, exist_ok=True)
        with self._alone():
            for left in self.root.glob(f"{DRAFT}*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            building = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.root))
            try:
                yield building
            finally:
                shutil.rmtree(building, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def registry_at(root: Path, guard: Guard | None = None, shared: Shared | None = None) -> Registry:
    """The registry in a directory; an empty one begins with the shipped champion.

    The copy is complete or absent, whenever the process ends, and two that start at once
    make the same. Raises RegistryError, also where the guard has seen names that are gone, and
    where the package does not hold the version that it was released with.
    """
    registry = Registry(root, guard, shared)
    if registry.names():
        return registry
    version = Registry(SHIPPED).resolve(CHAMPION)
    Versions(SHIPPED / "versions", Guard(None, frozenset(), released=RELEASED)).manifest(version)
    with registry._writing() as copy:
        if not registry.names():  # another process may have been first
            shutil.copytree(SHIPPED / "versions" / version, copy, dirs_exist_ok=True)
            registry._versions.place(copy, version)
            registry._publish("versions", version)
            registry._stand(Standing({CHAMPION: version}), [])
    return registry
