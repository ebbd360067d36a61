"""Have both versions judge the same labelled comments.

Knows how a comment is judged as it was when it came, and what it weighs. Knows no figure.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.classifier import Classifier
from model.comparison import Note
from model.decision import LabelledExample, WordOf
from model.judging import Case, judge
from model.language import language_of
from model.outcome import Head
from model.policy import Policy
from model.submission import History
from training.evaluation import Floats, Judged
from training.examples import submission_of
from training.paired import Bools, Pair
from training.resolving import Bounds, Reliance, resolved

CHUNK = 500
"""Examples judged in one task."""

STORE = "duyet:"
"""How the source of a label from an installation's store begins; the site's name follows."""


MEASURING = Bounds(most_inverse=math.inf, half_life_days=math.inf)
"""How labels are held against each other to be measured on."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A version, and what judges in its name.

    One classifier, or one for each fold, `fold_of` saying which of them has not seen the
    group of each example. `judged` is what `Comparison.judged` says.
    """

    version: str
    classifiers: tuple[Classifier, ...]
    fold_of: tuple[int, ...] | None = None
    judged: str = "unknown"

    def judge_of(self, count: int) -> NDArray[np.intp]:
        """Which classifier judges each of so many examples. Raises ValueError without one each."""
        if self.fold_of is None:
            return np.zeros(count, np.intp)
        if len(self.fold_of) != count:
            raise ValueError("each example needs a fold")
        return np.array(self.fold_of, np.intp)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The comments to compare on, and what was left out of them.

    `weights` are what each counts; by default its own weight by the inverse of its chance of
    review. `lessons` are the labels that sites learn from by themselves; by default those among
    the examples. `notes` are what whoever has them knows, to be told with the comparison.
    """

    examples: tuple[LabelledExample, ...]
    weights: tuple[float, ...] = ()
    conflicts: int = 0
    campaigns: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    lessons: tuple[LabelledExample, ...] | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare. `jobs` is a number of processes, -1 for one a core.

    `attacked` spam comments, and genuine ones, are disguised in every way, drawn by lot from
    those there are: 100 of each take some ten seconds, 0 leaves the table out. `told` hears what
    share is done.
    """

    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    jobs: int = 1
    attacked: int = 100
    told: Callable[[float], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Judgements:
    """What one version said of each example: the score of its label's head, and the outcome."""

    score: Floats
    outcome: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Compared:
    """Every example as both versions judged it. Arrays of one length, in the order given.

    `folds` are which of the champion's and of the challenger's classifiers judged each. `served`
    has the outcomes with what each site had learnt, None where none had.
    """

    examples: tuple[LabelledExample, ...]
    pair: Pair
    head: NDArray[np.str_]
    folds: tuple[NDArray[np.intp], NDArray[np.intp]]
    served: Pair | None = None

    @property
    def groups(self) -> int:
        """How many groups, or comments that stand alone, there are."""
        return len(np.unique(self.pair.champion.unit))

    def of(self, head: Head, *, positive: bool | None = None) -> Bools:
        """The examples that a head's label was given to, or one label."""
        rows = self.head == head.value
        if positive is not None:
            rows = rows & (self.pair.champion.positive == positive)
        return np.asarray(rows, np.bool_)

    def where(self, chosen: Bools) -> "Compared":
        """The examples that are chosen."""
        kept = tuple(e for e, is_in in zip(self.examples, chosen, strict=True) if is_in)
        one, other = self.folds
        return Compared(
            kept,
            self.pair.where(chosen),
            self.head[chosen],
            (one[chosen], other[chosen]),
            self.served.where(chosen) if self.served is not None else None,
        )

    def real(self) -> "Compared":
        """The examples that somebody posted; all of them where nobody did."""
        synthetic = self.pair.champion.synthetic
        return self if synthetic.all() else self.where(~synthetic)


def judged_by_both(
    champion: Contender, challenger: Contender, labelled: Labelled, options: Options
) -> Compared:
    """Each example as both versions judge it, with the history that was stored with it.

    Costs about a millisecond an example, version and core.
    """
    examples = labelled.examples
    rows = _rows(examples, weights_of(labelled))
    folds = (champion.judge_of(len(examples)), challenger.judge_of(len(examples)))
    sides = []
    for at, (contender, which) in enumerate(zip((champion, challenger), folds, strict=True)):

        def told(done: float, at: int = at) -> None:
            options.told((at + done) / 2)

        said = judgements(contender, examples, which, replace(options, told=told))
        sides.append(replace(rows, score=said.score, outcome=said.outcome))
    head = np.array([e.label.head.value for e in examples], np.str_)
    return Compared(examples, Pair(*sides), head, folds)


