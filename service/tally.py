"""Counting that costs the hot path next to nothing, and adding up what several workers counted.

Knows counters, histograms and gauges as plain numbers, and a directory in which the workers of
one service leave theirs. prometheus_client only writes them out: its own counting costs
microseconds for each number, several times that with several workers (docs/adr/0012).
"""

import fcntl
import json
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

Labels = tuple[str, ...]
Row = list[Any]
"""Plain JSON: label values first, then the numbers."""

Example = Mapping[str, str]
"""What an exemplar says of one request, such as its trace id: short, and nothing that was sent."""


class Instrument(Protocol):
    """One metric: numbers by the values of its labels. Safe to share between threads."""

    name: str

    def rows(self) -> list[Row]:
        """The numbers as they are now."""
        ...

    def together(self, parts: Sequence["Part"]) -> list[Row]:
        """The numbers of several workers as one."""
        ...

    def family(self, rows: Iterable[Row]) -> Metric:
        """The numbers as prometheus_client writes them."""
        ...


class Part:
    """What one worker counted of one metric, and whether it still lives."""

    __slots__ = ("lives", "rows")

    def __init__(self, rows: Sequence[Row], *, lives: bool) -> None:
        self.rows = rows
        self.lives = lives


class Counter:
    """A number that only grows. `known` are label values that are shown from the start."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str] = (), known: Iterable[Labels] = ()
    ) -> None:
        self.name = name
        self._about, self._labels = about, labels
        self._lock = Lock()
        self._counts: dict[Labels, float] = dict.fromkeys(known if labels else [()], 0.0)

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Count so much more, at least 0."""
        with self._lock:
            self._counts[labels] = self._counts.get(labels, 0.0) + amount

    def rows(self) -> list[Row]:
        """[labels, count] each."""
        with self._lock:
            return [[list(labels), count] for labels, count in self._counts.items()]

    def together(self, parts: Sequence[Part]) -> list[Row]:
        """Sums: what a worker counted stays counted when it is gone."""
        sums: dict[Labels, float] = {}
        for part in parts:
            for labels, count in part.rows:
                sums[tuple(labels)] = sums.get(tuple(labels), 0.0) + count
        return [[list(labels), count] for labels, count in sums.items()]

    def family(self, rows: Iterable[Row]) -> Metric:
        """As a counter."""
        family = CounterMetricFamily(self.name, self._about, labels=self._labels)
        for labels, count in rows:
            family.add_metric(labels, count)
        return family


class Histogram:
    """How values are spread over buckets, whose upper `bounds` rise; values are finite."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str] = (), *, bounds: Sequence[float]
    ) -> None:
        self.name = name
        self._about, self._labels = about, labels
        self._bounds = tuple(bounds)
        self._lock = Lock()
        # Counts of each bucket and of what is beyond all, then the sum; exemplars by bucket.
        self._spreads: dict[Labels, list[float]] = {}
        self._examples: dict[Labels, dict[int, tuple[Example, float, float]]] = {}
        if not labels:
            self._spreads[()] = self._nothing()

    def _nothing(self) -> list[float]:
        return [0.0] * (len(self._bounds) + 2)

    def add(self, labels: Labels, value: float, example: Example | None = None) -> None:
        """Count one value."""
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            spread = self._spreads.get(labels)
            if spread is None:
                spread = self._spreads[labels] = self._nothing()
            spread[bucket] += 1
            spread[-1] += value
            if example is not None:
                self._examples.setdefault(labels, {})[bucket] = (example, value, time.time())

    def add_many(self, labels: Labels, values: Iterable[float]) -> None:
        """Count values."""
        with self._lock:
            spread = self._spreads.setdefault(labels, self._nothing())
            for value in values:
                spread[bisect_left(self._bounds, value)] += 1
                spread[-1] += value

    def rows(self) -> list[Row]:
        """[labels, counts and sum, exemplars by bucket] each."""
        with self._lock:
            return [
                [
                    list(labels),
                    list(spread),
                    {str(b): list(e) for b, e in self._examples.get(labels, {}).items()},
                ]
                for labels, spread in self._spreads.items()
            ]

    def together(self, parts: Sequence[Part]) -> list[Row]:
        """Sums, with the newest exemplar of each bucket."""
        sums: dict[Labels, tuple[list[float], dict[str, list[Any]]]] = {}
        for part in parts:
            for labels, spread, examples in part.rows:
                if len(spread) != len(self._bounds) + 2:  # left by a program with other bounds
                    continue
                total, newest = sums.setdefault(tuple(labels), (self._nothing(), {}))
                total[:] = map(sum, zip(total, spread, strict=True))
                for bucket, example in examples.items():
                    if bucket not in newest or example[2] > newest[bucket][2]:
                        newest[bucket] = example
        return [[list(labels), total, newest] for labels, (total, newest) in sums.items()]

    def family(self, rows: Iterable[Row]) -> Metric:
        """As a histogram, its exemplars with it; a format that has none leaves them out."""
        family = HistogramMetricFamily(self.name, self._about, labels=self._labels)
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        for labels, spread, examples in rows:
            counts = accumulate(spread[:-1])
            buckets: list[Any] = []
            for at, (bound, count) in enumerate(zip(names, counts, strict=True)):
                example = examples.get(str(at))
                buckets.append((bound, count, Exemplar(*example) if example else None))
            family.add_metric(labels, buckets, spread[-1])
        return family


class Gauge:
    """A number that goes up and down.

    Of several workers it shows what the living one that set it last did (`newest`), or the
    `sum` over those that live.
    """

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        *,
        of_workers: Literal["newest", "sum"] = "newest",
    ) -> None:
        self.name = name
        self._about, self._labels = about, labels
        self._adds_up = of_workers == "sum"
        self._lock = Lock()
        self._levels: dict[Labels, tuple[float, float]] = {}

    def set(self, labels: Labels, level: float) -> None:
        """Set it."""
        with self._lock:
            self._levels[labels] = (level, time.time())

    def forget(self, labels: Labels) -> None:
        """Show it no more, until it is set again."""
        with self._lock:
            self._levels.pop(labels, None)

    def rows(self) -> list[Row]:
        """[labels, level, when it was set] each."""
        with self._lock:
            return [[list(labels), *set_to] for labels, set_to in self._levels.items()]

    def together(self, parts: Sequence[Part]) -> list[Row]:
        """Newest or sum. What the dead said last is shown only where no living worker did."""
        found: dict[Labels, tuple[float, float, bool]] = {}
        for part in parts:
            if self._adds_up and not part.lives:
                continue
            for labels, level, at in part.rows:
                key = tuple(labels)
                before = found.get(key)
                if before is None:
                    found[key] = (level, at, part.lives)
                elif self._adds_up:
                    found[key] = (before[0] + level, max(at, before[1]), True)
                elif (part.lives, at) > (before[2], before[1]):
                    found[key] = (level, at, part.lives)
        return [[list(labels), level, at] for labels, (level, at, _) in found.items()]

    def family(self, rows: Iterable[Row]) -> Metric:
        """As a gauge."""
        family = GaugeMetricFamily(self.name, self._about, labels=self._labels)
        for labels, level, _ in rows:
            family.add_metric(labels, level)
        return family


Counted = Mapping[str, list[Row]]
"""Rows by the metric's name."""


