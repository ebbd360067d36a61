"""Judge gathered facts: rules, scores, outcome, reasons. No I/O, and no text makes it raise."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.classifier import Classifier
from model.facts import Facts, gather
from model.outcome import OFF, Head, HeadThresholds, Outcome, Scores, Thresholds
from model.policy import Policy
from model.reasons import quotation
from model.registry import CHAMPION, SHIPPED, Registry
from model.rules import hits
from model.submission import History, Submission
from model.verdict import Reason, RuleHit, Span, Verdict, decide

log = logging.getLogger(__name__)

NO_MODEL = ""
"""The model version of a verdict that no model took part in."""

# Without a model there is no score, so these are never compared with anything.
_UNUSED = HeadThresholds(Thresholds(OFF, OFF), Thresholds(OFF, OFF))


@dataclass(frozen=True, slots=True)
class Case:
    """A submission to be judged, with what was known of it and the policy that applies."""

    submission: Submission
    history: History
    policy: Policy
    policy_version: str


def judge(batch: Sequence[Case], classifier: Classifier | None) -> list[Verdict]:
    """The verdict on each submission, in order; scoring many together costs less."""
    read = [_facts(case) for case in batch]
    scored = iter(_scored([facts for facts in read if facts is not None], classifier))
    return [
        undecided(case.policy_version)
        if facts is None
        else _verdict(case, facts, *next(scored), classifier)
        for case, facts in zip(batch, read, strict=True)
    ]


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
        return gather(case.submission, case.history)
    except Exception as problem:  # noqa: BLE001  what cannot be read, a person should read
        log.error("reading a submission failed", extra={"problem": type(problem).__name__})
        return None


def _verdict(
    case: Case,
    facts: Facts,
    scores: Scores | None,
    spans: tuple[Span, ...],
    classifier: Classifier | None,
) -> Verdict:
    found = hits(facts, case.policy)
    thresholds = thresholds_for(case.policy, classifier, facts.language)
    return Verdict(
        outcome=decide(case.policy, scores, found, model_thresholds=thresholds),
        scores=scores,
        reasons=_reasons(scores, thresholds, found, spans, case.submission),
        hits=found,
        spans=spans,
        model=classifier.version if classifier else NO_MODEL,
        policy=case.policy_version,
    )


def thresholds_for(policy: Policy, classifier: Classifier | None, language: str) -> HeadThresholds:
    """The thresholds of a site for comments in a language: its own, else by its risks."""
    if policy.thresholds is not None:
        return policy.thresholds
    if classifier is None:
        return _UNUSED
    return classifier.promise.thresholds(
        language, reject_risk=policy.reject_risk, queue_risk=policy.queue_risk
    )


_Scored = tuple[Scores | None, tuple[Span, ...]]


def _scored(batch: Sequence[Facts], classifier: Classifier | None) -> list[_Scored]:
    if classifier is None or not batch:
        return [(None, ())] * len(batch)
    try:
        return [*classifier.explain([facts.texts for facts in batch])]
    except Exception:  # noqa: BLE001  a score that fails is no score: the comment is queued
        if len(batch) > 1:  # the others have theirs
            return [scored for facts in batch for scored in _scored([facts], classifier)]
        log.error("scoring failed", extra={"model": classifier.version})
        return [(None, ())]


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
    by_score = []
    for head in Head:
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
