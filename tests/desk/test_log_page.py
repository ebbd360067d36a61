"""The log page over HTTP: what it says, to whom, what it takes back, and its files."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model.addresses import has_address
from model.decision import Decision
from model.outcome import Outcome
from model.policy import Policy
from service.storage import Role
from service.storage.events import Actor, tell
from service.web.csv_rows import csv_lines, safe_cell
from service.web.log import KINDS, UNDO
from service.web.texts import TEXTS
from tests.browser.newsroom import ADDRESS, Newsroom, form_token, open_newsroom

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def accepted(newsroom: Newsroom, by: str = "mai") -> str:
    comment_id = newsroom.put()
    decision = Decision(Outcome.ACCEPT, None, by, newsroom.clock())
    newsroom.store.decide(None, comment_id, decision)
    return comment_id


def sentences(answer: httpx.Response) -> list[str]:
    return [
        re.sub("[\u2068\u2069]", "", said)
        for said in re.findall(r'class="sentence">(.*?)</p>', answer.text)
    ]


def test_a_line_says_in_words_what_was_done(newsroom: Newsroom) -> None:
    accepted(newsroom)
    with newsroom.moderator() as client:
        said = sentences(client.get("/log"))
        said_in_vietnamese = sentences(client.get("/log?lang=vi"))

    assert "mai accepted a comment." in said
    assert "mai đã duyệt một bình luận." in said_in_vietnamese


def test_a_line_of_any_kind_is_shown_whatever_its_body_lacks(newsroom: Newsroom) -> None:
    actor = Actor("an", newsroom.clock())
    with newsroom.store.writes() as connection:
        for kind in KINDS:
            tell(connection, kind, actor, site_id=newsroom.site.id, body={})
        body = {"what": "audit"}
        tell(connection, "labels_looked_at", actor, site_id=newsroom.site.id, body=body)
    with newsroom.moderator("an", Role.ADMIN) as client:
        answers = {tag: client.get(f"/log?lang={tag}") for tag in TEXTS}

    assert {answer.status_code for answer in answers.values()} == {200}
    assert "an had the labels looked over for wrong ones." in sentences(answers["en"])


def test_every_kind_has_its_words() -> None:
    sentences = TEXTS["en"].sentences

    assert {kind for kind in KINDS if f"log_line.{kind}" not in sentences} == set()
    assert {kind for kind in KINDS if f"log_kind.{kind}" not in sentences} == set()
    assert set(UNDO) <= set(KINDS)


@pytest.mark.parametrize("body", ['{"a":"<b>"}', "[]", "7", '"text"', '{"why":7}', '{"by":null}'])
@pytest.mark.parametrize("kind", ["undone", "acted", "reported", "moderator_added", "unheard_of"])
def test_a_line_of_any_shape_is_shown(newsroom: Newsroom, kind: str, body: str) -> None:
    with newsroom.store.writes() as connection:
        actor = Actor(HOSTILE, newsroom.clock())
        tell(connection, kind, actor, site_id=newsroom.site.id, body=json.loads(f'{{"x":{body}}}'))
        tell(connection, kind, actor, site_id=newsroom.site.id, body=json.loads(body))
    with newsroom.moderator(role=Role.ADMIN) as client:
        answer = client.get("/log", params={"kind": kind, "who": "script"})

    assert answer.status_code == 200
    assert len(sentences(answer)) == 2
    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text


def test_one_s_own_decision_is_taken_back(newsroom: Newsroom) -> None:
    comment_id = accepted(newsroom)
    with newsroom.moderator() as client:
        button = re.search(r'action="(/log/\d+/undo)"', client.get("/log").text)
        assert button is not None
        sent = {"form_token": form_token(client), "back": "kind=decided&who=x"}
        answer = client.post(button[1], data=sent)
        again = client.post(button[1], data=sent)
        after = client.get(answer.headers["location"])

    assert answer.headers["location"] == "/log?kind=decided&undone=1"
    assert newsroom.comment(comment_id).decision is None
    assert again.status_code == 409
    assert 'role="status"' in after.text
    assert "/undo" not in after.text


@pytest.mark.parametrize(
    ("role", "may"), [(Role.VIEWER, False), (Role.MODERATOR, False), (Role.ADMIN, True)]
)
def test_another_s_decision_is_an_admin_s_to_take_back(
    newsroom: Newsroom, role: Role, may: bool
) -> None:
    comment_id = accepted(newsroom, "bob")
    number = newsroom.store.events(None)[-1].number
    with newsroom.moderator("eve", role) as client:
        has_button = "/undo" in client.get("/log").text
        sent = {"form_token": form_token(client)} if role is not Role.VIEWER else {}
        status = client.post(f"/log/{number}/undo", data=sent).status_code

    assert has_button is may
    assert (status == 303) is may
    assert (newsroom.comment(comment_id).decision is None) is may


@pytest.mark.parametrize("number", ["0", "-1", "999", str(2**63), "9" * 30, "x"])
def test_a_line_that_is_not_there_is_a_page(newsroom: Newsroom, number: str) -> None:
    newsroom.put()
    with newsroom.moderator() as client:
        sent = {"form_token": form_token(client)}
        answer = client.post(f"/log/{number}/undo", data=sent)

    assert answer.status_code in (400, 404)
    assert "<h1" in answer.text


def test_a_person_of_one_site_learns_nothing_of_another(newsroom: Newsroom) -> None:
    mine = accepted(newsroom)
    other, _ = newsroom.store.add_site("đối thủ", Policy())
    newsroom.store.add_moderator("lan", Role.ADMIN, site_id=other.id)
    number = next(e.number for e in newsroom.store.events(None) if e.comment_id == mine)
    with newsroom.moderator("lan") as client:
        asked: dict[str, str] = {"site": newsroom.site.id}
        pages = [client.get("/log"), client.get("/log", params=asked)]
        files = [client.get(f"/log.{kind}") for kind in ("csv", "jsonl")]
        sent = {"form_token": form_token(client)}
        status = client.post(f"/log/{number}/undo", data=sent).status_code

    text = "\n".join(answer.text for answer in (*pages, *files))
    assert mine not in text
    assert "bao" not in re.sub(r"b[aá]o_?\w+|/static/\S+", "", files[0].text)
    assert sentences(pages[1]) == []
    assert status == 404


def test_reveals_are_shown_to_admins_with_their_reason(newsroom: Newsroom) -> None:
    comment_id = newsroom.put()
    newsroom.store.reveal_address(None, comment_id, moderator="boss", why="A reader asked for it")
    with newsroom.moderator() as viewer, newsroom.moderator("boss", Role.ADMIN) as admin:
        seen, all_seen = viewer.get("/log").text, admin.get("/log").text

    assert "A reader asked for it" in all_seen
    assert "A reader asked for it" not in seen
    assert ADDRESS not in all_seen


def test_the_address_keeps_what_is_sought(newsroom: Newsroom) -> None:
    accepted(newsroom)
    with newsroom.moderator() as client:
        asked = {"who": "MAI", "kind": "decided", "since": "2026-03-01", "until": "2026-03-01"}
        answer = client.get("/log", params=asked)
        none = client.get("/log", params=asked | {"until": "2026-02-28"})

    assert sentences(answer) == ["mai accepted a comment."]
    assert sentences(none) == []
    assert "/log.csv?who=MAI&amp;kind=decided&amp;since=2026-03-01" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "who=%00&words=%00",
        "since=x&until=9999-12-31",
        "until=9999-11-30&since=0001-01-01",
        "comment=%27&site=%00",
        "kind=" + "x" * 5000,
        "who=" + "%F0%9F%98%80" * 500,
        "after=x",
        "words=%ED%A0%80",
    ],
)
def test_a_question_that_makes_no_sense_is_answered(newsroom: Newsroom, query: str) -> None:
    with newsroom.moderator() as client:
        answer = client.get(f"/log?{query}", follow_redirects=True)

    assert answer.status_code == 200


# ------------------------------------------------------------------ files


def test_the_files_hold_what_is_sought(newsroom: Newsroom) -> None:
    comment_id = accepted(newsroom)
    with newsroom.moderator() as client:
        as_csv = client.get("/log.csv", params={"kind": "decided"})
        as_json = client.get("/log.jsonl", params={"kind": "decided"})

    (row,) = csv.DictReader(io.StringIO(as_csv.text))
    line = json.loads(as_json.text)
    assert (row["actor"], row["comment_id"], row["kind"]) == ("mai", comment_id, "decided")
    assert line["body"] == {"outcome": "accept", "reason": None}
    assert as_csv.headers["content-disposition"] == 'attachment; filename="log.csv"'
    assert as_csv.headers["cache-control"] == "no-store"


def test_a_hostile_name_does_not_run_in_a_spreadsheet(newsroom: Newsroom) -> None:
    with newsroom.store.writes() as connection:
        for name in ("=cmd|' /C calc'!A0", ' +1"\n=2', "@SUM(1)", "\t=1", "-2", "＝1"):
            actor = Actor(name, newsroom.clock())
            tell(connection, "decided", actor, site_id=newsroom.site.id, body={"by": ADDRESS})
    with newsroom.moderator(role=Role.ADMIN) as client:
        text = client.get("/log.csv", params={"kind": "decided"}).text

    rows = [*csv.DictReader(io.StringIO(text))]
    assert len(rows) == 6
    assert all(row["actor"].startswith("'") for row in rows)
    assert not has_address(text)


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1", "'=1"), ("  =1", "'  =1"), ("a=1", "a=1"), (-1, -1), (None, ""), ("\0=1", "'=1")],
)
def test_a_cell_is_no_formula(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


def test_a_header_is_written_before_any_row_is_asked_for() -> None:
    def rows() -> Iterator[tuple[int]]:
        yield (1,)
        raise AssertionError("asked for too early")

    lines = csv_lines(("a",), rows())

    assert [next(lines), next(lines)] == ["a\r\n", "1\r\n"]
