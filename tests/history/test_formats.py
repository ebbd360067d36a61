"""What is read from other systems' files, and what is refused of them."""

import csv
import gzip
import io
import json
import random
import re
import sqlite3
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.decision import RejectReason
from model.spreadsheet import guarded, unguarded
from model.submission import CommentType
from service.history import csv_rows, isso, json_lines, wxr
from service.history.formats import Format, Layout, detected, read
from service.history.records import HistoryError, Imported, Record, Refused, Status, time_of
from service.history.sources import CHUNK, Source
from service.history.writing import csv_line
from service.history.xml_stream import LONGEST_TOKEN
from tests.history import samples
from tests.history.samples import CANARY, comment, item, post


def records(
    text: str | bytes, form: Format, path: Path, layout: Layout | None = None
) -> list[Record]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = Source(path)
    assert detected(source) is form or layout is not None
    return list(read(source, form, layout or Layout()))


def imported(
    text: str | bytes, form: Format, path: Path, layout: Layout | None = None
) -> list[Imported]:
    found = records(text, form, path, layout)
    assert [one for one in found if isinstance(one, Refused)] == []
    return [one for one in found if isinstance(one, Imported)]


def statuses(found: list[Imported]) -> list[str]:
    return [one.status.value for one in found]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "export.bin"  # no ending tells what it is


# ------------------------------------------------------------------ WordPress


def test_a_comment_of_wordpress_has_all_its_fields(file: Path) -> None:
    (one,) = imported(samples.wxr(item(comment(3, comment_parent="2"))), Format.WXR, file)

    assert one.content == "Cảm ơn tác giả!"
    assert (one.author.name, one.author.email) == ("An", CANARY)
    assert (one.author.url, one.author.ip) == ("https://an.example/", "203.0.113.77")
    assert (one.permalink, one.title) == ("https://blogs.example/a/lu-ve", "Lũ về")
    assert one.written_at == datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (one.external_id, one.parent_id, one.type) == ("3", "2", CommentType.REPLY)
    assert CANARY not in repr(one)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_every_version_and_status_of_wordpress_is_read(file: Path, version: str) -> None:
    said = ["1", "0", "spam", "trash", "post-trashed"]
    comments = [comment(n, comment_approved=word) for n, word in enumerate(said, 1)]

    found = imported(samples.wxr(item(*comments), version=version), Format.WXR, file)

    assert statuses(found) == ["approved", "waiting", "spam", "trash", "trash"]


def test_pings_are_told_and_other_programs_notes_are_left_out(file: Path) -> None:
    types = ["", "pingback", "trackback", "review", "order_note"]
    comments = [comment(n, comment_type=kind) for n, kind in enumerate(types, 1)]

    found = records(samples.wxr(item(*comments)), Format.WXR, file)

    kinds = [one.type.value for one in found if isinstance(one, Imported)]
    assert kinds == ["comment", "pingback", "trackback", "comment"]
    assert isinstance(found[-1], Refused)
    assert not found[-1].is_fault


def test_ids_of_two_blogs_are_told_apart(file: Path) -> None:
    blogs = [samples.wxr(item(comment(1)), blog=f"https://blogs.example/{b}") for b in "ab"]

    origins = [imported(text, Format.WXR, file)[0].origin for text in blogs]

    assert origins[0] != origins[1]


def test_a_time_that_wordpress_did_not_know_is_taken_from_what_it_did(file: Path) -> None:
    unknown = {"comment_date_gmt": "0000-00-00 00:00:00"}
    both = unknown | {"comment_date": "0000-00-00 00:00:00"}
    text = samples.wxr(item(comment(1, **unknown), comment(2, **both)))

    found = imported(text, Format.WXR, file)

    assert [one.written_at.isoformat() for one in found] == [
        "2023-05-06T14:08:09+00:00",
        "2023-01-01T00:00:00+00:00",
    ]


