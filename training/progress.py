"""How far long work is: a bar on a terminal, or lines of JSON for a machine.

Knows how the work's stages share its time, and the clock. Does not know what is done in them.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, TextIO

import click

Tell = Callable[[str, float], None]
"""Told a stage, and the share of it that is done, 0 to 1."""

FORMS = ("bar", "json", "none")
_BAR = 1000
_TELLING = 0.03
"""The share of all work before which nobody can say how long the rest takes."""


class Shown:
    """Turns shares of stages into shares of the whole, and tells them on.

    `stages` are in order, with what share of all time each takes; they need not come to 1.
    """

    def __init__(
        self,
        stages: Mapping[str, float],
        told: Callable[[str, float, int | None], None],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stages = stages
        self._told = told
        self._clock = clock
        self._begun = clock()
        self._done = 0.0

    def __call__(self, stage: str, done: float) -> None:
        """Note how far a stage is. What is done is never told to be less than before."""
        names = list(self._stages)
        before = sum(self._stages[name] for name in names[: names.index(stage)])
        whole = sum(self._stages.values())
        self._done = max(self._done, (before + self._stages[stage] * min(1.0, done)) / whole)
        self._told(stage, self._done, self._seconds_left())

    def _seconds_left(self) -> int | None:
        if self._done < _TELLING:
            return None
        taken = self._clock() - self._begun
        return round(taken / self._done - taken)


@contextmanager
def shown(form: str, stages: Mapping[str, float]) -> Iterator[Tell]:
    """A way to say how far work is: in one of FORMS; the bar is on a terminal alone."""
    if form == "json":
        yield Shown(stages, lambda *told: write_line(line_of(*told)))
    elif form == "none" or not sys.stderr.isatty():
        yield lambda _, __: None
    else:
        with click.progressbar(length=_BAR, file=sys.stderr, show_percent=True) as bar:

            def told(stage: str, done: float, _: int | None) -> None:
                bar.label = stage
                bar.update(round(done * _BAR) - bar.pos)

            yield Shown(stages, told)


def line_of(stage: str, done: float, seconds_left: int | None) -> dict[str, Any]:
    """What a machine is told: the stage, the share of the whole, and seconds or null."""
    return {"stage": stage, "done": round(done, 4), "seconds_left": seconds_left}


def write_line(body: object, stream: TextIO | None = None) -> None:
    """Write a line of JSON at once: whoever reads it waits for each."""
    to = sys.stdout if stream is None else stream
    to.write(json.dumps(body, ensure_ascii=False, allow_nan=False) + "\n")
    to.flush()
