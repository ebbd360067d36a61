"""Whether a challenger may become the champion: a pure rule, with its reasons.

Reads a comparison and what the shadow saw, and gives a ruling. Knows no files, no clock and no
words: a reason is a code with numbers, which the command line and the pages put into words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist
from types import MappingProxyType

from model.comparison import HIGHER, Comparison, Figure, Slice

_FALLS: Mapping[str, float] = MappingProxyType(
    {"genuine_rejected": 0.01, "genuine_held": 0.02, "spam_caught": 0.05, "toxic_caught": 0.05}
)
_CALIBRATION = ("spam_calibration_error", "toxicity_calibration_error")

GAINS: tuple[str, ...] = (
    "spam_caught",
    "spam_rejected",
    "toxic_caught",
    "genuine_held",
    "genuine_rejected",
    "clean_held",
)
"""Figures that a challenger may be better at: what becomes of comments, which is what serving
shows. A ranking is none, nor what would be found with other thresholds than a version has."""

_USUAL_Z = NormalDist().inv_cdf(0.975)  # of the 95 % intervals that a comparison tells
ALL = "all"
"""The slice that is all comments."""


class Code(StrEnum):
    """What a reason says. Those from `NOT_COMPARED` on may refuse; those before never do."""

    NO_CHAMPION = "no_champion"
    PROMISE_KEPT = "promise_kept"
    PROMISE_NO_WORSE = "promise_no_worse"
    BETTER = "better"
    CALIBRATED = "calibrated"
    CALIBRATED_NO_WORSE = "calibrated_no_worse"
    SHADOWED = "shadowed"
    NOT_COMPARED = "not_compared"
    COMPARED_WITH_ANOTHER = "compared_with_another"
    MAY_HAVE_SEEN = "may_have_seen"
    FEW_GENUINE = "few_genuine"
    PROMISE_UNKNOWN = "promise_unknown"
    PROMISE_WORSE = "promise_worse"
    NOTHING_BETTER = "nothing_better"
    SLICE_FALLS = "slice_falls"
    NOT_CALIBRATED = "not_calibrated"
    NOT_SHADOWED = "not_shadowed"
    SHADOWED_TOO_LITTLE = "shadowed_too_little"
    SHADOW_UNLIKE = "shadow_unlike"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that the rule looked at. `refuses` says whether it alone stands in the way."""

    code: Code
    refuses: bool
    values: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rule says, with everything it looked at, in the order of the rule."""

    reasons: tuple[Reason, ...]

    @property
    def may(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.against

    @property
    def against(self) -> tuple[Reason, ...]:
        """The reasons that refuse."""
        return tuple(reason for reason in self.reasons if reason.refuses)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a challenger would have said of live comments that the champion answered.

    Of `comments`, which came in `hours` different hours, it gave `agreed` the champion's
    outcome; `would_be` counts the others by a move such as "accept>reject".
    """

    comments: int
    hours: float
    agreed: int
    would_be: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.comments, self.agreed, *self.would_be.values())
        if any(count < 0 for count in counts) or not self.hours >= 0:
            raise ValueError("counts and hours are 0 or more")
        if self.agreed + sum(self.would_be.values()) > self.comments:
            raise ValueError("there are more outcomes than comments")

    def share(self, *moves: str) -> float:
        """Which share of the comments went so, 0 to 1; 0 of none."""
        return sum(self.would_be.get(m, 0) for m in moves) / self.comments if self.comments else 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the rule asks. Shares are from 0 to 1.

    `least_genuine` comments must have been compared; one of 20 is five in a hundred, and fewer
    tell nothing. `falls` says by how much a figure may get worse in any slice of at least
    `least_slice` comments; noise beyond it, which the figure's own interval does not exclude,
    refuses nothing. A calibration error may be `calibration`, or the champion's if that is
    more, or what is more by chance alone. The shadow must have seen `shadow_comments`, which
    with no flip among them show with 95 % confidence that fewer than one in a hundred flips
    (the rule of three, 3/n), and `shadow_hours`, a day with its night. Of those it saw,
    `newly_rejected` may be rejected that the champion would not reject, and `newly_held` held
    that it would accept: more may be a new
    campaign, or a fault, and a person should look which.
    """

    least_genuine: int = 20
    least_slice: int = 10
    falls: Mapping[str, float] = field(default_factory=lambda: _FALLS)
    calibration: float = 0.05
    shadow_comments: int = 300
    shadow_hours: float = 24.0
    newly_rejected: float = 0.02
    newly_held: float = 0.05

    def __post_init__(self) -> None:
        shares = (*self.falls.values(), self.calibration, self.newly_rejected, self.newly_held)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("a bound on a share is from 0 to 1")
        least = (self.least_genuine, self.least_slice, self.shadow_comments, self.shadow_hours)
        if not all(bound >= 0 for bound in least):
            raise ValueError("a number that is asked for is 0 or more")


USUAL = Bounds()


def promotable(
    comparison: Comparison | None,
    shadowed: Shadowed | None,
    bounds: Bounds = USUAL,
) -> Ruling:
    """Whether the challenger of a comparison may take the place of its champion.

    It may when it is not worse on the promise, better at something beyond its interval, when
    no slice falls by more than its bound, its scores mean what they say, and the shadow has
    seen enough of it and nothing odd. None is "there is none", and refuses.
    """
    if comparison is None:
        return Ruling((Reason(Code.NOT_COMPARED, refuses=True), *_shadow(shadowed, bounds)))
    return Ruling(
        (
            *_judged(comparison),
            *_promise(comparison, bounds),
            *_gain(comparison),
            *_falls(comparison, bounds),
            *_calibration(comparison, bounds),
            *_shadow(shadowed, bounds),
        )
    )


def ruling_on(
    champion: str | None,
    challenger: str,
    comparison: Comparison | None,
    shadowed: Shadowed | None,
    bounds: Bounds = USUAL,
) -> Ruling:
    """`promotable`, for the version that is champion now.

    Without a champion every comment is queued unscored, so that there is none to be worse
    than: whatever loads may be the first. A comparison with another champion, or of another
    challenger, says nothing of these two and refuses.
    """
    if champion is None:
        return Ruling((Reason(Code.NO_CHAMPION, refuses=False),))
    if comparison is not None and (comparison.champion, comparison.challenger) != (
        champion,
        challenger,
    ):
        values = {"champion": comparison.champion, "challenger": comparison.challenger}
        return Ruling((Reason(Code.COMPARED_WITH_ANOTHER, refuses=True, values=values),))
    return promotable(comparison, shadowed, bounds)


def _judged(comparison: Comparison) -> Iterator[Reason]:
    # Whoever has seen the answers looks better than it is.
    if comparison.judged not in ("held_out", "unseen"):
        yield Reason(Code.MAY_HAVE_SEEN, refuses=True)


def _promise(comparison: Comparison, bounds: Bounds) -> Iterator[Reason]:
    if comparison.genuine < bounds.least_genuine:
        values = {"genuine": comparison.genuine, "least": bounds.least_genuine}
        yield Reason(Code.FEW_GENUINE, refuses=True, values=values)
        return
    for name, risk in (
        ("genuine_rejected", comparison.promise_risk),
        ("genuine_held", comparison.queue_risk),
    ):
        figure = comparison.figure(name)
        if figure is None or figure.challenger.value is None or figure.difference.value is None:
            yield Reason(Code.PROMISE_UNKNOWN, refuses=True, values={"figure": name})
            continue
        told = _told(figure) | {"risk": risk}
        if _breaks(figure, risk):
            yield Reason(Code.PROMISE_WORSE, refuses=True, values=told)
        elif figure.challenger.value <= risk:
            yield Reason(Code.PROMISE_KEPT, refuses=False, values=told)
        else:  # neither keeps it, and that is what should be read
            yield Reason(Code.PROMISE_NO_WORSE, refuses=False, values=told)
        served = next((figure for figure in comparison.served if figure.name == name), None)
        # A layer keeps to the risk by itself as it hears of more comments: chance refuses nothing.
        if served is not None and served.is_worse and _breaks(served, risk):
            told = _told(served, as_served=True) | {"risk": risk}
            yield Reason(Code.PROMISE_WORSE, refuses=True, values=told)


def _breaks(figure: Figure, risk: float) -> bool:
    """Whether more genuine comments are flagged than were, and more than are allowed.

    What certainly keeps the promise may use more of it than the champion did; what the
    interval cannot clear must not be shown to be worse, nor measure above the risk.
    """
    share, more = figure.challenger.value, figure.difference.value
    high = figure.challenger.high
    if share is None or more is None or more <= 0:
        return False
    if high is not None and high <= risk:
        return False
    return share > risk or figure.is_worse


def _gain(comparison: Comparison) -> Iterator[Reason]:
    # What a site's own decisions win already is no gain, and what they lose is none either.
    is_served = bool(comparison.served)
    asked = [(ALL, figure) for figure in comparison.served or comparison.figures]
    asked += [
        (part.name, figure)
        for part in comparison.slices
        if part.kind == "site"
        for figure in (part.served if is_served else part.figures)
    ]
    asked = [(name, figure) for name, figure in asked if figure.name in GAINS]
    found = [
        Reason(
            Code.BETTER, refuses=False, values=_told(figure, as_served=is_served) | {"slice": name}
        )
        for name, figure in asked
        if _is_better_of(figure, len(asked))
    ]
    yield from found or [Reason(Code.NOTHING_BETTER, refuses=True, values={"asked": len(asked)})]


def _is_better_of(figure: Figure, asked: int) -> bool:
    """Whether a figure is better beyond an interval that allows for how many were asked.

    Of forty figures one is "better" at 95 % where nothing is. The interval is widened as
    Bonferroni does it: by the ratio of the normal quantiles at 0.025/asked and at 0.025.
    """
    low, value, high = figure.difference.low, figure.difference.value, figure.difference.high
    if not figure.is_better or low is None or value is None or high is None:
        return False
    wider = NormalDist().inv_cdf(1 - 0.025 / asked) / _USUAL_Z
    if figure.better == HIGHER:
        return value - wider * (value - low) > 0
    return value + wider * (high - value) < 0


def _falls(comparison: Comparison, bounds: Bounds) -> Iterator[Reason]:
    for kind, name, figure, is_served in _parts(comparison, bounds):
        allowed = bounds.falls.get(figure.name)
        change = figure.difference.value
        if allowed is None or change is None or not figure.is_worse or abs(change) <= allowed:
            continue
        values = _told(figure, as_served=is_served) | {
            "kind": kind,
            "slice": name,
            "allowed": allowed,
        }
        yield Reason(Code.SLICE_FALLS, refuses=True, values=values)


def _parts(comparison: Comparison, bounds: Bounds) -> Iterator[tuple[str, str, Figure, bool]]:
    for as_served, figures in ((False, comparison.figures), (True, comparison.served)):
        for figure in figures:
            # What the promise says of all comments has been asked already.
            if figure.name not in ("genuine_rejected", "genuine_held"):
                yield ALL, ALL, figure, as_served
    for part in comparison.slices:
        for as_served, figures in ((False, part.figures), (True, part.served)):
            for figure in figures:
                if (figure.rows or _rows(part, figure)) >= bounds.least_slice:
                    yield part.kind, part.name, figure, as_served


def _rows(part: Slice, figure: Figure) -> int:
    return part.genuine if figure.name.startswith("genuine") else part.rows


def _calibration(comparison: Comparison, bounds: Bounds) -> Iterator[Reason]:
    for name in _CALIBRATION:
        figure = comparison.figure(name)
        if figure is None or figure.challenger.value is None:
            continue  # a head that nobody labelled for is the champion's own
        before = figure.champion.value or 0.0
        values = _told(figure) | {"allowed": max(bounds.calibration, before)}
        low = figure.difference.low
        is_noise = low is not None and low <= 0
        if figure.challenger.value > max(bounds.calibration, before) and not is_noise:
            yield Reason(Code.NOT_CALIBRATED, refuses=True, values=values)
        elif figure.challenger.value > bounds.calibration:
            asked = values | {"allowed": bounds.calibration}
            yield Reason(Code.CALIBRATED_NO_WORSE, refuses=False, values=asked)
        else:
            yield Reason(Code.CALIBRATED, refuses=False, values=values)


def _shadow(shadowed: Shadowed | None, bounds: Bounds) -> Iterator[Reason]:
    if shadowed is None:
        if bounds.shadow_comments or bounds.shadow_hours:
            yield Reason(Code.NOT_SHADOWED, refuses=True)
        return
    seen: Mapping[str, str | int | float] = {
        "comments": shadowed.comments,
        "hours": round(shadowed.hours, 1),
        "least_comments": bounds.shadow_comments,
        "least_hours": bounds.shadow_hours,
    }
    too_few = shadowed.comments < bounds.shadow_comments
    if too_few or shadowed.hours < bounds.shadow_hours:
        yield Reason(Code.SHADOWED_TOO_LITTLE, refuses=True, values=seen)
        return
    odd = list(_unlike(shadowed, bounds))
    yield from odd or [Reason(Code.SHADOWED, refuses=False, values=seen)]


def _unlike(shadowed: Shadowed, bounds: Bounds) -> Iterator[Reason]:
    for what, moves, most in (
        ("newly_rejected", ("accept>reject", "queue>reject"), bounds.newly_rejected),
        ("newly_held", ("accept>queue", "accept>reject"), bounds.newly_held),
    ):
        share = shadowed.share(*moves)
        if share > most:
            values: dict[str, str | int | float] = {"what": what, "share": share, "allowed": most}
            values["comments"] = shadowed.comments
            yield Reason(Code.SHADOW_UNLIKE, refuses=True, values=values)


def _told(figure: Figure, *, as_served: bool = False) -> dict[str, str | int | float]:
    """A figure's numbers; those that nobody knows are left out.

    `as_served` is told of those with what sites had learnt.
    """
    known = {
        "champion": figure.champion.value,
        "challenger": figure.challenger.value,
        "change": figure.difference.value,
        "low": figure.difference.low,
        "high": figure.difference.high,
    }
    told: dict[str, str | int | float] = {"figure": figure.name}
    told |= {name: value for name, value in known.items() if value is not None}
    return told | ({"as_served": 1} if as_served else {})
