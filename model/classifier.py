"""Score submissions with a fitted linear model, and say which characters weighed most.

Needs numpy alone. A classifier is one table of weights with a column for each head; the
log-odds of a head are its bias plus the weights at a submission's places times their values.
Calibration is folded into the weights, so the log-odds are those of the score itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from math import exp
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from model.features import FIELDS, Features, Occurrences, Places, Spec, Texts
from model.letters import PARTS
from model.outcome import Head, Scores
from model.promise import Promise
from model.spans import Words
from model.text import whole_characters
from model.verdict import Span

HEADS: tuple[Head, ...] = (Head.SPAM, Head.TOXICITY)
"""The order of the table's columns."""

SPANS_PER_HEAD = 3

Added = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one field adds to the log-odds of each head (float64, shape (heads,)).

    `characters`, shape (heads, n), shares it out over the characters of the field; it is
    empty for signs, which stand for the whole.
    """

    field: str
    total: NDArray[np.float64]
    characters: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """A submission's log-odds, a head each, and the spans that weighed most.

    `row` has the places and values of its features, for what is learnt on top of the model.
    """

    log_odds: tuple[float, ...]
    spans: tuple[Span, ...]
    row: tuple[Places, NDArray[np.float32]] | None = None

    @property
    def scores(self) -> Scores:
        """Calibrated probabilities."""
        return scores_of(self.log_odds)


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
        return [scores_of(row) for row in self.log_odds(batch).tolist()]

    def explain(self, batch: Sequence[Texts]) -> list[tuple[Scores, tuple[Span, ...]]]:
        """Of each: the scores, and the spans that weighed most towards each head.

        Of a head at most `SPANS_PER_HEAD` spans, heaviest first, all with positive weight.
        """
        return [(found.scores, found.spans) for found in self.explained(batch)]

    def explained(self, batch: Sequence[Texts], *, rows: bool = False) -> list[Explained]:
        """What `explain` says, with log-odds, and with each one's row when `rows` asks for it."""
        return [found for part in _parts(batch) for found in self._explained(part, rows=rows)]

    def contributions(self, texts: Texts) -> list[Contribution]:
        """What each field adds. Their totals and the bias sum to the log-odds exactly."""
        occurring = Occurrences.of([texts], self.spec)
        added = self._added(occurring)
        characters = _characters(occurring, added)
        ends = np.cumsum([len(text) for text in occurring.texts])
        told = [
            Contribution(
                FIELDS[field],
                np.array([column[occurring.text_of == number].sum() for column in added]),
                characters[:, end - len(occurring.texts[number]) : end],
            )
            for number, (field, end) in enumerate(zip(occurring.fields, ends, strict=True))
        ]
        if occurring.sign_places.size:
            signs = self._signs(occurring)[0]
            told.append(Contribution("signs", signs, np.empty((len(HEADS), 0))))
        return told

    def log_odds(self, batch: Sequence[Texts]) -> NDArray[np.float64]:
        """The log-odds of each head, float64 of shape (submissions, heads)."""
        parts = []
        for part in _parts(batch):
            occurring = Occurrences.of(part, self.spec)
            parts.append(self._summed(occurring, self._added(occurring)))
        return np.concatenate([np.empty((0, len(HEADS))), *parts])

    def _summed(self, occurring: Occurrences, added: Added) -> NDArray[np.float64]:
        """The log-odds of each submission, shape (submissions, heads)."""
        owners = occurring.owners.take(occurring.text_of)
        summed = self._signs(occurring) + self.bias
        for head, column in enumerate(added):
            summed[:, head] += np.bincount(owners, column, occurring.size)
        return summed

    def _signs(self, occurring: Occurrences) -> NDArray[np.float64]:
        """What the signs of each submission add, shape (submissions, heads)."""
        weights = self.table.take(occurring.sign_places, axis=0)
        signs = np.empty((occurring.size, len(HEADS)))
        for head in range(len(HEADS)):
            signs[:, head] = np.bincount(occurring.sign_owners, weights[:, head], occurring.size)
        return signs * self.spec.shares["signs"]

    def _added(self, occurring: Occurrences) -> Added:
        """What each n-gram adds to each head, shape (heads, n-grams).

        A text counts as it is, but as far as the spec says for the part of it that says most for
        a head, read as if that were the whole text: good talk around bad words hides less of them.
        """
        weights = self.table.take(occurring.places, axis=0).T.astype(np.float64)
        added: Added = weights * occurring.values()
        if self.spec.worst_part and occurring.parts.any():
            self._count_worst_part(occurring, weights, added)
        return added

    def _count_worst_part(self, occurring: Occurrences, weights: Added, added: Added) -> None:
        texts, text_of = len(occurring.texts), occurring.text_of
        numbers = np.arange(texts)
        parted = np.bincount(text_of, occurring.parts, texts) > 0
        part_of = text_of * PARTS + occurring.parts
        no_part = (np.bincount(part_of, minlength=texts * PARTS) == 0).reshape(texts, PARTS)
        share = self.spec.worst_part
        for head, weighed in enumerate(weights * occurring.part_values()):
            column = added[head]
            sums = np.bincount(part_of, weighed, texts * PARTS).reshape(texts, PARTS)
            sums[no_part] = -np.inf
            worst = sums.argmax(axis=1)
            counts = parted & (sums[numbers, worst] > np.bincount(text_of, column, texts))
            if counts.any():
                column *= np.where(counts, 1 - share, 1).take(text_of)
                here = part_of == np.where(counts, numbers * PARTS + worst, -1).take(text_of)
                column += weighed * (share * here)

    def _explained(self, batch: Sequence[Texts], *, rows: bool) -> list[Explained]:
        occurring = Occurrences.of(batch, self.spec)
        added = self._added(occurring)
        log_odds = map(tuple, self._summed(occurring, added).tolist())
        runs = Words(occurring.texts).runs(_characters(occurring, added))
        owners, fields = occurring.owners.tolist(), occurring.fields.tolist()
        heaviest: list[list[list[Span]]] = [[[] for _ in HEADS] for _ in batch]
        runs.sort(key=attrgetter("weight"), reverse=True)
        for row, text, first, last, weight in runs:
            kept = heaviest[owners[text]][row]
            if len(kept) < SPANS_PER_HEAD:
                start, end = whole_characters(occurring.texts[text], first, last)
                kept.append(Span(FIELDS[fields[text]], start, end, HEADS[row], weight))
        told = (tuple(chain.from_iterable(of_heads)) for of_heads in heaviest)
        read = _rows_of(occurring.features()) if rows else repeat(None, len(batch))
        return list(map(Explained, log_odds, told, read))


