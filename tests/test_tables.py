"""Labelled comments in CSV and Parquet are read as JSON lines are."""

import csv
import gzip
import io
import json
import sys
import time
import tracemalloc

import pytest

from model.decision import Provenance, WordOf
from model.spreadsheet import guarded
from training.examples import ExampleError, read_examples, read_rows
from training.tables import ROWS_AT_A_TIME

HEAD = "id,text,label,weight,provenance"
ANN = Provenance(WordOf.DECISION, "ann", "2026-01-02T03:04:05+00:00", 0.5)
TOLD = json.dumps(
    {"kind": "decision", "who": "ann", "at": "2026-01-02T03:04:05+00:00", "chance": 0.5}
)


def in_csv(*rows: list[str], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def read(data: bytes, name: str = "a.csv"):
    return list(read_examples(io.BytesIO(data), name=name))


# ------------------------------------------------------------------ CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_table_is_read_whatever_saved_it(delimiter, encoding, pack):
    rows = [HEAD.upper().split(","), ["7", 'Hay, "thật"; quá\nhai dòng', "ham", "0.5", TOLD]]
    data = pack(in_csv(*rows, delimiter=delimiter).encode(encoding))

    (one,) = read(data, "a.CSV.gz" if pack is gzip.compress else "a.CSV")

    assert (one.id, one.text, one.label.word) == ("7", 'Hay, "thật"; quá\nhai dòng', "ham")
    assert (one.weight, one.provenance) == (0.5, ANN)


@pytest.mark.parametrize("text", ["=cmd()", "+84 900", "-- quá hay", "@an", "'tis", "＝1"])
def test_what_guards_a_cell_against_spreadsheets_is_no_part_of_the_text(text):
    data = in_csv(["text", "label"], [guarded(text), "ham"]).encode()

    assert [one.text for one in read(data)] == [text]


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "`text`"),
        (b"comment,label\ncanary,ham\n", 1, "`text`"),
        (b"text,label,TEXT\ncanary,ham,x\n", 1, "twice"),
        ("text,label\ncanary quá,ham\n".encode("cp1258"), 0, "UTF-8"),
        (b'text,label\n"canary"x,ham\n', 2, "quoting"),
        (b'text,label\n"canary,ham\n', 2, "quoting"),
        (b"text,label\ncanary,ham,x\n", 2, "more cells"),
        (b"text,label\ncanary,canary\n", 2, "one of spam"),
        (b"text,label,weight\ncanary,ham,canary\n", 2, "number"),
        (b"text,label,weight\ncanary,ham,nan\n", 2, "1,000,000,000"),
        (b"text,label,extra\ncanary,ham,{canary\n", 2, "JSON"),
        (b'text,label,extra\ncanary,ham,"{""n"": Infinity}"\n', 2, "JSON"),
        (b"text,label,provenance\ncanary,ham,[]\n", 2, "object"),
        (
            b'text,label,provenance\ncanary,ham,"{""kind"": ""file"", ""at"": ""canary""}"\n',
            2,
            "a time as at",
        ),
        (gzip.compress(b"text,label\n" + b"canary,ham\n" * 99, mtime=0)[:-6], 0, "gzip"),
    ],
)
def test_a_table_that_cannot_be_read_says_where_and_never_what(data, line, says):
    with pytest.raises(ExampleError, match=says) as caught:
        read(data)

    assert caught.value.line == line
    assert "canary" not in str(caught.value)


def test_bad_rows_of_a_table_can_be_collected():
    bad: list[ExampleError] = []
    data = b"text,label,weight\none,ham,x\n\ntwo,spam,\n,ham,1\n"

    rows = list(read_rows(io.BytesIO(data), name="a.csv", on_bad=bad.append))

    assert [row.text for row in rows] == ["two", ""]
    assert [(error.line, error.field) for error in bad] == [(2, "weight")]


# ------------------------------------------------------------------ Parquet


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="pip install 'duyet[parquet]' brings it")


def parquet(arrow, rows) -> bytes:
    out = io.BytesIO()
    arrow.parquet.write_table(arrow.Table.from_pylist(rows), out)
    return out.getvalue()


