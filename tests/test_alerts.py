"""Alerts and advice as tables of cases, and the estimates that they go by."""

import random
from typing import Any

import pytest

from model.outcome import Head, Outcome
from service import drift
from service.advice import Advice, Grounds, Why, advised
from service.alerts import Kind, Seen, Shift, Turned, alerts_of
from service.estimates import Drawn, Part, Share, share_within, wilson
from service.outcomes import Estimate, Estimates, Judged, estimates
from service.storage.shapes import shapes_of


def share(hits: int, of: int) -> Share:
    found = wilson(hits, of)
    assert found is not None
    return found


def right(precision: Share | None = None, recall: Share | None = None, **more: Any) -> Estimates:
    none = Estimate(None, None, 0)
    by_outcome = dict.fromkeys(Outcome, none) | {Outcome.REJECT: Estimate(precision, recall, 50)}
    return Estimates(by_outcome, more.get("genuine_rejected"), 50)


FEW, MANY = share(90, 100), share(900, 1000)


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        pytest.param({}, [], id="nothing is known"),
        pytest.param({"drifts": {Head.SPAM: 0.26, Head.TOXICITY: 0.25}}, ["scores_drift"],
                     id="scores"),
        pytest.param({"shifts": {"length": Shift(0.3, "0", 500)}}, ["shapes_shift"], id="shapes"),
        pytest.param({"shifts": {"length": Shift(3.0, "0", 499)}}, [], id="too few read"),
        pytest.param({"shifts": {"links": Shift(0.25, "1", 9999)}}, [], id="at the bound"),
        pytest.param({"came": 1000, "queued": share(200, 1000), "queued_before": share(100, 1000)},
                     ["more_queued"], id="twice as much queued"),
        pytest.param({"came": 1000, "queued": share(140, 1000), "queued_before": share(100, 1000)},
                     [], id="hardly more queued"),
        pytest.param({"came": 199, "queued": share(150, 199), "queued_before": share(1, 1000)},
                     [], id="too few came"),
        pytest.param({"came": 1000, "queued": share(200, 1000), "queued_before": share(0, 3)},
                     [], id="hardly anything before"),
        pytest.param({"came": 1000, "queued": share(100, 1000), "queued_before": share(300, 1000)},
                     [], id="less queued is fine"),
        pytest.param({"turned": {Outcome.ACCEPT: Turned(40, 1000),
                                 Outcome.REJECT: Turned(90, 1000)}},
                     ["accepted_turned", "rejected_turned"], id="both turned around"),
        pytest.param({"turned": {Outcome.ACCEPT: Turned(1, 5), Outcome.REJECT: Turned(1, 5)}},
                     [], id="one of five turned around"),
        pytest.param({"risk": 0.005, "right": right(genuine_rejected=Share(0.006, 0.02, 0.04))},
                     ["promise_broken"], id="promise"),
        pytest.param({"risk": 0.005, "right": right(genuine_rejected=Share(0.005, 0.02, 0.04))},
                     [], id="the promise may hold"),
        pytest.param({"risk": None, "right": right(genuine_rejected=Share(0.4, 0.5, 0.6))},
                     [], id="nothing is promised"),
        pytest.param({"right": right(share(50, 100), share(20, 100)),
                      "right_before": right(MANY, MANY)},
                     ["precision_fell", "recall_fell"], id="both fell"),
        pytest.param({"right": right(share(85, 100), None), "right_before": right(FEW, FEW)},
                     [], id="within the intervals"),
        pytest.param({"right": right(share(0, 100), share(0, 100)), "right_before": None},
                     [], id="nothing to fall from"),
    ],
)  # fmt: skip
def test_what_wants_a_look(seen: dict[str, Any], kinds: list[str]) -> None:
    found = alerts_of(Seen("site", **seen))

    assert [alert.kind.value for alert in found] == kinds


def test_an_alert_says_which_figure_and_beyond_which_bound() -> None:
    seen = Seen("site", drifts={Head.TOXICITY: 0.5}, shifts={"length": Shift(0.75, "320", 600)})

    first, second = alerts_of(seen)

    assert (first.kind, first.what, first.value, first.bound) == (
        Kind.SCORES_DRIFT, "toxicity", 0.5, 0.25,
    )  # fmt: skip
    assert (second.site_id, second.what, second.value) == ("site", "length", 0.75)


@pytest.mark.parametrize(
    ("known", "whys"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"labels": 50, "new_labels": 50}, ["new_labels"], id="first fifty"),
        pytest.param({"labels": 49, "new_labels": 49}, [], id="one less"),
        pytest.param({"labels": 2050, "new_labels": 50}, [], id="a fortieth of what there was"),
        pytest.param({"labels": 2200, "new_labels": 200}, ["new_labels"], id="a tenth"),
        pytest.param({"labels": 300, "new_labels": 60, "wanted": 100}, [], id="fewer than wanted"),
        pytest.param({"labels": 900, "new_labels": 12, "missed": 5, "campaigns": 1}, ["missed"],
                     id="a campaign was missed"),
        pytest.param({"labels": 900, "new_labels": 12, "missed": 4}, [], id="four were missed"),
        pytest.param({"labels": 900, "new_labels": 12, "fell": 1, "drifting": 2,
                      "champion_days": 91},
                     ["fell", "drift", "old"], id="several"),
        pytest.param({"labels": 900, "new_labels": 12, "champion_days": 90}, [], id="not yet old"),
        pytest.param({"labels": 900, "new_labels": 3, "drifting": 1}, ["few_labels"],
                     id="nothing to learn from"),
        pytest.param({"labels": 900, "new_labels": 3}, [], id="no reason"),
        pytest.param({"labels": 99, "new_labels": 99, "is_training": True}, [], id="one runs"),
        pytest.param({"labels": 900, "new_labels": 12, "fell": 1, "drifting": 1,
                      "champion_days": 99, "trained_days": 6}, [], id="just trained"),
        pytest.param({"labels": 900, "new_labels": 90, "missed": 9, "fell": 1, "trained_days": 6},
                     ["new_labels", "missed"], id="new since that"),
        pytest.param({"labels": 900, "new_labels": 12, "fell": 1, "trained_days": 7}, ["fell"],
                     id="a week later"),
    ],
)  # fmt: skip
def test_when_to_train_anew(known: dict[str, Any], whys: list[str]) -> None:
    assert [one.why.value for one in advised(Grounds(**known))] == whys


