"""A running service with a site that has an Akismet key."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from service.storage import Store
from tests.api.service import Service, running

HOME = "https://blog.example"


@dataclass
class Client:
    """Speaks Akismet's protocol by hand, as any client may."""

    service: Service
    key: str = field(repr=False)

    @property
    def store(self) -> Store:
        return self.service.store

    def call(
        self, path: str, body: bytes | str | None = None, *, method: str = "POST", **headers: str
    ) -> httpx.Response:
        """A call whose body is sent as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        with httpx.Client(base_url=self.service.url, trust_env=False, timeout=30) as http:
            return http.request(method, path, content=body, headers=form | named)

    def form(self, path: str, **fields: str) -> httpx.Response:
        """A call with a form, the key and the site's address in it unless they are given."""
        return self.call(path, urlencode({"api_key": self.key, "blog": HOME} | fields))

    def check(self, content: str = "Cảm ơn bài viết!", **fields: str) -> httpx.Response:
        """A comment-check."""
        own = {"user_ip": "203.0.113.7", "comment_author": "Lan", "comment_content": content}
        return self.form("/1.1/comment-check", **(own | fields))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("akismet")) as service:
        yield Client(service, service.store.new_akismet_key(service.site.id))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Client]:
    """A client of a service that nobody else has asked anything."""
    with running(tmp_path) as service:
        yield Client(service, service.store.new_akismet_key(service.site.id))
