"""Judge gathered facts: rules, scores, outcome, reasons. No I/O, and no text makes it raise."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.classifier import Classifier
from model.facts import Facts, gather
from model.outcome import Head, HeadThresholds, Outcome, Scores, Thresholds
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
_UNUSED = HeadThresholds(Thresholds(2, 2), Thresholds(2, 2))


def judge(
    submission: Submission,
    history: History,
    policy: Policy,
    classifier: Classifier | None,
    *,
    policy_version: str,
) -> Verdict:
    """The verdict on one submission under a policy, of which the caller knows the version."""
    try:
        facts = gather(submission, history)
    except Exception as problem:  # noqa: BLE001  what cannot be read, a person should read
        log.error("reading a submission failed", extra={"problem": type(problem).__name__})
        return Verdict(
            outcome=Outcome.QUEUE,
            scores=None,
            reasons=(Reason("judging.failed"),),
            hits=(),
            spans=(),
            model=NO_MODEL,
            policy=policy_version,
        )
    scores, spans = _scored(facts, classifier)
    found = hits(facts, policy)
    thresholds = policy.thresholds or (classifier.thresholds if classifier else _UNUSED)
    return Verdict(
        outcome=decide(policy, scores, found, model_thresholds=thresholds),
        scores=scores,
        reasons=_reasons(scores, thresholds, found, spans, submission),
        hits=found,
        spans=spans,
        model=classifier.version if classifier else NO_MODEL,
        policy=policy_version,
    )


def _scored(facts: Facts, classifier: Classifier | None) -> tuple[Scores | None, tuple[Span, ...]]:
    if classifier is None:
        return None, ()
    try:
        return classifier.explain(facts.texts)
    except Exception:  # noqa: BLE001  a score that fails is no score: the comment is queued
        log.error("scoring failed", extra={"model": classifier.version})
        return None, ()


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
        return [
            judge(submission, History(), self.policy, self.classifier, policy_version=version)
            for submission in batch
        ]


def offline_judge(models: Path | None, name: str | None) -> OfflineJudge:
    """A judge with a model by name or version; by default the champion.

    `models` is the registry's directory; for None, or one without a version, it is the shipped
    one. Raises RegistryError.
    """
    registry = Registry(models) if models and Registry(models).versions() else Registry(SHIPPED)
    return OfflineJudge(registry.load(name or CHAMPION))
