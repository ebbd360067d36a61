from datetime import UTC, datetime

import pytest

from model.decision import (
    Decision,
    Label,
    LabelledExample,
    RejectReason,
    ReportKind,
    labels_of,
    labels_of_report,
)
from model.outcome import Head, Outcome

AT = datetime(2026, 1, 2, tzinfo=UTC)


def decision(outcome: Outcome, reason: RejectReason | None = None) -> Decision:
    return Decision(outcome, reason, "lan", AT)


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        (Outcome.ACCEPT, None, ["ham", "clean"]),
        (Outcome.REJECT, RejectReason.SPAM, ["spam"]),
        (Outcome.REJECT, RejectReason.TOXIC, ["toxic"]),
        (Outcome.REJECT, RejectReason.OFF_TOPIC, []),
        (Outcome.REJECT, RejectReason.OTHER, []),
    ],
)
def test_a_decision_teaches_what_the_person_said_and_no_more(outcome, reason, words):
    assert [label.word for label in labels_of(decision(outcome, reason))] == words


@pytest.mark.parametrize(
    ("kind", "word"),
    [(ReportKind.SPAM, "spam"), (ReportKind.HAM, "ham"), (ReportKind.TOXIC, "toxic")],
)
def test_a_report_teaches_its_one_label(kind, word):
    assert [label.word for label in labels_of_report(kind)] == [word]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.QUEUE, None),
        (Outcome.QUEUE, RejectReason.SPAM),
        (Outcome.REJECT, None),
        (Outcome.ACCEPT, RejectReason.OTHER),
    ],
)
def test_a_decision_accepts_or_rejects_with_a_reason(outcome, reason):
    with pytest.raises(ValueError, match=r"decision|reason"):
        decision(outcome, reason)


def test_an_example_shows_no_text_or_address_in_its_repr():
    c = "canary@x.vn"
    example = LabelledExample("1", c, Label(Head.SPAM, True), author=c, author_url=c, email=c, ip=c)

    assert "canary" not in repr(example)
