"""Thresholds chosen on genuine comments keep the risk that a site states."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.promise import Redrawn, redraws
from model.outcome import OFF
from model.promise import ANY, RISKS, comments_needed
from training.umbrella import Genuine, kept, promise_of, threshold_for, umbrella_rank, upper_bound


@pytest.mark.parametrize("n", [10, 299, 300, 1000, 4321])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("confidence", [0.6, 0.95, 0.999])
def test_the_rank_is_the_smallest_that_the_binomial_allows(n, share, confidence):
    ranks = np.arange(1, n + 1)
    allowed = ranks[stats.binom.sf(ranks - 1, n, 1 - share) <= 1 - confidence]

    rank = umbrella_rank(n, share, confidence=confidence)

    assert rank == (allowed.min() if allowed.size else None)


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_the_rank_among_a_million_is_found_at_once(share):
    rank = umbrella_rank(1_000_000, share, confidence=0.95)

    assert rank is not None
    assert stats.binom.sf(rank - 1, 1_000_000, 1 - share) <= 0.05
    assert stats.binom.sf(rank - 2, 1_000_000, 1 - share) > 0.05


def test_no_comments_give_no_rank():
    assert umbrella_rank(0, 0.1, confidence=0.95) is None


def test_a_threshold_keeps_its_share_of_unseen_comments_with_its_confidence():
    rng = np.random.default_rng(11)
    broken = 0
    for _ in range(1_000):
        at = threshold_for(rng.uniform(size=500), 0.02, unit=np.arange(500))
        broken += 1 - at > 0.02  # of uniform scores, 1 - t lie at t or above

    assert broken / 1_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)
    assert broken > 0  # as low as the bound allows, not lower still


def test_a_threshold_flags_no_score_equal_to_the_one_it_comes_from():
    scores = np.repeat([0.1, 0.4, 0.6], 400)

    at = threshold_for(scores, 0.5, unit=np.arange(scores.size))

    assert 0.4 < at <= 0.6 or at > 0.6
    assert (scores >= at).mean() <= 0.5


def test_too_few_comments_switch_the_threshold_off():
    assert threshold_for(np.linspace(0, 1, 58), 0.05, unit=np.arange(58)) == OFF
    assert threshold_for(np.linspace(0, 1, 59), 0.05, unit=np.arange(59)) < OFF
    assert threshold_for(np.empty(0), 0.05, unit=np.arange(0)) == OFF


@pytest.mark.parametrize("risk", RISKS)
def test_as_many_comments_as_are_said_to_be_needed_are_needed(risk):
    needed = comments_needed(risk)

    assert umbrella_rank(needed, risk) == needed
    assert umbrella_rank(needed - 1, risk) is None


@pytest.mark.parametrize("n", [598, 622, 1_590, 21_782])
@pytest.mark.parametrize("risk", [0.005, 0.01, 0.05])
def test_the_bound_at_the_chosen_threshold_is_within_the_risk_and_not_one_comment_more(n, risk):
    rank = umbrella_rank(n, risk)

    assert rank is not None
    assert upper_bound(n - rank, n) <= risk < upper_bound(n - rank + 1, n)


def test_no_comments_bound_nothing():
    assert upper_bound(0, 0) == 1
    assert upper_bound(3, 3) == 1


# --- the benchmark's redraws -----------------------------------------------------------------


def grouped(*, alike: bool) -> Genuine:
    """Six thousand comments in threads of twenty; where alike, a thread's score alike."""
    rng = np.random.default_rng(2)
    of_thread = np.repeat(rng.uniform(size=300), 20)
    score = of_thread if alike else rng.uniform(size=6_000)
    unit = np.repeat([f"thread {i}" for i in range(300)], 20)
    return Genuine(score, score, np.full(6_000, "vi"), unit, np.full(6_000, "news"))


def redrawn(genuine: Genuine) -> dict[tuple[str, int], Redrawn]:
    return {(name, n): drawn for name, n, drawn in redraws(genuine, 0.01, count=300, seed=1)}


def test_redraws_by_row_keep_the_promise_as_often_as_stated():
    found = redrawn(grouped(alike=False))

    assert list(found) == [
        ("by row", 299), ("by row", 6_000), ("by group", 299), ("by group", 6_000),
        ("disjoint", 3_000),
    ]  # fmt: skip
    for n in (299, 6_000):
        assert np.mean(found["by row", n].share <= 0.01) >= 0.95 - 3 * math.sqrt(0.0475 / 300)


def test_redraws_of_threads_that_resemble_themselves_break_it_more_often():
    alone, alike = (redrawn(grouped(alike=alike)) for alike in (False, True))

    kept_alone, kept_alike = (np.mean(f["by group", 299].share <= 0.01) for f in (alone, alike))
    assert kept_alike < 0.5 < kept_alone


def test_too_few_comments_are_not_redrawn():
    assert redrawn(grouped(alike=False).where(np.arange(6_000) < 298)) == {}


# --- both heads ------------------------------------------------------------------------------


def comments(n: int, seed: int = 0, *, language: str = "vi", source: str = "news") -> Genuine:
    """Made-up scores of genuine comments: most are low, those of toxicity lower still."""
    rng = np.random.default_rng(seed)
    return Genuine(
        spam=rng.beta(0.5, 8, n),
        toxicity=rng.beta(0.4, 12, n),
        language=np.full(n, language),
        unit=np.array([f"{source}/{i // 10}" for i in range(n)]),
        source=np.full(n, source),
    )


def together(*parts: Genuine) -> Genuine:
    columns = ("spam", "toxicity", "language", "unit", "source")
    return Genuine(*(np.concatenate([getattr(p, c) for p in parts]) for c in columns))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 4_000), seed=st.integers(0, 99), lead=st.floats(-3, 3))