def labelled_of(
    examples: Iterable[LabelledExample], *, reliance: Reliance | None = None, jobs: int = 1
) -> Labelled:
    """Examples to compare on, held against each other as for training (`training.resolving`).

    Unlike there, an old label counts as much as a new one, and the inverse of the chance of
    review is not bounded: what is measured should be true of all comments, at the price of a
    wider interval.
    """
    given = list(examples)
    found = resolved(given, MEASURING, reliance=reliance, jobs=jobs)
    return Labelled(
        examples=found.examples,
        weights=found.weights,
        conflicts=len(found.conflicts),
        campaigns=len(found.campaigns),
        left_out=found.left_out,
        lessons=tuple(filter(is_lesson, given)),
    )


def is_lesson(example: LabelledExample) -> bool:
    """Whether a site learns from it by itself: from what its moderators decided about spam."""
    return (
        example.source.startswith(STORE)
        and example.provenance.kind is WordOf.DECISION
        and example.label.head is Head.SPAM
    )


def weights_of(labelled: Labelled) -> Floats:
    """What each example counts.

    People see all that was queued and a random share of the rest; each of those few stands
    for the many like it that nobody looked at (Horvitz and Thompson 1952). Where nobody drew, the
    chance is unknown and the weight stays.
    """
    if labelled.weights:
        return np.array(labelled.weights, float)
    told = [e.weight / (e.provenance.chance or 1.0) for e in labelled.examples]
    return np.array(told, float)


def judgements(
    contender: Contender,
    examples: Sequence[LabelledExample],
    which: NDArray[np.intp],
    options: Options,
) -> Judgements:
    """What a version says of each example, by the classifier of that number, under the policy.

    What share of them is judged `options.told` hears.
    """
    score, outcome = np.full(len(examples), np.nan), np.zeros(len(examples), np.int8)
    chunks = [
        (number, rows)
        for number in range(len(contender.classifiers))
        for rows in _chunks(np.flatnonzero(which == number))
    ]
    work = Parallel(n_jobs=options.jobs, max_nbytes="1M", return_as="generator")
    judged = work(
        delayed(_judged)(
            contender.classifiers[number], [examples[row] for row in rows], options.policy
        )
        for number, rows in chunks
    )
    for at, ((_, rows), (scores, outcomes)) in enumerate(zip(chunks, judged, strict=True), 1):
        score[rows], outcome[rows] = scores, outcomes
        options.told(at / len(chunks))
    return Judgements(score, outcome)


def _chunks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]


def _judged(
    classifier: Classifier, examples: Sequence[LabelledExample], policy: Policy
) -> tuple[list[float], list[int]]:
    version = policy.version
    cases = [Case(submission_of(e), history_of(e), policy, version) for e in examples]
    verdicts = judge(cases, classifier)
    scores = [
        verdict.scores.of(example.label.head) if verdict.scores else np.nan
        for example, verdict in zip(examples, verdicts, strict=True)
    ]
    return scores, [int(verdict.outcome) for verdict in verdicts]


def history_of(example: LabelledExample) -> History:
    """What was known when the comment came, as stored with its verdict; else nothing.

    What is not what we would have stored counts as nothing: a file may say anything.
    """
    told = example.extra.get("history")
    if not isinstance(told, Mapping):
        return History()
    usual = History()
    counts = {name: getattr(usual, name) for name in usual.__dataclass_fields__}
    for name in counts:
        value = told.get(name)
        if isinstance(value, int | float) and 0 <= value <= 1e12:
            counts[name] = value
    return History(**counts)


def _rows(examples: Sequence[LabelledExample], weight: Floats) -> Judged:
    """The examples as columns, before anybody has judged them."""
    units: dict[object, int] = {}
    keys = ((e.source, e.group) if e.group else at for at, e in enumerate(examples))
    return Judged(
        positive=np.array([e.label.positive for e in examples], np.bool_),
        score=np.full(len(examples), np.nan),
        outcome=np.zeros(len(examples), np.int8),
        lang=tuple(e.lang or "und" for e in examples),
        source=tuple(e.source or "unnamed" for e in examples),
        unit=np.array([units.setdefault(key, len(units)) for key in keys], np.intp),
        weight=weight,
        read_as=tuple(language_of(e.text) for e in examples),
        synthetic=np.array([e.extra.get("synthetic") is True for e in examples], np.bool_),
    )
