"""`duyet import` and `duyet export comments`, as an operator meets them."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.history.csv_rows import FIELDS
from service.history.writing import wxr_parts
from tests.history import samples
from tests.history.samples import CANARY, comment, item
from tests.migrated import lay_database
from tests.test_commands import Desk

LOCAL = CANARY.partition("@")[0].encode()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Desk]:
    desk = Desk(tmp_path / "var", monkeypatch, capsysbinary)
    lay_database(tmp_path / "var")
    assert desk("migrate")[0] == 0
    assert desk("sites", "add", "blog")[0] == 0
    assert desk("sites", "add", "other")[0] == 0
    yield desk
    desk.close()


@pytest.fixture
def wordpress(tmp_path: Path) -> Path:
    said = ["1", "0", "spam", "trash"]
    comments = [comment(n, f"Số {n}", comment_approved=word) for n, word in enumerate(said, 1)]
    path = tmp_path / "wordpress.xml"
    path.write_text(samples.wxr(item(*comments, comment(5, " "))))
    return path


def test_an_import_says_what_became_of_the_records(desk: Desk, wordpress: Path) -> None:
    status, out, said = desk("import", str(wordpress), "--site", "blog")

    assert status == 1
    assert "3 comments were imported to blog from wxr: 1 approved, 1 spam, 1 trash." in out
    assert "1 waited there" in out
    begun = [
        n for n, line in enumerate(wordpress.read_text().split("\n"), 1) if line == "<wp:comment>"
    ]
    assert f"line {begun[-1]}: it has no text" in said
    assert CANARY not in out + said


def test_the_summary_is_there_for_a_machine(desk: Desk, wordpress: Path) -> None:
    status, out, _ = desk("import", str(wordpress), "--site", "blog", "--queue-waiting", "--json")

    summary = json.loads(out)

    assert status == 1
    assert (summary["approved"], summary["waiting"], summary["refused"]) == (1, 1, 1)


def test_a_second_import_adds_nothing_and_ends_well(desk: Desk, tmp_path: Path) -> None:
    file = str(samples.isso_file(tmp_path / "comments.db"))

    first = desk("import", file, "--site", "blog")
    second = desk("import", file, "--site", "blog")

    assert (first[0], second[0]) == (0, 0)
    assert "0 comments were imported" in second[1]
    assert "4 records had been dealt with by an earlier run." in second[1]


@pytest.mark.parametrize(
    ("call", "status", "problem"),
    [
        (["nowhere.xml", "--site", "blog"], 2, "does not exist"),
        (["{file}"], 2, "--site"),
        (["{file}", "--site", "none"], 1, "no site of that name"),
        (["{file}", "--site", "blog", "--format", "disqus2"], 2, "disqus2"),
        (["{file}", "--site", "blog", "--map", "x=y"], 2, "FIELD=COLUMN"),
        (["{file}", "--site", "blog", "--encoding", "hex"], 2, "encoding"),
        (["{file}", "--site", "blog", "--format", "isso"], 1, "Isso's database"),
        (["/dev/null", "--site", "blog"], 1, "read again"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(
    desk: Desk, wordpress: Path, call: list[str], status: int, problem: str
) -> None:
    got, out, said = desk("import", *[word.format(file=wordpress) for word in call])

    assert (got, out) == (status, "")
    assert problem in said


def test_no_address_is_in_the_data_directory_after_an_import(desk: Desk, tmp_path: Path) -> None:
    files = {
        "wordpress.xml": samples.wxr(item(comment(1), comment(2, comment_approved="0"))),
        "disqus.xml": samples.disqus(samples.post(1)),
        "commento.json": samples.commento(),
    }
    samples.isso_file(tmp_path / "comments.db")
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    for name in (*files, "comments.db"):
        assert desk("import", str(tmp_path / name), "--site", "blog", "--queue-waiting")[0] == 0

    assert any(p.name == "duyet.db" for p in files_of(desk))
    assert [p.name for p in files_of(desk) if LOCAL in p.read_bytes()] == []


def files_of(desk: Desk) -> list[Path]:
    """All files of the installation, journals included."""
    return [p for p in desk.settings.data_dir.rglob("*") if p.is_file()]


NASTY = "=HYPERLINK(\"x\")\r\nvà '+1' ]]> \x08 <b>&amp;"


@pytest.fixture
def filled(desk: Desk, tmp_path: Path) -> Desk:
    rows = [
        {"id": "1", "content": NASTY, "status": "approved", "author_name": "＝An"},
        {"id": "2", "content": "Spam", "status": "spam", "parent_id": "1"},
        {"id": "3", "content": f"Thư: {CANARY}", "status": "trash", "reason": "off_topic"},
        {"id": "4", "content": "Máy", "status": "spam", "moderator": ""},
    ]
    shared = {"author_email": CANARY, "author_ip": "203.0.113.7", "permalink": "https://b.example"}
    shared |= {"article_title": "Bài"}
    file = tmp_path / "in.jsonl"
    times = [{"written_at": f"2024-01-02T03:04:{second:02}Z"} for second in range(len(rows))]
    lines = [json.dumps(shared | row | at) for row, at in zip(rows, times, strict=True)]
    file.write_text("\n".join(lines))
    assert desk("import", str(file), "--site", "blog")[0] == 0
    return desk


def test_jsonl_goes_out_masked_and_comes_in_as_it_was(filled: Desk, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.gz"

    assert filled("export", "comments", "--site", "blog", "-o", str(out))[0] == 0
    rows = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert filled("import", str(out), "--site", "other")[0] == 0
    _, again, _ = filled("export", "comments", "--site", "other")

    assert [row["status"] for row in rows] == ["approved", "spam", "trash", "spam"]
    assert {row["author_email"] for row in rows} == {"c•••@privat.example"}
    assert CANARY not in out.read_bytes().decode("latin-1") + again
    kept = ("content", "status", "reason", "author_name", "parent_id", "external_id", "written_at")
    both = (rows, [json.loads(line) for line in again.splitlines()])
    assert [[row[k] for k in kept] for row in both[0]] == [
        [row[k] for k in kept] for row in both[1]
    ]
    assert [bool(row["moderator"]) for row in both[1]] == [True, True, True, False]


def test_csv_is_safe_for_spreadsheets_and_comes_in_as_it_was(filled: Desk, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"

    assert filled("export", "comments", "--site", "blog", "--format", "csv", "-o", str(out))[0] == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8-sig"), newline="")))
    assert filled("import", str(out), "--site", "other")[0] == 0
    stored = list(filled.store.kept(next(s.id for s in filled.store.sites() if s.name == "other")))

    assert tuple(rows[0]) == FIELDS
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(tuple("=+-@\t\r＝＋－＠"))] == []
    assert {one.submission.author.name for one in stored} == {"＝An", ""}
    assert NASTY in {one.submission.content for one in stored}


def test_an_export_that_is_imported_where_it_came_from_adds_nothing(
    filled: Desk, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    filled("export", "comments", "--site", "blog", "--format", "csv", "-o", str(out))

    summary = json.loads(filled("import", str(out), "--site", "blog", "--json")[1])

    assert (summary["known"], summary["approved"]) == (4, 0)


def test_wxr_is_xml_with_the_comments_of_an_article_in_one_item(
    filled: Desk, tmp_path: Path
) -> None:
    out = tmp_path / "out.xml"

    assert filled("export", "comments", "--site", "blog", "--format", "wxr", "-o", str(out))[0] == 0
    channel = ElementTree.parse(out).getroot().find("channel")
    assert channel is not None
    wp = "{http://wordpress.org/export/1.2/}"
    found = [
        {field.tag.removeprefix(f"{wp}comment_"): field.text or "" for field in one}
        for one in channel.iter(f"{wp}comment")
    ]

    assert len(channel.findall("item")) == 1
    assert channel.findtext("item/title") == "Bài"
    assert [(one["id"], one["parent"]) for one in found] == [
        ("1", "0"),
        ("2", "1"),
        ("3", "0"),
        ("4", "0"),
    ]
    assert [one["approved"] for one in found] == ["1", "spam", "trash", "spam"]
    assert found[0]["content"] == NASTY.replace("\r\n", "\n").replace("\x08", "\ufffd")
    assert CANARY not in out.read_text()


@pytest.mark.parametrize(
    ("zone", "hours"), [("UTC", 0), ("Asia/Ho_Chi_Minh", 7), ("+05:30", 5.5), ("-03:00", -3)]
)
def test_wxr_says_the_time_that_the_blog_shows(
    filled: Desk, tmp_path: Path, zone: str, hours: float
) -> None:
    out = tmp_path / "out.xml"
    words = ("--site", "blog", "--format", "wxr", "-o", str(out), "--timezone", zone)

    assert filled("export", "comments", *words)[0] == 0

    wp = "{http://wordpress.org/export/1.2/}comment_"
    both = [
        [datetime.fromisoformat(one.findtext(wp + name) or "") for name in ("date", "date_gmt")]
        for one in ElementTree.parse(out).iter("{http://wordpress.org/export/1.2/}comment")
    ]
    assert {shown - gmt for shown, gmt in both} == {timedelta(hours=hours)}


@pytest.mark.parametrize("zone", ["", "Nowhere/At_All", "../../etc/passwd", "+7", "+99:00"])
def test_a_time_zone_that_is_none_is_refused(filled: Desk, zone: str) -> None:
    words = ("export", "comments", "--site", "blog", "--format", "wxr", "--timezone", zone)
    status, _, said = filled(*words)

    assert status == 2
    assert "Asia/Ho_Chi_Minh" in said


def test_wxr_has_no_part_of_an_address(filled: Desk, tmp_path: Path) -> None:
    # WordPress strikes out what masks one, and then it is somebody else's.
    out = tmp_path / "out.xml"
    filled("export", "comments", "--site", "blog", "--format", "wxr", "-o", str(out))

    wp = "{http://wordpress.org/export/1.2/}comment_"
    tree = ElementTree.parse(out)
    assert {one.text or "" for one in tree.iter(f"{wp}author_email")} == {""}
    assert all("/" not in (one.text or "") for one in tree.iter(f"{wp}author_IP"))


def test_answers_come_after_what_they_answer_when_all_have_one_day(filled: Desk) -> None:
    [blog] = [site for site in filled.store.sites() if site.name == "blog"]
    first = next(filled.store.kept(blog.id))
    last = 3000
    parents = {str(n): str(n + 1) for n in range(1, last)} | {"x": "y", "y": "x", "z": "z"}
    sent = [
        replace(first.submission, external_id=id_, parent_id=parent)
        for id_, parent in [*parents.items(), (str(last), "")]
    ]

    text = b"".join(wxr_parts([replace(first, id="", submission=one) for one in sent], "blog"))

    parent = ".//{http://wordpress.org/export/1.2/}comment_parent"
    found = [int(one.text or 0) for one in ElementTree.fromstring(text).iterfind(parent)]
    assert found[:last] == [*range(last)]
    assert len(found) == len(sent)


def test_our_wxr_is_read_by_our_own_import(filled: Desk, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    filled("export", "comments", "--site", "blog", "--format", "wxr", "-o", str(out))

    summary = json.loads(filled("import", str(out), "--site", "other", "--json")[1])

    assert (summary["approved"], summary["spam"], summary["trash"]) == (1, 2, 1)


def test_an_import_that_was_killed_is_finished_by_the_next_one(desk: Desk, tmp_path: Path) -> None:
    file, number = tmp_path / "large.xml", 1000
    file.write_text(samples.wxr(item(*[comment(n, f"Số {n}") for n in range(number)])))
    call = [sys.executable, "-m", "duyet", "import", str(file), "--site", "blog"]
    process = subprocess.Popen(
        call, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    [blog] = [site for site in desk.store.sites() if site.name == "blog"]
    while next(desk.store.kept(blog.id, page_size=1), None) is None:
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(timeout=0.05) == 0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [p.name for p in files_of(desk) if LOCAL in p.read_bytes()] == []

    kept = sum(1 for _ in desk.store.kept(blog.id))
    summary = json.loads(desk("import", str(file), "--site", "blog", "--json")[1])

    assert 0 < kept <= number
    assert summary["passed"] == kept
    assert kept + summary["approved"] == number
    assert sum(1 for _ in desk.store.kept(blog.id)) == number


def test_the_command_is_there_in_a_process_that_asked_for_nothing_else():
    done = subprocess.run(
        [sys.executable, "-m", "duyet", "export", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "comments" in done.stdout
    assert "labels" in done.stdout
