"""Live updates over real connections: what is told, to whom, and when a stream ends."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.policy import Policy
from service.storage import Role
from service.web import live
from service.web.listening import LOOK_YOURSELF, MOST_UNREAD, Listener, Mark, event
from tests.browser.newsroom import SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.storage.cases import accept, asked, put, reject


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


@dataclass
class Told:
    """What a stream says. `place` is the id of the last event."""

    lines: Iterator[str]
    place: str = ""

    def next(self, *kinds: str) -> Any:
        """The data of the next event of these kinds; whatever else is said before is skipped."""
        kind = ""
        for line in self.lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.place = value
            elif name == "event":
                kind = value
            elif name == "data" and kind in kinds:
                return json.loads(value)
        raise AssertionError("the stream has ended")

    def mark(self) -> str:
        """How far the page is told that it has come, next."""
        return next(line for line in self.lines if line.startswith("id: ")).removeprefix("id: ")

    def rest(self) -> list[str]:
        return [line for line in self.lines if line and not line.startswith("retry")]


@contextmanager
def listening(client: httpx.Client, *, after: str = "", **params: str) -> Iterator[Told]:
    headers = {"last-event-id": after} if after else {}
    with client.stream(
        "GET", "/queue/events", headers=headers, params=params, timeout=10
    ) as answer:
        assert answer.status_code == 200
        told = Told(answer.iter_lines())
        if not after:
            told.next("claims")  # the last of what is said at the start
        yield told


# ------------------------------------------------------------------ what is told


def test_decisions_undos_and_claims_of_others_are_told(newsroom: Newsroom) -> None:
    one = newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("lan") as lan:
        token = {"x-form-token": form_token(lan)}
        with listening(an) as told:
            lan.post(f"/queue/{one}/claim", headers=token)
            looking = told.next("claims")
            newsroom.store.decide(None, one, reject(newsroom.clock(), "bob"))
            decided = told.next("decided")
            newsroom.store.undo(None, one, moderator="bob")
            undone = told.next("undone")

    assert looking == {"on": {one: ["lan"]}}
    assert decided == {"id": one, "by": "bob", "said": "spam"}
    assert undone == {"id": one, "by": "bob"}


def test_what_is_new_is_counted_once(newsroom: Newsroom) -> None:
    newsroom.put()
    with newsroom.moderator() as client, listening(client) as told:
        one = newsroom.put()
        newsroom.store.decide(None, one, accept(newsroom.clock()))
        told.next("decided")  # the first poll notes what is there
        newsroom.put()
        newsroom.put()
        first = told.next("new")["n"]
        second = told.next("new")["n"] if first < 2 else 0

    assert first + second == 2


def test_another_site_s_news_are_not_told_and_do_not_move_the_mark(newsroom: Newsroom) -> None:
    shop, _ = newsroom.store.add_site("shop", Policy())
    (hidden,) = put(newsroom.store, asked(shop, newsroom.clock(), SPAM), by=verdict_on(SPAM))
    here = newsroom.put()
    newsroom.store.add_moderator("lan", Role.MODERATOR, site_id=newsroom.site.id)
    with newsroom.moderator("lan") as lan, listening(lan) as told:
        before = told.place
        newsroom.store.decide(None, hidden, accept(newsroom.clock()))
        newsroom.store.decide(None, here, accept(newsroom.clock()))
        decided = told.next("decided")
        after = told.mark()

    assert decided["id"] == here
    assert (before[-2:], after[-2:]) == (".0", ".1")


def test_who_comes_back_is_told_what_was_missed_or_to_look(newsroom: Newsroom) -> None:
    one, two = newsroom.put(), newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai, listening(mai):
        with listening(an) as told:
            newsroom.store.decide(None, one, accept(newsroom.clock()))
            told.next("decided")
            place = told.mark()
        newsroom.store.decide(None, two, accept(newsroom.clock()))
        with listening(an, after=place) as told:
            missed = told.next("decided", "look")
        with listening(an, after="00000000.1") as told:
            elsewhere = told.next("decided", "look")
        with listening(an, after=place.partition(".")[0] + ".99") as told:
            ahead = told.next("decided", "look")

    assert missed["id"] == two
    assert (elsewhere, ahead) == ({}, {})


# ------------------------------------------------------------------ who may listen, how long


@pytest.mark.parametrize("end", ["sign_out", "role"])
def test_a_stream_ends_with_its_session_or_role(newsroom: Newsroom, end: str) -> None:
    with newsroom.moderator("lan") as lan, listening(lan) as told:
        if end == "sign_out":
            newsroom.store.end_session(lan.cookies["duyet"])
        else:
            with newsroom.store.writes() as connection:
                connection.exec_driver_sql("UPDATE moderators SET role = '' WHERE name = 'lan'")

        rest = told.rest()

    assert not any(line.startswith("event: decided") for line in rest)


def test_without_a_session_nobody_listens(newsroom: Newsroom) -> None:
    with newsroom.visitor() as stranger:
        assert stranger.get("/queue/events").status_code == 401


def test_a_session_has_so_many_streams_and_the_oldest_is_told_to_stop(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client, listening(client) as oldest:
        streams = [listening(client) for _ in range(live.MOST_OF_SESSION)]
        for stream in streams:
            stream.__enter__()
        rest = oldest.rest()
        for stream in reversed(streams):
            stream.__exit__(None, None, None)

    assert rest[-2:] == ["event: over", "data: {}"]


def test_who_listens_does_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    with open_newsroom(tmp_path) as newsroom:
        with newsroom.moderator() as client:
            cookie = client.cookies["duyet"]
        port = int(newsroom.url.rpartition(":")[2])
        readers = [_connected(port, cookie) for _ in range(3)]
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert all(_read_to_the_end(reader) for reader in readers)


def _connected(port: int, cookie: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"GET /queue/events HTTP/1.1\r\nHost: x\r\nCookie: duyet={cookie}\r\n\r\n"
    connection.sendall(head.encode())
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return connection


def _read_to_the_end(connection: socket.socket) -> bool:
    with connection:
        while connection.recv(65_536):
            pass
    return True


def test_many_who_come_and_go_leave_nothing_in_the_way(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        for _ in range(20):
            with listening(client):
                pass
        with listening(client) as told:
            newsroom.store.decide(None, newsroom.put(), accept(newsroom.clock()))
            assert told.next("decided")["by"] == "ann"


# ------------------------------------------------------------------ one listener


def a_listener(sites: frozenset[str] | None = None) -> Listener:
    return Listener(None, "token", sites)  # type: ignore[arg-type]  # its request is not asked


async def all_of(listener: Listener) -> list[bytes | None]:
    said = []
    while (message := await listener.next(beat=b"beat", every_seconds=0.01)) != b"beat":
        said.append(message)
        if message is None:
            break
    return said


def test_who_never_reads_costs_no_more_than_a_few_messages() -> None:
    async def unread() -> list[bytes | None]:
        listener = a_listener()
        for number in range(10_000):
            listener.tell(event("new", {"n": number}))
        return await all_of(listener)

    said = asyncio.run(unread())

    assert len(said) <= MOST_UNREAD
    assert LOOK_YOURSELF in said
    assert said[-1] == event("new", {"n": 9999})


def test_after_its_end_a_listener_is_told_nothing_more() -> None:
    async def ended() -> list[bytes | None]:
        listener = a_listener()
        listener.tell(b"before")
        listener.end(b"last")
        listener.end()
        listener.tell(b"after")
        return await all_of(listener)

    assert asyncio.run(ended()) == [b"last", None]


@pytest.mark.parametrize("text", ["", "x", "x.", "x.-1", "x.1e9", "x." + "9" * 19, "x.١", ".."])
def test_what_is_no_mark_is_none(text: str) -> None:
    assert Mark.read(text) is None


def test_a_mark_says_nothing_of_other_sites() -> None:
    marks = {"a": 3, "b": 4}

    assert Mark.of(frozenset({"a"}), marks) == Mark.of(frozenset({"a"}), marks | {"b": 99})
    assert Mark.of(frozenset({"a"}), marks).which != Mark.of(frozenset({"b"}), marks).which
    assert bytes(Mark("ab", 7)) == b"id: ab.7\n\n"


def test_hostile_values_stay_within_one_line_of_data() -> None:
    said = event("decided", {"by": "a\n\nevent: over\u2028\r\x85<script>"})

    assert said.count(b"\n") == 3
    assert said.isascii()
