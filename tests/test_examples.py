import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.addresses import mask_addresses
from model.decision import Label, Provenance, WordOf
from model.outcome import Head
from model.submission import CommentType
from training.examples import (
    MAX_LINE_BYTES,
    ExampleError,
    Row,
    read_examples,
    read_rows,
    submission_of,
)

ADDRESS = "canary-7731@gmail.com"
WHOLE = {
    "id": "site:1",
    "text": "Bài viết rất hay",
    "label": "ham",
    "task": "spam",
    "lang": "vi",
    "source": "site",
    "split": None,
    "group": "site/post-1",
    "author": "Lan",
    "author_url": "https://lan.example",
    "email": ADDRESS,
    "ip": "203.0.0.0/16",
    "user_agent": "Mozilla/5.0",
    "date": "2026-01-02T03:04:05Z",
    "extra": {"post_title": "Cà phê", "comment_type": "pingback"},
}


def lines(*rows: object) -> bytes:
    return b"".join(
        row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
    )


def rows_of(data: bytes) -> list[Row]:
    return list(read_rows(io.BytesIO(data)))


def problem_with(data: bytes) -> ExampleError:
    with pytest.raises(ExampleError) as caught:
        list(read_examples(io.BytesIO(data), name="a.jsonl"))
    return caught.value


def test_a_labelled_row_is_read_whole():
    (example,) = read_examples(io.BytesIO(lines(WHOLE)))

    assert example.label == Label(Head.SPAM, False)
    assert (example.id, example.text, example.split) == ("site:1", "Bài viết rất hay", "")
    assert (example.group, example.lang, example.weight) == ("site/post-1", "vi", 1.0)


EARLIER = {  # as exports were before labels had their provenance
    "decided_by": "ann",
    "decided_at": "2026-01-02T03:04:05+00:00",
    "reviewed_because": "audit",
    "review_probability": 0.02,
}


@pytest.mark.parametrize(
    ("more", "provenance"),
    [
        ({}, Provenance(WordOf.FILE, "a.jsonl")),
        ({"provenance": {"kind": "report", "who": "blog"}}, Provenance(WordOf.REPORT, "blog")),
        (
            {"extra": EARLIER},
            Provenance(WordOf.DECISION, "ann", "2026-01-02T03:04:05+00:00", 0.02),
        ),
        (
            {"extra": EARLIER | {"decided_by": "import wxr", "reviewed_because": "import"}},
            Provenance(WordOf.IMPORT, "import wxr", "2026-01-02T03:04:05+00:00"),
        ),
        (
            {"extra": EARLIER | {"decided_by": ADDRESS, "reviewed_because": "unasked"}},
            Provenance(WordOf.DECISION, mask_addresses(ADDRESS), "2026-01-02T03:04:05+00:00"),
        ),
    ],
)
def test_a_row_tells_whose_word_its_label_is(more, provenance):
    (example,) = read_examples(io.BytesIO(lines(WHOLE | {"extra": None} | more)), name="a.jsonl")

    assert example.provenance == provenance


def test_a_row_becomes_what_the_site_would_have_sent():
    (row,) = rows_of(lines(WHOLE))

    submission = submission_of(row)

    assert submission.content == "Bài viết rất hay"
    assert submission.author.name == "Lan"
    assert submission.author.email == ADDRESS
    assert submission.author.ip == "203.0.0.0"
    assert submission.article.title == "Cà phê"
    assert submission.article.language == ""
    assert submission.type is CommentType.PINGBACK
    assert submission.external_id == "site:1"


@pytest.mark.parametrize("kind", [None, "", "webmention", 3, ["reply"]])
def test_an_unknown_comment_type_is_a_comment(kind):
    (row,) = rows_of(lines({"text": "x", "extra": {"comment_type": kind}}))

    assert submission_of(row).type is CommentType.COMMENT


def test_text_alone_is_enough_to_score():
    (row,) = rows_of(b'{"text": ""}')

    assert (row.text, row.label, row.head, row.extra) == ("", None, None, {})


def test_a_task_without_a_label_is_kept():
    (row,) = rows_of(lines({"text": "x", "task": "toxicity"}))

    assert (row.label, row.head) == (None, Head.TOXICITY)


def test_numbers_as_id_and_group_are_read_as_text():
    (row,) = rows_of(lines({"text": "x", "id": 7, "group": 12}))

    assert (row.id, row.group) == ("7", "12")


def test_blank_lines_and_a_byte_order_mark_are_no_rows():
    data = b"\xef\xbb\xbf" + lines(WHOLE, b"\n", b"  \r\n", WHOLE, b"\n")

    assert [row.line for row in rows_of(data)] == [1, 4]


def test_unicode_line_separators_do_not_end_a_line():
    (row,) = rows_of(json.dumps({"text": "a\u2028b\x85c"}, ensure_ascii=False).encode())

    assert row.text == "a\u2028b\x85c"


def test_nul_and_lone_surrogates_are_replaced_everywhere():
    (row,) = rows_of(rb'{"text": "a\u0000b\ud83d", "extra": {"k\udc00": ["\u0000", 1]}}')

    assert row.text == "a\ufffdb\ufffd"
    assert row.extra == {"k\ufffd": ["\ufffd", 1]}