def test_both_heads_together_flag_no_more_than_the_rank_leaves(n, seed, lead):
    genuine = comments(n, seed)

    found = kept(genuine, lead=lead)

    for at, risk in enumerate(RISKS):
        flagged = (genuine.spam >= found.spam_queue_at[at]) | (
            genuine.toxicity >= found.toxicity_queue_at[at]
        )
        rank = umbrella_rank(n, risk)
        assert flagged.sum() <= (0 if rank is None else n - rank)
        assert (genuine.spam >= found.spam_reject_at[at]).sum() <= (0 if rank is None else n - rank)


def test_a_greater_lead_queues_more_for_toxicity_and_less_for_spam():
    genuine = comments(3_000)

    small, great = kept(genuine, lead=0), kept(genuine, lead=2)

    at = RISKS.index(0.01)
    assert great.toxicity_queue_at[at] < small.toxicity_queue_at[at]
    assert great.spam_queue_at[at] > small.spam_queue_at[at]
    assert great.spam_reject_at == small.spam_reject_at


def test_what_waits_for_either_head_keeps_the_risk_with_its_confidence():
    rng = np.random.default_rng(11)
    everybody = comments(100_000, 5)
    at, broken = RISKS.index(0.02), 0
    for _ in range(600):
        drawn = rng.choice(100_000, 700)
        found = kept(everybody.where(drawn), lead=1.0)
        flagged = (everybody.spam >= found.spam_queue_at[at]) | (
            everybody.toxicity >= found.toxicity_queue_at[at]
        )
        broken += flagged.mean() > 0.02

    assert broken / 600 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert broken > 0  # as low as the bound allows, not lower still


# --- languages and sources -------------------------------------------------------------------


def test_each_language_has_its_own_row_and_all_have_one_together():
    genuine = together(comments(700), comments(900, language="en"))

    promise = promise_of(genuine, lead=1.0)

    assert {tag: row.comments for tag, row in promise.languages.items()} == {
        ANY: 1_600,
        "en": 900,
        "vi": 700,
    }
    assert promise.languages["vi"].groups == 70
    assert promise.languages["vi"] == kept(genuine.where(genuine.language == "vi"), lead=1.0)
    assert promise.unit == "group"


def test_a_source_held_out_whole_may_only_raise_thresholds():
    by_group = together(comments(4_000), comments(700, 1, source="blog"))
    harder = Genuine(
        np.minimum(1.0, by_group.spam * 1.5),
        by_group.toxicity / 2,
        by_group.language,
        by_group.unit,
        by_group.source,
    )

    promise = promise_of(by_group, lead=1.0, by_source=harder)

    alone, both = promise_of(by_group, lead=1.0).languages["vi"], promise.languages["vi"]
    assert promise.unit == "source"
    assert both.spam_reject_at[-1] > alone.spam_reject_at[-1]
    assert all(a >= b for a, b in zip(both.spam_queue_at, alone.spam_queue_at, strict=True))
    assert all(a >= b for a, b in zip(both.toxicity_queue_at, alone.toxicity_queue_at, strict=True))
    assert (both.comments, both.groups) == (alone.comments, alone.groups)


def test_a_source_too_small_for_a_risk_switches_nothing_off():
    by_group = comments(4_000)
    small = by_group.where(np.argsort(-by_group.spam)[:300])

    promise = promise_of(by_group, lead=1.0, by_source=small)

    row = promise.languages["vi"]
    assert row.spam_reject_at[RISKS.index(0.001)] == row.spam_reject_at[RISKS.index(0.01)] < OFF
    assert row.spam_reject_at[0] == OFF  # too few of both


def test_with_care_scores_reject_as_if_the_risk_were_smaller():
    genuine = comments(4_000)
    plain, careful = (promise_of(genuine, lead=1.0, care=c).languages["vi"] for c in (1.0, 5.0))

    for risk, as_if in ((0.05, 0.01), (0.01, 0.002), (0.005, 0.001)):
        assert careful.spam_reject_at[RISKS.index(risk)] == plain.spam_reject_at[RISKS.index(as_if)]
    assert careful.spam_queue_at == plain.spam_queue_at
    assert careful.toxicity_queue_at == plain.toxicity_queue_at


def test_with_care_a_small_language_goes_by_all_and_what_is_off_stays_off():
    genuine = together(comments(700), comments(9_000, 1, language="en"))

    promise = promise_of(genuine, lead=1.0, care=5.0)

    plain = promise_of(genuine, lead=1.0).languages
    small = promise.languages["vi"].spam_reject_at
    at, least = RISKS.index(0.005), RISKS.index(0.001)
    assert plain["vi"].spam_reject_at[least] == OFF
    assert small[at] == max(plain["vi"].spam_reject_at[at], plain[ANY].spam_reject_at[least]) < OFF
    assert small[least] == OFF


@pytest.mark.parametrize("count", [0, 100, 400, 700, 3_100, 7_000])
def test_with_care_a_greater_risk_never_has_a_higher_threshold(count):
    genuine = together(comments(count), comments(310, 1, language="en"))

    promise = promise_of(genuine, lead=1.0, care=5.0)  # a Kept refuses any other

    assert set(promise.languages) == ({ANY, "en", "vi"} if count else {ANY, "en"})


def test_without_genuine_comments_nothing_is_promised():
    promise = promise_of(comments(0), lead=1.0)

    at = promise.thresholds("vi", reject_risk=0.05, queue_risk=0.05)
    assert (at.spam.queue_at, at.spam.reject_at, at.toxicity.queue_at) == (OFF, OFF, OFF)
    assert promise.missing("vi", 0.01) == 299
