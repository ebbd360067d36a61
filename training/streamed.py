"""Fit a recipe to more examples than memory holds: what `training.fit` does, chunk by chunk.

Rows are read once and written down; features, sums over rows, and held-out scores are made from
there by whoever works (`training.workers`), and what is finished is kept. The same rows in the
same order, recipe and seed give the same bytes, whatever the memory and the workers, and whether
it was stopped and went on or not.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample
from model.features import FEATURES_VERSION
from model.outcome import Head
from model.promise import Promise
from training.chunks import CHUNK_ROWS, VERSION, canonical, chunks_of, examples_in, looked, spelled
from training.evaluation import JudgedRow
from training.fit import Calibration, Fitted, Ham, Linear, Sheet, classifier_of, tuned
from training.held_out import failures, measured_held_out
from training.lending import lendable
from training.lockstep import VECTORS, Problem, Rarity, fits_of, fitted, linear
from training.progress import Tell
from training.recipes import Recipe
from training.report import Measured
from training.scoring import (
    COMPARED_BYTES,
    DRAWS,
    Draws,
    Scored,
    drawn,
    held_folds,
    judged,
    keep,
    scored,
)
from training.search import Searched, searched
from training.shards import Shard, make_shard
from training.sources import Digests
from training.taught import Counts, Everything, left_out_alone, taught
from training.work import Work, name_of
from training.workers import Workers

Floats = NDArray[np.float64]

STAGES: Mapping[str, float] = {
    "reading": 0.05,
    "features": 0.4,
    "fits": 0.3,
    "calibration": 0.1,
    "figures": 0.15,
}
"""What is done, and about what share of the time it takes."""

WITH_SEARCH: Mapping[str, float] = {
    name: share
    for stage, of in STAGES.items()
    for name, share in ([("search", 0.6), (stage, of)] if stage == "fits" else [(stage, of)])
}
"""The same with a search before the fits."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Examples that were read, as they lie in the work directory.

    `data` says what they are, as a manifest does; `shards` are in order, `ends` where each ends
    among all examples. `counts` and `genuine` are of all rows, `bytes` of their lines; `name`
    stands for everything.
    """

    work: Work
    name: str
    chunks: tuple[str, ...]
    shards: tuple[Shard, ...]
    ends: tuple[int, ...]
    sources: tuple[str, ...]
    counts: Counts
    genuine: Mapping[int, int]
    bytes: int
    data: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A fit and its held-out figures, of the first `held` folds.

    `drawn` are examples to compare it on with others, all where there are few, and
    `fitted.fold_of` are their folds. `recipe` is the one that was fitted by; `searched` says what
    was tried before, if anything.
    """

    recipe: Recipe
    searched: Searched | None
    held: int
    fitted: Fitted
    drawn: tuple[LabelledExample, ...]
    measured: list[Measured]
    failures: list[dict[str, object]]
    data: list[dict[str, Any]]


def streamed(  # noqa: PLR0913  what to fit, where, with whom, and whom to tell
    examples: Iterable[LabelledExample],
    recipe: Recipe,
    *,
    work: Work,
    workers: Workers,
    memory: int,
    progress: Tell = lambda _, __: None,
    say: Callable[[str], None] = lambda _: None,
    search: bool = False,
    chunk_rows: int = CHUNK_ROWS,
    draws: Draws = DRAWS,
) -> Streamed:
    """Fit both heads, each across folds and on everything, and measure them on what is held out.

    `examples` are usable ones, read once. `memory` in bytes bounds what fits take at a time. `say`
    is told what a person should know of what was in the work directory. Raises NotEnough as
    `training.fit.fit` does, and what reading raises. Other `chunk_rows` or `draws`
    give other bytes.
    """
    kept = read(
        examples, recipe, work=work, workers=workers, progress=progress, chunk_rows=chunk_rows
    )
    if work.belonged_to_another(kept.name):
        say(
            f"{work.root} is of a training on other rows or by another recipe: of what is there, "
            "only what is of the same rows is used"
        )
    problem = problem_of(kept, recipe, workers, memory=memory)
    held = held_folds(kept.counts, kept.ends[-1], draws.scored)
    alone = left_out_alone(kept.counts, kept.genuine, recipe)
    rarity = Rarity.of(problem, recipe.folds, alone)
    tried = None
    if search:
        tried = searched(
            problem,
            kept.counts,
            rarity,
            recipe,
            rows=kept.ends[-1],
            held=held,
            progress=lambda done: progress("search", done),
        )
        recipe = tried.recipe
    draw = _Draw(kept, held, recipe.seed)
    whole = _fitted(draw, problem, rarity, recipe, most=draws.scored, progress=progress)
    found = _judged(draw, whole, workers, most=draws.judged, progress=progress)
    told = failures(found.told, replace(whole, fold_of=tuple(found.folds)))
    measured = measured_held_out(found.rows, whole, seed=recipe.seed)
    drawn_ones, folds = _compared(draw, most=draws.compared)
    whole = replace(whole, fold_of=folds)
    return Streamed(recipe, tried, held, whole, drawn_ones, measured, told, kept.data)


