"""What one site's decisions add to the shared champion: a small table of weights, learnt online.

A fold over decided comments in order: the same lessons give the same layer, so it can be built
again from a site's decisions at any time. It holds no text, only hashed places. It knows nothing
of other sites, of the store, or of what the champion looks at.

A logistic regression by AdaGrad (Duchi, Hazan and Singer 2011) whose offset is how far the
champion's log-odds are beyond the threshold that settles a comment: the layer learns what it
takes to reject the site's spam and to publish its ham, however the champion's scores are
spread on a site it has never seen. It is made to do no harm first:

* it adds at most `LIMIT` to the log-odds, and the lessons of one moderator `MODERATOR_LIMIT`;
* the copies of one campaign weigh 1, 1/4, 1/9 …, all together less than two lessons;
* both classes weigh alike, and after each lesson comments of our own are rehearsed, so that on
  a site that is sent little but spam not every comment begins to look like it;
* it raises scores only beyond what it would add to nearly all of our genuine comments, a
  caution that fades as the site's own ham is heard, and by a share of the limit that grows
  with that; it lowers them only beyond what it would take from nearly all of our spam;
* of the site's own genuine comments, as far as people spoke of them, it may hold no larger a share
  than the site allows, the next one counted among the held (by exchangeability, as in Wilks, Ann.
  Math. Statist. 12, 1941): each is foretold before it is learnt from, and counts for as many as
  its chance of having been reviewed says (Horvitz and Thompson, JASA 47, 1952);
* it counts as far as it has foretold decisions better than the champion alone, each before it
  was learnt from (prequential log-loss, Dawid 1984): while it has not, it adds nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import pairwise
from math import exp, inf, isfinite, log, log1p, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.facts import gather
from model.features import Places, Spec, Texts, features
from model.outcome import Head, Thresholds
from model.submission import Author, Submission

Row: TypeAlias = tuple[Places, NDArray[np.float32]]
"""The places and values of one submission, as `model.features.row` gives them."""

LAYER_BITS = 14
"""A layer's table has 2**14 places, onto which the champion's are folded, signs by hash."""

MODERATORS_APART = 2
"""The first so many moderators have a column of weights each; all later ones share one."""

LIMIT = 4.0
"""What a layer adds to the log-odds at most."""

MODERATOR_LIMIT = 3.0
"""What one moderator's lessons add to the log-odds at most, up or down."""

HALF_LIFE = 500
"""After so many lessons of one moderator, half of what was learnt from theirs is left."""

HORIZON = 10 * HALF_LIFE
"""A fold may leave out all but the last so many: a thousandth of what they taught is left."""

LOWERED = 2.0
"""What a layer takes off the log-odds at most: ham that looks like spam is safe in the queue."""

HAM_WANTED = 2.0
"""With so many lessons of ham, a layer raises scores by half its limit at most."""

CAMPAIGNS_KNOWN = 512
"""Of so many campaigns the copies are counted; the one not seen for longest is forgotten."""

_STEP = 0.7
_DAMPING = 1e-3  # below the square of a usual gradient, so that first steps are bold
_HEAVIEST = 3.0  # how much a lesson of the rarer class may weigh
_RAISED_HAM = 0.05  # the share of our unheard ham that may be raised
_LOWERED_SPAM = 0.05  # the share of our spam that may be lowered
_CAUTION = 20.0  # lessons of ham after which that edge is half as far
HEARD_KEPT = 400
"""So many of a site's last lessons of ham bound what the layer may raise."""

_MOST_STANDS_FOR = 100.0  # comments that one which was drawn for review may stand for
_LEAST_SCORE = 1e-6
_TRUSTED_AT = 2.0  # nats of log-loss gained until the layer counts in full


@dataclass(frozen=True, slots=True)
class Lesson:
    """One decided comment.

    `margin` is the champion's, as `margin_of` gives it, without any layer; `positive` is what
    the person said of the layer's head. `campaign` groups near-duplicates, empty for none.

    Raises ValueError for a margin that is not finite: one would spoil all that follow.
    """

    id: str
    row: Row = field(repr=False)
    margin: float
    positive: bool
    moderator: str
    campaign: str = ""
    chance: float = 1.0

    def __post_init__(self) -> None:
        if not isfinite(self.margin):
            raise ValueError("margin must be finite")
        if not 0 < self.chance <= 1:
            raise ValueError("a chance is above 0, and at most 1")