class SharedCounts:
    """A directory in which each worker leaves what it has counted, a file each.

    A file is replaced whole, and not synced: counts are no verdicts. What the dead left is
    kept, for a counter must not go down; files of the dead are gathered into one, so that
    workers that come and go do not leave ever more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A process id may be given out again; a start time makes the name nobody else's.
        self._own = f"{os.getpid()}-{time.time_ns()}.json"

    def leave(self, counted: Counted) -> None:
        """Leave what this worker has counted. Raises OSError."""
        self._write(self._own, {"counted": counted})

    def others(self) -> list[tuple[Counted, bool]]:
        """What the others left, each with whether it lives. Raises OSError."""
        with self._alone():
            gone = self._read("gone.json")
            folded = frozenset(gone.get("folded", ()))
            found = [(gone["counted"], False)] if "counted" in gone else []
            for path in self._directory.glob("*-*.json"):
                if path.name in folded or path.name == self._own:
                    continue
                read = self._read(path.name)
                if "counted" in read:
                    found.append((read["counted"], _lives(path.name)))
        return found

    def fold(self, together: Callable[[Sequence[tuple[Counted, bool]]], Counted]) -> None:
        """Gather the files of the dead into one, adding them up by `together`. Raises OSError.

        The names of what was gathered are written with the sums, in one step: a process that
        ends half way counts nothing twice.
        """
        with self._alone():
            gone = self._read("gone.json")
            folded = set(gone.get("folded", ()))
            dead = {
                path.name
                for path in self._directory.glob("*-*.json")
                if path.name != self._own and not _lives(path.name)
            }
            if fresh := dead - folded:
                parts = [(self._read(name).get("counted", {}), False) for name in fresh]
                parts += [(gone["counted"], False)] if "counted" in gone else []
                self._write("gone.json", {"counted": together(parts), "folded": sorted(dead)})
            for name in dead:
                (self._directory / name).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other worker folds: one that read between two of its steps would see less."""
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            read = json.loads((self._directory / name).read_bytes())
        except (OSError, ValueError):  # replaced or removed this moment
            return {}
        return read if isinstance(read, dict) else {}

    def _write(self, name: str, body: Mapping[str, Any]) -> None:
        handle, draft = tempfile.mkstemp(prefix=".", dir=self._directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(body, file)
            os.replace(draft, self._directory / name)
        finally:
            Path(draft).unlink(missing_ok=True)


def _lives(name: str) -> bool:
    try:
        os.kill(int(name.partition("-")[0]), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