def test_what_xml_does_not_allow_is_replaced_and_costs_no_comment(file: Path) -> None:
    plain = "&#8;&#xD800;&#65;&#1114112;"
    broken = comment(1, "a\x08b\x00c") + comment(2, comment_author=plain)
    text = samples.wxr(item(broken, comment(3, "Ổn"))).encode() + b""
    text = text.replace("Ổn".encode(), b"latin \xe9 \xed\xa0\x80 end")

    found = imported(text, Format.WXR, file)

    assert found[0].content == "a\ufffdb\ufffdc"
    assert found[1].author.name == "\ufffd\ufffdA\ufffd"
    assert found[2].content.startswith("latin \ufffd ")
    assert found[2].content.endswith(" end")


URL = "https://vi.example/?a=1&b=2&amp;c=3&nbsp;&#38;d"


@pytest.mark.parametrize("before", [0, 1, 12, 24, 26, 60, 90])
def test_a_url_that_wordpress_did_not_escape_costs_nothing(file: Path, before: int) -> None:
    raw = f"<wp:comment_author_url>{URL}</wp:comment_author_url>"
    said = f"Bạn ghi {raw.replace('&b', '')} à?"  # what somebody wrote stays as it is
    text = samples.wxr(item(comment(1, said).replace("</wp:comment>", f"{raw}</wp:comment>")))
    # The piece that is read ends in the midst of the tag or of the URL.
    at = len(text[: text.rindex(raw)].encode())
    text = text.replace("<channel>", f"<!-- {'x' * (CHUNK - at - before - 9)} --><channel>", 1)

    (one,) = imported(text, Format.WXR, file)

    assert one.author.url == "https://vi.example/?a=1&b=2&c=3&nbsp;&d"
    assert one.content.startswith("Bạn ghi <wp:comment_author_url>")


def test_an_address_that_wordpress_did_not_escape_is_read_as_it_was(file: Path) -> None:
    url = "https://an.example/?a=1&b=2&copy=3&amp;d=4&#38;e&nbsp;&"
    text = samples.wxr(item(comment(1, "&#0; &b <i>&amp;", comment_author_url=url)))

    (one,) = imported(text, Format.WXR, file)

    assert one.author.url == "https://an.example/?a=1&b=2&copy=3&d=4&e&nbsp;&"
    assert one.content == "&#0; &b <i>&amp;"  # in CDATA everything is what it is


def test_what_is_mended_is_so_wherever_reading_pauses(file: Path) -> None:
    def read_with(blanks: int) -> tuple[str, str]:
        ends = comment(1, "&b]] &#8;", comment_author_url="x?a=1&b=&#65;&#8;<![CDATA[&c]]>&d")
        before = samples.wxr(item(ends)).partition("<wp:comment>")[0].encode()
        fill = " " * (CHUNK - len(before) - blanks)
        (one,) = imported(samples.wxr(fill + item(ends)), Format.WXR, file)
        return one.author.url, one.content

    found = {read_with(blanks) for blanks in [*range(210, 270), *range(505, 540)]}

    assert found == {("x?a=1&b=A\ufffd&c&d", "&b]] &#8;")}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1258"])
def test_the_encoding_is_the_one_the_file_has(file: Path, encoding: str) -> None:
    declared = "UTF-8" if encoding.startswith("utf-8") else encoding
    text = samples.wxr(item(comment(1, "café", comment_author="Ann"), title="x"))
    text = text.replace("Làng báo", "x").replace('encoding="UTF-8"', f'encoding="{declared}"')

    (one,) = imported(text.encode(encoding), Format.WXR, file)

    assert one.content == "café"


@pytest.mark.parametrize("encoding", ["rot13", "utf-16", "idna", "punycode"])
def test_an_encoding_that_the_file_cannot_have_is_refused(file: Path, encoding: str) -> None:
    text = samples.wxr(item(comment())).replace('encoding="UTF-8"', f'encoding="{encoding}"')

    with pytest.raises(HistoryError, match="encoding"):
        records(text, Format.WXR, file)


