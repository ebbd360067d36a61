"""Training on a real Dask cluster of two workers on loopback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.test_streamed import ROOT, read, signed, told, trained
from tests.test_train_command import written
from training.cluster import ClusterError, cluster_at
from training.work import Work

pytest.importorskip("distributed")
import dask
from distributed import LocalCluster
from distributed.security import Security

ROLES = ("scheduler", "worker", "client")

CHUNK = 9
"""Eighteen chunks, more than are added at once (`training.workers.FAN`); each is a task a pass."""

SCHEDULER = """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        pids = [nanny.process.pid for nanny in cluster.workers.values()]
        print(cluster.scheduler_address, *pids, flush=True)
        input()
"""


@pytest.fixture(scope="module")
def cluster():
    """Its address, and the processes of its workers."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    }
    command = [sys.executable, "-c", SCHEDULER]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        address, *pids = process.stdout.readline().split()
        yield address.replace("tcp://", "dask://"), [int(pid) for pid in pids]
        process.communicate("\n")


def test_with_a_worker_killed_in_the_middle_it_gives_the_bytes_of_one_machine(cluster, tmp_path):
    address, pids = cluster
    examples = read(Path(written(tmp_path / "rows.jsonl", signed())))
    here = trained(examples, tmp_path / "here", search=True, chunk_rows=CHUNK)
    killed: list[int] = []

    def kill_one(stage: str, done: float) -> None:
        if stage == "search" and done > 0.4 and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    with cluster_at(address, Work.at(tmp_path / "there")) as workers:
        there = trained(
            examples,
            tmp_path / "there",
            workers=workers,
            progress=kill_one,
            chunk_rows=CHUNK,
            search=True,
        )

    assert killed
    assert told(there) == told(here)
    assert (there.data, there.failures) == (here.data, here.failures)
    assert there.searched == here.searched


def test_over_tls_by_the_certificates_of_dasks_configuration(tmp_path):
    _, public = certificate(tmp_path)
    private = public.with_suffix(".key")
    work = Work.at(tmp_path / "work")
    tls = {
        f"distributed.comm.tls.{role}": {"cert": str(public), "key": str(private)} for role in ROLES
    }
    known = tls | {"distributed.comm.tls.ca-file": str(public)}
    with dask.config.set(known):
        served = LocalCluster(
            n_workers=1,
            processes=False,
            protocol="tls",
            dashboard_address="127.0.0.1:0",
            security=Security(),
        )
    with served:
        address = served.scheduler_address

        with dask.config.set(known), cluster_at(address, work) as workers:
            asked = list(workers.each(pow, [(2, 3), (3, 2)]))

        stranger = cluster_at(address, work)
        with pytest.raises(ClusterError, match="takes certificates"), stranger:
            pass

    assert address.startswith("tls://")
    assert asked == [8, 9]


def test_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr("training.cluster.TIMEOUT_SECONDS", 1)
    nobody = cluster_at("dask://127.0.0.1:9", Work(Path("nowhere")))

    with pytest.raises(ClusterError, match="no Dask scheduler answers"), nobody:
        pass
