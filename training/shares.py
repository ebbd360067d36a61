"""Bounds on shares: nobody among several has more than a share of what all weigh together.

Knows weights and who has which of them. Does not know what is weighed.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

FEWEST = 3
"""Of two who disagree nobody knows which one is wrong: so many have a bound."""

_ROUNDS = 40
"""What one family loses makes others' shares grow: all are within their bounds after a few."""

_SLACK = 1e-9

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Family:
    """Units, each with the places of what it has, and the most that one of them may have.

    `share` is in (0, 1). Units with `established` places that weigh something count as several.
    """

    units: Mapping[Any, Sequence[int]]
    share: float
    established: int = 1


def by(places: Iterable[int], key: Callable[[int], Key | None]) -> dict[Key, list[int]]:
    """Places by a key; those that have None are in no unit."""
    found: dict[Key, list[int]] = defaultdict(list)
    for at in places:
        of = key(at)
        if of is not None:
            found[of].append(at)
    return found


def parts(
    units: Mapping[Key, Sequence[int]], places: Sequence[int], weights: Sequence[float]
) -> dict[Key, float]:
    """What part of the weight of all places each unit has, in [0, 1]."""
    whole = sum(weights[at] for at in places)
    return {
        key: sum(weights[at] for at in of) / whole if whole else 0.0 for key, of in units.items()
    }


def bound(
    places: Sequence[int], weights: list[float], families: Sequence[Family], *, lenience: float
) -> None:
    """Take weight off units until none has more than its family allows.

    The share that is allowed is the family's, or `lenience` times a fair one where that is more:
    what all units of the family have, divided among those that count as several. A family of
    fewer than `FEWEST` of those has no bound. All hold within a ten-thousandth, the last family's
    exactly.
    """
    allowed = [_allowed(places, weights, family, lenience) for family in families]
    for _ in range(_ROUNDS):
        pairs = zip(families, allowed, strict=True)
        if not any([_bound(places, weights, family.units, share) for family, share in pairs]):
            break


def _allowed(
    places: Sequence[int], weights: Sequence[float], family: Family, lenience: float
) -> float:
    weighing = [sum(weights[at] > 0 for at in of) for of in family.units.values()]
    number = sum(labels >= family.established for labels in weighing)
    if number < FEWEST:
        return 1.0
    return max(family.share, lenience / number * sum(parts(family.units, places, weights).values()))


def _bound(
    places: Sequence[int],
    weights: list[float],
    units: Mapping[Any, Sequence[int]],
    share: float,
) -> bool:
    """Take what is beyond a share off units; whether any was."""
    totals = {key: sum(weights[at] for at in of) for key, of in units.items()}
    rest = sum(weights[at] for at in places)
    over: list[Any] = []
    limit = share * rest
    for key in sorted(totals, key=lambda key: (-totals[key], str(key))):
        if totals[key] <= limit * (1 + _SLACK) or share * (len(over) + 1) >= 1:
            break
        over.append(key)
        rest -= totals[key]
        # Each of those over it has just the limit, which is its share of all there is then.
        limit = share * max(0.0, rest) / (1 - share * len(over))
    for key in over:
        for at in units[key]:
            weights[at] *= limit / totals[key]
    return bool(over)
