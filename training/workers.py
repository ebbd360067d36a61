"""Who does the work: this process, processes and threads beside it, or a cluster.

Knows how tasks are handed out so that results come back in order, no more are under way than fit,
and sums of arrays have the same bytes whoever did the parts. Does not know what is done.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Thread
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Result = TypeVar("Result")
Given_co = TypeVar("Given_co", covariant=True)

FAN = 16
"""Parts that are added up one after another, before their sum is a part of the next level."""

LOADED = ("training.scoring", "training.shards")
"""What processes work with, and all that it imports."""


class WorkStopped(Exception):
    """A worker was ended from outside; what is finished is kept in the work directory."""


class Awaited(Protocol[Given_co]):
    """What will be there: a future of whatever kind."""

    def result(self) -> Given_co:
        """What it is, when it is there."""
        ...


class Workers(Protocol):
    """Hands out tasks, each a function's arguments, and gives results in the tasks' order."""

    def each(
        self, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """The result of each task, few of them waiting at a time."""
        ...

    def total(
        self, function: Callable[..., Floats], shared: Any, tasks: Iterable[tuple[Any, ...]]
    ) -> Floats:
        """The sum of arrays of one shape, added as `Sum` does; `shared` is their first argument."""
        ...


class Sum:
    """A sum in a fixed tree: `FAN` parts in order make one of the next level, and so on.

    So the parts of a level can be added anywhere, and the sum is the same to the last byte.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[int, Floats] | None] = []

    def add(self, part: Floats, level: int = 0) -> None:
        """Add a part; it is the sum's from now on and may be changed."""
        if level == len(self._levels):
            self._levels.append(None)
        here = self._levels[level]
        count, so_far = (1, part) if here is None else (here[0] + 1, here[1])
        if here is not None:
            so_far += part
        if count == FAN:
            self._levels[level] = None
            self.add(so_far, level + 1)
        else:
            self._levels[level] = count, so_far

    def whole(self) -> Floats:
        """The sum of all parts. Raises ValueError for none."""
        for level in range(len(self._levels) - 1):
            here = self._levels[level]
            if here is not None:
                self._levels[level] = None
                self.add(here[1], level + 1)
        [*_, last] = (here for here in self._levels if here is not None)
        return last[1]


def added(*parts: Floats) -> Floats:
    """The sum of parts, in order."""
    whole = parts[0].copy()
    for part in parts[1:]:
        whole += part
    return whole


def _end_with_parent() -> None:
    """End this process when the training is gone, however it went: nobody else would ask it."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a process of a pool"

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class Local:
    """This machine: `jobs` processes make rows and scores, as many threads add up gradients.

    One job works in this very process.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def each(
        self, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """As in `Workers`. Raises WorkStopped where a process was killed."""
        if self._jobs == 1:
            for task in tasks:
                yield function(*task)
            return
        # From a server that has imported it all: a fork of this process would take its locks and
        # memory along, and a fresh one imports for seconds.
        context = get_context("forkserver")
        context.set_forkserver_preload(list(LOADED))
        pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_end_with_parent)
        try:
            with pool:
                yield from in_order(pool.submit, function, tasks, 2 * self._jobs)
        except BrokenProcessPool:
            raise WorkStopped("a process of the training was killed") from None

    def total(
        self, function: Callable[..., Floats], shared: Any, tasks: Iterable[tuple[Any, ...]]
    ) -> Floats:
        """As in `Workers`."""
        whole = Sum()
        if self._jobs == 1:
            for task in tasks:
                whole.add(function(shared, *task))
            return whole.whole()
        with ThreadPoolExecutor(self._jobs) as pool:
            with_shared = ((shared, *task) for task in tasks)
            for part in in_order(pool.submit, function, with_shared, self._jobs + 1):
                whole.add(part)
        return whole.whole()


def in_order(
    submit: Callable[..., Awaited[Any]],
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    most: int,
) -> Iterator[Result]:
    """The result of each task, in order, while at most so many are under way."""
    waiting: deque[Awaited[Any]] = deque()
    for task in tasks:
        waiting.append(submit(function, *task))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
