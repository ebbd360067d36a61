"""Training chunk by chunk: the same model as in memory, whatever the memory, and after a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.decision import LabelledExample
from model.features import Texts
from tests.test_train_command import SMALL, rows, written
from training.card import card_of
from training.examples import read_examples
from training.fit import fit
from training.held_out import gathered
from training.lockstep import VECTORS, samples
from training.memory import MEMORY, jobs_for, memory_for_fits
from training.progress import Tell
from training.scoring import Draws, drawn
from training.streamed import Streamed, streamed
from training.train_command import described
from training.version_page import version_page
from training.work import Work
from training.workers import FAN, Local, Sum, Workers, added

ROOT = Path(__file__).parent.parent
FIT = 8 * VECTORS * 2**SMALL.spec.bits
"""Bytes for one fit at a time."""

FIVE_FOLDS = replace(SMALL, folds=5)

CHUNK = 5
"""So few that there are growing samples of the shards of 160 comments."""


def signed(count: int = 160) -> list[dict[str, object]]:
    """Some with a name or URL, some that link."""
    return [
        row
        | ({"author": "An"} if at % 3 == 0 else {})
        | ({"author_url": f"https://an{at}.net/"} if at % 7 == 0 else {})
        | ({"text": f"{row['text']} https://blog{at % 5}.org/"} if at % 11 == 0 else {})
        for at, row in enumerate(rows(count))
    ]


def read(file: Path) -> tuple[LabelledExample, ...]:
    return gathered(read_examples(file), SMALL).examples


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return read(Path(written(tmp_path_factory.mktemp("data") / "rows.jsonl", signed())))


def trained(
    examples: Sequence[LabelledExample],
    folder: Path,
    *,
    memory: int = 10**9,
    workers: Workers | None = None,
    said: Callable[[str], None] = lambda _: None,
    progress: Tell = lambda _, __: None,
    search: bool = False,
    chunk_rows: int = CHUNK,
) -> Streamed:
    return streamed(
        examples,
        SMALL,
        work=Work.at(folder),
        workers=workers or Local(1),
        memory=memory,
        progress=progress,
        say=said,
        search=search,
        chunk_rows=chunk_rows,
    )


@pytest.fixture(scope="module")
def whole(examples, tmp_path_factory):
    """A training, and the directory it worked in."""
    folder = tmp_path_factory.mktemp("work")
    return trained(examples, folder), folder


def told(done: Streamed) -> bytes:
    every = (*done.fitted.classifiers, done.fitted.final)
    return b"".join(c.table.tobytes() + c.bias.tobytes() for c in every)


def test_it_is_the_model_that_a_fit_in_memory_gives(examples, tmp_path, monkeypatch):
    in_memory = fit(examples, SMALL, jobs=1)
    monkeypatch.setattr("training.lockstep.TOLERANCE", 1e-9)

    done = trained(examples, tmp_path)

    for one, other in zip(
        (*done.fitted.classifiers, done.fitted.final),
        (*in_memory.classifiers, in_memory.final),
        strict=True,
    ):
        assert np.abs(one.table - other.table).max() < 0.01 * np.abs(other.table).max()
        assert np.allclose(one.bias, other.bias, atol=0.02)
    assert [len(m.judged) for m in done.measured] == [80, 80]


def test_where_fits_end_scores_are_those_of_fits_that_go_on(examples, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("training.lockstep.TOLERANCE", 1e-10)

    further = trained(examples, tmp_path)

    texts = [Texts(example.text) for example in examples]
    here, there = (done.fitted.final.log_odds(texts) for done in (whole[0], further))
    assert np.abs(here - there).max() < 0.05 * there.std()


def test_fits_one_by_one_and_two_processes_give_the_same_bytes(examples, whole, tmp_path):
    little = trained(examples, tmp_path, memory=5 * FIT, workers=Local(2))

    assert told(little) == told(whole[0])
    assert (little.data, little.failures) == (whole[0].data, whole[0].failures)


def test_a_changed_row_is_noticed_and_the_other_chunks_serve(examples, whole):
    _, folder = whole
    before = set((folder / "shards").iterdir())
    said: list[str] = []
    changed = (*examples[:-1], examples[0])

    again = trained(changed, folder, said=said.append)

    assert len(said) == 1
    assert "other rows" in said[0]
    assert len(set((folder / "shards").iterdir()) - before) == 1
    assert told(again) != told(whole[0])


def test_work_is_for_its_owners_eyes(whole):
    kept = [path for path in whole[1].rglob("*") if path.parent != whole[1]]

    assert kept
    assert not any(path.stat().st_mode & 0o077 for path in kept)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_streamed import read, trained

def killing(stage, done):
    if stage == sys.argv[3] and done > float(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

trained(read(Path(sys.argv[1])), Path(sys.argv[2]), progress=killing)
"""


