"""What a site lays down on its pages decides on its next comments, and can be judged again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from model.judging import Case, judge
from model.registry import CHAMPION, Registry
from model.site_rules import Standing
from service.storage import Store
from service.storage.rule_records import NewRule, RuleKind
from service.storage.site_rules import RuleBook
from tests.api.service import Clock, Service, a_comment, running

LAST = datetime.max.replace(tzinfo=UTC)
BOSS = {"name": "Kiệm", "email": "kiem@mail.example"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "var", now=Clock()) as service:
        yield service


def said(service: Service, content: str = "Cảm ơn tác giả.", **changes: Any) -> dict[str, Any]:
    answer = service.post(a_comment(content, **changes))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = json.loads(answer.text)
    return body


def codes(body: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in body["reasons"]]


def test_what_is_laid_down_counts_for_the_next_comment_and_not_after_its_undo(
    service: Service,
) -> None:
    book = RuleBook(service.store)
    first = said(service, author=BOSS)

    book.act_on_author(None, first["id"], Standing.BANNED, by="an", why="rác", expires_at=None)
    banned = said(service, "Bài hay thật.", author=BOSS)
    other = said(service, "Bài hay lắm.")
    book.undo(None, service.site.id, 1, by="an", kinds={"author"})
    after = said(service, "Bài hay quá.", author=BOSS)

    assert [b["verdict"] for b in (first, banned, other, after)] == [
        "accept",
        "reject",
        "accept",
        "accept",
    ]
    assert "author.banned" in codes(banned)


def test_a_word_rejects_wherever_it_came_from_and_other_sites_do_not_mind(
    service: Service,
) -> None:
    rule = NewRule(RuleKind.WORD, "vay nhanh", "reject")
    RuleBook(service.store).change_lists(
        service.site.id, add=[rule], end=(), since=0, by="an", why="x"
    )

    here = said(service, "V<b>a</b>y nhánh, lãi thấp")
    with service.client(service.other_key) as client:
        there = client.post("/v1/comments", json=a_comment("Vay nhanh, lãi thấp")).json()

    assert (here["verdict"], codes(here)[0]) == ("reject", "list.word_rejected")
    assert there["verdict"] == "accept"


def test_in_a_raid_new_authors_wait_and_known_ones_do_not(service: Service) -> None:
    said(service, author=BOSS)
    RuleBook(service.store).start_raid(
        None, by="an", why="", lasts=timedelta(days=1), site_id=service.site.id
    )

    known, new = said(service, "Bài hay.", author=BOSS), said(service, "Bài hay lắm.")

    assert (known["verdict"], new["verdict"]) == ("accept", "queue")
    assert "raid.new_author" in codes(new)


def test_a_verdict_is_judged_again_by_the_rules_of_its_time(service: Service) -> None:
    book = RuleBook(service.store)
    site = service.site.id
    book.change_lists(
        site, add=[NewRule(RuleKind.WORD, "bán", "queue")], end=(), since=0, by="an", why="x"
    )
    comment_id = said(service, "Mình bán xe.", author=BOSS)["id"]
    book.act_on_author(
        None,
        comment_id,
        Standing.BANNED,
        by="an",
        why="",
        expires_at=LAST,
    )
    banned_id = said(service, "Mình bán nhà.", author=BOSS)["id"]
    book.undo(None, site, 2, by="an", kinds={"author"})
    book.undo(None, site, 1, by="an", kinds={"lists"})
    champion = Registry(service.directory / "models").load(CHAMPION)

    for one in (comment_id, banned_id):
        stored = service.store.comment(None, one)
        assert stored is not None
        assert stored.verdict.laid is not None
        rules = book.as_of(site, stored.verdict.laid.version)
        applied = rules.applied(
            stored.received_at,
            author=_author_key(service.store),
            network="",
            raid=rules.raid_on(stored.received_at, stored.submission.permalink),
            published=stored.verdict.laid.published,
        )
        case = Case(stored.submission, stored.history, service.site.policy, "p", applied=applied)
        (again,) = judge([case], champion)
        laid_down = [h for h in stored.verdict.hits if h.rule.startswith(("list.", "author.b"))]
        assert [h for h in again.hits if h.rule.startswith(("list.", "author.b"))] == laid_down
        assert (again.outcome, again.laid) == (stored.verdict.outcome, stored.verdict.laid)


def _author_key(store: Store) -> str:
    (site, _) = store.sites()
    return store.keyring.author_key(site.id, BOSS["email"])
