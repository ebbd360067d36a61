"""A site is learnt while it is served: from decisions to verdicts, over real sockets."""

import json
import logging
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from model.experience import Experience
from model.facts import gather
from model.judging import Case, judge
from model.outcome import Outcome
from model.policy import Policy
from model.registry import CHAMPION, Registry
from model.site_layer import LIMIT, MODERATOR_LIMIT, Anchors
from service.app import build
from service.keyring import Keyring
from service.learning import KEPT_SECONDS, Learning
from service.metrics import Metrics
from service.settings import load_settings
from service.storage import Site, Store, StoredComment
from tests.api.service import UNAUDITED, Clock, Service, a_comment, models_in, running
from tests.judging_cases import a_manifest, a_table
from tests.serving import served

SPAM = (
    "Vay tiền nhanh không cần thế chấp, chỉ cần gửi họ tên và số tiền cho nhân viên bên dưới, "
    "tối nay nhận tiền ngay tại nhà, lãi suất hai phần trăm một tháng, duyệt mọi hồ sơ."
)
COPY = SPAM.replace("hai phần trăm", "ba phần trăm").replace("tối nay", "sáng mai").upper()
HAM = (
    "Mình tháo cái bơm mùa đông năm ngoái với gioăng như ảnh thứ hai, đến giờ vẫn chạy êm. "
    "Nhớ hai con ốc phía trên, siết mạnh là toét ren trước khi kịp nhận ra."
)
SPAM_WORDS = ("zorvex", "plunati", "krindal", "goshmet", "vailup", "drotten", "winspan", "lukrum")
HAM_WORDS = ("ocarina", "tuning", "reed", "fipple", "recorder", "consort", "madrigal", "pipe")
PLAIN_WORDS = ("the", "was", "with", "this", "that", "from", "have", "about", "some", "there")

SPAMS = {"outcome": "reject", "reason": "spam"}
ACCEPTS = {"outcome": "accept"}


def doubting_model(root: Path, seed: int = 3, *, is_signed: bool = False) -> str:
    """A registry whose champion is in doubt of every text; the champion's version."""
    registry = models_in(root.parent, root) if is_signed else Registry(root)
    version = registry.add(a_manifest(bias=(0.6, -2.0)), a_table(seed, scale=0.001))
    registry.move(CHAMPION, version, who="t", why="t", at=datetime(2026, 1, seed, tzinfo=UTC))
    return version


