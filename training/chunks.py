"""Labelled comments in chunks of bounded size, written down, with what is known of each as columns.

Knows examples and the work directory. Where a chunk ends depends on the rows alone, never on the
memory or on how many work, so that all that is added up chunk by chunk comes out the same.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.decision import LabelledExample, Provenance, WordOf
from model.outcome import Head
from training.examples import LABELS
from training.fit import content_key, fold_of
from training.lending import hosts_of, may_borrow
from training.recipes import Recipe
from training.work import LENGTH, Work, name_of

CHUNK_ROWS = 2_048
CHUNK_BYTES = 8 * 1024 * 1024
"""A chunk ends with the row that reaches one of the two."""

VERSION = 4
"""Changes whenever the same rows would give other files in the work directory."""

COLUMNS = np.dtype(
    [
        ("key", "<u8"),
        ("weight", "<f8"),
        ("source", "<u4"),
        ("fold", "u1"),
        ("toxicity", "?"),  # which head it is labelled for
        ("positive", "?"),
        ("signed", "?"),
        ("linked", "?"),
        ("borrows", "?"),
    ]
)
"""What is told apart of each comment: 26 bytes. `source` is an index into `Look.sources`.

`key` stands for what the text says, `signed` for a name or URL, `linked` for a URL, `borrows` for
that one may be lent.
"""


_PROPERTIES = tuple(f.name for f in fields(LabelledExample) if f.name != "provenance")


@dataclass(frozen=True, slots=True)
class Look:
    """What was read off a chunk: its name, its rows, under which name `columns_of` finds them,
    and their sources. `hosts` are those that its ham links to.
    """

    name: str
    rows: int
    columns: str
    sources: tuple[str, ...]
    hosts: frozenset[str]


def columns_of(work: Work, name: str) -> NDArray[Any]:
    """The columns (`COLUMNS`) of a chunk that was looked at."""
    return work.load("looks", name)["columns"]


def canonical(example: LabelledExample) -> bytes:
    """An example as a line of JSON, the same for the same example."""
    # The provenance names the file that a row stood in, which is no property of it.
    body = {name: getattr(example, name) for name in _PROPERTIES} | {"label": example.label.word}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def spelled(example: LabelledExample, line: bytes) -> bytes:
    """The example's canonical line with its provenance."""
    provenance = _spelled_provenance(example.provenance)
    return line[:-2] + b',"provenance":' + provenance + b"}\n"


@lru_cache(maxsize=1)
def _spelled_provenance(provenance: Provenance) -> bytes:
    """Of a file all rows have the same."""
    return json.dumps(asdict(provenance), separators=(",", ":")).encode()


def example_of_body(body: dict[str, Any]) -> LabelledExample:
    """The example that `spelled` wrote."""
    told = body["provenance"]
    provenance = Provenance(WordOf(told["kind"]), told["who"], told["at"], told["chance"])
    return LabelledExample(**body | {"label": LABELS[body["label"]], "provenance": provenance})


def chunks_of(lines: Iterable[bytes], rows: int = CHUNK_ROWS) -> Iterator[bytes]:
    """Lines joined, so many at a time as make a chunk."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if len(chunk) == rows or size >= CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def looked(work: Work, lines: bytes, recipe: Recipe) -> Look:
    """Write a chunk down, and read off it what needs no other."""
    name = hashlib.sha256(lines).hexdigest()[:LENGTH]
    if not work.has("rows", name):
        work.write_rows(name, lines)
    look = name_of(VERSION, name, recipe.seed, recipe.folds, recipe.lent_share)
    if not work.has("looks", look):
        examples = [example_of_body(json.loads(line)) for line in lines.splitlines()]
        columns, sources = _columns(examples, recipe)
        hosts = sorted({host for example in examples for host in hosts_of(example)})
        told = json.dumps({"sources": sources, "hosts": hosts}).encode()
        work.save("looks", look, columns=columns, told=np.frombuffer(told, np.uint8))
    found = work.load("looks", look)
    told_back = json.loads(found["told"].tobytes())
    linked = frozenset(told_back["hosts"])
    return Look(name, found["columns"].size, look, tuple(told_back["sources"]), linked)


def examples_in(work: Work, name: str) -> list[LabelledExample]:
    """The examples of a chunk that was written down."""
    return [example_of_body(body) for body in work.rows(name)]


def _columns(examples: Sequence[LabelledExample], recipe: Recipe) -> tuple[NDArray[Any], list[str]]:
    sources: dict[str, int] = {}
    columns = np.zeros(len(examples), COLUMNS)
    for row, example in zip(columns, examples, strict=True):
        key = content_key(example.text)
        row["key"] = int(key, 16)
        row["weight"] = example.weight
        row["source"] = sources.setdefault(example.source, len(sources))
        row["fold"] = fold_of(example, key, recipe)
        row["toxicity"] = example.label.head is Head.TOXICITY
        row["positive"] = example.label.positive
        row["signed"] = bool(example.author or example.author_url)
        row["linked"] = bool(example.author_url)
        row["borrows"] = may_borrow(example, recipe.lent_share, recipe.seed)
    return columns, list(sources)
