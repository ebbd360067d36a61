"""`duyet lists`: words and domains in and out, told in the log, all or nothing."""

import json

import pytest

from service.storage.site_rules import RuleBook
from tests.test_commands import Desk, desk, empty

__all__ = ["desk", "empty"]  # fixtures


def entries(desk: Desk, site: str = "blog") -> list[dict[str, object]]:
    return [json.loads(line) for line in desk("lists", "export", site)[1].splitlines()]


def test_entries_are_added_ended_and_told(desk: Desk) -> None:
    assert desk("lists", "add", "blog", "casino*", "Vay  Tiền", "--why", "spam")[0] == 0
    domain = ("https://www.xau.example/x", "--kind", "domain", "--act", "reject", "--address")
    assert desk("lists", "add", "blog", *domain, "--why", "bán thuốc")[0] == 0
    status, said, _ = desk("lists", "end", "blog", "casino*", "--why", "nhầm")

    assert (status, said.strip()) == (0, "version 3: 0 added, 1 ended")
    assert [one["text"] for one in entries(desk)] == ["xau.example", "Vay Tiền"]
    assert entries(desk)[0] | {"act": "reject", "of_address": True} == entries(desk)[0]
    [site] = desk.store.sites()
    changes = RuleBook(desk.store).changes([site.id])
    assert [(one.why, one.made, one.ended) for one in changes] == [
        ("nhầm", 0, 1),
        ("bán thuốc", 1, 0),
        ("spam", 2, 0),
    ]


def test_what_one_site_exports_another_takes_in(desk: Desk, tmp_path) -> None:
    assert desk("sites", "add", "shop")[0] == 0
    desk("lists", "add", "blog", "κύπρος", "赌场", "--act", "reject", "--why", "x")
    file = tmp_path / "lists.jsonl"
    file.write_text(desk("lists", "export", "blog")[1], encoding="utf-8")

    for _ in range(2):  # what is there already is replaced
        assert desk("lists", "import", "shop", str(file), "--why", "alike")[0] == 0

    assert entries(desk, "shop") == entries(desk)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"kind": "word", "act": "trust", "text": "a"}', "only a domain can be trusted"),
        ('{"kind": "word", "act": "queue", "text": "b*c"}', "star_inside"),
        ('{"kind": "word", "act": "queue", "text": 7}', "kind, act and text"),
        ('{"kind": ["word"], "act": "queue", "text": "a"}', "kind, act and text"),
        ('{"kind": "word", "act": "queue", "text": "a", "expires_at": "2026"}', "expires_at"),
        ("[" * 3000, "no JSON object"),
    ],
)
def test_a_file_with_one_wrong_line_changes_nothing(
    desk: Desk, tmp_path, line: str, problem: str
) -> None:
    file = tmp_path / "lists.jsonl"
    file.write_text(f'{{"kind": "word", "act": "queue", "text": "casino"}}\n{line}\n', "utf-8")

    status, _, said = desk("lists", "import", "blog", str(file), "--why", "x")

    assert status == 1
    assert "line 2" in said
    assert problem in said
    assert entries(desk) == []


def test_what_is_not_there_is_not_ended(desk: Desk) -> None:
    desk("lists", "add", "blog", "casino", "--why", "x")

    status, _, said = desk("lists", "end", "blog", "casino", "khác", "--why", "y")

    assert status == 1
    assert "of 2 entries 1 are in force" in said
    assert len(entries(desk)) == 1