@dataclass
class Desk:
    """A site as its owner uses it: posts comments, decides, asks again until something holds."""

    client: httpx.Client
    authors: int = 0

    def post(self, content: str, **changes: Any) -> dict[str, Any]:
        """A comment by an author nobody knows yet; the answer."""
        self.authors += 1
        author = {"name": f"Khách {self.authors}", "email": f"k{self.authors}@mail.example"}
        body = a_comment(content, **({"author": author} | changes))
        answer = self.client.post("/v1/comments", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def decide(self, comment_id: str, body: dict[str, str]) -> None:
        answer = self.client.post(f"/v1/comments/{comment_id}/decision", json=body)
        assert answer.status_code == 200, answer.text

    def teach(self, content: str, body: dict[str, str]) -> str:
        """Post a comment and decide on it; its id."""
        comment_id: str = self.post(content)["id"]
        self.decide(comment_id, body)
        return comment_id

    def undo(self, comment_id: str) -> None:
        assert self.client.delete(f"/v1/comments/{comment_id}/decision").status_code == 200

    def until(self, content: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first answer to the comment, posted again and again, of which that holds."""
        for _ in range(400):
            answer = self.post(content)
            if holds(answer):
                return answer
            time.sleep(0.02)
        pytest.fail(f"it never held: {answer}")

    def until_lessons(self, count: int) -> dict[str, Any]:
        """The answer to a comment once so many decisions have been learnt."""
        return self.until("Chờ một chút", lambda told: lessons_of(told) == count)

    def metric(self, name: str) -> float:
        text = self.client.get("/metrics").text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def lessons_of(answer: dict[str, Any]) -> int:
    learnt = answer.get("learnt")
    return int(learnt["lessons"]) if learnt else 0


def codes_of(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


@contextmanager
def desk_at(service: Service) -> Iterator[Desk]:
    with service.client(Accept_Language="vi") as client:
        yield Desk(client)


@pytest.fixture
def learning_service(tmp_path: Path) -> Iterator[Service]:
    doubting_model(tmp_path / "var" / "models")
    with running(tmp_path / "var") as service:
        yield service


@pytest.fixture
def desk(learning_service: Service) -> Iterator[Desk]:
    with desk_at(learning_service) as desk:
        yield desk


def a_text(spam: bool, random: Random) -> str:
    words = SPAM_WORDS if spam else HAM_WORDS
    return " ".join(random.sample(words, 4) + random.sample(PLAIN_WORDS, 5))


def teach_words(desk: Desk, count: int = 50) -> None:
    random = Random(1)
    for n in range(count):
        spam = n % 2 == 0
        desk.teach(a_text(spam, random), SPAMS if spam else ACCEPTS)


# ------------------------------------------------------------------ campaigns


def test_the_next_copy_of_rejected_spam_is_rejected_and_says_why(desk: Desk) -> None:
    first, second = desk.post(SPAM), desk.post(f"Chào cả nhà. {SPAM}")
    desk.decide(first["id"], SPAMS)

    answer = desk.until(COPY, lambda told: told["verdict"] == "reject")

    assert (first["verdict"], second["verdict"]) == ("queue", "queue")
    reason = next(r for r in answer["reasons"] if r["code"] == "memory.rejected_before")
    assert reason["message"] == "Một bình luận gần giống hệt đã bị từ chối vì là rác."
    assert reason["evidence"].startswith("1×, ")
    assert answer["learnt"]["twin"] == first["id"]
    assert answer["learnt"]["lessons"] == 1
    assert desk.metric('duyet_learnt_verdicts_total{part="memory"}') >= 1


def test_a_copy_of_what_was_accepted_is_accepted_by_trust(desk: Desk) -> None:
    taught = desk.teach(HAM, ACCEPTS)

    answer = desk.until(
        HAM.replace("năm ngoái", "năm kia"), lambda told: told["verdict"] == "accept"
    )

    assert "memory.accepted_before" in codes_of(answer)
    assert answer["learnt"]["twin"] == taught


def test_what_a_twin_does_is_the_site_s_to_say(tmp_path: Path) -> None:
    policy = Policy.from_json(
        replace(UNAUDITED, effects={"memory.rejected_before": Outcome.QUEUE}).to_json()
    )
    doubting_model(tmp_path / "var" / "models")
    with running(tmp_path / "var", policy=policy) as service, desk_at(service) as desk:
        desk.teach(SPAM, SPAMS)

        answer = desk.until(COPY, lambda told: "memory.rejected_before" in codes_of(told))

    assert answer["verdict"] == "queue"


def test_a_campaign_on_one_site_settles_nothing_on_another(
    learning_service: Service, desk: Desk
) -> None:
    desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")

    with learning_service.client(learning_service.other_key) as client:
        answer = Desk(client).post(COPY)

    assert answer["verdict"] == "queue"
    assert "learnt" not in answer


# ------------------------------------------------------------------ the layer


def test_what_the_layer_adds_is_told_and_sums_to_the_score(
    learning_service: Service, desk: Desk
) -> None:
    teach_words(desk)
    desk.until_lessons(50)

    answer = desk.post("krindal zorvex winspan plunati about this with some")

    champion = Registry(learning_service.directory / "models").load(CHAMPION)
    stored = learning_service.store.comment(None, answer["id"])
    assert stored is not None
    assert stored.verdict.learnt is not None
    told = champion.contributions(gather(stored.submission).texts)
    added = stored.verdict.learnt.added
    total = float(champion.bias[0]) + sum(float(part.total[0]) for part in told) + added
    score = answer["scores"]["spam"]
    assert added > 1
    assert answer["learnt"] == {
        "layer": stored.verdict.learnt.layer,
        "lessons": 50,
        "added": added,
        "twin": None,
    }
    assert math.log(score / (1 - score)) == pytest.approx(total, abs=1e-9)
    assert {"code": "site.learnt", "message": "Các quyết định của trang này:", "field": ""} | {
        "evidence": f"{added:+.1f}"
    } in answer["reasons"]


def test_a_site_nobody_decided_on_is_told_nothing_of_learning(desk: Desk) -> None:
    answer = desk.post(SPAM)

    assert "learnt" not in answer
    assert desk.metric("duyet_learning_seconds_count") == 0


@pytest.mark.parametrize("reason", ["off_topic", "other", "toxic"])
def test_what_says_nothing_of_spam_teaches_nothing(desk: Desk, reason: str) -> None:
    for _ in range(3):
        desk.teach(SPAM, {"outcome": "reject", "reason": reason})
    answer = desk.until(COPY, lambda _: desk.metric(_READ.format("no")) == 3)
    again = desk.post(COPY)

    assert desk.metric(_READ.format("yes")) == 0
    for told in (answer, again):
        assert "learnt" not in told
        assert not any(code.startswith("memory.") for code in codes_of(told))


_READ = 'duyet_decisions_read_total{{taught="{}"}}'


def test_one_moderator_s_wrong_decisions_move_no_score_beyond_the_bound(
    learning_service: Service, desk: Desk
) -> None:
    random = Random(7)
    for _ in range(40):
        desk.teach(a_text(False, random), SPAMS)
    desk.until_lessons(40)

    answers = [desk.post(a_text(False, random)) for _ in range(10)]
    readers = [desk.post(text) for text in ("Đọc xong thấy nhớ quê quá.", "Thanks, it works now.")]

    added = [answer["learnt"]["added"] for answer in answers]
    assert max(map(abs, added)) <= MODERATOR_LIMIT < LIMIT
    assert all(abs(answer["learnt"]["added"]) < 0.5 for answer in readers)
    assert {answer["verdict"] for answer in readers} == {"queue"}


# ------------------------------------------------------------------ taking it back


def test_an_undo_takes_back_what_was_learnt(desk: Desk) -> None:
    desk.teach(HAM, ACCEPTS)
    taught = desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")

    desk.undo(taught)

    answer = desk.until(COPY, lambda told: told["verdict"] == "queue")
    assert (lessons_of(answer), answer["learnt"]["twin"]) == (1, None)


def test_a_reset_takes_it_all_back_with_the_very_next_comment(
    learning_service: Service, desk: Desk
) -> None:
    taught = desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")

    learning_service.store.forget_decisions(learning_service.site.id)
    answer = desk.post(COPY)
    desk.teach(HAM, ACCEPTS)
    later = desk.until_lessons(1)

    assert answer["verdict"] == "queue"
    assert "learnt" not in answer
    assert later["learnt"]["lessons"] == 1
    assert desk.post(COPY)["verdict"] == "queue"
    stored = learning_service.store.comment(None, taught)
    assert stored is not None
    assert stored.decision is not None


def test_a_policy_switches_it_off_and_on(learning_service: Service, desk: Desk) -> None:
    desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")
    store, site = learning_service.store, learning_service.site

    off = store.set_policy(site.id, replace(UNAUDITED, learn_from_decisions=False))
    without = desk.until(COPY, lambda told: told["policy"] == off.policy_version)
    store.set_policy(site.id, UNAUDITED)
    back = desk.until(COPY, lambda told: told["verdict"] == "reject")

    assert without["verdict"] == "queue"
    assert "learnt" not in without
    assert "memory.rejected_before" in codes_of(back)


# ------------------------------------------------------------------ other processes, other days


@contextmanager
def served_again(service: Service) -> Iterator[Desk]:
    """The same database served by another application, with the same key."""
    settings = load_settings({"DUYET_DATA_DIR": str(service.directory)})
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir), now=Clock())
    with served(build(settings, store, now=Clock())) as port:
        again = replace(service, port=port)
        with desk_at(again) as desk:
            yield desk


def test_after_a_restart_the_same_layer_is_there(learning_service: Service, desk: Desk) -> None:
    teach_words(desk, 20)
    taken_back = desk.teach(SPAM, SPAMS)
    before = desk.until_lessons(21)
    with served_again(learning_service) as restarted:
        after = restarted.until_lessons(21)
        desk.undo(taken_back)
        without = [d.until_lessons(20) for d in (desk, restarted)]

    assert after["learnt"]["layer"] == before["learnt"]["layer"] != ""
    layers = {told["learnt"]["layer"] for told in without}
    assert len(layers) == 1
    assert layers != {before["learnt"]["layer"]}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Starts `duyet serve`, a process of its own, over one installation; port and first key."""
    doubting_model(tmp_path / "models")
    processes: list[subprocess.Popen[str]] = []

    def start(database: str) -> tuple[int, str]:
        environment = {n: v for n, v in os.environ.items() if not n.startswith("DUYET_")} | {
            "DUYET_DATA_DIR": str(tmp_path / "var"),
            "DUYET_MODELS": str(tmp_path / "models"),
            "DUYET_DATABASE_URL": database,
            "DUYET_PORT": "0",
            "DUYET_LOG_LEVEL": "warning",
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "duyet", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        told = ""
        while "duyet sign-in`" not in told:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the service ended"
            told += line
        port = re.search(r"http://127\.0\.0\.1:(\d+)", told)
        key = re.search(r"Bearer (\S+?)'", told)
        assert port is not None
        return int(port[1]), key[1] if key else ""

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def client_of(port: int, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {key}"},
        transport=httpx.HTTPTransport(retries=9),  # it may not listen yet
        timeout=30,
        trust_env=False,
        verify=False,
    )


@pytest.mark.waits  # for the other process to listen
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def test_what_one_process_is_told_another_one_knows(
    serve: Callable[[str], tuple[int, str]], database: str, request: pytest.FixtureRequest
) -> None:
    url = ""
    if database == "postgres":
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
    port, key = serve(url)
    other_port, _ = serve(url)
    with client_of(port, key) as one, client_of(other_port, key) as other:
        here, there = Desk(one), Desk(other, authors=1_000)
        taught = here.teach(SPAM, SPAMS)
        rejected = there.until(COPY, lambda told: told["verdict"] == "reject")
        there.teach(HAM, ACCEPTS)
        layers = {told["learnt"]["layer"] for told in (d.until_lessons(2) for d in (here, there))}
        here.undo(taught)
        queued = there.until(COPY, lambda told: told["verdict"] == "queue")

    assert rejected["learnt"]["twin"] == taught
    assert len(layers) == 1
    assert lessons_of(queued) == 1


def test_a_new_champion_learns_the_site_anew(learning_service: Service, desk: Desk) -> None:
    teach_words(desk, 10)
    before = desk.until_lessons(10)

    version = doubting_model(learning_service.directory / "models", seed=4, is_signed=True)
    after = desk.until(
        "Chờ một chút", lambda told: told["model"] == version and told["learnt"]["layer"] != ""
    )

    assert lessons_of(after) == 10
    assert after["learnt"]["layer"] != before["learnt"]["layer"]


# ------------------------------------------------------------------ replay


def at_that_time(store: Store, stored: StoredComment, site: Site, models: Path) -> Experience:
    """What had been learnt when a verdict was given, from what is kept."""
    learnt, champion = stored.verdict.learnt, Registry(models).load(stored.verdict.model)
    assert learnt is not None
    policy = store.policy(site.id, stored.verdict.policy)
    assert policy is not None
    experience = Experience(
        champion, Anchors.of(champion.spec), policy, since=learnt.since, undo=learnt.undo
    )
    page = store.decided(
        site.id, after=learnt.since, upto=learnt.change, undone_upto=learnt.undo, limit=1_000
    )
    for prepared in experience.prepared(page):
        experience.learn(prepared)
    experience.change = learnt.change
    return experience


def test_a_verdict_can_be_replayed_after_much_else_was_decided(
    learning_service: Service, desk: Desk
) -> None:
    teach_words(desk, 24)
    taught = desk.teach(SPAM, SPAMS)
    desk.until_lessons(25)
    given = [desk.post(text)["id"] for text in (COPY, "krindal zorvex winspan about this with")]
    desk.undo(taught)
    desk.teach(HAM, SPAMS)
    desk.until_lessons(25)
    store, site = learning_service.store, learning_service.site
    models = learning_service.directory / "models"

    for comment_id in given:
        stored = store.comment(None, comment_id)
        assert stored is not None
        policy = store.policy(site.id, stored.verdict.policy)
        assert policy is not None
        champion = Registry(models).load(stored.verdict.model)
        case = Case(
            stored.submission,
            stored.history,
            policy,
            stored.verdict.policy,
            at_that_time(store, stored, site, models),
        )
        assert judge([case], champion) == [stored.verdict]


# ------------------------------------------------------------------ folding


@contextmanager
def learning(store: Store, horizon: int = 20) -> Iterator[tuple[Learning, Metrics]]:
    metrics = Metrics()
    found = Learning(store, metrics, horizon=horizon)
    try:
        yield found, metrics
    finally:
        found.close()


def test_whoever_learns_a_long_site_learns_the_same(learning_service: Service, desk: Desk) -> None:
    """One that follows decision by decision, and one that comes late, beyond the horizon."""
    store, site = learning_service.store, learning_service.site
    champion = Registry(learning_service.directory / "models").load(CHAMPION)
    versions: list[tuple[int, str, str]] = []
    random = Random(5)
    with learning(store) as (following, _):
        for n in range(47):
            desk.teach(a_text(n % 2 == 0, random), SPAMS if n % 2 == 0 else ACCEPTS)
            early = settled(following, store, site, champion)
            if n in {3, 19, 23, 46}:
                with learning(store) as (coming, _):
                    late = settled(coming, store, site, champion)
                versions.append((early[1], early[0], late[0]))

    assert [lessons for lessons, *_ in versions] == [4, 16, 16, 19]
    assert all(early == late != "" for _, early, late in versions)


def settled(learning: Learning, store: Store, site: Site, champion: Any) -> tuple[str, int]:
    """The layer and its lessons once the site is up to date."""
    changes = store.changes(site.id)
    for _ in range(400):
        with learning.of([(site, changes)], champion) as known:
            experience = known.get(site.id)
            basis = experience and learning._states[site.id]
            if experience and basis and not basis.queued and experience.change == changes.last:
                return experience.layer.version, experience.lessons
        time.sleep(0.01)
    pytest.fail("it was never up to date")


def test_a_store_that_is_away_costs_nothing_but_what_is_new(
    learning_service: Service, desk: Desk
) -> None:
    desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")
    with learning_service.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE undos RENAME TO elsewhere")  # nobody checks there
        connection.exec_driver_sql("UPDATE sites SET last_change = last_change + 1")

    during = [desk.post(COPY) for _ in range(5)]
    failures = desk.metric("duyet_learning_failures_total")
    with learning_service.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO undos")
    desk.teach(HAM, ACCEPTS)
    desk.until_lessons(2)

    assert {answer["verdict"] for answer in during} == {"reject"}
    assert failures >= 1


def test_what_fails_in_an_experience_is_judged_without_it(
    learning_service: Service, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.teach(SPAM, SPAMS)
    desk.until(COPY, lambda told: told["verdict"] == "reject")

    def broken(*_: object) -> None:
        raise LookupError("canary@mail.example")

    monkeypatch.setattr(Experience, "twin", broken)  # total by its tests: nothing real breaks it
    answer = desk.post(COPY)

    assert answer["verdict"] == "queue"
    assert answer["scores"] is not None
    assert "learnt" not in answer
    assert desk.metric("duyet_learning_failures_total") >= 1


def test_a_site_without_room_is_judged_without_until_another_is_not_asked_for(
    learning_service: Service, desk: Desk
) -> None:
    store, now = learning_service.store, [1_000.0]
    champion = Registry(learning_service.directory / "models").load(CHAMPION)
    one, other = learning_service.site, learning_service.other_site
    desk.teach(SPAM, SPAMS)
    with learning_service.client(learning_service.other_key) as client:
        Desk(client, authors=1_000).teach(SPAM, SPAMS)
    small = Learning(store, Metrics(), megabytes=0.1, clock=lambda: now[0])

    settled(small, store, one, champion)
    with small.of([(other, store.changes(other.id))], champion) as known:
        refused = dict(known)
    now[0] += KEPT_SECONDS + 1
    admitted = settled(small, store, other, champion)
    kept = list(small._states)
    small.close()

    assert refused == {}
    assert admitted[1] == 1
    assert kept == [other.id]


# ------------------------------------------------------------------ privacy


def test_no_address_is_in_what_was_learnt(
    learning_service: Service, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "kanari.zqxjkv@privat.example"
    told = f"{SPAM} Viết cho {canary}."
    author = {"name": f"Lan {canary}", "email": canary, "url": f"https://x.example/?m={canary}"}
    first = desk.post(told, author=author)
    desk.decide(first["id"], SPAMS)
    answer = desk.until(told, lambda answer: "memory.like_rejected" in codes_of(answer))

    store, site = learning_service.store, learning_service.site
    [decided] = store.decided(site.id, after=0, upto=1, undone_upto=0, limit=9)
    stored = store.comment(None, answer["id"])
    assert stored is not None
    experience = at_that_time(store, stored, site, learning_service.directory / "models")
    shown = [
        json.dumps(answer["reasons"]) + json.dumps(answer["learnt"]),
        repr(decided),
        repr(experience.prepared([decided])),
        repr(experience),
        repr(experience.layer),
        repr(experience.memory),
        repr(stored.verdict.learnt),
        desk.client.get("/metrics").text,
        caplog.text,
    ]
    assert [text for text in shown if "zqxjkv" in text] == []