def test_blank_lines_before_an_export_are_no_matter(file: Path) -> None:
    text = samples.wxr(item(comment(1, " "), comment(2)))
    line = text[: text.index("<wp:comment>")].count("\n") + 1

    found = records("\n \n" + text, Format.WXR, file)

    assert found[0] == Refused(f"line {line + 2}", "it has no text")
    assert isinstance(found[1], Imported)


BOMB = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n<rss'
OUTSIDE = '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/hostname">]>\n<rss'
REMOTE = '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/x.dtd">\n<rss'


@pytest.mark.parametrize("head", [BOMB, OUTSIDE, REMOTE], ids=["bomb", "file", "network"])
def test_a_document_type_is_refused_whatever_it_declares(file: Path, head: str) -> None:
    text = samples.wxr(item(comment(1, comment_author="&x;"))).replace("<rss", head, 1)

    with pytest.raises(HistoryError, match="declares a document type"):
        records(text, Format.WXR, file)


def test_what_came_before_the_file_is_cut_short_is_given(file: Path) -> None:
    whole = samples.wxr(item(comment(1), comment(2), comment(3)))
    file.write_text(whole[: whole.rindex("<wp:comment_author>")])
    given = read(Source(file), Format.WXR, Layout())
    first, second = next(given), next(given)

    with pytest.raises(HistoryError, match="cut short"):
        next(given)
    assert [isinstance(one, Imported) for one in (first, second)] == [True, True]


def test_what_is_nested_too_deeply_or_has_no_end_is_refused(file: Path) -> None:
    deep = samples.wxr("<a>" * 5000)
    endless = samples.wxr("<!-- " + "x" * (3 * LONGEST_TOKEN))

    with pytest.raises(HistoryError, match="nested"):
        records(deep, Format.WXR, file)
    with pytest.raises(HistoryError, match="has no end"):
        records(endless, Format.WXR, file)


def test_a_comment_of_ten_megabytes_is_refused_and_the_next_one_taken(file: Path) -> None:
    text = samples.wxr(item(comment(1, "x" * 10_000_000), comment(2)))

    found = records(text, Format.WXR, file)

    assert isinstance(found[0], Refused)
    assert "longer than" in found[0].problem
    assert isinstance(found[1], Imported)


def test_memory_does_not_grow_with_the_file() -> None:
    def peak(posts: int) -> int:
        text = samples.wxr(*[item(comment(1), title="y" * 20_000)] * posts).encode()
        tracemalloc.start()
        count = sum(1 for _ in wxr.read(io.BytesIO(text)))
        assert count == posts
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(20), peak(400)

    assert many < 1.5 * few + 100_000


# ------------------------------------------------------------------ the others


def test_disqus_posts_have_their_threads_and_parents(file: Path) -> None:
    posts = (post(1), post(2, parent="1"), post(3, spam="true"), post(4, deleted="true"))
    found = imported(samples.disqus(*posts), Format.DISQUS, file)

    assert statuses(found) == ["approved", "approved", "spam", "trash"]
    assert found[0].content == "<p>Hay quá số 1</p>"
    assert (found[0].permalink, found[0].title) == ("https://lang.example/lu-ve", "Lũ về")
    assert (found[0].author.name, found[0].author.email) == ("An", CANARY)
    assert [one.parent_id for one in found] == ["", "1", "", ""]


def test_a_disqus_post_with_an_unknown_flag_is_refused_by_its_line(file: Path) -> None:
    found = records(samples.disqus(post(1, spam="123"), post(2)), Format.DISQUS, file)

    assert found[0] == Refused("line 8", "its status is missing or unknown")
    assert isinstance(found[1], Imported)


def test_isso_is_read_with_its_threads_and_modes(tmp_path: Path) -> None:
    path = samples.isso_file(tmp_path / "comments % ? #.db")
    before = path.read_bytes()

    found = list(read(Source(path), detected(Source(path)), Layout()))

    taken = [one for one in found if isinstance(one, Imported)]
    assert statuses(taken) == ["approved", "waiting", "trash"]
    assert (taken[0].permalink, taken[0].title) == ("/lu-ve", "Lũ về")
    assert taken[0].written_at == datetime.fromtimestamp(1583000001.25, UTC)
    assert taken[1].parent_id == "1"
    assert [one.is_fault for one in found if isinstance(one, Refused)] == [False]
    assert path.read_bytes() == before
    assert isso.size(path) == 4


