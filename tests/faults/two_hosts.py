"""Two hosts behind nginx on one PostgreSQL: do they agree, and after how many seconds?

    python -m tests.faults.two_hosts

Each host is a network namespace of its own, joined to a bridge; nginx runs `deploy/nginx.conf` with
their addresses. Needs root, `ip`, nginx (`scripts/install-nginx`) and a PostgreSQL; everything
is taken down again at the end. Prints what was tried and how long it took, fails with 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.postgres import HOW_TO_GET_ONE, running_server
from model.policy import Policy
from model.registry import CHAMPION
from service.keyring import Keyring
from service.storage import Store
from tests.api.service import models_in
from tests.faults.shared_limit import RATE, flooded
from tests.judging_cases import a_manifest, a_table

ROOT = Path(__file__).resolve().parents[2]
BRIDGE, NETWORK = "duyetbr0", "10.213.7"
HOSTS = {"duyet-1": f"{NETWORK}.11", "duyet-2": f"{NETWORK}.12"}
GATE = f"{NETWORK}.1"
LONGEST_SECONDS = 10.0
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def network() -> Iterator[None]:
    """A bridge, and a namespace for each host on it."""
    try:
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{GATE}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for number, (name, address) in enumerate(HOSTS.items()):
            inside, outside = f"dvi{number}", f"dvo{number}"
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
            _run("ip", "link", "set", inside, "netns", name)
            _run("ip", "link", "set", outside, "master", BRIDGE, "up")
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", inside)
            _run("ip", "-n", name, "link", "set", inside, "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in HOSTS:
            _run("ip", "netns", "del", name, check=False)
        _run("ip", "link", "del", BRIDGE, check=False)


def _run(*command: str, check: bool = True) -> None:
    subprocess.run(command, check=check, capture_output=True)


@contextmanager
def process(*command: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process until the block ends; what it says is in `log`."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
        try:
            yield started
        finally:
            started.terminate()
            started.wait(30)


@dataclass
class Site:
    """What the drill works with."""

    store: Store
    models: Path
    key: str
    known: Any

    def client(self, at: str, *, port: int = 8000) -> httpx.Client:
        """A client of one host, or of the proxy."""
        headers = {"Authorization": f"Bearer {self.key}"}
        address = f"http://{at}:{port}"
        return httpx.Client(base_url=address, headers=headers, timeout=20, trust_env=False)

    def clients(self) -> list[httpx.Client]:
        return [self.client(address) for address in HOSTS.values()]


def comment(number: int) -> dict[str, Any]:
    return {
        "content": f"Cảm ơn bài viết số {number}, rất hữu ích!",
        "author": {"name": f"Lan {number}", "email": f"lan{number}@mail.example"},
        "permalink": "https://blog.example/first-post",
    }


def seconds_until(reached: Callable[[], bool], longest: float = LONGEST_SECONDS) -> float:
    """How long it took; fails after so many."""
    began = time.monotonic()
    while not reached():
        if time.monotonic() - began > longest:
            raise AssertionError("the hosts did not agree")
        time.sleep(0.02)
    return time.monotonic() - began


# ------------------------------------------------------------------ what is tried


def policy_change(site: Site) -> float:
    """From a policy put in force at one machine until both judge by it."""
    changed = site.store.set_policy(site.known.id, replace(site.known.policy, max_links=3))
    return seconds_until(lambda: judged(site) == {changed.policy_version})


def judged(site: Site, what: str = "policy") -> set[str]:
    """The policy, or model, that both hosts judge a new comment by."""
    found = set()
    for client in site.clients():
        answer = client.post("/v1/comments", json=comment(time.monotonic_ns())).json()
        stored = site.store.comment(None, answer["id"])
        assert stored is not None, "what was answered is stored"
        found.add(getattr(stored.verdict, what))
    return found


def model_swap(site: Site) -> float:
    """From a champion moved in the shared registry until both judge with it."""
    registry = models_in(site.models.parent)
    other = next(v for v in registry.versions() if v != registry.names()[CHAMPION])
    registry.move(CHAMPION, other, who="drill", why="drill", at=datetime.now(UTC))
    return seconds_until(lambda: judged(site, "model") == {other})


def decision_seen(site: Site) -> float:
    """From a decision at one host until the other's queue is without the comment."""
    first, second = site.clients()
    waiting = first.get("/v1/queue").json()["items"][0]["id"]
    decided = first.post(f"/v1/comments/{waiting}/decision", json={"outcome": "accept"})
    assert decided.status_code == 200, decided.text
    return seconds_until(lambda: waiting not in second.get("/v1/queue").text)


def same_request_everywhere(site: Site) -> float:
    """One request with a key, sent forty times through the proxy at once: one comment."""
    began = time.monotonic()
    headers = {"Idempotency-Key": "drill-1"}
    with site.client(GATE, port=8080) as proxy, ThreadPoolExecutor(8) as pool:
        posts = [
            pool.submit(proxy.post, "/v1/comments", json=comment(1), headers=headers)
            for _ in range(40)
        ]
        answers = [post.result() for post in posts]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    return time.monotonic() - began


