"""Erasing a person on the page and by command: looked at first, no address told, learnt no more."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.storage import Role
from service.storage.erasure import Erasures
from tests.api.service import running
from tests.api.test_learning import COPY, SPAMS, desk_at, doubting_model
from tests.api.test_learning import SPAM as CASINO
from tests.browser.newsroom import SPAM, Newsroom, form_token, open_newsroom
from tests.storage.cases import reject

EMAIL = SPAM.author.email


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client)} | fields)


def keys_in(page: httpx.Response) -> str:
    found = re.search(r'name="keys" value="([^"]*)"', page.text)
    return found[1] if found else ""


def test_an_admin_looks_and_then_erases(newsroom: Newsroom) -> None:
    one = newsroom.put(SPAM)
    newsroom.store.decide(None, one, reject(newsroom.clock()))
    with newsroom.moderator("an", Role.ADMIN) as admin:
        looked = send(admin, "/erasure", address=EMAIL)

        assert looked.status_code == 200
        assert EMAIL not in looked.text
        assert newsroom.store.comment(None, one) is not None

        done = send(admin, "/erasure/confirm", keys=keys_in(looked), why=f"asked by {EMAIL}")
        after = admin.get(done.headers["location"])

        assert "Erased: 1" in after.text
        assert EMAIL not in after.text
        assert newsroom.store.comment(None, one) is None
        assert keys_in(send(admin, "/erasure", address=EMAIL)) == ""


def test_nobody_erases_on_a_site_that_is_not_theirs(newsroom: Newsroom) -> None:
    one = newsroom.put(SPAM)
    keys = Erasures(newsroom.store).keys_of(EMAIL, [newsroom.site])
    told = " ".join(f"{site}:{key}" for site, key in keys.items())
    with newsroom.moderator("mai") as moderator:
        assert moderator.get("/erasure").status_code == 403
        assert send(moderator, "/erasure/confirm", keys=told).status_code == 403
    with newsroom.moderator("an", Role.ADMIN) as admin:
        strange = told.replace(newsroom.site.id, "01890000-0000-7000-8000-000000000000")
        for keys_sent in (strange, "", "x" * 100_000):
            assert send(admin, "/erasure/confirm", keys=keys_sent).status_code == 400
        for address in ("", "   "):
            assert send(admin, "/erasure", address=address).status_code == 422
    assert newsroom.store.comment(None, one) is not None


def test_a_site_s_layer_and_memory_forget(tmp_path: Path) -> None:
    doubting_model(tmp_path / "var" / "models")
    with running(tmp_path / "var") as service, desk_at(service) as desk:
        author = {"name": "Cam", "email": "cam@mail.example"}
        told = desk.post(CASINO, author=author)
        desk.decide(told["id"], SPAMS)
        desk.until(COPY, lambda answer: answer["verdict"] == "reject")

        erasures = Erasures(service.store)
        erasures.erase(erasures.keys_of("Cam@mail.example", [service.site]), by="an")

        answer = desk.until(COPY, lambda answer: answer["verdict"] == "queue")
        assert "learnt" not in answer or answer["learnt"]["lessons"] == 0