def _characters(occurring: Occurrences, added: Added) -> Added:
    """What each character adds, shape (heads, characters of all texts one after another).

    An n-gram gives every character that it stands on the same.
    """
    lengths = np.array([len(text) for text in occurring.texts], np.int64)
    begins = (np.cumsum(lengths) - lengths).take(occurring.text_of)
    size = int(lengths.sum())
    starts, ends = begins + occurring.starts, begins + occurring.ends
    per_character = 1 / (ends - starts)
    characters = np.empty((len(added), size))
    for column, row in zip(added, characters, strict=True):
        density = column * per_character
        steps = np.bincount(starts, density, size + 1)
        steps -= np.bincount(ends, density, size + 1)
        np.cumsum(steps[:size], out=row)
    return characters


def _rows_of(found: Features) -> Iterator[tuple[Places, NDArray[np.float32]]]:
    """The row of each submission."""
    indptr, places, values = found.rows()
    for begin, end in pairwise(indptr.tolist()):
        yield places[begin:end], values[begin:end]


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


def scores_of(log_odds: Sequence[float]) -> Scores:
    """The scores that log-odds are those of, a head each."""
    # Two forms of the logistic function, so that neither can overflow.
    spam, toxicity = (1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z)) for z in log_odds)
    return Scores(spam=spam, toxicity=toxicity)
