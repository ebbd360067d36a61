"""The whole service on a port of the kernel's choice, and what its callers send."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from model.policy import Policy
from model.registry import CHAMPION, Registry
from service.app import build
from service.keyring import Keyring
from service.serving import registry_of
from service.settings import Settings, load_settings
from service.storage import Site, Store
from tests.judging_cases import a_manifest, a_table
from tests.migrated import lay_database
from tests.serving import served

PROBLEM = "application/problem+json"
NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"
UNAUDITED = Policy(audit_rate=0)


class Clock:
    """A minute later each time somebody asks, so that no author floods."""

    def __init__(self, at: datetime = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at


@dataclass
class Service:
    """A running service with two sites, and its database as another process sees it."""

    port: int
    directory: Path
    store: Store
    site: Site
    other_site: Site
    key: str = field(repr=False)
    other_key: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """A client of the first site, or of the one whose key it is given; no key with ""."""
        key = self.key if key is None else key
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        own = ({"Authorization": f"Bearer {key}"} if key else {}) | named
        return httpx.Client(
            base_url=self.url, headers=own, timeout=30, trust_env=False, verify=False
        )

    def post(self, body: Any, path: str = "/v1/comments", **headers: str) -> httpx.Response:
        """The answer to a body, made JSON unless it is bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.client(**({"Content_Type": "application/json"} | headers)) as client:
            return client.post(path, content=content)

    def get(self, path: str, **headers: str) -> httpx.Response:
        with self.client(**headers) as client:
            return client.get(path)

    def stored(self) -> int:
        """How many comments the database holds."""
        with self.store.reads() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM comments").scalar_one())


def a_comment(
    content: str = "Cảm ơn tác giả, mình làm được rồi.", **changes: Any
) -> dict[str, Any]:
    """A comment that passes the form."""
    body = {
        "content": content,
        "author": {"name": "Lan", "email": "lan@gmail.com"},
        "permalink": "https://blog.example/cai-dat",
    }
    return body | changes


def model_at(root: Path, seed: int = 3, *, scale: float = 0.01) -> str:
    """A registry whose champion accepts most texts; the champion's version."""
    registry = Registry(root)
    version = registry.add(a_manifest(), a_table(seed, scale=scale))
    registry.move(CHAMPION, version, who="test", why="first", at=datetime(2026, 1, 1, tzinfo=UTC))
    return version


def signed(settings: Settings) -> Registry:
    """The registry that settings name as the service sees it, signed like a first start does."""
    registry = registry_of(settings)
    registry.adopt(who="test", why="first start", at=datetime(2026, 1, 1, tzinfo=UTC))
    return registry


def models_in(directory: Path, models: Path | None = None) -> Registry:
    """The registry of the installation whose data are in a directory, with its key."""
    named = {"DUYET_MODELS": str(models)} if models else {}
    return signed(load_settings({"DUYET_DATA_DIR": str(directory)} | named))


@contextmanager
def running(
    directory: Path,
    *,
    database: str = "",
    policy: Policy = UNAUDITED,
    has_model: bool = True,
    now: Callable[[], datetime] | None = None,
    **settings: str,
) -> Iterator[Service]:
    """A service over a new database in `directory`, or at the URL `database`."""
    directory.mkdir(parents=True, exist_ok=True)
    if has_model and not (directory / "models").exists():
        model_at(directory / "models")
    read = load_settings(
        {"DUYET_DATA_DIR": str(directory), "DUYET_DATABASE_URL": database} | settings
    )
    if not database:
        lay_database(directory)
    clock = now or Clock()
    keyring = Keyring.open(read.secrets_dir)
    store = Store.open(read.sqlalchemy_url, keyring, now=clock)
    store.migrate()
    signed(read)
    site, key = store.add_site("blog", policy)
    other_site, other_key = store.add_site("shop", policy)
    app = build(read, Store.open(read.sqlalchemy_url, keyring, now=clock), now=clock)
    try:
        with served(app, connections=read.max_connections) as port:
            yield Service(port, directory, store, site, other_site, key, other_key)
    finally:
        store.close()