def read(
    examples: Iterable[LabelledExample],
    recipe: Recipe,
    *,
    work: Work,
    workers: Workers,
    progress: Tell = lambda _, __: None,
    chunk_rows: int = CHUNK_ROWS,
) -> Kept:
    """Write the rows down, make their features, and what they teach. Raises NotEnough."""
    digests = Digests()
    size = 0

    def lines() -> Iterator[bytes]:
        nonlocal size
        for example in examples:
            line = spelled(example, digests.noted(example, canonical(example)))
            size += len(line)
            yield line

    chunks = chunks_of(lines(), chunk_rows)
    everything = Everything(work)

    def hosts_linked() -> Iterator[str]:
        for look in workers.each(looked, ((work, chunk, recipe) for chunk in chunks)):
            everything.add(look)
            yield from look.hosts

    hosts = lendable(hosts_linked())
    progress("reading", 1.0)
    hosts_name = _write_hosts(work, hosts)
    body = asdict(recipe)
    # What is fitted to, and not how: fits that were tried serve the recipe that is chosen.
    del body["inverse_penalty"], body["rarity_power"]
    told = {key: sorted(v) if isinstance(v, frozenset) else v for key, v in body.items()}
    told["label_weights"] = sorted([*key, w] for key, w in recipe.label_weights.items())
    name = name_of(VERSION, FEATURES_VERSION, everything.names, hosts_name, told)
    counts = Counts(recipe.folds, len(everything.sources))
    rows_names = []
    ham = np.zeros(len(everything.sources), np.int64)
    for at, rows in enumerate(taught(everything, recipe, lends=bool(hosts))):
        counts.add(rows)
        ham += np.bincount(rows.source[: rows.genuine.size][rows.genuine], minlength=ham.size)
        rows_names.append(f"{name}.{at}")
        if not work.has("taught", rows_names[-1]):
            work.save_record("taught", rows_names[-1], rows.arrays())
    counts.require_enough()
    names, ends, sources = everything.names, everything.ends, everything.sources
    tasks = (
        (work, chunk, rows, hosts_name, recipe)
        for chunk, rows in zip(names, rows_names, strict=True)
    )
    matrices = []
    for matrix in workers.each(make_shard, tasks):
        matrices.append(matrix)
        progress("features", len(matrices) / len(names))
    work.keep_only(
        rows=names, looks=[hosts_name, *everything.looks], taught=rows_names, shards=matrices
    )
    return Kept(
        work=work,
        name=name,
        chunks=tuple(names),
        shards=tuple(map(Shard, matrices, rows_names)),
        ends=tuple(ends),
        sources=tuple(sources),
        counts=counts,
        genuine={source: int(n) for source, n in enumerate(ham) if n},
        bytes=size,
        data=digests.body(),
    )


def _write_hosts(work: Work, hosts: Sequence[str]) -> str:
    name = name_of("hosts", hosts)
    work.write("looks", name, json.dumps(hosts).encode())
    return name


