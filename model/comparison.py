"""What became of one labelled set of comments under two versions, side by side.

Plain values, and JSON both ways: `training.comparing` makes them, the registry keeps them, the
promotion rule and the pages read them. Holds figures, names, and of comments only what was
masked and cut short. Knows no arithmetic but which way a figure should move.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from model.json_form import JsonFormError, from_json, json_of

FORMAT = 2

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "genuine_rejected": LOWER,
        "genuine_queued": LOWER,
        "genuine_held": LOWER,
        "spam_rejected": HIGHER,
        "spam_queued": NEITHER,
        "spam_caught": HIGHER,
        "spam_found_at_risk": HIGHER,
        "toxic_caught": HIGHER,
        "clean_held": LOWER,
        "toxic_found_at_risk": HIGHER,
        "spam_ranking": HIGHER,
        "toxicity_ranking": HIGHER,
        "spam_calibration_error": LOWER,
        "toxicity_calibration_error": LOWER,
    }
)
"""Every figure by name, in the order they are shown, and which way is better.

Shares of genuine comments (labelled ham), of spam, of toxic and of clean ones, under the policy
and each version's own thresholds: `rejected`, `queued`, and either of them (`held` for what
should be published, `caught` for what should not). `found_at_risk` forgets the versions' own
thresholds: the share of spam scored above what at most `promise_risk` of these genuine
comments reach (of toxic ones, `queue_risk` of the clean ones), the fair match of two versions
that promise differently. `ranking` is the area under the ROC curve; `calibration_error` the
expected one, see `training.evaluation.Metrics`. All are from 0 to 1.
"""


class ComparisonError(ValueError):
    """JSON that is no comparison. The message names the place, never what stands there."""


class ComparisonOutdated(ComparisonError):
    """The JSON of a comparison that an earlier version of this program wrote."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval. None for what the comments cannot tell.

    Raises ValueError when an end is there without a value, or the value lies outside.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if any(x is not None and not math.isfinite(x) for x in (self.value, self.low, self.high)):
            raise ValueError("an interval is of finite numbers")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both ends or none")
        if self.low is None or self.high is None:
            return
        if self.value is None or not self.low <= self.value <= self.high:
            raise ValueError("a figure lies in its interval")