def test_a_killed_training_goes_on_to_the_same_bytes(whole, tmp_path):
    data = written(tmp_path / "rows.jsonl", signed())
    work, said, at = tmp_path / "work", [], []

    command = [sys.executable, "-c", KILLED, data, str(work), "fits", "0.4"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    under_way = list((work / "fits").iterdir())
    shards = {path: path.stat().st_mtime_ns for path in (work / "shards").iterdir()}
    finished = trained(
        read(Path(data)),
        work,
        said=said.append,
        progress=lambda stage, done: at.append((stage, done)),
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert under_way
    assert {path: path.stat().st_mtime_ns for path in (work / "shards").iterdir()} == shards
    assert said == []
    assert at[-1] == ("figures", 1.0)
    assert told(finished) == told(whole[0])


def test_two_trainings_do_not_work_in_one_place(tmp_path):
    with Work.at(tmp_path).held(), pytest.raises(BlockingIOError), Work.at(tmp_path).held():
        pass


def test_a_sum_is_the_same_in_order_and_level_by_level():
    parts = [np.random.default_rng(at).normal(size=3) * 10.0 ** (at % 9) for at in range(300)]

    running = Sum()
    for part in parts:
        running.add(part.copy())
    levels = parts
    while len(levels) > 1:
        levels = [added(*levels[at : at + FAN]) for at in range(0, len(levels), FAN)]

    assert running.whole().tobytes() == levels[0].tobytes()


@pytest.mark.parametrize(
    ("shards", "strides"), [(1, [1]), (31, [1]), (32, [4, 1]), (500, [16, 4, 1])]
)
def test_samples_grow_to_all_shards(shards, strides):
    assert samples(shards) == strides


def test_of_many_comments_only_so_many_folds_are_held_out_as_are_scored(examples, whole, tmp_path):
    folder = tmp_path / "work"

    done = streamed(
        examples,
        FIVE_FOLDS,
        work=Work.at(folder),
        workers=Local(1),
        memory=10**9,
        chunk_rows=CHUNK,
        draws=Draws(scored=60, judged=40, compared=20),
    )

    assert (done.held, len(done.fitted.classifiers)) == (2, 2)
    assert set(done.fitted.fold_of) <= {0, 1}
    assert 10 < len(done.drawn) < 32
    assert 24 < sum(len(m.judged) for m in done.measured) < 100
    manifest = described(done)
    assert "Of 5 folds 2 were held out" in card_of(manifest)
    assert "Of the folds 2 were held out, each once" in card_of(manifest)
    assert "Of 5 folds 2 were held out" in version_page(manifest)


def test_where_all_folds_were_held_out_the_card_speaks_of_no_part(whole):
    manifest = described(whole[0])

    assert manifest.recipe["held_out"] == manifest.recipe["folds"] == 3
    assert "3 folds by group." in card_of(manifest)
    assert "Of the folds" not in card_of(manifest)


def test_fits_of_another_training_and_half_written_ones_are_taken_away(examples, tmp_path):
    trained(examples, tmp_path)
    of_first = {path.name for path in (tmp_path / "fits").iterdir()}
    (tmp_path / "fits" / ".half.1.abcd").write_bytes(b"half")

    trained(examples, tmp_path)
    of_same = {path.name for path in (tmp_path / "fits").iterdir()}
    trained((*examples[:-1], examples[0]), tmp_path)
    of_other = {path.name for path in (tmp_path / "fits").iterdir()}

    assert of_same == of_first
    assert len(of_other) == len(of_first)
    assert not of_other & of_first


def test_of_very_many_comments_about_so_many_are_scored():
    chosen = [drawn(100_000, at, at + 1_000, most=2_000, seed=7) for at in range(0, 100_000, 1_000)]

    assert 1_800 < sum(part.size for part in chosen) < 2_200
    assert drawn(500, 100, 200, most=500, seed=7).tolist() == list(range(100))
    assert np.isin(
        drawn(10_000, 0, 9_000, most=50, seed=7), drawn(10_000, 0, 9_000, most=90, seed=7)
    ).all()


def test_fewer_work_where_the_memory_is_little():
    assert jobs_for(8, MEMORY) == 5
    assert jobs_for(64, 10 * MEMORY) == 64
    assert memory_for_fits(jobs_for(8, MEMORY), MEMORY) > 0


WORKS = """
import time
from training.workers import Local
if __name__ == "__main__":
    list(Local(2).each(time.sleep, [(600,)] * 4))
"""


def test_workers_end_with_a_training_that_was_killed(tmp_path):
    program = tmp_path / "works.py"
    program.write_text(WORKS)
    with subprocess.Popen(
        [sys.executable, str(program)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as training:
        until(lambda: len(below(training.pid)) >= 4)  # two workers, and who starts them
        started = below(training.pid)
        training.kill()

    until(lambda: not any(map(is_there, started)))


def until(is_so) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail("it never was so")


def below(pid: int) -> set[int]:
    """The processes that one started, and those that they did."""
    found = {pid}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found |= below(int(path.parent.name))
    return found


def is_there(pid: int) -> bool:
    with suppress(OSError):
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    return False
