import io
import json
import logging
import subprocess
import sys

import pytest

from service.logs import SafeFormatter, described

CANARY = "canary.bird@example.org"


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter(as_json=request.param == "json"))
    logger = logging.Logger("service.test", logging.DEBUG)
    logger.addHandler(handler)
    return logger, stream


def json_line(logger: logging.Logger, stream: io.StringIO) -> dict[str, object]:
    handler = logger.handlers[0]
    handler.setFormatter(SafeFormatter(as_json=True))
    logger.info("one %s", "line", extra={"rule": "links.too_many", "hits": 3})
    line: dict[str, object] = json.loads(stream.getvalue())
    return line


def test_a_line_is_one_json_object(written: tuple[logging.Logger, io.StringIO]) -> None:
    line = json_line(*written)

    assert line["message"] == "one line"
    assert (line["level"], line["logger"]) == ("info", "service.test")
    assert (line["rule"], line["hits"]) == ("links.too_many", 3)


def test_an_address_in_the_message_is_masked(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = written

    logger.debug("sent by %s", CANARY)

    assert "sent by c•••@example.org" in stream.getvalue()


@pytest.mark.parametrize(
    "extra",
    [{"who": CANARY}, {CANARY: 1}, {"all": [CANARY]}, {"url": "/?e=canary.bird%40example.org"}],
)
def test_an_address_in_an_extra_is_masked(
    written: tuple[logging.Logger, io.StringIO], extra: dict[str, object]
) -> None:
    logger, stream = written

    logger.debug("sent", extra=extra)

    assert "canary" not in stream.getvalue()


def test_an_exception_shows_types_and_places_but_no_message(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = written
    try:
        try:
            raise KeyError("secret one")
        except KeyError as cause:
            raise ValueError(f"secret two {CANARY}") from cause
    except ValueError:
        logger.exception("it broke")

    text = stream.getvalue()
    assert "builtins.ValueError" in text
    assert "builtins.KeyError" in text
    assert "in test_an_exception_shows_types" in text
    assert "secret" not in text
    assert "canary" not in text


def test_a_line_break_cannot_forge_a_line(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = written

    logger.info("a\nlevel=critical\r\x1b[31m\u2028\x85b")

    assert len(stream.getvalue().splitlines()) == 1


def test_half_a_surrogate_pair_does_not_lose_the_line(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = written

    logger.info("cut %s here", "\ud83d")

    assert stream.getvalue().encode("utf-8")
    assert "cut" in stream.getvalue()


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError("x"), KeyError("y")
    first.__cause__, second.__cause__ = second, first

    text = described(first)

    assert text.count("builtins.KeyError") == 1


def test_the_parts_of_a_group_are_described() -> None:
    text = described(ExceptionGroup("x", [ValueError("y"), OSError("z")]))

    assert "builtins.ValueError" in text
    assert "builtins.OSError" in text


# Run apart: what `configure` changes belongs to the whole process.
CONFIGURED = """
import logging, sys, threading, warnings
from service.logs import configure
configure("debug", "json")
address = "canary.bird" + "@example.org"
{code}
"""


@pytest.mark.parametrize(
    "code",
    [
        "logging.getLogger('service').debug('to %s', address)",
        "logging.getLogger('service').debug('to %d', address)",
        "logging.getLogger('uvicorn.access').info('GET /?e=%s', address)",
        "logging.getLogger('python_multipart').debug('data %s', address)",
        "logging.getLogger('sqlalchemy.engine').info('[%s]', address)",
        "logging.getLogger('asyncio').error('Task exception=ValueError(%r)', address)",
        "warnings.warn('about ' + address)",
        "t = threading.Thread(target=int, args=(address,)); t.start(); t.join()",
        "int(address)",
    ],
)
def test_no_way_to_write_a_line_shows_an_address(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CONFIGURED.format(code=code)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "canary" not in ran.stdout + ran.stderr


def test_what_nothing_caught_is_one_line_with_its_type() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CONFIGURED.format(code="int(address)")],
        capture_output=True,
        text=True,
        check=False,
    )

    line = json.loads(ran.stderr)
    assert line["level"] == "critical"
    assert line["exception"].startswith("builtins.ValueError")
    assert ran.returncode == 1