UNKNOWN_INTERVAL = Interval(None)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both versions on the same comments.

    `difference` is challenger less champion, its interval from resampling both on the same
    groups: narrower than what the two intervals alone would say. `rows` is how many comments
    the figure is of.
    """

    name: str
    champion: Interval
    challenger: Interval
    difference: Interval
    rows: int = 0

    @property
    def better(self) -> str:
        """Which way is better: `higher`, `lower` or `neither`."""
        return FIGURES.get(self.name, NEITHER)

    @property
    def is_better(self) -> bool:
        """Whether the challenger is better beyond the interval."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return False
        return low > 0 if self.better == HIGHER else self.better == LOWER and high < 0

    @property
    def is_worse(self) -> bool:
        """Whether the challenger is worse beyond the interval."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return False
        return high < 0 if self.better == HIGHER else self.better == LOWER and low > 0


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the comments: `kind` is language, site, source, length or new_author.

    `rows` comments in all, `genuine` of them labelled ham and `spam` spam. Figures are those
    of FIGURES that the part has comments for; `served`, of a site alone, as `Comparison.served`.
    """

    kind: str
    name: str
    rows: int
    genuine: int
    spam: int
    figures: tuple[Figure, ...]
    served: tuple[Figure, ...] = ()

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, None where the part cannot tell."""
        return next((figure for figure in self.figures if figure.name == name), None)


@dataclass(frozen=True, slots=True)
class FlipExample:
    """A comment that the versions treat otherwise.

    `id` is the store's name of the comment, empty for one from a file. `text` is cut short, with
    addresses, numbers to call and links masked; scores are of the head that its label is of,
    None where nothing scored.
    """

    id: str
    text: str = field(repr=False)
    language: str
    source: str
    champion_score: float | None
    challenger_score: float | None


@dataclass(frozen=True, slots=True)
class Flip:
    """How many comments of one label went from one outcome to another.

    `label` is genuine, spam, toxic or clean; `before` and `after` are outcomes, the champion's
    and the challenger's. `is_harm` where the challenger is the one that is wrong, or wrong by
    more. `of` is how many comments have the label.
    """

    label: str
    before: str
    after: str
    count: int
    of: int
    is_harm: bool
    examples: tuple[FlipExample, ...] = ()

    @property
    def kind(self) -> str:
        """The flip as one word and a move: "genuine accept>reject"."""
        return f"{self.label} {self.before}>{self.after}"


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """Of comments scored `score` on average, `share` are spam (or toxic); of `rows` comments.

    Were there as many of either label.
    """

    score: float
    share: float
    rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores against the truth, for one head, by bins of equal mass from low to high."""

    head: str
    champion: tuple[CalibrationPoint, ...]
    challenger: tuple[CalibrationPoint, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """What each version finds (0 to 1) where so much of what is wanted is flagged.

    `rates` rise, from 0 to 1; the three have one length.
    """

    head: str
    rates: tuple[float, ...]
    champion: tuple[float, ...]
    challenger: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Attacked:
    """What both versions do when comments are disguised in one way (see docs/attacks.md).

    `spam_caught` is of the spam that the attack changed, `genuine_held` of the genuine
    comments that it changed, neither of which was changed otherwise.
    """

    name: str
    spam_caught: Figure
    genuine_held: Figure


@dataclass(frozen=True, slots=True)
class Drift:
    """How the champion scores these comments against those it was measured on.

    `stability` is the population stability index of the two, None where either is missing:
    below 0.1 is noise, above 0.25 wants a look. Counts are over equal bins of [0, 1].
    """

    head: str
    label: str
    stability: float | None
    then: tuple[int, ...]
    now: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the comments one source, account or kind of word gave.

    `weight` is its share of the weight, 0 to 1.
    """

    name: str
    rows: int
    weight: float


@dataclass(frozen=True, slots=True)
class DataCard:
    """Which comments these are: where from, who labelled them, how they came to be reviewed.

    `accounts` are who gave the labels, the greatest share first, addresses masked. `reviewed`
    is why they were looked at; `weighted` how many rows weigh other than 1 for their chance of
    review, `effective` how many rows of equal weight would tell as much. `conflicts` comments
    were given more than one word; `left_out` counts what was not used, and why. Dates are ISO
    8601, empty where unknown.
    """

    sources: tuple[Share, ...] = ()
    languages: tuple[Share, ...] = ()
    accounts: tuple[Share, ...] = ()
    reviewed: tuple[Share, ...] = ()
    weighted: int = 0
    effective: float = 0.0
    conflicts: int = 0
    campaigns: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader must know: a code that the pages have words for, and its numbers."""

    code: str
    values: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions on one labelled set of comments.

    `judged` says what the challenger had seen of them: `held_out` (each comment judged by a
    fit that has not seen its group), `unseen` (none was fitted to), or `unknown` (whoever
    compared does not say). `at` is ISO 8601. `promise_risk` is the share of genuine comments that
    the policy lets scores reject, `queue_risk` that they may reject or queue; `policy` is the
    policy's version. `rows` is `genuine` + `spam` + `toxic` + `clean`; `groups` are what was
    resampled.

    `figures` are of the two versions alone; `served` are the shares among them once more, with
    what each site had learnt from its decisions until a comment came, over either version. Empty
    where no site's decisions are among the comments.
    """

    champion: str
    challenger: str
    at: str
    judged: str
    policy: str
    promise_risk: float
    queue_risk: float
    rows: int
    genuine: int
    spam: int
    toxic: int
    clean: int
    groups: int
    figures: tuple[Figure, ...]
    served: tuple[Figure, ...] = ()
    slices: tuple[Slice, ...] = ()
    flips: tuple[Flip, ...] = ()
    curves: tuple[Curve, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    attacks: tuple[Attacked, ...] = ()
    drift: tuple[Drift, ...] = ()
    data: DataCard = field(default_factory=DataCard)
    notes: tuple[Note, ...] = ()
    format: int = FORMAT

    def figure(self, name: str) -> Figure | None:
        """The figure of that name over all comments, None where they cannot tell."""
        return next((figure for figure in self.figures if figure.name == name), None)

    def without_texts(self) -> "Comparison":
        """The comparison to be kept: of comments that the store has, their names alone.

        The store shows who may see them, and forgets them in time; a registry is copied to
        places that know neither.
        """
        flips = tuple(
            replace(
                flip,
                examples=tuple(replace(e, text="") if e.id else e for e in flip.examples),
            )
            for flip in self.flips
        )
        return replace(self, flips=flips)

    def to_json(self) -> str:
        """The comparison as JSON with sorted keys: equal comparisons are equal bytes."""
        return json_of(self)

    @classmethod
    def from_json(cls, text: str) -> "Comparison":
        """The comparison that `to_json` wrote. Raises ComparisonError for anything else."""
        try:
            made = from_json(cls, text)
        except JsonFormError as problem:
            if _format_in(text) in range(1, FORMAT):
                raise ComparisonOutdated("an earlier version of this program wrote it") from None
            raise ComparisonError(f"no comparison: {problem}") from None
        if made.format != FORMAT:
            raise ComparisonError(f"this program reads comparisons of format {FORMAT}")
        return made


def _format_in(text: str) -> object:
    """What JSON says of its format; None where it is no object."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    told = body.get("format") if isinstance(body, dict) else None
    return told if type(told) is int else None
