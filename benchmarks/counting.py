"""What counting one request costs, beside prometheus_client's own way: processor time.

    python -m benchmarks.counting

Both in one run, in turns; medians of nine. The second column is prometheus_client with the
files that several workers share. Log lines are measured beside logging's own formatter.
"""

import io
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.logs import Exchange, SafeFormatter
from service.metrics import Metrics

CALLS, ROUNDS = 5000, 9
# Read by prometheus_client as it is imported.
_MODE = "PROMETHEUS_MULTIPROC_DIR"


def microseconds(*ways: Callable[[], object]) -> list[float]:
    """Processor time of a call of each, taken in turns."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, found in zip(ways, taken, strict=True):
            began = time.process_time_ns()
            for _ in range(CALLS):
                way()
            found.append((time.process_time_ns() - began) / CALLS / 1000)
    return [median(found) for found in taken]


def main() -> None:
    registry, metrics = CollectorRegistry(), Metrics()
    names, bounds = ["method", "route"], (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    counter = Counter("requests", "x", [*names, "status"], registry=registry)
    histogram = Histogram("seconds", "x", names, buckets=bounds, registry=registry)
    exchange = Exchange("POST", "/v1/comments", 200, 0.012, "", {"request_id": "0" * 16})

    def theirs() -> None:
        counter.labels("POST", "/v1/comments", "200").inc()
        histogram.labels("POST", "/v1/comments").observe(0.012)

    own, other = microseconds(lambda: metrics.exchanged(exchange), theirs)
    mode = "shared files" if _MODE in os.environ else "one process"
    print(f"a request, prometheus_client with {mode}: {own:.1f} us ours, {other:.1f} us theirs")
    if _MODE in os.environ:
        return
    extra = {"method": "POST", "route": "/v1/comments", "status": 200, "ms": 1.2}
    lines: list[Callable[[], None]] = []
    for formatter in (
        SafeFormatter(as_json=False),
        SafeFormatter(as_json=True),
        logging.Formatter(),
    ):
        logger, handler = logging.Logger("x"), logging.StreamHandler(io.StringIO())
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        lines.append(partial(logger.info, "request", extra=extra))
    text, as_json, plain = microseconds(*lines)
    print(f"a log line: {text:.1f} us text, {as_json:.1f} us JSON, {plain:.1f} us logging's own")
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "benchmarks.counting"]
        subprocess.run(command, env=os.environ | {_MODE: directory}, check=True)


if __name__ == "__main__":
    main()
