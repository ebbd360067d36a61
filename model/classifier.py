"""Score submissions with a fitted linear model, and say which characters weighed most.

Needs numpy alone, and `model/kernel.c`, which does the sums. A classifier is one table of
weights with a column for each head; the log-odds of a head are its bias plus the weights at a
submission's places times their values. Calibration is folded into the weights, so the log-odds
are those of the score itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from math import exp

import numpy as np
from numpy.typing import NDArray

from model import kernel
from model.features import FIELDS, Fields, Places, Spec, Texts, Values, plan_for
from model.kernel import Plan
from model.outcome import Head, HeadThresholds, Scores
from model.policy import Policy
from model.promise import Promise
from model.verdict import Span

HEADS: tuple[Head, ...] = (Head.SPAM, Head.TOXICITY)
"""The order of the table's columns."""

SPANS_PER_HEAD = 3


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
    row: tuple[Places, Values] | None = None

    @property
    def scores(self) -> Scores:
        """Calibrated probabilities."""
        return scores_of(self.log_odds)


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted model, ready to score.

    `table` is float32 of shape (2**spec.bits, heads), read only and possibly memory-mapped;
    `bias` float64 of shape (heads,). `learnt_until` is of one that an installation's decisions
    moved: those made until then, it has seen.
    """

    version: str
    spec: Spec
    table: NDArray[np.float32]
    bias: NDArray[np.float64]
    promise: Promise
    learnt_until: datetime | None = None
    _plan: Plan = field(init=False, repr=False, compare=False)
    _thresholds: dict[tuple[str, float, float], HeadThresholds] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        plan = plan_for(self.spec, table=self.table, spans_per_head=SPANS_PER_HEAD)
        object.__setattr__(self, "_plan", plan)

    def thresholds(self, policy: Policy, language: str) -> HeadThresholds:
        """A site's thresholds for comments in a language, as in `Policy.thresholds_by`."""
        key = (language, policy.reject_risk, policy.queue_risk)
        if policy.thresholds or key not in self._thresholds:
            found = policy.thresholds_by(self.promise, language)
            if policy.thresholds or len(self._thresholds) >= _THRESHOLDS_KEPT:
                return found
            self._thresholds[key] = found
        return self._thresholds[key]

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
        fields = Fields.of([texts])
        odds, weights = kernel.character_weights(self._plan, fields.laid)
        ends = np.cumsum([len(text) for text in fields.texts])
        told = [
            Contribution(FIELDS[of], total, weights[:, end - len(text) : end])
            for of, text, total, end in zip(fields.fields, fields.texts, odds, ends, strict=True)
        ]
        found = kernel.weigh(self._plan, fields.laid)
        places, _ = fields.signs(found.counts, self.spec.bits)
        if places:
            signs = self.table.take(places, axis=0).sum(axis=0, dtype=np.float64)
            told.append(
                Contribution("signs", signs * self.spec.shares["signs"], np.empty((len(HEADS), 0)))
            )
        return told

    def log_odds(self, batch: Sequence[Texts]) -> NDArray[np.float64]:
        """The log-odds of each head, float64 of shape (submissions, heads)."""
        parts = []
        for part in _parts(batch):
            fields = Fields.of(part)
            parts.append(self._summed(fields, kernel.weigh(self._plan, fields.laid)))
        return np.concatenate([np.empty((0, len(HEADS))), *parts])

    def _summed(self, fields: Fields, found: kernel.Weighed) -> NDArray[np.float64]:
        """The log-odds of each submission, shape (submissions, heads)."""
        log_odds = np.empty((len(fields.batch), len(HEADS)))
        log_odds[:] = self.bias
        signs = fields.signs(found.counts, self.spec.bits)
        share = self.spec.shares["signs"]
        kernel.add_up(self._plan, fields.laid, found.odds, signs, share=share, log_odds=log_odds)
        return log_odds

    def _explained(self, batch: Sequence[Texts], *, rows: bool) -> list[Explained]:
        fields = Fields.of(batch)
        found = kernel.weigh(self._plan, fields.laid, spans=True, rows=rows)
        log_odds = map(tuple, self._summed(fields, found).tolist())
        spans: list[list[Span]] = [[] for _ in batch]
        names = [FIELDS[of] for of in fields.fields]
        for (owner, head, text, start, end), weight in zip(
            found.spans, found.span_weights, strict=True
        ):
            spans[owner].append(Span(names[text], start, end, HEADS[head], weight))
        read = fields.features(found, self.spec).each() if rows else repeat(None, len(batch))
        return list(map(Explained, log_odds, map(tuple, spans), read))


def _parts(batch: Sequence[Texts]) -> Iterator[Sequence[Texts]]:
    """The batch cut so that no part is longer than need be to share the cost of a call."""
    begin = length = 0
    for at, texts in enumerate(batch):
        size = len(texts.content) + len(texts.name) + len(texts.url)
        if at > begin and length + size > _CHARACTERS_AT_ONCE:
            yield batch[begin:at]
            begin, length = at, 0
        length += size
    if begin < len(batch):
        yield batch[begin:]


_THRESHOLDS_KEPT = 1024

# What a processor keeps near, too: four times as many took a fifth longer for each.
_CHARACTERS_AT_ONCE = 16_384


def scores_of(log_odds: Sequence[float]) -> Scores:
    """The scores that log-odds are those of, a head each."""
    spam, toxicity = log_odds
    return Scores(_logistic(spam), _logistic(toxicity))


def _logistic(z: float) -> float:
    # Two forms, so that neither can overflow.
    return 1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z))
