"""What a person should label next: comments that are unsure, and unlike each other.

Pure: doubts and sketches in, an order out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from model.memory import Sketch


@dataclass(frozen=True, slots=True)
class Candidate:
    """A comment without a label. `doubt` is in [0, 1]: 1 where a score is a half, or none."""

    id: str
    doubt: float
    sketch: Sketch = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that was chosen. `worth` in [0, 1] is its doubt times how new it was."""

    id: str
    doubt: float
    worth: float


def most_telling(candidates: Sequence[Candidate], number: int) -> list[Pick]:
    """Choose candidates one after another, each the one that is then worth most.

    worth = doubt * (1 - likeness to the chosen one that it is most like): uncertainty sampling
    (Lewis and Gale 1994) in a greedy choice of k centres (Gonzalez 1985), where likeness is the
    Jaccard index of `model.memory`. Of equal worth the earlier candidate. Takes time in
    proportion to number * candidates.
    """
    newness = [1.0] * len(candidates)
    left = set(range(len(candidates)))
    picks: list[Pick] = []
    while left and len(picks) < number:
        best = max(left, key=lambda at: (candidates[at].doubt * newness[at], -at))
        chosen = candidates[best]
        picks.append(Pick(chosen.id, chosen.doubt, chosen.doubt * newness[best]))
        left.discard(best)
        for at in left:
            new = 1 - chosen.sketch.likeness(candidates[at].sketch)
            newness[at] = min(newness[at], new)
    return picks
