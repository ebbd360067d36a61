"""What one site's decisions taught: its layer over a champion, and its memory of comments.

A fold over decided comments in order. Knows how a decision becomes a lesson; reads no store
and keeps no text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from model.classifier import HEADS, Classifier, Explained
from model.decision import Decision, labels_of
from model.facts import DecidedTwin, Facts, gather
from model.memory import Memory, Sketch, sketch_of
from model.outcome import Head, Outcome
from model.policy import Policy
from model.site_layer import Anchors, Lesson, Row, SiteLayer, margin_of
from model.submission import Submission

_SPAM = HEADS.index(Head.SPAM)


@dataclass(frozen=True, slots=True)
class Decided:
    """A comment with the decision that stands on it.

    `change` numbers the decision among the changes of its site, from 1, in the order in which
    they were made. `chance` is with which the comment came to be reviewed, above 0, at most 1.
    """

    change: int
    id: str
    submission: Submission = field(repr=False)
    decision: Decision
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decided comment as it is learnt from; `lesson` is None where there is nothing to learn."""

    change: int
    lesson: "_Lesson | None"


@dataclass(frozen=True, slots=True)
class _Lesson:
    id: str
    row: Row = field(repr=False)
    margin: float
    positive: bool
    moderator: str
    sketch: Sketch
    chance: float
    is_known: bool


class Experience:
    """A site's layer and memory. Not safe for threads: guard it with a lock.

    Taken in are the decisions of a site numbered above `since` and not above `change`, but
    for what had been taken back by the change numbered `undo`. The same decisions, in order,
    give the same experience, whoever learns from them and how many at a time.

    What the classifier has learnt itself is remembered, and no lesson of the layer: scores of
    comments that it was moved by say nothing of how it judges others.
    """

    def __init__(
        self,
        classifier: Classifier,
        anchors: Anchors,
        policy: Policy,
        *,
        since: int = 0,
        undo: int = 0,
    ) -> None:
        self.layer = SiteLayer.fresh(
            classifier.version,
            anchors,
            risk=policy.queue_risk,
            waits=classifier.learnt_until is not None,
        )
        self.memory = Memory()
        self.since = self.change = since
        self.undo = undo
        self._classifier = classifier
        self._policy = policy
        self._learnt = 0

    def prepared(self, batch: Sequence[Decided]) -> list[Prepared]:
        """Decisions as they are learnt from, in order: the slow part, which changes nothing.

        Only what says spam or ham is a lesson; off topic, toxic or other say neither.
        """
        said = [_says_spam(decided.decision) for decided in batch]
        told = [(d, spam) for d, spam in zip(batch, said, strict=True) if spam is not None]
        lessons = iter(self._lessons(told))
        return [
            Prepared(decided.change, None if spam is None else next(lessons))
            for decided, spam in zip(batch, said, strict=True)
        ]

    def learn(self, prepared: Prepared) -> None:
        """Take in one decision. About a millisecond."""
        told = prepared.lesson
        if told is not None:
            self._learnt += 1
            campaign = self.memory.remember(told.id, told.sketch, positive=told.positive)
            if not told.is_known:
                lesson = Lesson(
                    told.id,
                    told.row,
                    told.margin,
                    told.positive,
                    told.moderator,
                    campaign,
                    told.chance,
                )
                self.layer = self.layer.after([lesson])
        self.change = prepared.change

    @property
    def lessons(self) -> int:
        """How many decisions were learnt from."""
        return self._learnt

    def covers(self, classifier: Classifier | None) -> bool:
        """Whether the layer is over this model: to another one's scores it has nothing to add."""
        return classifier is not None and classifier.version == self.layer.lineage.champion

    def twin(self, facts: Facts) -> DecidedTwin | None:
        """The decided comment that this one is nearly the same as, if there is one."""
        if not self.memory.remembered:
            return None
        twin = self.memory.twin(sketch_of(facts))
        if twin is None:
            return None
        # What is held among other words is alike by the share that is held.
        held = twin.outcome is Outcome.QUEUE
        likeness = max(twin.similarity, twin.contained) if held else twin.similarity
        return DecidedTwin(twin.id, likeness, twin.spam + twin.ham, twin.outcome)

    def _lessons(self, told: Sequence[tuple[Decided, bool]]) -> list[_Lesson]:
        if not told:
            return []
        gathered = [gather(decided.submission) for decided, _ in told]
        explained = self._classifier.explained([facts.texts for facts in gathered], rows=True)
        return [
            self._lesson(decided, facts, one, positive=spam)
            for (decided, spam), facts, one in zip(told, gathered, explained, strict=True)
        ]

    def _lesson(
        self, decided: Decided, facts: Facts, explained: Explained, *, positive: bool
    ) -> _Lesson:
        assert explained.row is not None, "rows were asked for"
        thresholds = self._policy.thresholds_by(self._classifier.promise, facts.language)
        until = self._classifier.learnt_until
        return _Lesson(
            id=decided.id,
            row=explained.row,
            margin=margin_of(explained.log_odds[_SPAM], thresholds.spam, positive=positive),
            positive=positive,
            moderator=decided.decision.moderator,
            sketch=sketch_of(facts),
            chance=decided.chance,
            is_known=until is not None and decided.decision.at <= until,
        )


def _says_spam(decision: Decision) -> bool | None:
    """What a decision says of spam; None when it says nothing."""
    said = [label.positive for label in labels_of(decision) if label.head is Head.SPAM]
    return said[0] if said else None