def test_a_damaged_database_does_not_lead_in_a_circle(file: Path) -> None:
    with sqlite3.connect(samples.isso_file(file)) as connection:
        connection.executescript(
            """
            ALTER TABLE comments RENAME TO old;
            CREATE TABLE comments AS SELECT tid, 'x' AS id, parent, created, mode, remote_addr,
                text, author, email, website FROM old;
            """
        )
    connection.close()

    with pytest.raises(HistoryError, match="damaged"):
        list(read(Source(file), Format.ISSO, Layout()))


@pytest.mark.parametrize(
    "change",
    [
        """
        ALTER TABLE threads RENAME TO old;
        CREATE VIEW threads AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
            SELECT id, '' AS uri, '' AS title FROM n;
        """,
        "UPDATE comments SET author = zeroblob(65 * 1024 * 1024) WHERE id = 2;",
    ],
    ids=["view without an end", "huge value"],
)
def test_a_database_made_to_cost_a_lot_is_refused(file: Path, change: str) -> None:
    with sqlite3.connect(samples.isso_file(file)) as connection:
        connection.executescript(change)
    connection.close()

    with pytest.raises(HistoryError, match="Isso's database"):
        list(read(Source(file), Format.ISSO, Layout()))


def test_isso_s_values_of_any_type_are_read_or_refused_alone(file: Path) -> None:
    with sqlite3.connect(samples.isso_file(file)) as connection:
        connection.executescript(
            """
            UPDATE comments SET text = x'ff00c3a9', author = 7.5, email = x'00', website = NULL,
                created = '1583000001', mode = '1' WHERE id = 1;
            UPDATE comments SET author = printf('%.*c', 20000, 'x') WHERE id = 2;
            UPDATE comments SET mode = 99 WHERE id = 4;
            """
        )
    connection.close()

    found = list(read(Source(file), Format.ISSO, Layout()))

    (first,) = (one for one in found if isinstance(one, Imported))
    assert (first.content, first.author.name, first.author.url) == ("\ufffd\ufffdé", "7.5", "")
    problems = {one.place: one.problem for one in found if isinstance(one, Refused)}
    assert "longer" in problems["comment 2"]
    assert "status" in problems["comment 4"]


def test_a_database_whose_schema_is_damaged_is_refused(file: Path) -> None:
    whole = samples.isso_file(file).read_bytes()
    file.write_bytes(
        whole.replace(b"CREATE TABLE comments (tid", b"CREATE TABLE comments (\xff\xfe(")
    )

    with pytest.raises(HistoryError, match="Isso's database"):
        list(read(Source(file), Format.ISSO, Layout()))


def test_a_sqlite_file_that_is_not_isso_s_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()

    with pytest.raises(HistoryError, match="Isso's database"):
        list(read(Source(file), Format.ISSO, Layout()))


@pytest.mark.parametrize("packed", [False, True])
def test_remark42_s_backup_is_read_packed_or_not(file: Path, *, packed: bool) -> None:
    text = samples.remark42(deleted=True).encode()

    found = imported(gzip.compress(text) if packed else text, Format.REMARK42, file)

    assert statuses(found) == ["approved", "trash"]
    assert [one.content for one in found] == ["Hay **quá**", "<p>Hay <b>quá</b></p>"]
    assert found[0].written_at == datetime(2022, 3, 4, 11, 6, 7, 123456, tzinfo=UTC)
    assert found[1].parent_id == "c1"
    assert {one.author.email for one in found} == {CANARY}


