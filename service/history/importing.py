"""Take a site's history in: records from a file, in batches, through the store.

Knows what a status means here, and when a record is not taken. Judges nothing: an imported comment
has a verdict that says so.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from model.decision import Decision, RejectReason
from model.form import prepared
from model.judging import NO_MODEL
from model.outcome import Outcome
from model.submission import Article, Submission
from model.text import comparable
from model.verdict import Reason, Verdict
from service.history.records import HistoryError, Imported, Record, Records, Refused, Status
from service.storage import (
    Arrival,
    Asked,
    Checked,
    Place,
    Site,
    Store,
    TablesChanged,
    Taken,
    new_id,
)

BATCH = 200
"""Comments written in one transaction: some 20 ms, for which others who write may wait."""

LONGEST_BATCH = 1_000_000
"""Characters in one transaction, give or take one comment."""

RACES = 5
"""Times a batch is written again when the tables' shape was changed meanwhile."""

AHEAD = timedelta(days=1)
"""So far a clock, or a time without its zone, may be ahead; such a comment was written now."""

_MEANS: dict[Status, tuple[Outcome, RejectReason | None]] = {
    Status.APPROVED: (Outcome.ACCEPT, None),
    Status.SPAM: (Outcome.REJECT, RejectReason.SPAM),
    Status.TRASH: (Outcome.REJECT, RejectReason.OTHER),
    Status.WAITING: (Outcome.QUEUE, None),
}


@dataclass(frozen=True, slots=True)
class Job:
    """What is imported where. `key` names the file and what was asked for."""

    site: Site
    format: str
    key: str
    queue_waiting: bool = False


@dataclass(slots=True)
class Summary:
    """What became of the records of a run."""

    passed: int = 0  # dealt with by an earlier run
    imported: Counter[Status] = field(default_factory=Counter)
    known: int = 0
    not_queued: int = 0
    no_comments: int = 0
    refused: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """All of it by name."""
        return {
            **{status.value: self.imported[status] for status in Status},
            "known": self.known,
            "not_queued": self.not_queued,
            "no_comments": self.no_comments,
            "refused": self.refused,
            "passed": self.passed,
        }


class Importing:
    """One run of an import.

    `refuse` is handed each record that is not taken for a fault, `tell` after each batch how
    many records were read. `now` gives aware times.
    """

    def __init__(
        self,
        store: Store,
        job: Job,
        *,
        now: Callable[[], datetime],
        refuse: Callable[[Refused], object] = lambda _: None,
        tell: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._job = job
        self._now = now
        self._refuse = refuse
        self._tell = tell
        self._batch: list[tuple[Imported, Arrival]] = []
        self._characters = 0
        self._position = 0
        self.summary = Summary()

    def run(self, records: Records) -> Summary:
        """Take in what is not there yet, from where an earlier run stopped.

        Raises HistoryError where the file cannot be read any further; what came before is
        committed then. May be killed at any time and run again.
        """
        begin = self._store.import_position(self._job.site.id, self._job.key)
        broken: HistoryError | None = None
        try:
            for record in self._new(records, begin):
                self._take(record)
                if len(self._batch) >= BATCH or self._characters >= LONGEST_BATCH:
                    self._write()
        except HistoryError as problem:
            broken = problem
        self._write()
        if broken is not None:
            raise broken
        place = self._place()
        self._store.end_import(place, self.summary.counts)
        return self.summary

    def _new(self, records: Records, begin: int) -> Iterator[Record]:
        for self._position, record in enumerate(records, 1):
            if self._position > begin:
                yield record
            else:
                self.summary.passed += 1

    def _place(self) -> Place:
        job = self._job
        return Place(job.site.id, job.key, job.format, self._position)

    def _take(self, record: Record) -> None:
        now = self._now()
        if isinstance(record, Imported) and record.written_at > now + AHEAD:
            record = Refused(record.place, "its date lies in the future")
        if isinstance(record, Refused):
            self._count_refused(record)
        elif record.status is Status.WAITING and not self._job.queue_waiting:
            self.summary.not_queued += 1
        else:
            self._batch.append((record, self._arrival(record, now)))
            self._characters += len(record.content)

    def _count_refused(self, refused: Refused) -> None:
        if refused.is_fault:
            self.summary.refused += 1
            self._refuse(refused)
        else:
            self.summary.no_comments += 1

    def _arrival(self, record: Imported, now: datetime) -> Arrival:
        site = self._job.site
        submission = _submission(record)
        at = min(record.written_at, now)
        asked = Asked(site.id, new_id(at), submission, at, comparable(submission.content))
        outcome, reason = _MEANS[record.status]
        decision = None
        if record.by_person and outcome is not Outcome.QUEUE:
            if outcome is Outcome.REJECT:
                reason = record.reason or reason
            decision = Decision(outcome, reason, f"import {self._job.format}", now)
        # A person's word is no verdict of a machine; what a machine said is all there is of it.
        said = Outcome.QUEUE if decision is not None else outcome
        verdict = Verdict(
            outcome=said,
            scores=None,
            reasons=(Reason("history.imported"),),
            hits=(),
            spans=(),
            model=NO_MODEL,
            policy=site.policy_version,
        )
        checked = Checked(asked, self._store.keys_of_submission(asked), verdict, 1.0)
        body = "\0".join(
            (submission.content, submission.author.name, record.written_at.isoformat())
        )
        return Arrival(checked, decision, f"{self._job.format}\0{record.origin}", body, record.id)

    def _write(self) -> None:
        arrivals = [arrival for _, arrival in self._batch]
        taken = self._written(arrivals)
        for (record, _), what in zip(self._batch, taken, strict=True):
            self._count(record, what)
        self._batch, self._characters = [], 0
        self._tell(self._position)

    def _written(self, arrivals: list[Arrival]) -> list[Taken]:
        for _ in range(RACES):
            try:
                return self._store.import_history(arrivals, self._place())
            except TablesChanged:
                continue
        return self._store.import_history(arrivals, self._place())

    def _count(self, record: Imported, what: Taken) -> None:
        match what:
            case Taken.NEW:
                self.summary.imported[record.status] += 1
            case Taken.KNOWN:
                self.summary.known += 1
            case Taken.OTHER:
                problem = "its id came before, with another text, author or date"
                self._count_refused(Refused(record.place, problem))
            case Taken.UNSTORABLE:
                self._count_refused(Refused(record.place, "it holds what no database keeps"))


def _submission(record: Imported) -> Submission:
    """As the form would have it, so that its text and author are found again."""
    sent = Submission(
        content=record.content,
        author=record.author,
        permalink=record.permalink,
        article=Article(record.title, record.language),
        parent_id=record.parent_id,
        type=record.type,
        external_id=record.external_id,
    )
    trimmed = prepared(sent)
    return trimmed if trimmed.content else replace(trimmed, content=record.content)
