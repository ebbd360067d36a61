import json
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from model.outcome import Head, HeadThresholds, Outcome, Thresholds
from tests.judging_cases import a_promise
from training.evaluation import (
    Estimate,
    Judged,
    JudgedRow,
    Slice,
    calibration_bins,
    evaluate,
    measure,
)

AT = Thresholds(queue_at=0.5, reject_at=0.8)
PROMISE = a_promise(HeadThresholds(AT, AT))
RANKED = {
    "recall_at_fpr_0_1_percent": 0.001,
    "recall_at_fpr_0_5_percent": 0.005,
    "recall_at_fpr_1_percent": 0.01,
}


def row(positive: bool, score: float | None, **more: Any) -> JudgedRow:
    outcome = Outcome.QUEUE if score is None else AT.outcome(score)
    return replace(JudgedRow(positive, score, outcome), **more)


def rows(count: int, *, seed: int, decimals: int = 9, groups: int = 0) -> list[JudgedRow]:
    """Rows of a middling model; few decimals make ties, groups share a difficulty."""
    random = np.random.default_rng(seed)
    made = []
    for at in range(count):
        group = at % groups if groups else 0
        positive = bool(random.random() < 0.3)
        score = 0.3 + 0.3 * positive + 0.02 * (group % 7) + random.normal(0, 0.2)
        score = round(float(np.clip(score, 0, 1)), decimals)
        made.append(row(positive, score, group=f"g{group}" if groups else ""))
    return made


def measured(made: list[JudgedRow], seed: int = 0) -> Slice:
    return measure(Judged.of(made), name="all", seed=seed)


def values_of(part: Slice) -> dict[str, float | None]:
    return {name: estimate["value"] for name, estimate in asdict(part.metrics).items()}


def by_scikit_learn(made: list[JudgedRow]) -> dict[str, float]:
    truth = np.array([r.positive for r in made])
    score = np.array([r.score for r in made], dtype=float)
    flagged = np.array([r.outcome > Outcome.ACCEPT for r in made])
    weight = np.array([r.weight for r in made])
    fpr, tpr, _ = sk.roc_curve(truth, score, sample_weight=weight, drop_intermediate=False)
    return {
        "roc_auc": sk.roc_auc_score(truth, score, sample_weight=weight),
        "average_precision": sk.average_precision_score(truth, score, sample_weight=weight),
        "macro_f1": sk.f1_score(truth, flagged, average="macro", sample_weight=weight),
        "precision": sk.precision_score(truth, flagged, sample_weight=weight),
        "recall": sk.recall_score(truth, flagged, sample_weight=weight),
        "mcc": sk.matthews_corrcoef(truth, flagged, sample_weight=weight),
        "brier": sk.brier_score_loss(truth, score, sample_weight=weight),
        **{name: tpr[fpr <= rate].max() for name, rate in RANKED.items()},
    }


@pytest.mark.parametrize("decimals", [9, 2, 1], ids=["no ties", "some ties", "many ties"])
@pytest.mark.parametrize("count", [20, 3000])
def test_figures_are_those_of_scikit_learn(count, decimals):
    made = rows(count, seed=count, decimals=decimals)

    ours = values_of(measured(made))

    theirs = by_scikit_learn(made)
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)


def test_weighted_figures_are_those_of_scikit_learn():
    random = np.random.default_rng(5)
    made = [replace(r, weight=float(random.integers(0, 5))) for r in rows(800, seed=6, decimals=2)]

    ours = values_of(measured(made))

    theirs = by_scikit_learn(made)
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)


def test_a_weight_of_two_counts_as_the_row_twice():
    made = rows(300, seed=1, decimals=2)
    twice = [r for r in made for _ in range(2)]

    assert values_of(measured([replace(r, weight=2.0) for r in made])) == pytest.approx(
        values_of(measured(twice))
    )


def test_calibration_error_by_hand():
    made = [row(False, 0.1)] * 9 + [row(True, 0.1)] + [row(True, 0.9)] * 9 + [row(False, 0.9)]

    error = measured(made).metrics.calibration_error.value
    off = measured([replace(r, score=0.5 + (r.score - 0.5) / 2) for r in made])

    assert error == pytest.approx(0)
    assert off.metrics.calibration_error.value == pytest.approx(0.2)


def test_how_many_rows_have_a_label_does_not_move_the_calibration_error():
    made = rows(1500, seed=3, decimals=2)
    rarer = [replace(r, weight=0.1 if r.positive else 1.0) for r in made]

    assert measured(rarer).metrics.calibration_error.value == pytest.approx(
        measured(made).metrics.calibration_error.value, abs=1e-6
    )


