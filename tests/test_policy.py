import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.outcome import Head, HeadThresholds, Outcome, Scores, Thresholds
from model.policy import FormRules, Policy
from model.promise import RISKS

probabilities = st.floats(0, 1)
thresholds = st.lists(st.floats(0, 3), min_size=2, max_size=2).map(
    lambda pair: Thresholds(*sorted(pair))
)
risks = st.one_of(st.just(0.0), st.floats(RISKS[0], RISKS[-1]))


def a_policy(risk_pair: tuple[float, float], **choices: Any) -> Policy:
    return Policy(reject_risk=min(risk_pair), queue_risk=max(risk_pair), **choices)


policies = st.builds(
    a_policy,
    risk_pair=st.tuples(risks, risks),
    form=st.builds(FormRules, require_url=st.booleans(), max_name_bytes=st.integers(1, 999)),
    thresholds=st.none() | st.builds(HeadThresholds, spam=thresholds, toxicity=thresholds),
    effects=st.dictionaries(
        st.sampled_from(["form.honeypot", "text.twin"]), st.sampled_from(Outcome)
    ),
    audit_rate=probabilities,
    fail_open=st.booleans(),
    publish_addresses=st.booleans(),
    max_links=st.integers(0, 99),
    flood_seconds=st.floats(0, 1e6),
    trust_after=st.integers(0, 99),
)


@given(policy=policies)
def test_a_policy_comes_back_from_its_json(policy):
    again = Policy.from_json(policy.to_json())

    assert again == policy
    assert again.version == policy.version


@given(one=policies, other=policies)
def test_policies_have_one_version_exactly_when_they_are_equal(one, other):
    assert (one == other) == (one.version == other.version)


def test_how_a_number_is_written_makes_no_other_version():
    assert Policy(flood_seconds=15, audit_rate=0).version == (
        Policy(flood_seconds=15.0, audit_rate=0.0).version
    )


def test_the_order_of_effects_makes_no_other_version():
    effects = {"a": Outcome.QUEUE, "b": Outcome.REJECT}

    backwards = Policy(effects=dict(reversed(effects.items())))

    assert backwards.version == Policy(effects=effects).version


@pytest.mark.parametrize(
    "wrong",
    [
        {"audit_rate": -0.1},
        {"audit_rate": 1.1},
        {"audit_rate": math.nan},
        {"max_links": -1},
        {"flood_seconds": -1},
        {"flood_seconds": math.nan},
        {"trust_after": -1},
        {"reject_risk": -0.001},
        {"reject_risk": 0.0004},
        {"reject_risk": math.nan},
        {"queue_risk": 0.06},
        {"queue_risk": math.inf},
    ],
)
def test_a_number_out_of_range_is_refused_by_name(wrong):
    (name,) = wrong

    with pytest.raises(ValueError, match=name):
        Policy(**wrong)


def test_what_is_rejected_counts_towards_what_is_not_published():
    with pytest.raises(ValueError, match="reject_risk must be at most queue_risk"):
        Policy(reject_risk=0.02)

    assert Policy(reject_risk=0, queue_risk=0).queue_risk == 0


@pytest.mark.parametrize(
    ("queue_at", "reject_at"),
    [(0.9, 0.8), (-0.1, 0.5), (math.nan, 0.5), (0.5, math.nan), (0.5, math.inf)],
)
def test_thresholds_must_rise(queue_at, reject_at):
    with pytest.raises(ValueError, match="rise"):
        Thresholds(queue_at, reject_at)


BODY = json.loads(Policy().to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        json.dumps({**BODY, "unknown": 1}),
        json.dumps({k: v for k, v in BODY.items() if k != "form"}),
        json.dumps({**BODY, "effects": {"text.twin": "nam@x.vn"}}),
        json.dumps({**BODY, "effects": ["text.twin"]}),
        json.dumps({**BODY, "form": {"unknown": True}}),
        json.dumps({**BODY, "thresholds": {"spam": {"queue_at": 0.9, "reject_at": 0.1}}}),
        json.dumps({**BODY, "thresholds": {"spam": {"queue_at": 0.1, "reject_at": 0.9}}}),
        json.dumps({**BODY, "audit_rate": "often"}),
        json.dumps({**BODY, "reject_risk": "seldom"}),
        json.dumps({**BODY, "queue_risk": None}),
        json.dumps({k: v for k, v in BODY.items() if k != "effects"}),
    ],
)
def test_what_is_no_policy_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match=r".") as refused:
        Policy.from_json(text)

    assert "nam@x.vn" not in str(refused.value)


@given(score=probabilities, higher=probabilities, at=thresholds)
def test_a_higher_score_is_never_judged_milder(score, higher, at):
    low, high = sorted((score, higher))

    assert at.outcome(low) <= at.outcome(high)


def test_a_threshold_belongs_to_the_harder_side():
    at = Thresholds(0.5, 0.8)

    assert [at.outcome(s) for s in (0.4999, 0.5, 0.7999, 0.8)] == [
        Outcome.ACCEPT,
        Outcome.QUEUE,
        Outcome.QUEUE,
        Outcome.REJECT,
    ]


def test_thresholds_above_one_switch_a_head_off():
    assert Thresholds(2, 2).outcome(1.0) is Outcome.ACCEPT
    assert Thresholds(0.5, 2).outcome(1.0) is Outcome.QUEUE


def test_what_is_no_number_is_queued():
    assert Thresholds(0.5, 0.8).outcome(math.nan) is Outcome.QUEUE


@given(spam=probabilities, toxicity=probabilities)
def test_the_harder_head_decides(spam, toxicity):
    at = HeadThresholds(Thresholds(0.3, 0.6), Thresholds(0.5, 2))

    outcome = at.outcome(Scores(spam, toxicity))

    assert outcome == max(at.spam.outcome(spam), at.toxicity.outcome(toxicity))
    assert at.of(Head.TOXICITY) is at.toxicity


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_probability_is_no_score(value):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Scores(value, 0.5)


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_has_a_word_and_the_word_its_outcome(outcome):
    assert Outcome.of(outcome.word) is outcome


def test_outcomes_are_ordered_by_severity():
    assert Outcome.ACCEPT < Outcome.QUEUE < Outcome.REJECT