def test_commento_s_authors_come_after_the_comments(file: Path) -> None:
    found = records(samples.commento(), Format.COMMENTO, file)

    first, flagged, gone = found
    assert isinstance(first, Imported)
    assert isinstance(flagged, Imported)
    assert (first.status, flagged.status) == (Status.APPROVED, Status.WAITING)
    assert (first.author.name, first.author.email) == ("An", CANARY)
    assert first.permalink == "https://lang.example/lu-ve"
    assert (first.parent_id, flagged.parent_id) == ("", "aa")
    assert isinstance(gone, Refused)
    assert not gone.is_fault


def test_comentario_s_pages_flags_and_guests_are_read(file: Path) -> None:
    found = imported(samples.comentario(), Format.COMMENTO, file)

    assert statuses(found) == ["approved", "waiting", "trash", "approved"]
    assert (found[0].permalink, found[0].title) == ("https://lang.example/lu-ve", "Lũ về")
    assert [one.author.name for one in found] == ["An", "An", "An", "Khách"]
    assert found[3].author.email == ""


def test_commento_s_comments_have_to_be_a_list(file: Path) -> None:
    file.write_text('{"version": 1, "comments": {"a": 1}, "commenters": []}')

    with pytest.raises(HistoryError, match="no list"):
        list(read(Source(file), Format.COMMENTO, Layout()))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_commento_s_export_that_is_cut_short_is_refused(file: Path, cut: float) -> None:
    text = samples.commento()
    file.write_text(text[: int(len(text) * cut)])

    with pytest.raises(HistoryError, match="cut short"):
        list(read(Source(file), Format.COMMENTO, Layout()))


def test_an_element_larger_than_what_is_read_at_once_is_whole(file: Path) -> None:
    (first, *_) = records(samples.commento(markdown="é" * 300_000), Format.COMMENTO, file)

    assert isinstance(first, Imported)
    assert first.content == "é" * 300_000


def test_damaged_gzip_is_refused(file: Path) -> None:
    file.write_bytes(gzip.compress(samples.remark42().encode() * 2000)[:-50])

    with pytest.raises(HistoryError, match="gzip"):
        list(read(Source(file), Format.REMARK42, Layout()))


# ------------------------------------------------------------------ JSONL and CSV

LABELLED: list[dict[str, object]] = [
    {"id": "a:spam", "text": "Hay", "label": "ham", "extra": {"comment_id": "a"}},
    {"id": "a:toxicity", "text": "Hay", "label": "clean", "extra": {"comment_id": "a"}},
    {"id": "b:spam", "text": "Casino", "label": "spam", "email": "person@gmail.com"},
    {"id": "c", "text": "Ngu", "label": "toxic", "email": CANARY},
]


DAMAGE = (b"", b"\x00", b"\xff\xfe", b"&#0;", b"]]>", b"<", b'"', b"{", b"[", b"}", b"\n", b"1e999")


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row | {"date": "2024-01-02T03:04:05Z"}) + "\n" for row in rows)


def test_labelled_files_are_read_by_their_labels(file: Path) -> None:
    found = records(lines(LABELLED), Format.JSONL, file)

    taken = [one for one in found if isinstance(one, Imported)]
    assert statuses(taken) == ["approved", "spam", "trash"]
    assert [one.reason for one in taken] == [None, None, RejectReason.TOXIC]
    assert [one.author.email for one in taken] == ["", "", CANARY]
    assert [one.is_fault for one in found if isinstance(one, Refused)] == [False]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"content": "\xff"}', "not UTF-8"),
        (b'{"content": "a", "written_at": "2024-01-02"}', "status"),
        (b'{"content": "a", "status": "maybe", "written_at": "2024-01-02"}', "status"),
        (b'{"content": "a", "status": "spam", "written_at": "01/02/03"}', "date"),
        (b'{"content": "a", "status": "spam", "written_at": "0001-01-01T00:00:00Z"}', "date"),
        (b'{"content": "a", "status": "spam", "written_at": 0}', "date"),
        (b'{"content": "a", "status": "spam", "written_at": "20240102"}', "date"),
        (b'{"content": "a", "status": "spam", "written_at": 45293.5}', "date"),
        (b'{"content": " ", "status": "spam", "written_at": "2024-01-02"}', "no text"),
        (b'{"content": ' + b"[" * 100_000, "JSON|deeply"),
        (b'{"content": NaN}', "not JSON"),
    ],
)
def test_a_bad_line_is_told_and_the_next_one_read(line: bytes, problem: str) -> None:
    good = b'{"content": "\\ud800 \\u0000", "status": "spam", "written_at": 1704164645}\n'

    bad, fine = json_lines.read_jsonl(io.BytesIO(line + b"\n\n" + good))

    assert isinstance(bad, Refused)
    assert bad.place == "line 1"
    assert re.search(problem, bad.problem)
    assert isinstance(fine, Imported)
    assert (fine.place, fine.content) == ("line 3", "\ufffd \ufffd")


