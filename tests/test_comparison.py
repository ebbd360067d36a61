import json
from dataclasses import replace

import pytest

from model.comparison import (
    Comparison,
    ComparisonError,
    ComparisonOutdated,
    DataCard,
    Figure,
    Flip,
    FlipExample,
    Interval,
    Note,
    Slice,
)


def a_comparison() -> Comparison:
    figure = Figure(
        "spam_caught", Interval(0.5, 0.4, 0.6), Interval(0.6, 0.5, 0.7), Interval(0.1, 0.02, 0.2), 9
    )
    return Comparison(
        champion="aaaaaaaaaaaa",
        challenger="bbbbbbbbbbbb",
        at="2026-11-26T10:00:00+00:00",
        judged="held_out",
        policy="p",
        promise_risk=0.005,
        queue_risk=0.01,
        rows=18,
        genuine=9,
        spam=9,
        toxic=0,
        clean=0,
        groups=6,
        figures=(figure,),
        slices=(Slice("language", "vi", 18, 9, 9, (figure,)),),
        flips=(
            Flip(
                "genuine",
                "accept",
                "reject",
                1,
                9,
                True,
                (FlipExample("c1", "chào bạn", "vi", "duyet:báo", 0.1, None),),
            ),
        ),
        data=DataCard(left_out={"no label": 2}),
        notes=(Note("few_genuine", {"genuine": 9, "needed": 598}),),
    )


def test_json_and_back_is_the_same_comparison():
    comparison = a_comparison()

    assert Comparison.from_json(comparison.to_json()) == comparison


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": "18"},
        {"rows": True},
        {"rows": 1.5},
        {"promise_risk": None},
        {"promise_risk": 10**400},
        {"figures": {}},
        {"figures": [{"name": "spam_caught"}]},
        {"surplus": 1},
        {"format": 3},
        {"data": {"accounts": []}},
    ],
)
def test_json_of_another_kind_is_refused(changed):
    body = json.loads(a_comparison().to_json()) | changed

    with pytest.raises(ComparisonError):
        Comparison.from_json(json.dumps(body))


def test_one_of_an_earlier_program_is_told_apart():
    body = json.loads(a_comparison().to_json()) | {"format": 1}
    del body["served"]

    with pytest.raises(ComparisonOutdated):
        Comparison.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"rows": NaN}'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ComparisonError):
        Comparison.from_json(text)


def test_a_number_that_is_not_finite_is_refused():
    text = a_comparison().to_json().replace("0.02", "1e999")

    with pytest.raises(ComparisonError):
        Comparison.from_json(text)


@pytest.mark.parametrize(
    ("name", "low", "high", "better", "worse"),
    [
        ("spam_caught", 0.01, 0.2, True, False),
        ("spam_caught", -0.2, -0.01, False, True),
        ("spam_caught", -0.1, 0.1, False, False),
        ("genuine_rejected", -0.2, -0.01, True, False),
        ("genuine_rejected", 0.01, 0.2, False, True),
        ("spam_queued", 0.01, 0.2, False, False),
        ("spam_caught", None, None, False, False),
    ],
)
def test_a_figure_is_better_only_beyond_its_interval(name, low, high, better, worse):
    value = None if low is None else (low + high) / 2
    figure = replace(a_comparison().figures[0], name=name, difference=Interval(value, low, high))

    assert (figure.is_better, figure.is_worse) == (better, worse)


@pytest.mark.parametrize(
    "ends", [(None, 0.1, 0.2), (0.5, 0.6, 0.7), (0.5, None, 0.7), (float("nan"), None, None)]
)
def test_an_interval_holds_its_value(ends):
    with pytest.raises(ValueError, match=r"interval|figure"):
        Interval(*ends)
