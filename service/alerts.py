"""What wants a look: figures of a site in, alerts out, by thresholds that are stated here.

Pure. A share alerts by the end of its 95 % interval that speaks against it, so that a few comments
alert nobody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from model.outcome import Head, Outcome
from service.estimates import Share, wilson
from service.outcomes import Estimates


class Kind(StrEnum):
    """What can want a look."""

    SCORES_DRIFT = "scores_drift"
    SHAPES_SHIFT = "shapes_shift"
    MORE_QUEUED = "more_queued"
    ACCEPTED_TURNED = "accepted_turned"
    REJECTED_TURNED = "rejected_turned"
    PROMISE_BROKEN = "promise_broken"
    PRECISION_FELL = "precision_fell"
    RECALL_FELL = "recall_fell"


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on something wants a look."""

    drift: float = 0.25
    """Population stability index of a head's scores; `service.drift` says of what and how many."""

    shift: float = 0.25
    """The same index of lengths, links, numbers or languages."""

    least_read: int = 500
    """Texts read both now and before, from which on a shift is told. By chance alone its index is
    about the number of steps less one, by this number, and twice that: 0.02 of five lengths."""

    least_came: int = 200
    more_queued: float = 1.5
    """So many times the share that was queued before, beyond both intervals."""

    accepted_turned: float = 0.02
    """Of what the machine accepted, reported or rejected later."""

    rejected_turned: float = 0.05
    """Of what the machine rejected, restored later."""

    least_turned: int = 5
    """Comments turned around, from which on a share of them is told."""


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the shares of a shape's steps moved, which moved most, and of how many texts read."""

    index: float
    step: str
    read: int


@dataclass(frozen=True, slots=True)
class Turned:
    """Of what the machine did to `of` comments, how many `times` somebody did the opposite."""

    times: int
    of: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of a site.

    `risk` is the share of genuine comments that may be rejected, None where the site promises
    none; `came` how many came lately; `drifts` indices of scores; `shifts` by the name of a shape
    or "language"; `turned` what was turned around of what was accepted and rejected. `right` is
    estimated from the last four weeks, `right_before` from those before.
    """

    site_id: str
    risk: float | None = None
    came: int = 0
    queued: Share | None = None
    queued_before: Share | None = None
    drifts: Mapping[Head, float] = field(default_factory=dict)
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    turned: Mapping[Outcome, Turned] = field(default_factory=dict)
    right: Estimates | None = None
    right_before: Estimates | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """That something wants a look: its `value` is beyond its `bound`.

    `what` names the head or the shape with the step that moved most ("length 0"), "" where there
    is one of a kind.
    """

    site_id: str
    kind: Kind
    what: str
    value: float
    bound: float


def alerts_of(seen: Seen, bounds: Bounds = BOUNDS) -> list[Alert]:
    """What wants a look on a site, in the order of `Kind`."""
    found = (
        *_drifting(seen, bounds),
        *_shifting(seen, bounds),
        *_queueing(seen, bounds),
        *_turned(seen, bounds),
        *_wrong(seen),
    )
    return [Alert(seen.site_id, *one) for one in found]


_Found = Iterator[tuple[Kind, str, float, float]]


def _drifting(seen: Seen, bounds: Bounds) -> _Found:
    for head, index in sorted(seen.drifts.items()):
        if index > bounds.drift:
            yield Kind.SCORES_DRIFT, head.value, index, bounds.drift


def _shifting(seen: Seen, bounds: Bounds) -> _Found:
    for name, shift in sorted(seen.shifts.items()):
        if shift.index > bounds.shift and shift.read >= bounds.least_read:
            yield Kind.SHAPES_SHIFT, name, shift.index, bounds.shift


def _queueing(seen: Seen, bounds: Bounds) -> _Found:
    now, before = seen.queued, seen.queued_before
    if now is None or before is None or seen.came < bounds.least_came:
        return
    bound = max(before.high, bounds.more_queued * before.middle)
    if now.low > bound:
        yield Kind.MORE_QUEUED, "", now.middle, bound


def _turned(seen: Seen, bounds: Bounds) -> _Found:
    for outcome, kind, bound in (
        (Outcome.ACCEPT, Kind.ACCEPTED_TURNED, bounds.accepted_turned),
        (Outcome.REJECT, Kind.REJECTED_TURNED, bounds.rejected_turned),
    ):
        turned = seen.turned.get(outcome)
        if turned is None or turned.times < bounds.least_turned:
            continue
        share = wilson(turned.times, turned.of)
        if share is not None and share.low > bound:
            yield kind, "", share.middle, bound


def _wrong(seen: Seen) -> _Found:
    if seen.right is None:
        return
    rejected = seen.right.genuine_rejected
    if seen.risk is not None and rejected is not None and rejected.low > seen.risk:
        yield Kind.PROMISE_BROKEN, "", rejected.middle, seen.risk
    if seen.right_before is None:
        return
    now, before = (one.by_outcome[Outcome.REJECT] for one in (seen.right, seen.right_before))
    for kind, share, then in (
        (Kind.PRECISION_FELL, now.right, before.right),
        (Kind.RECALL_FELL, now.reached, before.reached),
    ):
        if share is not None and then is not None and share.high < then.low:
            yield kind, "", share.middle, then.low
