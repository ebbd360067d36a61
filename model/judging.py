"""Judge gathered facts: rules, scores, outcome, reasons. No I/O, and no text makes it raise."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from model.classifier import HEADS, Classifier, Explained, scores_of
from model.experience import Experience
from model.facts import Facts, gather
from model.lists import Found, Searched
from model.outcome import OFF, Head, HeadThresholds, Outcome, Scores, Thresholds
from model.policy import Policy
from model.reasons import quotation
from model.registry import CHAMPION, SHIPPED, Registry
from model.rules import hits
from model.site_rules import Applied, Met
from model.submission import History, Submission
from model.verdict import Laid, Learnt, Mark, Reason, RuleHit, Span, Verdict, decide

log = logging.getLogger(__name__)

NO_MODEL = ""
"""The model version of a verdict that no model took part in."""

# Without a model there is no score, so these are never compared with anything.
_UNUSED = HeadThresholds(Thresholds(OFF, OFF), Thresholds(OFF, OFF))


SHOWN_FROM = 0.05
"""What a site's layer adds is told as a reason from so much on; all of it stands in `learnt`."""


@dataclass(frozen=True, slots=True)
class Case:
    """A submission to be judged, with what was known of it and the policy that applies.

    `experience` is what the site's decisions taught, None for nothing. It must not change
    while a batch is judged. `applied` is what of the site's own rules may concern it.
    """

    submission: Submission
    history: History
    policy: Policy
    policy_version: str
    experience: Experience | None = None
    applied: Applied | None = None


def judge(batch: Sequence[Case], classifier: Classifier | None) -> list[Verdict]:
    """The verdict on each submission, in order; scoring many together costs less."""
    read = [(case, _facts(case)) for case in batch]
    rows = any(_asks_layer(case, classifier) for case in batch)
    scored = iter(_scored([facts for _, facts in read if facts is not None], classifier, rows=rows))
    return [
        undecided(case.policy_version)
        if facts is None
        else _verdict(case, facts, next(scored), classifier)
        for case, facts in read
    ]


def _asks_layer(case: Case, classifier: Classifier | None) -> bool:
    known = case.experience
    return known is not None and known.covers(classifier) and known.layer.trust > 0


def undecided(policy_version: str) -> Verdict:
    """The verdict on what could not be judged: a person should read it."""
    return Verdict(
        outcome=Outcome.QUEUE,
        scores=None,
        reasons=(Reason("judging.failed"),),
        hits=(),
        spans=(),
        model=NO_MODEL,
        policy=policy_version,
    )


def _facts(case: Case) -> Facts | None:
    try:
        facts = gather(case.submission, case.history)
        return facts if case.applied is None else _met(facts, case.applied)
    except Exception as problem:  # noqa: BLE001  what cannot be read, a person should read
        log.error("reading a submission failed", extra={"problem": type(problem).__name__})
        return None


def _met(facts: Facts, applied: Applied) -> Facts:
    """The facts with what of the site's rules the comment meets."""
    author, lists = facts.submission.author, applied.lists
    found: tuple[Found, ...] = ()
    if lists is not None:
        found = lists.found_in(
            Searched(
                content=facts.submission.content,
                name=author.name,
                url=author.url,
                links=facts.links,
                address_domain=facts.address.domain if facts.address else "",
            )
        )
    return replace(facts, met=Met(applied.author, applied.network, applied.raid, found))


def _laid(applied: Applied | None, met: Met | None) -> Laid | None:
    if applied is None:
        return None
    found = met.found if met is not None else ()
    marks = tuple(Mark(f.field, f.start, f.end) for f in found if f.start < f.end)
    return Laid(applied.version, applied.published, marks)


def _verdict(
    case: Case,
    facts: Facts,
    scored: "_Scored | None",
    classifier: Classifier | None,
) -> Verdict:
    explained, scores = scored or (None, None)
    spans = explained.spans if explained else ()
    learnt, facts = _recalled(case, facts, explained, classifier)
    if explained and learnt and learnt.added:
        scores = _with_added(explained, learnt.added)
    found = hits(facts, case.policy)
    thresholds = thresholds_for(case.policy, classifier, facts.language)
    return Verdict(
        outcome=decide(case.policy, scores, found, model_thresholds=thresholds),
        scores=scores,
        reasons=(*_reasons(scores, thresholds, found, spans, case.submission), *_told(learnt)),
        hits=found,
        spans=spans,
        model=classifier.version if classifier else NO_MODEL,
        policy=case.policy_version,
        learnt=learnt,
        laid=_laid(case.applied, facts.met),
    )


def thresholds_for(policy: Policy, classifier: Classifier | None, language: str) -> HeadThresholds:
    """The thresholds of a site for comments in a language: its own, else by its risks."""
    if classifier is None:
        return policy.thresholds or _UNUSED
    return classifier.thresholds(policy, language)


_Scored: TypeAlias = tuple[Explained, Scores]
"""What a model says of a submission."""