def test_csv_is_read_by_its_columns_whatever_separates_them(file: Path) -> None:
    for delimiter in ",;\t|":
        head = delimiter.join(("Comment ID", "Comment Content", "comment_approved", "Ngày"))
        row = delimiter.join(("7", '"Dòng 1\r\nDòng ""2"""', "1", "2024-01-02 03:04:05"))
        text = f"\ufeff{head}\r\n\r\n{row}\r\n{row.replace('7', '8', 1)}"
        layout = Layout({"written_at": "Ngày"})

        found = imported(text, Format.CSV, file, layout)

        assert [one.external_id for one in found] == ["7", "8"]
        assert found[0].content == 'Dòng 1\r\nDòng "2"'
        assert [one.place for one in found] == ["line 3", "line 5"]


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1252", "utf-8-sig"])
def test_csv_is_read_in_its_encoding(file: Path, encoding: str) -> None:
    text = "content,status,date\ncafé,spam,2024-01-02\n".encode(encoding)
    said = "windows-1252" if encoding == "windows-1252" else ""

    (one,) = imported(text, Format.CSV, file, Layout(encoding=said))

    assert one.content == "café"


def test_csv_in_another_encoding_than_was_said_is_refused(file: Path) -> None:
    file.write_bytes(b"content,status,date\nx,spam,2024-01-02\n")

    with pytest.raises(HistoryError, match="encoding utf-16"):
        list(read(Source(file), Format.CSV, Layout(encoding="utf-16")))


def test_csv_rows_in_another_encoding_or_too_short_are_refused_alone() -> None:
    text = b"content,status,date\ncaf\xe9,spam,2024-01-02\nonly\nfine,ham,2024-01-02\n"

    found = list(csv_rows.read(io.BytesIO(text)))

    problems = [one.problem for one in found if isinstance(one, Refused)]
    assert [one.place for one in found] == ["line 2", "line 3", "line 4"]
    assert "--encoding" in problems[0]
    assert "fewer columns" in problems[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "content=COLUMN"),
        ("text,b\n1,2\n", "status=COLUMN"),
        ('text,status\n"' + ("x" * 5000 + "\n") * 3500, "no end|longer"),
    ],
    ids=["empty", "no text", "no status", "open quotation"],
)
def test_csv_that_cannot_be_understood_says_why(text: str, problem: str) -> None:
    with pytest.raises(HistoryError, match=problem):
        list(csv_rows.read(io.BytesIO(text.encode())))


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "＋1", "－1", "＠x", " =1", "'=1", "''=1",
     "\n=1", "'", "'x", "a=1", "", "•=1", ";-)", "a\n- b", "a;\t=1", "\t;=1", "a;'=1", "a;''x"],
)  # fmt: skip
def test_what_is_made_safe_for_spreadsheets_comes_back_as_it_was(text: str) -> None:
    safe = guarded(text)

    assert not safe.startswith(tuple("=+-@\t\r＝＋－＠"))
    assert unguarded(safe) == text


def cells_of(line: str, delimiter: str) -> list[str]:
    """What a spreadsheet makes of a line: a quotation mark counts at the start of a cell alone."""
    return [cell for row in csv.reader(io.StringIO(line, newline=""), delimiter=delimiter)
            for cell in row]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("sign", "=+-@|%＝﹦−")
