"""`duyet doctor` over deployments that are really broken, and over one that is well."""

import json
import os
import socket
import sqlite3
import ssl
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgres import PostgresServer
from duyet.cli import run
from service.diagnosis import Patient, data_directory, findings
from service.settings import load_settings
from service.storage.inspection import inspected
from tests.api.service import running
from tests.certificates import certificate
from tests.migrated import lay_database
from tests.postgres import postgres_server
from tests.storage.cases import Clock, asked, put, submission, verdict

__all__ = ["postgres_server"]

SECRET = "pa55-w0rd-canary"
NOBODY = 65534


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a deployment that is well and does not run."""
    for name in [name for name in os.environ if name.startswith(("DUYET_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("DUYET_PORT", "0")
    lay_database(tmp_path / "var")
    assert run(["migrate"]) == 0
    return tmp_path / "var"


def told(**changes: str) -> dict[str, Any]:
    """Every check's state, what and fix, the worst one where a check has several."""
    environ = dict(os.environ) | changes
    worst: dict[str, Any] = {}
    for finding in findings(load_settings(environ), environ):
        before = worst.get(finding.check)
        if before is None or before.state == "ok":
            worst[finding.check] = finding
    return worst


def test_a_deployment_that_is_well_has_no_failure(
    at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["doctor", "--json"])

    body = json.loads(capsys.readouterr().out)
    assert (status, body["is_well"]) == (0, True)
    assert {f["check"] for f in body["findings"]} >= {
        "settings", "data directory", "disk", "secrets", "database", "schema", "commit", "clock",
        "keys", "queue", "model", "open files", "workers", "port", "proxies", "public URL",
    }  # fmt: skip


