"""The rule of promotion, as a table of cases."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from model.comparison import Comparison, Figure, Interval, Slice
from model.promotion import Bounds, Code, Shadowed, promotable, ruling_on
from training.saying import said
from training.wording import words_in

CHAMPION, CHALLENGER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
NOT_KNOWN = Interval(None)


def fig(name: str, before: float, after: float, wide: float = 0.01, rows: int = 400) -> Figure:
    """A figure whose difference is known to within `wide` either way."""
    change = after - before
    return Figure(
        name,
        Interval(before, max(0.0, before - wide), min(1.0, before + wide)),
        Interval(after, max(0.0, after - wide), min(1.0, after + wide)),
        Interval(change, change - wide, change + wide),
        rows,
    )


GOOD = (
    fig("genuine_rejected", 0.002, 0.002, 0.002),
    fig("genuine_held", 0.006, 0.006, 0.003),
    fig("spam_caught", 0.60, 0.75, 0.02),
    fig("toxic_caught", 0.50, 0.50, 0.02),
    fig("spam_calibration_error", 0.02, 0.02),
)


def compared(*figures: Figure, slices: tuple[Slice, ...] = (), **changes: object) -> Comparison:
    """Good, but for the figures told."""
    named = {figure.name: figure for figure in (*GOOD, *figures)}
    whole = Comparison(
        champion=CHAMPION,
        challenger=CHALLENGER,
        at="2026-11-26T10:00:00+00:00",
        judged="held_out",
        policy="p",
        promise_risk=0.005,
        queue_risk=0.01,
        rows=1200,
        genuine=400,
        spam=400,
        toxic=200,
        clean=200,
        groups=90,
        figures=tuple(named.values()),
        slices=slices,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # fields by name


def served(*figures: Figure) -> dict[str, Any]:
    """What sites serve with what they learnt, as the champion does but for the figures told."""
    same = (fig(f.name, f.champion.value or 0.0, f.champion.value or 0.0) for f in GOOD[:4])
    return {"served": tuple({f.name: f for f in (*same, *figures)}.values())}


def part(*figures: Figure, kind: str = "language", name: str = "vi") -> tuple[Slice, ...]:
    return (Slice(kind, name, 200, 100, 100, figures),)


def shadow(comments: int = 400, hours: float = 30.0, **moves: int) -> Shadowed:
    would_be: Mapping[str, int] = {move.replace("_", ">"): count for move, count in moves.items()}
    return Shadowed(comments, hours, comments - sum(would_be.values()), would_be)


FINE = shadow()

CASES: dict[str, tuple[Comparison | None, Shadowed | None, set[Code]]] = {
    "better, and nothing worse": (compared(), FINE, set()),
    "never compared": (None, FINE, {Code.NOT_COMPARED}),
    "never compared nor shadowed": (None, None, {Code.NOT_COMPARED, Code.NOT_SHADOWED}),
    "it may have seen the answers": (compared(judged="unknown"), FINE, {Code.MAY_HAVE_SEEN}),
    "comments that were fitted to by neither": (compared(judged="unseen"), FINE, set()),
    "nineteen genuine comments tell nothing": (compared(genuine=19), FINE, {Code.FEW_GENUINE}),
    "no genuine comment was rejected or not": (
        compared(Figure("genuine_rejected", NOT_KNOWN, NOT_KNOWN, NOT_KNOWN)),
        FINE,
        {Code.PROMISE_UNKNOWN},
    ),
    "more rejected, surely within the promise": (
        compared(fig("genuine_rejected", 0.001, 0.003, 0.001)),
        FINE,
        set(),
    ),
    "more rejected, and the promise in doubt": (
        compared(fig("genuine_rejected", 0.001, 0.0045, 0.002)),
        FINE,
        {Code.PROMISE_WORSE},
    ),
    "one more rejected, which may be chance": (
        compared(fig("genuine_rejected", 0.0, 0.0025, 0.004)),
        FINE,
        set(),
    ),
    "more rejected than promised, even if by chance": (
        compared(fig("genuine_rejected", 0.004, 0.006, 0.004)),
        FINE,
        {Code.PROMISE_WORSE},
    ),
    "the promise broken by both, less by the new one": (
        compared(fig("genuine_rejected", 0.02, 0.01, 0.004)),
        FINE,
        set(),
    ),
    "more queued than promised": (
        compared(fig("genuine_held", 0.008, 0.03, 0.005)),
        FINE,
        {Code.PROMISE_WORSE},
    ),
    "better by less than the interval": (
        compared(fig("spam_caught", 0.60, 0.61, 0.02)),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "better at ranking alone": (
        compared(fig("spam_caught", 0.6, 0.6), fig("spam_ranking", 0.8, 0.9)),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "finds more only with thresholds that it does not have": (
        compared(
            fig("spam_caught", 0.6, 0.6),
            fig("spam_found_at_risk", 0.4, 0.8, 0.05),
            fig("toxic_found_at_risk", 0.4, 0.8, 0.05),
        ),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "less to decide, as more spam is rejected of the same that is caught": (
        compared(fig("spam_caught", 0.6, 0.6), fig("spam_rejected", 0.2, 0.4, 0.02)),
        FINE,
        set(),
    ),
    "better alone, and no better than what the sites had learnt": (
        compared(**served(fig("spam_caught", 0.75, 0.75))),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "better as sites serve it": (
        compared(fig("spam_caught", 0.6, 0.6), **served(fig("spam_caught", 0.75, 0.85, 0.02))),
        FINE,
        set(),
    ),
    "better at one site as it is served, and elsewhere the same": (
        compared(
            slices=(Slice("site", "báo", 200, 100, 100, (), (fig("spam_caught", 0.1, 0.8, 0.1),)),),
            **served(),
        ),
        FINE,
        set(),
    ),
    "less caught than the champion does with what the sites had learnt": (
        compared(**served(fig("spam_caught", 0.85, 0.75, 0.02))),
        FINE,
        {Code.NOTHING_BETTER, Code.SLICE_FALLS},
    ),
    "more held as sites serve it": (
        compared(
            **served(fig("spam_caught", 0.75, 0.85, 0.02), fig("genuine_held", 0.004, 0.03, 0.01))
        ),
        FINE,
        {Code.PROMISE_WORSE},
    ),
    "more held as sites serve it, perhaps by chance": (
        compared(
            **served(fig("spam_caught", 0.75, 0.85, 0.02), fig("genuine_held", 0.009, 0.012, 0.01))
        ),
        FINE,
        set(),
    ),
    "better for readers alone": (
        compared(fig("spam_caught", 0.6, 0.6), fig("genuine_held", 0.05, 0.006, 0.003)),
        FINE,
        set(),
    ),
    "better at one site alone": (
        compared(
            fig("spam_caught", 0.6, 0.6),
            slices=part(fig("spam_caught", 0.1, 0.8, 0.1), kind="site", name="báo"),
        ),
        FINE,
        set(),
    ),
    "better in one language alone is no gain": (
        compared(fig("spam_caught", 0.6, 0.6), slices=part(fig("spam_caught", 0.1, 0.8, 0.1))),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "one of forty sites better by a hair": (
        compared(
            fig("spam_caught", 0.6, 0.6),
            slices=tuple(
                Slice("site", str(n), 90, 40, 50, (fig("spam_caught", 0.5, 0.522, 0.02),))
                for n in range(40)
            ),
        ),
        FINE,
        {Code.NOTHING_BETTER},
    ),
    "less spam caught in one language": (
        compared(slices=part(fig("spam_caught", 0.7, 0.6, 0.03))),
        FINE,
        {Code.SLICE_FALLS},
    ),
    "less spam caught in one language, within its bound": (
        compared(slices=part(fig("spam_caught", 0.7, 0.66, 0.03))),
        FINE,
        set(),
    ),
    "less spam caught in one language, perhaps by chance": (
        compared(slices=part(fig("spam_caught", 0.7, 0.6, 0.12))),
        FINE,
        set(),
    ),
    "less spam caught in nine comments": (
        compared(slices=part(fig("spam_caught", 0.7, 0.2, 0.03, rows=9))),
        FINE,
        set(),
    ),
    "new authors held": (
        compared(slices=part(fig("genuine_held", 0.0, 0.1, 0.05), kind="new_author", name="yes")),
        FINE,
        {Code.SLICE_FALLS},
    ),
    "less toxicity caught anywhere": (
        compared(fig("toxic_caught", 0.5, 0.4, 0.02)),
        FINE,
        {Code.SLICE_FALLS},
    ),
    "scores that do not mean what they say": (
        compared(fig("spam_calibration_error", 0.02, 0.09)),
        FINE,
        {Code.NOT_CALIBRATED},
    ),
    "badly calibrated, but not more than the champion": (
        compared(fig("spam_calibration_error", 0.09, 0.08)),
        FINE,
        set(),
    ),
    "calibration that is worse by chance": (
        compared(fig("spam_calibration_error", 0.09, 0.12, 0.04)),
        shadow(),
        set(),
    ),
    "calibration of a head without labels": (
        compared(Figure("toxicity_calibration_error", NOT_KNOWN, NOT_KNOWN, NOT_KNOWN)),
        FINE,
        set(),
    ),
    "not shadowed": (compared(), None, {Code.NOT_SHADOWED}),
    "shadowed for an hour": (compared(), shadow(hours=1), {Code.SHADOWED_TOO_LITTLE}),
    "shadowed with few comments": (compared(), shadow(299), {Code.SHADOWED_TOO_LITTLE}),
    "shadowed just enough": (compared(), shadow(300, 24.0), set()),
    "would reject one in forty more": (
        compared(),
        shadow(400, accept_reject=10),
        {Code.SHADOW_UNLIKE},
    ),
    "would hold one in ten more": (
        compared(),
        shadow(400, accept_queue=40),
        {Code.SHADOW_UNLIKE},
    ),
    "would let more pass, which is for the comparison to judge": (
        compared(),
        shadow(400, reject_accept=100, queue_accept=100),
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rule(case):
    comparison, shadowed, expected = CASES[case]

    ruling = promotable(comparison, shadowed, Bounds())

    assert {reason.code for reason in ruling.against} == expected
    assert ruling.may == (not expected)


def test_a_ruling_in_favour_says_what_it_looked_at():
    found = {reason.code for reason in promotable(compared(), FINE).reasons}

    assert found == {Code.PROMISE_KEPT, Code.BETTER, Code.CALIBRATED, Code.SHADOWED}


def test_what_neither_keeps_is_not_called_kept():
    comparison = compared(
        fig("genuine_rejected", 0.053, 0.045), fig("spam_calibration_error", 0.2, 0.16)
    )

    ruling = promotable(comparison, FINE)

    told = {reason.code: reason.values for reason in ruling.reasons}
    assert ruling.may
    assert told[Code.PROMISE_NO_WORSE]["figure"] == "genuine_rejected"
    assert told[Code.PROMISE_KEPT]["figure"] == "genuine_held"
    assert told[Code.CALIBRATED_NO_WORSE]["allowed"] == Bounds().calibration


def test_what_is_better_as_served_is_said_to_be():
    found = promotable(compared(**served(fig("spam_caught", 0.75, 0.85, 0.02))), FINE)

    better = next(reason for reason in found.reasons if reason.code is Code.BETTER)
    assert better.values["as_served"] == 1
    assert "what each site learnt by itself" in said(better, words_in("en"))


def test_every_reason_that_refuses_is_told_at_once():
    bad = compared(
        fig("genuine_rejected", 0.001, 0.05),
        fig("spam_caught", 0.6, 0.4),
        fig("spam_calibration_error", 0.02, 0.3),
    )

    assert {reason.code for reason in promotable(bad, None).against} == {
        Code.PROMISE_WORSE,
        Code.NOTHING_BETTER,
        Code.SLICE_FALLS,
        Code.NOT_CALIBRATED,
        Code.NOT_SHADOWED,
    }


def test_the_first_champion_has_nobody_to_be_worse_than():
    ruling = ruling_on(None, CHALLENGER, None, None)

    assert ruling.may
    assert [reason.code for reason in ruling.reasons] == [Code.NO_CHAMPION]


@pytest.mark.parametrize("pair", [("cccccccccccc", CHALLENGER), (CHAMPION, "cccccccccccc")])
def test_a_comparison_of_other_versions_says_nothing(pair):
    ruling = ruling_on(*pair, compared(), FINE)

    assert [reason.code for reason in ruling.against] == [Code.COMPARED_WITH_ANOTHER]


def test_a_site_may_ask_for_no_shadow():
    assert promotable(compared(), None, Bounds(shadow_comments=0, shadow_hours=0)).may


@pytest.mark.parametrize(
    "wrong",
    [
        {"comments": 3, "hours": 1.0, "agreed": 4},
        {"comments": 3, "hours": 1.0, "agreed": 2, "would_be": {"accept>queue": 2}},
        {"comments": -1, "hours": 1.0, "agreed": 0},
        {"comments": 3, "hours": float("nan"), "agreed": 0},
    ],
)
def test_a_shadow_that_cannot_be_is_none(wrong):
    with pytest.raises(ValueError, match=r"are 0 or more|more outcomes"):
        Shadowed(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"calibration": 2.0}, {"falls": {"spam_caught": -0.1}}, {"shadow_comments": -1}]
)
def test_bounds_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"bound|asked"):
        Bounds(**wrong)
