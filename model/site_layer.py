"""What one site's decisions add to the shared champion: a small table of weights, learnt online.

A fold over decided comments in order: the same lessons give the same layer, so it can be built
again from a site's decisions at any time. It holds no text, only hashed places. It knows nothing
of other sites, of the store, or of what the champion looks at.

The champion's log-odds are the offset of a logistic regression by AdaGrad (Duchi, Hazan and
Singer 2011); the layer learns what they leave unexplained. It is made to do no harm first:

* it adds at most `LIMIT` to the log-odds, and the lessons of one moderator `MODERATOR_LIMIT`;
* the copies of one campaign weigh 1, 1/4, 1/9 …, all together less than two lessons;
* both classes weigh alike, and after each lesson genuine comments of our own are rehearsed, so
  that on a site that is sent little but spam not every comment begins to look like it;
* it raises scores only beyond what it would add to nearly all of those genuine comments, and
  only as far as the site's own ham has been heard (`ham / (ham + HAM_WANTED)` of the limit);
* it counts as far as it has foretold decisions better than the champion alone, each before it
  was learnt from (prequential log-loss, Dawid 1984): while it has not, it adds nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import pairwise
from math import exp, log1p, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.facts import gather
from model.features import Places, Spec, features
from model.outcome import Head
from model.submission import Author, Submission

Row: TypeAlias = tuple[Places, NDArray[np.float32]]
"""The places and values of one submission, as `model.features.row` gives them."""

LAYER_BITS = 14
"""A layer's table has 2**14 places, onto which the champion's are folded, signs by hash."""

MODERATORS_APART = 2
"""The first so many moderators have a column of weights each; all later ones share one."""

LIMIT = 4.0
"""What a layer adds to the log-odds at most, up or down."""

MODERATOR_LIMIT = 3.0
"""What one moderator's lessons add to the log-odds at most, up or down."""

HALF_LIFE = 500
"""After so many lessons half of what was learnt is left."""

HORIZON = 10 * HALF_LIFE
"""Of older lessons less than a thousandth is left: a fold may start so far back."""

HAM_WANTED = 3.0
CAMPAIGNS_KNOWN = 512
"""Of so many campaigns the copies are counted; the one not seen for longest is forgotten."""

_STEP = 0.7
_DAMPING = 1e-3  # below the square of a usual gradient, so that first steps are bold
_HEAVIEST = 3.0  # how much a lesson of the rarer class may weigh
_REHEARSED = 8  # genuine comments after each lesson
_UNMOVED = 0.95  # the share of genuine comments that may not be raised
_TRUSTED_AT = 2.0  # nats of log-loss gained until the layer counts in full


