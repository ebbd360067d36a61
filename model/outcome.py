"""The closed words of a judgement: outcomes, heads, scores and the thresholds between them."""

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

OFF = 2.0
"""A threshold that no score reaches."""


class Outcome(IntEnum):
    """What happens to the comment, ordered by severity."""

    ACCEPT = 0
    QUEUE = 1
    REJECT = 2

    @property
    def word(self) -> str:
        """The outcome as callers read it: `accept`, `queue` or `reject`."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Outcome":
        """The outcome that `word` names. Raises KeyError for any other word."""
        return cls[word.upper()]


class Head(StrEnum):
    """One output of the classifier."""

    SPAM = "spam"
    TOXICITY = "toxicity"


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities in [0, 1], a head each. Raises ValueError for anything else."""

    spam: float
    toxicity: float

    def __post_init__(self) -> None:
        # Also refuses NaN: compared with thresholds it would be below each, and publish.
        if not (0 <= self.spam <= 1 and 0 <= self.toxicity <= 1):
            raise ValueError("scores must be from 0 to 1")

    def of(self, head: Head) -> float:
        """The score of one head."""
        return self.spam if head is Head.SPAM else self.toxicity


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores at which one head's outcome changes; 0 <= queue_at <= reject_at.

    `reject_at` above 1 switches automatic rejection off, and `queue_at` above 1 both.
    Raises ValueError when they do not rise or are not finite.
    """

    queue_at: float
    reject_at: float

    def __post_init__(self) -> None:
        if not 0 <= self.queue_at <= self.reject_at < math.inf:
            raise ValueError("thresholds must rise: 0 <= queue_at <= reject_at")

    def outcome(self, score: float) -> Outcome:
        """The outcome of a score in [0, 1]. What is no number is queued."""
        if score >= self.reject_at:
            return Outcome.REJECT
        if score < self.queue_at:
            return Outcome.ACCEPT
        return Outcome.QUEUE


@dataclass(frozen=True, slots=True)
class HeadThresholds:
    """Thresholds for both heads."""

    spam: Thresholds
    toxicity: Thresholds

    def of(self, head: Head) -> Thresholds:
        """The thresholds of one head."""
        return self.spam if head is Head.SPAM else self.toxicity

    def outcome(self, scores: Scores) -> Outcome:
        """The more severe of the heads' outcomes."""
        return max(self.spam.outcome(scores.spam), self.toxicity.outcome(scores.toxicity))
