"""Which rows may teach and which are measured: near-duplicates on one side.

Knows likeness of texts. Does not know what is fitted.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import GroupKFold

from model.decision import LabelledExample
from training.fit import content_key
from training.literature import squeezed

Rows = NDArray[np.intp]
Truths = NDArray[np.bool_]

ALIKE = 0.8
"""Cosine of the sets of 4-grams of letters and digits from which two texts are one."""

_CHUNK = 1_000


class Likeness:
    """Which of some comments are near-duplicates: alike in letters and digits, as read."""

    def __init__(self, examples: Sequence[LabelledExample]) -> None:
        hashing = HashingVectorizer(
            analyzer="char",
            ngram_range=(4, 4),
            n_features=2**22,
            alternate_sign=False,
            binary=True,
            dtype=np.float32,
        )
        # Blanks around it, so that the shortest texts have n-grams too.
        self._rows = hashing.transform([f"  {squeezed(e)}  " for e in examples])
        self._keys = np.array([content_key(e.text) for e in examples])

    def near(self, some: Rows, others: Rows) -> Truths:
        """Which of some rows have a near-duplicate among others."""
        found = np.isin(self._keys[some], self._keys[others])
        for at in range(0, some.size, _CHUNK):
            cosines = self._rows[some[at : at + _CHUNK]] @ self._rows[others].T
            found[at : at + _CHUNK] |= cosines.max(axis=1).toarray().ravel() >= ALIKE
        return found

    def units(self) -> Rows:
        """A number for each row, the same for near-duplicates and theirs in turn."""
        size = self._keys.size
        edges = []
        for at in range(0, size, _CHUNK):
            cosines = (self._rows[at : at + _CHUNK] @ self._rows.T).tocoo()
            alike = cosines.data >= ALIKE
            edges.append(np.stack([cosines.row[alike] + at, cosines.col[alike]]))
        keys = np.unique(self._keys, return_inverse=True)[1]
        first = np.full(keys.max(initial=0) + 1, -1)
        first[keys[::-1]] = np.arange(size)[::-1]
        edges.append(np.stack([np.arange(size), first[keys]]))
        ends = np.concatenate(edges, axis=1)
        graph = sparse.csr_matrix((np.ones(ends.shape[1], bool), ends), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def in_order(group: NDArray[np.intp], share: float) -> Truths:
    """The first `share` of each group's rows, in the order they stand in."""
    first = np.zeros(group.size, bool)
    for one in np.unique(group):
        rows = np.flatnonzero(group == one)
        first[rows[: int(share * rows.size)]] = True
    return first


def folds_of(unit: Rows, *, count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Folds of whole units: rows to fit to and rows held out, as pairs of indices."""
    splits = GroupKFold(count, shuffle=True, random_state=seed).split(unit, groups=unit)
    return [(np.asarray(fit, np.intp), np.asarray(out, np.intp)) for fit, out in splits]


def folds_without(group: Rows) -> list[tuple[Rows, Rows]]:
    """A fold for each group: all other rows to fit to, and it held out."""
    return [
        (np.flatnonzero(group != one), np.flatnonzero(group == one)) for one in np.unique(group)
    ]
