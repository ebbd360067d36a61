import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from service.api import docs
from service.problems import install
from tests.serving import exchanged, request, served


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = FastAPI(title="Duyet <api>", docs_url=None, redoc_url=None)
    docs.install(app)
    install(app)
    with served(app) as port:
        yield port


def got(port: int, path: str) -> tuple[str, bytes]:
    head, _, body = exchanged(port, request(path, method="GET")).partition(b"\r\n\r\n")
    return head.decode().lower(), body


def linked_from(page: bytes) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page.decode())


def test_everything_the_page_loads_is_served_here(port: int) -> None:
    _, page = got(port, "/docs")

    statuses = {link: got(port, f"/{link}")[0].split(" ")[1] for link in linked_from(page)}

    assert len(statuses) == 5
    assert set(statuses.values()) == {"200"}


def test_the_policy_allows_no_other_host_and_no_script_in_the_page(port: int) -> None:
    head, page = got(port, "/docs")

    policy = re.search("content-security-policy: (.*)", head)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src 'self';" in policy[1]
    assert "http" not in policy[1]
    assert re.findall(rb"<script(?! src=)", page) == []
    assert re.findall(rb"https?://", page) == []


def test_the_explorer_does_not_send_the_schema_to_a_validator(port: int) -> None:
    assert b"validatorUrl: null" in got(port, "/docs/start.js")[1]


def test_the_title_is_escaped(port: int) -> None:
    assert b"<title>Duyet &lt;api&gt;</title>" in got(port, "/docs")[1]


@pytest.mark.parametrize(
    "name", ["redoc.standalone.js", "..%2Fcore.py", "%2e%2e/core.py", "a" * 99]
)
def test_only_the_explorers_own_files_are_served(port: int, name: str) -> None:
    head, _ = got(port, f"/docs/assets/{name}")

    assert head.split(" ")[1] in {"404", "422"}
