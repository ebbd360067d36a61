"""The whole loop in simulated time: train, compare, shadow, promote by rule, watch, roll back.

Uses what `duyet train` and `duyet models promote` use: `training.resolving`, `training.own`,
`training.comparing` and `model.promotion`. Every version is moved from the one that the year began
with, never from one that labels moved. The comparison is on labels that the champion has not
learnt from, each judged by the challenger's fold that has not either.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from scipy.special import betaincinv

from benchmarks.year_site import BEGIN, Came, Site
from model.classifier import Classifier
from model.comparison import Comparison
from model.decision import LabelledExample
from model.outcome import Outcome
from model.promotion import USUAL, Bounds, Code, Ruling, Shadowed, ruling_on
from training.auditing import audited
from training.comparing import compare
from training.contenders import MEASURING, Contender, Labelled, Options
from training.fit import NotEnough
from training.own import Moved, own_model
from training.own_fit import OwnRecipe, Rehearsed
from training.recipes import RECIPES
from training.resolving import resolved


class Step(StrEnum):
    """What the loop did with a version."""

    PROMOTED = "promoted"
    OVERRIDDEN = "promoted by a person"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Move:
    """What was done on a day with a version, trained on `labels` labels, and why."""

    day: int
    version: str
    labels: int
    step: Step
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the loop is run.

    It trains every `every` days when `fresh` labels are new, and lets a challenger go that has
    been shadowed for `patience` days without being allowed. With `looks` a person reads so many
    of the comments that the shadow would reject anew, and promotes with that as a reason where
    none of them is genuine and nothing else stands in the way; 0 for nobody. Before it trains, as
    many as `again` labels that the audit finds probably wrong are decided once more, each once.
    """

    every: int = 7
    fresh: int = 30
    patience: int = 14
    looks: int = 20
    again: int = 30
    bounds: Bounds = USUAL


@dataclass(slots=True)
class Challenger:
    """A version in the shadow, with how it compared when it was trained."""

    classifier: Classifier
    learnt: frozenset[str]
    comparison: Comparison | None
    day: int
    comments: int = 0
    agreed: int = 0
    would_be: Counter[str] = field(default_factory=Counter)
    flips: list[Came] = field(default_factory=list)

    def shadowed(self, day: int) -> Shadowed:
        """What it has seen until the end of a day."""
        hours = 24.0 * (day - self.day + 1)
        return Shadowed(self.comments, hours, self.agreed, dict(self.would_be))


