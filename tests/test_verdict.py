import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.outcome import HeadThresholds, Outcome, Scores, Thresholds
from model.policy import Policy
from model.verdict import RuleHit, decide

AT = HeadThresholds(Thresholds(0.4, 0.7), Thresholds(0.5, 0.9))

probabilities = st.floats(0, 1)
scores = st.none() | st.builds(Scores, spam=probabilities, toxicity=probabilities)
strict_hits = st.builds(RuleHit, rule=st.just("r"), effect=st.sampled_from(Outcome))
trust_hits = st.builds(
    RuleHit, rule=st.just("t"), effect=st.sampled_from(Outcome), trust=st.just(True)
)
hit_lists = st.lists(strict_hits | trust_hits, max_size=6).map(tuple)
own = st.lists(st.floats(0, 2), min_size=2, max_size=2).map(lambda pair: Thresholds(*sorted(pair)))
policies = st.builds(
    Policy,
    fail_open=st.booleans(),
    thresholds=st.none() | st.builds(HeadThresholds, spam=own, toxicity=own),
)


def outcome(policy: Policy, scores: Scores | None, hits: tuple[RuleHit, ...]) -> Outcome:
    return decide(policy, scores, hits, model_thresholds=AT)


@given(policy=policies, a=scores, b=scores, hits=hit_lists)
def test_a_higher_score_never_softens(policy, a, b, hits):
    a, b = a or Scores(0, 1), b or Scores(1, 0)
    low = Scores(min(a.spam, b.spam), min(a.toxicity, b.toxicity))
    high = Scores(max(a.spam, b.spam), max(a.toxicity, b.toxicity))

    assert outcome(policy, high, hits) >= outcome(policy, low, hits)


@given(policy=policies, scores=scores, hits=hit_lists, extra=strict_hits)
def test_an_extra_hit_never_softens(policy, scores, hits, extra):
    assert outcome(policy, scores, (*hits, extra)) >= outcome(policy, scores, hits)


@given(policy=policies, scores=scores, hits=hit_lists, extra=strict_hits)
def test_a_hit_is_at_least_what_it_asks_for(policy, scores, hits, extra):
    assert outcome(policy, scores, (extra, *hits)) >= extra.effect


@given(
    policy=policies,
    scores=scores,
    hits=st.lists(strict_hits, max_size=4).map(tuple),
    trust=st.lists(trust_hits, min_size=1, max_size=9).map(tuple),
)
def test_trust_softens_by_one_step_at_most_however_much_there_is(policy, scores, hits, trust):
    without = outcome(policy, scores, hits)

    trusted = outcome(policy, scores, (*hits, *trust))

    assert without - 1 <= trusted <= without
    assert trusted == outcome(policy, scores, (*hits, trust[0]))


@given(policy=policies, scores=scores, hits=hit_lists, seed=st.integers(0, 99))
def test_the_order_of_hits_does_not_matter(policy, scores, hits, seed):
    shuffled = random.Random(seed).sample(hits, len(hits))

    assert outcome(policy, scores, tuple(shuffled)) is outcome(policy, scores, hits)


@given(policy=policies, hits=hit_lists)
@example(policy=Policy(), hits=(RuleHit("t", Outcome.ACCEPT, trust=True),))
def test_no_score_is_queued_at_the_least_unless_the_site_fails_open(policy, hits):
    strictest = max((hit.effect for hit in hits if not hit.trust), default=Outcome.ACCEPT)
    least = Outcome.ACCEPT if policy.fail_open else Outcome.QUEUE

    assert outcome(policy, None, hits) is max(least, strictest)


@pytest.mark.parametrize(
    ("spam", "toxicity", "expected"),
    [
        (0.39, 0.49, Outcome.ACCEPT),
        (0.40, 0.0, Outcome.QUEUE),
        (0.0, 0.50, Outcome.QUEUE),
        (0.70, 0.0, Outcome.REJECT),
        (0.0, 0.90, Outcome.REJECT),
        (0.5, 0.95, Outcome.REJECT),
    ],
)
def test_scores_are_judged_by_the_models_thresholds(spam, toxicity, expected):
    assert outcome(Policy(), Scores(spam, toxicity), ()) is expected


def test_a_sites_own_thresholds_come_before_the_models():
    lenient = HeadThresholds(Thresholds(0.9, 2), Thresholds(2, 2))

    assert outcome(Policy(thresholds=lenient), Scores(0.8, 1.0), ()) is Outcome.ACCEPT


def test_trust_softens_what_a_score_says_and_not_what_a_rule_says():
    trust = RuleHit("author.known", Outcome.ACCEPT, trust=True)
    rule = RuleHit("text.twin", Outcome.QUEUE)

    assert outcome(Policy(), Scores(0.8, 0), (trust,)) is Outcome.QUEUE
    assert outcome(Policy(), Scores(0.5, 0), (trust,)) is Outcome.ACCEPT
    assert outcome(Policy(), Scores(0.5, 0), (trust, rule)) is Outcome.QUEUE
