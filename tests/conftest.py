"""What holds for every test: no network beyond loopback, no waiting, no silent skips in CI."""

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.faults.table import TABLE

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
LONGEST_SLEEP_SECONDS = 0.5

# No deadlines: how fast a machine is, is no property of the code. In CI the examples are the
# same each time, so that a run that fails fails again.
settings.register_profile(
    "duyet",
    deadline=None,
    derandomize=IN_CI,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("duyet")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "network: may reach beyond loopback")
    config.addinivalue_line("markers", "waits: may sleep for longer than half a second")
    # The first process begins with what needs room, and the others let it pass.
    if getattr(config, "workerinput", {}).get("workerid", "gw0") != "gw0":
        os.nice(5)


def _needs_room(nodeid: str) -> bool:
    """Whether a test wants a machine to itself, or nearly so."""
    return nodeid.startswith(("tests/faults/", "tests/test_soak.py"))


LONGEST = (
    "tests/faults/",
    "tests/test_soak.py",
    "tests/browser/test_loop.py",
    "tests/browser/",
    "tests/storage/test_migrations.py",
    "tests/test_poisoning.py",
    "tests/test_train",
    "tests/test_cluster.py",
    "tests/test_streamed.py",
    "tests/test_year.py",
)
"""Files that take a process longest, none of which should begin as the last one."""

LATER = ("tests/clients/", "tests/test_")
"""What comes after the others: CI installs the clients while the first tests run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""

    places = {name: at for at, name in enumerate((*LONGEST, "", *LATER))}

    def turn(item: pytest.Item) -> int:
        named = (name for name in (*LONGEST, *LATER, "") if item.nodeid.startswith(name))
        return places[next(named)]

    items.sort(key=turn)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Where several processes run the tests, a file's stay together, for what they share; those
    that ask one WordPress; and those that want room, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        if _needs_room(nodeid):
            return "room"
        file = nodeid.partition("::")[0]
        return "tests/wordpress/" if file.startswith("tests/wordpress/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    config.option.loadscopereorder = False  # the order is ours
    return Together(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs a part of the tests hands its drills over to the one that prints."""
    handed_over: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over["drills"] = TABLE.rows


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    rows = getattr(node, "workeroutput", {}).get("drills", [])
    TABLE.rows.extend((drill, goal, result) for drill, goal, result in rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TABLE.rows:
        terminalreporter.section("drills")
        terminalreporter.write_line(TABLE.text())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a test that was skipped has failed: nothing was shown by it."""
    outcome: Any = yield
    report = outcome.get_result()
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a whole file that skipped itself."""
    outcome: Any = yield
    report = outcome.get_result()
    if IN_CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


class Forbidden(AssertionError):
    """A test did what no test may do."""


@pytest.fixture(autouse=True)
def _no_network_beyond_loopback(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("network"):
        return
    for name in ("connect", "connect_ex", "sendto"):
        real = getattr(socket.socket, name)
        monkeypatch.setattr(socket.socket, name, _local_only(real))
    monkeypatch.setattr(socket, "getaddrinfo", _local_names_only(socket.getaddrinfo))


def _local_only(real: Any) -> Any:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(arguments[-1]):
            raise Forbidden("a test may not reach beyond loopback")
        return real(self, *arguments)

    return guarded


def _local_names_only(real: Any) -> Any:
    def guarded(host: Any, *arguments: Any, **more: Any) -> Any:
        if host and _is_asked_of_a_server(host):
            raise Forbidden("a test may not ask for a name beyond loopback")
        return real(host, *arguments, **more)

    return guarded


def _is_asked_of_a_server(host: Any) -> bool:
    try:
        name = host.encode("idna").decode() if isinstance(host, str) else host.decode()
        ipaddress.ip_address(name)
    except UnicodeError:
        return False  # fails before anyone is asked
    except ValueError:
        return bool(name != "localhost")
    return False


def _is_loopback(address: Any) -> bool:
    try:
        return address[0] == "localhost" or ipaddress.ip_address(address[0]).is_loopback
    except (ValueError, TypeError, IndexError):
        return False


@pytest.fixture(autouse=True)
def _no_long_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("waits"):
        return
    real = time.sleep

    def guarded(seconds: float) -> None:
        if seconds > LONGEST_SLEEP_SECONDS:
            raise Forbidden("a test may not wait for time; mark it `waits` if it must")
        real(seconds)

    monkeypatch.setattr(time, "sleep", guarded)
