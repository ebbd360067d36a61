"""The one door under strain: broken parts, callers who leave, many at once, long texts."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from model import judging, rules
from model.facts import Facts
from model.policy import FormRules, Policy
from model.registry import CHAMPION, Registry
from model.submission import Author, Submission
from service.admission import ALWAYS_ADMITTED, LARGEST_BATCH, MOST_WAITING, Overloaded
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.metrics import Metrics
from service.moderation import (
    Answer,
    Answered,
    Failed,
    Moderation,
    Refused,
)
from service.pace import Pace
from service.serving import Serving
from service.storage import Site, Store, StoreUnavailable
from tests.api.service import PROBLEM, Clock, Service, a_comment, model_at, models_in, running
from tests.judging_cases import a_manifest, a_table
from tests.migrated import lay_database

LONG = "Đoạn văn này dài và có nhiều chữ. " * 1200


def says(content: str = "Hay quá", email: str = "lan@gmail.com") -> Submission:
    return Submission(content, Author("Lan", email))


@asynccontextmanager
async def door(
    directory: Path, *, policy: Policy | None = None
) -> AsyncIterator[tuple[Moderation, Site, Store]]:
    """Moderation over a new store, without HTTP."""
    store = Store.open(lay_database(directory), Keyring.open(directory / "secrets"))
    store.migrate()
    site, _ = store.add_site("blog", policy or Policy(audit_rate=0))
    model_at(directory / "models")
    metrics = Metrics()
    serving = Serving(Registry(directory / "models"), metrics)
    serving.refresh()
    with Deliverability() as deliverability:
        moderation = Moderation(
            store, serving, now=Clock(), deliverability=deliverability, metrics=metrics
        )
        yield moderation, site, store
        await moderation.drain()
    store.close()


def ids(answers: list[Answer]) -> list[str]:
    return [answer.id for answer in answers if isinstance(answer, Answered)]


# ------------------------------------------------------------------ one bad submission


@pytest.mark.parametrize("poison", ["half \ud83d", "nul \0 x", "\udfff"])
def test_a_submission_that_cannot_be_stored_fails_alone(tmp_path: Path, poison: str) -> None:
    async def checked() -> tuple[list[Answer], list[object]]:
        async with door(tmp_path) as (moderation, site, store):
            # No wire form lets these through; another protocol's might.
            answers = await moderation.check(site, [says("Một"), says(poison), says("Hai")])
            return answers, [store.comment(None, one) for one in ids(answers)]

    answers, stored = asyncio.run(checked())

    assert [type(answer) for answer in answers] == [Answered, Failed, Answered]
    assert None not in stored


def test_a_rule_that_raises_queues_and_is_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(facts: Facts, policy: Policy) -> str | None:
        raise LookupError(facts.submission.author.email)

    table = [replace(r, check=broken) if r.name == "links.too_many" else r for r in rules.RULES]
    monkeypatch.setattr(rules, "RULES", tuple(table))  # the table is no parameter here

    answer = service.post(a_comment("Luật hỏng")).json()

    assert answer["verdict"] == "queue"
    assert answer["scores"] is not None
    assert [(r["code"], r["evidence"]) for r in answer["reasons"]] == [
        ("links.too_many", rules.FAILED)
    ]
    assert 'duyet_rule_failures_total{rule="links.too_many"} 1.0' in service.get("/metrics").text


def test_what_judging_itself_breaks_on_is_queued(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("lan@gmail.com")

    monkeypatch.setattr(judging, "decide", broken)  # total by its tests: nothing real breaks it

    answer = service.post(a_comment("Máy hỏng"))

    assert (answer.status_code, answer.json()["verdict"]) == (200, "queue")
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["judging.failed"]
    stored = service.store.comment(None, answer.json()["id"])
    assert stored is not None
    assert stored.waiting_since is not None


# ------------------------------------------------------------------ the champion


def until(service: Service, version: str) -> None:
    """Wait until a version serves, which takes a second at most."""
    for _ in range(60):
        if service.post(a_comment("Xem phiên bản")).json()["model"] == version:
            return
        time.sleep(0.05)
    pytest.fail("the champion was not swapped")


def move(registry: Registry, version: str) -> None:
    registry.move(CHAMPION, version, who="t", why="t", at=datetime(2026, 1, 2, tzinfo=UTC))


def test_a_champion_that_is_corrupt_leaves_the_last_good_one_at_work(tmp_path: Path) -> None:
    with running(tmp_path / "var") as service:
        registry = models_in(tmp_path / "var")
        good = registry.names()[CHAMPION]
        bad = registry.add(a_manifest(), a_table(7))
        good_again = registry.add(a_manifest(), a_table(9, scale=0.01))
        table = registry.root / "versions" / bad / "table.npy"
        table.write_bytes(table.read_bytes()[:-1] + b"\xff")
        names = registry.root / "names.json"
        names.write_text(f'{{"champion": "{bad}"}}')  # `move` would not: it looks first
        during = [service.post(a_comment("Trong lúc hỏng")).json() for _ in range(5)]
        names.write_bytes(b"\xff\xfe not json")
        during += [service.post(a_comment("Vẫn hỏng")).json() for _ in range(5)]
        ready = service.get("/readyz").status_code
        names.write_text("{}")
        registry.sign([], who="t", why="t", at=datetime(2026, 1, 2, tzinfo=UTC))
        move(registry, good_again)
        until(service, good_again)

    assert {answer["model"] for answer in during} == {good}
    assert all(answer["scores"] for answer in during)
    assert ready == 200


def test_an_old_registry_put_back_is_refused_and_told_while_the_newest_model_serves(
    tmp_path: Path,
) -> None:
    models = tmp_path / "var" / "models"
    with running(tmp_path / "var") as service:
        registry = models_in(tmp_path / "var")
        newest = registry.add(a_manifest(), a_table(9, scale=0.01))
        shutil.copytree(models, tmp_path / "old")
        move(registry, newest)
        until(service, newest)
        (models / "names.json").write_bytes((tmp_path / "old" / "names.json").read_bytes())
        refused = warned(service)
        during = [service.post(a_comment("Vẫn chấm")).json()["model"] for _ in range(5)]
        ready = service.get("/readyz")
        counted = service.get("/metrics").text
        registry.sign([], who="lan", why="restored", at=datetime(2026, 1, 3, tzinfo=UTC))
        until(service, registry.names()[CHAMPION])
        after = service.get("/readyz").json()

    assert refused == [f"model: the registry is refused (rolled_back); {newest} goes on serving"]
    assert set(during) == {newest}
    assert ready.status_code == 200
    assert 'duyet_model_refused{reason="rolled_back"} 1.0' in counted
    assert after == {"status": "ready"}
    assert registry.names()[CHAMPION] != newest


def warned(service: Service) -> object:
    """What readiness warns of, within three seconds."""
    for _ in range(60):
        if warnings := service.get("/readyz").json().get("warnings"):
            return warnings
        time.sleep(0.05)
    return pytest.fail("nobody looked")


@pytest.mark.parametrize("probes", [(("x", (1.0, 2.0, 3.0)),), (("x", ("a", "b")),)])
def test_a_champion_that_is_nonsense_neither_stops_the_start_nor_the_next_swap(
    tmp_path: Path, probes: tuple[tuple[str, tuple[object, ...]], ...]
) -> None:
    registry = Registry(tmp_path / "var" / "models")
    good = registry.add(a_manifest(), a_table(9, scale=0.01))
    # Its digests are right, so it was written by something; it loads all the same not.
    bad = registry.add(a_manifest(probes=probes), a_table(7))
    (registry.root / "names.json").write_text(f'{{"champion": "{bad}"}}')
    with running(tmp_path / "var") as service:
        first = service.post(a_comment("Chưa có máy")).json()
        ready = service.get("/readyz").status_code
        move(models_in(tmp_path / "var"), good)
        until(service, good)

    assert (first["verdict"], first["scores"], ready) == ("queue", None, 503)


# ------------------------------------------------------------------ the store away


@contextmanager
def without_verdicts(service: Service) -> Iterator[None]:
    """The database as it is half way through somebody's bad idea."""
    with service.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE verdicts RENAME TO elsewhere")
    yield
    with service.store.writes() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO verdicts")