@dataclass(frozen=True, slots=True)
class Lesson:
    """One decided comment.

    `log_odds` are the champion's for the layer's head, without any layer; `positive` is what
    the person said of that head. `campaign` groups near-duplicates, empty for none.
    """

    id: str
    row: Row = field(repr=False)
    log_odds: float
    positive: bool
    moderator: str
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a layer comes from: the champion, how many lessons, and the id of the last."""

    champion: str
    head: Head
    lessons: int
    last: str


@dataclass(frozen=True, slots=True)
class Genuine:
    """Genuine comments of our own, as rows of a layer's table: what a layer must leave alone.

    Shared by all sites of one champion. Row i is `places[starts[i]:starts[i + 1]]`.
    """

    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, spec: Spec) -> "Genuine":
        """Those that come with the project, read as a champion of this spec does. Some 0.2 s."""
        batch = [gather(submission).texts for submission in _genuine_submissions()]
        indptr, places, values = features(batch, spec).rows()
        rows = [_folded((places[begin:end], values[begin:end])) for begin, end in pairwise(indptr)]
        return cls(
            starts=np.cumsum([0, *(at.size for at, _ in rows)]),
            places=np.concatenate([at for at, _ in rows]),
            values=np.concatenate([values for _, values in rows]),
        )

    def __len__(self) -> int:
        return self.starts.size - 1

    def row(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """One of them."""
        of = slice(self.starts[index], self.starts[index + 1])
        return self.places[of], self.values[of]

    def weighed(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each column of weights adds to each of them, shape (rows, columns)."""
        added = weights.take(self.places, axis=0)
        added *= self.values[:, None]
        return np.add.reduceat(added, self.starts[:-1], axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class SiteLayer:
    """What one site's decisions add to one head of one champion. Immutable.

    `weights` and `squares` (sums of squared gradients) are float32 of shape (2**LAYER_BITS,
    MODERATORS_APART + 1), 400 KB together. `anchor` is what the weights add to nearly all
    genuine comments, 0 or more; `gain` how much better than the champion decisions were
    foretold, in nats; `heard` the lessons of each class, (ham, spam), as far as not faded.
    """

    lineage: Lineage
    version: str
    genuine: Genuine = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    squares: NDArray[np.float32] = field(repr=False)
    anchor: float = 0.0
    gain: float = 0.0
    heard: tuple[float, float] = (0.0, 0.0)
    moderators: tuple[str, ...] = field(default=(), repr=False)
    campaigns: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def fresh(cls, champion: str, genuine: Genuine, *, head: Head = Head.SPAM) -> "SiteLayer":
        """A layer that has learnt nothing and adds nothing, over the champion of that version."""
        shape = (2**LAYER_BITS, MODERATORS_APART + 1)
        return cls(
            lineage=Lineage(champion, head, 0, ""),
            version="",
            genuine=genuine,
            weights=np.zeros(shape, np.float32),
            squares=np.zeros(shape, np.float32),
        )

    @property
    def trust(self) -> float:
        """How far the layer counts, from 0 to 1: by how much better it foretold decisions."""
        return min(max(self.gain / _TRUSTED_AT, 0.0), 1.0)

    def added(self, row: Row) -> float:
        """What the layer adds to the champion's log-odds of a submission, within `LIMIT`.

        `row` is of the champion's features. Tens of microseconds.
        """
        return self.trust * self._untrusted(_folded(row)) if self.gain > 0 else 0.0

    def after(self, lessons: Sequence[Lesson]) -> "SiteLayer":
        """The layer when it has learnt these too, in order. About a millisecond each."""
        layer = replace(self, weights=self.weights.copy(), squares=self.squares.copy())
        for lesson in lessons:
            layer = layer._after(lesson)
        return layer

    def _untrusted(self, row: "_Folded") -> float:
        """What the layer would add if it were trusted."""
        added = float(_limited(self._columns(row)).sum())
        added = added - self.anchor if added > self.anchor else min(added, 0.0)
        ham = self.heard[0]
        return min(max(added, -LIMIT), LIMIT * ham / (ham + HAM_WANTED))

    def _after(self, lesson: Lesson) -> "SiteLayer":
        """After one lesson. Writes into this layer's own arrays: `after` has copied them."""
        row = _folded(lesson.row)
        copies = self.campaigns.get(lesson.campaign, 0) if lesson.campaign else 0
        weight = self._class_weight(lesson.positive) / (1 + copies) ** 2
        gain = self._gain(lesson, row, weight)  # before it is learnt from
        moderators, column = _column_of(lesson.moderator, self.moderators)
        np.multiply(self.weights, _KEPT, out=self.weights)
        np.multiply(self.squares, _KEPT, out=self.squares)
        odds = lesson.log_odds + float(_limited(self._columns(row)).sum())
        self._step(column, row, weight * (_logistic(odds) - lesson.positive))
        self._rehearse(column)
        ham, spam = (count * _KEPT for count in self.heard)
        return replace(
            self,
            lineage=replace(self.lineage, lessons=self.lineage.lessons + 1, last=lesson.id),
            version=_version(self, lesson),
            anchor=self._anchor(),
            gain=gain,
            heard=(ham, spam + 1) if lesson.positive else (ham + 1, spam),
            moderators=moderators,
            campaigns=_counted(self.campaigns, lesson.campaign),
        )

    def _columns(self, row: "_Folded") -> NDArray[np.float32]:
        """What each column adds to a row."""
        places, values = row
        added: NDArray[np.float32] = (self.weights.take(places, axis=0) * values[:, None]).sum(0)
        return added

    def _class_weight(self, positive: bool) -> float:
        """Alike for both classes together, as far as `_HEAVIEST` goes."""
        ham, spam = self.heard[0] + HAM_WANTED, self.heard[1] + HAM_WANTED
        return min((ham + spam) / 2 / (spam if positive else ham), _HEAVIEST)

    def _gain(self, lesson: Lesson, row: "_Folded", weight: float) -> float:
        """`gain` with how much better than the champion this lesson was foretold."""
        alone = _loss(lesson.log_odds, lesson.positive)
        together = _loss(lesson.log_odds + self._untrusted(row), lesson.positive)
        # Bounded, so that no single decision switches a layer on or off.
        gained = weight * min(max(alone - together, -1.0), 1.0)
        return min(max(self.gain * _KEPT + gained, -_TRUSTED_AT), 3 * _TRUSTED_AT)

    def _step(self, column: int, row: "_Folded", slope: float) -> None:
        """One step of AdaGrad down the slope of the loss in the log-odds."""
        places, values = row
        gradient = np.bincount(places, values * np.float32(slope), 2**LAYER_BITS)
        at = gradient.nonzero()[0]
        gradient = gradient[at]
        squares = self.squares[at, column] + gradient**2
        self.squares[at, column] = squares
        self.weights[at, column] -= _STEP * gradient / np.sqrt(_DAMPING + squares)

    def _rehearse(self, column: int) -> None:
        """Take back what a column would add to some of the genuine comments, each in turn."""
        begin = self.lineage.lessons * _REHEARSED
        for turn in range(begin, begin + _REHEARSED):
            row = self.genuine.row(turn * _STRIDE % len(self.genuine))
            added = float(self._columns(row)[column])
            if added > 0:
                self._step(column, row, _logistic(added - 0.5))

    def _anchor(self) -> float:
        added = _limited(self.genuine.weighed(self.weights)).sum(axis=1)
        return max(float(np.quantile(added, _UNMOVED)), 0.0)


_Folded: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]

