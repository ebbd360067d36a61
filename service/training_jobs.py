"""Run trainings that people or the clock asked for, each as a process of its own.

Knows the command and how to read what it says of itself, a turn at a time; nothing here waits
for it. A training needs libraries and memory that serving does not load, and may fail without
taking a comment along.
"""

import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import IO, Any

from service.metrics import Metrics
from service.storage import Store
from service.storage.jobs import CLOCK, AlreadyAsked, Job, Jobs, Nightly

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "duyet", "train", "--progress", "json", "--ends-with-input")
"""A service that is killed cannot end it; the pipe to its input ends with the service."""

NICENESS = 10
"""Comments come first: the process gets what is left of the processors."""

KILLED = "the training was killed (signal {}), perhaps for want of memory"
ENDED = "the training ended with {}"
NO_ROOM = "no room is left in the data directory"
"""What a training cannot say of itself: it was ended, or its words would lie there as well."""

_LEAST_ROOM_BYTES = 1024 * 1024

END_SECONDS = 10.0
_SHARED = "joblib_memmapping_folder_*"
_TAIL_BYTES = 4096


@dataclass(slots=True)
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    complained: IO[bytes]

    def end(self) -> None:
        """End the process and those that work for it, if they have not; let go of what it said."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for pipe in (self.process.stdin, self.said, self.complained):
            if pipe is not None:
                pipe.close()


class TrainingJobs:
    """Takes what waits, starts it, and notes how far it is. Safe for threads.

    `folder` is where what the command says is kept meanwhile, and what its processes share: of
    that, `/tmp` and `/dev/shm` of a container may hold too little. While `is_watching` says so, the
    clock asks for nothing: the challenger there is has to be seen.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        metrics: Metrics,
        *,
        command: Sequence[str] = COMMAND,
        is_watching: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._jobs = Jobs(store)
        self._folder = folder
        self._metrics = metrics
        self._command = tuple(command)
        self._is_watching = is_watching
        self._holder = secrets.token_hex(8)
        self._running: _Running | None = None
        self._looked_on = ""
        self._lock = Lock()
        self._closed = False

    def turn(self) -> None:
        """Start what waits, or note how far it has come."""
        with self._lock:
            if self._closed:
                return
            if self._running is not None:
                self._follow(self._running)
                return
            self._ask_by_the_clock(self._jobs.nightly(), self._store.now())
            if (job := self._jobs.take(self._holder)) is not None:
                self._running = self._started(job)

    def close(self) -> None:
        """End a training that runs; it begins again where the service is started next."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
            if running is not None:
                running.end()
                self._jobs.give_back(running.job.id, self._holder)

    def _ask_by_the_clock(self, nightly: Nightly, now: datetime) -> None:
        today = now.replace(hour=nightly.hour, minute=0, second=0, microsecond=0)
        # For an hour: a service that starts at noon does not train then.
        is_time = today <= now < today + timedelta(hours=1)
        if not nightly.is_on or not is_time or self._looked_on == today.isoformat():
            return
        if self._jobs.asked_since(today, by=CLOCK):
            return
        why_not = ""
        if self._jobs.new_labels() < nightly.new_labels:
            why_not = "there are too few new labels"
        elif self._is_watching():
            why_not = "the challenger is still being watched"
        if why_not:
            self._looked_on = today.isoformat()
            log.info("no training tonight: %s", why_not)
            return
        try:
            self._jobs.ask(by=CLOCK)
        except AlreadyAsked:
            log.info("no training tonight: one runs already")

    def _started(self, job: Job) -> _Running | None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob(_SHARED):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        said = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  read as long as it runs
        complained = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  the same
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=complained,
                env={"JOBLIB_TEMP_FOLDER": str(self._folder)}
                | os.environ
                | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        except OSError as problem:
            said.close()
            complained.close()
            self._failed(job, f"the training cannot be started: {problem.strerror}")
            return None
        log.info("training begins", extra={"job": job.id})
        return _Running(job, process, said, complained)

    def _follow(self, running: _Running) -> None:
        progress, answer = _read(running.said)
        if running.process.poll() is None:
            if not self._jobs.hears(running.job.id, self._holder, **progress):
                log.info("training was stopped", extra={"job": running.job.id})
                self._running = None
                running.end()
            return
        self._running = None
        problem = "" if running.process.returncode == 0 else _told(running)
        running.end()
        if problem:
            self._failed(running.job, problem)
            return
        self._jobs.ended(running.job.id, result=answer)
        self._metrics.training_ended(failed=False)
        log.info("training ended", extra={"version": answer.get("version")})

    def _failed(self, job: Job, problem: str) -> None:
        self._jobs.ended(job.id, result={}, problem=problem)
        self._metrics.training_ended(failed=True)
        log.error("a training failed", extra={"job": job.id})


def _read(said: IO[bytes]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """How far a training says it is in the last of its lines, and what else it says there."""
    last: dict[str, Any] = {}
    said.seek(0)
    for line in said.read().decode("utf-8", "replace").splitlines():
        last = _object(line) or last
    progress = {
        "stage": str(last.pop("stage", "")),
        "share": float(last.pop("done", 0.0)),
        "seconds_left": last.pop("seconds_left", None),
    }
    return progress, last


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _told(running: _Running) -> str:
    """The end of what a failed command complained of."""
    size = running.complained.seek(0, os.SEEK_END)
    running.complained.seek(max(0, size - _TAIL_BYTES))
    words = running.complained.read().decode("utf-8", "replace").strip()
    code = running.process.returncode
    if code < 0:
        # As the system does where memory is short; what it said until then is no reason.
        return KILLED.format(-code)
    if not words and _is_full(running.complained):
        return NO_ROOM
    return words or ENDED.format(code)


def _is_full(file: IO[bytes]) -> bool:
    room = os.fstatvfs(file.fileno())
    return room.f_bavail * room.f_frsize < _LEAST_ROOM_BYTES