def test_a_surrogate_pair_is_one_character():
    (row,) = rows_of(rb'{"text": "\ud83d\ude00"}')

    assert row.text == "😀"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"label": "spam"}, "text"),
        ({"text": None, "label": "spam"}, "text"),
        ({"text": 5, "label": "spam"}, "text"),
        ({"text": "x"}, "label"),
        ({"text": "x", "label": "SPAM"}, "label"),
        ({"text": "x", "label": True}, "label"),
        ({"text": "x", "label": "spam", "task": "toxicity"}, "task"),
        ({"text": "x", "label": "spam", "task": "rude"}, "task"),
        ({"text": "x", "label": "spam", "email": [ADDRESS]}, "email"),
        ({"text": "x", "label": "spam", "id": True}, "id"),
        ({"text": "x", "label": "spam", "weight": -1}, "weight"),
        ({"text": "x", "label": "spam", "weight": True}, "weight"),
        ({"text": "x", "label": "spam", "weight": 10**400}, "weight"),
        ({"text": "x", "label": "spam", "extra": "x"}, "extra"),
        ({"text": "x", "label": "spam", "provenance": {"kind": []}}, "provenance"),
        ({"text": "x", "label": "spam", "provenance": {"kind": "guess"}}, "provenance"),
        (
            {"text": "x", "label": "spam", "provenance": {"kind": "file", "chance": 0}},
            "provenance",
        ),
    ],
)
def test_a_wrong_field_is_named_with_file_and_line(row, field):
    error = problem_with(lines(WHOLE, row))

    assert (error.file, error.line, error.field) == ("a.jsonl", 2, field)
    assert str(error).startswith(f"a.jsonl, line 2: {field} ")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"text": "canary', "not JSON"),
        (b'["canary"]', "not a JSON object"),
        (b'"canary"', "not a JSON object"),
        (b'{"text": "canary", "weight": NaN}', "NaN"),
        (b'{"text": "canary", "n": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"text": "canary", "extra": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deeply"),
        (b'{"text": "canary \xff"}', "UTF-8"),
        ("{}".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_line_that_is_not_a_row_is_named_and_never_repeated(line, says):
    error = problem_with(line)

    assert says in str(error)
    assert "canary" not in str(error)


def test_an_address_never_comes_back_in_an_error_or_a_repr():
    error = problem_with(lines({"text": ADDRESS, "label": ADDRESS, "email": ADDRESS}))
    (row,) = rows_of(lines(WHOLE | {"text": ADDRESS, "extra": {"mail": ADDRESS}}))

    assert "canary" not in str(error) + repr(error) + repr(row)


def test_bad_rows_can_be_collected_instead():
    bad: list[ExampleError] = []
    data = lines(WHOLE, b"{\n", {"text": "no label"}, WHOLE)

    read = list(read_examples(io.BytesIO(data), on_bad=bad.append))

    assert len(read) == 2
    assert [error.line for error in bad] == [2, 3]


def test_a_line_too_long_is_refused_and_the_next_one_read():
    bad: list[ExampleError] = []
    data = lines({"text": "x" * 2 * MAX_LINE_BYTES}, {"text": "after"})

    read = list(read_rows(io.BytesIO(data), on_bad=bad.append))

    assert [(row.line, row.text) for row in read] == [(2, "after")]
    assert "longer than 16,777,216 bytes" in str(bad[0])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.of-any-name"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_gzip_is_told_by_its_bytes_not_by_its_name(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(lines(WHOLE, WHOLE)))

    assert len(list(read_examples(tmp_path / name))) == 2


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_rows(data):
    assert rows_of(data) == []


@pytest.mark.parametrize(
    "damaged",
    [
        gzip.compress(lines(WHOLE) * 2000, mtime=0)[:-40],
        gzip.compress(lines(WHOLE), mtime=0)[:-8] + b"\0" * 8,
        b"\x1f\x8b and then text",
    ],
    ids=["cut", "checksum", "not gzip at all"],
)
def test_damaged_gzip_is_said_even_when_bad_rows_are_skipped(damaged):
    with pytest.raises(ExampleError, match="damaged or cut short"):
        list(read_rows(io.BytesIO(damaged), on_bad=lambda _: None))


def test_two_gzip_files_after_another_are_one_file():
    assert len(rows_of(gzip.compress(lines(WHOLE)) + gzip.compress(lines(WHOLE)))) == 2


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input_is_read_even_when_it_comes_byte_by_byte(pack):
    program = (
        "from pathlib import Path; from training.examples import read_rows\n"
        "print(sum(1 for _ in read_rows(Path('-'))))"
    )
    data = pack(lines(WHOLE, WHOLE, WHOLE))

    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        for byte in data:
            process.stdin.write(bytes([byte]))
        out, _ = process.communicate()

    assert out == b"3\n"


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_rows(tmp_path / "absent.jsonl"))


def test_rows_come_before_the_file_has_ended():
    class Pipe(io.RawIOBase):
        """Gives one line, and refuses to be read on until that line has been used."""

        def __init__(self) -> None:
            self.left = [lines(WHOLE)]
            self.used = False

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            data, self.left[0] = self.left[0][:size], self.left[0][size:]
            if not data:
                assert self.used, "read past the first line before giving it"
            return data

    pipe = Pipe()
    rows = read_rows(pipe)
    first = next(rows)
    pipe.used = True

    assert first.id == "site:1"
    assert list(rows) == []
