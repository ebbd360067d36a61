"""What a person says of a submission, and what that teaches.

`label_of` is the only author of labels from decisions: the machine's own verdicts never
become one, and a rejection for being off topic or otherwise unwanted says nothing of spam.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from model.outcome import Head, Outcome


class RejectReason(StrEnum):
    """Why a person rejected."""

    SPAM = "spam"
    TOXIC = "toxic"
    OFF_TOPIC = "off_topic"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word on one comment: accept, or reject with a reason. Never `queue`.

    Raises ValueError for `queue`, for a rejection without a reason, or an acceptance with one.
    """

    outcome: Outcome
    reason: RejectReason | None
    moderator: str
    at: datetime

    def __post_init__(self) -> None:
        if self.outcome is Outcome.QUEUE:
            raise ValueError("a decision accepts or rejects; `queue` is not one")
        if (self.outcome is Outcome.REJECT) != (self.reason is not None):
            raise ValueError("a rejection names its reason, an acceptance has none")


class ReportKind(StrEnum):
    """A site's word that a verdict was wrong."""

    SPAM = "spam"
    HAM = "ham"
    TOXIC = "toxic"


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one head: True is spam or toxic, False is ham or clean."""

    head: Head
    positive: bool

    @property
    def word(self) -> str:
        """The label as files spell it: spam, ham, toxic or clean."""
        if self.head is Head.SPAM:
            return "spam" if self.positive else "ham"
        return "toxic" if self.positive else "clean"


class WordOf(StrEnum):
    """Whose word a label is, from what counts least to what counts most."""

    FILE = "file"
    IMPORT = "import"
    REPORT = "report"
    DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a label comes from.

    `who` is the moderator, the site that reported, what was imported, or the file: no address.
    `at` is when it was said, in ISO 8601 with a zone, "" where nobody knows. `chance`, above 0
    and up to 1, is how likely it was that a person would be asked; None where nobody drew.

    Raises ValueError for a chance outside that.
    """

    kind: WordOf = WordOf.FILE
    who: str = ""
    at: str = ""
    chance: float | None = None

    def __post_init__(self) -> None:
        if self.chance is not None and not 0 < self.chance <= 1:
            raise ValueError("chance must be above 0 and up to 1")


@dataclass(frozen=True, slots=True)
class LabelledExample:
    """One labelled comment, in the form of the labelled files.

    `group` is the unit to split by (article, video, site); `weight` is at least 0;
    `extra` is whatever the file added.
    """

    id: str
    text: str = field(repr=False)
    label: Label
    lang: str = ""
    source: str = ""
    split: str = ""
    group: str = ""
    author: str = field(default="", repr=False)
    author_url: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    ip: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)
    date: str = ""
    weight: float = 1.0
    extra: Mapping[str, object] = field(default_factory=dict)
    provenance: Provenance = Provenance()


def labels_of(decision: Decision) -> tuple[Label, ...]:
    """The labels that a decision gives: none, one, or for an acceptance both heads'."""
    if decision.outcome is Outcome.ACCEPT:
        return (Label(Head.SPAM, False), Label(Head.TOXICITY, False))
    if decision.reason is RejectReason.SPAM:
        return (Label(Head.SPAM, True),)
    if decision.reason is RejectReason.TOXIC:
        return (Label(Head.TOXICITY, True),)
    return ()


def labels_of_report(kind: ReportKind) -> tuple[Label, ...]:
    """The labels that a site's report gives."""
    return {
        ReportKind.SPAM: (Label(Head.SPAM, True),),
        ReportKind.HAM: (Label(Head.SPAM, False),),
        ReportKind.TOXIC: (Label(Head.TOXICITY, True),),
    }[kind]
