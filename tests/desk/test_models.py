"""The page of the models: trained, compared, promoted and rolled back by who may, and told why."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from model.comparison import Figure, Interval
from model.guard import Guard
from model.promotion import Shadowed
from model.registry import CHALLENGER, CHAMPION, Registry
from service.storage import Role
from service.storage.jobs import INTERRUPTED, Jobs, Nightly
from service.training_jobs import ENDED, KILLED, NO_ROOM
from tests.browser.newsroom import Newsroom, form_token, open_newsroom
from tests.judging_cases import a_manifest, a_table
from tests.test_comparison import a_comparison

HOSTILE = "<script>alert(1)</script> lan@mail.example"


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        newsroom.app.state.registry = Registry(tmp_path / "models")
        yield newsroom


@pytest.fixture
def registry(newsroom: Newsroom) -> Registry:
    registry: Registry = newsroom.app.state.registry
    return registry


@pytest.fixture
def owner(newsroom: Newsroom) -> Iterator[httpx.Client]:
    with newsroom.moderator("an", Role.ADMIN) as client:
        yield client


def contested(registry: Registry) -> tuple[str, str]:
    """A champion and a challenger."""
    versions = [registry.add(a_manifest(), a_table(seed)) for seed in (1, 2)]
    for name, version in zip((CHAMPION, CHALLENGER), versions, strict=True):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        registry.move(name, version, who="duyet train", why=HOSTILE, at=at)
    return versions[0], versions[1]


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client)} | fields)


def test_whoever_does_not_administer_every_site_sees_and_moves_nothing(
    newsroom: Newsroom, registry: Registry
) -> None:
    champion, challenger = contested(registry)
    with newsroom.moderator("mai") as moderator:
        assert "/models" not in moderator.get("/queue").text
        for path in ("/models", "/models/progress", f"/models/{challenger}/report"):
            assert moderator.get(path).status_code == 403
        pair = f"{champion}>{challenger}"
        sent = {"version": pair, "override": "yes", "why": "because"}
        for path in ("train", "stop", "promote", "rollback", "nightly"):
            assert send(moderator, f"/models/{path}", **sent).status_code == 403
    assert registry.names() == {CHAMPION: champion, CHALLENGER: challenger}
    assert Jobs(newsroom.store).last() == []


def test_a_training_is_asked_for_once_and_stopped(newsroom: Newsroom, owner: httpx.Client) -> None:
    assert send(owner, "/models/train").headers["location"].endswith("/models?done=asked")
    assert send(owner, "/models/train").status_code == 409
    (job,) = Jobs(newsroom.store).last()

    assert job.asked_by == "an"
    assert 'data-running="yes"' in owner.get("/models/progress").text
    assert send(owner, "/models/stop", job=job.id).status_code == 303
    assert send(owner, "/models/stop", job=job.id).status_code == 409
    assert 'data-running="no"' in owner.get("/models").text


def test_the_rule_is_gone_past_only_with_a_reason(owner: httpx.Client, registry: Registry) -> None:
    champion, challenger = contested(registry)
    pair = f"{champion}>{challenger}"

    shown = owner.get("/models").text
    assert "It should not be promoted yet." in shown
    assert "It was not compared with the champion." in shown
    assert HOSTILE not in shown
    assert "Go back to the one before" not in shown  # there is none
    unseen = {"override": "yes", "why": "\u200b \u202e\x07"}
    for refused in ({}, {"override": "yes"}, {"why": "because"}, unseen):
        assert send(owner, "/models/promote", version=pair, **refused).status_code == 422
    for old in ("", challenger, f"{challenger}>{champion}"):
        told = send(owner, "/models/promote", version=old, override="yes", why="w")
        assert told.status_code == 409
    assert registry.names()[CHAMPION] == champion

    done = send(owner, "/models/promote", version=pair, override="yes", why="the spam of May")

    assert done.status_code == 303
    assert registry.names()[CHAMPION] == challenger
    last = registry.moves()[-1]
    assert (last["who"], last["why"]) == ("an", "the spam of May")
    assert last["overrode"] == ["not_compared", "not_shadowed"]
    assert "Although: not compared" in (shown := owner.get("/models").text)
    assert "Go back to the one before" in shown
    assert send(owner, "/models/rollback", version=champion, why="w").status_code == 409
    assert send(owner, "/models/rollback", version=challenger, why="w").status_code == 303
    assert registry.names()[CHAMPION] == champion
    assert send(owner, "/models/rollback", version=champion, why="w").status_code == 409


def test_reasons_of_the_program_are_told_in_the_language_of_the_page(
    owner: httpx.Client, registry: Registry
) -> None:
    _, challenger = contested(registry)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for why in (
        "0123456789ab moved by 1,234 labels",
        "the rule allowed it",
        "vì spam tháng 5",
        "a moved by , labels",
    ):
        registry.move(CHAMPION, challenger, who="duyet train", why=why, at=at)

    shown = owner.get("/models?lang=vi").text

    assert (
        "\u20680123456789ab\u2069, được dịch chuyển bởi 1.234 nhãn, tính riêng rác và độc hại"
        in shown
    )
    assert "quy tắc cho phép" in shown
    assert "vì spam tháng 5" in shown
    assert "a moved by , labels" in shown


def test_why_a_training_failed_is_told_in_the_language_of_the_page(
    newsroom: Newsroom, owner: httpx.Client
) -> None:
    jobs = Jobs(newsroom.store)
    for problem in (INTERRUPTED, KILLED.format(9), ENDED.format(3), NO_ROOM, "too few labels"):
        jobs.ended(jobs.ask(by="an"), result={}, problem=problem)

    shown = owner.get("/models?lang=vi").text.replace("\u2068", "").replace("\u2069", "")

    for told in ("đã bị dừng", "(tín hiệu 9)", "với mã 3", "không còn chỗ", "too few labels"):
        assert told in shown
    assert "the training" not in shown


def test_what_the_rule_allows_needs_no_reason(
    newsroom: Newsroom, owner: httpx.Client, registry: Registry
) -> None:
    champion, challenger = contested(registry)
    found = a_comparison()
    better = replace(found.figures[0], rows=900)
    registry.add_report(
        replace(
            found,
            champion=champion,
            challenger=challenger,
            genuine=900,
            figures=(better,),
            slices=(),
        ),
        {"report.en.html": "<!doctype html><title>A report</title>"},
    )
    newsroom.app.state.shadow_of = lambda *_: Shadowed(1000, 48.0, 990, {"queue>accept": 10})

    page = owner.get("/models").text
    report = owner.get(f"/models/{challenger}/report")

    assert "It was watched on" in page
    assert "Better: spam caught" in page.replace("\u2068", "").replace("\u2069", "")
    assert "A report" in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    assert "script-src" not in report.headers["content-security-policy"]


def test_a_comparison_that_is_not_believed_is_none_and_hides_nothing_else(
    newsroom: Newsroom, owner: httpx.Client, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "signed", Guard.open(tmp_path / "keys", ()))
    newsroom.app.state.registry = registry
    champion, challenger = contested(registry)
    registry.add_report(replace(a_comparison(), champion=champion, challenger=challenger), {})
    report = registry.root / "reports" / challenger / champion / "comparison.json"
    report.write_text(report.read_text() + " ")
    registry.move(CHAMPION, challenger, who="an", why="w", at=datetime(2026, 1, 2, tzinfo=UTC))
    registry.roll_back(who="an", why="w", at=datetime(2026, 1, 3, tzinfo=UTC))
    registry.move(CHALLENGER, challenger, who="an", why="w", at=datetime(2026, 1, 4, tzinfo=UTC))

    shown = owner.get("/models").text

    assert "The comparison is not believed" in shown
    assert "is not what was written" in shown
    assert "It was not compared with the champion." in shown
    assert "cannot be used" not in shown
    assert 'action="/models/promote"' in shown
    told = {"version": f"{champion}>{challenger}", "override": "yes", "why": "seen by hand"}
    assert send(owner, "/models/promote", **told).status_code == 303
    assert registry.names()[CHAMPION] == challenger
    assert 'action="/models/rollback"' in owner.get("/models").text


def test_what_is_done_at_night_is_kept_and_nonsense_is_not(
    newsroom: Newsroom, owner: httpx.Client
) -> None:
    jobs = Jobs(newsroom.store)
    told = {"nightly": "yes", "promotes": "yes", "hour": "23", "new_labels": "7"}
    assert send(owner, "/models/nightly", **told).status_code == 303
    assert jobs.nightly() == Nightly(is_on=True, hour=23, new_labels=7, promotes=True)
    for hour, new in (("24", "7"), ("-1", "7"), ("x", "7"), ("1", "0"), ("1", "9" * 50), ("", "")):
        answer = send(owner, "/models/nightly", hour=hour, new_labels=new)
        assert answer.status_code == 422, (hour, new)
    assert jobs.nightly().hour == 23


def test_what_breaks_behind_a_page_is_told_on_a_page_and_quotes_nothing(
    newsroom: Newsroom, owner: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    newsroom.app.state.registry = HOSTILE  # no registry at all

    page = owner.get("/models?lang=vi")

    assert page.status_code == 500
    assert page.headers["content-type"].startswith("text/html")
    assert "Có lỗi bên trong dịch vụ" in page.text
    assert re.search(r"mã \u2068?[0-9a-f]{16}", page.text)
    assert "lan@mail.example" not in page.text
    assert "unhandled error" in caplog.text


def test_where_only_the_moves_are_broken_the_champion_is_shown(
    newsroom: Newsroom, owner: httpx.Client, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "signed", Guard.open(tmp_path / "keys", ()))
    newsroom.app.state.registry = registry
    champion, _ = contested(registry)
    (registry.root / "moves.jsonl").write_text("")

    shown = owner.get("/models").text

    assert "The registry of models cannot be used:" in shown
    assert f"<code>{champion}</code>" in shown
    assert 'action="/models/promote"' not in shown


def test_a_challenger_that_is_not_what_was_written_is_told_and_not_promoted(
    owner: httpx.Client, registry: Registry
) -> None:
    champion, challenger = contested(registry)
    table = registry.root / "versions" / challenger / "table.npy"
    body = bytearray(table.read_bytes())
    body[-3] ^= 1
    table.write_bytes(body)

    shown = owner.get("/models").text

    assert "Its files are not what was written" in shown
    assert 'action="/models/promote"' not in shown
    sent = {"version": f"{champion}>{challenger}", "override": "yes", "why": "all the same"}
    assert send(owner, "/models/promote", **sent).status_code == 409
    assert registry.names()[CHAMPION] == champion


def test_who_goes_back_says_why_and_both_are_in_the_log(
    newsroom: Newsroom, owner: httpx.Client, registry: Registry
) -> None:
    champion, challenger = contested(registry)
    sent = {"version": f"{champion}>{challenger}", "override": "yes"}
    assert send(owner, "/models/promote", **sent, why="ask lan@mail.example").status_code == 303
    silent = send(owner, "/models/rollback", version=challenger, why=" \u200b ")
    assert silent.status_code == 422
    assert "Say why." in silent.text
    assert send(owner, "/models/rollback", version=challenger, why="it erred").status_code == 303

    lines = [json.loads(line) for line in owner.get("/log.jsonl").text.splitlines()]
    told = [line for line in lines if line["kind"].startswith("model_")]

    assert {(line["kind"], line["actor"]) for line in told} == {
        ("model_promoted", "an"),
        ("model_rolled_back", "an"),
    }
    assert "Somebody rolled back from it before" in owner.get("/models").text
    everything = (registry.root / "moves.jsonl").read_text() + owner.get("/log.jsonl").text
    assert "lan@mail.example" not in everything
    assert champion in owner.get("/log").text


def test_a_part_of_the_comments_is_named_in_the_language_of_the_page(
    owner: httpx.Client, registry: Registry
) -> None:
    champion, challenger = contested(registry)
    found = a_comparison()
    fell = replace(found.figures[0], rows=900)
    fell = replace(
        fell, champion=fell.challenger, challenger=fell.champion, difference=_turned(fell)
    )
    parts = tuple(
        replace(found.slices[0], kind=kind, name=name, rows=900, figures=(fell,))
        for kind, name in (("language", "vi"), ("length", "medium"), ("site", "Báo <b>Mới</b>"))
    )
    registry.add_report(replace(found, champion=champion, challenger=challenger, slices=parts), {})

    english, vietnamese = (
        owner.get(f"/models?lang={tag}").text.replace("\u2068", "").replace("\u2069", "")
        for tag in ("en", "vi")
    )

    for named in ("Vietnamese:", "comments of 40 to 199 characters:", "Báo &lt;b&gt;Mới"):
        assert named in english
    for named in ("tiếng Việt:", "bình luận từ 40 đến 199 ký tự:"):
        assert named.lower() in vietnamese.lower()


def _turned(figure: Figure) -> Interval:
    low, value, high = figure.difference.low, figure.difference.value, figure.difference.high
    assert low is not None
    assert value is not None
    assert high is not None
    return replace(figure.difference, low=-high, value=-value, high=-low)


def test_a_registry_that_cannot_be_read_is_told_and_stops_no_page(
    newsroom: Newsroom, owner: httpx.Client, registry: Registry
) -> None:
    assert "There is no champion" in owner.get("/models").text
    registry.root.mkdir(exist_ok=True)
    (registry.root / "names.json").write_text("[]")

    newsroom.app.state.serves = lambda: "0123456789ab"
    page = owner.get("/models")

    assert page.status_code == 200
    assert re.search(r"The registry of models cannot be used:.*names\.json", page.text)
    for told in ("A file of it cannot be read.", "are still judged by", "0123456789ab"):
        assert told in page.text
    for untrue in ("There is no champion", "Nothing yet"):
        assert untrue not in page.text
    assert "Không đọc được một tệp" in owner.get("/models?lang=vi").text
    assert send(owner, "/models/promote", version=">", why="w").status_code == 409
