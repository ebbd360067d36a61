"""Every route says who may call it, none writes when read, and forms are our own.

Routes are enumerated: those that are added are tested without a word here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from model.policy import Policy
from service.app import build
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Role, Store
from service.storage.sign_in import IDLE_LIFETIME
from service.web.sessions import SEEN_EVERY
from tests.browser.newsroom import SPAM, form_token, verdict_on
from tests.desk.routes import NO_SUCH_ID, TYPED, Way, ways_of, whole
from tests.migrated import lay_database
from tests.serving import served
from tests.storage.cases import Clock, asked, put

OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /docs",
    "GET /openapi.json",
    "GET /docs/problems",
    "GET /docs/start.js",
    "GET /docs/assets/{name}",
    "GET /static/{name}",
    # What clients of other protocols ask before they have a key.
    "GET /1.1/test",
    "GET /1.2/compatible-plugins",
    "GET /$discovery/rest",
    "GET /discovery/v1/apis/commentanalyzer/v1alpha1/rest",
}
"""Routes of the service itself that tell everybody nothing of any site."""


@dataclass
class Whole:
    """The whole service, with a comment that waits and one of each role."""

    url: str
    store: Store
    clock: Clock
    ways: list[Way]
    comment_id: str
    key: str

    @contextmanager
    def visitor(self, role: Role | None = None) -> Iterator[httpx.Client]:
        own = {"origin": self.url}
        with httpx.Client(base_url=self.url, headers=own, trust_env=False, timeout=10) as client:
            if role is not None:
                known = {one.name: one for one in self.store.moderators()}
                one = known.get(role.value) or self.store.add_moderator(role.value, role)
                token = self.store.new_sign_in_link(one.id, timedelta(hours=1))
                assert client.post("/sign-in", data={"token": token}).status_code == 303
            yield client

    @property
    def pages(self) -> list[Way]:
        return [way for way in self.ways if way.is_page]


@contextmanager
def _whole(directory: Path) -> Iterator[Whole]:
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    lay_database(directory)
    clock = Clock()
    store = Store.open(settings.sqlalchemy_url, Keyring.open(settings.secrets_dir), now=clock)
    store.migrate()
    site, key = store.add_site("bao", Policy(audit_rate=0))
    [comment_id] = put(store, asked(site, clock(), SPAM), by=verdict_on(SPAM))
    app = build(settings, store, now=clock)
    with served(app) as port:
        yield Whole(f"http://127.0.0.1:{port}", store, clock, ways_of(app), comment_id, key)


@pytest.fixture(scope="module")
def whole_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with _whole(tmp_path_factory.mktemp("whole")) as opened:
        yield opened


def read(client: httpx.Client, path: str) -> int:
    """The status of what is read; a stream is left once it has begun."""
    with client.stream("GET", path) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
        return answer.status_code


def test_every_page_route_says_who_may_call_it_exactly_once(whole_service: Whole) -> None:
    unsaid = [str(way) for way in whole_service.pages if way.needs == "?"]

    assert len(whole_service.pages) > 25
    assert unsaid == []


def test_only_pages_are_called_without_a_site_s_key_but_for_those_that_tell_nothing(
    whole_service: Whole,
) -> None:
    answered = []
    with whole_service.visitor() as stranger:
        for way in whole_service.ways:
            if way.is_page or str(way) in OPEN:
                continue
            answer = stranger.request(way.method, way.filled(), json={})
            # Akismet's protocol refuses in the body of a 200.
            refused = answer.status_code in {400, 401, 403, 404} or answer.text == "invalid"
            answered += [] if refused else [f"{way}: {answer.status_code} {answer.text[:80]}"]

    assert answered == [], "\n".join(answered)


def test_nothing_is_written_when_a_page_is_read(whole_service: Whole) -> None:
    of = whole_service
    with of.visitor(Role.ADMIN) as admin:
        before = whole(of.store)
        for way in of.ways:
            if way.method == "GET":
                read(admin, way.filled(comment_id=of.comment_id))

        assert whole(of.store) == before


def test_of_what_is_read_a_session_alone_notes_that_it_was_seen(whole_service: Whole) -> None:
    of, seen = whole_service, (("sessions", "seen_at"),)
    with of.visitor(Role.ADMIN) as admin:
        before = whole(of.store, but=seen)
        of.clock.advance(seconds=SEEN_EVERY.total_seconds())
        for way in of.pages:
            if way.method == "GET":
                read(admin, way.filled(comment_id=of.comment_id))

        assert whole(of.store, but=seen) == before


@pytest.mark.parametrize("flaw", ["no form token", "another origin", "no origin", "signed out"])
def test_a_form_that_is_not_ours_changes_nothing(whole_service: Whole, flaw: str) -> None:
    of = whole_service
    origin = {"another origin": "https://evil.example", "no origin": ""}.get(flaw, of.url)
    with of.visitor(Role.ADMIN) as admin, of.visitor() as stranger:
        sent = {} if flaw == "no form token" else {"form_token": form_token(admin)}
        caller = stranger if flaw == "signed out" else admin
        before = whole(of.store)
        statuses = {}
        for way in of.pages:
            # Without a session there is no form token: who signs in shows where the form is from.
            needs_none = way.needs is None and flaw in {"no form token", "signed out"}
            if way.method != "GET" and not needs_none:
                path = way.filled(comment_id=of.comment_id)
                form = {name: TYPED.get(name, NO_SUCH_ID) for name in way.fields} | sent
                answer = caller.request(way.method, path, data=form, headers={"origin": origin})
                # A page behind a link of its own answers a link that never was with 404.
                if way.needs is not None or answer.status_code != 404:
                    statuses[str(way)] = answer.status_code

        assert len(statuses) > 15
        assert set(statuses.values()) == {401 if flaw == "signed out" else 403}, statuses
        assert whole(of.store) == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_that_is_too_low_is_refused_and_changes_nothing(
    whole_service: Whole, role: Role
) -> None:
    of = whole_service
    with of.visitor(role) as caller:
        sent = {"form_token": form_token(caller)}
        before = whole(of.store)
        above = [w for w in of.pages if isinstance(w.needs, Role) and not role.covers(w.needs)]
        statuses = {
            str(way): caller.request(
                way.method,
                way.filled(comment_id=of.comment_id),
                data=sent if way.method != "GET" else None,
            ).status_code
            for way in above
        }

        assert role is Role.ADMIN or above
        assert set(statuses.values()) <= {403}, statuses
        assert whole(of.store) == before


def test_a_page_that_needs_somebody_tells_a_stranger_nothing(whole_service: Whole) -> None:
    of = whole_service
    with of.visitor() as stranger:
        statuses = {
            str(way): read(stranger, way.filled(comment_id=of.comment_id))
            for way in of.pages
            if way.method == "GET" and way.needs is not None
        }

    assert set(statuses.values()) == {401}, statuses


def test_a_session_of_which_nothing_is_seen_ends(whole_service: Whole) -> None:
    of = whole_service
    with of.visitor(Role.ADMIN) as admin:
        of.clock.advance(seconds=IDLE_LIFETIME.total_seconds() - 1)
        in_time = read(admin, "/queue")
        of.clock.advance(seconds=IDLE_LIFETIME.total_seconds())

        assert (in_time, read(admin, "/queue")) == (200, 401)
