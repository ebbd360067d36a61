"""What a site states as a risk is looked up, language by language, and never misread."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.outcome import OFF, Scores
from model.promise import ANY, RISKS, Kept, Promise, comments_needed, is_risk, stated

levels = st.one_of(st.just(OFF), st.floats(0, 1))
columns = st.lists(levels, min_size=len(RISKS), max_size=len(RISKS)).map(
    lambda found: tuple(sorted(found, reverse=True))
)
rows = st.builds(
    Kept,
    comments=st.integers(0, 30_000),
    groups=st.integers(0, 999),
    spam_queue_at=columns,
    toxicity_queue_at=columns,
    spam_reject_at=columns,
)
tags = st.sampled_from([ANY, "vi", "en", "und", "ru"])
promises = st.builds(
    Promise, languages=st.dictionaries(tags, rows), unit=st.sampled_from(["group", "source"])
)
risks = st.one_of(st.just(0.0), st.floats(RISKS[0], RISKS[-1]), st.sampled_from(RISKS))
probabilities = st.floats(0, 1)

LAST = len(RISKS)


def row(comments: int, queue: float, reject: float, *, on_from: float = RISKS[0]) -> Kept:
    """The same thresholds from a risk on, none for smaller ones."""
    off = RISKS.index(on_from)
    both = [(OFF,) * off + (at,) * (LAST - off) for at in (queue, queue, reject)]
    return Kept(comments, comments // 10, *both)


@pytest.mark.parametrize(("risk", "needed"), [(0.001, 2_995), (0.005, 598), (0.01, 299)])
def test_a_smaller_risk_needs_more_comments(risk, needed):
    assert comments_needed(risk) == needed


@pytest.mark.parametrize("share", [0, 0.0005, 0.00123, 0.05])
def test_a_risk_may_be_nought_or_within_the_row(share):
    assert is_risk(share)


@pytest.mark.parametrize("share", [-0.01, 0.0004, 0.0501, 1, float("nan"), float("inf")])
def test_no_other_share_is_a_risk(share):
    assert not is_risk(share)


def test_a_risk_in_between_counts_as_the_next_smaller():
    assert (stated(0.0059), stated(0.005), stated(0.05)) == (0.005, 0.005, 0.05)


# --- laws ------------------------------------------------------------------------------------


@given(
    promise=promises,
    language=tags,
    reject=st.tuples(risks, risks),
    queue=st.tuples(risks, risks),
    score=probabilities,
)
def test_a_smaller_risk_is_never_more_severe(promise, language, reject, queue, score):
    lower = {"reject_risk": min(reject), "queue_risk": min(queue)}
    greater = {"reject_risk": max(reject), "queue_risk": max(queue)}
    scores = Scores(score, 1 - score)

    careful = promise.thresholds(language, **lower).outcome(scores)

    assert careful <= promise.thresholds(language, **greater).outcome(scores)


@given(promise=promises, language=tags, reject=risks, queue=risks)
def test_thresholds_rise_and_toxicity_alone_rejects_nothing(promise, language, reject, queue):
    at = promise.thresholds(language, reject_risk=reject, queue_risk=queue)

    assert at.spam.queue_at <= at.spam.reject_at
    assert at.toxicity.reject_at == OFF


@given(promise=promises, language=tags)
def test_no_risk_flags_nothing(promise, language):
    at = promise.thresholds(language, reject_risk=0, queue_risk=0)

    assert (at.spam.queue_at, at.toxicity.queue_at) == (OFF, OFF)


@given(promise=promises)
def test_a_promise_comes_back_from_json(promise):
    assert Promise.from_body(json.loads(json.dumps(asdict(promise)))) == promise


# --- languages -------------------------------------------------------------------------------


def test_a_language_goes_by_its_own_comments():
    promise = Promise({ANY: row(9_000, 0.5, 0.9), "vi": row(4_000, 0.7, 0.8)})

    at = promise.thresholds("vi", reject_risk=0.005, queue_risk=0.01)

    assert (at.spam.queue_at, at.spam.reject_at) == (0.7, 0.8)
    assert promise.missing("vi", 0.001) == 0


@pytest.mark.parametrize("language", ["ru", "xx", ""])
def test_a_language_without_comments_rejects_nothing_and_queues_with_the_others(language):
    promise = Promise({ANY: row(9_000, 0.5, 0.9), "vi": row(4_000, 0.7, 0.8)})

    at = promise.thresholds(language, reject_risk=0.05, queue_risk=0.05)

    assert (at.spam.queue_at, at.spam.reject_at) == (0.5, OFF)
    assert promise.missing(language, 0.005) == 598


def test_too_few_comments_reject_nothing_and_say_how_many_are_missing():
    promise = Promise({ANY: row(9_000, 0.5, 0.9), "vi": row(500, 0.7, 0.8, on_from=0.006)})

    at = promise.thresholds("vi", reject_risk=0.005, queue_risk=0.01)

    assert (at.spam.queue_at, at.spam.reject_at) == (0.7, OFF)
    assert promise.missing("vi", 0.005) == 98


def test_queueing_by_all_languages_is_no_harder_than_a_greater_risk_of_its_own():
    promise = Promise({ANY: row(9_000, 0.5, 0.9), "vi": row(200, 0.7, 0.8, on_from=0.02)})

    small = promise.thresholds("vi", reject_risk=0, queue_risk=0.01)

    assert small.spam.queue_at == 0.7


def test_a_text_in_no_language_is_rejected_only_where_all_would_reject_it():
    promise = Promise(
        {
            ANY: row(9_000, 0.5, 0.6),
            "en": row(4_000, 0.5, 0.6),
            "und": row(900, 0.5, 0.7),
            "vi": row(700, 0.5, 0.95, on_from=0.005),
        }
    )

    assert promise.thresholds("und", reject_risk=0.005, queue_risk=0.01).spam.reject_at == 0.95
    assert promise.thresholds("und", reject_risk=0.004, queue_risk=0.01).spam.reject_at == 0.95


# --- what cannot be built --------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [(0.5,), (0.5,) * (LAST + 1), (0.5,) * (LAST - 1) + (0.6,), (-0.1,) * LAST, (2.5,) * LAST,
     (float("nan"),) * LAST],
)  # fmt: skip
def test_thresholds_fall_as_the_risk_rises_or_are_refused(column):
    with pytest.raises(ValueError, match=r"promise|risk"):
        Kept(1, 1, column, (OFF,) * LAST, (OFF,) * LAST)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"languages": {}},
        {"languages": [], "unit": "group"},
        {"languages": {"vi": {}}, "unit": "group"},
        {"languages": {"vi": 1}, "unit": "group"},
    ],
)
def test_what_is_no_promise_is_refused(body):
    with pytest.raises((TypeError, KeyError, AttributeError, ValueError)):
        Promise.from_body(body)
