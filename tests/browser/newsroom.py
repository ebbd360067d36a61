"""The pages over a real store on a real server, with moderators, comments and a clock."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
from fastapi import FastAPI

from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.submission import Article, Author, Submission
from model.verdict import Reason, Span, Verdict
from service import problems
from service.api import docs
from service.keyring import Keyring
from service.storage import Role, Site, Store, StoredComment, StoreUnavailable
from service.web import pages
from tests.migrated import lay_database
from tests.serving import served
from tests.storage.cases import Clock, asked, put

ADDRESS = "tran.van.kiem@thu.example"
SPAM = Submission(
    content=(
        "Vay tiền online lãi suất 0%, giải ngân trong 5 phút! Liên hệ kiem.vay@nhanh.example "
        "hoặc xem https://vay-nhanh.example/uu-dai để nhận ưu đãi."
    ),
    author=Author("Trần Văn Kiệm", ADDRESS, "https://vay-nhanh.example/", "203.0.113.77"),
    permalink="https://bao.example/kinh-te/lai-suat",
    article=Article("Lãi suất giảm, người vay có lợi?", "vi"),
)


def verdict_on(
    sent: Submission, words: str = "", *, spam: float = 0.71, toxicity: float = 0.02
) -> Verdict:
    """A verdict that queues, for `words` of the content."""
    start = sent.content.find(words)
    span = Span("content", start, start + len(words), Head.SPAM, 2.5)
    return Verdict(
        outcome=Outcome.QUEUE,
        scores=Scores(spam, toxicity),
        reasons=(Reason("score.spam_unsure", "content", words),),
        hits=(),
        spans=(span,) if words else (),
        model="2026-02-11.1",
        policy="5f0c2d9a1b7e",
    )


@dataclass
class Newsroom:
    """What a test needs of the pages: their address, and what lies behind them."""

    url: str
    store: Store
    site: Site
    clock: Clock
    app: FastAPI

    def link(self, name: str = "mai", role: Role = Role.MODERATOR) -> str:
        """A fresh one-time link for a moderator, who is added if there is none of that name."""
        known = {one.name: one for one in self.store.moderators()}
        moderator = known.get(name) or self.store.add_moderator(name, role)
        token = self.store.new_sign_in_link(moderator.id, timedelta(minutes=10))
        return f"{self.url}/sign-in?token={token}"

    def put(self, sent: Submission = SPAM, verdict: Verdict | None = None) -> str:
        """Have a comment wait, a minute after the one before; its id."""
        self.clock.advance(minutes=1)
        verdict = verdict or verdict_on(sent)
        return put(self.store, asked(self.site, self.clock(), sent), by=verdict)[0]

    def say(self, content: str, **author: str) -> str:
        """Have a comment with this content wait; its id."""
        return self.put(replace(SPAM, content=content, author=replace(SPAM.author, **author)))

    def comment(self, comment_id: str) -> StoredComment:
        comment = self.store.comment(None, comment_id)
        assert comment is not None
        return comment

    @contextmanager
    def visitor(self, **headers: str) -> Iterator[httpx.Client]:
        """Somebody with a browser that sends forms as our own pages do."""
        own = {"origin": self.url, "accept-language": "en"} | headers
        with httpx.Client(base_url=self.url, headers=own, trust_env=False) as client:
            yield client

    @contextmanager
    def moderator(
        self, name: str = "mai", role: Role = Role.MODERATOR, **headers: str
    ) -> Iterator[httpx.Client]:
        """Somebody signed in."""
        with self.visitor(**headers) as client:
            token = self.link(name, role).partition("token=")[2]
            assert client.post("/sign-in", data={"token": token}).status_code == 303
            yield client


def form_token(client: httpx.Client) -> str:
    """What the forms of this session carry, read off the queue page."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', client.get("/queue").text)
    assert found is not None
    return found[1]


@contextmanager
def open_newsroom(directory: Path) -> Iterator[Newsroom]:
    """The pages and the explorer, served from the database in `directory`, or an empty one."""
    clock = Clock()
    keyring = Keyring.open(directory / "secrets")
    store = Store.open(lay_database(directory), keyring, now=clock)
    store.migrate()
    site, _ = store.add_site("bao", Policy())
    app = FastAPI(title="Duyet", docs_url=None, redoc_url=None)
    pages.install(app, store, secure=False, now=clock, poll_seconds=0.05)
    docs.install(app)
    problems.install(app, {StoreUnavailable: "store_unavailable"})
    try:
        with served(app) as port:
            yield Newsroom(f"http://127.0.0.1:{port}", store, site, clock, app)
    finally:
        store.close()
