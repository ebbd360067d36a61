"""Whoever works on one site cannot learn that another exists.

Two sites with all there is: comments, decisions, acts, campaigns, reports, appeals, rules, raids,
claims, digests, people, links, sessions. An admin and a moderator of the one call every page route
with every id of the other, and are answered, byte for byte, as for an id that never was. Both sites
allow that campaigns are seen with those of others, and the other's are like ours.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from model.decision import RejectReason, ReportKind
from model.outcome import Outcome
from model.policy import Policy
from model.site_rules import Standing
from service.app import build
from service.campaigns import CampaignFinder
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Role, Site, Store
from service.storage.acts import Acts
from service.storage.campaigns import Campaigns
from service.storage.claims import Claims
from service.storage.digests import Digests, Every
from service.storage.site_rules import RuleBook
from service.storage.statistics import Statistics
from service.storage.status_pages import StatusPages
from service.storage.tables import metadata
from service.web.sessions import SEEN_EVERY
from tests.browser.newsroom import SPAM, form_token, verdict_on
from tests.desk.routes import CHORES, NO_SUCH_ID, TYPED, Way, ways_of
from tests.migrated import lay_database
from tests.serving import served
from tests.storage.cases import Clock, accept, asked, put, reject

WORD = "zitrônát"  # in every text, name and address of the other site, and nowhere else
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAME = re.compile(r"[0-9a-f]{32}")  # of sessions and authors; longer ones are hashes of secrets


@dataclass
class Sites:
    """A service with two sites; `theirs` is what the database holds of the other one."""

    url: str
    store: Store
    clock: Clock
    ways: list[Way]
    ours: Site
    other: Site
    ids: dict[str, str]

    @contextmanager
    def signed_in(self, name: str) -> Iterator[httpx.Client]:
        one = next(one for one in self.store.moderators() if one.name == name)
        token = self.store.new_sign_in_link(one.id, timedelta(hours=1))
        headers = {"origin": self.url, "accept-language": "en"}
        with httpx.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=10
        ) as client:
            assert client.post("/sign-in", data={"token": token}).status_code == 303
            yield client


def _fill(store: Store, site: Site, clock: Clock, word: str) -> list[str]:
    """Everything that a site can have; the ids of its comments."""
    ids = []
    for number in range(6):
        clock.advance(minutes=1)
        sent = replace(
            SPAM,
            content=f"{word} {number} {SPAM.content}",
            author=replace(SPAM.author, name=f"{word} {number}", url=f"https://{word}.example/"),
            permalink=f"https://{word}.example/{number}",
        )
        ids += put(store, asked(site, clock(), sent), by=verdict_on(sent))
    store.decide([site.id], ids[0], accept(clock(), by=f"{word} mod"))
    store.decide([site.id], ids[1], reject(clock(), by=f"{word} mod"))
    store.decide([site.id], ids[2], accept(clock(), by=f"{word} mod"))
    store.undo([site.id], ids[2], moderator=f"{word} mod")
    store.report([site.id], ids[0], ReportKind.SPAM)
    _campaigns(store, site, clock, word)
    decision = replace(reject(clock(), by=f"{word} admin"), reason=RejectReason.TOXIC)
    assert decision.outcome is Outcome.REJECT
    Acts(store).decide([site.id], ids[3:5], decision, kind="bulk", body={})
    other = replace(SPAM, content=f"{word}: một lời khác hẳn, của một người khác, về chuyện khác.")
    ids += put(store, asked(site, clock(), other), by=verdict_on(other))
    for role in Role:
        one = store.add_moderator(f"{word} {role.value}", role, site_id=site.id)
        for _ in range(2):
            link = store.new_sign_in_link(one.id, timedelta(hours=1))
        store.use_sign_in_link(link)
        if role is not Role.VIEWER:
            Claims(store).claim([site.id], ids[-1], moderator_id=one.id)
            chosen = Digests(store).choose(
                one, address=f"{word}@mail.example", language="en", every=Every.DAY, hour=7
            )
            assert chosen is not None
            Digests(store).confirm(one.id, chosen.link_id)
    StatusPages(store).appeal(ids[1], f"{word} xin xem lại")
    _rules(store, site, ids[-1], f"{word} admin", clock)
    return ids


COPIED = (
    "Mình vừa rút được 12 triệu sau ba ngày chơi ở đây, nạp rút nhanh gọn, hỗ trợ nhiệt tình, "
    "anh em nào cần thì nhắn mình chỉ cho cách vào nhé"
)


def _campaigns(store: Store, site: Site, clock: Clock, word: str) -> None:
    """One campaign that waits, one that is decided, and one that is one with ours only."""
    Campaigns(store).share(site.id, allowed=True, by=f"{word} admin")
    for number in range(9):
        clock.advance(seconds=1)
        text = (
            f"{word} {number}" if number < 3 else f"https://{word}-{number % 2}.example/ {number}"
        )
        author = replace(SPAM.author, name=f"{word} bạn {number}", url="")
        sent = replace(SPAM, content=f"{COPIED} {text}", author=author)
        put(store, asked(site, clock(), sent), by=verdict_on(sent))
        CampaignFinder(store).turn()
        clock.advance(minutes=1)
    for campaign in Campaigns(store).open([site.id], limit=9)[-1:]:
        Campaigns(store).decide(
            [site.id],
            campaign.id,
            reject(clock(), by=f"{word} mod"),
            upto=campaign.newest,
            follow_for=timedelta(hours=24),
        )


def _rules(store: Store, site: Site, comment_id: str, by: str, clock: Clock) -> None:
    """A banned author, a raid and a change that was undone."""
    book, sites = RuleBook(store), [site.id]
    until = clock() + timedelta(days=7)
    for standing in (Standing.QUEUED, Standing.BANNED):
        book.act_on_author(sites, comment_id, standing, by=by, why=by, expires_at=until)
    book.start_raid(sites, by=by, why=by, lasts=timedelta(hours=2), comment_id=comment_id)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    directory: Path = tmp_path_factory.mktemp("two")
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    lay_database(directory)
    clock = Clock()
    store = Store.open(settings.sqlalchemy_url, Keyring.open(settings.secrets_dir), now=clock)
    store.migrate()
    ours, _ = store.add_site("bao", Policy(audit_rate=0))
    _fill(store, ours, clock, "quyt")
    known = _ids(_rows(store))
    other, _ = store.add_site(WORD, Policy(audit_rate=0))
    _fill(store, other, clock, WORD)
    theirs = {place: one for place, one in _ids(_rows(store)).items() if one not in known.values()}
    theirs |= _newest(_rows(store), known)
    CampaignFinder(store).turn()  # so that the service has nothing left to do by itself
    Statistics(store).count_decisions()
    Statistics(store).count_arrivals()
    Statistics(store).sample_queue()
    app = build(settings, store, now=clock)
    with served(app) as port:
        url = f"http://127.0.0.1:{port}"
        yield Sites(url, store, clock, ways_of(app), ours, other, theirs)


def _rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.reads() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
            for name, table in metadata.tables.items()
        }


def _shape(value: object) -> str:
    """What an id looks like; "" for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "number"
    if isinstance(value, str):
        return "uuid" if UUID.fullmatch(value) else "name" if NAME.fullmatch(value) else ""
    return ""