def test_rows_of_one_label_have_no_calibration_error():
    made = [r for r in rows(300, seed=3) if not r.positive]

    assert measured(made).metrics.calibration_error == Estimate(None)


def test_calibration_error_does_not_depend_on_the_order_of_equal_scores():
    made = rows(500, seed=2, decimals=1)

    assert measured(made).metrics.calibration_error.value == pytest.approx(
        measured(sorted(made, key=lambda r: r.positive)).metrics.calibration_error.value
    )


def test_calibration_bins_hold_equal_mass_and_make_up_the_error():
    judged = Judged.of(rows(1500, seed=3))

    bins = calibration_bins(judged)

    assert [b.mass for b in bins] == pytest.approx([1 / 15] * 15, abs=0.002)
    error = sum(b.mass * abs(b.positive_share - b.mean_score) for b in bins)
    assert measure(judged, name="all").metrics.calibration_error.value == pytest.approx(
        error, abs=1e-6
    )


def test_proportions_of_single_rows_have_wilson_intervals():
    made = rows(400, seed=4)
    found = sum(r.positive and r.outcome > Outcome.ACCEPT for r in made)
    positives = sum(r.positive for r in made)

    recall = measured(made).metrics.recall

    theirs = binomtest(found, positives).proportion_ci(method="wilson")
    assert (recall.low, recall.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_groups_widen_intervals():
    alone = rows(2000, seed=7)
    copies = [replace(r, group=f"g{at}") for at, r in enumerate(alone[:100]) for _ in range(20)]

    wide, narrow = measured(copies).metrics, measured(alone).metrics

    assert width(wide.recall) > 3 * width(narrow.recall)
    assert width(wide.roc_auc) > 3 * width(narrow.roc_auc)
    assert width(wide.calibration_error) > width(narrow.calibration_error)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_equal_groups_of_two_sources_are_two_groups():
    made = [row(True, 0.9, group="1", source="a"), row(True, 0.9, group="1", source="b")]

    assert measured(made).units == 2


def test_one_group_alone_has_figures_and_no_intervals():
    made = [replace(r, group="only") for r in rows(200, seed=8)]

    figures = measured(made).metrics

    assert figures.roc_auc.value is not None
    assert (figures.roc_auc.low, figures.recall.low, figures.brier.high) == (None, None, None)


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = values_of(measured(rows(60_000, seed=99)))["roc_auc"]

    covered = 0
    for seed in range(100):
        auc = measured(rows(150, seed=seed), seed=seed).metrics.roc_auc
        covered += auc.low <= truth <= auc.high

    assert 88 <= covered <= 100


def test_the_same_seed_gives_the_same_intervals():
    made = rows(300, seed=9, groups=30)

    assert measured(made, seed=1) == measured(made, seed=1)
    assert measured(made, seed=1) != measured(made, seed=2)


UNDEFINED_WITH_ONE_CLASS = {
    "calibration_error",
    "roc_auc",
    "average_precision",
    "macro_f1",
    "mcc",
    *RANKED,
}


@pytest.mark.parametrize(
    ("positive", "also"),
    [(True, set()), (False, {"recall"})],
    ids=["only positives", "only negatives"],
)
def test_one_class_alone_leaves_what_compares_classes_undefined(positive, also):
    made = [row(positive, 0.2), row(positive, 0.7), row(positive, 0.9)]

    values = values_of(measured(made))

    undefined = {name for name, value in values.items() if value is None}
    assert undefined == UNDEFINED_WITH_ONE_CLASS | also


def test_nothing_flagged_leaves_precision_undefined():
    values = values_of(measured([row(True, 0.1), row(False, 0.2)]))

    assert values["precision"] is None
    assert (values["recall"], values["mcc"], values["roc_auc"]) == (0.0, 0.0, 0.0)


def test_equal_scores_rank_nothing():
    values = values_of(measured([row(bool(at % 2), 0.5) for at in range(10)]))

    assert (values["roc_auc"], values["average_precision"]) == (0.5, 0.5)
    assert values["recall_at_fpr_1_percent"] == 0.0


def test_no_rows_have_no_figures():
    evaluation = evaluate(Judged.of([]), head=Head.SPAM, promise=PROMISE)

    assert set(values_of(evaluation.total).values()) == {None}
    assert (evaluation.total.rows, evaluation.sources, evaluation.languages) == (0, (), ())


def test_a_single_row_is_measured():
    part = measured([row(True, 0.9)])

    assert part.metrics.recall == Estimate(1.0, 0.206549, 1.0)
    assert part.metrics.brier == Estimate(0.01, None, None)


def test_rows_that_weigh_nothing_have_no_figures():
    values = values_of(measured([row(True, 0.9, weight=0.0), row(False, 0.1, weight=0.0)]))

    assert set(values.values()) == {None}


def test_unscored_rows_count_by_their_outcome_only():
    made = [row(True, 0.9), row(False, 0.1), row(True, None), row(False, None)]

    part = measured(made)

    assert part.unscored == 2
    assert part.metrics.precision.value == pytest.approx(2 / 3, abs=1e-6)
    assert part.metrics.brier.value == pytest.approx(0.01)
    assert (part.positive_outcomes.queue, part.negative_outcomes.queue) == (1, 1)


def test_outcomes_are_counted_by_label():
    made = [row(True, 0.9), row(True, 0.6), row(True, 0.6), row(False, 0.6), row(False, 0.1)]

    part = measured(made)

    spam, ham = part.positive_outcomes, part.negative_outcomes
    assert (spam.accept, spam.queue, spam.reject) == (0, 2, 1)
    assert (ham.accept, ham.queue, ham.reject) == (1, 1, 0)
    assert ham.accept_share.value == 0.5


def test_slices_are_by_source_and_language_in_order_of_name():
    made = [
        replace(r, source="ba"[at % 2], lang=("vi", "", "en")[at % 3])
        for at, r in enumerate(rows(300, seed=10))
    ]

    evaluation = evaluate(Judged.of(made), head=Head.SPAM, promise=PROMISE)

    assert [part.name for part in evaluation.sources] == ["a", "b"]
    assert [part.name for part in evaluation.languages] == ["en", "und", "vi"]
    alone = measure(Judged.of([r for r in made if r.source == "a"]), name="a")
    assert evaluation.sources[0] == alone


def test_json_tells_the_promise_and_holds_no_nan():
    made = [row(True, 0.9, source="s"), row(True, None, source="s")]

    body = json.loads(
        evaluate(Judged.of(made), head=Head.TOXICITY, promise=PROMISE, model="v1").to_json()
    )

    assert [(p["language"], p["outcome"], p["threshold"]) for p in body["promise"]] == [
        (tag, "queue", 0.5) for tag in ("en", "und", "vi") for _ in range(3)
    ]
    assert body["all"]["metrics"]["roc_auc"] == {"value": None, "low": None, "high": None}
    assert set(body["all"]["outcomes"]) == {"toxic", "clean"}
    assert (body["task"], body["model"], body["sources"]["s"]["rows"]) == ("toxicity", "v1", 2)


@pytest.mark.parametrize(
    ("column", "value"),
    [("score", [1.5]), ("score", [-0.1]), ("weight", [-1.0]), ("weight", [np.nan])],
)
def test_columns_out_of_range_are_refused(column, value):
    judged = Judged.of([row(True, 0.5)])

    with pytest.raises(ValueError, match="must be"):
        replace(judged, **{column: np.array(value)})


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        replace(Judged.of([row(True, 0.5)]), lang=())


@given(
    st.lists(
        st.builds(
            row,
            st.booleans(),
            st.none() | st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]),
            group=st.sampled_from(["", "a", "b"]),
            weight=st.sampled_from([0.0, 1.0, 2.5, 1e6]),
        ),
        max_size=12,
    )
)
def test_any_rows_give_figures_in_range_with_the_value_inside(made):
    part = measured(made)

    estimates = [*asdict(part.metrics).values(), asdict(part.negative_outcomes)["queue_share"]]
    least = [-1.0 if name == "mcc" else 0.0 for name in [*asdict(part.metrics), "share"]]
    assert all(
        e["value"] is None or low <= e["value"] <= 1
        for e, low in zip(estimates, least, strict=True)
    )
    assert all(e["low"] <= e["value"] <= e["high"] for e in estimates if e["low"] is not None)


def test_many_rows_are_evaluated_in_seconds():
    made = [replace(r, source=f"s{at % 5}") for at, r in enumerate(rows(28_000, seed=11))]
    judged = Judged.of(made)
    started = time.process_time()

    evaluate(judged, head=Head.SPAM, promise=PROMISE)

    assert time.process_time() - started < 30


def test_synthetic_rows_are_told_by_source_and_in_no_other_figure():
    real = rows(200, seed=3)
    made = [row(True, 0.0, source="own", lang="vi", synthetic=True) for _ in range(50)]
    judged = Judged.of([replace(one, source="site", lang="en") for one in real] + made)

    found = evaluate(judged, head=Head.SPAM, promise=PROMISE)

    assert found.total == evaluate(Judged.of(real), head=Head.SPAM, promise=PROMISE).total
    assert [part.name for part in found.languages] == ["en"]
    assert {part.name: part.positives for part in found.sources}["own"] == 50