def two_moderators(site: Site) -> float:
    """Both hosts decide one comment at once: one decision stands, the other is told which."""
    clients = site.clients()
    comment_id = clients[0].post("/v1/comments", json=comment(2)).json()["id"]
    began = time.monotonic()
    path = f"/v1/comments/{comment_id}/decision"
    with ThreadPoolExecutor(2) as pool:
        posts = [pool.submit(c.post, path, json={"outcome": "accept"}) for c in clients]
    assert sorted(post.result().status_code for post in posts) == [200, 409]
    return time.monotonic() - began


def rate_limit(site: Site) -> float:
    """From a limit put in force at one machine until both know it; then both are flooded."""

    def is_limited(client: httpx.Client) -> bool:
        answer = client.post("/v1/comments", json=comment(time.monotonic_ns()))
        return "RateLimit" in answer.headers

    site.store.set_rate_limit(site.known.id, RATE)
    took = seconds_until(lambda: all(is_limited(client) for client in site.clients()))
    found = flooded([partial(site.client, address) for address in HOSTS.values()], comment)
    site.store.set_rate_limit(site.known.id, None)
    seconds_until(lambda: not any(is_limited(client) for client in site.clients()))
    print(f"  {found}", flush=True)
    found.check()
    return took


DRILLS: dict[str, Callable[[Site], float]] = {
    "the same request 40 times through the proxy": same_request_everywhere,
    "two decisions on one comment": two_moderators,
    "a decision leaves the other host's queue": decision_seen,
    "a policy change": policy_change,
    "a model swap": model_swap,
    "a rate limit": rate_limit,
}


def host_lost(site: Site, process: subprocess.Popen[bytes]) -> int:
    """Kill one host while comments come through the proxy; those not answered with 200."""
    failed = 0
    with site.client(GATE, port=8080) as proxy:
        for number in range(60):
            if number == 20:
                process.kill()
            try:
                failed += proxy.post("/v1/comments", json=comment(5000 + number)).is_error
            except httpx.HTTPError:
                failed += 1
    return failed


# ------------------------------------------------------------------ what it needs


def prepared(directory: Path, url: str) -> Site:
    """A database with a site, and a registry with two models."""
    store = Store.open(url, Keyring.open(directory / "secrets"))
    store.migrate()
    # Every comment waits: without a reason to doubt there would be no queue to agree on.
    known, key = store.add_site("drill", Policy(audit_rate=1.0))
    registry = models_in(directory)
    for seed, name in enumerate((CHAMPION, "challenger")):
        version = registry.add(a_manifest(), a_table(seed))
        registry.move(name, version, who="drill", why="drill", at=datetime.now(UTC))
    return Site(store, directory / "models", key, known)


@contextmanager
def proxy(directory: Path) -> Iterator[None]:
    """nginx with the shipped configuration and this network's addresses."""
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    for name, address in HOSTS.items():
        text = text.replace(f"server {name}:", f"server {address}:")
    text = text.replace("/tmp/nginx", f"{directory}/nginx")
    config = directory / "nginx.conf"
    config.write_text(text, "utf-8")
    command = (str(NGINX), "-c", str(config), "-g", "daemon off; user root;")
    with process(*command, log=directory / "nginx.log"):
        yield


def is_up(site: Site) -> bool:
    """Whether both hosts are ready."""
    try:
        return all(client.get("/readyz").status_code == 200 for client in site.clients())
    except httpx.HTTPError:
        return False


def main() -> int:
    """Run all drills; the exit status."""
    if NGINX is None or os.geteuid() != 0:
        print("needs root, and nginx: sudo scripts/install-nginx", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="duyet-drill-")))
        stack.enter_context(network())
        server = stack.enter_context(running_server(listen=GATE))
        if server is None:
            print(HOW_TO_GET_ONE, file=sys.stderr)
            return 1
        name = server.new_database()
        site = prepared(directory, server.url(name))
        stack.callback(site.store.close)
        began = time.monotonic()
        hosts = [
            stack.enter_context(
                process(
                    *("ip", "netns", "exec", host, sys.executable, "-m", "duyet", "serve"),
                    log=directory / f"{host}.log",
                    DUYET_HOST="0.0.0.0",
                    DUYET_DATA_DIR=str(directory),
                    DUYET_DATABASE_URL=f"postgresql://duyet@{GATE}/{name}",
                    DUYET_TRUSTED_PROXIES=GATE,
                )
            )
            for host in HOSTS
        ]
        stack.enter_context(proxy(directory))
        seconds_until(lambda: is_up(site), longest=60)
        print(f"{'both hosts are ready':46}{time.monotonic() - began:8.2f} s")
        for what, drill in DRILLS.items():
            print(f"{what:46}{drill(site):8.2f} s", flush=True)
        print(f"{'a host is killed: of 60 comments, refused':46}{host_lost(site, hosts[1]):8d}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