def _scored(
    batch: Sequence[Facts], classifier: Classifier | None, *, rows: bool
) -> Sequence[_Scored | None]:
    if classifier is None or not batch:
        return [None] * len(batch)
    try:
        explained = classifier.explained([facts.texts for facts in batch], rows=rows)
        return [(one, one.scores) for one in explained]
    except Exception:  # noqa: BLE001  a score that fails is no score: the comment is queued
        if len(batch) > 1:  # the others have theirs
            return [one for facts in batch for one in _scored([facts], classifier, rows=rows)]
        log.error("scoring failed", extra={"model": classifier.version})
        return [None]


def _recalled(
    case: Case, facts: Facts, explained: Explained | None, classifier: Classifier | None
) -> tuple[Learnt | None, Facts]:
    """What the site's decisions have to do with a comment, and the facts with that in them."""
    known = case.experience
    if known is None or not known.lessons:
        return None, facts
    try:
        twin = known.twin(facts)
        covers = known.covers(classifier)
        row = explained.row if explained and covers else None
        learnt = Learnt(
            layer=known.layer.version if covers else "",
            lessons=known.lessons,
            since=known.since,
            undo=known.undo,
            change=known.change,
            added=known.layer.added(row) if row is not None else 0.0,
            twin=twin.id if twin else "",
        )
    except Exception as problem:  # noqa: BLE001  without what was learnt, it is judged as before
        log.error("what was learnt failed", extra={"problem": type(problem).__name__})
        return None, facts
    return learnt, replace(facts, twin=twin) if twin else facts


def _with_added(explained: Explained, added: float) -> Scores:
    """The model's scores, with what the site's layer adds to spam's."""
    more = (added if head is Head.SPAM else 0.0 for head in HEADS)
    return scores_of([odds + a for odds, a in zip(explained.log_odds, more, strict=True)])


def _told(learnt: Learnt | None) -> tuple[Reason, ...]:
    if learnt is None or abs(learnt.added) < SHOWN_FROM:
        return ()
    return (Reason("site.learnt", evidence=f"{learnt.added:+.1f}"),)


def _reasons(
    scores: Scores | None,
    thresholds: HeadThresholds,
    found: tuple[RuleHit, ...],
    spans: tuple[Span, ...],
    submission: Submission,
) -> tuple[Reason, ...]:
    """What speaks for the outcome, the gravest first; trust and mere notes come last."""
    reasons = [Reason(hit.rule, hit.field, hit.evidence) for hit in found]
    if scores is None:
        return (Reason("score.unavailable"), *reasons)
    if scores.spam < thresholds.spam.queue_at and scores.toxicity < thresholds.toxicity.queue_at:
        return tuple(reasons)
    by_score = []
    for head in HEADS:
        outcome = thresholds.of(head).outcome(scores.of(head))
        if outcome is not Outcome.ACCEPT:
            strength = "likely" if outcome is Outcome.REJECT else "unsure"
            span = next((s for s in spans if s.head is head and s.weight > 0), None)
            by_score.append(
                Reason(
                    f"score.{head}_{strength}",
                    span.field if span else "content",
                    _quoted(span, submission) if span else "",
                )
            )
    return (*by_score, *reasons)


_FIELDS: dict[str, Callable[[Submission], str]] = {
    "content": lambda submission: submission.content,
    "author.name": lambda submission: submission.author.name,
    "author.url": lambda submission: submission.author.url,
}


def _quoted(span: Span, submission: Submission) -> str:
    return quotation(_FIELDS[span.field](submission), span.start, span.end)


def audited(verdict: Verdict, policy: Policy, comment_id: str) -> Verdict:
    """The verdict, or for a random share of those that need nobody, one that asks a person.

    The draw is the first 64 bits of SHA-256 of the id, so it can be repeated later. What the
    verdict would have been stays in `unaudited`.
    """
    if verdict.outcome is Outcome.QUEUE or policy.audit_rate == 0:
        return verdict
    draw = int.from_bytes(hashlib.sha256(comment_id.encode()).digest()[:8], "big")
    if draw >= policy.audit_rate * 2**64:  # compared exactly: a rate of 1 draws every comment
        return verdict
    return replace(
        verdict,
        outcome=Outcome.QUEUE,
        audit=True,
        unaudited=verdict.outcome,
        reasons=(*verdict.reasons, Reason("audit.sample")),
    )


@dataclass(frozen=True, slots=True)
class OfflineJudge:
    """Judges files: the default policy, no history, no form, no audit sample."""

    classifier: Classifier | None
    policy: Policy = field(default_factory=Policy)

    def check(self, batch: Sequence[Submission]) -> list[Verdict]:
        """A verdict for each submission, in order."""
        version = self.policy.version
        cases = [Case(submission, History(), self.policy, version) for submission in batch]
        return judge(cases, self.classifier)


def offline_judge(models: Path | None, name: str | None) -> OfflineJudge:
    """A judge with a model by name or version; by default the champion.

    `models` is the registry's directory; for None, or one without a version, it is the shipped
    one. Raises RegistryError.
    """
    registry = Registry(models) if models and Registry(models).versions() else Registry(SHIPPED)
    return OfflineJudge(registry.load(name or CHAMPION))