@pytest.mark.parametrize("path", ["/v1/comments", "/v1/comments/batch"])
def test_without_its_store_it_says_when_to_come_back_and_writes_no_half(
    fresh: Service, path: str
) -> None:
    fresh.post(a_comment("Làm nóng"))
    sent = [a_comment("Một"), a_comment("Hai")] if path.endswith("batch") else a_comment("Một")
    with without_verdicts(fresh):
        away = fresh.post(sent, path, Idempotency_Key="k")
        stored = fresh.stored()

    again = fresh.post(sent, path, Idempotency_Key="k")

    assert (away.status_code, away.json()["code"]) == (503, "store_unavailable")
    assert away.headers["content-type"] == PROBLEM
    assert int(away.headers["retry-after"]) > 0
    assert stored == 1
    assert again.status_code == 200


@pytest.mark.postgres
def test_a_database_server_that_goes_and_comes_back(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres_server")
    name = server.new_database()

    def allow(allowed: bool) -> None:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )

    with running(tmp_path / "var", database=server.url(name)) as service:
        before = service.post(a_comment("Trước"), Idempotency_Key="a")
        allow(False)
        away = service.post(a_comment("Trong"), Idempotency_Key="b")
        ready = service.get("/readyz")
        allow(True)
        after = service.post(a_comment("Trong"), Idempotency_Key="b")
        stored = service.stored()

    assert (before.status_code, away.status_code, after.status_code) == (200, 503, 200)
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert stored == 2