_KEPT = 0.5 ** (1 / HALF_LIFE)
_STRIDE = 7919  # a prime, so that every genuine comment has its turn


def _folded(row: Row) -> _Folded:
    """A row of the champion's features in a layer's table, of length 1.

    Two places that meet keep apart by half the time having other signs (Weinberger et al.
    2009). The multiplier is Knuth's, 2**32 over the golden ratio.
    """
    places, values = row
    mixed = places.astype(np.uint32) * np.uint32(2654435761)
    at = (mixed >> np.uint32(32 - LAYER_BITS)).astype(np.int64)
    length = sqrt(float((values * values).sum())) or 1.0
    signs = 1 - 2 * ((mixed >> np.uint32(31 - LAYER_BITS)) & np.uint32(1)).astype(np.float32)
    return at, signs * values * np.float32(1 / length)


def _limited(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    limited: NDArray[np.float32] = np.clip(columns, -MODERATOR_LIMIT, MODERATOR_LIMIT)
    return limited


def _column_of(moderator: str, known: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The moderators who have a column, and which one this moderator's lessons go to."""
    key = hashlib.sha256(moderator.encode()).hexdigest()[:12]
    if key not in known and len(known) < MODERATORS_APART:
        known = (*known, key)
    return known, known.index(key) if key in known else MODERATORS_APART


def _counted(campaigns: Mapping[str, int], campaign: str) -> Mapping[str, int]:
    """The counts with one more of this campaign, which is now the last to be forgotten."""
    if not campaign:
        return campaigns
    counted = {key: count for key, count in campaigns.items() if key != campaign}
    counted[campaign] = campaigns.get(campaign, 0) + 1
    if len(counted) > CAMPAIGNS_KNOWN:
        del counted[next(iter(counted))]
    return counted


def _version(layer: SiteLayer, lesson: Lesson) -> str:
    """A name made from the champion and every lesson so far."""
    of = layer.lineage
    told = [of.champion, of.head.value, layer.version, lesson.id, lesson.positive]
    text = json.dumps([*told, lesson.moderator, lesson.campaign])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds)) if odds >= 0 else exp(odds) / (1 + exp(odds))


def _loss(odds: float, positive: bool) -> float:
    """The log-loss of log-odds, in nats."""
    odds = odds if positive else -odds
    return log1p(exp(-abs(odds))) + max(-odds, 0.0)


def _genuine_submissions() -> Iterator[Submission]:
    text = files("model").joinpath("genuine.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        content, name, url = json.loads(line)
        yield Submission(content=content, author=Author(name=name, url=url))
