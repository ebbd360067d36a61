"""The same comments through every door: is the verdict the same?

    python -m benchmarks.doors --data DIR [--comments 10000]

Posts real comments, in the same order, to a site of its own for each door of one new
installation, and compares what is stored of each: what was understood, what was known of author
and text, outcome, scores to the bit, rules, reasons and spans; and whether the door's own words
are those of that verdict. Ends with 1 at any difference.

What would make a difference by design is made equal. Time: it goes on by seven seconds every
hundred comments, for all doors at once, since a batch comes at one moment. The draw of the audit
sample, which hangs on a comment's id, and what a site's decisions teach, which is learnt beside
the judging, are off. Every tenth comment is decided, at each door alike, and authors, texts and
articles come again, so that there is a history to know. What a door cannot carry (Coral sends no
author, Perspective's clients send the text alone) is held against JSON without it. A comment that
JSON's form refuses goes to no door: the clients of the others check the form themselves.
"""

import argparse
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from benchmarks.each_door import (
    CORAL_SECRET,
    GROUPS,
    HOME,
    RECHECKED,
    Body,
    Caller,
    Door,
    Group,
    Said,
    recheck,
    recheck_words,
)
from benchmarks.installation import comments
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import FormRules, Policy
from service.app import build
from service.connections import HeadLimited
from service.first_start import lay_out
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import AkismetChoices, Store, StoredComment

CHUNK = 100
STEP = timedelta(seconds=7)
AUTHORS = 1999
REFERENCE = GROUPS[0].doors[0]
DECIDED_EVERY = 10

POLICY = Policy(audit_rate=0, learn_from_decisions=False)
BARE = Policy(
    form=FormRules(require_name=False, require_email=False),
    audit_rate=0,
    learn_from_decisions=False,
)


@dataclass
class Clock:
    """Stands until it is told to go on."""

    at: datetime = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Compared:
    """What was found: comments held against JSON and differences, by door.

    A difference is counted once for each part that differs, with the first place it was seen.
    """

    refused: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    parts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, door: str, place: int, parts: Sequence[str]) -> None:
        self.held[door] += 1
        self.differing[door] += bool(parts)
        for part in parts:
            self.parts[door][part] += 1
            self.first.setdefault((door, part), place)

    def text(self) -> str:
        outcomes = ", ".join(f"{word} {count}" for word, count in sorted(self.outcomes.items()))
        lines = [
            f"verdicts: {outcomes}; refused by the form, and sent nowhere else: {self.refused}"
        ]
        for door, held in self.held.items():
            lines.append(f"{door:28} {held:6} compared, {self.differing[door]} differ")
            for part, count in self.parts[door].items():
                lines.append(f"{'':28} {part}: {count}, first {self.first[door, part]}")
        return "\n".join(lines)


def compared(folder: Path, bodies: Sequence[dict[str, Any]], *, every: int = CHUNK) -> Compared:
    """What comes of these comments at each door of a new installation in `folder`.

    A model that is there already is served, else the shipped one.
    """
    clock = Clock()
    with _installation(folder, clock) as (store, database, callers):
        run = _Run(store, database, callers, clock, Compared())
        for begin in range(0, len(bodies), every):
            run.chunk(begin, bodies[begin : begin + every])
            clock.at += STEP
        run.recheck_all()
        return run.found


