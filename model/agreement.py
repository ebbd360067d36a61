"""How far people agree on what they labelled alike, beyond what chance gives.

Pure figures over units, each what several accounts said of one thing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000
"""Bootstrap samples of units behind an interval."""

_SEED = 20_261

Unit = Mapping[str, str]
"""What each account said of one thing, by the account's name."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement beyond chance: 1 is always, 0 as by chance, below 0 less than that.

    `units` counts the things that at least two accounts spoke of. `value` is None where all said
    the same of everything, or there are no units: then chance would have given that as well.
    `low` and `high` are its 95 % interval over resampled units (percentile bootstrap, Efron 1979),
    None where it cannot be told. `agreed` is the plain share of units of one voice.
    """

    units: int
    agreed: float | None
    value: float | None
    low: float | None
    high: float | None


def alpha(units: Sequence[Unit]) -> Agreement:
    """Krippendorff's alpha (2004) for names: any number of accounts, each on any of the units."""
    several = [Counter(unit.values()) for unit in units if len(unit) > 1]
    said = sorted({word for counts in several for word in counts})
    table = np.array([[counts[word] for word in said] for counts in several], np.float64)
    table = table.reshape(len(several), len(said))
    return _agreement(table, _alpha, (table > 0).sum(axis=1) == 1)


def kappa(units: Sequence[Unit], one: str, other: str) -> Agreement:
    """Cohen's kappa (1960) of two accounts, over the units that both spoke of."""
    pairs = [(unit[one], unit[other]) for unit in units if one in unit and other in unit]
    said = sorted({word for pair in pairs for word in pair})
    table = np.zeros((len(pairs), 2 * len(said)))
    for row, (first, second) in zip(table, pairs, strict=True):
        row[said.index(first)] = row[len(said) + said.index(second)] = 1
    return _agreement(table, _kappa, np.array([first == second for first, second in pairs], bool))


Floats = NDArray[np.float64]
_Statistic = Callable[[Floats], float | None]
"""Of a table with a row a unit; None where chance would have given the same."""


def _agreement(table: Floats, statistic: _Statistic, agreed: NDArray[np.bool_]) -> Agreement:
    value = statistic(table) if len(table) else None
    if value is None:
        share = float(agreed.mean()) if len(agreed) else None
        return Agreement(len(table), share, None, None, None)
    draw = np.random.default_rng(_SEED)
    samples = draw.integers(len(table), size=(DRAWS, len(table)))
    drawn = [found for of in samples if (found := statistic(table[of])) is not None]
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (value, value)
    return Agreement(len(table), float(agreed.mean()), value, float(low), float(high))


def _alpha(table: Floats) -> float | None:
    """1 - observed / expected disagreement, from how often each word was said of each unit."""
    voices = table.sum(axis=1)
    pairs = voices * (voices - 1)
    unlike = pairs - (table * (table - 1)).sum(axis=1)
    observed = (unlike / (voices - 1)).sum()
    of_word, all_voices = table.sum(axis=0), table.sum()
    expected = (all_voices**2 - (of_word**2).sum()) / (all_voices - 1)
    return None if expected <= 0 else float(1 - observed / expected)


def _kappa(table: Floats) -> float | None:
    """(observed - expected) / (1 - expected): what the one said, and beside it what the other."""
    one, other = np.split(table, 2, axis=1)
    observed = (one * other).sum() / len(table)
    expected = float(one.mean(axis=0) @ other.mean(axis=0))
    return None if expected >= 1 else float((observed - expected) / (1 - expected))
