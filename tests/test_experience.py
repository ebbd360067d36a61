"""What a site's decisions taught, as judging asks it: no store, no clock."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decision import Decision, RejectReason
from model.experience import Decided, Experience
from model.facts import gather
from model.features import Spec
from model.judging import Case, judge
from model.outcome import HeadThresholds, Outcome, Thresholds
from model.policy import Policy
from model.site_layer import Anchors
from model.submission import Author, History, Submission
from model.verdict import Verdict
from tests.judging_cases import a_classifier, any_text

SPEC = Spec(bits=14)
CHAMPION = replace(a_classifier(spec=SPEC, scale=0.001), bias=np.array([0.6, -2.0]))
ANCHORS = Anchors.of(SPEC)
POLICY = Policy()
AT = datetime(2026, 3, 1, tzinfo=UTC)

SPAM_WORDS = ("zorvex", "plunati", "krindal", "goshmet", "vailup", "drotten", "winspan", "lukrum")
HAM_WORDS = ("ocarina", "tuning", "reed", "fipple", "recorder", "consort", "madrigal", "pipe")
PLAIN_WORDS = ("the", "was", "with", "this", "that", "from", "have", "about", "some", "there")
SPAM = (
    "Our loans need no papers and no waiting: send your name and the sum to the agent below, "
    "and the money is with you this evening, at two percent a month."
)


def a_text(spam: bool, random: Random) -> str:
    words = SPAM_WORDS if spam else HAM_WORDS
    return " ".join(random.sample(words, 4) + random.sample(PLAIN_WORDS, 5))


def said(change: int, text: str, reason: RejectReason | None, **author: str) -> Decided:
    """A comment that somebody accepted, or rejected for a reason."""
    outcome = Outcome.ACCEPT if reason is None else Outcome.REJECT
    decision = Decision(outcome, reason, "ann", AT)
    return Decided(change, f"c-{change}", Submission(text, Author(**author)), decision)


def decisions(count: int, seed: int = 1) -> list[Decided]:
    random = Random(seed)
    return [
        said(n + 1, a_text(n % 2 == 0, random), RejectReason.SPAM if n % 2 == 0 else None)
        for n in range(count)
    ]


def taught(*decided: Decided, policy: Policy = POLICY) -> Experience:
    experience = Experience(CHAMPION, ANCHORS, policy)
    for prepared in experience.prepared(decided):
        experience.learn(prepared)
    return experience


LEARNT = taught(*decisions(50), said(51, SPAM, RejectReason.SPAM))


def judged(text: str, experience: Experience | None, champion=CHAMPION) -> Verdict:
    case = Case(Submission(text), History(), POLICY, POLICY.version, experience)
    return judge([case], champion)[0]


# ------------------------------------------------------------------ learning


def test_how_many_are_taken_in_at_a_time_makes_no_difference():
    one_by_one = Experience(CHAMPION, ANCHORS, POLICY)
    for decided in decisions(12):
        one_by_one.learn(one_by_one.prepared([decided])[0])

    together = taught(*decisions(12))

    assert one_by_one.layer.version == together.layer.version != ""
    np.testing.assert_array_equal(one_by_one.layer.weights, together.layer.weights)
    assert (one_by_one.change, one_by_one.lessons) == (12, 12)


@pytest.mark.parametrize("reason", [RejectReason.OFF_TOPIC, RejectReason.OTHER, RejectReason.TOXIC])
def test_a_rejection_that_says_nothing_of_spam_is_no_lesson(reason):
    experience = taught(said(1, SPAM, reason))

    assert (experience.change, experience.lessons) == (1, 0)
    assert experience.memory.remembered == 0
    assert judged(SPAM, experience).learnt is None


def test_what_is_learnt_goes_by_the_thresholds_of_the_site():
    stern = Policy(
        thresholds=HeadThresholds(spam=Thresholds(0.1, 0.2), toxicity=Thresholds(0.5, 2.0))
    )

    usual, other = taught(*decisions(4)), taught(*decisions(4), policy=stern)

    assert usual.layer.version != other.layer.version


@given(st.lists(st.tuples(any_text, any_text, any_text, st.sampled_from([None, *RejectReason]))))
@settings(max_examples=20)
def test_any_decided_comment_can_be_learnt_from(comments):
    told = [said(n, c, why, name=name, url=url) for n, (c, name, url, why) in enumerate(comments)]

    experience = taught(*told)

    spoke = [why for *_, why in comments if why in {None, RejectReason.SPAM}]
    assert experience.lessons == len(spoke)
    assert all(math.isfinite(judged(c, experience).scores.spam) for c, *_ in comments)


# ------------------------------------------------------------------ judging by it


@given(content=any_text)
def test_a_score_is_the_model_s_and_what_was_added_exactly(content):
    plain, known = judged(content, None), judged(content, LEARNT)

    assert known.learnt is not None
    odds = float(CHAMPION.log_odds([gather(Submission(content)).texts])[0, 0])
    odds += known.learnt.added
    assert known.scores.spam == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-12)
    assert known.scores.toxicity == plain.scores.toxicity
    assert known.spans == plain.spans


def test_a_verdict_says_what_it_was_learnt_from():
    verdict = judged("krindal zorvex winspan plunati about this with some", LEARNT)

    assert verdict.learnt.layer == LEARNT.layer.version
    assert (verdict.learnt.lessons, verdict.learnt.change) == (51, 51)
    assert verdict.learnt.added > 1
    assert (verdict.reasons[-1].code, verdict.reasons[-1].evidence) == (
        "site.learnt",
        f"{verdict.learnt.added:+.1f}",
    )


def test_a_twin_of_rejected_spam_is_rejected_with_the_decided_comment_named():
    verdict = judged(SPAM.replace("two percent", "three percent"), LEARNT)

    assert verdict.outcome is Outcome.REJECT
    assert [hit.rule for hit in verdict.hits] == ["memory.rejected_before"]
    assert verdict.learnt.twin == "c-51"


def test_trust_for_what_was_accepted_never_publishes_what_no_model_scored():
    accepted = taught(said(1, SPAM, None))

    scored, unscored = judged(SPAM, accepted), judged(SPAM, accepted, champion=None)

    assert scored.outcome is Outcome.ACCEPT
    assert [hit.rule for hit in unscored.hits] == ["memory.accepted_before"]
    assert unscored.outcome is Outcome.QUEUE


def test_without_a_model_a_settled_campaign_is_rejected_all_the_same():
    verdict = judged(SPAM, LEARNT, champion=None)

    assert (verdict.outcome, verdict.scores) == (Outcome.REJECT, None)
    assert (verdict.learnt.layer, verdict.learnt.added) == ("", 0.0)


def test_a_layer_over_another_model_adds_nothing_and_is_not_named():
    text = "krindal zorvex winspan plunati about this with some"

    verdict = judged(text, LEARNT, champion=replace(CHAMPION, version="next"))

    assert verdict.learnt.layer == ""
    assert verdict.learnt.added == 0
    assert verdict.scores == judged(text, None).scores


def test_nothing_learnt_is_nothing_said():
    fresh = Experience(CHAMPION, ANCHORS, POLICY)

    assert judged(SPAM, fresh) == judged(SPAM, None)


def test_the_sites_of_a_batch_do_not_mix():
    random = Random(9)
    texts = [a_text(n % 2 == 0, random) for n in range(6)]
    known = [LEARNT if n % 3 else None for n in range(6)]
    cases = [
        Case(Submission(t), History(), POLICY, POLICY.version, k)
        for t, k in zip(texts, known, strict=True)
    ]

    together = judge(cases, CHAMPION)

    assert [v.learnt is not None for v in together] == [k is not None for k in known]
    for verdict, text, experience in zip(together, texts, known, strict=True):
        alone = judged(text, experience)
        assert verdict.outcome is alone.outcome
        assert verdict.scores.spam == pytest.approx(alone.scores.spam, abs=1e-12)


def test_what_the_champion_was_moved_by_is_remembered_and_is_no_lesson_of_the_layer():
    decided = [said(n, SPAM, RejectReason.SPAM) for n in (1, 2)]
    until = decided[0].decision.at
    later = replace(decided[1].decision, at=until + timedelta(seconds=1))
    moved = replace(CHAMPION, learnt_until=until)
    experience = Experience(moved, ANCHORS, POLICY)

    for prepared in experience.prepared([decided[0], replace(decided[1], decision=later)]):
        experience.learn(prepared)

    assert (experience.lessons, experience.layer.lineage.lessons) == (2, 1)
    assert experience.memory.remembered == 2
