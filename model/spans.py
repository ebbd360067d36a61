"""Where weight is dense in texts: the runs of words that say most.

A word is what blanks part, or a piece of `LONGEST_PIECE` where none do. It is dense if it weighs
`DENSE` of the mean positive weight of its text's characters, and a run is of neighbouring dense
words: an evenly dense text is one. `model/kernel.c` finds them, and knows not what weights mean.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model import kernel

ROUNDING = 1e-9
"""Weights up to this are what rounding leaves where contributions cancel out."""

LONGEST_PIECE = 16
"""Characters after which a text without blanks is cut, as if a word began there."""

DENSE = 0.7
"""How dense a word must be to belong to a run, in terms of its text's mean positive weight."""

_IS_BLANK = np.array([chr(code).isspace() for code in range(0x3001)], np.uint8)

DENSITY = kernel.Density(_IS_BLANK, LONGEST_PIECE, ROUNDING, DENSE)
"""All of it, for `model/kernel.c`."""


class Run(NamedTuple):
    """Characters `start` to `end` (exclusive) of the text numbered `text`, and their weight.

    `row` is that of the weights it was found by.
    """

    row: int
    text: int
    start: int
    end: int
    weight: float


def runs(texts: Sequence[str], weights: NDArray[np.float64]) -> list[Run]:
    """The runs of texts, row by row in order.

    `weights` have a row for each thing that characters weigh for, shape (rows, characters of all
    texts one after another). Raises ValueError if there is not one for each character.
    """
    begins = list(accumulate(map(len, texts), initial=0))
    if weights.ndim != 2 or weights.shape[1] != begins[-1]:
        raise ValueError("there must be a weight for each character")
    return [
        Run(row, number, *found)
        for row, of_row in enumerate(weights)
        for number, (text, begin) in enumerate(zip(texts, begins, strict=False))
        for found in kernel.runs(DENSITY, text, of_row[begin : begin + len(text)])
    ]
