"""The one door: every comment, by whatever protocol it came, goes through `Moderation.check`.

Gather, judge, record, for a batch: while one batch is judged and committed on its own thread,
arriving submissions collect, and the next batch takes them all, and those whose requests are
there by then. There is no timer, so an idle service adds no waiting; a busy one shares one read,
one scoring and one commit. Knows no protocol and no table; never judges by itself.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import compress

from model.addresses import AddressProblem, read_address
from model.classifier import Classifier
from model.experience import Experience
from model.form import FieldError, form_errors, prepared
from model.judging import Case, audited, judge, undecided
from model.outcome import Outcome
from model.policy import Policy
from model.rejudging import own_scores
from model.rules import FAILED
from model.site_rules import Applied
from model.submission import Submission
from model.text import comparable
from model.verdict import Learnt, Verdict
from service.admission import (
    LARGEST_BATCH,
    LONGEST_BATCH,
    MOST_WAIT_SECONDS,
    STANDS_STILL_SECONDS,
    Admission,
    Overloaded,
)
from service.deliverability import Deliverability
from service.learning import Learning
from service.metrics import Metrics
from service.ruling import Ruling
from service.serving import Serving
from service.shadow import Shadow
from service.spool import Spool, SpoolFull
from service.storage import (
    AkismetOrigin,
    Asked,
    Checked,
    IdempotencyRace,
    Known,
    Site,
    Store,
    StoredComment,
    StoreError,
    StoreUnavailable,
    TablesChanged,
    new_id,
)
from service.tracing import Stages, Tracing
from service.work_thread import WorkThread

log = logging.getLogger(__name__)

RACES = 5
"""Times a batch is gathered again when another process took one of its idempotency keys, or
changed the tables."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A submission with its verdict, committed.

    `submission` is as it was judged (trimmed); a replayed one has no address and no IP.
    """

    id: str
    submission: Submission = field(repr=False)
    verdict: Verdict
    policy: Policy


@dataclass(frozen=True, slots=True)
class Refused:
    """A submission that fails the form's rules: all of its errors. Nothing was stored."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """The idempotency key was used before with another submission. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The submission could not be stored, which `error` says why. Nothing of it was."""

    error: Exception


Answer = Answered | Refused | Conflict | Failed


@dataclass(slots=True)
class _Waiting:
    call: "_Call"
    place: int
    submission: Submission
    idempotency_key: str
    received_at: datetime
    origin: AkismetOrigin | None
    is_test: bool
    has_form: bool
    size: int
    """In characters."""


class _Call:
    """What one caller waits for. Touched on the event loop alone, but for what is frozen.

    `tell` is called once: with the answers when all are there, or with why they never will be. It
    must not hold this call: everything of a comment would be left to the garbage collector, which
    stops all for as long as it looks.
    """

    def __init__(self, site: Site, tell: Callable[[Sequence[Answer] | Exception], None]) -> None:
        self.site = site
        self.tell = tell
        self.waiting: deque[_Waiting] = deque()
        self.answers: list[Answer] = []
        self.characters = 0
        self.arrived = time.perf_counter()
        self.stages: Stages | None = None
        self._left = 0

    def add(
        self,
        submission: Submission,
        idempotency_key: str,
        received_at: datetime,
        *,
        origin: AkismetOrigin | None = None,
        is_test: bool = False,
        has_form: bool = True,
    ) -> None:
        waiting = _Waiting(
            call=self,
            place=self._left,
            submission=submission,
            idempotency_key=idempotency_key,
            received_at=received_at,
            origin=origin,
            is_test=is_test,
            has_form=has_form and origin is None,
            size=_size_of(submission),
        )
        self.waiting.append(waiting)
        self.answers.append(_UNANSWERED)
        self.characters += waiting.size
        self._left += 1

    def settle(self, place: int, answer: Answer) -> None:
        self.answers[place] = answer
        self._left -= 1
        if not self._left:
            self.tell(self.answers)


_UNANSWERED = Conflict()  # replaced before anyone may look


@dataclass(frozen=True, slots=True)
class _Entry:
    """A submission as the form and the store see it."""

    site: Site
    asked: Asked
    errors: tuple[FieldError, ...]


_Fresh = tuple[_Entry, Known]
_Learnt = Mapping[str, Experience]
_Rules = Sequence[Applied | None]
_Judging = Callable[[Sequence[_Fresh], Classifier | None, _Learnt, _Rules], list[Checked]]


