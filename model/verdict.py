"""What the machine says: outcome, scores, hits, reasons, spans, versions.

`decide` is the policy's laws as one pure function; it reads nothing and cannot fail.
"""

from dataclasses import dataclass

from model.outcome import Head, HeadThresholds, Outcome, Scores
from model.policy import Policy


@dataclass(frozen=True, slots=True)
class Span:
    """A range of what was typed that weighed on a score.

    `field` is `content`, `author.name` or `author.url`; `start` and `end` are code points of
    that field as submitted, end exclusive; `weight` is the span's share of the log-odds,
    positive towards the head.
    """

    field: str
    start: int
    end: int
    head: Head
    weight: float


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A rule's match. `evidence` is a phrase a moderator can check; it holds no address.

    `effect` is the least outcome the rule asks for; a hit of a trust rule has `trust` set and
    may soften instead.
    """

    rule: str
    effect: Outcome
    evidence: str = ""
    field: str = ""
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code, the field it is about, and what shows it, addresses masked.

    `model.reasons` has the sentence for each code, in each language.
    """

    code: str
    field: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a site's own decisions had to do with a verdict.

    `layer` names the site's layer over the model, learnt from `lessons` decisions; it is empty
    when there was none over this model. What was known are the decisions numbered above
    `since` and not above `change` among the site's changes, but for what had been taken back
    by the change numbered `undo`. `added` is the layer's part of the log-odds of the spam
    score; `twin` the id of the decided comment that this one is like, if any.
    """

    layer: str
    lessons: int
    since: int
    undo: int
    change: int
    added: float = 0.0
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an entry of a site's lists stands: code points of `field`, end exclusive."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Laid:
    """What rules that people of the site laid down had to do with a verdict.

    `version` is that of the site's rules, whose earlier versions stay readable; `published` says
    whether the author had a comment published before the raid that was on.
    """

    version: int
    published: bool = False
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the machine says of one submission. `scores` is None when no model could score.

    `model` and `policy` are version names; `audit` marks a comment queued for review only
    because it was drawn, with what it would have been in `unaudited`. `learnt` is None when
    nothing had been learnt from the site's decisions, or they were not asked; `laid` when the site
    has no rules of its own.
    """

    outcome: Outcome
    scores: Scores | None
    reasons: tuple[Reason, ...]
    hits: tuple[RuleHit, ...]
    spans: tuple[Span, ...]
    model: str
    policy: str
    audit: bool = False
    unaudited: Outcome | None = None
    learnt: Learnt | None = None
    laid: Laid | None = None


def decide(
    policy: Policy,
    scores: Scores | None,
    hits: tuple[RuleHit, ...],
    *,
    model_thresholds: HeadThresholds,
) -> Outcome:
    """The outcome by the policy's laws.

    The scores give an outcome by the site's thresholds, else by those that the model has for
    the comment's language and the site's risks; no scores give `queue`, or what the site's fail
    mode says. Trust softens that by one step at the most, however many trust rules hit, and
    never softens a missing score. Every other hit may only make it more severe.
    """
    if scores is None:  # no opinion is not a good opinion
        outcome = Outcome.ACCEPT if policy.fail_open else Outcome.QUEUE
    else:
        outcome = (policy.thresholds or model_thresholds).outcome(scores)
        if any(hit.trust for hit in hits):
            outcome = Outcome(max(outcome - 1, Outcome.ACCEPT))
    return max([outcome, *(hit.effect for hit in hits if not hit.trust)])