def margin_of(log_odds: float, thresholds: Thresholds, *, positive: bool) -> float:
    """How far log-odds are above the threshold that settles a comment of this label.

    That is the one to reject at for what is positive, else the one to queue at; where that is
    off, so that no score reaches it, the other.
    """
    at = (thresholds.queue_at, thresholds.reject_at)[:: -1 if positive else 1]
    score = next((score for score in at if score < 1), 0.5)
    return log_odds - log(max(score, _LEAST_SCORE) / (1 - score))


class Heard(NamedTuple):
    """A genuine comment that was decided: how far beyond the threshold the champion had it, where
    the layer would have put it before it was learnt from, and how many it stands for."""

    margin: float
    reach: float
    weight: float


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a layer comes from: the champion, how many lessons, and the id of the last."""

    champion: str
    head: Head
    lessons: int
    last: str


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a layer's table; of row i the places are `places[starts[i]:starts[i + 1]]`."""

    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, batch: Sequence[Texts], spec: Spec) -> "Rows":
        """Of submissions, one or more, read as a champion of this spec does."""
        indptr, places, values = features(batch, spec).rows()
        rows = [_folded((places[begin:end], values[begin:end])) for begin, end in pairwise(indptr)]
        return cls(
            starts=np.cumsum([0, *(at.size for at, _ in rows)]),
            places=np.concatenate([at for at, _ in rows]),
            values=np.concatenate([values for _, values in rows]),
        )

    def __len__(self) -> int:
        return self.starts.size - 1

    def row(self, index: int) -> "_Folded":
        """One of them."""
        of = slice(self.starts[index], self.starts[index + 1])
        return self.places[of], self.values[of]

    def weighed(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """What weights, shape (2**LAYER_BITS,), add to each of them, shape (rows,)."""
        added = weights.take(self.places)
        added *= self.values
        return np.add.reduceat(added, self.starts[:-1])


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Comments of our own, written for the project, that no site's layer may move much.

    Shared by all sites of one champion. `ham` and `spam` are rehearsed; `unheard` is ham too,
    kept from that, as what is rehearsed no longer tells what happens to other comments.
    """

    ham: Rows
    unheard: Rows
    spam: Rows

    @classmethod
    def of(cls, spec: Spec) -> "Anchors":
        """As a champion of this spec reads them. Takes some tenths of a second."""
        told = [json.loads(line) for line in _ANCHORS.read_text(encoding="utf-8").splitlines()]
        ham, spam = (
            [
                gather(Submission(text, author=Author(name=name, url=url))).texts
                for label, text, name, url in told
                if label == word
            ]
            for word in ("ham", "spam")
        )
        return cls(
            ham=Rows.of(ham[::2], spec), unheard=Rows.of(ham[1::2], spec), spam=Rows.of(spam, spec)
        )


@dataclass(frozen=True, slots=True, eq=False)
class SiteLayer:
    """What one site's decisions add to one head of one champion. Immutable.

    `weights` and `squares` (sums of squared gradients) are float32 of shape
    (MODERATORS_APART + 1, 2**LAYER_BITS), 400 KB together. `held` is what the weights add to
    our own spam and ham at the edge, (0 or less, 0 or more): between the two a layer adds
    nothing. `gain` is how much better than the champion decisions were foretold, in nats;
    `heard` counts the lessons of each class, (ham, spam), as far as not faded. `risk` is what
    share of genuine comments the site allows to be held, 1 for any, and `genuine` the last that
    were heard of. One that `waits` raises nothing before these leave room for the next: over a
    champion that knows the site there is no hurry.
    """

    lineage: Lineage
    version: str
    anchors: Anchors = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    squares: NDArray[np.float32] = field(repr=False)
    held: tuple[float, float] = (0.0, 0.0)
    gain: float = 0.0
    heard: tuple[float, float] = (0.0, 0.0)
    moderators: tuple[str, ...] = field(default=(), repr=False)
    campaigns: Mapping[str, int] = field(default_factory=dict, repr=False)
    risk: float = 1.0
    waits: bool = False
    genuine: tuple[Heard, ...] = field(default=(), repr=False)

    @classmethod
    def fresh(
        cls,
        champion: str,
        anchors: Anchors,
        *,
        head: Head = Head.SPAM,
        risk: float = 1.0,
        waits: bool = False,
    ) -> "SiteLayer":
        """A layer that has learnt nothing and adds nothing, over the champion of that version."""
        shape = (MODERATORS_APART + 1, 2**LAYER_BITS)
        return cls(
            lineage=Lineage(champion, head, 0, ""),
            version="",
            anchors=anchors,
            weights=np.zeros(shape, np.float32),
            squares=np.zeros(shape, np.float32),
            risk=risk,
            waits=waits,
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
        added = self._limited(row)
        low, high = self.held
        added -= min(max(added, low), high)
        ham = self.heard[0]
        return min(max(added, -LOWERED), LIMIT * ham / (ham + HAM_WANTED))

    def _after(self, lesson: Lesson) -> "SiteLayer":
        """After one lesson. Writes into this layer's own arrays: `after` has copied them."""
        row = _folded(lesson.row)
        copies = self.campaigns.get(lesson.campaign, 0) if lesson.campaign else 0
        share = 1 / (1 + copies) ** 2
        weight = share * self._class_weight(lesson.positive)
        gain = self._gain(lesson, row, weight, share)  # before it is learnt from
        moderators, column = _column_of(lesson.moderator, self.moderators)
        # A moderator's lessons fade by that moderator's own: nobody decides another's away.
        self.weights[column] *= np.float32(_kept(share))
        self.squares[column] *= np.float32(_kept(share))
        odds = lesson.margin + self._limited(row)
        self._step(column, row, weight * (_logistic(odds) - lesson.positive))
        self._rehearse(column, share)
        learnt = replace(
            self,
            moderators=moderators,
            heard=self._heard_with(lesson, share),
            genuine=self._genuine_with(lesson, odds, share),
        )
        return replace(
            learnt,
            lineage=replace(self.lineage, lessons=self.lineage.lessons + 1, last=lesson.id),
            version=_version(self, lesson),
            held=learnt._held(),
            gain=gain,
            campaigns=_counted(self.campaigns, lesson.campaign),
        )

    def _column(self, column: int, row: "_Folded") -> float:
        """What one column of weights adds to a row."""
        places, values = row
        return float(self.weights[column].take(places) @ values)

    def _limited(self, row: "_Folded") -> float:
        """What all columns add to a row, each within its limit."""
        columns = (self._column(column, row) for column in self._used())
        return sum(min(max(added, -MODERATOR_LIMIT), MODERATOR_LIMIT) for added in columns)

    def _used(self) -> range:
        """The columns that can hold anything but zeros: most sites have one moderator."""
        known = len(self.moderators)
        return range(known if known < MODERATORS_APART else MODERATORS_APART + 1)

    def _heard_with(self, lesson: Lesson, share: float) -> tuple[float, float]:
        ham, spam = self.heard[0] * _kept(share), self.heard[1] * _kept(share)
        return (ham, spam + share) if lesson.positive else (ham + share, spam)

    def _class_weight(self, positive: bool) -> float:
        """Alike for both classes together, as far as `_HEAVIEST` goes."""
        ham, spam = self.heard[0] + HAM_WANTED, self.heard[1] + HAM_WANTED
        return min((ham + spam) / 2 / (spam if positive else ham), _HEAVIEST)

    def _gain(self, lesson: Lesson, row: "_Folded", weight: float, share: float) -> float:
        """`gain` with how much better than the champion this lesson was foretold."""
        alone = _loss(lesson.margin, lesson.positive)
        together = _loss(lesson.margin + self._untrusted(row), lesson.positive)
        # Bounded, so that no single decision switches a layer on or off.
        gained = weight * min(max(alone - together, -1.0), 1.0)
        return min(max(self.gain * _kept(share) + gained, -_TRUSTED_AT), 3 * _TRUSTED_AT)

    def _step(self, column: int, row: "_Folded", slope: float) -> None:
        """One step of AdaGrad down the slope of the loss in the log-odds."""
        places, values = row
        gradient = values * np.float32(slope)
        squares = self.squares[column]
        np.add.at(squares, places, gradient * gradient)
        gradient *= np.float32(_STEP) / np.sqrt(np.float32(_DAMPING) + squares.take(places))
        np.subtract.at(self.weights[column], places, gradient)

    def _rehearse(self, column: int, share: float) -> None:
        """Take back what a column would add to some of our own comments, each in turn."""
        for rows, count, sign in ((self.anchors.ham, 8, 1), (self.anchors.spam, 4, -1)):
            begin = self.lineage.lessons * count
            for turn in range(begin, begin + count):
                row = rows.row(turn * _STRIDE % len(rows))
                wrong = self._column(column, row) * sign
                if wrong > 0:
                    self._step(column, row, share * sign * _logistic(wrong - 0.5))

    def _held(self) -> tuple[float, float]:
        """The edges of what the layer must not act on; see `held`."""
        low = float(np.quantile(self._weighed(self.anchors.spam), _LOWERED_SPAM))
        high = float(np.quantile(self._weighed(self.anchors.unheard), 1 - _RAISED_HAM))
        caution = _CAUTION / (_CAUTION + self.heard[0])
        return min(low, 0.0), max(max(high, 0.0) * caution, self._allowed_by_own())

    def _genuine_with(self, lesson: Lesson, reach: float, share: float) -> tuple[Heard, ...]:
        if lesson.positive:
            return self.genuine
        weight = share * min(1 / lesson.chance, _MOST_STANDS_FOR)
        return (*self.genuine, Heard(lesson.margin, reach, weight))[-HEARD_KEPT:]

    def _allowed_by_own(self) -> float:
        """From where on raising holds no more of the site's genuine comments than it allows.

        What the champion holds by itself uses up its part of that.
        """
        # Of n alike, k of them held, the next one is held with a chance of (k + 1) / (n + 1).
        allowed = self.risk * (1 + sum(one.weight for one in self.genuine)) - 1
        allowed -= sum(one.weight for one in self.genuine if one.margin > 0)
        if self.waits and allowed < 0:
            return inf
        allowed = max(allowed, 0.0)
        raised = sorted(
            ((one.reach, one.weight) for one in self.genuine if one.margin <= 0 < one.reach),
            reverse=True,
        )
        for reach, weight in raised:
            allowed -= weight
            if allowed < 0:
                return reach
        return 0.0

    def _weighed(self, rows: Rows) -> NDArray[np.float32]:
        """What all columns add to each row, each within its limit."""
        added = np.zeros(len(rows), np.float32)
        for column in self._used():
            of_column = rows.weighed(self.weights[column])
            added += of_column.clip(-MODERATOR_LIMIT, MODERATOR_LIMIT)
        return added


_Folded: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]