@pytest.mark.parametrize("before", ["", " ", '"', "\u200b'", "\x00"])
def test_no_spreadsheet_finds_a_formula_in_a_text(delimiter: str, sign: str, before: str) -> None:
    texts = [f"{begin}{before}{sign}1+cmd" for begin in ("", "a;", "a\t", "a\r\n", "a\n", '";')]

    line = csv_line(["x", *map(guarded, texts), "y"]).decode()

    found = [cell.strip(' "\u200b\x00') for cell in cells_of(line, delimiter)]
    assert [cell for cell in found if cell.startswith(sign)] == []
    assert list(map(unguarded, map(guarded, texts))) == texts


def test_making_safe_takes_time_in_proportion() -> None:
    def seconds(text: str) -> float:
        begun = time.process_time()
        unguarded(guarded(text))
        return time.process_time() - begun

    assert all(seconds(sign * 500_000) < 5 for sign in ("\t", " ", "'", ";", "; ", "\n'"))


@given(
    st.lists(st.text(max_size=20) | st.text("'\";=-) \t\n\ra", max_size=12), min_size=2, max_size=4)
)
@example(["'", "\r"])
def test_any_text_survives_csv(cells: list[str]) -> None:
    line = csv_line(map(guarded, cells))

    (row,) = csv.reader(io.StringIO(line.decode("utf-8", "surrogatepass"), newline=""))

    assert [unguarded(cell) for cell in row] == cells


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_of_csv_end_wherever_reading_pauses(size: int, end: str) -> None:
    first = "content,status,date" + end
    row = "x" * (size - len(first) - len(",spam,2024-01-02") - 1) + ",spam,2024-01-02"
    text = first + row + end + row + end + row

    found = list(csv_rows.read(io.BytesIO(text.encode())))

    assert [one.place for one in found] == ["line 2", "line 3", "line 4"]
    assert all(isinstance(one, Imported) for one in found)


SAMPLES = {
    Format.WXR: samples.wxr(item(comment(1), comment(2))).encode(),
    Format.DISQUS: samples.disqus(post(1), post(2, parent="1")).encode(),
    Format.REMARK42: samples.remark42().encode(),
    Format.COMMENTO: samples.comentario().encode(),
    Format.JSONL: lines(LABELLED).encode(),
    Format.CSV: b'id,content,status,date,email\n1,"a\nb",spam,2024-01-02,' + CANARY.encode(),
}


@pytest.mark.parametrize("form", SAMPLES)
def test_a_damaged_file_gives_records_and_problems_and_no_fault(form: Format, file: Path) -> None:
    draw = random.Random(5)
    told = []
    for _ in range(150):
        data = bytearray(SAMPLES[form])
        for _ in range(draw.randint(1, 8)):
            at = draw.randrange(len(data) or 1)
            data[at : at + draw.choice((0, 1, 1, 40))] = draw.choice(DAMAGE)
        file.write_bytes(data)
        try:
            told += [one for one in read(Source(file), form, Layout()) if isinstance(one, Refused)]
        except HistoryError as problem:
            told.append(Refused("", str(problem)))

    assert told
    assert [one for one in told if "canary" in repr(one)] == []


@pytest.mark.parametrize(
    "text", ["<html><body/></html>", "just words", "\x00\x01\x02,", '[{"a": 1, "b": 2}]']
)
def test_a_file_of_no_known_format_is_refused(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(HistoryError):
        detected(Source(file))


def test_times_are_read_in_the_forms_that_files_have() -> None:
    said = ["1704164645", "1704164645000", "1704164645.5", "2024-01-02T03:04:05Z"]
    said += ["2024-01-02 03:04:05", "2024-01-02T10:04:05+07:00"]
    said += ["nan", "inf", "x", "", "9" * 400]

    found = [at.isoformat() if (at := time_of(text)) else "" for text in said]

    assert found[:2] + found[3:6] == ["2024-01-02T03:04:05+00:00"] * 5
    assert found[6:] == [""] * 5
