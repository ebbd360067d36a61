import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import FastAPI, HTTPException, Query

from service.api import docs, health
from service.logs import RequestLog, SafeFormatter
from service.metrics import Metrics
from service.problems import KINDS, FieldError, Problem, install
from tests.serving import exchanged, request, served

CANARY = "canary.bird@example.org"


class StoreIsAway(Exception):
    pass


class Shelf:
    def __init__(self) -> None:
        self.missing = ["no model is loaded", "the schema is out of date"]

    def problems(self) -> list[str]:
        return self.missing

    def warnings(self) -> list[str]:
        return []


def app_that_fails(shelf: Shelf, metrics: Metrics) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/numbers")
    async def numbers(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> int:
        return limit

    @app.get("/broken/{name}")
    async def broken(name: str) -> None:
        try:
            raise KeyError(name)
        except KeyError as error:
            raise ValueError(f"INSERT … [parameters: ({name!r})]") from error

    @app.get("/away")
    async def away() -> None:
        raise StoreIsAway(CANARY)

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403, detail=f"not for {CANARY}")

    @app.get("/form")
    async def form() -> None:
        errors = [FieldError("author.email", "email_invalid", "Địa chỉ không hợp lệ.")]
        raise Problem("submission_invalid", errors=errors, more={"verdict": "reject"})

    app.include_router(health.routes(shelf, metrics))
    docs.install(app)
    install(app, {StoreIsAway: "store_unavailable"})
    app.add_middleware(RequestLog, seen=metrics.exchanged)
    return app


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter(as_json=True))
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def port(shelf: Shelf, metrics: Metrics, logged: io.StringIO) -> Iterator[int]:
    with served(app_that_fails(shelf, metrics)) as port:
        yield port


def got(port: int, path: str, method: str = "GET") -> tuple[str, bytes]:
    head, _, body = exchanged(port, request(path, method=method)).partition(b"\r\n\r\n")
    return head.decode().lower(), body


def problem_at(port: int, path: str, method: str = "GET") -> dict[str, object]:
    head, body = got(port, path, method)
    assert "content-type: application/problem+json" in head
    problem: dict[str, object] = json.loads(body)
    assert head.startswith(f"http/1.1 {problem['status']} ")
    assert problem["type"] == f"/docs/problems#{problem['code']}"
    return problem


def test_an_unknown_address_is_a_problem(port: int) -> None:
    assert problem_at(port, "/nothing/here")["code"] == "not_found"


def test_a_wrong_method_says_which_is_right(port: int) -> None:
    head, body = got(port, "/numbers", method="DELETE")

    assert json.loads(body)["code"] == "wrong_method"
    assert "allow: get" in head


def test_a_wrong_parameter_is_named_with_what_would_be_right(port: int) -> None:
    problem = problem_at(port, f"/numbers?limit={CANARY}")

    assert problem["errors"] == [
        {"field": "limit", "code": "wrong_type", "message": "must be a whole number"}
    ]


def test_a_parameter_out_of_range_is_told_the_range(port: int) -> None:
    problem = problem_at(port, "/numbers?limit=101")

    assert problem["errors"] == [
        {"field": "limit", "code": "out_of_range", "message": "must be 100 or less"}
    ]


def test_the_text_of_an_exception_is_never_answered(port: int) -> None:
    problem = problem_at(port, "/refused")

    assert problem == {
        "type": "/docs/problems#not_allowed",
        "title": "This is not allowed",
        "status": 403,
        "code": "not_allowed",
    }


def test_an_exception_of_ours_has_its_own_code_and_says_when_to_come_back(port: int) -> None:
    head, body = got(port, "/away")

    assert json.loads(body)["code"] == "store_unavailable"
    assert "retry-after: 5" in head


def test_a_problem_carries_its_errors_and_members_of_its_own(port: int) -> None:
    problem = problem_at(port, "/form")

    assert problem["verdict"] == "reject"
    assert problem["errors"] == [
        {
            "field": "author.email",
            "code": "email_invalid",
            "message": "Địa chỉ không hợp lệ.",
        }
    ]