class Moderation:
    """Gathers, judges and records submissions; one object for a process.

    `now` gives aware times. Methods are called on one event loop; the work runs on one
    thread of its own. Callers take turns, so that a thousand comments of one hold up
    another's single comment for a moment only. Who would have to wait for others for more than
    `most_wait_seconds`, as fast as batches are answered at the time, is turned away at once.
    """

    def __init__(  # noqa: PLR0913  wired in one place
        self,
        store: Store,
        serving: Serving,
        *,
        now: Callable[[], datetime],
        deliverability: Deliverability,
        metrics: Metrics,
        tracing: Tracing | None = None,
        spool: Spool | None = None,
        shadow: Shadow | None = None,
        most_wait_seconds: float = MOST_WAIT_SECONDS,
    ) -> None:
        self._store = store
        self._spool = spool
        self._shadow = shadow
        self._admission = Admission(most_wait_seconds)
        self._serving = serving
        self._now = now
        self._deliverability = deliverability
        self._metrics = metrics
        self._tracing = tracing
        self._stages: Stages | None = None  # of the last batch
        self._uncounted: list[Callable[[], None]] = []  # what of it is counted once it is answered
        self._learning = Learning(store, metrics)
        self._ruling = Ruling(store)
        self._calls: deque[_Call] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._thread = WorkThread("moderation")

    def start(self) -> None:
        """Begin what goes on beside the judging; `drain` ends it."""
        if self._shadow is not None:
            self._shadow.start(self.is_idle)

    async def check(
        self,
        site: Site,
        submissions: Sequence[Submission],
        *,
        idempotency_keys: Sequence[str] = (),
    ) -> list[Answer]:
        """An answer for each submission, in order, once all are committed.

        `idempotency_keys` are the caller's, one for each submission or none at all. Raises
        Overloaded before anything is stored, and StoreUnavailable when the store is away and
        none of them was stored.
        """
        if not submissions:
            return []
        self._admission.admit(len(submissions))
        done = asyncio.get_running_loop().create_future()
        call = _Call(site, partial(_set, done))
        now, keys = self._now(), idempotency_keys or [""] * len(submissions)
        for submission, key in zip(submissions, keys, strict=True):
            call.add(submission, key, now)
        return await self._answered(call, done)

    async def check_one(
        self,
        site: Site,
        submission: Submission,
        *,
        idempotency_key: str = "",
        origin: AkismetOrigin | None = None,
        is_test: bool = False,
        has_form: bool = True,
    ) -> Answer:
        """The answer for one submission, once it is committed. Raises as `check` does.

        With an `origin` or without `has_form` its form has been checked by the client, and is
        not again. A test is judged and leaves nothing behind; its answer has no id.
        """
        self._admission.admit()
        done = asyncio.get_running_loop().create_future()
        call = _Call(site, partial(_set, done))
        call.add(
            submission,
            idempotency_key,
            self._now(),
            origin=origin,
            is_test=is_test,
            has_form=has_form,
        )
        [answer] = await self._answered(call, done)
        return answer

    def begin_one(
        self,
        site: Site,
        submission: Submission,
        tell: Callable[[Answer | Exception], None],
        *,
        idempotency_key: str = "",
        origin: AkismetOrigin | None = None,
        is_test: bool = False,
    ) -> None:
        """What `check_one` does for a caller that is no task: `tell` is told what came of it.

        On this event loop, once; it must not raise. Raises Overloaded at once.
        """
        self._admission.comes(site.id)
        self._admission.admit()
        call = _Call(site, partial(_tell_one, tell))
        call.add(submission, idempotency_key, self._now(), origin=origin, is_test=is_test)
        self._enter(call)

    async def _answered(self, call: _Call, done: asyncio.Future[None]) -> list[Answer]:
        self._enter(call)
        await done
        if self._tracing is not None and call.stages is not None:
            self._tracing.judged(call.arrived, call.stages)
        if away := _away(call.answers):
            raise away
        return call.answers

    @property
    def admission(self) -> Admission:
        """Who may come in: to be asked early, before any work for one that is turned away."""
        return self._admission

    async def drain(self) -> None:
        """Wait until everything that entered is answered, then end the threads."""
        while self._runner is not None and not self._runner.done():
            await asyncio.wait([self._runner])
        self._thread.shutdown()
        await asyncio.to_thread(self._learning.close)
        if self._shadow is not None:
            await asyncio.to_thread(self._shadow.close)

    def is_idle(self) -> bool:
        """Whether nobody waits for an answer. May be asked by any thread."""
        runner = self._runner
        return runner is None or runner.done()

    def is_turning_away(self) -> bool:
        """Whether somebody was turned away a moment ago. May be asked by any thread."""
        return self._admission.is_turning_away

    def _enter(self, call: _Call) -> None:
        self._admission.enters(call.site.id, len(call.answers), call.characters)
        self._calls.append(call)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    # -------------------------------------------------------------- on the event loop

    async def _run(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._calls:
                batch = self._next_batch()
                began = time.perf_counter()
                answers = await self._worked(batch)
                self._admission.took(time.perf_counter() - began)
                for waiting, answer in zip(batch, answers, strict=True):
                    waiting.call.stages = self._stages
                    waiting.call.settle(waiting.place, answer)
                batch = []
                self._count_what_was_answered()
                if self._admission.is_flooded:
                    self._turn_away()
                await self._let_come()
        finally:
            self._give_up([w.call for w in batch] + list(self._calls))

    async def _worked(self, batch: Sequence[_Waiting]) -> list[Answer]:
        """The batch's answers, from the thread.

        While callers are turned away, who are many, the event loop stands still for a moment: the
        thread would have to wait for the interpreter after each row that it reads or writes, while
        those that come are no sooner refused than they would be after it.
        """
        still = STANDS_STILL_SECONDS if self._admission.is_turning_away else 0.0
        return await self._thread.do(partial(self._answers, batch), stand_still_seconds=still)

    def _count_what_was_answered(self) -> None:
        self._metrics.arriving_are(self._admission.waiting)
        uncounted, self._uncounted = self._uncounted, []
        for count in uncounted:
            count()

    async def _let_come(self) -> None:
        """Let those in whose requests are there already: more in a batch cost less each.

        Whoever was answered just now may ask again at once. Judging beside what reads them would
        take turns with that for the interpreter, and begin with half of them. While callers are
        turned away, one turn of the event loop is for those who come, as it has stood still.
        """
        if self._admission.is_turning_away:
            await asyncio.sleep(0)
            return
        seen = -1
        while seen < len(self._calls) < LARGEST_BATCH:
            seen = len(self._calls)
            await asyncio.sleep(0)

    def _next_batch(self) -> list[_Waiting]:
        """One of each caller in turn, until there are enough."""
        batch: list[_Waiting] = []
        sizes: list[int] = []
        characters = 0
        most = self._admission.most_together
        while self._calls and len(batch) < most and characters < LONGEST_BATCH:
            call = self._calls.popleft()
            batch.append(call.waiting.popleft())
            sizes.append(batch[-1].size)
            characters += sizes[-1]
            if call.waiting:
                self._calls.append(call)
            else:
                self._admission.leaves(call.site.id)
        self._admission.begins(sizes)
        return batch

    def _turn_away(self) -> None:
        """Those of a flood's beginning that would wait long. Of many at once some may be stored."""
        alone = [call for call in reversed(self._calls) if len(call.answers) == 1]
        seconds = self._admission.seconds
        leaving = {*compress(alone, self._admission.too_many(call.site.id for call in alone))}
        for call in leaving:
            self._admission.leaves_unanswered(call.site.id, call.characters)
            call.tell(Overloaded(seconds))
        self._calls = deque(call for call in self._calls if call not in leaving)

    def _give_up(self, calls: Sequence[_Call]) -> None:
        """Let nobody wait for ever when the work itself has ended; usually there is nobody."""
        self._calls.clear()
        self._admission.forget()
        for call in calls:
            call.tell(Overloaded())

    # -------------------------------------------------------------- on the thread

    def _answers(self, batch: Sequence[_Waiting], judging: _Judging | None = None) -> list[Answer]:
        """An answer for each; one bad submission fails alone.

        One that cannot be judged is stored for a person to look at.
        """
        try:
            entries = [self._entry(waiting) for waiting in batch]
            return self._kept(entries, judging or _judged)
        except StoreUnavailable as problem:
            return [Failed(problem) for _ in batch]
        except Exception as problem:  # to find the one submission at fault
            if len(batch) > 1:
                return [answer for waiting in batch for answer in self._answers([waiting])]
            log.error("a submission failed", exc_info=problem)
            if judging is None and not isinstance(problem, StoreError):
                return self._answers(batch, _undecided)
            return [Failed(problem)]

    def _entry(self, waiting: _Waiting) -> _Entry:
        site, submission = waiting.call.site, prepared(waiting.submission)
        asked = Asked(
            site_id=site.id,
            comment_id=new_id(waiting.received_at),
            submission=submission,
            received_at=waiting.received_at,
            normal_text=comparable(submission.content),
            idempotency_key=waiting.idempotency_key,
            origin=waiting.origin,
            is_test=waiting.is_test,
        )
        errors = self._errors(site, submission) if waiting.has_form else ()
        return _Entry(site, asked, errors)

    def _errors(self, site: Site, submission: Submission) -> tuple[FieldError, ...]:
        rules = site.policy.form
        takes_mail = self._takes_mail(submission) if rules.check_deliverability else None
        return form_errors(submission, rules, takes_mail=takes_mail)

    def _takes_mail(self, submission: Submission) -> bool | None:
        try:
            domain = read_address(submission.author.email).domain
        except AddressProblem:  # DNS is not asked about what is no domain
            return None
        return self._deliverability.known(domain)

    def _together(self, entries: Sequence[_Entry], judging: _Judging) -> list[Answer]:
        for _ in range(RACES):
            try:
                return self._check(entries, judging)
            except (IdempotencyRace, TablesChanged):
                continue
        return self._check(entries, judging)

    def _check(self, entries: Sequence[_Entry], judging: _Judging) -> list[Answer]:
        passed = [entry for entry in entries if not entry.errors]
        answered = iter(self._passed(passed, judging) if passed else ())
        refused = iter(self._refused([entry for entry in entries if entry.errors]))
        return [next(refused) if entry.errors else next(answered) for entry in entries]

    def _kept(self, entries: Sequence[_Entry], judging: _Judging) -> list[Answer]:
        """Judged and recorded; with a spool, queued in it while the store is away."""
        if self._spool is None:
            return self._together(entries, judging)
        if not self._spool.is_holding():
            with suppress(StoreUnavailable):
                return self._together(entries, judging)
        return self._spooled(entries, self._spool)

    def _spooled(self, entries: Sequence[_Entry], spool: Spool) -> list[Answer]:
        """Queue what passes the form, unread, in the spool: the database is away."""
        passed = [entry for entry in entries if not (entry.errors or entry.asked.is_test)]
        known = self._store.unrecorded([entry.asked for entry in passed])
        queued = _undecided([*zip(passed, known, strict=True)], None, {}, ())
        try:
            ids = iter(spool.keep(self._store.sealed(queued)))
        except (OSError, SpoolFull) as problem:
            log.error("nothing could be spooled: %s", type(problem).__name__)
            return [Failed(StoreUnavailable("the store is away, the spool full")) for _ in entries]
        self._uncounted.append(partial(self._count, queued, {}))
        verdicts = iter(queued)
        answers: list[Answer] = []
        for entry in entries:
            if entry.errors:
                answers.append(Refused(entry.errors))
                continue
            if entry.asked.is_test:
                answers.append(Failed(StoreUnavailable("the store is away")))
                continue
            id_, verdict = next(ids), next(verdicts).verdict
            answered = Answered(id_ or "", entry.asked.submission, verdict, entry.site.policy)
            answers.append(answered if id_ else Conflict())
        return answers

    def _refused(self, entries: Sequence[_Entry]) -> list[Answer]:
        """The form's errors, unless the same request was answered before: policies change."""
        again = [entry.asked for entry in entries if entry.asked.idempotency_key]
        known = dict(zip([a.comment_id for a in again], self._store.gather(again), strict=True))
        answers: list[Answer] = []
        for entry in entries:
            k = known.get(entry.asked.comment_id)
            if k and k.replay:
                answers.append(_replayed(k.replay, entry.site.policy))
            else:
                answers.append(Conflict() if k and k.conflict else Refused(entry.errors))
        return answers

    def _passed(self, entries: Sequence[_Entry], judging: _Judging) -> list[Answer]:
        started = time.perf_counter()
        known = self._store.gather([entry.asked for entry in entries])
        gathered = time.perf_counter()
        classifier = self._serving.champion()
        is_fresh = [not (k.replay or k.conflict or k.same_as is not None) for k in known]
        pairs = zip(entries, known, strict=True)
        asked = [*compress(pairs, is_fresh)]
        applied = self._ruling.on([(entry.asked, k) for entry, k in asked])
        with self._learning.of([(e.site, k.changes) for e, k in asked], classifier) as learnt:
            started_judging = time.perf_counter()
            fresh = judging(asked, classifier, learnt, applied)
        judged = time.perf_counter()
        kept = [checked for checked in fresh if not checked.asked.is_test]
        if kept:
            self._store.record(kept)
        recorded = time.perf_counter()
        self._stages = Stages(len(entries), started, gathered, started_judging, judged, recorded)
        self._uncounted.append(partial(self._count, kept, learnt, self._stages))
        if classifier is not None and self._shadow is not None and self._shadow.is_wanted:
            policies = {entry.site.id: entry.site.policy for entry, _ in asked}
            self._shadow.offer(kept, policies, classifier)
        checked = iter(fresh)
        answers: list[Answer] = []
        for entry, k, new in zip(entries, known, is_fresh, strict=True):
            answers.append(_answer(entry, k, next(checked) if new else None, answers))
        return answers

    def _count(
        self, batch: Sequence[Checked], learnt: _Learnt, stages: Stages | None = None
    ) -> None:
        if stages is not None:
            self._metrics.judged_together(stages)
        self._metrics.scored([own for c in batch if (own := own_scores(c.verdict)) is not None])
        for outcome, times in Counter(checked.verdict.outcome for checked in batch).items():
            self._metrics.verdict_given(outcome, times)
        for checked in batch:
            verdict = checked.verdict
            self._count_learnt(verdict.learnt, learnt.get(checked.asked.site_id))
            if verdict.scores is None:
                self._metrics.went_unscored()
            for hit in verdict.hits:
                if hit.evidence == FAILED:
                    self._metrics.rule_failed(hit.rule)

    def _count_learnt(self, had_part: Learnt | None, known: Experience | None) -> None:
        if had_part is None:
            if known is not None and known.lessons:
                self._metrics.learning_failed()
            return
        if had_part.added:
            self._metrics.learnt_took_part("layer")
        if had_part.twin:
            self._metrics.learnt_took_part("memory")


def _judged(
    batch: Sequence[_Fresh], classifier: Classifier | None, learnt: _Learnt, applied: _Rules
) -> list[Checked]:
    cases = [
        Case(
            entry.asked.submission,
            known.history,
            entry.site.policy,
            entry.site.policy_version,
            learnt.get(entry.site.id),
            rules,
        )
        for (entry, known), rules in zip(batch, applied, strict=True)
    ]
    verdicts = judge(cases, classifier)
    return [
        _drawn(entry, known, verdict)
        for (entry, known), verdict in zip(batch, verdicts, strict=True)
    ]


def _drawn(entry: _Entry, known: Known, verdict: Verdict) -> Checked:
    policy, asked = entry.site.policy, entry.asked
    drawn = audited(verdict, policy, asked.comment_id)
    certain = drawn.outcome is Outcome.QUEUE and not drawn.audit
    return Checked(asked, known, drawn, 1.0 if certain else policy.audit_rate)


def _undecided(
    batch: Sequence[_Fresh], classifier: Classifier | None, learnt: _Learnt, applied: _Rules
) -> list[Checked]:
    """What judging broke on, a person should read."""
    return [
        Checked(entry.asked, known, undecided(entry.site.policy_version), 1.0)
        for entry, known in batch
    ]


def _answer(
    entry: _Entry, known: Known, checked: Checked | None, earlier: Sequence[Answer]
) -> Answer:
    policy = entry.site.policy
    if checked is not None:
        asked = checked.asked
        id_ = "" if asked.is_test else asked.comment_id
        return Answered(id_, asked.submission, checked.verdict, policy)
    if known.replay is not None:
        return _replayed(known.replay, policy)
    if known.same_as is not None:
        return earlier[known.same_as]
    return Conflict()


def _replayed(stored: StoredComment, policy: Policy) -> Answered:
    return Answered(stored.id, stored.submission, stored.verdict, policy)


def _set(done: asyncio.Future[None], told: Sequence[Answer] | Exception) -> None:
    if done.done():  # the caller went away
        return
    if isinstance(told, Exception):
        done.set_exception(told)
    else:
        done.set_result(None)


def _tell_one(
    tell: Callable[[Answer | Exception], None], told: Sequence[Answer] | Exception
) -> None:
    if isinstance(told, Exception):
        tell(told)
    else:
        [answer] = told
        tell(_away(told) or answer)


def _away(answers: Sequence[Answer]) -> StoreUnavailable | None:
    """That the store is away, where it was for all of them."""
    away = [a.error for a in answers if isinstance(a, Failed)]
    if len(away) < len(answers) or not all(isinstance(e, StoreUnavailable) for e in away):
        return None
    # Not the error itself: many callers raise, and each would lengthen its traceback.
    return StoreUnavailable(str(away[0]))


def _size_of(submission: Submission) -> int:
    """Characters of what has no limit but the body's."""
    author = submission.author
    return len(submission.content) + len(author.name) + len(author.email) + len(author.url)
