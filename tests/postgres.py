"""A real PostgreSQL for all tests of a run."""

from collections.abc import Iterator

import pytest

from benchmarks.postgres import HOW_TO_GET_ONE, PostgresServer, running_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_server() as server:
        if server is None:
            pytest.skip(HOW_TO_GET_ONE)
        yield server