@dataclass
class _Run:
    store: Store
    database: sqlite3.Connection
    callers: Mapping[str, Caller]
    clock: Clock
    found: Compared
    rechecked: dict[str, Body] = field(default_factory=dict)

    def chunk(self, begin: int, bodies: Sequence[Body]) -> None:
        """Some comments at one moment through every door, compared and partly decided."""
        told = REFERENCE.say(self.callers[REFERENCE.name], bodies)
        passed = [(begin + at, bodies[at]) for at, one in enumerate(told) if one.id]
        self.found.refused += len(bodies) - len(passed)
        places, taken = [place for place, _ in passed], [body for _, body in passed]
        seen = {REFERENCE.name: [self._stored(one.id) for one in told if one.id]}
        for stored in seen[REFERENCE.name]:
            self.found.outcomes[stored.verdict.outcome.word] += 1
        self._compare(REFERENCE, places, seen, [one for one in told if one.id])
        for group in GROUPS:
            for door in group.doors:
                if door is not REFERENCE:
                    said = self._posted(door, [group.fields(body) for body in taken], seen)
                    self._compare(door, places, seen, said, seen[group.doors[0].name])
            self._decide(group, seen)
        for stored, body in zip(seen[RECHECKED], taken, strict=True):
            self.rechecked[stored.id] = body

    def _compare(
        self,
        door: Door,
        places: Sequence[int],
        seen: Mapping[str, list[StoredComment]],
        said: Sequence[Said],
        references: Sequence[StoredComment] = (),
    ) -> None:
        """Note what differs from the references, if any, and from the door's own words."""
        for at, own in enumerate(seen[door.name]):
            parts = _differing(references[at], own) if references else []
            if said[at].words != door.words_of(own.verdict):
                parts.append("the door's own words")
            self.found.note(door.name, places[at], parts)

    def _posted(
        self, door: Door, bodies: Sequence[Body], seen: dict[str, list[StoredComment]]
    ) -> list[Said]:
        """What was said of each; what was stored of it goes to `seen`."""
        caller = self.callers[door.name]
        told: list[Said] = []
        ids: list[str] = []
        known = self._ids_now(caller)
        for part in [bodies] if door.at_once else [[body] for body in bodies]:
            answered = door.say(caller, part)
            told += answered
            new = {one.id for one in answered} - {""} or self._ids_now(caller) - known
            if len(new) != len(part):
                raise SystemExit(f"{door.name}: {len(part)} were sent, {len(new)} stored")
            ids += [one.id for one in answered] if answered[0].id else new
            known |= new
        seen[door.name] = [self._stored(one) for one in ids]
        return told

    def _ids_now(self, caller: Caller) -> set[str]:
        """The comments of a site that came at this moment, for doors that do not tell ids."""
        milliseconds = int(self.clock.at.timestamp() * 1000)
        first = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"
        rows = self.database.execute(
            "SELECT id FROM comments WHERE id >= ? AND site_id = ?", (first, caller.site.id)
        )
        return {row[0] for row in rows}

    def _stored(self, comment_id: str) -> StoredComment:
        stored = self.store.comment(None, comment_id)
        if stored is None:
            raise SystemExit("an answered comment is not stored")
        return stored

    def _decide(self, group: Group, seen: Mapping[str, Sequence[StoredComment]]) -> None:
        """As a person might: what looks like spam is rejected. At each door of a group alike."""
        references = seen[group.doors[0].name]
        for at in range(0, len(references), DECIDED_EVERY):
            scores = references[at].verdict.scores
            is_spam = scores is not None and scores.spam > 0.5
            decision = Decision(
                outcome=Outcome.REJECT if is_spam else Outcome.ACCEPT,
                reason=RejectReason.SPAM if is_spam else None,
                moderator="a person",
                at=self.clock.at,
            )
            for door in group.doors:
                self.store.decide(None, seen[door.name][at].id, decision)

    def recheck_all(self) -> None:
        """Ask again as WordPress does, in the spelling that it has stored: the same check."""
        caller = self.callers[RECHECKED]
        same: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        for comment_id, body in self.rechecked.items():
            same[_key(body)].add(comment_id)
        for place, body in enumerate(self.rechecked.values()):
            told = recheck(caller, body)
            parts = [] if told.id in same[_key(body)] else ["taken for another comment"]
            stored = self.store.comment(None, told.id)
            if stored is None or told.words != recheck_words(stored.state):
                parts.append("the door's own words")
            self.found.note(f"{RECHECKED}, again", place, parts)


