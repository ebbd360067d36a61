"""Where weight is dense in texts: the runs of words that say most, for a whole batch at once.

Knows characters' weights and where words begin; not what the weights mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9
"""Weights up to this are what rounding leaves where contributions cancel out."""

LONGEST_PIECE = 16
"""Characters after which a text without blanks is cut, as if a word began there."""

DENSE = 0.7
"""How dense a word must be to belong to a run, in terms of its text's mean positive weight."""

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]


class Run(NamedTuple):
    """Characters `start` to `end` (exclusive) of the text numbered `text`, and their weight."""

    text: int
    start: int
    end: int
    weight: float


class Words:
    """The words of some texts: what blanks part, pieces of `LONGEST_PIECE` where none do.

    `texts` are laid out one after the other; weights come in the same layout.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        lengths = np.array([len(text) for text in texts], np.int64)
        self._begins = np.cumsum(lengths) - lengths
        self._text_of = np.repeat(np.arange(lengths.size), lengths)
        encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(encoded, np.uint32)
        shown = ~_IS_BLANK[np.minimum(codes, _IS_BLANK.size - 1)]
        begins_word = shown.copy()
        begins_word[1:] &= ~shown[:-1]
        begins_word[self._begins[lengths > 0]] = True  # blanks before a text's first word too
        at = np.arange(codes.size)
        last = np.maximum.accumulate(np.where(begins_word, at, 0))
        self._starts = np.flatnonzero((at - last) % LONGEST_PIECE == 0)
        self._ends = np.append(self._starts[1:], codes.size)
        self._last_shown = np.maximum.accumulate(np.where(shown, at, -1))
        self._of = self._text_of[self._starts]

    def runs(self, weights: Floats) -> list[Run]:
        """Runs of neighbouring dense words, in order; a text that is evenly dense is one run.

        Dense is what weighs `DENSE` of the mean positive weight of its text's characters.
        """
        if not weights.size:
            return []
        positive = weights > ROUNDING
        count = np.bincount(self._text_of, positive)
        mean = np.bincount(self._text_of, np.where(positive, weights, 0.0)) / np.maximum(count, 1)
        weight = np.add.reduceat(weights, self._starts)
        dense = (weight >= DENSE * mean[self._of] * (self._ends - self._starts) * (1 - 1e-9)) & (
            weight > ROUNDING
        )
        joins = np.zeros(dense.size, bool)  # to the word before
        joins[1:] = dense[1:] & dense[:-1] & (self._of[1:] == self._of[:-1])
        first = np.flatnonzero(dense & ~joins)
        if not first.size:
            return []
        leads_on = np.append(joins[1:], False)
        last = np.flatnonzero(dense & ~leads_on)
        total = np.bincount(np.cumsum(dense & ~joins)[dense] - 1, weight[dense])
        starts = self._starts[first]
        ends = np.maximum(self._last_shown[self._ends[last] - 1] + 1, starts + 1)
        texts = self._of[first]
        begins = self._begins[texts]
        columns = (texts, starts - begins, ends - begins, total)
        return list(map(Run._make, zip(*map(np.ndarray.tolist, columns), strict=True)))


_IS_BLANK = np.array([chr(code).isspace() for code in range(0x3001)] + [False])