@dataclass(slots=True)
class Loop:
    """The loop of one site.

    `rehearsed` are the project's own texts, or some of them; `backing` those that an audit's fits
    see as well.
    """

    site: Site
    recipe: OwnRecipe
    rehearsed: Rehearsed
    rules: Rules
    backing: Sequence[LabelledExample] = ()
    base: Classifier = field(init=False)
    learnt: frozenset[str] = frozenset()
    challenger: Challenger | None = None
    moves: list[Move] = field(default_factory=list)
    made: int = 0
    noted: Callable[[Move], None] = lambda _: None
    _past: list[tuple[Classifier, frozenset[str]]] = field(default_factory=list)
    _again: set[str] = field(default_factory=set)
    _since: int = 0
    _labels_then: int = 0

    def __post_init__(self) -> None:
        self.base = self.site.classifier

    def after_day(self, day: int, today: Sequence[Came]) -> None:
        """What the loop does in the night after a day."""
        self._watch(day)
        if self.challenger is not None:
            self._shadow(self.challenger, today)
            self._rule_on(self.challenger, day)
        is_time = day % self.rules.every == self.rules.every - 1
        fresh = len(self.site.labels) - self._labels_then
        if self.challenger is None and is_time and fresh >= self.rules.fresh:
            self._look_again(day)
            self._labels_then = len(self.site.labels)
            self._train(day)

    # ------------------------------------------------------------------ train and compare

    def _look_again(self, day: int) -> None:
        """What `/labels` lists, by somebody who decides it as if for the first time."""
        if not self.rules.again:
            return
        found = audited(resolved(self.site.labels), RECIPES["general"], support=self.backing)
        ids = [str(one.example.extra["comment_id"]) for one in found.suspects]
        fresh = dict.fromkeys(id for id in ids if id not in self._again)
        chosen = set(list(fresh)[: self.rules.again])
        self._again |= chosen
        self.site.decided_again(day, [one for one in self.site.came if one.id in chosen])

    def _train(self, day: int) -> None:
        labels = resolved(self.site.labels)
        try:
            moved = own_model(labels.weighed(), self.base, self.rehearsed, self.recipe, jobs=1)
        except NotEnough:
            return
        self.made += 1
        classifier = replace(moved.final, version=f"own {self.made}")
        learnt = frozenset(example.id for example in labels.examples)
        comparison = self._compared(classifier.version, moved, labels.examples, day)
        self.challenger = Challenger(classifier, learnt, comparison, day + 1)

    def _compared(
        self, version: str, moved: Moved, examples: Sequence[LabelledExample], day: int
    ) -> Comparison | None:
        """On labels that the champion has not learnt from: against itself it would seem perfect."""
        fold_of = {e.id: fold for e, fold in zip(examples, moved.fold_of, strict=True)}
        measured = resolved(self.site.labels, MEASURING)
        chosen = [
            (example, weight)
            for example, weight in zip(measured.examples, measured.weights, strict=True)
            if example.id in fold_of and example.id not in self.learnt
        ]
        if not chosen:
            return None
        folds = tuple(fold_of[example.id] for example, _ in chosen)
        return compare(
            Contender(self.site.classifier.version, (self.site.classifier,), None, "unseen"),
            Contender(version, moved.classifiers, folds, "held_out"),
            Labelled(tuple(e for e, _ in chosen), tuple(w for _, w in chosen)),
            at=BEGIN + timedelta(days=day),
            options=Options(policy=self.site.policy, attacked=0),
        )

    # ------------------------------------------------------------------ shadow and promote

    def _shadow(self, challenger: Challenger, today: Sequence[Came]) -> None:
        submissions, histories = [one.submission for one in today], [one.history for one in today]
        sides = [
            self.site.said(submissions, histories, classifier)
            for classifier in (self.site.classifier, challenger.classifier)
        ]
        for one, before, after in zip(today, *sides, strict=True):
            challenger.comments += 1
            if before.outcome is after.outcome:
                challenger.agreed += 1
                continue
            challenger.would_be[f"{before.outcome.word}>{after.outcome.word}"] += 1
            if after.outcome > before.outcome:
                challenger.flips.append(one)

    def _rule_on(self, challenger: Challenger, day: int) -> None:
        champion, version = self.site.classifier.version, challenger.classifier.version
        ruling = ruling_on(
            champion,
            version,
            challenger.comparison,
            challenger.shadowed(day),
            self.rules.bounds,
        )
        against = {reason.code for reason in ruling.against}
        if against == {Code.SHADOWED_TOO_LITTLE} and day - challenger.day < self.rules.patience:
            return
        if ruling.may:
            self._promote(challenger, day, Step.PROMOTED, _said(ruling, refuses=False))
        elif against == {Code.SHADOW_UNLIKE} and self._a_person_agrees(challenger, day):
            self._promote(challenger, day, Step.OVERRIDDEN, _said(ruling, refuses=True))
        else:
            self._note(challenger, day, Step.REFUSED, _said(ruling, refuses=True))
            self.challenger = None

    def _a_person_agrees(self, challenger: Challenger, day: int) -> bool:
        """Whether none of the comments that it would stop anew, evenly chosen, is genuine."""
        looks = self.rules.looks
        if not looks or not challenger.flips:
            return False
        some = challenger.flips[:: -(-len(challenger.flips) // looks)]
        self.site.looked_at(day, some)
        return all(one.sent.positive for one in some)

    def _promote(self, challenger: Challenger, day: int, step: Step, why: tuple[str, ...]) -> None:
        self._past.append((self.site.classifier, self.learnt))
        self._note(challenger, day, step, why)
        self.site.serve(challenger.classifier)
        self.learnt, self.challenger, self._since = challenger.learnt, None, day + 1

    def _note(self, challenger: Challenger, day: int, step: Step, why: tuple[str, ...]) -> None:
        version = challenger.classifier.version
        self._move(Move(day, version, len(challenger.learnt), step, why))

    def _move(self, move: Move) -> None:
        self.moves.append(move)
        self.noted(move)

    # ------------------------------------------------------------------ watch

    def _watch(self, day: int) -> None:
        """Roll back where the audit sample shows that the version breaks its promise."""
        if not self._past:
            return
        policy = self.site.policy
        judged = [o for o in self.site.came if o.sent.day >= self._since and o.decision is not None]
        low = least_rejected(judged, policy.audit_rate)
        if low <= policy.reject_risk:
            return
        version, labels = self.site.classifier.version, len(self.learnt)
        why = (f"at least {100 * low:.1f} % of genuine comments rejected, by the audit sample",)
        self._move(Move(day, version, labels, Step.ROLLED_BACK, why))
        classifier, self.learnt = self._past.pop()
        self.site.serve(classifier)
        self._since = day + 1
        self.challenger = None


def least_rejected(decided: Iterable[Came], audit_rate: float) -> float:
    """The share of genuine comments that is rejected at least, with 95 % confidence.

    By those that people said are genuine: drawn ones, and held ones as the draw's share of them
    (Clopper and Pearson 1934).
    """
    genuine = [o for o in decided if o.decision and o.decision.outcome is Outcome.ACCEPT]
    drawn = [o for o in genuine if o.verdict.audit]
    wrong = sum(o.outcome is Outcome.REJECT for o in drawn)
    number = len(drawn) + audit_rate * (len(genuine) - len(drawn))
    return float(betaincinv(wrong, number - wrong + 1, 0.05)) if wrong else 0.0


def _said(ruling: Ruling, *, refuses: bool) -> tuple[str, ...]:
    chosen = ruling.against if refuses else ruling.reasons
    return tuple(
        " ".join([reason.code.value, *(f"{k}={_short(v)}" for k, v in reason.values.items())])
        for reason in chosen
        if refuses or reason.code is Code.BETTER
    )


def _short(value: str | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