def test_advice_says_how_many_labels_are_missing() -> None:
    (found,) = advised(Grounds(labels=40, new_labels=3, drifting=1))

    assert found == Advice(Why.FEW_LABELS, {"n": 7})
    assert not found.is_now


# ------------------------------------------------------------------ estimates


def test_the_interval_of_a_share_put_together_covers_it_as_often_as_it_says() -> None:
    rng = random.Random(5)
    numbers, shares = (8000, 1000, 300), (0.02, 0.97, 0.5)
    looked_at = (150, 60, 200)
    missed, caught, waits = (n * p for n, p in zip(numbers, shares, strict=True))
    truth = caught / (missed + caught + waits)

    held = 0
    for _ in range(400):
        accepted, rejected, queued = (
            Part(n, share(sum(rng.random() < p for _ in range(k)), k))
            for n, p, k in zip(numbers, shares, looked_at, strict=True)
        )
        found = share_within([rejected], [accepted, queued])
        assert found is not None
        held += found.low <= truth <= found.high

    assert 0.93 <= held / 400 <= 0.99


@pytest.mark.parametrize(
    ("inside", "outside", "middle"),
    [
        ([Part(100, share(50, 100))], [Part(300, share(50, 100))], 0.25),
        ([Part(100, share(50, 100))], [], 1.0),
        ([], [Part(100, share(50, 100))], 0.0),
        ([Part(100, share(5, 10))], [Part(0, None)], 1.0),
    ],
)
def test_a_share_put_together(inside: list[Part], outside: list[Part], middle: float) -> None:
    found = share_within(inside, outside)

    assert found is not None
    assert 0 <= found.low <= found.middle <= found.high <= 1
    assert found.middle == pytest.approx(middle)


@pytest.mark.parametrize("outside", [[Part(5, None)], []])
def test_nothing_is_said_of_nothing_or_where_a_part_is_unknown(outside: list[Part]) -> None:
    assert share_within([Part(100, share(0, 10))] if not outside else [], outside) is None


def test_precision_and_recall_are_of_what_each_outcome_is_for() -> None:
    found = estimates(
        {
            Outcome.ACCEPT: Judged(900, Drawn(9, 81, 1), Drawn(891, 8019, 99)),
            Outcome.QUEUE: Judged(40, Drawn(20, 20, 20), Drawn(20, 20, 20)),
            Outcome.REJECT: Judged(60, Drawn(60, 60, 60), Drawn(0, 0, 0)),
        }
    )

    middles = {
        outcome: tuple(one.middle for one in (it.right, it.reached) if one is not None)
        for outcome, it in found.by_outcome.items()
    }
    assert middles[Outcome.ACCEPT] == pytest.approx((0.99, 891 / (891 + 20)))
    assert middles[Outcome.QUEUE] == pytest.approx((0.5, 20 / (9 + 20 + 60)))
    assert middles[Outcome.REJECT] == pytest.approx((1.0, 60 / (9 + 20 + 60)))
    assert found.genuine_rejected is not None
    assert found.genuine_rejected.middle == 0
    assert found.looked_at == 160


def test_without_audits_only_what_waits_is_known() -> None:
    nothing = Drawn(0, 0, 0)
    found = estimates(
        {
            Outcome.ACCEPT: Judged(900, nothing, nothing),
            Outcome.QUEUE: Judged(40, Drawn(20, 20, 20), Drawn(20, 20, 20)),
        }
    )

    assert found.by_outcome[Outcome.QUEUE].right is not None
    assert found.caught is None
    assert found.genuine_rejected is None


# ------------------------------------------------------------------ shapes


@pytest.mark.parametrize(
    ("text", "length", "links", "number"),
    [
        ("", "0", "0", "0"),
        ("Hay!" * 5, "20", "0", "0"),
        ("gọi 0912 345 678 nhé", "20", "0", "1"),
        ("từ 2019 đến 2024 rồi 2025", "20", "0", "0"),
        ("https://a.example/ và https://b.example/ và https://c.example/", "20", "2", "0"),
        ("x" * 100_000 + " https://a.example/", "1280", "0", "0"),
    ],
)
def test_shapes_of_a_text(text: str, length: str, links: str, number: str) -> None:
    assert shapes_of(text) == (("length", length), ("links", links), ("number", number))


def test_a_shift_is_told_with_what_moved_most() -> None:
    same, _ = drift.shift({"a": 500, "b": 500}, {"a": 50, "b": 50})
    index, step = drift.shift({"a": 300, "b": 650, "c": 50}, {"a": 500, "b": 500})

    assert same == pytest.approx(0, abs=1e-9)
    assert index > 0.25
    assert step == "c"