_FADING = log(2) / HALF_LIFE
_STRIDE = 7919  # a prime, so that every one of our comments has its turn
_ANCHORS = files("model").joinpath("anchors.jsonl")


_MULTIPLIER, _SHIFT, _MASK = map(np.uint32, (2654435761, 31 - LAYER_BITS, 2**LAYER_BITS - 1))


def _folded(row: Row) -> _Folded:
    """A row of the champion's features in a layer's table, of length 1.

    What two places that meet add cancels out as often as it adds up, as each has a sign by its
    hash (Weinberger et al. 2009). The multiplier is Knuth's, 2**32 over the golden ratio.
    """
    places, values = row
    mixed = places.astype(np.uint32)
    mixed *= _MULTIPLIER
    at = mixed >> _SHIFT
    at &= _MASK
    length = sqrt(float(values @ values)) or 1.0
    signed = np.copysign(values, mixed.view(np.float32))  # its highest bit
    signed *= np.float32(1 / length)
    return at.astype(np.int64), signed


def _column_of(moderator: str, known: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The moderators who have a column, and which one this moderator's lessons go to."""
    key = hashlib.sha256(moderator.encode("utf-8", "surrogatepass")).hexdigest()[:12]
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
    text = json.dumps([*told, lesson.moderator, lesson.campaign, f"{lesson.margin:.2f}"])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _kept(lessons: float) -> float:
    """What share of a number is left after so many lessons."""
    return exp(-_FADING * lessons)


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds)) if odds >= 0 else exp(odds) / (1 + exp(odds))


def _loss(odds: float, positive: bool) -> float:
    """The log-loss of log-odds, in nats."""
    odds = odds if positive else -odds
    return log1p(exp(-abs(odds))) + max(-odds, 0.0)
