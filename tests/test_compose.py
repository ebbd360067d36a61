"""The container files, as far as they can be held without an engine to build and run them."""

import copy
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from jsonschema.validators import validator_for

from service.api import health
from service.metrics import Metrics
from service.problems import install
from service.settings import load_settings
from tests.serving import served

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = Path(sys.prefix) / "share" / "compose-spec.json"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
INSTRUCTIONS = [line for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICE = COMPOSE["services"]["duyet"]
POSTGRES = COMPOSE["services"]["postgres"]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    if not SCHEMA.is_file():
        pytest.skip("no schema of compose files here: scripts/install-compose-schema brings it")
    read: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    return read


def wrong_in(compose: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    validator = validator_for(schema)
    validator.check_schema(schema)
    return [error.json_path for error in validator(schema).iter_errors(compose)]


def test_the_compose_file_is_valid_by_its_published_schema(schema: dict[str, Any]) -> None:
    assert wrong_in(COMPOSE, schema) == []


def test_the_schema_would_notice_a_misspelt_key(schema: dict[str, Any]) -> None:
    misspelt = copy.deepcopy(COMPOSE)
    misspelt["services"]["duyet"]["depends_on"]["postgres"]["conditon"] = "service_healthy"

    assert "$.services.duyet.depends_on" in wrong_in(misspelt, schema)


def environment_of_image() -> dict[str, str]:
    line = next(line for line in INSTRUCTIONS if line.startswith("ENV "))
    return dict(pair.split("=", 1) for pair in shlex.split(line)[1:])


def test_every_variable_for_the_service_is_a_setting_of_it() -> None:
    named = {**environment_of_image(), **SERVICE["environment"]}
    ours = {name: "" for name in named if name.startswith("DUYET_")}

    load_settings(ours)  # raises for a name that is no setting

    assert {"DUYET_HOST", "DUYET_DATABASE_URL", "DUYET_PUBLIC_URL"} <= ours.keys()


def test_the_image_listens_on_all_addresses_and_keeps_its_data_in_the_volume() -> None:
    settings = load_settings(environment_of_image())

    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert f"VOLUME {settings.data_dir}" in INSTRUCTIONS
    assert SERVICE["volumes"] == [f"data:{settings.data_dir}"]


def test_the_service_may_write_nowhere_but_its_data_and_tmp() -> None:
    assert SERVICE["read_only"] is True
    assert [path.partition(":")[0] for path in SERVICE["tmpfs"]] == ["/tmp"]
    assert SERVICE["cap_drop"] == ["ALL"]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    users = [line.split()[1] for line in INSTRUCTIONS if line.startswith("USER ")]

    assert users == ["10001:10001"]
    assert "USER 10001:10001" in INSTRUCTIONS[INSTRUCTIONS.index("FROM python:3.12-slim") :]


def test_the_service_is_published_on_this_machine_only() -> None:
    assert [port.split(":")[0] for port in SERVICE["ports"]] == ["127.0.0.1"]
    assert "ports" not in POSTGRES


def test_the_proxy_knows_both_services_and_is_published_on_this_machine_only() -> None:
    services = COMPOSE["services"]
    config = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    known = set(re.findall(r"server (\S+):8000", config))

    assert known == {*SERVICE["networks"]["default"]["aliases"], "duyet-2"}
    assert services["duyet-2"]["ports"] == []
    assert services["proxy"]["ports"][0].startswith("127.0.0.1:")
    assert services["proxy"]["volumes"] == ["./deploy/nginx.conf:/etc/nginx/nginx.conf:ro"]


def test_no_file_has_a_password() -> None:
    passwords = [
        value
        for service in COMPOSE["services"].values()
        for name, value in service["environment"].items()
        if "PASSWORD" in name
    ]

    assert set(passwords) == {"${POSTGRES_PASSWORD:-}"}
    assert "PASSWORD" not in DOCKERFILE


def test_the_service_waits_for_a_healthy_postgres_where_the_profile_has_one() -> None:
    assert POSTGRES["profiles"] == ["postgres"]
    assert POSTGRES["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert SERVICE["depends_on"] == {
        "postgres": {"condition": "service_healthy", "required": False}
    }


def test_the_database_url_that_the_file_suggests_is_taken_and_fits_the_profile() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    found = re.search(r"#   DUYET_DATABASE_URL=(\S+)", text)
    assert found

    url = load_settings({"DUYET_DATABASE_URL": found[1]}).sqlalchemy_url

    made = POSTGRES["environment"]
    assert (
        url == f"postgresql+psycopg://{made['POSTGRES_USER']}@postgres:5432/{made['POSTGRES_DB']}"
    )


def test_all_that_the_image_copies_is_there_and_let_into_the_context() -> None:
    copied = [
        source
        for line in INSTRUCTIONS
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    let_in = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert sorted(f"!{source}" for source in copied) == sorted(
        line for line in let_in if line.startswith("!")
    )
    assert "*" in let_in


def test_the_image_installs_what_the_lock_says_by_hash() -> None:
    installs = [line for line in INSTRUCTIONS if " install " in line and "pip" in line]

    assert len(installs) == 2
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--require-hashes -r requirements-build.lock" in installs[1]
    assert "--no-deps --no-build-isolation" in installs[1]


class Missing:
    """What is missing for readiness."""

    def __init__(self, *problems: str) -> None:
        self._problems = problems

    def problems(self) -> Sequence[str]:
        return self._problems

    def warnings(self) -> Sequence[str]:
        return ()


def health_check(port: int) -> int:
    """The exit status of the image's own health check against this port."""
    line = next(line for line in INSTRUCTIONS if line.startswith("HEALTHCHECK "))
    command = json.loads(line.partition(" CMD ")[2])
    assert command[0] == "python"
    return subprocess.run(
        [sys.executable, *command[1:]],
        env={"DUYET_PORT": str(port)},
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=20,
    ).returncode


@pytest.mark.parametrize(("missing", "status"), [((), 0), (("no model is loaded",), 1)])
def test_the_health_check_of_the_image_tells_ready_from_not(
    missing: tuple[str, ...], status: int
) -> None:
    app = FastAPI()
    app.include_router(health.routes(Missing(*missing), Metrics()))
    install(app)

    with served(app) as port:
        answered = health_check(port)

    assert answered == status


def test_the_health_check_of_the_image_fails_where_nothing_listens() -> None:
    with served(FastAPI()) as port:
        pass

    assert health_check(port) != 0
