"""What another model, policy or lists would have said of a comment that was judged before.

Pure, and of what was known then: the history as it was, and what only the moment could tell, such
as how the author stood, as the verdict kept it. Nothing here knows what became of the comment.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp, isfinite

from model.classifier import HEADS, Classifier, scores_of
from model.facts import Facts, gather
from model.judging import thresholds_for
from model.lists import Lists, Searched
from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.rules import FAILED, RULES, hits
from model.site_rules import Met
from model.submission import History, Submission
from model.verdict import RuleHit, Verdict, decide

log = logging.getLogger(__name__)

_OF_THE_MOMENT = ("memory.", "raid.", "author.banned", "author.queued", "author.trusted")
_NOT_STORED = ("author.disposable_address",)  # hangs on the address, which is kept sealed
_LISTS = "list."
_MEMORY = "memory."

_EFFECTS = {rule.name: rule.effect for rule in RULES}
_AGAIN = tuple(
    rule for rule in RULES if not rule.name.startswith((*_OF_THE_MOMENT, *_NOT_STORED, _LISTS))
)
_OF_LISTS = tuple(rule for rule in RULES if rule.name.startswith(_LISTS))


# ------------------------------------------------------------------ beside a verdict


@dataclass(frozen=True, slots=True)
class Compared:
    """What two models say of one comment, each without a site's layer, all else being the same.

    `was` is the champion's outcome, `would` the challenger's. `layered` says that the site's
    layer over the champion had made another outcome than `was` of it; over the challenger
    there is no layer yet. `failed` says that the challenger could not score it.
    """

    language: str
    was: Outcome
    would: Outcome
    layered: bool
    failed: bool


def compared(
    submission: Submission,
    verdict: Verdict,
    policy: Policy,
    *,
    champion: Classifier,
    challenger: Classifier,
) -> Compared | None:
    """What a challenger says of a submission, beside the verdict that the champion gave.

    Everything but the scores is the verdict's own: history, rules, memory and the site's rules
    took the same part in both. None where the champion gave no score, or is not the one that
    judged: then there is nothing to compare.
    """
    own = own_scores(verdict)
    if own is None or verdict.model != champion.version:
        return None
    facts = gather(submission)
    [odds] = log_odds_of([facts], challenger)
    scores = None if odds is None else scores_of(odds)

    def outcome(model: Classifier, said: Scores | None) -> Outcome:
        thresholds = thresholds_for(policy, model, facts.language)
        return decide(policy, said, verdict.hits, model_thresholds=thresholds)

    was = outcome(champion, own)
    return Compared(
        language=facts.language,
        was=was,
        would=outcome(challenger, scores),
        layered=was is not unaudited(verdict),
        failed=scores is None,
    )


def unaudited(verdict: Verdict) -> Outcome:
    """A verdict's outcome as it was before chance drew it for a second look."""
    return verdict.outcome if verdict.unaudited is None else verdict.unaudited


def own_scores(verdict: Verdict) -> Scores | None:
    """The model's own scores, without what a site's layer added."""
    added = verdict.learnt.added if verdict.learnt is not None else 0.0
    scores = verdict.scores
    if scores is None or not added:
        return scores
    ham, spam = (1 - scores.spam) * exp(added), scores.spam
    return Scores(spam / (spam + ham), scores.toxicity)


def log_odds_of(batch: Sequence[Facts], classifier: Classifier) -> list[tuple[float, ...] | None]:
    """The log-odds of each, in order; None for one that could not be scored."""
    if not batch:
        return []
    try:
        found = classifier.log_odds([facts.texts for facts in batch]).tolist()
    except Exception:  # noqa: BLE001  a score that fails is no score, and spoils no other
        if len(batch) > 1:
            return [one for facts in batch for one in log_odds_of([facts], classifier)]
        log.error("scoring failed", extra={"model": classifier.version})
        return [None]
    return [tuple(odds) if all(map(isfinite, odds)) else None for odds in found]