def test_parquet_is_read_in_batches_and_as_json_lines_are(arrow):
    import pyarrow.parquet  # noqa: F401, PLC0415  optional: duyet[parquet] brings it

    rows = [
        {
            "id": n,
            "text": f"bình luận {n}",
            "label": "ham",
            "weight": 0.5 if n else float("nan"),
            "extra": {"title": "Bài"},
            "provenance": TOLD,
            "other": b"\xff",
        }
        for n in range(ROWS_AT_A_TIME + 1)
    ]

    found = read(parquet(arrow, rows), "a.parquet")

    assert [one.id for one in found] == [str(n) for n in range(ROWS_AT_A_TIME + 1)]
    assert (found[0].weight, found[1].weight, found[-1].provenance) == (1.0, 0.5, ANN)
    assert found[0].extra == {"title": "Bài"}


def test_parquet_that_cannot_be_read_says_so(arrow):
    import pyarrow.parquet  # noqa: F401, PLC0415  optional: duyet[parquet] brings it

    whole = parquet(arrow, [{"text": "canary", "label": "ham"}])
    nameless = parquet(arrow, [{"comment": "canary"}])

    for data, says in ((whole[:-9], "damaged"), (nameless, "no column `text`")):
        with pytest.raises(ExampleError, match=says):
            read(data, "a.parquet")


def test_parquet_of_odd_columns_and_times_is_refused_by_row_or_whole(arrow):
    import pyarrow.parquet  # noqa: F401, PLC0415  optional: duyet[parquet] brings it

    def written(date, extra=None) -> bytes:
        columns = {"text": ["canary"], "label": ["ham"], "date": date, "extra": extra or [None]}
        table, out = arrow.table(columns), io.BytesIO()
        arrow.parquet.write_table(table, out)
        return out.getvalue()

    far = arrow.array([300_000_000_000_000], arrow.timestamp("ms"))
    fine = arrow.array([1_700_000_000_000_000_001], arrow.timestamp("ns"))
    listed = written(arrow.array([None], arrow.string()), [[1, 2]])
    out = io.BytesIO()
    twice = arrow.Table.from_arrays([arrow.array(["canary"])] * 2, names=["text", "text"])
    arrow.parquet.write_table(twice, out)

    for data, says in (
        (written(far), "9999"),
        (written(fine), "microseconds"),
        (listed, "extra"),
        (out.getvalue(), "more than one column `text`"),
    ):
        with pytest.raises(ExampleError, match=says) as caught:
            read(data, "a.parquet")
        assert "canary" not in str(caught.value)


def test_without_pyarrow_it_is_said_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ExampleError, match=r"duyet\[parquet\]"):
        read(b"PAR1....PAR1", "a.parquet")


@pytest.mark.parametrize(
    ("is_coded", "at_most"),
    [
        (True, 100_000_000),
        (False, 400_000_000),  # a page of the file is unpacked whole, and here all are in one
    ],
)
def test_a_small_parquet_file_of_large_texts_is_not_held_whole(arrow, is_coded, at_most):
    import pyarrow.parquet  # noqa: F401, PLC0415  optional: duyet[parquet] brings it

    out, large = io.BytesIO(), "a" * 1_000_000
    rows = arrow.table({"text": [large] * 300, "label": ["spam"] * 300})
    arrow.parquet.write_table(rows, out, compression="zstd", use_dictionary=is_coded)
    del rows
    before, most, count = arrow.total_allocated_bytes(), 0, 0

    tracemalloc.start()
    for one in read_examples(io.BytesIO(out.getvalue()), name="a.parquet"):
        count += len(one.text) == len(large)
        most = max(most, arrow.total_allocated_bytes() - before)
    in_python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (count, len(out.getvalue()) < 1_000_000) == (300, True)
    assert in_python < 30_000_000
    assert most < at_most


def test_a_table_of_very_many_columns_is_read_at_once():
    names = ",".join([*(f"c{at}" for at in range(100_000)), "text", "label"])
    began = time.process_time()

    found = read(f"{names}\n{',' * 100_000}hay,ham\n".encode())

    assert [one.text for one in found] == ["hay"]
    assert time.process_time() - began < 10  # comparing each with each took minutes
