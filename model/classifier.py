"""Score submissions with a fitted linear model, and say which characters weighed most.

Needs numpy alone. A classifier is one table of weights with a column for each head; the
log-odds of a head are its bias plus the weights at a submission's places times their values.
Calibration is folded into the weights, so the log-odds are those of the score itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import (
    Features,
    Occurrences,
    Spec,
    Texts,
    features,
    located,
    occurrences,
)
from model.outcome import Head, HeadThresholds, Scores
from model.text import whole_characters
from model.verdict import Span

HEADS: tuple[Head, ...] = (Head.SPAM, Head.TOXICITY)
"""The order of the table's columns."""

SPANS_PER_HEAD = 3

_ROUNDING = 1e-9


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
    thresholds: HeadThresholds

    def score(self, batch: Sequence[Texts]) -> list[Scores]:
        """Calibrated probabilities, in the order of the batch; the cost of a call is shared."""
        return [_scores(row) for row in self.log_odds(batch)]

    def explain(self, texts: Texts) -> tuple[Scores, tuple[Span, ...]]:
        """The scores and the spans that weighed most towards each head, heaviest first."""
        found, blocks = located(texts, self.spec)
        spans: list[Span] = []
        for block in blocks:
            if block.starts.size:
                spans.extend(self._spans(block, _FIELDS[block.field](texts)))
        spans.sort(key=lambda span: -span.weight)
        kept = [
            span for head in HEADS for span in [s for s in spans if s.head is head][:SPANS_PER_HEAD]
        ]
        return _scores(self._log_odds(found)[0]), tuple(kept)

    def contributions(self, texts: Texts) -> list[Contribution]:
        """What each block adds. Their totals and the bias sum to the log-odds exactly."""
        return [
            Contribution(block.field, self._total(block), self._characters(block))
            for block in occurrences(texts, self.spec)
        ]

    def log_odds(self, batch: Sequence[Texts]) -> NDArray[np.float64]:
        """The log-odds of each head, float64 of shape (submissions, heads)."""
        parts = [self._log_odds(features(part, self.spec)) for part in _parts(batch)]
        return np.concatenate([np.empty((0, len(HEADS))), *parts])

    def _log_odds(self, found: Features) -> NDArray[np.float64]:
        weighed = self.table[found.places] * found.values[found.blocks][:, None]
        owners = found.owners[found.blocks]
        return self.bias + np.stack(
            [np.bincount(owners, column, found.size) for column in weighed.T], axis=1
        )

    def _total(self, block: Occurrences) -> NDArray[np.float64]:
        weights = self.table[block.distinct]
        return np.asarray(weights.sum(axis=0, dtype=np.float64) * block.value)

    def _characters(self, block: Occurrences) -> NDArray[np.float64]:
        """The block's total, shared out: a place that stands twice gives half to each stand."""
        if not block.starts.size:
            return np.empty((len(HEADS), 0))
        stands = np.bincount(np.searchsorted(block.distinct, block.places))
        share = block.value / stands[np.searchsorted(block.distinct, block.places)]
        lengths = np.maximum(block.ends - block.starts, 1)
        size = int(block.ends.max())
        density = self.table[block.places].astype(np.float64) * (share / lengths)[:, None]
        return np.stack(
            [
                np.cumsum(
                    np.bincount(block.starts, column, size + 1)
                    - np.bincount(block.starts + lengths, column, size + 1)
                )[:size]
                for column in density.T
            ]
        )

    def _spans(self, block: Occurrences, text: str) -> list[Span]:
        return [
            Span(block.field, *whole_characters(text, start, end), head, weight)
            for head, weights in zip(HEADS, self._characters(block), strict=True)
            for start, end, weight in heaviest_runs(weights, at_most=SPANS_PER_HEAD)
        ]


_FIELDS: Mapping[str, Callable[[Texts], str]] = {
    "content": lambda texts: texts.content,
    "author.name": lambda texts: texts.name,
    "author.url": lambda texts: texts.url,
}


def _parts(batch: Sequence[Texts]) -> Iterator[Sequence[Texts]]:
    """The batch cut so that no part is much longer than the longest comment there may be.

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


_CHARACTERS_AT_ONCE = 65_536


def heaviest_runs(weights: NDArray[np.float64], *, at_most: int) -> list[tuple[int, int, float]]:
    """The runs of characters where weight is dense: (start, end, weight), heaviest first.

    A run is a maximum-sum segment of what exceeds the mean positive weight (Kadane's
    problem, solved over prefix sums) less a tenth, so a uniformly heavy text gives one long
    run and a single heavy word gives that word. Only runs with positive weight count, and
    what rounding leaves where weights cancel out is none. Runs do not overlap.
    """
    positive = weights[weights > _ROUNDING]
    if not positive.size:
        return []
    excess = weights - 0.9 * positive.mean()
    # No run is worth crossing this. Not a huge number: the sums after it would lose their digits.
    barrier = -excess[excess > 0].sum() - _ROUNDING
    runs = []
    for _ in range(at_most):
        prefix = np.concatenate([[0.0], np.cumsum(excess)])
        lowest = np.minimum.accumulate(prefix)
        end = int(np.argmax(prefix - lowest))
        if prefix[end] - lowest[end] <= 0:
            break
        start = int(np.argmin(prefix[: end + 1]))
        runs.append((start, end, float(weights[start:end].sum())))
        excess[start:end] = barrier
    return sorted(runs, key=lambda run: -run[2])


def _scores(log_odds: NDArray[np.float64]) -> Scores:
    # Two forms of the logistic function, so that neither can overflow.
    spam, toxicity = (
        float(1 / (1 + np.exp(-z)) if z >= 0 else np.exp(z) / (1 + np.exp(z))) for z in log_odds
    )
    return Scores(spam=spam, toxicity=toxicity)