def _key(body: Body) -> tuple[str, str, str]:
    return (body["content"], body["author"]["name"], body["author"]["email"])


def _differing(one: StoredComment, other: StoredComment) -> list[str]:
    """The parts that are not the same; floats are compared as such, hence to the bit."""
    pairs = {
        "what was understood": (one.submission, other.submission),
        "address": (one.email_masked, other.email_masked),
        "IP": (one.ip_masked, other.ip_masked),
        "what was known": (one.history, other.history),
        "outcome": (one.verdict.outcome, other.verdict.outcome),
        "scores": (one.verdict.scores, other.verdict.scores),
        "rules": (one.verdict.hits, other.verdict.hits),
        "reasons": (one.verdict.reasons, other.verdict.reasons),
        "verdict": (one.verdict, other.verdict),
    }
    return [part for part, (mine, its) in pairs.items() if mine != its]


@contextmanager
def _installation(
    folder: Path, clock: Clock
) -> Iterator[tuple[Store, sqlite3.Connection, dict[str, Caller]]]:
    """A service on loopback with a site for each door, its store, its database to look into."""
    settings = load_settings({"DUYET_DATA_DIR": str(folder)})
    lay_out(settings)
    keyring = Keyring.open(settings.secrets_dir)
    store = Store.open(settings.sqlalchemy_url, keyring, now=clock)
    store.migrate()
    app = build(settings, Store.open(settings.sqlalchemy_url, keyring, now=clock), now=clock)
    with (
        _served(app) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
        sqlite3.connect(f"file:{folder / 'duyet.db'}?mode=ro", uri=True) as database,
    ):
        callers = {
            door.name: _site_of(store, http, door.name, POLICY if group is GROUPS[0] else BARE)
            for group in GROUPS
            for door in group.doors
        }
        yield store, database, callers
    database.close()
    store.close()


def _site_of(store: Store, http: httpx.Client, name: str, policy: Policy) -> Caller:
    site, key = store.add_site(name.replace(",", ""), policy)
    akismet_key = store.new_akismet_key(site.id)
    store.set_akismet_choices(site.id, AkismetChoices(homes=(HOME.removeprefix("https://"),)))
    store.set_coral_secret(site.id, CORAL_SECRET)
    store.set_perspective_stores(site.id, stores=True)
    return Caller(http, site, key, akismet_key)


@contextmanager
def _served(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, http=HeadLimited, ws="none", log_config=None, access_log=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def with_all_fields(body: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A comment with every field that Akismet's clients can say as well; authors come again."""
    # Every fiftieth comment is by the author of the one before it, at the same moment.
    author = (place - (place % 50 == 1)) % AUTHORS if place % 97 else 0
    day = datetime(2026, 1, 1 + author % 28, 8, tzinfo=UTC)
    return {
        **body,
        "author": {
            **body["author"],
            "email": f"Reader.{author}@mail-{author % 97}.com",
            "ip": f"203.0.113.{author % 251}" if author % 3 else f"2001:DB8::{author:x}",
        },
        "article": {**body["article"], "published_at": day.isoformat()},
        "parent_id": str(place // 2 + 1) if place % 5 == 0 else "",
        "type": "reply" if place % 5 == 0 else "comment",
        "form": {"honeypot": "x" * (place % 211 == 7), "seconds_to_fill": place % 613 / 8},
        "external_id": str(place),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doors", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--comments", type=int, default=10_000)
    options = parser.parse_args()
    read = comments(options.data, options.comments)
    bodies = [with_all_fields(body, place) for place, body in enumerate(read)]
    with tempfile.TemporaryDirectory() as folder:
        found = compared(Path(folder) / "var", bodies)
    print(f"{len(bodies)} comments")
    print(found.text())
    return 1 if found.differing.total() else 0


if __name__ == "__main__":
    sys.exit(main())
