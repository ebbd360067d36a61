"""How many genuine comments may be flagged when not all were drawn with the same chance.

Of a site's comments a person sees all that were held and a share of the others. One of ten that
were accepted stands for ten, one of those held for itself; to count both alike would say that a
site's readers write ten times as much that looks like spam as they do.

The share of all that would be flagged is estimated as Horvitz and Thompson (JASA 47, 1952) do, and
its upper end by Fay and Feuer ("Confidence intervals for directly standardized rates", Statistics
in Medicine 16, 1997), which for comments that all stand for one is the exact one of a Poisson
count. With y the sum of what the flagged ones stand for, v the sum of its squares and m the most
that any stands for, it is, of all W,

    (v + m^2) / (2 (y + m)) * chi2(CONFIDENCE; 2 (y + m)^2 / (v + m^2)) / W

Flagged comments of one group count as one with what they stand for together.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from model.promise import CONFIDENCE

Floats = NDArray[np.float64]

_MOST_FLAGGED = 0.1
"""No more is looked at than this share of them: the greatest of RISKS is half of it."""


def bounds(stands_for: Floats, unit: NDArray[np.str_]) -> Floats:
    """For none, one, two… of the last comments flagged, the greatest plausible share of all.

    `stands_for` is in comments, 0 for one that nobody drew: it stands for none of the others, and
    for itself once it is flagged. `unit` has the groups; both in order of the scores. What cannot
    be told is at least 1.
    """
    total = float(stands_for.sum())
    if total <= 0:
        return np.ones(1)
    flagged = _last(stands_for)
    of_group: dict[str, float] = {}
    squares = np.zeros(flagged.size + 1)
    groups = unit[::-1][: flagged.size].tolist()
    for k, (more, group) in enumerate(zip(flagged.tolist(), groups, strict=True), 1):
        before = of_group.get(group, 0.0)
        of_group[group] = before + more
        squares[k] = squares[k - 1] + (before + more) ** 2 - before**2
    most = max(1.0, float(stands_for.max()))
    y, v = np.concatenate([[0.0], np.cumsum(flagged)]) + most, squares + most**2
    return np.asarray(v / (2 * y) * chi2.ppf(CONFIDENCE, 2 * y**2 / v) / total, np.float64)


def shares(stands_for: Floats) -> Floats:
    """For none, one, two… of the last comments flagged, which share of all they are likely."""
    total = float(stands_for.sum())
    if total <= 0:
        return np.zeros(1)
    return np.concatenate([[0.0], np.cumsum(_last(stands_for))]) / total


def _last(stands_for: Floats) -> Floats:
    """What the last of them count as flagged, the last one first."""
    few = int(_MOST_FLAGGED * stands_for.size) + 1
    return np.maximum(stands_for[::-1][:few], 1.0)
