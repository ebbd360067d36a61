"""A Dask cluster as the workers of a training.

Every worker of the cluster reads and writes the training's work directory, so that lies on a file
system that all of them see under one path. What a killed worker was at is done again by another.
The sums have the tree that `training.workers.Sum` makes, so the bytes are those of one machine with
the same libraries.
"""

import platform
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.features import FEATURES_VERSION
from training.work import Work
from training.workers import FAN, WorkStopped, added, in_order

Floats = NDArray[np.float64]
Result = TypeVar("Result")

ADDRESS = re.compile(r"(dask|tls)://[^/\s]+:\d{1,5}/?")
"""Where a scheduler listens; `tls` is encrypted, by the certificates of Dask's configuration."""

TIMEOUT_SECONDS = 20

ALIKE = ("numpy", "scipy")
"""What has a say in the last bits of a sum."""


class ClusterError(Exception):
    """The cluster cannot be used; the message says why and what would be right."""


class DaskWorkers:
    """The workers of a cluster, by a `distributed.Client`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def each(
        self, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """As in `training.workers.Workers`. Raises WorkStopped where a task kills its workers."""
        with _told():
            yield from in_order(self._submit, function, tasks, 3 * self._threads())

    def total(
        self, function: Callable[..., Floats], shared: Any, tasks: Iterable[tuple[Any, ...]]
    ) -> Floats:
        """As in `training.workers.Workers`."""
        with _told():
            # As a task's result it can be made again when the worker that holds it is killed.
            held = self._submit(_itself, shared)
            parts = [self._submit(function, held, *task) for task in tasks]
            while len(parts) > 1:
                groups = (parts[at : at + FAN] for at in range(0, len(parts), FAN))
                parts = [self._submit(added, *group) for group in groups]
            # What came over the wire may not be written to.
            return np.array(parts[0].result())

    def _submit(self, function: Callable[..., Any], *task: Any) -> Any:
        return self._client.submit(function, *task, pure=False)

    def _threads(self) -> int:
        return max(1, sum(map(int, self._client.nthreads().values())))


@contextmanager
def cluster_at(address: str, work: Work) -> Iterator[DaskWorkers]:
    """The workers of the scheduler at `dask://host:port`, or tls:// with encryption.

    Raises ClusterError where there is none, it has no worker, a worker does not see the work
    directory, or one has another Python, numpy, scipy or version of the features.
    """
    try:
        import dask  # noqa: PLC0415  an extra that few install
        from distributed import Client  # noqa: PLC0415  the same extra
    except ImportError:
        raise ClusterError("--cluster needs the extra: pip install 'duyet[dask]'") from None
    to = address.rstrip("/").replace("dask://", "tcp://")
    # The weights that a pass is at are larger than what Dask finds usual for a task.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
        try:
            connect: Any = Client  # it carries no types
            client = connect(to, timeout=TIMEOUT_SECONDS, set_as_default=False)
        except TypeError:  # that is how it says that it has no certificates
            raise ClusterError(
                "tls:// takes certificates in Dask's configuration: distributed.comm.tls.ca-file, "
                "and cert and key under distributed.comm.tls.client"
            ) from None
        except (OSError, ValueError, TimeoutError) as problem:
            told = type(problem).__name__
            raise ClusterError(f"no Dask scheduler answers at {address} ({told})") from None
        with client:
            _look_over(client, work, address)
            yield DaskWorkers(client)


def _look_over(client: Any, work: Work, address: str) -> None:
    token = uuid.uuid4().hex
    work.write("looks", token, b"")
    try:
        told = client.run(_sight, work.path("looks", token))
    finally:
        work.forget("looks", token)
    if not told:
        raise ClusterError(f"the scheduler at {address} has no workers")
    here = _versions()
    for worker, (sees, versions) in sorted(told.items()):
        if not sees:
            raise ClusterError(
                f"the worker {worker} does not see {work.root.resolve()}; --work must be a "
                "directory that all workers share under one path"
            )
        if versions != here:
            raise ClusterError(f"the worker {worker} has {versions}; here is {here}")


def _sight(path: Path) -> tuple[bool, str]:
    return path.exists(), _versions()


def _versions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ALIKE)
    python = ".".join(platform.python_version_tuple()[:2])
    return f"Python {python}, {libraries}, features {FEATURES_VERSION}"


def _itself(value: Any) -> Any:
    return value


@contextmanager
def _told() -> Iterator[None]:
    from distributed import KilledWorker  # noqa: PLC0415  the extra that `cluster_at` has found
    from distributed.client import FutureCancelledError  # noqa: PLC0415  the same extra

    try:
        yield
    except KilledWorker:
        raise WorkStopped(
            "a task killed several workers of the cluster; have they memory?"
        ) from None
    except FutureCancelledError:
        raise WorkStopped("the cluster's scheduler went away") from None