def problem_of(kept: Kept, recipe: Recipe, workers: Workers, *, memory: int) -> Problem:
    """What is fitted to, with so many fits at once as the memory holds, at least one."""
    each = VECTORS * 8 * 2**recipe.spec.bits
    together = max(1, memory // each)
    return Problem(kept.work, workers, kept.shards, kept.name, recipe.spec.bits, together)


def _fitted(
    draw: "_Draw",
    problem: Problem,
    rarity: Rarity,
    recipe: Recipe,
    *,
    most: int,
    progress: Tell,
) -> Fitted:
    kept, alone = draw.kept, rarity.sources
    heads, folds = range(len(HEADS)), range(draw.held)
    asked: list[tuple[int, int | None, int | None]]
    asked = [(head, fold, None) for head in heads for fold in (*folds, None)]
    asked += [(head, None, source) for source in alone for head in heads]
    penalties = [recipe.inverse_penalty[head] for head in HEADS]
    fits = fits_of(kept.counts, asked, penalties, recipe.rarity_power)
    names = fitted(problem, fits, rarity, progress=lambda done: progress("fits", done))
    by = dict(zip(asked, names, strict=True))
    linears = {key: linear(kept.work, name) for key, name in by.items()}
    held_out = [[linears[head, fold, None] for head in heads] for fold in folds]
    held_out += [[linears[head, None, source] for head in heads] for source in alone]
    by_fit = name_of(kept.name, "classifiers", names)
    keep(kept.work, by_fit, [_uncalibrated(both, recipe) for both in held_out])
    tasks = (
        (kept.work, kept.chunks[at], kept.shards[at].rows, chosen, by_fit, alone)
        for at, chosen in draw.chosen(most)
    )
    scores = problem.workers.each(scored, tasks)
    sheets, odds, ham = _columns(draw, most, scores, progress)
    kept.work.forget("fits", by_fit)
    of_heads = [[linears[head, fold, None] for fold in (*folds, None)] for head in heads]
    done = [
        tuned(sheets, odds, of_heads, ham, without=fold, recipe=recipe) for fold in (*folds, None)
    ]
    classifiers = [classifier_of(both, promise, recipe) for both, promise in done]
    return Fitted(classifiers[-1], tuple(classifiers[:-1]), (), done[-1][0], ham)


def _uncalibrated(linears: Sequence[Linear], recipe: Recipe) -> Classifier:
    return classifier_of([(one, Calibration(1.0, 0.0)) for one in linears], Promise({}), recipe)


@dataclass(frozen=True, slots=True)
class _Draw:
    """Which comments have been seen by no fit of their fold: those of the first `held` folds."""

    kept: Kept
    held: int
    seed: int

    def chosen(self, most: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Of each chunk, by number, about `most` of those in all, by index in the chunk."""
        kept, folds = self.kept, self.kept.counts.rows.shape[1]
        # As if that many were drawn of all: the folds that are not held out take their part along.
        of_all = -(-most * folds // self.held)
        for at, (begin, end) in enumerate(zip((0, *kept.ends), kept.ends, strict=False)):
            drawn_ones = drawn(kept.ends[-1], begin, end, most=of_all, seed=self.seed)
            if self.held < folds:
                fold = kept.work.load_record("taught", kept.shards[at].rows)["fold"]
                drawn_ones = drawn_ones[fold[drawn_ones] < self.held]
            yield at, drawn_ones


def _columns(
    draw: _Draw, most: int, scores: Iterator[Scored], progress: Tell
) -> tuple[list[Sheet], list[Floats], Ham]:
    """The scored rows of each head with their held-out log-odds, and the genuine comments."""
    kept = draw.kept
    parts: list[dict[str, NDArray[Any]]] = []
    for (at, chosen), found in zip(draw.chosen(most), scores, strict=True):
        parts.append(_part(kept, at, chosen, found))
        progress("calibration", (at + 1) / len(kept.chunks))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sheets, odds = [], []
    for head in range(len(HEADS)):
        rows = np.flatnonzero(joined["weight"][:, head])
        odds.append(joined["odds"][rows, head])
        own = joined["calibrating"][rows, head]
        sheets.append(
            Sheet(
                matrix=sparse.csr_matrix((0, 0)),
                positive=joined["truth"][rows, head],
                weight=joined["weight"][rows, head],
                calibrating=own,
                fold=joined["fold"][rows].astype(np.intp),
                example=np.arange(rows.size),
                whole=own > 0,
            )
        )
    names = np.array(kept.sources, np.str_)
    ham = Ham(
        by_fold=joined["ham_by_fold"].T,
        by_source=joined["ham_by_source"].T,
        fold=joined["ham_fold"].astype(np.intp),
        language=joined["ham_language"],
        unit=joined["ham_unit"],
        source=names[joined["ham_source"]],
    )
    return sheets, odds, ham


def _part(kept: Kept, at: int, chosen: NDArray[np.intp], found: Scored) -> dict[str, NDArray[Any]]:
    """What a chunk's scored comments give: the rows made of them, and those that are genuine."""
    told = kept.work.load_record("taught", kept.shards[at].rows)
    place = np.full(told["genuine"].size, -1)
    place[chosen] = np.arange(chosen.size)
    rows = np.flatnonzero(place[told["example"]] >= 0)
    ham = np.flatnonzero(told["genuine"][chosen])
    return {
        "weight": told["weight"][rows],
        "truth": told["truth"][rows],
        "calibrating": told["calibrating"][rows],
        "fold": told["fold"][rows],
        "odds": found.by_fold[place[told["example"][rows]]],
        "ham_by_fold": found.by_fold[ham],
        "ham_by_source": found.by_source[ham],
        "ham_fold": told["fold"][chosen[ham]],
        "ham_source": told["source"][chosen[ham]],
        "ham_language": found.language[ham],
        "ham_unit": found.unit[ham],
    }


@dataclass(frozen=True, slots=True)
class _Judged:
    """Judged rows of each head, fold by fold, and our own texts with their folds."""

    rows: dict[Head, list[JudgedRow]]
    told: list[LabelledExample]
    folds: list[int]


def _judged(draw: _Draw, whole: Fitted, workers: Workers, *, most: int, progress: Tell) -> _Judged:
    kept = draw.kept
    name = name_of(kept.name, "judging", whole.final.bias.tolist())
    keep(kept.work, name, whole.classifiers)
    tasks = (
        (kept.work, kept.chunks[at], kept.shards[at].rows, chosen, name)
        for at, chosen in draw.chosen(most)
    )
    by_fold: dict[tuple[int, Head], list[JudgedRow]] = {}
    own: list[tuple[int, LabelledExample]] = []
    for done, found in enumerate(workers.each(judged, tasks), 1):
        for fold, head, row in found.rows:
            by_fold.setdefault((fold, head), []).append(row)
        own += found.told
        progress("figures", done / len(kept.chunks))
    kept.work.forget("fits", name)
    rows = {
        head: [row for fold in range(draw.held) for row in by_fold.get((fold, head), [])]
        for head in Head
    }
    told = [example for _, example in own], [fold for fold, _ in own]
    return _Judged({head: of for head, of in rows.items() if of}, *told)


def _compared(draw: _Draw, *, most: int) -> tuple[tuple[LabelledExample, ...], tuple[int, ...]]:
    """Examples to compare on, in the order they were read, and their folds."""
    kept = draw.kept
    most = min(most, COMPARED_BYTES * kept.ends[-1] // max(1, kept.bytes))
    found: list[LabelledExample] = []
    folds: list[int] = []
    for at, chosen in draw.chosen(most):
        if chosen.size:
            examples = examples_in(kept.work, kept.chunks[at])
            fold = kept.work.load_record("taught", kept.shards[at].rows)["fold"]
            found += [examples[row] for row in chosen.tolist()]
            folds += [int(fold[row]) for row in chosen.tolist()]
    return tuple(found), tuple(folds)
