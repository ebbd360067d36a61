"""The same request twice: one comment, one answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.policy import FormRules, Policy
from service.app import build
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Store
from tests.api.service import Service, a_comment, running
from tests.serving import served


async def all_at_once(
    urls: list[str], key: str, bodies: list[Any], idempotency_keys: list[str]
) -> list[httpx.Response]:
    """Answers to as many requests, each on a connection of its own, spread over the URLs."""
    async with httpx.AsyncClient(
        headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False, verify=False
    ) as client:
        return await asyncio.gather(
            *(
                client.post(
                    f"{urls[n % len(urls)]}/v1/comments",
                    json=body,
                    headers={"Idempotency-Key": idempotency} if idempotency else {},
                )
                for n, (body, idempotency) in enumerate(zip(bodies, idempotency_keys, strict=True))
            )
        )


TRICKY = a_comment(
    'Hỏi  lan@gmail.com <a href="http://x.vn/?m=lan%40gmail.com">đây</a> \ud83d',
    author={
        "name": "Lan <b>lan@gmail.com</b>",
        "email": "Lan@Gmail.com",
        "url": "http://lan.example/?q=lan@gmail.com#lan@gmail.com",
        "ip": "203.0.113.7",
        "user_agent": "x lan@gmail.com",
    },
    form={"honeypot": "đầy", "seconds_to_fill": 0.5},
    permalink="https://blog.example/?m=lan@gmail.com",
)


def test_the_same_request_gets_the_same_answer_and_is_stored_once(fresh: Service) -> None:
    answers = [fresh.post(TRICKY, Idempotency_Key="once") for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert fresh.stored() == 1


def test_the_same_json_in_another_order_is_the_same_request(service: Service) -> None:
    first = json.dumps(TRICKY).encode()
    second = json.dumps(dict(reversed(TRICKY.items())), indent=2).encode()

    ids = {service.post(body, Idempotency_Key="order").json()["id"] for body in (first, second)}

    assert len(ids) == 1


def test_a_key_with_another_body_is_refused(fresh: Service) -> None:
    fresh.post(a_comment("Đầu tiên"), Idempotency_Key="reused")

    answer = fresh.post(a_comment("Cái khác"), Idempotency_Key="reused")

    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert fresh.stored() == 1


def test_without_a_key_each_request_is_a_comment(fresh: Service) -> None:
    ids = {fresh.post(a_comment()).json()["id"] for _ in range(2)}

    assert len(ids) == fresh.stored() == 2


def test_a_key_is_the_sites_own(fresh: Service) -> None:
    ours = fresh.post(a_comment(), Idempotency_Key="k").json()["id"]
    with fresh.client(fresh.other_key, Idempotency_Key="k") as client:
        theirs = client.post("/v1/comments", json=a_comment("Khác")).json()["id"]

    assert ours != theirs


def test_a_refused_comment_leaves_its_key_free(fresh: Service) -> None:
    refused = fresh.post(a_comment(""), Idempotency_Key="later")
    answer = fresh.post(a_comment("Có chữ"), Idempotency_Key="later")

    assert (refused.status_code, answer.status_code) == (422, 200)


def test_the_first_answer_stands_although_the_form_asks_for_more_by_now(tmp_path: Path) -> None:
    with running(tmp_path / "var") as service:
        first = service.post(a_comment(), Idempotency_Key="policy").json()
    directory = tmp_path / "var"
    settings = load_settings({"DUYET_DATA_DIR": str(directory)})
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir))
    store.set_policy(service.site.id, Policy(form=FormRules(require_url=True)))
    with served(build(settings, store)) as service.port:
        again = service.post(a_comment(), Idempotency_Key="policy")
        reused = service.post(a_comment("Cái khác"), Idempotency_Key="policy")
        new = service.post(a_comment())

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert reused.json()["code"] == "key_reused"
    assert new.json()["code"] == "submission_invalid"


@pytest.mark.parametrize("bodies", [1, 2], ids=["same body", "two bodies"])
def test_twenty_at_once_with_one_key_are_one_comment(fresh: Service, bodies: int) -> None:
    sent = [a_comment(("Một", "Hai")[n % bodies]) for n in range(20)]

    answers = asyncio.run(all_at_once([fresh.url], fresh.key, sent, ["same"] * 20))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * (20 // bodies) + [422] * (20 - 20 // bodies)
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert fresh.stored() == 1


@pytest.mark.parametrize("database", ["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def test_two_processes_that_share_a_database_agree(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = ""
    if database == "pg":
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
    with running(tmp_path / "var", database=url) as service:
        settings = load_settings(
            {"DUYET_DATA_DIR": str(service.directory), "DUYET_DATABASE_URL": url}
        )
        second = build(settings, Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir)))
        with served(second) as port:
            urls = [service.url, f"http://127.0.0.1:{port}"]
            # One after the other first: a route is made ready on its first use, which two
            # servers in one process must not do at once.
            for one in urls:
                asyncio.run(all_at_once([one], service.key, [a_comment("first")], ["first"]))
            keys = [f"k{n // 4}" for n in range(40)]
            answers = asyncio.run(
                all_at_once(urls, service.key, [a_comment(key) for key in keys], keys)
            )
        stored = service.stored()

    assert {answer.status_code for answer in answers} == {200}
    ids = [answer.json()["id"] for answer in answers]
    assert [len(set(ids[n : n + 4])) for n in range(0, 40, 4)] == [1] * 10
    assert len(set(ids)) == stored - 1 == 10


@pytest.mark.parametrize("database", ["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def test_two_hundred_at_once_are_all_answered_and_stored(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = ""
    if database == "pg":
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
    with running(tmp_path / "var", database=url, DUYET_MAX_WAIT_SECONDS="60") as service:
        sent = [a_comment(f"Bình luận {n}") for n in range(200)]
        answers = asyncio.run(all_at_once([service.url], service.key, sent, [""] * 200))
        stored = [service.store.comment(None, answer.json()["id"]) for answer in answers]

    assert {answer.status_code for answer in answers} == {200}
    assert [one and one.submission.content for one in stored] == [c["content"] for c in sent]
    assert [one and one.verdict.outcome.word for one in stored] == [
        answer.json()["verdict"] for answer in answers
    ]


def test_a_batch_sent_again_gets_its_first_answers(fresh: Service) -> None:
    batch = [a_comment("Một"), {"content": ""}, a_comment("Hai"), 7]

    first, again = (fresh.post(batch, "/v1/comments/batch", Idempotency_Key="b") for _ in range(2))

    assert first.content == again.content
    assert fresh.stored() == 2


def test_a_batchs_key_never_meets_that_of_a_single_comment(fresh: Service) -> None:
    fresh.post([a_comment("Một")], "/v1/comments/batch", Idempotency_Key="b")

    answers = [fresh.post(a_comment("Khác"), Idempotency_Key=key) for key in ("b", "b/0", "b0")]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert fresh.stored() == 4
