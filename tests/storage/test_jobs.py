"""Trainings that were asked for, run as real processes, on either database."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.decision import ReportKind
from service.metrics import Metrics
from service.storage import Site, Store
from service.storage.jobs import CLOCK, SILENT, AlreadyAsked, Job, Jobs, JobState, Nightly
from service.training_jobs import TrainingJobs
from tests.storage.cases import Clock, accept, many, put

SAYS = """
import json, sys, time
print(json.dumps({"stage": "features", "done": 0.5, "seconds_left": 12}), flush=True)
open(sys.argv[1], "w").close()
while __import__("os").path.exists(sys.argv[1]): time.sleep(0.01)
print(json.dumps({"stage": "added", "done": 1, "version": "abc", "parent": "p"}))
"""
HELPED = (
    """
import subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[2], "w").write(str(helper.pid))
"""
    + SAYS
)
FAILS = "import sys; sys.exit('nothing to learn: lan@mail.example said so')"


def runner(
    store: Store, tmp_path: Path, program: str, *more: str, is_watching: bool = False
) -> TrainingJobs:
    command = (sys.executable, "-c", program, *more)
    folder = tmp_path / "jobs"
    return TrainingJobs(store, folder, Metrics(), command=command, is_watching=lambda: is_watching)


def until(runner: TrainingJobs, jobs: Jobs, state: JobState, stage: str = "") -> Job:
    """The last job once it is in a state, and at a stage."""
    for _ in range(2000):
        runner.turn()
        job = jobs.last()[0]
        if job.state is state and stage in job.stage:
            return job
        time.sleep(0.01)
    pytest.fail(f"it never came so far: {job}")


def test_a_training_is_followed_and_its_answer_kept(store: Store, tmp_path: Path) -> None:
    jobs, flag = Jobs(store), tmp_path / "flag"
    left = tmp_path / "jobs" / "joblib_memmapping_folder_1_by_a_killed_one"
    left.mkdir(parents=True)
    running = runner(store, tmp_path, SAYS, str(flag))
    job_id = jobs.ask(by="an")
    with pytest.raises(AlreadyAsked):
        jobs.ask(by="mai")

    half = until(running, jobs, JobState.RUNNING, "features")
    assert not left.exists()
    flag.unlink()
    done = until(running, jobs, JobState.DONE)

    assert (half.id, half.share, half.seconds_left) == (job_id, 0.5, 12)
    assert done.result == {"version": "abc", "parent": "p"}
    assert [e.kind for e in store.events(None)][-2:] == ["training_asked", "training_done"]
    assert jobs.ask(by="mai") != job_id


def test_a_failure_is_told_in_its_own_words_without_addresses(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    jobs = Jobs(store)
    jobs.ask(by="an")

    failed = until(runner(store, tmp_path, FAILS), jobs, JobState.FAILED)

    assert failed.problem.startswith("nothing to learn: l")
    assert "lan@" not in failed.problem
    clock.advance(seconds=1)
    jobs.ask(by="an")
    killed = runner(store, tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert "(signal 9)" in until(killed, jobs, JobState.FAILED).problem
    clock.advance(seconds=1)
    jobs.ask(by="an")
    missing = TrainingJobs(store, tmp_path, Metrics(), command=("/nowhere/duyet",))
    assert "cannot be started" in until(missing, jobs, JobState.FAILED).problem


def test_it_is_stopped_or_given_back_and_no_process_is_left(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    before = children()
    jobs, flag = Jobs(store), tmp_path / "flag"
    running = runner(store, tmp_path, SAYS, str(flag))
    job_id = jobs.ask(by="an")
    until(running, jobs, JobState.RUNNING, "features")

    assert jobs.stop(job_id, by="mai")
    assert not jobs.stop(job_id, by="mai")
    running.turn()
    clock.advance(seconds=1)
    jobs.ask(by="an")
    until(running, jobs, JobState.RUNNING, "features")
    running.close()
    running.turn()

    assert [job.state for job in jobs.last()] == [JobState.WAITING, JobState.STOPPED]
    assert children() <= before


def test_whoever_works_for_one_that_is_stopped_ends_with_it(store: Store, tmp_path: Path) -> None:
    jobs, flag, pid = Jobs(store), tmp_path / "flag", tmp_path / "pid"
    running = runner(store, tmp_path, HELPED, str(flag), str(pid))
    job_id = jobs.ask(by="an")
    until(running, jobs, JobState.RUNNING, "features")
    helper = Path(f"/proc/{pid.read_text()}/status")
    assert helper.exists()

    jobs.stop(job_id, by="mai")
    running.turn()

    for _ in range(1000):
        if not helper.exists() or "(zombie)" in helper.read_text():
            break
        time.sleep(0.01)
    else:
        pytest.fail("the helper goes on")


def children() -> set[str]:
    """The processes that this one started; other tests of it may have left some."""
    tasks = Path("/proc/self/task")
    return {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}


def test_one_whose_process_was_killed_has_failed(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    jobs = Jobs(store)
    jobs.ask(by="an")
    assert jobs.take("gone") is not None
    clock.advance(seconds=1)
    assert jobs.take("other") is None

    clock.advance(seconds=SILENT.total_seconds())

    assert jobs.take("other") is None
    assert (jobs.last()[0].state, jobs.last()[0].problem) == (JobState.FAILED, "interrupted")
    assert not jobs.hears(jobs.last()[0].id, "gone", stage="fits", share=1, seconds_left=None)


def test_of_many_that_ask_and_take_at_once_one_does(store: Store) -> None:
    def ask(name: str) -> bool:
        try:
            Jobs(store).ask(by=name)
        except AlreadyAsked:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, "abcdefgh")) == 1
        assert sum(job is not None for job in pool.map(Jobs(store).take, "abcdefgh")) == 1


def test_the_clock_asks_once_a_night_where_enough_was_said(
    store: Store, site: Site, clock: Clock, tmp_path: Path
) -> None:
    jobs = Jobs(store)
    running = runner(store, tmp_path, "print('{}')")
    jobs.set_nightly(Nightly(is_on=True, hour=2, new_labels=2), by="an")
    clock.at = clock.at.replace(hour=2, minute=1)
    (one, two) = put(store, *many(2, site, clock))
    store.decide(None, one, accept(clock()))
    running.turn()
    assert jobs.last() == []  # too few, and not looked at again this night
    store.report(None, two, ReportKind.SPAM)
    running.turn()
    assert jobs.last() == []

    clock.advance(days=1)
    until(running, jobs, JobState.DONE)
    running.turn()
    clock.advance(days=1)
    running.turn()

    (asked,) = jobs.last()
    assert asked.asked_by == CLOCK
    assert jobs.new_labels() == 0
    for wrong in (Nightly(hour=24), Nightly(new_labels=0)):
        with pytest.raises(ValueError, match="hour"):
            jobs.set_nightly(wrong, by="an")


def test_of_two_services_on_one_database_one_trains_at_night(
    store: Store, site: Site, clock: Clock, tmp_path: Path
) -> None:
    jobs, trained = Jobs(store), tmp_path / "trained"
    jobs.set_nightly(Nightly(is_on=True, hour=2, new_labels=1), by="an")
    clock.at = clock.at.replace(hour=2, minute=1)
    (one,) = put(store, *many(1, site, clock))
    store.decide(None, one, accept(clock()))
    program = "import sys; open(sys.argv[1], 'a').write('trained ')"
    services = [runner(store, tmp_path, program, str(trained)) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(TrainingJobs.turn, services * 2))
    for _ in range(2000):
        if jobs.last()[0].state is JobState.DONE:
            break
        time.sleep(0.01)
        for service in services:
            service.turn()

    assert trained.read_text() == "trained "
    assert [job.state for job in jobs.last()] == [JobState.DONE]


def test_the_clock_leaves_a_challenger_that_is_watched(
    store: Store, site: Site, clock: Clock, tmp_path: Path
) -> None:
    jobs = Jobs(store)
    jobs.set_nightly(Nightly(is_on=True, hour=2, new_labels=1), by="an")
    clock.at = clock.at.replace(hour=2, minute=1)
    (one,) = put(store, *many(1, site, clock))
    store.decide(None, one, accept(clock()))

    runner(store, tmp_path, "print('{}')", is_watching=True).turn()
    assert jobs.last() == []

    until(runner(store, tmp_path, "print('{}')"), jobs, JobState.DONE)


def test_a_clock_that_was_ahead_for_a_while_stops_no_night_and_no_job(
    store: Store, site: Site, clock: Clock, tmp_path: Path
) -> None:
    jobs = Jobs(store)
    jobs.set_nightly(Nightly(is_on=True, hour=2, new_labels=1), by="an")
    night = clock.at.replace(hour=2, minute=1)
    clock.at = night.replace(year=night.year + 1)
    jobs.ask(by=CLOCK)
    until(runner(store, tmp_path, "print('{}')"), jobs, JobState.DONE)
    jobs.ask(by="an")
    assert jobs.take("its process dies, and the clock is set right") is not None

    clock.at = night
    (one,) = put(store, *many(1, site, clock))
    store.decide(None, one, accept(clock()))
    running = runner(store, tmp_path, "print('{}')")
    running.turn()
    clock.advance(seconds=1)
    for _ in range(2000):
        running.turn()
        states = [(job.asked_by, job.state) for job in jobs.last()]  # those of the future first
        if (CLOCK, JobState.DONE) in states[2:]:
            break
        time.sleep(0.01)

    assert sorted(states) == [
        ("an", JobState.FAILED), (CLOCK, JobState.DONE), (CLOCK, JobState.DONE),
    ]  # fmt: skip


def test_a_training_by_the_command_line_is_noted_unless_it_is_the_one_that_runs(
    store: Store, site: Site, clock: Clock, tmp_path: Path
) -> None:
    jobs, flag = Jobs(store), tmp_path / "flag"
    [comment] = put(store, *many(1, site, clock))
    clock.advance(seconds=1)
    store.decide(None, comment, accept(clock()))
    before, began = jobs.new_labels(), store.now()
    clock.advance(minutes=5)

    noted = jobs.noted(began, by="operator", result={"version": "abc"})
    job = jobs.last()[0]
    after = jobs.new_labels()
    running = runner(store, tmp_path, SAYS, str(flag))
    jobs.ask(by="an")
    until(running, jobs, JobState.RUNNING, "features")
    again = jobs.noted(began, by="operator", result={"version": "def"})
    running.close()

    assert (noted, again, before, after) == (True, False, 1, 0)
    assert (job.state, job.asked_by, job.started_at) == (JobState.DONE, "operator", began)
    assert store.events(None)[-1].kind == "training_asked"