def _ids(rows: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The last id in each column of each table."""
    return {
        f"{table}.{column}": str(value)
        for table, found in rows.items()
        for row in found
        for column, value in row.items()
        if _shape(value) and not (_shape(value) == "number" and column != "number")
    }


def _newest(rows: dict[str, list[dict[str, Any]]], known: dict[str, str]) -> dict[str, str]:
    """What a session is called, which is a part of its hash."""
    return {"session": rows["sessions"][-1]["token_hash"][:32]}


VOLATILE = {"content-length", "date", "x-request-id"}
NEVER = {"uuid": NO_SUCH_ID, "name": "ab" * 16, "number": "987654321"}


def never_like(one: str) -> str:
    """An id of the same shape that never was."""
    return NEVER[_shape(int(one) if one.isdigit() else one)]


def answer(client: httpx.Client, way: Way, path: str, form: dict[str, str]) -> str:
    """All of an answer but when it was sent."""
    if way.method == "GET":
        with client.stream("GET", path, params=form) as response:
            stream = "event-stream" in response.headers.get("content-type", "")
            text = "" if stream else response.read().decode()
    else:
        response = client.request(way.method, path, data=form)
        text = response.text
    headers = {k: v for k, v in response.headers.items() if k not in VOLATILE}
    return f"{response.status_code} {headers} {text}"


def without(text: str, *ids: str) -> str:
    """A text in which nothing tells which of some ids was sent."""
    return re.sub("|".join(rf"\b{one}\b" for one in ids), "…", text)


def cases(sites: Sites, role: Role) -> Iterator[tuple[Way, str, str]]:
    """Every page route that a role may call, with each of its names and fields, and an id of the
    other site for it: any id for a name, for a field what rows are called."""
    every = sorted(set(sites.ids.values()))
    called = sorted({one for place, one in sites.ids.items() if place.endswith(".id")})
    for way in sites.ways:
        open_ = way.path.startswith(("/sign-in", "/static"))
        if not way.is_page or open_ or (isinstance(way.needs, Role) and not role.covers(way.needs)):
            continue
        yield from ((way, name, one) for name in way.names for one in every)
        asked_for = [name for name in way.fields if name not in TYPED]
        yield from ((way, name, one) for name in asked_for for one in called)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MODERATOR])
def test_an_id_of_another_site_is_one_that_never_was(sites: Sites, role: Role) -> None:
    before = _theirs(sites)
    told: list[str] = []
    asked_for: dict[tuple[str, str, str], str] = {}
    with sites.signed_in(f"quyt {role.value}") as client:
        token = form_token(client)
        for way, place, theirs in cases(sites, role):
            said = []
            for one in (never_like(theirs), theirs):
                key = (str(way), place, one)
                if key not in asked_for:
                    form = {f: TYPED[f] for f in way.fields if f in TYPED}
                    form |= {} if place in way.names else {place: one}
                    form |= {} if way.method == "GET" else {"form_token": token}
                    path = way.filled(**({place: one} if place in way.names else {}))
                    asked_for[key] = answer(client, way, path, form)
                said.append(without(asked_for[key], theirs, never_like(theirs)))
            if said[0] != said[1]:
                told.append(f"{way} {place}={theirs}: {said[0]} {said[1]}")
        still_in = client.get("/queue").status_code

    assert told == [], "\n".join(told[:20])
    assert len(asked_for) > 50
    assert still_in == 200
    assert _theirs(sites) == before


def _theirs(sites: Sites) -> dict[str, list[str]]:
    """What the database holds of the other site."""
    ids = set(sites.ids.values()) | {sites.other.id}
    return {
        name: [repr(row) for row in rows if ids & {str(v) for v in row.values()}]
        for name, rows in _rows(sites.store).items()
        if name not in CHORES
    }


@pytest.mark.parametrize("name", ["quyt admin", "quyt moderator", "quyt viewer"])
def test_no_page_holds_a_word_or_an_id_of_another_site(sites: Sites, name: str) -> None:
    found: list[str] = []
    secret = {WORD, *sites.ids.values()} - {"1", "2", "3"}
    secret = {one for one in secret if len(one) > 6}
    read = 0
    with sites.signed_in(name) as client:
        for way in sites.ways:
            if not way.is_page or way.method != "GET" or way.path.startswith("/static"):
                continue
            asking = {"q": WORD, "search": WORD, "text": WORD} if way.fields else {}
            for form in ({}, {k: v for k, v in asking.items() if k in way.fields}):
                with client.stream("GET", way.filled(), params=form) as response:
                    if "event-stream" in response.headers.get("content-type", ""):
                        continue
                    text = response.read().decode().replace(WORD if form else "\0", "", 0)
                read += response.status_code == 200
                text = text if not form else re.sub(rf'value="{WORD}"', "", text)
                found += [f"{way} {one}" for one in secret if one in text]

    assert found == []
    assert read > 2


def test_a_name_that_is_taken_elsewhere_is_refused_without_a_word_of_where(sites: Sites) -> None:
    with sites.signed_in("quyt admin") as client:
        form = {"form_token": form_token(client), "role": "viewer", "site": sites.ours.id}
        taken = client.post("/people", data=form | {"name": f"{WORD} admin"})
        also = client.post("/people", data=form | {"name": f" {WORD.upper()}  ADMIN "})
        ours = client.post("/people", data=form | {"name": "quyt admin"})

    assert [one.status_code for one in (taken, also, ours)] == [409] * 3
    bare = [re.sub(r'name="name"[^>]*value="[^"]*"', "", one.text) for one in (taken, also, ours)]
    assert bare[0] == bare[1] == bare[2]


def test_a_role_on_another_site_is_neither_seen_nor_changed(sites: Sites) -> None:
    store = sites.store
    both = store.add_moderator("cả hai", Role.VIEWER, site_id=sites.ours.id)
    with store.writes() as connection:
        row = {"moderator_id": both.id, "site_id": sites.other.id, "role": "admin"}
        connection.execute(metadata.tables["memberships"].insert(), row)
    sites.clock.advance(seconds=SEEN_EVERY.total_seconds())
    with sites.signed_in("quyt admin") as client:
        form = {"form_token": form_token(client)}
        page = client.get(f"/people/{both.id}").text
        answers = [
            client.post(f"/people/{both.id}/{what}", data=form).status_code
            for what in ("link", "end-sessions", "disable", "reset", "enable")
        ]
        elsewhere = form | {"site": sites.other.id, "role": ""}
        refused = client.post(f"/people/{both.id}/role", data=elsewhere)
        changed = client.post(
            f"/people/{both.id}/role", data=form | {"site": sites.ours.id, "role": ""}
        )
        gone = client.get(f"/people/{both.id}")
    [left] = [one for one in store.moderators() if one.id == both.id]

    assert WORD not in page
    assert sites.other.id not in page
    assert answers == [409] * 5
    assert refused.status_code == 404
    assert (changed.status_code, gone.status_code) == (303, 404)
    assert left.roles == {sites.other.id: Role.ADMIN}
