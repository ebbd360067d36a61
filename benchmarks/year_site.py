"""One site through the scripted year: judged each day, moderated each evening, taught or not.

Uses what the service uses: `model.judging`, the site's layer and memory of `model.experience`, the
audit draw. Nothing is known before its day. Knows no store and no clock; the loop that makes new
versions is in `benchmarks.year_loop`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from benchmarks.year_stream import Script, Sent
from model.classifier import Classifier
from model.decision import Decision, Label, LabelledExample, Provenance, RejectReason, WordOf
from model.experience import Decided, Experience
from model.judging import Case, audited, judge
from model.outcome import Head, Outcome
from model.policy import Policy
from model.site_layer import HORIZON, Anchors
from model.submission import History, Submission
from model.verdict import Verdict
from training.examples import submission_of
from training.fit import content_key

SITE = "duyet:year"
BEGIN = datetime(2026, 1, 1, 20, tzinfo=UTC)
SECONDS_A_DECISION = 1.54
WORDS_A_MINUTE = 238.0
"""Both from docs/moderating-speed.md: by keys, without reading; and how fast people read."""


@dataclass(slots=True)
class Came:
    """A comment that came, with what was known then and what became of it."""

    sent: Sent
    submission: Submission
    history: History
    verdict: Verdict
    decision: Decision | None = None

    @property
    def outcome(self) -> Outcome:
        """The machine's own outcome: without the audit draw."""
        unaudited = self.verdict.unaudited
        return self.verdict.outcome if unaudited is None else unaudited

    @property
    def id(self) -> str:
        """Names the comment."""
        return str(self.sent.number)


@dataclass(slots=True)
class Site:
    """A site with a champion. `learns` gives it layer and memory, as the service has them."""

    name: str
    script: Script
    policy: Policy
    classifier: Classifier
    anchors: Anchors
    learns: bool
    seed: int
    came: list[Came] = field(default_factory=list)
    waiting: list[Came] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    labels: list[LabelledExample] = field(default_factory=list)
    seconds: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    experience: Experience | None = None
    _seen: Counter[str] = field(default_factory=Counter)
    _rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.serve(self.classifier)

    def serve(self, classifier: Classifier) -> None:
        """Judge by this version from now on, and learn the site's decisions over it anew."""
        self.classifier = classifier
        if not self.learns:
            return
        self.experience = Experience(classifier, self.anchors, self.policy)
        self._learn(self.decided[-HORIZON:])

    def judged(self, today: Sequence[Sent]) -> list[Came]:
        """The comments of a day, judged by what was known in its morning."""
        submissions = [submission_of(sent.example) for sent in today]
        histories = [self._history(sent) for sent in today]
        verdicts = self.said(submissions, histories, self.classifier, self.experience)
        found = [
            Came(sent, submission, history, audited(verdict, self.policy, f"year {sent.number}"))
            for sent, submission, history, verdict in zip(
                today, submissions, histories, verdicts, strict=True
            )
        ]
        self.came += found
        self.waiting += [one for one in found if one.verdict.outcome is Outcome.QUEUE]
        return found

    def said(
        self,
        submissions: Sequence[Submission],
        histories: Sequence[History],
        classifier: Classifier,
        experience: Experience | None = None,
    ) -> list[Verdict]:
        """What a version says of comments."""
        version = self.policy.version
        cases = [
            Case(submission, history, self.policy, version, experience)
            for submission, history in zip(submissions, histories, strict=True)
        ]
        return judge(cases, classifier)

    def moderated(self, day: int) -> None:
        """People work what waits, the riskiest first, until their time is up."""
        random = Random(f"{self.seed}/{day}")  # alike in all arms
        self.waiting.sort(key=lambda one: (-_risk(one), one.sent.number))
        budget, done = self.script.minutes_a_day * 60, 0
        for one in self.waiting:
            took = SECONDS_A_DECISION + 60 * len(one.sent.example.text.split()) / WORDS_A_MINUTE
            if self.seconds[day] + took > budget:
                break
            self.seconds[day] += took
            self._decide(one, day, random)
            done += 1
        self._learn(self.decided[len(self.decided) - done :])
        del self.waiting[:done]

    def looked_at(self, day: int, comments: Sequence[Came]) -> None:
        """People read comments that they do not decide on."""
        words = sum(len(one.sent.example.text.split()) for one in comments)
        self.seconds[day] += 60 * words / WORDS_A_MINUTE + SECONDS_A_DECISION * len(comments)

    def decided_again(self, day: int, comments: Sequence[Came]) -> None:
        """Somebody decides comments a second time; that holds, and the layer learns all anew."""
        self.looked_at(day, comments)
        random = Random(f"{self.seed}/{day}/again")
        again = {one.id for one in comments}
        self.decided = [told for told in self.decided if told.id not in again]
        for one in comments:
            if one.decision is not None and one.decision.outcome is Outcome.REJECT:
                self._rejected[content_key(one.sent.example.text)] -= 1
            self._decide(one, day, random)
        self.serve(self.classifier)

    def _decide(self, one: Came, day: int, random: Random) -> None:
        who = random.choices(list(self.script.moderators), list(self.script.moderators.values()))[0]
        errs = random.random()
        careless = self.script.careless
        is_careless = careless is not None and (
            who == careless.who and careless.begins <= day < careless.begins + careless.days
        )
        share = careless.share if careless is not None and is_careless else self.script.mistakes
        spam = one.sent.positive != (errs < share)
        at = BEGIN + timedelta(days=day, seconds=self.seconds[day])
        reason = RejectReason.SPAM if spam else None
        one.decision = Decision(Outcome.REJECT if spam else Outcome.ACCEPT, reason, who, at)
        if spam:
            self._rejected[content_key(one.sent.example.text)] += 1
        chance = self.policy.audit_rate if one.verdict.audit else 1.0
        change = self.decided[-1].change + 1 if self.decided else 1
        self.decided.append(Decided(change, one.id, one.submission, one.decision, chance))
        self.labels.append(self._label(one, one.decision, spam=spam))

    def _label(self, one: Came, decision: Decision, *, spam: bool) -> LabelledExample:
        example = one.sent.example
        chance = self.policy.audit_rate if one.verdict.audit else 1.0
        return LabelledExample(
            id=f"{one.id}:spam",
            text=example.text,
            label=Label(Head.SPAM, spam),
            source=SITE,
            group=one.sent.article,
            author=example.author,
            author_url=example.author_url,
            date=decision.at.isoformat(),
            extra={"comment_id": one.id, "history": _told(one.history)},
            provenance=Provenance(
                WordOf.DECISION, decision.moderator, decision.at.isoformat(), chance
            ),
        )

    def _learn(self, decided: Sequence[Decided]) -> None:
        if self.experience is None:
            return
        for prepared in self.experience.prepared(decided):
            self.experience.learn(prepared)

    def _history(self, sent: Sent) -> History:
        """The text alone is known again: the sets name few authors and no address."""
        key = content_key(sent.example.text)
        history = History(text_seen=self._seen[key], text_rejected=self._rejected[key])
        self._seen[key] += 1
        return history


def _risk(one: Came) -> float:
    scores = one.verdict.scores
    return 1.0 if scores is None else max(scores.spam, scores.toxicity)


def _told(history: History) -> Mapping[str, object]:
    return {name: getattr(history, name) for name in History.__dataclass_fields__}
