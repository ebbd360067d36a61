"""A thread that does one piece of work after the other for an event loop.

`concurrent.futures` does that too. Its locks, and a future on either side, were a third of what it
takes to hand over a comment that comes alone and to get its answer back (docs/serving-speed.md).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class WorkThread:
    """One thread, which begins with its first work. Called on event loops, but for `shutdown`."""

    def __init__(self, name: str) -> None:
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._go, name=name, daemon=True)
        self._has_ended = False

    async def do(self, work: Callable[[], T], *, stand_still_seconds: float = 0.0) -> T:
        """What `work` gives or raises. The event loop may stand still for so long meanwhile.

        Raises RuntimeError after `shutdown`.
        """
        if stand_still_seconds:
            beside: Future[T] = Future()
            self._put(partial(_fulfil, beside, work))
            with suppress(TimeoutError):
                return beside.result(stand_still_seconds)
            return await asyncio.wrap_future(beside)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._put(partial(_work_for, loop, done, work))
        return await done

    def shutdown(self) -> None:
        """End the thread once all its work is done."""
        self._has_ended = True
        if self._thread.ident is not None:
            self._todo.put(None)
            self._thread.join()

    def _put(self, job: Callable[[], None]) -> None:
        if self._has_ended:
            raise RuntimeError("the thread has ended")
        if self._thread.ident is None:
            self._thread.start()
        self._todo.put(job)

    def _go(self) -> None:
        while (job := self._todo.get()) is not None:
            job()
            del job  # else what it holds would be kept until the next one comes


Outcome = tuple[T | None, BaseException | None]


def _outcome(work: Callable[[], T]) -> Outcome[T]:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001  it belongs to whoever waits
        return None, error


def _fulfil(beside: Future[T], work: Callable[[], T]) -> None:
    if beside.set_running_or_notify_cancel():
        _settle(beside, _outcome(work))


def _work_for(
    loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], work: Callable[[], T]
) -> None:
    outcome = _outcome(work)
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(_unless_gone, done, outcome)


def _unless_gone(done: asyncio.Future[T], outcome: Outcome[T]) -> None:
    if not done.done():  # whoever waited was cancelled
        _settle(done, outcome)


def _settle(future: Any, outcome: Outcome[T]) -> None:
    result, error = outcome
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
