"""One WordPress and one Duyet with the shipped model, for all tests here."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import AkismetChoices, Site, Store, StoredComment, Undelivered
from tests.faults.proxy import Proxy, proxied
from tests.faults.running import ROOT, Running
from tests.faults.servers import a_server
from tests.wordpress.blog import Blog, running_blog

POLICY = Policy(audit_rate=0, learn_from_decisions=False)
"""What one test decides is not to change what becomes of another one's comments."""


@dataclass
class Duyet:
    """A `duyet serve` over PostgreSQL, and its store as another process sees it."""

    running: Running
    store: Store
    site: Site
    database: Proxy
    key: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    def ids(self) -> list[str]:
        """The ids of all comments, oldest first."""
        with self.store.reads() as connection:
            found = connection.exec_driver_sql("SELECT id FROM comments ORDER BY received_at")
            return [str(one) for one in found.scalars()]

    def newest(self) -> StoredComment:
        """The comment that came last."""
        found = self.store.comment(None, self.ids()[-1])
        assert found is not None
        return found

    def decide(self, guid: str, outcome: Outcome) -> None:
        """What a moderator does in the queue."""
        reason = RejectReason.SPAM if outcome is Outcome.REJECT else None
        decision = Decision(outcome, reason, "an", datetime.now(UTC))
        self.store.decide(None, guid, decision)

    def command(self, *words: str) -> str:
        """What a command of the operator prints; it has to go well."""
        done = subprocess.run(
            [sys.executable, "-m", "duyet", *words],
            env=self.running.settings,
            cwd=self.running.program,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def undelivered(self, comment_id: str) -> list[Undelivered]:
        """What was to be told of a comment, and was not taken."""
        return [one for one in self.store.undelivered() if one.comment_id == comment_id]


WITHIN = 60.0
"""Seconds in which WordPress is told: it takes two, on a machine with nothing else to do."""

LINKS = " ".join(f"https://vi.wikipedia.org/wiki/Bai_{number}" for number in range(7))
"""More of them than a comment may have that is not to wait for a person."""


def waits(blog: Blog, name: str) -> int:
    """The number of a comment that waits for a person."""
    blog.comment(f"Đọc thêm ở đây nhé, {name}: {LINKS}", name)
    number, standing = blog.last()
    assert standing == "0"
    return number


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Duyet, Blog]]:
    """A blog that asks a Duyet, its key entered by the plugin's own settings form."""
    place = tmp_path_factory.mktemp("wordpress")
    with ExitStack() as stack:
        server = stack.enter_context(a_server())
        server.create()
        proxy = stack.enter_context(proxied(server.port))
        url = server.url("duyet", port=proxy.port)
        running = Running(place, {"DUYET_DATABASE_URL": url})
        shutil.copytree(ROOT / "model" / "champion", running.models)
        read = load_settings(
            {"DUYET_DATA_DIR": str(place / "var"), "DUYET_DATABASE_URL": server.url("duyet")}
        )
        store = Store.open(read.sqlalchemy_url, Keyring.open(read.secrets_dir))
        stack.callback(store.close)
        store.migrate()
        site, _ = store.add_site("blog", POLICY)
        duyet = Duyet(running, store, site, proxy, store.new_akismet_key(site.id))
        stack.callback(running.stop)
        running.start()
        blog = stack.enter_context(running_blog(place / "blog", duyet.url))
        homes = (f"127.0.0.1:{blog.port}",)
        store.set_akismet_choices(site.id, AkismetChoices(homes=homes, reaches_private=True))
        blog.sign_in()
        blog.enter_key(duyet.key)
        assert blog.run("echo get_option( 'wordpress_api_key' );") == duyet.key
        yield duyet, blog


@pytest.fixture
def duyet(both: tuple[Duyet, Blog]) -> Duyet:
    return both[0]


@pytest.fixture
def blog(both: tuple[Duyet, Blog]) -> Blog:
    return both[1]
