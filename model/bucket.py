"""A registry of models in a bucket of an S3-compatible store, with a copy in a directory.

The one module of the domain that uses `obstore` (docs/adr/0034), and imported only where a
bucket was asked for. Objects have the names of the registry's files. Names and moves are put on
condition that they are still those which were read, so that of two who move at once one is
told. Checks nothing that it brings but sizes and names: the registry does.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
)
from obstore.store import S3Store

from model.durable import DRAFT, sync_folder, write_whole
from model.moves import standing_of
from model.refusals import Refusal, RegistryError
from model.shared import Believes

ASK_SECONDS = 2.0
"""How often a process looks whether names moved."""

_NAMES, _MOVES = "names.json", "moves.jsonl"
_MOST = 2**26  # of names, moves and each file of a report
_MOST_OF_A_VERSION = 2**31
_AWAY = (BaseError, OSError)


class Bucket:
    """A bucket's objects under a prefix, and the directory that they are brought to."""

    def __init__(
        self, url: str, directory: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`url` is s3://BUCKET or s3://BUCKET/PREFIX. Who may read and write, where, and in

        which region is what the library reads from AWS_… in the environment. Raises ValueError.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError("a bucket is s3://BUCKET or s3://BUCKET/PREFIX")
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            # http is for a store on a private network; the endpoint says which it is.
            client_options={"allow_http": True, "timeout": "10s", "connect_timeout": "3s"},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        )
        self._directory = directory
        self._clock = clock
        self._asked = float("-inf")
        self._tag: str | None = None  # of names that were taken over
        self._is_away = False
        self._refused: RegistryError | None = None

    @property
    def is_away(self) -> bool:
        """As `Shared` says."""
        return self._is_away

    def pull(
        self, believes: Believes, is_right: Callable[[str], bool], *, at_once: bool = False
    ) -> None:
        """As `Shared` says; asks at most every two seconds."""
        if at_once or self._clock() - self._asked >= ASK_SECONDS:
            self._asked = self._clock()
            self._directory.mkdir(parents=True, exist_ok=True)
            with self._alone() as is_alone:
                if is_alone:  # else somebody writes or pulls: soon again
                    self._refused = self._pulled(believes, is_right)
        if self._refused is not None:
            raise RegistryError(str(self._refused), self._refused.refusal)

    def fetch(self, version: str) -> None:
        """As `Shared` says."""
        if not version.isalnum() or not version.isascii():
            return
        with _told():
            self._fetch_folder(f"versions/{version}", _MOST_OF_A_VERSION)

    def fetch_report(self, challenger: str, champion: str) -> None:
        """As `Shared` says. Where the bucket does not answer, what is here stays good."""
        try:
            self._fetch_folder(f"reports/{challenger}/{champion}", _MOST)
        except _AWAY:
            return

    def publish(self, folder: Path) -> None:
        """As `Shared` says. What names the others comes last."""
        base = folder.relative_to(self._directory).as_posix()
        files = sorted(folder.iterdir(), key=lambda path: path.name in _LAST)
        with _told():
            for path in files:
                obstore.put(self._store, f"{base}/{path.name}", path)

    def stand(self, before: bytes | None, *, names: str, moves: str) -> None:
        """As `Shared` says."""
        with _told():
            found, names_tag = self._read(_NAMES)
            if found != before:
                raise RegistryError(
                    "somebody else moved a name in the bucket; look again", Refusal.OVERTAKEN
                )
            _, moves_tag = self._read(_MOVES)
            self._put(_MOVES, moves, moves_tag)
            self._put(_NAMES, names, names_tag)

    # -------------------------------------------------------------- one step each

    def _pulled(self, believes: Believes, is_right: Callable[[str], bool]) -> RegistryError | None:
        """Take over what is new; why it is refused, or None."""
        try:
            self._take_over(believes, is_right)
        except RegistryError as problem:
            if problem.refusal is not Refusal.AWAY:
                return problem
            self._is_away = True
            return self._refused
        except NotModifiedError:
            self._is_away = False
        except _AWAY:
            self._is_away = True
            return self._refused  # as before
        return None

    def _take_over(self, believes: Believes, is_right: Callable[[str], bool]) -> None:
        names, tag = self._read(_NAMES, unless=self._tag)
        self._is_away = False
        here = self._directory / _NAMES
        if names is None or (here.is_file() and here.read_bytes() == names):
            self._tag = tag
            return
        standing, signature = standing_of(names.decode("utf-8", "replace"))
        believes(standing, signature)
        for version in sorted(set(standing.names.values())):
            if not is_right(version):
                self.fetch(version)
        moves, _ = self._read(_MOVES)
        write_whole(self._directory / _MOVES, (moves or b"").decode("utf-8", "replace"))
        write_whole(here, names.decode("utf-8", "replace"))
        self._tag = tag

    def _fetch_folder(self, base: str, most: int) -> None:
        """Bring the objects under a prefix, all or none."""
        objects = [
            found for batch in obstore.list(self._store, prefix=f"{base}/") for found in batch
        ]
        plain = {found["path"].removeprefix(f"{base}/"): found["size"] for found in objects}
        plain = {name: size for name, size in plain.items() if name and "/" not in name}
        if not plain:
            return
        if sum(plain.values()) > most:
            raise RegistryError(f"{base} is longer than it can be", Refusal.CHANGED)
        target = self._directory / base
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._directory))
        try:
            for name, size in plain.items():
                body = (
                    obstore.get_range(self._store, f"{base}/{name}", start=0, end=size)
                    if size
                    else b""
                )
                (building / name).write_bytes(bytes(body))
            sync_folder(building)
            os.chmod(building, 0o755)
            shutil.rmtree(target, ignore_errors=True)
            os.rename(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _read(self, name: str, *, unless: str | None = None) -> tuple[bytes | None, str | None]:
        """An object and its tag; None for none. Raises NotModifiedError where it has `unless`."""
        try:
            found = obstore.get(
                self._store, name, options={"if_none_match": unless} if unless else None
            )
        except (FileNotFoundError, NotFoundError):
            return None, None
        if found.meta["size"] > _MOST:
            raise RegistryError(f"{name} is longer than it can be", Refusal.CHANGED)
        return bytes(found.bytes()), found.meta["e_tag"]

    def _put(self, name: str, text: str, tag: str | None) -> None:
        try:
            if tag is None:
                obstore.put(self._store, name, text.encode(), mode="create")
            else:
                obstore.put(self._store, name, text.encode(), mode={"e_tag": tag})
        except (AlreadyExistsError, PreconditionError):
            raise RegistryError(
                "somebody else moved a name in the bucket; look again", Refusal.OVERTAKEN
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else writes to the directory, and then nobody may."""
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)


_LAST = ("manifest.json", "signature.json")


@contextmanager
def _told() -> Iterator[None]:
    """Say that the bucket does not answer as the registry says what is wrong."""
    try:
        yield
    except _AWAY as problem:
        # Its own text may hold an address with a signature in it.
        raise RegistryError(
            f"the bucket of models does not answer ({type(problem).__name__})", Refusal.AWAY
        ) from None
