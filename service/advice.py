"""Whether to train anew now, and why: what is known in, advice out.

Pure. A model is shared by all sites, and so is this advice. A training without new labels makes
nearly the same model again: then the advice is to decide some comments first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Why(StrEnum):
    """What speaks for training anew, or what is missing for it."""

    NEW_LABELS = "new_labels"
    MISSED = "missed"
    FELL = "fell"
    DRIFT = "drift"
    OLD = "old"
    FEW_LABELS = "few_labels"


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on something speaks for training anew."""

    least_new: int = 10
    """New labels without which nothing does."""

    new_share: float = 0.1
    """Of the labels that there were before: so many new ones are enough, and as many as the
    nightly training asks for."""

    missed: int = 5
    """Comments of one campaign that were published, and turned out unwanted."""

    old_days: int = 90
    rest_days: int = 7
    """So long after a training, what it made may still be looked at beside the champion: what was
    wrong before does not speak for another one."""


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known.

    Of `labels` so many are `new_labels` since the last training; `wanted` is what the nightly one
    asks for. `missed` comments of the largest of `campaigns` were published and turned out
    unwanted since then. `fell` and `drifting` are on how many sites figures fell, or comments or
    scores are unlike before. The champion has served for `champion_days`, and the last
    training ended `trained_days` ago; None while there was none.
    """

    labels: int = 0
    new_labels: int = 0
    wanted: int = 50
    missed: int = 0
    campaigns: int = 0
    fell: int = 0
    drifting: int = 0
    champion_days: int | None = None
    trained_days: int | None = None
    is_training: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """One reason, with the numbers that its sentence needs."""

    why: Why
    values: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_now(self) -> bool:
        """Whether it speaks for training now; else it says what to do before."""
        return self.why is not Why.FEW_LABELS


def advised(grounds: Grounds, bounds: Bounds = BOUNDS) -> list[Advice]:
    """What speaks for training anew now, in the order of `Why`; nothing while one runs or waits.

    With too few new labels the only advice is to decide first, with how many are missing, and
    only where something speaks for training at all.
    """
    if grounds.is_training:
        return []
    rests = grounds.trained_days is not None and grounds.trained_days < bounds.rest_days
    old = grounds.champion_days is not None and grounds.champion_days > bounds.old_days
    reasons = (
        (_are_enough(grounds, bounds), Why.NEW_LABELS, {"n": grounds.new_labels}),
        (
            grounds.missed >= bounds.missed,
            Why.MISSED,
            {"n": grounds.missed, "campaigns": grounds.campaigns},
        ),
        (grounds.fell > 0 and not rests, Why.FELL, {"n": grounds.fell}),
        (grounds.drifting > 0 and not rests, Why.DRIFT, {"n": grounds.drifting}),
        (old and not rests, Why.OLD, {"n": grounds.champion_days or 0}),
    )
    found = [Advice(why, values) for speaks, why, values in reasons if speaks]
    if found and grounds.new_labels < bounds.least_new:
        return [Advice(Why.FEW_LABELS, {"n": bounds.least_new - grounds.new_labels})]
    return found


def _are_enough(grounds: Grounds, bounds: Bounds) -> bool:
    before = grounds.labels - grounds.new_labels
    return grounds.new_labels >= max(grounds.wanted, bounds.new_share * before)
