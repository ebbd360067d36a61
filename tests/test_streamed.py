"""Training chunk by chunk: the same model as in memory, whatever the memory, and after being killed."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.registry import Registry
from tests.test_train_command import SMALL, rows, written
from training import chunks
from training.examples import read_examples
from training.fit import fit
from training.held_out import gathered
from training.lockstep import samples
from training.memory import jobs_for
from training.streamed import Streamed, streamed
from training.work import Work
from training.workers import FAN, Local, Sum, added

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Some with a name or URL, some that link, in chunks of 16."""
    made = rows(400)
    for at, row in enumerate(made):
        row |= {"author": "An"} if at % 3 == 0 else {}
        row |= {"author_url": f"https://an{at}.net/"} if at % 7 == 0 else {}
        row["text"] = f"{row['text']} https://blog{at % 5}.org/" if at % 11 == 0 else row["text"]
    file = written(tmp_path_factory.mktemp("data") / "rows.jsonl", made)
    return gathered(read_examples(Path(file)), SMALL).examples


@pytest.fixture(autouse=True, scope="module")
def _small_chunks():
    before = chunks.CHUNK_ROWS
    chunks.CHUNK_ROWS = 10
    yield
    chunks.CHUNK_ROWS = before


def trained(examples, folder, *, memory=10**9, recipe=SMALL) -> Streamed:
    return streamed(examples, recipe, work=Work.at(folder), workers=Local(1), memory=memory)


@pytest.fixture(scope="module")
def whole(examples, tmp_path_factory):
    return trained(examples, tmp_path_factory.mktemp("work"))


def told(done: Streamed) -> bytes:
    every = (*done.fitted.classifiers, done.fitted.final)
    return b"".join(c.table.tobytes() + c.bias.tobytes() for c in every)


def test_it_is_the_model_that_a_fit_in_memory_gives(examples, whole):
    in_memory = fit(examples, SMALL, jobs=1)

    assert np.allclose(whole.fitted.final.table, in_memory.final.table, atol=0.02)
    for one, other in zip(whole.fitted.classifiers, in_memory.classifiers, strict=True):
        assert one.promise == other.promise or np.allclose(one.bias, other.bias, atol=0.02)
    assert [len(m.judged) for m in whole.measured] == [200, 200]


def test_little_memory_and_threads_give_the_same_bytes(examples, whole, tmp_path):
    little = trained(examples, tmp_path / "one", memory=1)

    assert told(little) == told(whole)
    assert little.data == whole.data