# ------------------------------------------------------------------ many callers


def test_too_many_waiting_are_turned_away_and_those_before_are_answered(tmp_path: Path) -> None:
    async def checked() -> tuple[list[Answer], BaseException | list[Answer]]:
        async with door(tmp_path) as (moderation, site, _):
            first = asyncio.create_task(moderation.check(site, [says()]))
            await asyncio.sleep(0)  # so that it enters
            several = await asyncio.gather(
                moderation.check(site, [says("")] * (MOST_WAITING + 1)), return_exceptions=True
            )
            return await first, several[0]

    first, turned_away = asyncio.run(checked())

    assert len(ids(first)) == 1
    assert isinstance(turned_away, Overloaded)


def test_callers_who_ask_again_at_once_are_judged_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(Metrics, "judged_together", lambda _, stages: sizes.append(stages.comments))

    async def checked() -> None:
        async with door(tmp_path) as (moderation, site, _):

            async def asks(caller: int) -> None:
                for number in range(4):
                    await moderation.check(site, [says(f"Câu {caller} {number}")])

            await asyncio.gather(*map(asks, range(16)))

    asyncio.run(checked())

    assert sizes == [8, 16, 16, 16, 8]  # a flood's first batch would be as short


@asynccontextmanager
async def flooded(directory: Path) -> AsyncIterator[tuple[Moderation, Site, Store]]:
    """A door at which callers are being turned away, for as long as any test takes."""
    async with door(directory) as (moderation, site, store):
        moderation.admission._turns_away(time.monotonic() + 600)
        assert moderation.admission.is_turning_away
        yield moderation, site, store


def test_of_a_flood_a_locked_database_holds_up_nobody_but_those_who_wait_for_it(
    tmp_path: Path,
) -> None:
    async def turns_meanwhile() -> tuple[int, int]:
        async with flooded(tmp_path) as (moderation, site, store):
            with store.writes() as connection:
                connection.exec_driver_sql("UPDATE sites SET name = name")
                answer = asyncio.create_task(moderation.check(site, [says("Chờ")]))
                turns = 0
                while turns < 20 and not answer.done():
                    await asyncio.sleep(0.01)
                    turns += 1
            return turns, len(ids(await answer))

    assert asyncio.run(turns_meanwhile()) == (20, 1)


def test_between_the_batches_of_a_flood_others_have_their_turn(tmp_path: Path) -> None:
    async def seen() -> set[int]:
        async with flooded(tmp_path) as (moderation, site, _):
            calls = [moderation.check(site, [says(f"Lại {n}")]) for n in range(LARGEST_BATCH)]
            answers = [asyncio.create_task(call) for call in calls]
            answered = set()
            while not all(answer.done() for answer in answers):
                await asyncio.sleep(0)
                answered.add(sum(answer.done() for answer in answers))
            return answered

    assert len(asyncio.run(seen())) > 3  # it was none, then all


