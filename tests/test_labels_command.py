"""`duyet labels`: from the store and from files, for people and machines."""

import json
import random
from pathlib import Path

import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage.label_findings import FindingKind, LabelFindings
from tests.storage.cases import Clock
from tests.test_commands import ADDRESS, Desk, desk, empty, waits  # noqa: F401  fixtures among them

TEXTS = Path(__file__).parent.parent / "training" / "texts"


def decide(at: Desk, comment_id: str, reason: RejectReason | None, by: str = "ann") -> None:
    outcome = Outcome.ACCEPT if reason is None else Outcome.REJECT
    at.store.decide(None, comment_id, Decision(outcome, reason, by, Clock()()))


def test_a_report_on_the_store_tells_figures_and_is_kept_for_the_page(desk):  # noqa: F811
    first, second = waits(desk, f"Hay quá, {ADDRESS}"), waits(desk, "Vay nhanh trong ngày")
    decide(desk, first, None)
    decide(desk, second, RejectReason.SPAM, "bob")
    decide(desk, waits(desk, "x"), RejectReason.OFF_TOPIC)

    status, out, _ = desk("labels", "report")
    body = desk.json("labels", "report")
    of_site = desk.json("labels", "report", "--site", "blog")

    kept = LabelFindings(desk.store).last(FindingKind.REPORT)
    assert (status, body["labels"], body["teaching"]) == (0, 3, 3)
    assert "3 labels, of which 3 teach" in out
    assert kept is not None
    assert kept.body == body == of_site
    assert "canary" not in out + json.dumps(body)


def test_an_audit_lists_labels_with_masked_excerpts_and_keeps_no_text(desk, tmp_path):  # noqa: F811
    draw = random.Random(1)
    rows = [
        json.loads(line)
        for name in ("vi_ham", "vi_spam")
        for line in (TEXTS / f"{name}.jsonl").read_text().splitlines()[:140]
    ]
    for number, row in enumerate(rows):
        if draw.random() < 0.1:
            row["label"] = "ham" if row["label"] == "spam" else "spam"
            row["text"] = f"{ADDRESS} \u202e\x1b[2J {row['text']}"
        row["id"] = f"row {number}"
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    body = desk.json("labels", "audit", str(file), "--limit", "5")

    assert body["judged"] > 250
    assert len(body["labels"]) == 5
    assert body["suspect"] > 5
    assert any("•••@gmail.com" in one["excerpt"] for one in body["labels"])
    assert {"id", "source", "who", "score", "label", "suggests"} < set(body["labels"][0])
    assert not any(c in json.dumps(body) for c in ("canary", "\\u202e", "\\u001b"))
    assert LabelFindings(desk.store).last(FindingKind.AUDIT) is None  # files are not the store


def test_an_audit_of_too_few_labels_says_so(desk):  # noqa: F811
    decide(desk, waits(desk), None)

    status, out, _ = desk("labels", "audit")

    assert status == 0
    assert "20 are needed" in out
    kept = LabelFindings(desk.store).last(FindingKind.AUDIT)
    assert kept is not None
    assert kept.body["labels"] == []


def test_next_are_the_unsure_that_are_unlike_each_other(desk):  # noqa: F811
    loan = "Vay tiền nhanh trong ngày, không cần thế chấp, lãi suất thấp, giải ngân tận nhà"
    copies = [waits(desk, loan, spam=0.5) for _ in range(2)]
    other = waits(desk, f"Bài viết rất kỹ, viết cho tôi nhé {ADDRESS}", spam=0.4)

    status, out, _ = desk("labels", "next")
    body = desk.json("labels", "next", "--site", "blog", "--limit", "2")

    found = [one["comment_id"] for one in body["comments"]]
    assert found[0] in copies
    assert found[1] == other
    assert (status, len(out.splitlines())) == (0, 3)
    assert "canary" not in out


@pytest.mark.parametrize(
    "call",
    [
        ["report", "none.jsonl"],
        ["report", "--site", "none"],
        ["audit", "--limit", "0"],
        ["next", "--site", "none"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_told_in_a_line(desk, call):  # noqa: F811
    status, out, said = desk("labels", *call)

    assert status != 0
    assert out == ""
    assert said.startswith("duyet")
