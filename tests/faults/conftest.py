"""Services that drills may break."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.running import Running
from tests.faults.servers import Server, a_server
from tests.faults.table import COMPLETE

# Makes the program of an earlier time from the project's history: at length only.
collect_ignore = [] if COMPLETE else ["test_earlier.py"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Makes services over directories of their own; what still runs at the end is ended."""
    made: list[Running] = []

    def make(directory: Path | None = None, **environment: str) -> Running:
        place = directory or tmp_path / f"service-{len(made)}"
        made.append(Running(place, environment))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def server() -> Iterator[Callable[[], Server]]:
    """Makes PostgreSQL servers with an empty database `duyet`; all are stopped at the end."""
    with ExitStack() as stack:

        def make() -> Server:
            made = stack.enter_context(a_server())
            made.create()
            return made

        yield make