def test_as_many_as_may_wait_are_all_answered(tmp_path: Path) -> None:
    async def checked() -> list[Answer]:
        async with door(tmp_path) as (moderation, site, _):
            await moderation.check(site, [says("")] * MOST_WAITING)
            return await moderation.check(site, [says("")] * MOST_WAITING)

    assert {type(answer) for answer in asyncio.run(checked())} == {Refused}


@pytest.mark.parametrize(("seconds", "admitted"), [(0.002, 100), (60.0, ALWAYS_ADMITTED)])
def test_who_would_wait_too_long_is_told_when_to_come_back(
    tmp_path: Path, seconds: float, admitted: int
) -> None:
    async def checked() -> list[list[Answer] | BaseException]:
        async with door(tmp_path) as (moderation, site, _):
            moderation.admission.pace.took(500, seconds)
            callers = (moderation.check(site, [says(f"Câu {n}")]) for n in range(100))
            return await asyncio.gather(*callers, return_exceptions=True)

    outcomes = asyncio.run(checked())

    turned_away = [one for one in outcomes if isinstance(one, Overloaded)]
    assert len(turned_away) == 100 - admitted
    assert all(one.retry_after_seconds >= 60 for one in turned_away)
    assert all(len(ids(one)) == 1 for one in outcomes if isinstance(one, list))


def test_a_flood_leaves_but_for_the_last_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    async def checked() -> tuple[list[list[Answer] | BaseException], int, int]:
        async with door(tmp_path) as (moderation, site, store):
            admission = moderation.admission
            batch = asyncio.create_task(moderation.check(site, [says("Nhiều")] * 200))
            callers = [moderation.check(site, [says(f"Câu {n}")]) for n in range(100)]
            waiting = [asyncio.create_task(caller) for caller in callers]
            await asyncio.sleep(0)  # so that they enter
            admission.pace.took(1000, 60.0)
            admission._grew = 1  # as after a batch during which more came than were in it
            outcomes = await asyncio.gather(batch, *waiting, return_exceptions=True)
            with store.reads() as connection:
                stored = connection.exec_driver_sql("SELECT count(*) FROM comments").scalar_one()
            return outcomes, stored, admission.waiting

    outcomes, stored, left = asyncio.run(checked())

    turned_away = [place for place, one in enumerate(outcomes) if isinstance(one, Overloaded)]
    answered = sum(len(ids(one)) for one in outcomes if isinstance(one, list))
    assert turned_away == list(range(8, 98))  # after the batch and 7 of them, but for the last 3
    assert (answered, left) == (210, 0)
    assert stored == answered


def test_a_large_batch_waits_for_others_but_not_for_itself(tmp_path: Path) -> None:
    async def checked() -> tuple[list[object], list[Answer]]:
        async with door(tmp_path) as (moderation, site, _):
            alone = await moderation.check(site, [says("")] * 5000)
            callers = [moderation.check(site, [says("")] * 20) for _ in range(ALWAYS_ADMITTED)]
            waiting = [asyncio.ensure_future(caller) for caller in callers]
            await asyncio.sleep(0)
            moderation.admission.pace = Pace()  # not as fast as this machine happens to be
            moderation.admission.pace.took(500, 0.001)
            moderation.admission.pace.took(128_000, 0.3)  # 256 comments
            several = [moderation.check(site, [says("")] * n) for n in (1000, 1)]
            late = await asyncio.gather(*several, return_exceptions=True)
            await asyncio.gather(*waiting)
            return [type(one) for one in late], alone

    late, alone = asyncio.run(checked())

    assert late == [Overloaded, list]
    assert len(alone) == 5000


def test_a_single_comment_does_not_wait_for_a_large_batch(tmp_path: Path) -> None:
    async def order() -> list[str]:
        ended: list[str] = []
        async with door(tmp_path) as (moderation, site, _):

            async def one(name: str, submissions: list[Submission]) -> None:
                await moderation.check(site, submissions)
                ended.append(name)

            batch = asyncio.create_task(one("batch", [says(f"Câu {n}") for n in range(1000)]))
            await asyncio.sleep(0)  # so that it enters first
            await asyncio.gather(one("single", [says("Một")]), batch)
        return ended

    assert asyncio.run(order()) == ["single", "batch"]