def test_an_unexpected_error_is_answered_with_the_id_it_is_logged_under(
    port: int, logged: io.StringIO
) -> None:
    problem = problem_at(port, f"/broken/{CANARY}")

    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    error = next(line for line in lines if line["level"] == "error")
    assert error["request_id"] == problem["error_id"]
    assert "builtins.ValueError" in error["exception"]
    assert "builtins.KeyError" in error["exception"]
    assert "in broken" in error["exception"]


@pytest.mark.parametrize(
    "path",
    [
        f"/broken/{CANARY}",
        f"/numbers?limit={CANARY}",
        f"/nothing/{CANARY}?q={CANARY}",
        "/away",
        "/refused",
        "/readyz",
    ],
)
def test_neither_answer_nor_log_repeats_what_was_sent(
    port: int, logged: io.StringIO, path: str
) -> None:
    answer = exchanged(port, request(path, method="GET", headers=f"X-Request-ID: {CANARY}\r\n"))

    assert logged.getvalue()
    assert "canary" not in (answer.decode() + logged.getvalue()).lower()


def test_not_being_ready_names_what_is_missing(port: int) -> None:
    problem = problem_at(port, "/readyz")

    assert problem["status"] == 503
    assert problem["detail"] == "no model is loaded; the schema is out of date"


def test_ready_and_alive_are_said_plainly(port: int, shelf: Shelf) -> None:
    shelf.missing = []

    assert got(port, "/readyz")[1] == b'{"status":"ready"}'
    assert got(port, "/healthz")[1] == b'{"status":"alive"}'


def test_the_log_line_has_the_route_and_not_the_path(port: int, logged: io.StringIO) -> None:
    got(port, "/broken/something?a=b")

    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    line = next(line for line in lines if line["message"] == "request")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/broken/{name}", 500)
    assert line["ms"] >= 0


def test_metrics_count_by_route_and_never_by_path(port: int) -> None:
    got(port, f"/nothing/{CANARY}")
    got(port, "/broken/something")

    head, body = got(port, "/metrics")

    assert "text/plain" in head
    assert b'duyet_requests_total{method="GET",route="unmatched",status="404"} 1.0' in body
    assert b'duyet_requests_total{method="GET",route="/broken/{name}",status="500"} 1.0' in body
    assert b"canary" not in body


def test_the_page_of_problems_has_every_code(port: int) -> None:
    _, body = got(port, "/docs/problems")

    assert [code for code in KINDS if f'id="{code}"'.encode() not in body] == []


def test_a_code_that_does_not_exist_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        Problem("no_such_code")


def test_every_metric_has_its_row_in_the_docs(metrics: Metrics) -> None:
    names = re.findall(rb"^# TYPE (duyet_\w+) ", metrics.text()[0], re.MULTILINE)

    docs_text = (Path(__file__).parents[1] / "docs" / "operating.md").read_text(encoding="utf-8")

    documented = [name for name in names if not name.endswith(b"_created")]
    assert len(documented) > 25
    assert [name for name in documented if f"| `{name.decode()}` |" not in docs_text] == []


COUNTED_BY_TWO = """
import os, subprocess, sys
from datetime import UTC, datetime
from pathlib import Path
from service.logs import Exchange
from service.metrics import Metrics, shared_by_workers

if len(sys.argv) == 2:
    environ = os.environ | shared_by_workers(Path(sys.argv[1]))
    for last in ("", "text"):
        subprocess.run([sys.executable, __file__, sys.argv[1], last], env=environ, check=True)
else:
    metrics = Metrics()
    metrics.exchanged(Exchange("GET", "/healthz", 200, 0.01))
    metrics.queue_is(5, None, datetime.now(UTC))
    metrics.model_is("champion", "one")
    metrics.model_is("champion", "two")
    metrics.share()
    if sys.argv[2]:
        sys.stdout.write(metrics.text()[0].decode())
"""


def test_several_workers_count_as_one(tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(COUNTED_BY_TWO, encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=True
    )

    lines = ran.stdout.splitlines()
    assert 'duyet_requests_total{method="GET",route="/healthz",status="200"} 2.0' in lines
    assert "duyet_queue_size 5.0" in lines
    assert 'duyet_model_info{name="champion",version="one"} 0.0' in lines
    assert 'duyet_model_info{name="champion",version="two"} 1.0' in lines
