"""What a comparison's comments would have got with what their sites had learnt until they came.

A site's layer and memory are folded anew, over each version, from the decisions in their order,
and each comment is judged by the fold as it was when it came: never by a decision that was made
later, its own among them. Knows no store: decisions are read off labels.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.classifier import Classifier
from model.decision import Decision, LabelledExample, RejectReason
from model.experience import Decided, Experience, Prepared
from model.judging import Case, judge
from model.outcome import Outcome
from model.policy import Policy
from model.site_layer import Anchors
from training.contenders import (
    Compared,
    Contender,
    Labelled,
    Options,
    history_of,
    is_lesson,
)
from training.evaluation import Judged
from training.examples import submission_of
from training.paired import Pair
from training.resolving import time_of

AT_ONCE = 64
"""Decisions that are prepared together; how many changes nothing but the time it takes."""

_AUDIT = "audit"  # as `service.storage` writes why a comment was looked at
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Site:
    """What came to a site and what was decided there, each in order of time.

    `came` are when, and places among the examples; `decided` are when, and what.
    """

    came: list[tuple[datetime, int]] = field(default_factory=list)
    decided: list[tuple[datetime, Decided]] = field(default_factory=list)


def as_served(
    both: Compared, contenders: tuple[Contender, Contender], labelled: Labelled, options: Options
) -> Compared:
    """The same comments with the outcomes of either version as their sites would serve it.

    Without a decision of a site among them they are left as they are. Of a challenger with a
    classifier for each fold, the layer of a site is folded over the one that judges the comment,
    which has been fitted to nearly all of these decisions: as it would be after a promotion.
    Costs two milliseconds for each comment, and one for each decision and classifier.
    """
    sites = _sites_of(labelled)
    if not sites:
        return both
    sides = []
    of_each = zip((both.pair.champion, both.pair.challenger), contenders, both.folds, strict=True)
    for judged, contender, which in of_each:
        sides.append(_side(judged, contender, which, labelled.examples, sites, options))
    return replace(both, served=Pair(*sides))


def _side(
    judged: Judged,
    contender: Contender,
    which: NDArray[np.intp],
    examples: Sequence[LabelledExample],
    sites: Sequence[_Site],
    options: Options,
) -> Judged:
    outcome = judged.outcome.copy()
    tasks = [
        (classifier, _Site([c for c in site.came if which[c[1]] == number], site.decided))
        for number, classifier in enumerate(contender.classifiers)
        for site in sites
    ]
    tasks = [(classifier, site) for classifier, site in tasks if site.came]
    anchors = Anchors.of(contender.classifiers[0].spec)  # fits of one version read alike
    done = Parallel(n_jobs=options.jobs, max_nbytes="1M")(
        delayed(_served)(
            classifier,
            anchors,
            site,
            [examples[place] for _, place in site.came],
            options.policy,
        )
        for classifier, site in tasks
    )
    for (_, site), found in zip(tasks, done, strict=True):
        for (_, place), said in zip(site.came, found, strict=True):
            if said is not None:
                outcome[place] = said
    return replace(judged, outcome=outcome)


def _served(
    classifier: Classifier,
    anchors: Anchors,
    site: _Site,
    examples: Sequence[LabelledExample],
    policy: Policy,
) -> list[int | None]:
    """What a site would have said of each that came, in order; None for what came first of all."""
    known = Experience(classifier, anchors, policy)
    found: list[int | None] = []
    lessons = _prepared(known, site.decided)
    upcoming = next(lessons, None)
    version = policy.version
    waiting: list[Case] = []
    for (at, _), example in zip(site.came, examples, strict=True):
        if upcoming is not None and upcoming[0] < at:
            found += _outcomes(waiting, classifier)
            waiting = []
        while upcoming is not None and upcoming[0] < at:
            known.learn(upcoming[1])
            upcoming = next(lessons, None)
        if not known.lessons:
            found.append(None)
            continue
        waiting.append(Case(submission_of(example), history_of(example), policy, version, known))
    return found + _outcomes(waiting, classifier)


def _outcomes(waiting: Sequence[Case], classifier: Classifier) -> list[int | None]:
    return [int(verdict.outcome) for verdict in judge(waiting, classifier)]


def _prepared(
    known: Experience, decided: Sequence[tuple[datetime, Decided]]
) -> Iterator[tuple[datetime, Prepared]]:
    """Each decision with its time, as it is learnt from."""
    for begin in range(0, len(decided), AT_ONCE):
        batch = decided[begin : begin + AT_ONCE]
        lessons = known.prepared([one for _, one in batch])
        yield from zip((at for at, _ in batch), lessons, strict=True)


# ------------------------------------------------------------------ labels as decisions


def _sites_of(labelled: Labelled) -> list[_Site]:
    """The sites of which a decision is known, in order of their names."""
    lessons = labelled.examples if labelled.lessons is None else labelled.lessons
    sites: dict[str, _Site] = defaultdict(_Site)
    for example in lessons:
        at = time_of(example.provenance.at)
        if is_lesson(example) and at is not None:
            sites[example.source].decided.append((at, _decided(example, at)))
    for place, example in enumerate(labelled.examples):
        if example.source in sites:
            at = time_of(example.date) or time_of(example.provenance.at) or _BEFORE_ALL
            sites[example.source].came.append((at, place))
    for site in sites.values():
        site.came.sort()
        site.decided.sort(key=lambda one: (one[0], one[1].id))
    return [sites[name] for name in sorted(sites)]


def _decided(example: LabelledExample, at: datetime) -> Decided:
    outcome, reason = (
        (Outcome.REJECT, RejectReason.SPAM) if example.label.positive else (Outcome.ACCEPT, None)
    )
    # What nobody drew, but somebody looked at all the same, stands for itself: as in the store.
    is_drawn = example.extra.get("reviewed_because") == _AUDIT
    return Decided(
        change=0,  # the order is that of the times
        id=example.id,
        submission=submission_of(example),
        decision=Decision(outcome, reason, example.provenance.who, at),
        chance=(example.provenance.chance or 1.0) if is_drawn else 1.0,
    )