def test_examining_changes_nothing(at: Path) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in at.rglob("*") if "duyet.db" not in path.name
    }

    told()

    after = {path: path.stat().st_mtime_ns for path in at.rglob("*") if "duyet.db" not in path.name}
    assert {path for path in after if path.is_file()} == {p for p in before if p.is_file()}
    with sqlite3.connect(at / "duyet.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)


def test_an_empty_place_is_told_how_to_begin_and_stays_empty(
    tmp_path: Path, at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(DUYET_DATA_DIR=str(tmp_path / "new"))

    assert found["data directory"].state == "fail"
    assert "`duyet serve`" in found["database"].fix
    assert not (tmp_path / "new").exists()


def test_every_wrong_setting_is_a_failure_without_its_value(
    at: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUYET_WORKERS", "0")
    monkeypatch.setenv("DUYET_DATABASE_URL", f"mysql://root:{SECRET}@db/x")

    status = run(["doctor"])

    said = capsys.readouterr().out
    assert status == 1
    assert said.count("FAIL  settings") == 2
    assert SECRET not in said


@pytest.mark.parametrize(("mode", "state"), [(0o777, "fail"), (0o755, "warn")])
def test_a_data_directory_that_is_open_to_others(at: Path, mode: int, state: str) -> None:
    at.chmod(mode)

    found = told()["data directory"]

    assert found.state == state
    assert found.fix == f"chmod 700 {at}"


def test_a_key_that_others_may_read(at: Path) -> None:
    key = at / "secrets" / "match.key"
    key.chmod(0o644)

    found = told()["secrets"]

    assert found.state == "fail"
    assert f"chmod 600 {key}" in found.fix
    assert stat.S_IMODE(key.stat().st_mode) == 0o644


def test_a_key_that_is_gone_or_broken(at: Path) -> None:
    (at / "secrets" / "token.key").write_text("x")

    found = told()["secrets"]

    assert (found.state, found.fix) == ("fail", "restore it from a backup")


def test_a_key_of_another_deployment(at: Path) -> None:
    key = at / "secrets" / "match.key"
    key.unlink()
    key.write_text(f"duyet-key-1 {'0' * 64}\n")
    key.chmod(0o600)

    found = told()["keys"]

    assert found.state == "fail"
    assert "match.key" in found.what
    assert "0000" not in found.what + found.fix


def test_an_address_key_that_the_last_comment_needs(at: Path) -> None:
    with running(at.parent / "other") as service:
        put(service.store, asked(service.site, Clock()(), submission("x")), by=verdict())
        key = at.parent / "other" / "secrets" / "address-1.key"
        key.rename(key.with_name("address-2.key"))

        found = told(DUYET_DATA_DIR=str(service.directory))["keys"]

    assert found.state == "fail"
    assert "address-1.key" in found.what


@pytest.fixture
def not_ours() -> Iterator[Path]:
    """A directory that this process may look into and not write to, even when it is root."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield directory
    finally:
        if is_root:
            os.seteuid(0)
        directory.rmdir()


def test_a_directory_that_cannot_be_written_by_the_service_s_user(not_ours: Path) -> None:
    settings = load_settings({"DUYET_DATA_DIR": str(not_ours)})

    [found] = data_directory(Patient(settings, {}))

    assert found.state == "fail"
    assert "cannot be written (Permission denied)" in found.what
    assert "DUYET_DATA_DIR" in found.fix


@pytest.mark.parametrize(
    ("revision", "fix"), [("9999", "newer"), (None, "`duyet migrate`")], ids=["newer", "empty"]
)
def test_a_schema_that_is_not_this_program_s(at: Path, revision: str | None, fix: str) -> None:
    with sqlite3.connect(at / "duyet.db") as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))

    found = told()["schema"]

    assert found.state == "fail"
    assert fix in found.fix


def test_a_file_that_is_no_database(at: Path) -> None:
    for file in at.glob("duyet.db*"):
        file.unlink()
    (at / "duyet.db").write_bytes(b"canary" * 1000)

    found = told()["database"]

    assert found.state == "fail"
    assert "canary" not in found.what


def test_a_model_with_a_changed_byte(at: Path) -> None:
    [table] = (at / "models" / "versions").glob("*/table.npy")
    content = bytearray(table.read_bytes())
    content[-1] ^= 1
    table.write_bytes(content)

    found = told()["model"]

    assert found.state == "fail"
    assert "table.npy is not what was written" in found.what
    assert "rollback" in found.fix


def test_a_registry_that_nobody_signed(at: Path) -> None:
    names = at / "models" / "names.json"
    names.write_text(json.dumps(json.loads(names.read_text())["names"]))

    found = told()["model"]

    assert found.state == "fail"
    assert "names.json is not signed" in found.what
    assert "duyet models sign" in found.fix


def test_a_port_that_another_program_has(at: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = told(DUYET_PORT=str(listener.getsockname()[1]))["port"]
        thread.join()

    assert found.state == "fail"
    assert "stop it" in found.fix


def test_the_running_service_is_recognised(at: Path) -> None:
    with running(at.parent / "live") as service:
        found = told(DUYET_DATA_DIR=str(service.directory), DUYET_PORT=str(service.port))

    assert found["port"].state == "ok"
    assert "is ready" in found["port"].what
    assert found["database"].state == "ok"


def test_a_running_service_that_is_not_ready(at: Path) -> None:
    with running(at.parent / "live", has_model=False) as service:
        found = told(DUYET_DATA_DIR=str(service.directory), DUYET_PORT=str(service.port))

    assert found["port"].state == "fail"
    assert found["model"].state == "fail"


def test_what_waits_for_days_is_a_warning(at: Path) -> None:
    with running(at.parent / "live") as service:
        clock = Clock()
        clock.at = datetime.now(UTC) - timedelta(days=3)
        put(service.store, asked(service.site, clock(), submission("x")), by=verdict(spam=0.6))
        found = told(DUYET_DATA_DIR=str(service.directory))["queue"]

    assert found.state == "warn"
    assert found.what.startswith("1 wait, the oldest for 7")


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("workers", {"DUYET_WORKERS": "2"}),
        ("proxies", {"DUYET_TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}),
        ("proxies", {"DUYET_HOST": "0.0.0.0"}),
        ("public URL", {"DUYET_PUBLIC_URL": "http://comments.example"}),
    ],
)
def test_settings_that_work_and_should_not_be(
    at: Path, check: str, changes: dict[str, str]
) -> None:
    found = told(**changes)[check]

    assert found.state != "ok"
    assert found.fix


# ------------------------------------------------------------------ PostgreSQL


def test_a_database_that_nobody_listens_for(at: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]

    found = told(DUYET_DATABASE_URL=f"postgresql://duyet:{SECRET}@127.0.0.1:{free}/duyet")

    assert found["database"].state == "fail"
    assert SECRET not in "".join(f.what + f.fix for f in found.values())


@pytest.mark.postgres
def test_a_postgresql_whose_commits_do_not_wait_for_the_disk(
    at: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(postgres_server.new_database())

    found = told(DUYET_DATABASE_URL=url)  # the tests' own server runs with fsync off

    assert found["database"].state == "fail"
    assert "fsync = on" in found["database"].fix
    assert found["schema"].fix == "run `duyet migrate`"
    assert found["clock"].state == "ok"


@pytest.mark.postgres
def test_looking_at_a_postgresql_leaves_nothing_there(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.new_database())

    first, second = inspected(url), inspected(url)

    assert first.schema_at is None
    assert second.schema_at is None
    assert first.commit > timedelta(0)


# ------------------------------------------------------------------ certificates


@contextmanager
def https_server(directory: Path, *, days: float) -> Iterator[tuple[int, Path]]:
    """A port that speaks TLS as `localhost`, and the file of who signed for it."""
    context, pem = certificate(directory, days=days)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def greet() -> None:
            connection, _ = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except (ssl.SSLError, OSError):
                connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        yield listener.getsockname()[1], pem
        thread.join()


@pytest.mark.parametrize(
    ("days", "trusted", "state"),
    [(90.5, True, "ok"), (3.5, True, "warn"), (-1.0, True, "fail"), (90.5, False, "fail")],
)
def test_the_certificate_of_the_public_url(
    at: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: float,
    trusted: bool,
    state: str,
) -> None:
    with https_server(tmp_path, days=days) as (port, pem):
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        found = told(DUYET_PUBLIC_URL=f"https://localhost:{port}")["certificate"]

    assert found.state == state
