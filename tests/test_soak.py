"""The soak and the overload benchmark, in their short form, against a real service."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.soak import is_flat

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("samples", "flat"),
    [
        ([50.0] * 60, True),
        ([50.0] * 15 + [120.0] * 45, True),  # caches filled in the first quarter
        ([50 + minute for minute in range(60)], False),
        ([100.0 + 9 * (place % 2) for place in range(60)], True),
        ([200.0] * 45 + [230.0] * 15, False),
    ],
)
def test_memory_is_flat_when_it_stops_growing(samples: Sequence[float], flat: bool) -> None:
    assert is_flat(samples) is flat


def printed(*arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DUYET_")}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False,
        cwd=ROOT,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_short_soak_loses_nothing_and_stays_flat() -> None:
    said = printed("benchmarks.soak", "--minutes", "0.25", "--rate", "20")

    assert said.count(" min   MB ") == 60
    assert re.search(r"^not stored +0 of [1-9]", said, re.MULTILINE)
    assert re.search(r"^process \d+ .* flat$", said, re.MULTILINE)


def test_what_is_acknowledged_under_overload_is_stored() -> None:
    said = printed("benchmarks.overload", "--seconds", "3")

    assert re.search(r"^acknowledged, not stored  0 of [1-9]", said, re.MULTILINE)
    assert "without Retry-After" not in said or "without Retry-After 0" in said