# ------------------------------------------------------------------ judged again


@dataclass(frozen=True, slots=True)
class Past:
    """A comment that was judged: what was known of it then, and what was found and said.

    `outcome` is the machine's, before chance drew the comment; `hits` are those of then.
    `added` is what the site's layer added to the log-odds of the score of `model`, as far as
    the store keeps it; `address_domain` is all that is left of the address.
    """

    submission: Submission = field(repr=False)
    history: History
    outcome: Outcome
    model: str
    hits: tuple[RuleHit, ...]
    added: float = 0.0
    address_domain: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Setup:
    """What comments are judged by again. Without `lists`, those of then are in force."""

    classifier: Classifier
    policy: Policy
    lists: Lists | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """What a setup says. `layerless` says that the site's layer took part then, and that none
    is known over this model, so that its part is missing here."""

    outcome: Outcome
    scores: Scores | None
    language: str
    layerless: bool


def judged_again(batch: Sequence[tuple[Past, Setup]]) -> list[Again]:
    """What each one's setup says of it, in order; setups of one model are scored together."""
    read = [(past, setup, gather(past.submission, past.history)) for past, setup in batch]
    by_model: dict[str, list[int]] = {}
    for at, (_, setup, _) in enumerate(read):
        by_model.setdefault(setup.classifier.version, []).append(at)
    odds: list[tuple[float, ...] | None] = [None] * len(read)
    for places in by_model.values():
        scored = log_odds_of([read[at][2] for at in places], read[places[0]][1].classifier)
        for at, found in zip(places, scored, strict=True):
            odds[at] = found
    return [
        _again(past, setup, facts, found)
        for (past, setup, facts), found in zip(read, odds, strict=True)
    ]


def _again(past: Past, setup: Setup, facts: Facts, odds: tuple[float, ...] | None) -> Again:
    policy, model = setup.policy, setup.classifier
    is_same = past.model == model.version
    added = past.added if is_same and policy.learn_from_decisions else 0.0
    scores = None
    if odds is not None:
        more = (added if head is Head.SPAM else 0.0 for head in HEADS)
        scores = scores_of([of + a for of, a in zip(odds, more, strict=True)])
    found = (*_kept(past, setup), *hits(facts, policy, _AGAIN), *_listed(past, setup, facts))
    thresholds = thresholds_for(policy, model, facts.language)
    return Again(
        outcome=decide(policy, scores, found, model_thresholds=thresholds),
        scores=scores,
        language=facts.language,
        layerless=bool(past.added) and not is_same,
    )


def _kept(past: Past, setup: Setup) -> list[RuleHit]:
    """The hits of then that cannot be looked for again, with the effects that they have now."""
    stay = _OF_THE_MOMENT + _NOT_STORED + (() if setup.lists is not None else (_LISTS,))
    kept = [hit for hit in past.hits if hit.rule.startswith(stay)]
    if not setup.policy.learn_from_decisions:
        kept = [hit for hit in kept if not hit.rule.startswith(_MEMORY)]
    return [hit if hit.evidence == FAILED else _with_effect(hit, setup.policy) for hit in kept]


def _with_effect(hit: RuleHit, policy: Policy) -> RuleHit:
    return replace(hit, effect=policy.effects.get(hit.rule, _EFFECTS.get(hit.rule, hit.effect)))


def _listed(past: Past, setup: Setup, facts: Facts) -> tuple[RuleHit, ...]:
    """What the lists would find."""
    if setup.lists is None or setup.lists.is_empty:
        return ()
    author = facts.submission.author
    searched = Searched(
        content=facts.submission.content,
        name=author.name,
        url=author.url,
        links=facts.links,
        address_domain=past.address_domain,
    )
    met = Met(None, None, None, setup.lists.found_in(searched))
    return hits(replace(facts, met=met), setup.policy, _OF_LISTS)
