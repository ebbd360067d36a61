"""How good a model is on labelled rows: figures with intervals, in all, by source and language.

Pure arithmetic over columns of judged rows; knows neither files nor how a row was judged.
Needs numpy alone; the tests hold its figures against scikit-learn's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.decision import Label
from model.language import UNKNOWN, language_of
from model.outcome import Head, Outcome
from model.policy import Policy
from model.promise import ANY, RISKS, Promise
from model.submission import Submission
from model.verdict import Verdict
from training.examples import Row, submission_of
from training.umbrella import upper_bound

LEVEL = 0.95
FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01)
RECALL_AT = dict(
    zip(
        (
            "recall_at_fpr_0_1_percent",
            "recall_at_fpr_0_5_percent",
            "recall_at_fpr_1_percent",
        ),
        FALSE_POSITIVE_RATES,
        strict=True,
    )
)
PROMISED_RISKS = (0.001, 0.005, 0.01)
USUAL = Policy()
CALIBRATION_BINS = 15
BATCH_ROWS = 256

_Z = 1.959963984540054  # the normal quantile of LEVEL, two-sided
_LEAST_REPLICATES, _MOST_REPLICATES = 200, 1000
_REPLICATED_ROWS = 8_000_000  # replicates x rows in a slice: bounds its time
_CHUNK_ROWS = 500_000  # replicates x rows held at once: bounds its memory
_DECIMALS = 6  # beyond this, sums differ between machines

Floats = NDArray[np.float64]


class Judge(Protocol):
    """Whatever gives verdicts offline: the same judgement that serving makes."""

    def check(self, batch: Sequence[Submission]) -> Sequence[Verdict]:
        """A verdict for each submission, in order."""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """The truth about one row and what the machine said of it.

    `positive` is spam, or toxic. `score` is the head's, None when nothing could score.
    `lang` is the language as the file says, `read_as` as serving reads it off the text.
    `group` is the unit that is resampled as a whole; empty when the row stands alone.
    `weight` is at least 0. `synthetic` rows were written for training; nobody posted them.
    """

    positive: bool
    score: float | None
    outcome: Outcome
    lang: str = ""
    source: str = ""
    group: str = ""
    weight: float = 1.0
    read_as: str = UNKNOWN
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged rows as columns: arrays of one length, a row each.

    `score` is in [0, 1], NaN where nothing could score. `unit` numbers the groups from 0: rows
    of one number belong together. Raises ValueError when lengths differ or a value is out
    of range.
    """

    positive: NDArray[np.bool_]
    score: Floats
    outcome: NDArray[np.int8]
    lang: tuple[str, ...]
    source: tuple[str, ...]
    unit: NDArray[np.intp]
    weight: Floats
    read_as: tuple[str, ...]
    synthetic: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if len({len(getattr(self, column.name)) for column in fields(self)}) != 1:
            raise ValueError("the columns must have one length")
        if not np.all(np.isnan(self.score) | ((self.score >= 0) & (self.score <= 1))):
            raise ValueError("scores must be from 0 to 1")
        if not np.all(np.isfinite(self.weight) & (self.weight >= 0)):
            raise ValueError("weights must be finite and 0 or more")

    def __len__(self) -> int:
        return len(self.positive)

    @classmethod
    def of(cls, rows: Sequence[JudgedRow]) -> "Judged":
        """The columns of some rows. Equal groups of two sources are two groups."""
        units: dict[object, int] = {}
        keys = ((r.source, r.group) if r.group else at for at, r in enumerate(rows))
        return cls(
            positive=np.array([r.positive for r in rows], dtype=np.bool_),
            score=np.array([np.nan if r.score is None else r.score for r in rows], dtype=float),
            outcome=np.array([r.outcome for r in rows], dtype=np.int8),
            lang=tuple(r.lang or "und" for r in rows),
            source=tuple(r.source or "unnamed" for r in rows),
            unit=np.array([units.setdefault(key, len(units)) for key in keys], dtype=np.intp),
            weight=np.array([r.weight for r in rows], dtype=float),
            read_as=tuple(r.read_as for r in rows),
            synthetic=np.array([r.synthetic for r in rows], dtype=np.bool_),
        )

    def where(self, chosen: NDArray[np.bool_]) -> "Judged":
        """The rows that are chosen, their units numbered anew."""
        return Judged(
            positive=self.positive[chosen],
            score=self.score[chosen],
            outcome=self.outcome[chosen],
            lang=tuple(lang for lang, kept in zip(self.lang, chosen, strict=True) if kept),
            source=tuple(name for name, kept in zip(self.source, chosen, strict=True) if kept),
            unit=np.unique(self.unit[chosen], return_inverse=True)[1].astype(np.intp),
            weight=self.weight[chosen],
            read_as=tuple(tag for tag, kept in zip(self.read_as, chosen, strict=True) if kept),
            synthetic=self.synthetic[chosen],
        )

    def real(self) -> "Judged":
        """The rows that somebody posted; all of them where nobody did."""
        return self if self.synthetic.all() else self.where(~self.synthetic)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None for what the rows cannot tell."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one slice. A metric that its rows leave undefined is None, never NaN.

    `precision`, `recall`, `macro_f1` and `mcc` are at the thresholds: positive means flagged,
    that is queued or rejected. `recall_at_*` is the highest recall at any threshold that flags
    at most that share of negatives (0.1 %, 0.5 %, 1 %); with fewer negatives than one over that
    share it is the recall at no false positive at all, and flatters. `brier` is the mean
    squared error of the scores (Brier 1950).

    `calibration_error` is the expected calibration error (Naeini, Cooper and Hauskrecht 2015)
    over 15 bins of equal mass (Nixon et al. 2019): the mean over the bins, weighted by their
    mass, of |share of positives - mean score|. Both labels weigh alike in it, as in fitting
    the calibration: what share of the rows is spam, the scores do not claim to know. Equal
    scores share a bin, so it does not depend on the order of rows.
    """

    roc_auc: Estimate
    average_precision: Estimate
    macro_f1: Estimate
    precision: Estimate
    recall: Estimate
    mcc: Estimate
    recall_at_fpr_0_1_percent: Estimate
    recall_at_fpr_0_5_percent: Estimate
    recall_at_fpr_1_percent: Estimate
    brier: Estimate
    calibration_error: Estimate


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the rows of one label: how many, and their weighted shares."""

    accept: int
    queue: int
    reject: int
    accept_share: Estimate
    queue_share: Estimate
    reject_share: Estimate


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the rows, measured.

    `units` is how many groups, or rows that stand alone, it holds: an interval over a
    handful of them is too narrow, and over a single one there is none. `unscored` rows have
    an outcome and no score.
    """

    name: str
    rows: int
    positives: int
    negatives: int
    unscored: int
    units: int
    metrics: Metrics
    positive_outcomes: Outcomes
    negative_outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Promised:
    """What a promise comes to for one head, language and risk, on the rows judged.

    `outcome` REJECT is about what is rejected, QUEUE about what is queued or rejected, by this
    head's score alone. `chosen_on` genuine comments the threshold was chosen; `missing` more
    would be needed to promise the risk, and where that is not 0 the threshold is not promised,
    or above 1: never. Of the language's `negatives` here, `flagged` reach it; `at_most` is the
    greatest share that this leaves plausible, one-sided at 95 %, were the rows drawn one by
    one. `recall` is the share of the language's `positives` that reach it. Both are None where
    there are no such rows.
    """

    language: str
    outcome: Outcome
    risk: float
    chosen_on: int
    missing: int
    threshold: float
    negatives: int
    flagged: int
    at_most: float | None
    positives: int
    recall: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How one model judged one task's rows under one policy.

    `model` and `policy` are version names; `promised` is what the model promises.
    """

    head: Head
    model: str
    policy: str
    promised: tuple[Promised, ...]
    total: Slice
    sources: tuple[Slice, ...]
    languages: tuple[Slice, ...]

    def json_body(self) -> dict[str, object]:
        """The evaluation as JSON knows it: dictionaries, lists, text, numbers, None."""
        return {
            "task": self.head.value,
            "model": self.model,
            "policy": self.policy,
            "flagged": "the outcome is queue or reject",
            "promise": [asdict(p) | {"outcome": p.outcome.word} for p in self.promised],
            "interval": {"level": LEVEL},
            "all": self._slice_body(self.total),
            "sources": {part.name: self._slice_body(part) for part in self.sources},
            "languages": {part.name: self._slice_body(part) for part in self.languages},
        }

    def to_json(self) -> str:
        """The evaluation as canonical JSON."""
        return json.dumps(self.json_body(), sort_keys=True, ensure_ascii=False, allow_nan=False)

    def _slice_body(self, part: Slice) -> dict[str, object]:
        words = (Label(self.head, True).word, Label(self.head, False).word)
        outcomes = (part.positive_outcomes, part.negative_outcomes)
        counts = ("rows", "positives", "negatives", "unscored", "units")
        return {
            **{name: getattr(part, name) for name in counts},
            "metrics": asdict(part.metrics),
            "outcomes": {word: asdict(of) for word, of in zip(words, outcomes, strict=True)},
        }


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram. `mass` is its share of all rows' weight."""

    rows: int
    mass: float
    mean_score: float
    positive_share: float


