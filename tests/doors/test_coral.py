"""Coral's external moderation phase: signatures of a second implementation, answers that hold."""

import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.outcome import Head, Outcome, Scores
from model.verdict import Reason, Verdict
from service.admission import Overloaded
from service.api.coral import spoken, submission_of
from service.storage import AcceptSpoken, CoralChoices, StoreUnavailable, WithheldSpoken
from tests.api.service import Clock, Service, running

SECRET = "b5a8-signing-secret"
WITHHELD = {"status": "SYSTEM_WITHHELD"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("coral")) as service:
        service.store.set_coral_secret(service.site.id, SECRET)
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    at = Clock().at
    with running(tmp_path, now=lambda: at) as service:
        service.store.set_coral_secret(service.site.id, SECRET)
        yield service


def request(body: str = "Cảm ơn bài viết!", **more: Any) -> bytes:
    sent = {
        "action": "NEW",
        "comment": {"body": body, "parentID": None},
        "author": {"id": "a-1", "role": "COMMENTER"},
        "story": {"id": "s-1", "url": "https://news.example/a"},
        "site": {"id": "site-1"},
        "tenantID": "t-1",
        "tenantDomain": "news.example",
    }
    return json.dumps(sent | more, ensure_ascii=False).encode()


def signed(body: bytes, secret: str = SECRET) -> str:
    """A signature that openssl makes, which shares nothing with ours."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made = subprocess.run(
        [openssl, "dgst", "-sha256", "-hmac", secret, "-r"],
        input=body,
        capture_output=True,
        check=True,
    )
    return "sha256=" + made.stdout.split()[0].decode()


def call(service: Service, body: bytes, signature: str | None, site_id: str = "") -> httpx.Response:
    path = f"/coral/v1/external-moderation/{site_id or service.site.id}"
    headers = {"Content-Type": "application/json"}
    if signature is not None:
        headers["X-Coral-Signature"] = signature
    with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as http:
        return http.post(path, content=body, headers=headers)


def test_a_comment_that_is_accepted_is_left_to_coral(fresh: Service) -> None:
    body = request()

    answer = call(fresh, body, signed(body))

    assert (answer.status_code, answer.content) == (204, b"")
    [(content, permalink)] = rows(fresh, "SELECT content, permalink FROM comments")
    assert (content, permalink) == ("Cảm ơn bài viết!", "https://news.example/a")


def test_a_site_chooses_how_an_accepted_comment_is_spoken_of(fresh: Service) -> None:
    fresh.store.set_coral_choices(fresh.site.id, CoralChoices(accept=AcceptSpoken.NONE))
    body = request()

    assert call(fresh, body, signed(body)).json() == {"status": "NONE"}


def test_of_several_signatures_one_has_to_be_right(shared: Service) -> None:
    body = request("Hai chữ ký.")

    assert call(shared, body, f"sha256={'0' * 64},{signed(body)}").status_code == 204
    assert call(shared, body, f"{signed(body)}, sha256=x").status_code == 204


@pytest.mark.parametrize("wrong", [None, "", "sha256=", "sha256=é", ",", "sha1=abc", "x" * 9000])
def test_an_unsigned_request_is_refused_and_leaves_nothing(
    fresh: Service, wrong: str | None
) -> None:
    body = request()
    path = f"/coral/v1/external-moderation/{fresh.site.id}"
    headers = {} if wrong is None else {b"X-Coral-Signature": wrong.encode()}
    with httpx.Client(base_url=fresh.url, trust_env=False) as http:
        answer = http.post(path, content=body, headers=headers)

    assert answer.status_code == 401
    assert fresh.stored() == 0


def test_another_secret_body_or_site_is_refused_alike(shared: Service) -> None:
    body = request("Sai.")
    right = signed(body)
    refused = [
        call(shared, body, signed(body, "another")),
        call(shared, body + b" ", right),
        call(shared, body, right.upper()),
        call(shared, body, right.removeprefix("sha256=")),
        call(shared, body, right, shared.other_site.id),
        call(shared, body, right, "01890000-0000-7000-8000-000000000000"),
        call(shared, body, right, "x" * 3000),
        call(shared, body, right, "%00"),
    ]

    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.content for answer in refused}) == 1


def test_no_empty_secret_signs_for_a_site_that_has_none(shared: Service) -> None:
    body = request("Không khóa.")
    empty = "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest()

    assert call(shared, body, empty, shared.other_site.id).status_code == 401


def test_a_new_secret_ends_the_one_before(fresh: Service) -> None:
    body = request()
    fresh.store.set_coral_secret(fresh.site.id, "new")

    assert call(fresh, body, signed(body)).status_code == 401
    assert call(fresh, body, signed(body, "new")).status_code == 204


def test_a_replay_gets_the_first_answer_and_is_not_stored_again(fresh: Service) -> None:
    body = request()
    answers = [call(fresh, body, signed(body)).status_code for _ in range(3)]

    assert answers == [204, 204, 204]
    assert fresh.stored() == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 50_000,
        b'{"comment": "text"}',
        b'{"comment": {"body": 1}}',
        b'{"comment": {}}',
    ],
)
def test_a_signed_request_without_a_comment_is_withheld(shared: Service, body: bytes) -> None:
    before = shared.stored()

    answer = call(shared, body, signed(body))

    assert (answer.status_code, answer.json()) == (200, WITHHELD)
    assert shared.stored() == before


def test_unknown_fields_and_wrong_types_beside_the_comment_are_no_matter() -> None:
    sent: dict[str, Any] = {
        "comment": {"body": "A\0b", "parentID": 7, "new": [1]},
        "story": [],
        "author": None,
        "later": {"x": 1},
    }

    read = submission_of(json.dumps(sent).encode())

    assert read is not None
    assert (read.content, read.parent_id, read.permalink) == ("A\ufffdb", "", "")
    half = submission_of(rb'{"comment": {"body": "\ud83d", "parentID": "p"}}')
    assert half is not None
    assert (half.content, half.parent_id, half.type.value) == ("\ufffd", "p", "reply")


@pytest.mark.parametrize("error", [Overloaded(3.0), StoreUnavailable("away"), RuntimeError("new")])
def test_no_error_publishes_a_comment(
    fresh: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("service.moderation.Moderation.check_one", fails)
    body = request()

    answer = call(fresh, body, signed(body))

    assert (answer.status_code, answer.json()) == (200, WITHHELD)
    assert fresh.stored() == 0


def test_over_the_rate_limit_or_too_large_is_withheld(tmp_path: Path) -> None:
    with running(tmp_path, DUYET_RATE_LIMIT="0.01", DUYET_MAX_BODY_BYTES="4096") as service:
        service.store.set_coral_secret(service.site.id, SECRET)
        huge = request("x" * 10_000)
        answers = [call(service, huge, signed(huge))]
        for n in range(4):
            body = request(f"Bình luận {n}")
            answers.append(call(service, body, signed(body)))

    assert answers[0].json() == answers[-1].json() == WITHHELD
    assert answers[1].status_code == 204
    assert "retry-after" in answers[-1].headers


def verdict(outcome: Outcome, *codes: str) -> Verdict:
    reasons = tuple(Reason(code) for code in codes)
    return Verdict(outcome, Scores(0.9, 0.9), reasons, (), (), "m", "p")


@pytest.mark.parametrize(
    ("given", "choices", "told"),
    [
        (verdict(Outcome.ACCEPT), CoralChoices(accept=AcceptSpoken.APPROVED), "APPROVED"),
        (verdict(Outcome.QUEUE), CoralChoices(), "SYSTEM_WITHHELD"),
        (verdict(Outcome.QUEUE), CoralChoices(queue=WithheldSpoken.PREMOD), "PREMOD"),
        (verdict(Outcome.REJECT), CoralChoices(queue=WithheldSpoken.PREMOD), "REJECTED"),
    ],
)
def test_each_outcome_has_its_status(given: Verdict, choices: CoralChoices, told: str) -> None:
    assert json.loads(bytes(spoken(given, choices).body)) == {"status": told}


def test_the_flags_say_which_head_spoke() -> None:
    both = verdict(
        Outcome.QUEUE, f"score.{Head.SPAM}_likely", f"score.{Head.TOXICITY}_likely", "rule.links"
    )
    one = verdict(Outcome.REJECT, f"score.{Head.SPAM}_likely")

    told = [json.loads(bytes(spoken(v, CoralChoices()).body))["actions"] for v in (both, one)]

    spam = {"actionType": "FLAG", "reason": "COMMENT_DETECTED_SPAM"}
    toxic = {"actionType": "FLAG", "reason": "COMMENT_DETECTED_TOXIC"}
    assert told == [[spam, toxic], [spam]]


def test_the_secret_is_kept_sealed_and_shows_nowhere(shared: Service) -> None:
    [(sealed,)] = rows(shared, "SELECT secret_cipher FROM coral_sites")
    known = shared.store.coral_site(shared.site.id)

    assert SECRET.encode() not in sealed
    assert known is not None
    assert known.secret == SECRET
    assert SECRET not in repr(known)


def rows(service: Service, statement: str) -> list[Any]:
    with service.store.reads() as connection:
        return list(connection.exec_driver_sql(statement))
