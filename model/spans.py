"""Where weight is dense in texts: the runs of words that say most, for a whole batch at once.

Knows characters' weights and where words begin; not what the weights mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.text import code_points

ROUNDING = 1e-9
"""Weights up to this are what rounding leaves where contributions cancel out."""

LONGEST_PIECE = 16
"""Characters after which a text without blanks is cut, as if a word began there: a power of 2."""

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
        codes = code_points("".join(texts))
        shown = _IS_SHOWN.take(codes, mode="clip")
        begins_word = shown.copy()
        begins_word[1:] &= ~shown[:-1]
        begins_word[self._begins[lengths > 0]] = True  # blanks before a text's first word too
        at = np.arange(codes.size)
        piece = at - np.maximum.accumulate(at * begins_word)
        self._starts = (begins_word | (piece & (LONGEST_PIECE - 1) == 0)).nonzero()[0]
        self._ends = np.empty_like(self._starts)
        self._ends[:-1] = self._starts[1:]
        self._ends[-1:] = codes.size
        self._last_shown = np.maximum.accumulate(at * shown)
        self._of = self._begins.searchsorted(self._starts, "right") - 1

    def runs(self, weights: Floats) -> list[Run]:
        """Runs of neighbouring dense words, in order; a text that is evenly dense is one run.

        Dense is what weighs `DENSE` of the mean positive weight of its text's characters.
        """
        if not weights.size:
            return []
        positive = weights > ROUNDING
        words, of, texts = self._starts, self._of, self._begins.size
        weight = np.add.reduceat(weights, words)
        above = np.bincount(of, np.add.reduceat(weights * positive, words), texts)
        count = np.bincount(of, np.add.reduceat(positive, words, dtype=np.int64), texts)
        least = above / np.maximum(count, 1) * (DENSE * (1 - 1e-9))
        dense = (weight >= least.take(of) * (self._ends - words)) & (weight > ROUNDING)
        joins = np.zeros(dense.size + 1, bool)  # to the word before
        np.logical_and(dense[1:], dense[:-1], out=joins[1:-1])
        joins[1:-1] &= of[1:] == of[:-1]
        first = (dense & ~joins[:-1]).nonzero()[0]
        if not first.size:
            return []
        last = (dense & ~joins[1:]).nonzero()[0]
        total = np.add.reduceat(weight * dense, first)  # what is not dense adds nothing
        starts, texts_of = words.take(first), of.take(first)
        ends = np.maximum(self._last_shown.take(self._ends.take(last) - 1), starts) + 1
        begins = self._begins.take(texts_of)
        columns = (texts_of, starts - begins, ends - begins, total)
        return list(map(Run._make, zip(*map(np.ndarray.tolist, columns), strict=True)))


_IS_SHOWN = np.array([not chr(code).isspace() for code in range(0x3001)] + [True])
