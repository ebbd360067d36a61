"""The one door: every comment, by whatever protocol it came, goes through `Moderation.check`.

Gather, judge, record, for a batch: while one batch is judged and committed on its own thread,
arriving submissions collect, and the next batch takes them all. There is no timer, so an idle
service adds no waiting; a busy one shares one read, one scoring and one commit. Knows no
protocol and no table; never judges by itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from model.classifier import Classifier
from model.form import FieldError, form_errors, prepared
from model.judging import audited, judge
from model.outcome import Outcome
from model.policy import Policy
from model.rules import FAILED
from model.submission import Submission
from model.text import readable
from model.verdict import Verdict
from service.deliverability import Deliverability
from service.metrics import Metrics
from service.serving import Serving
from service.storage import Asked, Checked, IdempotencyRace, Known, Site, Store, StoreError, new_id

LARGEST_BATCH = 256
"""Submissions judged and committed together: about 30 ms of work, so that none waits long."""

MOST_WAITING = 10_000
"""Submissions that may wait before more are turned away: some seconds of work."""

RACES = 5
"""Times a batch is gathered again when another process took one of its idempotency keys."""


class Overloaded(Exception):
    """More submissions wait than could be answered in time. Nothing was stored."""


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


Answer = Answered | Refused | Conflict


@dataclass(slots=True)
class _Waiting:
    site: Site
    asked: Asked
    answer: asyncio.Future[Answer]


class Moderation:
    """Gathers, judges and records submissions; one object for a process.

    `now` gives aware times. Methods are called on one event loop; the work runs on one
    thread of its own.
    """

    def __init__(
        self,
        store: Store,
        serving: Serving,
        *,
        now: Callable[[], datetime],
        deliverability: Deliverability,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._serving = serving
        self._now = now
        self._deliverability = deliverability
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="moderation")

    async def check(
        self,
        site: Site,
        submissions: Sequence[Submission],
        *,
        idempotency_keys: Sequence[str] = (),
    ) -> list[Answer]:
        """An answer for each submission, in order, once all are committed.

        `idempotency_keys` are the caller's, one for each submission or none at all. Raises
        Overloaded before anything is stored, and StoreUnavailable when the store is away; of
        several submissions some may then have been stored.
        """
        if len(self._waiting) + len(submissions) > MOST_WAITING:
            raise Overloaded
        pending: list[Answer | asyncio.Future[Answer]] = [
            self._enter(site, submission, key)
            for submission, key in zip(
                submissions, idempotency_keys or [""] * len(submissions), strict=True
            )
        ]
        if self._waiting and (self._runner is None or self._runner.done()):
            self._runner = asyncio.create_task(self._run())
        futures = [p for p in pending if isinstance(p, asyncio.Future)]
        settled = await asyncio.gather(*futures, return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return [p.result() if isinstance(p, asyncio.Future) else p for p in pending]

    async def drain(self) -> None:
        """Wait until everything that entered is answered, then end the thread."""
        while self._runner is not None and not self._runner.done():
            await asyncio.wait([self._runner])
        self._thread.shutdown()

    def _enter(
        self, site: Site, submission: Submission, idempotency_key: str
    ) -> Answer | asyncio.Future[Answer]:
        ready = prepared(submission)
        errors = self._errors(site, ready)
        if errors:
            return Refused(errors)
        received_at = self._now()
        asked = Asked(
            site_id=site.id,
            comment_id=new_id(received_at),
            submission=ready,
            received_at=received_at,
            normal_text="".join(filter(str.isalnum, readable(ready.content))),
            idempotency_key=idempotency_key,
        )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(site, asked, future))
        return future

    def _errors(self, site: Site, submission: Submission) -> tuple[FieldError, ...]:
        rules = site.policy.form
        domain = submission.author.email.rpartition("@")[2]
        takes_mail = (
            self._deliverability.known(domain) if rules.check_deliverability and domain else None
        )
        return form_errors(submission, rules, takes_mail=takes_mail)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(LARGEST_BATCH, len(self._waiting)))]
            answers = await loop.run_in_executor(self._thread, self._answers, batch)
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():  # the caller went away; the comment is stored
                    continue
                if isinstance(answer, BaseException):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    def _answers(self, batch: Sequence[_Waiting]) -> list[Answer | BaseException]:
        """An answer or an exception for each; one bad submission fails alone."""
        try:
            return list(self._together(batch))
        except StoreError as problem:
            return [problem for _ in batch]
        except Exception as problem:  # noqa: BLE001  handed to the one caller it concerns
            if len(batch) == 1:
                return [problem]
            return [answer for waiting in batch for answer in self._answers([waiting])]

    def _together(self, batch: Sequence[_Waiting]) -> list[Answer]:
        for _ in range(RACES):
            try:
                return self._check(batch)
            except IdempotencyRace:
                continue
        return self._check(batch)

    def _check(self, batch: Sequence[_Waiting]) -> list[Answer]:
        started = time.perf_counter()
        known = self._store.gather([waiting.asked for waiting in batch])
        gathered = time.perf_counter()
        classifier = self._serving.champion()
        checked = [
            None
            if k.replay or k.conflict or k.same_as is not None
            else self._judged(waiting, k, classifier)
            for waiting, k in zip(batch, known, strict=True)
        ]
        judged = time.perf_counter()
        fresh = [c for c in checked if c is not None]
        if fresh:
            self._store.record(fresh)
        recorded = time.perf_counter()
        self._metrics.judged_together(len(batch))
        self._metrics.stage_took("gather", gathered - started)
        self._metrics.stage_took("judge", judged - gathered)
        self._metrics.stage_took("record", recorded - judged)
        self._count(fresh)
        answers: list[Answer] = []
        for waiting, k, c in zip(batch, known, checked, strict=True):
            answers.append(_answer(waiting, k, c, answers))
        return answers

    def _judged(self, waiting: _Waiting, known: Known, classifier: Classifier | None) -> Checked:
        site, asked = waiting.site, waiting.asked
        verdict = judge(
            asked.submission,
            known.history,
            site.policy,
            classifier,
            policy_version=site.policy_version,
        )
        drawn = audited(verdict, site.policy, asked.comment_id)
        certain = drawn.outcome is Outcome.QUEUE and not drawn.audit
        return Checked(asked, known, drawn, 1.0 if certain else site.policy.audit_rate)

    def _count(self, batch: Sequence[Checked]) -> None:
        for checked in batch:
            verdict = checked.verdict
            self._metrics.verdict_given(verdict.outcome)
            if verdict.scores is None:
                self._metrics.went_unscored()
            for hit in verdict.hits:
                if hit.evidence == FAILED:
                    self._metrics.rule_failed(hit.rule)


def _answer(
    waiting: _Waiting, known: Known, checked: Checked | None, earlier: Sequence[Answer]
) -> Answer:
    policy = waiting.site.policy
    if checked is not None:
        asked = checked.asked
        return Answered(asked.comment_id, asked.submission, checked.verdict, policy)
    if known.replay is not None:
        return Answered(known.replay.id, known.replay.submission, known.replay.verdict, policy)
    if known.same_as is not None:
        return earlier[known.same_as]
    return Conflict()