def test_long_texts_hold_up_neither_the_event_loop_nor_a_short_one(fresh: Service) -> None:
    async def timed() -> tuple[httpx.Response, list[httpx.Response]]:
        async with httpx.AsyncClient(
            base_url=fresh.url,
            headers={"Authorization": f"Bearer {fresh.key}"},
            timeout=60,
            trust_env=False,
            verify=False,
        ) as client:
            batch = asyncio.create_task(
                client.post("/v1/comments/batch", json=[a_comment(LONG)] * 25)
            )
            await asyncio.sleep(0.05)
            single = await client.post("/v1/comments", json=a_comment("Một"))
            probes = [await client.get("/healthz") for _ in range(5)]
            return await batch, [single, *probes]

    batch, others = asyncio.run(timed())

    assert [item["status"] for item in batch.json()["items"]] == [200] * 25
    assert {answer.status_code for answer in others} == {200}
    assert max(answer.elapsed for answer in others) < batch.elapsed / 2


# ------------------------------------------------------------------ callers who leave


def test_a_caller_who_leaves_loses_no_comment_and_holds_up_nobody(tmp_path: Path) -> None:
    async def checked() -> tuple[list[Answer], int]:
        async with door(tmp_path) as (moderation, site, store):
            leaving = asyncio.create_task(moderation.check(site, [says("Bỏ đi")] * 3))
            staying = asyncio.create_task(moderation.check(site, [says("Ở lại", "b@gmail.com")]))
            await asyncio.sleep(0)
            leaving.cancel()
            answers = await staying
            await asyncio.gather(leaving, return_exceptions=True)
            await moderation.drain()
            with store.reads() as connection:
                count = connection.exec_driver_sql("SELECT count(*) FROM comments").scalar_one()
            return answers, int(count)

    answers, stored = asyncio.run(checked())

    assert len(ids(answers)) == 1
    assert stored == 4


def test_nobody_waits_for_ever_when_the_work_has_ended(tmp_path: Path) -> None:
    async def checked() -> tuple[object, object]:
        async with door(tmp_path) as (moderation, site, _):
            await moderation.drain()
            late = asyncio.gather(
                moderation.check(site, [says()]),
                moderation.check(site, [says()]),
                return_exceptions=True,
            )
            async with asyncio.timeout(5):
                first, second = await late
            assert moderation._runner is not None
            moderation._runner.exception()
            return first, second

    assert [type(outcome) for outcome in asyncio.run(checked())] == [Overloaded, Overloaded]


def test_the_runner_cancelled_in_the_middle_strands_nobody(tmp_path: Path) -> None:
    async def checked() -> object:
        async with door(tmp_path) as (moderation, site, _):
            waiting = asyncio.create_task(moderation.check(site, [says()]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert moderation._runner is not None
            moderation._runner.cancel()
            async with asyncio.timeout(5):
                (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            return outcome

    assert isinstance(asyncio.run(checked()), Overloaded)


def test_no_submissions_are_no_answers(tmp_path: Path) -> None:
    async def checked() -> list[Answer]:
        async with door(tmp_path) as (moderation, site, _):
            return await moderation.check(site, [])

    assert asyncio.run(checked()) == []


def test_the_store_away_is_told_to_each_caller_anew(tmp_path: Path) -> None:
    async def checked() -> list[object]:
        async with door(tmp_path) as (moderation, site, store):
            with store.writes() as connection:
                connection.exec_driver_sql("DROP TABLE verdicts")
            return list(
                await asyncio.gather(
                    *(moderation.check(site, [says()]) for _ in range(3)), return_exceptions=True
                )
            )

    told = asyncio.run(checked())

    assert [type(problem) for problem in told] == [StoreUnavailable] * 3
    assert len({id(problem) for problem in told}) == 3


# ------------------------------------------------------------------ DNS


@pytest.mark.parametrize("email", ["a@" + "x" * 100_000, "a@b@c.vn", "không", "a@.vn"])
def test_dns_is_not_asked_about_what_is_no_domain(tmp_path: Path, email: str) -> None:
    policy = Policy(form=FormRules(check_deliverability=True), audit_rate=0)

    async def checked() -> tuple[list[Answer], int]:
        async with door(tmp_path, policy=policy) as (moderation, site, _):
            answers = await moderation.check(site, [replace(says(), author=Author("L", email))])
            return answers, len(moderation._deliverability._known)

    answers, remembered = asyncio.run(checked())

    assert [type(answer) for answer in answers] == [Refused]
    assert remembered == 0
