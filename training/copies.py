"""Count how often each of very many numbers comes, with memory for few of them at a time.

Numbers are parted by their rest into files, each of which is counted alone, and the counts are
given back in the order in which the numbers came (partitioning as for a hash join: Kitsuregawa,
Tanaka and Moto-oka 1983).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

PART = 2_000_000
"""Numbers that are counted at a time: sorting takes some 40 bytes for each."""

MOST_PARTS = 200
"""Files that are open at once; of more numbers more are counted at a time."""


class Copies:
    """Numbers that come in batches, uint64, and then once more in the same batches.

    About `numbers` are expected. The files lie in `folder`, without a name, and are gone after the
    `with`.
    """

    def __init__(self, folder: Path, numbers: int, *, part: int = PART) -> None:
        self._parts = min(MOST_PARTS, numbers // part + 1)
        self._stack = ExitStack()
        self._files = [
            self._stack.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115  the stack closes
            for _ in range(self._parts)
        ]

    def __enter__(self) -> "Copies":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, numbers: NDArray[np.uint64]) -> None:
        """Note a batch."""
        for part, at in self._parted(numbers):
            self._files[part].write(numbers[at].tobytes())

    def count(self) -> None:
        """Count what was noted; from now on `of` is asked."""
        for file in self._files:
            file.seek(0)
            noted = np.frombuffer(file.read(), np.uint64)
            _, where, times = np.unique(noted, return_inverse=True, return_counts=True)
            file.seek(0)
            file.truncate()
            file.write(times[where].astype(np.uint32).tobytes())
            file.seek(0)

    def of(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """How often each of the next batch came in all of them, itself included."""
        found = np.empty(numbers.size, np.uint32)
        for part, at in self._parted(numbers):
            found[at] = np.frombuffer(self._files[part].read(4 * at.size), np.uint32)
        return found

    def _parted(self, numbers: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        part = (numbers % np.uint64(self._parts)).astype(np.intp)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=self._parts))
        for at, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if end > begin:
                yield at, order[begin:end]
