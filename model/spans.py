"""Where weight is dense in texts: the runs of words that say most, for a whole batch at once.

Knows characters' weights and where words begin; not what the weights mean.
"""

from collections.abc import Sequence
from itertools import accumulate
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


class Run(NamedTuple):
    """Characters `start` to `end` (exclusive) of the text numbered `text`, and their weight.

    `row` is that of the weights it was found by.
    """

    row: int
    text: int
    start: int
    end: int
    weight: float


class Words:
    """The words of some texts, none of them empty: what blanks part, pieces of `LONGEST_PIECE`
    where none do.

    `texts` are laid out one after the other; weights come in the same layout.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        codes = code_points("".join(texts))
        self._begins = np.array([0, *accumulate(map(len, texts))][:-1], np.intp)
        shown = _IS_SHOWN.take(codes, mode="clip")
        begins_word = shown.copy()
        begins_word[1:] &= ~shown[:-1]
        begins_word[self._begins] = True  # blanks before a text's first word too
        at = np.arange(codes.size)
        piece = at - np.maximum.accumulate(at * begins_word)
        begins_word |= piece & (LONGEST_PIECE - 1) == 0
        self._starts = begins_word.nonzero()[0]
        self._lengths = np.empty_like(self._starts)
        np.subtract(self._starts[1:], self._starts[:-1], out=self._lengths[:-1])
        self._lengths[-1:] = codes.size - self._starts[-1:]
        self._last_shown = np.maximum.accumulate(at * shown)
        self._firsts = self._starts.searchsorted(self._begins)  # of each text's words

    def runs(self, weights: Floats) -> list[Run]:
        """Runs of neighbouring dense words, row by row in order; an evenly dense text is one run.

        `weights` have a row for each thing that characters weigh for, shape (rows, characters).
        Dense is what weighs `DENSE` of the mean positive weight of its text's characters.
        """
        if not weights.size:
            return []
        words, firsts = self._starts, self._firsts
        of = np.zeros(words.size, np.intp)
        of[firsts[1:]] = 1
        of = of.cumsum()
        positive = weights > ROUNDING
        weight = np.add.reduceat(weights, words, axis=1)
        above = np.add.reduceat(weights * positive, self._begins, axis=1)
        count = np.add.reduceat(positive, self._begins, axis=1, dtype=np.float64)
        least = above / np.maximum(count, 1) * (DENSE * (1 - 1e-9))
        dense = (weight >= least.take(of, axis=1) * self._lengths) & (weight > ROUNDING)
        joins = np.zeros((len(weights), words.size + 1), bool)  # to the word before
        np.logical_and(dense[:, 1:], dense[:, :-1], out=joins[:, 1:-1])
        joins[:, firsts] = False
        first = (dense & ~joins[:, :-1]).ravel().nonzero()[0]
        if not first.size:
            return []
        last = (dense & ~joins[:, 1:]).ravel().nonzero()[0] % words.size
        total = np.add.reduceat((weight * dense).ravel(), first)  # what is not dense adds nothing
        rows, first = np.divmod(first, words.size)
        starts, texts = words.take(first), of.take(first)
        ends = words.take(last) + self._lengths.take(last) - 1
        ends = np.maximum(self._last_shown.take(ends), starts) + 1
        begins = self._begins.take(texts)
        columns = (rows, texts, starts - begins, ends - begins, total)
        return list(map(Run._make, zip(*map(np.ndarray.tolist, columns), strict=True)))


_IS_SHOWN = np.array([not chr(code).isspace() for code in range(0x3001)] + [True])