def judge_rows(
    rows: Iterable[Row], judge: Judge, *, heads: Sequence[Head] = tuple(Head)
) -> Iterator[tuple[Head, JudgedRow]]:
    """Each labelled row of the wanted heads with what the judge said of it, in order.

    Rows without a label and of other heads are left out unjudged. Works in batches and holds
    no more than one.
    """
    labelled = ((row, row.label) for row in rows if row.label and row.label.head in heads)
    while batch := list(islice(labelled, BATCH_ROWS)):
        verdicts = judge.check([submission_of(row) for row, _ in batch])
        for (row, label), verdict in zip(batch, verdicts, strict=True):
            yield (
                label.head,
                JudgedRow(
                    positive=label.positive,
                    score=verdict.scores.of(label.head) if verdict.scores else None,
                    outcome=verdict.outcome,
                    lang=row.lang,
                    source=row.source,
                    group=row.group,
                    weight=row.weight,
                    read_as=language_of(row.text),
                    synthetic=row.extra.get("synthetic") is True,
                ),
            )


def evaluate(
    judged: Judged,
    *,
    head: Head,
    promise: Promise,
    model: str = "",
    policy: str = "",
    seed: int = 0,
) -> Evaluation:
    """Every figure, in all, by source and by language, each in order of name.

    Synthetic rows are told by source alone: to be right about them is to agree with their
    author.

    Proportions (precision, recall, shares of outcomes) have Wilson intervals over the number of
    rows, less what grouping and weights take from it. The others have bootstrap intervals
    that resample groups, or rows where there are none (Davison and Hinkley 1997, 3.8), from
    `seed`: 200 to 1,000 replicates, fewer the more rows there are. 30,000 rows take a few
    seconds on one core.
    """
    real = judged.real()
    total = measure(real, name="all", seed=seed)

    def parts(among: Judged, names: tuple[str, ...]) -> tuple[Slice, ...]:
        wanted = sorted(set(names))
        if len(wanted) == 1:
            return (replace(total, name=wanted[0]),)
        column = np.array(names)
        return tuple(measure(among.where(column == n), name=n, seed=seed) for n in wanted)

    return Evaluation(
        head=head,
        model=model,
        policy=policy,
        promised=promised(real, head, promise),
        total=total,
        sources=parts(judged, judged.source),
        languages=parts(real, real.lang),
    )


