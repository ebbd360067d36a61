"""What a model version promises of genuine comments, and the thresholds that keep its word.

A site states two risks: which share of genuine comments may be rejected for their scores, and
which may not be published at once. A promise has, for each language and for a row of risks,
the thresholds that keep to them; `training.umbrella` chose those on held-out genuine comments.
Pure look-ups, no statistics.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from model.language import UNKNOWN
from model.outcome import OFF, HeadThresholds, Thresholds

CONFIDENCE = 0.95
"""How sure a promise is: of so many samples of genuine comments, so many keep it."""

RISKS = (
    0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005, 0.006,
    0.0075, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05,
)  # fmt: skip
"""The risks that thresholds are kept for. One in between counts as the next smaller."""

ANY = "any"
"""The row of all genuine comments, whatever their language."""

_NO_RISK = -1


def is_risk(share: float) -> bool:
    """Whether a site may state it: 0, which means never, or from the first to the last of RISKS."""
    return share == 0 or RISKS[0] <= share <= RISKS[-1]


def comments_needed(risk: float, *, confidence: float = CONFIDENCE) -> int:
    """How many genuine comments it takes to promise a risk above 0 and below 1.

    The least n with (1 - risk)^n <= 1 - confidence (Tong, Feng and Li 2018, section 2): 2,995
    for 0.1 %, 598 for 0.5 %, 299 for 1 %.
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-risk))


@dataclass(frozen=True, slots=True)
class Kept:
    """The thresholds of one language: for each of RISKS one, `OFF` where comments are too few.

    `comments` is how many genuine comments they come from, `groups` of how many threads,
    videos or sites. At most `risk` of such comments have a spam score of `spam_queue_at` or a
    toxicity score of `toxicity_queue_at` or above; at most `risk` a spam score of
    `spam_reject_at` or above.

    Raises ValueError when a column has another length, or a greater risk a higher threshold.
    """

    comments: int
    groups: int
    spam_queue_at: tuple[float, ...]
    toxicity_queue_at: tuple[float, ...]
    spam_reject_at: tuple[float, ...]

    def __post_init__(self) -> None:
        for column in (self.spam_queue_at, self.toxicity_queue_at, self.spam_reject_at):
            if len(column) != len(RISKS):
                raise ValueError("a promise has a threshold for each of its risks")
            if not all(a >= b >= 0 for a, b in zip((OFF, *column), column, strict=False)):
                raise ValueError("a greater risk has a lower threshold, or the same")


_COLUMNS = ("spam_queue_at", "toxicity_queue_at", "spam_reject_at")
_NOTHING = Kept(0, 0, *((OFF,) * len(RISKS),) * 3)


@dataclass(frozen=True, slots=True)
class Promise:
    """Thresholds by language, with `ANY` for all languages together.

    `unit` says what the fits that scored the comments had not seen: their `group`, or their
    whole `source` as well. A promise without languages flags nothing by score.
    """

    languages: Mapping[str, Kept] = field(default_factory=dict)
    unit: str = "group"

    def thresholds(self, language: str, *, reject_risk: float, queue_risk: float) -> HeadThresholds:
        """The thresholds for comments in a language, by tag, `und` among them.

        At most `reject_risk` of its genuine comments is rejected, and at most `queue_risk`
        queued or rejected, for their scores. Too few genuine comments of the language to
        promise that, and nothing in it is rejected, while queueing goes by all languages
        together, without a promise: what is doubtful, a person should see. A text too short
        to tell its language is rejected only where every language would reject it. Toxicity
        rejects nothing.

        A smaller risk never gives a lower threshold.
        """
        queue, reject = _index(queue_risk), _index(reject_risk)
        own = self.languages.get(language, _NOTHING)
        spam = self._queue_at(own.spam_queue_at, "spam_queue_at", queue)
        toxicity = self._queue_at(own.toxicity_queue_at, "toxicity_queue_at", queue)
        reject_at = _at(own.spam_reject_at, reject)
        if language == UNKNOWN and reject_at < OFF:
            reject_at = max(_known(k.spam_reject_at, reject) for k in self.languages.values())
        return _thresholds(spam, max(spam, reject_at), toxicity)

    def missing(self, language: str, risk: float) -> int:
        """How many genuine comments a language lacks to promise a risk; 0 when it has enough."""
        known = self.languages.get(language, _NOTHING)
        return max(0, comments_needed(stated(risk)) - known.comments)

    def _queue_at(self, own: Sequence[float], column: str, queue: int) -> float:
        at = _at(own, queue)
        if at < OFF or queue == _NO_RISK:
            return at
        # Never below what a greater risk gives: a smaller risk must not be more severe.
        pooled: Sequence[float] = getattr(self.languages.get(ANY, _NOTHING), column)
        return max(_at(pooled, queue), _known(own, queue))

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Promise":
        """The promise that `dataclasses.asdict` and JSON made this of.

        Raises TypeError, KeyError, AttributeError or ValueError for anything else.
        """
        languages = {
            tag: Kept(kept["comments"], kept["groups"], *(tuple(kept[c]) for c in _COLUMNS))
            for tag, kept in body["languages"].items()
        }
        return cls(languages, body["unit"])


@lru_cache(maxsize=1024)
def _thresholds(queue_at: float, reject_at: float, toxicity_at: float) -> HeadThresholds:
    """Made once for the few that the sites of a service have: every comment asks for them."""
    return HeadThresholds(Thresholds(queue_at, reject_at), Thresholds(toxicity_at, OFF))


def stated(risk: float) -> float:
    """The risk that is really kept when a site states one above 0: RISKS' next smaller, or it."""
    return RISKS[_index(risk)]


def _index(risk: float) -> int:
    return bisect_right(RISKS, risk) - 1 if risk > 0 else _NO_RISK


def _at(column: Sequence[float], index: int) -> float:
    return OFF if index == _NO_RISK else column[index]


def _known(column: Sequence[float], index: int) -> float:
    """The threshold at a risk, or the highest there is where it is off; 0 where all are."""
    at = _at(column, index)
    return at if at < OFF else max((x for x in column if x < OFF), default=0.0)
