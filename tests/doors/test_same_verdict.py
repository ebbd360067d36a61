"""A comment gets the same verdict by whatever door it comes: `benchmarks.doors`, with fewer."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.doors import Compared, compared, with_all_fields
from benchmarks.each_door import GROUPS

TEXTS = Path(__file__).parents[2] / "training" / "texts"
COMMENTS = 60
EACH = 20

# What doors have read differently, or might.
TRAPS = (
    'He said "it\'s" a C:\\path & <b>bold</b>, \\0 and \\\\',
    "Giá tốt: https://shop.example/?a=1&region=2&copy=3&lt=4 &amp; &#39;x&#39; &star; &notit;",
    "Viết cho lan@gmail.com hoặc <script>alert(1)</script> nhé",
    "a\0b %00 + %2B ?x=y&z;",
    "\ufeff  \u200bẩn\u200d \U0001f600 ｆｕｌｌ \u202e",
    "x = y & z; w = 1;;&&==",
)
AUTHORS = (
    {"url": "https://forum.example/u?mail=lan@gmail.com", "name": 'O\'Brien \\ "Bob" <i>'},
    {"ip": "::ffff:203.0.113.9", "user_agent": "Mozilla/5.0 (lan@gmail.com)"},
    {"ip": "2001:DB8:0:0::1", "url": "HTTP://Example.com:80/@lan", "name": "NUL\0"},
)


def texts() -> list[str]:
    """The traps, then texts of the project's own, some of each file."""
    files = [
        [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        for path in sorted(TEXTS.glob("*.jsonl"))
    ]
    found = [rows[at]["text"] for at in range(COMMENTS) for rows in files if at < len(rows)]
    return [*TRAPS, *(text for text in found if text.strip())][:COMMENTS]


def _more(place: int) -> dict[str, str]:
    return AUTHORS[place % 9] if place % 9 < len(AUTHORS) else {}


def bodies() -> list[dict[str, Any]]:
    """Comments with every field, each tenth of them an earlier one again."""
    made = []
    for place, text in enumerate(texts()):
        author = {"name": f"Bạn đọc {place}", "url": "", "user_agent": "Mozilla/5.0"}
        body = {
            "content": text,
            "author": author,
            "permalink": f"https://news.example.com/{place % 4}?of=lan@gmail.com",
            "article": {"language": "vi" if place % 2 else ""},
        }
        whole = with_all_fields(body, place)
        made.append(whole | {"author": whole["author"] | _more(place)})
    again = [{**made[place], "external_id": f"again {place}"} for place in range(0, COMMENTS, 10)]
    return [*made, *again, {**made[0], "content": " "}]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return compared(tmp_path_factory.mktemp("doors") / "var", bodies(), every=EACH)


def test_every_door_gives_the_same_verdict(found: Compared):
    assert found.differing.total() == 0, found.text()


def test_there_was_something_to_differ_in(found: Compared):
    doors = {door.name for group in GROUPS for door in group.doors}

    assert found.held.keys() > doors
    assert {*found.held.values()} == {COMMENTS + COMMENTS // 10}
    assert found.refused == 1
    assert found.outcomes.keys() == {"accept", "queue", "reject"}
