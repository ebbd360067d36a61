"""What sites would have served with what they had learnt until each comment came."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest

from model.decision import Label, LabelledExample, Provenance, RejectReason, WordOf
from model.experience import Experience
from model.judging import Case, judge
from model.outcome import Head, Outcome
from model.policy import Policy
from model.site_layer import Anchors
from model.submission import History
from tests.judging_cases import a_classifier
from tests.test_experience import a_text, said
from training.comparing import compare
from training.contenders import Contender, Labelled, Options, judged_by_both
from training.examples import submission_of
from training.serving_again import as_served

AT = datetime(2026, 3, 1, tzinfo=UTC)
DOUBTS = replace(a_classifier(scale=0.001), bias=np.array([0.6, -2.0]))
TWICE = Contender("twice", (DOUBTS, DOUBTS), tuple(n % 2 for n in range(60)), "held_out")
OLD = Contender("old", (DOUBTS,))
QUICK = Options(attacked=0)
POLICY = Policy()
ANCHORS = Anchors.of(DOUBTS.spec)


def label(number: int, came: datetime, decided: datetime) -> LabelledExample:
    """A comment that came and was decided, as spam if its number is even."""
    spam = number % 2 == 0
    return LabelledExample(
        id=f"c{number}",
        text=a_text(spam, Random(number)),
        label=Label(Head.SPAM, spam),
        source="duyet:blog",
        group=f"g{number % 12}",
        date=came.isoformat(),
        provenance=Provenance(WordOf.DECISION, "ann", decided.isoformat()),
    )


def hourly(count: int = 60, *, decided_after: timedelta = timedelta(minutes=30)) -> Labelled:
    times = [AT + timedelta(hours=n) for n in range(count)]
    return Labelled(tuple(label(n, at, at + decided_after) for n, at in enumerate(times)))


def outcomes(labelled: Labelled, new: Contender) -> tuple[list[int], list[int]] | None:
    both = as_served(judged_by_both(OLD, new, labelled, QUICK), (OLD, new), labelled, QUICK)
    if both.served is None:
        return None
    return both.served.champion.outcome.tolist(), both.served.challenger.outcome.tolist()


def by_hand(examples: Sequence[LabelledExample]) -> list[int]:
    """Each judged by a fold over the decisions on all before it."""
    known = Experience(DOUBTS, ANCHORS, POLICY)
    found = []
    for example in examples:
        case = Case(submission_of(example), History(), POLICY, POLICY.version, known)
        found.append(int(judge([case], DOUBTS)[0].outcome))
        told = said(0, example.text, RejectReason.SPAM if example.label.positive else None)
        for prepared in known.prepared([replace(told, id=example.id)]):
            known.learn(prepared)
    return found


def test_each_comment_meets_what_had_been_decided_when_it_came():
    labelled = hourly()

    champion, challenger = outcomes(labelled, TWICE)

    assert champion == challenger == by_hand(labelled.examples)
    # So the site learnt: its spam is rejected in the end, which the model alone only queues.
    assert champion[0] == Outcome.QUEUE
    assert champion[-10::2].count(Outcome.REJECT) >= 3


def test_what_is_decided_at_one_sitting_afterwards_is_no_hindsight():
    at_once = hourly(decided_after=timedelta(days=30))

    assert outcomes(at_once, TWICE)[0] == [Outcome.QUEUE] * 60


@pytest.mark.parametrize(
    "changed",
    [{"source": "forum"}, {"provenance": Provenance(WordOf.IMPORT, "wxr", AT.isoformat())}],
)
def test_without_a_site_s_decision_there_is_nothing_to_serve(changed):
    labelled = Labelled(tuple(replace(e, **changed) for e in hourly().examples))

    assert outcomes(labelled, TWICE) is None
    found = compare(OLD, TWICE, labelled, at=AT, options=QUICK)
    assert found.served == ()


def test_sites_learn_from_what_was_decided_on_comments_that_are_not_compared():
    whole = hourly()
    last = Labelled(whole.examples[50:], lessons=whole.examples)

    assert outcomes(last, OLD)[0] == by_hand(whole.examples)[50:]


def test_a_comparison_tells_what_is_served_in_all_and_by_site():
    labelled = hourly()

    found = compare(OLD, TWICE, labelled, at=AT, options=QUICK)

    alone, served = found.figure("spam_rejected"), {f.name: f for f in found.served}
    site = next(part for part in found.slices if part.kind == "site")
    assert (alone.champion.value, alone.rows) == (0.0, 30)
    assert served["spam_rejected"].champion.value > 0.1
    assert served["spam_rejected"].difference.value == 0
    assert {figure.name for figure in site.served} == set(served)
