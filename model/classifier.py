"""Score submissions with a fitted linear model, and say which characters weighed most.

Needs numpy alone. A classifier is one table of weights with a column for each head; the
log-odds of a head are its bias plus the weights at a submission's places times their values.
Calibration is folded into the weights, so the log-odds are those of the score itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import FIELDS, Features, Occurrences, Spec, Texts, features
from model.outcome import Head, HeadThresholds, Scores
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
    thresholds: HeadThresholds

    def score(self, batch: Sequence[Texts]) -> list[Scores]:
        """Calibrated probabilities, in the order of the batch; the cost of a call is shared."""
        return [_scores(row) for row in self.log_odds(batch)]

    def explain(self, batch: Sequence[Texts]) -> list[tuple[Scores, tuple[Span, ...]]]:
        """Of each: the scores, and the spans that weighed most towards each head.

        Of a head at most `SPANS_PER_HEAD` spans, heaviest first, all with positive weight.
        """
        return [found for part in _parts(batch) for found in self._explained(part)]

    def contributions(self, texts: Texts) -> list[Contribution]:
        """What each block adds. Their totals and the bias sum to the log-odds exactly."""
        occurring = Occurrences.of([texts], self.spec)
        found = occurring.features()
        totals = self._weighed(found)
        characters = self._characters(occurring, found)
        ends = np.cumsum([len(text) for text in occurring.texts])
        return [
            Contribution(
                FIELDS[field],
                np.array([column[found.blocks == block].sum() for column in totals.T]),
                characters[:, end - len(occurring.texts[block]) : end],
            )
            for block, (field, end) in enumerate(zip(found.fields, ends, strict=True))
        ]

    def log_odds(self, batch: Sequence[Texts]) -> NDArray[np.float64]:
        """The log-odds of each head, float64 of shape (submissions, heads)."""
        parts = [self._log_odds(features(part, self.spec)) for part in _parts(batch)]
        return np.concatenate([np.empty((0, len(HEADS))), *parts])

    def _log_odds(self, found: Features) -> NDArray[np.float64]:
        owners = found.owners[found.blocks]
        return self.bias + np.stack(
            [np.bincount(owners, column, found.size) for column in self._weighed(found).T], axis=1
        )

    def _weighed(self, found: Features) -> NDArray[np.float64]:
        return self.table[found.places] * found.values[found.blocks][:, None]

    def _characters(self, occurring: Occurrences, found: Features) -> NDArray[np.float64]:
        """What each character adds, shape (heads, characters of all blocks one after another).

        A place that stands twice in a block gives half to each stand, and each stand gives
        every character of it the same.
        """
        grams = occurring.starts.size
        blocks, places = occurring.blocks[:grams], occurring.places[:grams]
        bits = np.int64(self.spec.bits)
        at = np.searchsorted((found.blocks << bits) | found.places, (blocks << bits) | places)
        share = found.values[blocks] / np.bincount(at)[at] / (occurring.ends - occurring.starts)
        density = self.table[places] * share[:, None]
        lengths = np.array([len(text) for text in occurring.texts], np.int64)
        begins = (np.cumsum(lengths) - lengths)[blocks]
        size = int(lengths.sum())
        starts, ends = begins + occurring.starts, begins + occurring.ends
        return np.stack(
            [
                np.cumsum(
                    np.bincount(starts, column, size + 1) - np.bincount(ends, column, size + 1)
                )[:size]
                for column in density.T
            ]
        )

    def _explained(self, batch: Sequence[Texts]) -> list[tuple[Scores, tuple[Span, ...]]]:
        occurring = Occurrences.of(batch, self.spec)
        found = occurring.features()
        spans: list[list[Span]] = [[] for _ in batch]
        words = Words(occurring.texts)
        for head, weights in zip(HEADS, self._characters(occurring, found), strict=True):
            heaviest: list[list[Span]] = [[] for _ in batch]
            for run in sorted(words.runs(weights), key=lambda run: -run.weight):
                kept = heaviest[found.owners[run.text]]
                if len(kept) < SPANS_PER_HEAD:
                    text, field = occurring.texts[run.text], FIELDS[found.fields[run.text]]
                    start, end = whole_characters(text, run.start, run.end)
                    kept.append(Span(field, start, end, head, run.weight))
            for all_spans, of_head in zip(spans, heaviest, strict=True):
                all_spans.extend(of_head)
        scores = map(_scores, self._log_odds(found))
        return [(score, tuple(told)) for score, told in zip(scores, spans, strict=True)]


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


def _scores(log_odds: NDArray[np.float64]) -> Scores:
    # Two forms of the logistic function, so that neither can overflow.
    spam, toxicity = (
        float(1 / (1 + np.exp(-z)) if z >= 0 else np.exp(z) / (1 + np.exp(z))) for z in log_odds
    )
    return Scores(spam=spam, toxicity=toxicity)
