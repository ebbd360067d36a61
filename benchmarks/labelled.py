"""Read a directory of labelled files for a benchmark.

Knows which sources are for research only; those are left out.
"""

from collections.abc import Collection
from pathlib import Path
from random import Random

from model.decision import LabelledExample
from training.examples import example_of, read_rows
from training.recipes import RESEARCH_ONLY


def examples_in(
    folder: Path,
    *,
    rows: int | None = None,
    seed: int = 7,
    only: Collection[str] | None = None,
) -> list[LabelledExample]:
    """The labelled rows of every file, at most `rows` of each; rows that are bad left out.

    Files for research are left out unless `only` names the ones to read.

    Raises SystemExit when the folder holds no `*.jsonl.gz` and no `*.jsonl`.
    """
    files = sorted((*folder.glob("*.jsonl.gz"), *folder.glob("*.jsonl")))
    if not files:
        raise SystemExit("--data holds no *.jsonl.gz and no *.jsonl")
    found: list[LabelledExample] = []
    for file in files:
        name = file.name.partition(".")[0]
        if name in only if only is not None else name not in RESEARCH_ONLY:
            found += _some(_of_file(file), rows, seed)
    return found


def _of_file(file: Path) -> list[LabelledExample]:
    read = read_rows(file, on_bad=lambda _: None)
    return [example_of(row, row.label) for row in read if row.label is not None]


def _some(examples: list[LabelledExample], rows: int | None, seed: int) -> list[LabelledExample]:
    """So many of them, in the order they were in."""
    if rows is None or len(examples) <= rows:
        return examples
    return [examples[i] for i in sorted(Random(seed).sample(range(len(examples)), rows))]