def promised(judged: Judged, head: Head, promise: Promise) -> tuple[Promised, ...]:
    """What the promise comes to on the rows, by language, outcome and risk.

    For every language in which it promises something, and for texts in none (`und`). Rejecting
    is shown as a site has it that states the usual risk of queueing, or the same if greater.
    """
    score = np.nan_to_num(judged.score, nan=-1.0)
    outcomes = [Outcome.QUEUE] if head is Head.TOXICITY else [Outcome.REJECT, Outcome.QUEUE]
    found = []
    for tag in sorted(promise.languages):
        if tag != ANY and (tag == UNKNOWN or promise.missing(tag, RISKS[-1]) == 0):
            rows = np.array(judged.read_as, np.str_) == tag
            positive, of_language = judged.positive[rows], score[rows]
            found += [
                _promised(positive, of_language, head, promise, (tag, outcome, risk))
                for outcome in outcomes
                for risk in PROMISED_RISKS
            ]
    return tuple(found)


def _promised(
    positive: NDArray[np.bool_],
    score: Floats,
    head: Head,
    promise: Promise,
    about: tuple[str, Outcome, float],
) -> Promised:
    tag, outcome, risk = about
    queue_risk = max(risk, USUAL.queue_risk) if outcome is Outcome.REJECT else risk
    at = promise.thresholds(tag, reject_risk=risk, queue_risk=queue_risk).of(head)
    threshold = at.reject_at if outcome is Outcome.REJECT else at.queue_at
    reached = score >= threshold
    negatives, positives = int((~positive).sum()), int(positive.sum())
    flagged = int((reached & ~positive).sum())
    return Promised(
        language=tag,
        outcome=outcome,
        risk=risk,
        chosen_on=promise.languages[tag].comments,
        missing=promise.missing(tag, risk),
        threshold=threshold,
        negatives=negatives,
        flagged=flagged,
        at_most=round(upper_bound(flagged, negatives), _DECIMALS) if negatives else None,
        positives=positives,
        recall=round(float(reached[positive].mean()), _DECIMALS) if positives else None,
    )


