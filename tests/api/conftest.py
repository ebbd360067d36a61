"""One running service for the tests of a module, and one of its own for a test that needs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, running
from tests.postgres import postgres_server

__all__ = ["postgres_server"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service whose database nobody has written to."""
    with running(tmp_path / "var") as service:
        yield service
