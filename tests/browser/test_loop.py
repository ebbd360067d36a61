"""The whole loop through the page alone: label, train, read the report, promote, roll back."""

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.storage import Role
from service.training_jobs import COMMAND, TrainingJobs
from tests.api.service import Service, a_comment, running
from tests.api.test_learning import doubting_model
from tests.browser.conftest import Noticed, Opened

HAM = "ga tàu chuyến muộn vé đường ray toa khách sân đón bạn về quê hôm qua mưa lạnh"
SPAM = "seo backlink guest post agency rank từ khóa dịch vụ giá rẻ zalo inbox ngay"
LABELS = 50
LONGEST_TRAINING_MS = 480_000

FEWER = """
from duyet import cli, train_store
few = train_store.own_texts()[::8]
train_store.own_texts = lambda: few
cli.main()
"""
"""The command line, but 1,000 of the project's texts are rehearsed: all take half a minute."""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a small champion that doubts everything, and trainings of its own."""
    assert COMMAND[:3] == (sys.executable, "-m", "duyet")
    shorter = (sys.executable, "-c", FEWER, *COMMAND[3:])
    monkeypatch.setattr("service.app.TrainingJobs", partial(TrainingJobs, command=shorter))
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.delenv("DUYET_DATABASE_URL", raising=False)
    doubting_model(tmp_path / "var" / "models", is_signed=True)
    with running(tmp_path / "var", now=lambda: datetime.now(UTC)) as service:
        yield service


def posted(service: Service, content: str, number: int) -> dict[str, Any]:
    author = {"name": f"Khách {number}", "email": f"k{number}@mail.example"}
    at = f"https://blog.example/{number % 12}"
    answer = service.post(a_comment(content, author=author, permalink=at)).json()
    assert answer["verdict"] == "queue", answer
    told: dict[str, Any] = answer
    return told


def model_of_next(service: Service, wanted: str, number: int) -> str:
    """The model that a comment is judged by, once it is the one that is wanted or time is up."""
    for _ in range(100):
        answer = service.post(
            a_comment("Cho mình hỏi một câu.", permalink=f"https://x.example/{number}")
        )
        model = str(answer.json()["model"])
        if model == wanted:
            return model
        time.sleep(0.1)
    return model


def decide_all(page: Page) -> None:
    """Decide what waits by the keys, as its words say, until nothing does."""
    page.keyboard.press("j")
    for _ in range(LABELS):
        card = page.locator("[data-card]:focus")
        words = card.locator(".content").inner_text()
        name = card.get_attribute("id")
        for key in "rs" if "seo" in words or "zalo" in words or "agency" in words else "a":
            page.keyboard.press(key)
        page.wait_for_function("name => document.activeElement?.id !== name", arg=name)


def test_label_train_read_promote_and_roll_back(
    service: Service, opened: Opened, noticed: Noticed
) -> None:
    draw = random.Random(3)
    for number in range(LABELS):
        words = (SPAM if number % 2 else HAM).split()
        content = " ".join(draw.sample(words, 9)) + (" seo zalo" if number % 2 else " ga")
        before = posted(service, f"{content} {number}", number)["model"]
    admin = service.store.add_moderator("an", Role.ADMIN)
    token = service.store.new_sign_in_link(admin.id, timedelta(minutes=30))
    page = opened()
    page.goto(f"{service.url}/sign-in?token={token}")
    page.locator("main form button").click()
    page.wait_for_url("**/queue*")

    decide_all(page)
    expect(page.locator(".flash")).to_be_visible()
    until = time.monotonic() + 60  # fifty decisions are sent one after another
    while service.store.queue_size(None) and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert service.store.queue_size(None) == 0
    page.goto(f"{service.url}/models")
    expect(page.locator("#trainings")).to_contain_text(f"since the last training: {LABELS}")
    page.get_by_role("button", name="Train now").click()
    expect(page.locator("#trainings")).to_have_attribute("data-running", "yes")
    expect(page.get_by_role("heading", name="The challenger")).to_be_visible(
        timeout=LONGEST_TRAINING_MS
    )
    challenger = page.locator("section:has(#promote) .version code").inner_text()
    # It is there before its training has ended.
    expect(page.locator("#trainings")).to_have_attribute("data-running", "no", timeout=60_000)
    expect(page.locator("#trainings li").first).to_contain_text(f"Done · {challenger}")
    expect(page.locator("#trainings")).to_contain_text("since the last training: 0")

    page.get_by_role("link", name="Read the report").click()
    expect(page.locator("body")).to_contain_text(challenger)
    expect(page.locator("h1")).to_be_visible()
    page.go_back()
    page.get_by_label("Promote it all the same").check()
    page.locator("#why").fill("our own spam")
    page.get_by_role("button", name="Promote", exact=True).click()
    expect(page.locator(".done")).to_contain_text("The challenger is the champion now.")
    assert model_of_next(service, challenger, 1) == challenger

    page.get_by_text("Go back to the one before").click()
    page.locator("#back-why").fill("to see it work")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator(".done")).to_contain_text("The earlier champion is back.")
    assert model_of_next(service, before, 2) == before

    page.goto(f"{service.url}/log")
    told = page.locator("main").inner_text()
    for line in (f"an rolled back to {before}.", f"an made {challenger} the champion."):
        assert line in told.replace("\u2068", "").replace("\u2069", "")
    assert noticed.dialogs == []
    assert {host.partition(":")[0] for host in noticed.hosts} == {"127.0.0.1"}
