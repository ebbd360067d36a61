"""A site's choices: form, risks, effects of rules, audit, fail mode.

A policy is a value with a version; changing one makes another. Nothing here reads a
submission.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from model.outcome import HeadThresholds, Outcome, Thresholds
from model.promise import RISKS, Promise, is_risk


@dataclass(frozen=True, slots=True)
class FormRules:
    """What the site's comment form asks for.

    Lengths are bytes of UTF-8 after trimming, the sizes of WordPress' own columns (name
    TINYTEXT, address VARCHAR(100), URL VARCHAR(200), comment TEXT, each less its margin).
    `check_deliverability` asks DNS whether the address' domain takes mail.
    """

    require_name: bool = True
    require_email: bool = True
    require_url: bool = False
    max_name_bytes: int = 245
    max_email_bytes: int = 100
    max_url_bytes: int = 200
    max_content_bytes: int = 65_525
    check_deliverability: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's choices.

    At most `reject_risk` of genuine comments may be rejected for their scores, and at most
    `queue_risk` queued or rejected: 0 for never, else from 0.0005 to 0.05, with
    `reject_risk` <= `queue_risk`. The model gives the thresholds that keep to it
    (`model.promise`), unless `thresholds` says them outright; None leaves it to the risks.
    `effects` replaces a rule's usual effect by rule name; a rule mapped to ACCEPT is only noted.
    `audit_rate` in [0, 1] is the share of accepted and rejected comments queued for review
    whatever the verdict. `fail_open` publishes what could not be scored: a choice a site
    makes in writing. `learn_from_decisions` lets what people decided on this site adjust its
    scores and settle near-duplicates. `publish_addresses` shows addresses that commenters typed
    themselves. More than `max_links` links queue: WordPress (two hold) would hold 4 % of a
    technical blog's genuine comments, this 0.1 %.

    Raises ValueError, naming the field, when a number is out of range.
    """

    form: FormRules = field(default_factory=FormRules)
    reject_risk: float = 0.005
    queue_risk: float = 0.01
    thresholds: HeadThresholds | None = None
    effects: Mapping[str, Outcome] = field(default_factory=dict)
    audit_rate: float = 0.01
    fail_open: bool = False
    learn_from_decisions: bool = True
    publish_addresses: bool = False
    max_links: int = 5
    flood_seconds: float = 15.0
    trust_after: int = 2

    def __post_init__(self) -> None:
        for name in ("reject_risk", "queue_risk"):
            if not is_risk(getattr(self, name)):
                raise ValueError(f"{name} must be 0, or from {RISKS[0]} to {RISKS[-1]}")
        if self.reject_risk > self.queue_risk:
            raise ValueError("reject_risk must be at most queue_risk: what is rejected counts")
        if not 0 <= self.audit_rate <= 1:
            raise ValueError("audit_rate must be from 0 to 1")
        for name in ("max_links", "flood_seconds", "trust_after"):
            if not getattr(self, name) >= 0:  # so that NaN is refused
                raise ValueError(f"{name} must be 0 or more")

    def thresholds_by(self, promise: Promise, language: str) -> HeadThresholds:
        """The thresholds for comments in a language: the site's own, else by its risks."""
        return self.thresholds or promise.thresholds(
            language, reject_risk=self.reject_risk, queue_risk=self.queue_risk
        )

    @property
    def version(self) -> str:
        """A name made from the choices themselves: equal policies have equal versions."""
        numbers = json.loads(self.to_json(), parse_int=float)  # 15 and 15.0 are one choice
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The policy as canonical JSON."""
        body = asdict(self) | {"effects": {k: v.word for k, v in sorted(self.effects.items())}}
        return json.dumps(body, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        """The policy that `to_json` wrote. Raises ValueError for anything else."""
        try:
            body = json.loads(text)
            thresholds = body.pop("thresholds")
            return cls(
                form=FormRules(**body.pop("form")),
                thresholds=thresholds
                and HeadThresholds(**{head: Thresholds(**at) for head, at in thresholds.items()}),
                effects={rule: Outcome.of(word) for rule, word in body.pop("effects").items()},
                **body,
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as problem:
            raise ValueError(f"not a policy: {type(problem).__name__}") from None
