"""Work that people or the clock ask for and a process does beside the comments: one at a time.

Knows who asked for what, how far it has come and how it ended. Does none of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from model.addresses import mask_addresses
from service.storage.errors import StoreError
from service.storage.events import Actor, tell
from service.storage.records import new_id
from service.storage.rows import compact
from service.storage.store import Store
from service.storage.tables import decisions, jobs, nightly, reports

SILENT = timedelta(minutes=2)
"""A job of which nothing was heard for so long has lost its process."""

LONGEST_PROBLEM = 2000
FROM_THE_FUTURE = timedelta(hours=1)
"""What was written so far ahead was written before the clock was set back."""

CLOCK = "nightly"
"""Who asked for a job that the clock asked for."""

INTERRUPTED = "interrupted"
"""The problem of a job whose process was not heard of any more."""


class AlreadyAsked(StoreError):
    """A job waits or runs: there is one at a time."""


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self in (JobState.DONE, JobState.FAILED, JobState.STOPPED)


@dataclass(frozen=True, slots=True)
class Job:
    """A training that was asked for.

    `stage` and `share` (0 to 1) say how far it has come, `seconds_left` how long it may still
    take, None where that is not known. `result` is what the command answered, `problem` why it
    failed, in words.
    """

    id: str
    asked_by: str
    asked_at: datetime
    state: JobState
    started_at: datetime | None
    ended_at: datetime | None
    stage: str
    share: float
    seconds_left: float | None
    result: Mapping[str, Any]
    problem: str


@dataclass(frozen=True, slots=True)
class Nightly:
    """What is done without being asked, for the installation.

    A training begins at `hour` (UTC, 0 to 23) where at least `new_labels` came since the last
    one; with `promotes` the challenger becomes the champion as soon as the rule allows it.
    """

    is_on: bool = False
    hour: int = 2
    new_labels: int = 50
    promotes: bool = False


class Jobs:
    """The jobs of an installation, over a store. Raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, *, by: str) -> str:
        """Ask for a training; its id. Raises AlreadyAsked while one waits or runs."""
        at = self._store.now()
        job = {
            "id": new_id(at),
            "open": 1,
            "asked_by": mask_addresses(by),
            "asked_at": at,
            "state": JobState.WAITING.value,
            "stage": "",
            "share": 0.0,
            "result": "{}",
            "problem": "",
        }
        with self._store.writes() as connection:
            # Only one row may be open, whoever asks at the same moment.
            is_postgres = connection.dialect.name == "postgresql"
            insert = (postgresql if is_postgres else sqlite).insert(jobs).values(job)
            new = insert.on_conflict_do_nothing().returning(jobs.c.id)
            if connection.execute(new).first() is None:
                raise AlreadyAsked("a training waits or runs already")
            tell(connection, "training_asked", Actor(by, at), body={"job": job["id"]})
        return str(job["id"])

    def stop(self, job_id: str, *, by: str) -> bool:
        """Stop a job that waits or runs; whether there was one. Its process ends soon after."""
        with self._store.writes() as connection:
            return self._end(connection, job_id, JobState.STOPPED, by=by)

    def last(self, *, limit: int = 20) -> list[Job]:
        """The last jobs, the newest first."""
        statement = sa.select(jobs).order_by(jobs.c.asked_at.desc(), jobs.c.id.desc())
        with self._store.reads() as connection:
            return [_job(row) for row in connection.execute(statement.limit(limit)).mappings()]

    def take(self, holder: str) -> Job | None:
        """The job that waits, now this process's to run; None when there is none.

        One whose process is silent is told to have failed.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            found = connection.execute(
                sa.select(jobs).where(jobs.c.open == 1).with_for_update()
            ).mappings()
            row = found.first()
            if row is None:
                return None
            if row["state"] == JobState.RUNNING.value:
                heard_at = row["heard_at"] or now
                if not now - SILENT <= heard_at <= now + FROM_THE_FUTURE:
                    self._end(connection, row["id"], JobState.FAILED, by=CLOCK, problem=INTERRUPTED)
                return None
            taken = {"state": "running", "holder": holder, "started_at": now, "heard_at": now}
            connection.execute(jobs.update().where(jobs.c.id == row["id"]).values(taken))
            return _job({**row, **taken})

    def hears(
        self, job_id: str, holder: str, *, stage: str, share: float, seconds_left: float | None
    ) -> bool:
        """Note how far a job has come; False when it was stopped or is another's."""
        values = {
            "stage": stage[:100],
            "share": min(max(share, 0.0), 1.0),
            "seconds_left": seconds_left,
            "heard_at": self._store.now(),
        }
        mine = (jobs.c.id == job_id, jobs.c.holder == holder, jobs.c.state == "running")
        with self._store.writes() as connection:
            return connection.execute(jobs.update().where(*mine).values(values)).rowcount == 1

    def give_back(self, job_id: str, holder: str) -> None:
        """Let a job wait again, whose process has to end before it is done."""
        mine = (jobs.c.id == job_id, jobs.c.holder == holder, jobs.c.state == "running")
        values = {"state": "waiting", "holder": None, "started_at": None, "heard_at": None}
        with self._store.writes() as connection:
            connection.execute(jobs.update().where(*mine).values(values))

    def ended(self, job_id: str, *, result: Mapping[str, Any], problem: str = "") -> None:
        """Note how a job ended; it failed where there is a problem."""
        state = JobState.FAILED if problem else JobState.DONE
        with self._store.writes() as connection:
            self._end(connection, job_id, state, result=result, problem=problem)

    def _end(
        self,
        connection: sa.Connection,
        job_id: str,
        state: JobState,
        *,
        by: str = "",
        result: Mapping[str, Any] | None = None,
        problem: str = "",
    ) -> bool:
        """End a job, by somebody or, where nobody did, on behalf of who asked for it."""
        asked_by = sa.select(jobs.c.asked_by).where(jobs.c.id == job_id)
        actor = Actor(by or connection.execute(asked_by).scalar() or CLOCK, self._store.now())
        problem = mask_addresses(problem)[:LONGEST_PROBLEM]
        values = {
            "state": state.value,
            "open": None,
            "ended_at": actor.at,
            "seconds_left": None,
            "problem": problem,
            "result": compact(result or {}),
        }
        open_ = jobs.update().where(jobs.c.id == job_id, jobs.c.open == 1)
        if connection.execute(open_.values(values)).rowcount != 1:
            return False
        body = {"job": job_id, "version": (result or {}).get("version"), "problem": problem}
        tell(connection, f"training_{state.value}", actor, body=body)
        return True

    def noted(self, started_at: datetime, *, by: str, result: Mapping[str, Any]) -> bool:
        """Note a training that nobody asked for here and that is done, as one by the command line.

        False, and nothing is noted, where a training runs here: then it may be that very one.
        """
        at = self._store.now()
        job = {
            "id": new_id(at),
            "open": None,
            "asked_by": mask_addresses(by),
            "asked_at": started_at,
            "started_at": started_at,
            "ended_at": at,
            "state": JobState.DONE.value,
            "stage": "added",
            "share": 1.0,
            "result": compact(result),
            "problem": "",
        }
        with self._store.writes() as connection:
            running = sa.select(jobs.c.id).where(jobs.c.state == JobState.RUNNING.value)
            if connection.execute(running.limit(1)).first() is not None:
                return False
            connection.execute(jobs.insert().values(job))
            body = {"job": job["id"], "version": result.get("version"), "problem": ""}
            tell(connection, "training_done", Actor(by, at), body=body)
        return True

    # -------------------------------------------------------------- by the clock

    def asked_since(self, at: datetime, *, by: str) -> bool:
        """Whether somebody asked for a training since a time, by a clock that is right now."""
        upto = self._store.now() + FROM_THE_FUTURE
        statement = sa.select(jobs.c.id).where(jobs.c.asked_at.between(at, upto))
        statement = statement.where(jobs.c.asked_by == by)
        with self._store.reads() as connection:
            return connection.execute(statement.limit(1)).first() is not None

    def new_labels(self) -> int:
        """How many decisions and reports came since the last training that was done began."""
        upto = self._store.now() + FROM_THE_FUTURE
        with self._store.reads() as connection:
            last = connection.execute(
                sa.select(sa.func.max(jobs.c.started_at)).where(
                    jobs.c.state == "done", jobs.c.started_at <= upto
                )
            ).scalar_one()
            return sum(
                connection.execute(
                    sa.select(sa.func.count())
                    .select_from(table)
                    .where(table.c.at > last if last is not None else sa.true())
                ).scalar_one()
                for table in (decisions, reports)
            )

    def nightly(self) -> Nightly:
        """What is done without being asked."""
        with self._store.reads() as connection:
            row = connection.execute(sa.select(nightly)).mappings().first()
        return Nightly() if row is None else _nightly(row)

    def set_nightly(self, wanted: Nightly, *, by: str) -> None:
        """Say what is done without being asked. Raises ValueError for what makes no sense."""
        if not 0 <= wanted.hour <= 23 or not 1 <= wanted.new_labels <= 1_000_000:
            raise ValueError("an hour is from 0 to 23, and new labels from 1 to 1,000,000")
        values = {
            "is_on": wanted.is_on,
            "hour": wanted.hour,
            "new_labels": wanted.new_labels,
            "promotes": wanted.promotes,
        }
        with self._store.writes() as connection:
            if connection.execute(nightly.update().values(values)).rowcount == 0:
                connection.execute(nightly.insert(), {"id": 1, **values})
            actor = Actor(by, self._store.now())
            tell(connection, "nightly_set", actor, body=values)


def _job(row: Mapping[str, Any] | sa.RowMapping) -> Job:
    return Job(
        id=row["id"],
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        state=JobState(row["state"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        stage=row["stage"],
        share=row["share"],
        seconds_left=row["seconds_left"],
        result=json.loads(row["result"]),
        problem=row["problem"],
    )


def _nightly(row: sa.RowMapping) -> Nightly:
    return Nightly(bool(row["is_on"]), row["hour"], row["new_labels"], bool(row["promotes"]))