def measure(judged: Judged, *, name: str, seed: int = 0) -> Slice:
    """The figures of all the rows given, as one slice."""
    positive, flagged = judged.positive, judged.outcome > Outcome.ACCEPT
    resampled = _resampled_metrics(judged, np.random.default_rng(seed))
    metrics = Metrics(
        **resampled,
        precision=_share(judged, hits=positive, among=flagged),
        recall=_share(judged, hits=flagged, among=positive),
    )
    return Slice(
        name=name,
        rows=len(judged),
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        unscored=int(np.isnan(judged.score).sum()),
        units=len(np.unique(judged.unit)),
        metrics=metrics,
        positive_outcomes=_outcomes(judged, positive),
        negative_outcomes=_outcomes(judged, ~positive),
    )


def calibration_bins(judged: Judged) -> tuple[Bin, ...]:
    """The bins of the calibration error, from low scores to high; empty ones left out.

    Both labels weigh alike in them, where there are both.
    """
    scored = _labels_alike(judged.where(~np.isnan(judged.score)))
    which, total = _bin_of(scored), scored.weight.sum()
    bins = []
    for number in np.unique(which[scored.weight > 0]):
        inside = which == number
        weight = scored.weight[inside]
        bins.append(
            Bin(
                rows=int(inside.sum()),
                mass=float(weight.sum() / total),
                mean_score=float(np.average(scored.score[inside], weights=weight)),
                positive_share=float(np.average(scored.positive[inside], weights=weight)),
            )
        )
    return tuple(bins)


def _outcomes(judged: Judged, among: NDArray[np.bool_]) -> Outcomes:
    became = {outcome: judged.outcome == outcome for outcome in Outcome}
    share = {o: _share(judged, hits=hits, among=among) for o, hits in became.items()}
    count = {o: int((hits & among).sum()) for o, hits in became.items()}
    return Outcomes(
        accept=count[Outcome.ACCEPT],
        queue=count[Outcome.QUEUE],
        reject=count[Outcome.REJECT],
        accept_share=share[Outcome.ACCEPT],
        queue_share=share[Outcome.QUEUE],
        reject_share=share[Outcome.REJECT],
    )


