"""`duyet move-database`: what an operator reads of it. The moving itself: tests/storage."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.postgres import PostgresServer
from service.first_start import prepare
from service.settings import load_settings
from tests.postgres import postgres_server
from tests.test_commands import Desk, desk, empty

__all__ = ["desk", "empty", "postgres_server"]


@pytest.mark.postgres
def test_an_installation_moves_and_the_second_time_is_refused(
    desk: Desk, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(postgres_server.new_database())

    rows = desk.json("move-database", url)["rows"]
    again = desk("move-database", url)

    assert (rows["sites"], rows["comments"]) == (1, 0)
    assert again[0] == 1
    assert "the other database is in use" in again[2]
    desk.set("DUYET_DATABASE_URL", url)
    assert "pg_dump copies it" in desk("move-database", url)[2]


@pytest.mark.parametrize("url", ["sqlite:///other.db", "mysql://x", "postgresql+other://x", ""])
def test_what_is_no_address_of_postgresql_is_told_so(desk: Desk, url: str) -> None:
    status, _, said = desk("move-database", url)
    assert status == 1
    assert said == "duyet: the URL must be postgresql://USER@HOST/NAME\n"


def test_a_server_that_is_away_is_told_without_its_password(desk: Desk) -> None:
    status, out, said = desk("move-database", "postgresql://u:hunter2@127.0.0.1:1/none")
    assert (status, out) == (1, "")
    assert "away" in said
    assert "hunter2" not in said


@pytest.mark.postgres
def test_a_first_start_beside_a_file_says_how_to_go_on_with_that(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    here = {"DUYET_DATA_DIR": str(tmp_path / "var")}
    there = {"DUYET_DATABASE_URL": postgres_server.url(postgres_server.new_database())}

    first = prepare(load_settings(here), lambda: datetime(2026, 3, 1, tzinfo=UTC))
    second = prepare(load_settings(here | there), lambda: datetime(2026, 3, 1, tzinfo=UTC))

    assert first is not None
    assert "move-database" not in first
    assert second is not None
    assert f"an installation in {tmp_path / 'var' / 'duyet.db'} already" in second
