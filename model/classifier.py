"""Score submissions with a fitted linear model, and say which characters weighed most.

Needs numpy alone. A classifier is one table of weights with a column for each head; the
log-odds of a head are its bias plus the weights at a submission's places times their values.
Calibration is folded into the weights, so the log-odds are those of the score itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from model.features import FIELDS, Features, Occurrences, Positions, Spec, Texts, features
from model.outcome import Head, Scores
from model.promise import Promise
from model.spans import Words
from model.text import whole_characters
from model.verdict import Span

HEADS: tuple[Head, ...] = (Head.SPAM, Head.TOXICITY)
"""The order of the table's columns."""

SPANS_PER_HEAD = 3


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one block of features adds to the log-odds of each head (float64, shape (heads,)).

    `characters`, shape (heads, n), shares it out over the characters of the field; it is
    empty for signs, which stand for the whole.
    """

    field: str
    total: NDArray[np.float64]
    characters: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted model, ready to score.

    `table` is float32 of shape (2**spec.bits, heads), read only and possibly memory-mapped;
    `bias` float64 of shape (heads,).
    """

    version: str
    spec: Spec
    table: NDArray[np.float32]
    bias: NDArray[np.float64]
    promise: Promise

    def score(self, batch: Sequence[Texts]) -> list[Scores]:
        """Calibrated probabilities, in the order of the batch; the cost of a call is shared."""
        return [_scores(row) for row in self.log_odds(batch).tolist()]

    def explain(self, batch: Sequence[Texts]) -> list[tuple[Scores, tuple[Span, ...]]]:
        """Of each: the scores, and the spans that weighed most towards each head.

        Of a head at most `SPANS_PER_HEAD` spans, heaviest first, all with positive weight.
        """
        return [found for part in _parts(batch) for found in self._explained(part)]

    def contributions(self, texts: Texts) -> list[Contribution]:
        """What each block adds. Their totals and the bias sum to the log-odds exactly."""
        occurring = Occurrences.of([texts], self.spec)
        found, index = occurring.indexed()
        totals = self._weighed(found)
        characters = self._characters(occurring, index, totals)
        ends = np.cumsum([len(text) for text in occurring.texts])
        return [
            Contribution(
                FIELDS[field],
                np.array([column[found.blocks == block].sum() for column in totals]),
                characters[:, end - len(occurring.texts[block]) : end],
            )
            for block, (field, end) in enumerate(zip(found.fields, ends, strict=True))
        ]

    def log_odds(self, batch: Sequence[Texts]) -> NDArray[np.float64]:
        """The log-odds of each head, float64 of shape (submissions, heads)."""
        parts = [self._log_odds(features(part, self.spec)) for part in _parts(batch)]
        return np.concatenate([np.empty((0, len(HEADS))), *parts])

    def _log_odds(self, found: Features) -> NDArray[np.float64]:
        return self._summed(found, self._weighed(found))

    def _summed(self, found: Features, weighed: NDArray[np.float64]) -> NDArray[np.float64]:
        owners = found.owners.take(found.blocks)
        summed = np.empty((found.size, len(weighed)))
        for head, column in enumerate(weighed):
            summed[:, head] = np.bincount(owners, column, found.size)
        summed += self.bias
        return summed

    def _weighed(self, found: Features) -> NDArray[np.float64]:
        """What each feature adds to each head, shape (heads, features)."""
        weights = self.table.take(found.places, axis=0)
        weighed = np.empty(weights.T.shape)
        return np.multiply(weights.T, found.values.take(found.blocks), out=weighed)

    def _characters(
        self, occurring: Occurrences, index: Positions, weighed: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each character adds, shape (heads, characters of all blocks one after another).

        `index` says which feature each occurrence is of. A place that stands twice in a block
        gives half to each stand, and each stand gives every character of it the same.
        """
        grams = occurring.starts.size
        stands = index[:grams]
        # Signs stand nowhere, and share no feature with an n-gram: that is in another block.
        share = 1 / (np.bincount(stands).take(stands) * (occurring.ends - occurring.starts))
        lengths = np.array([len(text) for text in occurring.texts], np.int64)
        begins = (np.cumsum(lengths) - lengths).take(occurring.blocks[:grams])
        size = int(lengths.sum())
        starts, ends = begins + occurring.starts, begins + occurring.ends
        added = np.empty((len(weighed), size))
        for column, characters in zip(weighed, added, strict=True):
            density = column.take(stands)
            density *= share
            steps = np.bincount(starts, density, size + 1)
            steps -= np.bincount(ends, density, size + 1)
            np.cumsum(steps[:size], out=characters)
        return added

    def _explained(self, batch: Sequence[Texts]) -> list[tuple[Scores, tuple[Span, ...]]]:
        occurring = Occurrences.of(batch, self.spec)
        found, index = occurring.indexed()
        weighed = self._weighed(found)
        scores = map(_scores, self._summed(found, weighed).tolist())
        characters = self._characters(occurring, index, weighed)
        # The texts once for each head, so that one pass finds the runs of all.
        blocks = len(occurring.texts)
        runs = Words(occurring.texts * len(HEADS)).runs(characters.ravel())
        owners, fields = found.owners.tolist(), found.fields.tolist()
        heaviest: list[list[list[Span]]] = [[[] for _ in HEADS] for _ in batch]
        runs.sort(key=attrgetter("weight"), reverse=True)
        for run in runs:
            head, block = divmod(run.text, blocks)
            kept = heaviest[owners[block]][head]
            if len(kept) < SPANS_PER_HEAD:
                start, end = whole_characters(occurring.texts[block], run.start, run.end)
                kept.append(Span(FIELDS[fields[block]], start, end, HEADS[head], run.weight))
        told = (tuple(chain.from_iterable(of_heads)) for of_heads in heaviest)
        return list(zip(scores, told, strict=True))


def _parts(batch: Sequence[Texts]) -> Iterator[Sequence[Texts]]:
    """The batch cut so that no part is longer than need be to share the cost of a call.

    Features take some 600 bytes a character while they are read off: a thousand of the longest
    comments at once would take the machine's memory.
    """
    begin = length = 0
    for at, texts in enumerate(batch):
        size = len(texts.content) + len(texts.name) + len(texts.url)
        if at > begin and length + size > _CHARACTERS_AT_ONCE:
            yield batch[begin:at]
            begin, length = at, 0
        length += size
    if begin < len(batch):
        yield batch[begin:]


# What a processor keeps near, too: four times as many took a fifth longer for each.
_CHARACTERS_AT_ONCE = 16_384


def _scores(log_odds: Sequence[float]) -> Scores:
    # Two forms of the logistic function, so that neither can overflow.
    spam, toxicity = (1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z)) for z in log_odds)
    return Scores(spam=spam, toxicity=toxicity)