def _share(judged: Judged, *, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
    return proportion(hits[among], judged.weight[among], judged.unit[among])


def proportion(hits: NDArray[np.bool_], weight: Floats, unit: NDArray[np.intp]) -> Estimate:
    """A weighted proportion with the Wilson (1927) interval over the effective number of rows.

    A row each: whether it counts, what it weighs, the number of its group.
    """
    hit = hits.astype(float)
    total = weight.sum()
    if total <= 0:
        return Estimate(None)
    share = float((hit * weight).sum() / total)
    rows = effective_rows(hit, weight, unit)
    if rows is None:
        return _rounded(share)
    return _rounded(share, *wilson(share, rows))


def wilson(share: float, rows: float) -> tuple[float, float]:
    """The ends of Wilson's (1927) interval of a share among so many rows."""
    z2 = _Z * _Z / rows
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z * np.sqrt(share * (1 - share) / rows + z2 / (4 * rows)) / (1 + z2)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def effective_rows(hit: Floats, weight: Floats, unit: NDArray[np.intp]) -> float | None:
    """As many rows, drawn singly and of one weight, would tell the proportion as well.

    By the linearised variance of a ratio over groups (Cochran 1977, 11.6). At a proportion of
    0 or 1 that variance is 0 and tells nothing; then every group counts as one row, which is
    the cautious end. None when one group is all there is.
    """
    total = weight.sum()
    by_unit = np.bincount(unit, weights=weight)
    units = int((by_unit > 0).sum())
    equal_units = float(total**2 / (by_unit**2).sum())
    rows = int((weight > 0).sum())
    if units == rows:
        return equal_units
    if units == 1:
        return None
    share = (hit * weight).sum() / total
    if share in (0.0, 1.0):
        return equal_units
    residual = np.bincount(unit, weights=weight * (hit - share))
    variance = units / (units - 1) * (residual**2).sum() / total**2
    return float(max(1.0, min(rows, share * (1 - share) / max(variance, 1e-12))))


def _resampled_metrics(judged: Judged, random: np.random.Generator) -> dict[str, Estimate]:
    units = int(judged.unit.max()) + 1 if len(judged) else 0
    figures = (figures_of_sums(judged, units), figures_of_order(judged))

    def measured(counts: Floats) -> dict[str, Floats]:
        # 0/0 is the honest answer of an undefined metric; it becomes None below.
        with np.errstate(divide="ignore", invalid="ignore"):
            return {k: v for figure in figures for k, v in figure(counts).items()}

    point = measured(np.ones((1, units)))
    drawn = [measured(c) for c in resamples(units, len(judged), random)] if units > 1 else []
    return {
        name: interval_of(
            float(value[0]),
            np.concatenate([d[name] for d in drawn]) if drawn else np.empty(0),
            reverse=name == "calibration_error",
        )
        for name, value in point.items()
    }


def resamples(units: int, rows: int, random: np.random.Generator) -> Iterator[Floats]:
    """How often each unit was drawn, a replicate a row, in chunks that fit in memory.

    200 to 1,000 replicates, fewer the more rows there are.
    """
    left = int(np.clip(_REPLICATED_ROWS // rows, _LEAST_REPLICATES, _MOST_REPLICATES))
    while left:
        size = min(left, max(1, _CHUNK_ROWS // rows))
        drawn = random.integers(0, units, (size, units)) + np.arange(size)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=size * units)
        yield counts.reshape(size, units).astype(float)
        left -= size


def interval_of(point: float, drawn: Floats, *, reverse: bool) -> Estimate:
    """The percentile interval of the replicates, reversed about the point when they are biased.

    Resampling adds noise, and noise adds calibration error; the reversed interval takes that
    off again instead of adding it twice. Either way the point lies inside.
    """
    if np.isnan(point):
        return Estimate(None)
    known = drawn[~np.isnan(drawn)]
    if len(known) < _LEAST_REPLICATES / 2:
        return _rounded(point)
    low, high = (float(q) for q in np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    if reverse:
        low, high = max(0.0, 2 * point - high), min(1.0, 2 * point - low)
    return _rounded(point, min(low, point), max(high, point))


def _rounded(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    ends = (None if end is None else round(end, _DECIMALS) for end in (low, high))
    return Estimate(round(value, _DECIMALS), *ends)


Figures = Callable[[Floats], dict[str, Floats]]
"""From how often each unit counts, a replicate a row, to metrics, a value a replicate."""


def figures_of_sums(judged: Judged, units: int) -> Figures:
    """Metrics that are made of sums over rows: add up each unit once, then weigh units."""
    positive, weight = judged.positive, judged.weight
    flagged = judged.outcome > Outcome.ACCEPT
    scored = ~np.isnan(judged.score)
    error = np.where(scored, judged.score, 0.0) - positive
    mass = weight * scored
    bins = np.full(len(judged), -1)
    bins[scored] = _bin_of(_labels_alike(judged.where(scored)))
    columns = [
        weight * (positive & flagged),
        weight * (~positive & flagged),
        weight * (positive & ~flagged),
        weight * (~positive & ~flagged),
        mass,
        mass * error**2,
        mass * positive,
        *(mass * error * positive * (bins == number) for number in range(CALIBRATION_BINS)),
        *(mass * error * ~positive * (bins == number) for number in range(CALIBRATION_BINS)),
    ]
    by_unit = np.stack([np.bincount(judged.unit, weights=c, minlength=units) for c in columns], 1)

    def figures(counts: Floats) -> dict[str, Floats]:
        tp, fp, fn, tn, total, squares, bad, *gaps = (counts @ by_unit).T
        missed, claimed = np.array(gaps).reshape(2, CALIBRATION_BINS, -1)
        both = np.where((tp + fn > 0) & (fp + tn > 0), 1.0, np.nan)
        margins = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        f1 = (2 * tp / (2 * tp + fp + fn) + 2 * tn / (2 * tn + fp + fn)) / 2
        # All flagged or none: 0, as scikit-learn has it.
        mcc = np.where(margins > 0, (tp * tn - fp * fn) / margins, 0.0)
        return {
            "macro_f1": f1 * both,
            "mcc": mcc * both,
            "brier": squares / total,
            "calibration_error": np.abs(missed / bad + claimed / (total - bad)).sum(axis=0) / 2,
        }

    return figures


def _labels_alike(scored: Judged) -> Judged:
    """The rows with weights that sum to the same for either label; as they are if one has none."""
    sums = [scored.weight[scored.positive == truth].sum() for truth in (False, True)]
    if min(sums) <= 0:
        return scored
    return replace(scored, weight=scored.weight / np.array(sums)[scored.positive.astype(int)])


def _bin_of(scored: Judged) -> NDArray[np.intp]:
    """The calibration bin of each row: by the mass below it and half of that of its equals."""
    values, equal = np.unique(scored.score, return_inverse=True)
    mass = np.bincount(equal, weights=scored.weight, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2) / max(mass.sum(), 1e-300)
    which: NDArray[np.intp] = np.minimum(
        (middle * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1
    )
    return which[equal]


def figures_of_order(judged: Judged, rates: Mapping[str, float] = RECALL_AT) -> Figures:
    """Metrics of the order of scores: sort once, then every replicate is sums along it.

    Beside `roc_auc` and `average_precision`, for each of `rates` by its name the highest recall
    at any threshold that flags at most that share of negatives.
    """
    scored = ~np.isnan(judged.score)
    order = np.flatnonzero(scored)[np.argsort(-judged.score[scored], kind="stable")]
    score, unit = judged.score[order], judged.unit[order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]]) if len(order) else order
    weight = {True: judged.weight * judged.positive, False: judged.weight * ~judged.positive}

    def along(counts: Floats, positive: bool) -> Floats:
        rows = counts[:, unit] * weight[positive][order]
        tied = rows if len(starts) == len(order) else np.add.reduceat(rows, starts, axis=1)
        return np.cumsum(tied, axis=1, out=tied)

    def figures(counts: Floats) -> dict[str, Floats]:
        if not len(order):
            nothing = np.full(len(counts), np.nan)
            return dict.fromkeys(("roc_auc", "average_precision", *rates), nothing)
        found, flagged = along(counts, True), along(counts, False)
        positives, negatives = found[:, -1], flagged[:, -1]
        both = np.where((positives > 0) & (negatives > 0), 1.0, np.nan)
        gained = np.diff(found, axis=1, prepend=0)
        lost = np.diff(flagged, axis=1, prepend=0)
        area = ((found - gained / 2) * lost).sum(axis=1) / positives / negatives
        seen = found + flagged
        precise = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        at_rate = {}
        for name, rate in rates.items():
            within = (flagged <= (rate * negatives * (1 + 1e-12))[:, None]).sum(axis=1)
            reached = np.take_along_axis(found, np.maximum(within - 1, 0)[:, None], axis=1)[:, 0]
            at_rate[name] = np.where(within > 0, reached, 0.0) / positives * both
        return {
            "roc_auc": area * both,
            "average_precision": (gained * precise).sum(axis=1) / positives * both,
            **at_rate,
        }

    return figures
