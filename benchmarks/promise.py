"""Does the promise hold, and what does it cost? Thresholds chosen again and again.

    python -m benchmarks.promise --data DIR [--rows N] [--redraws N] [--recipe NAME]

DIR holds labelled files, `*.jsonl.gz` or `*.jsonl`. Fits once across folds of groups and without
each source of genuine comments that can be left out, and takes the held-out scores of genuine
comments. In each redraw some of them choose the threshold of rejecting; how many of all would
then be rejected is known exactly, as they are the population. The promise should be kept in
95 % of the redraws:

* `by row`: drawn one by one, with replacement, which is what the rule assumes;
* `by group`: whole groups are drawn, as whoever gathers comments does;
* `disjoint`: half of the groups choose, and the other half are judged.

Then what thresholds do to comments of a source that no fit has seen.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.labelled import examples_in
from model.decision import LabelledExample
from model.language import LANGUAGES
from model.outcome import OFF, Head
from model.promise import comments_needed
from training.evaluation import PROMISED_RISKS, Judged
from training.fit import Fitted, NotEnough, fit, usable
from training.held_out import judged_held_out
from training.recipes import RECIPES, Recipe
from training.umbrella import Genuine, promise_of, threshold_for, upper_bound

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], tuple[NDArray[np.intp], NDArray[np.intp]]]
"""Gives the rows that were drawn, and which of them belong together."""


def main() -> None:
    options = _options()
    recipe = RECIPES[options.recipe]
    examples = usable(examples_in(options.data, rows=options.rows, seed=options.seed), recipe)
    try:
        fitted = fit(examples, recipe, jobs=options.jobs)
    except NotEnough as lacking:
        raise SystemExit(str(lacking)) from None
    calibrations = [calibration for _, calibration in fitted.heads]
    ham = fitted.ham
    by_group = ham.scored(ham.by_fold, calibrations, np.full(ham.fold.size, True))
    spam = _spam(examples, fitted)
    print(f"recipe {recipe.name}, {len(examples):,} rows, {options.redraws:,} redraws")
    for line in _redrawn(by_group, spam, options):
        print(line, flush=True)
    alone = ~np.isnan(ham.by_source[0])
    for line in _unseen(by_group, ham.scored(ham.by_source, calibrations, alone), spam, recipe):
        print(line, flush=True)


def _spam(examples: Sequence[LabelledExample], fitted: Fitted) -> Judged:
    """The spam, scored by the fits that have not seen its groups."""
    kept = [i for i, e in enumerate(examples) if e.label.head is Head.SPAM and e.label.positive]
    folds = tuple(fitted.fold_of[i] for i in kept)
    rows = judged_held_out([examples[i] for i in kept], replace(fitted, fold_of=folds), jobs=1)
    return Judged.of(rows[Head.SPAM])


# ------------------------------------------------------------------ redraws


def _redrawn(ham: Genuine, spam: Judged, options: argparse.Namespace) -> Iterator[str]:
    yield ""
    yield "| language | risk | drawn | comments | kept % | rejected, mean % | spam found % |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: |"
    read_as = np.array(spam.read_as)
    for language in LANGUAGES:
        of_language = ham.where(ham.language == language)
        found = spam.score[read_as == language]
        for risk in PROMISED_RISKS:
            for name, size, kept in redraws(
                of_language, risk, count=options.redraws, seed=options.seed
            ):
                held = f"{100 * np.mean(kept.share <= risk):.1f}"
                flagged = f"{100 * kept.share.mean():.3f}"
                recall = "–"
                if found.size:
                    recall = f"{100 * np.mean([(found >= at).mean() for at in kept.threshold]):.1f}"
                yield (
                    f"| {language} | {100 * risk:g} % | {name} | {size:,} "
                    f"| {held} | {flagged} | {recall} |"
                )


@dataclass(frozen=True, slots=True)
class Redrawn:
    """The thresholds of the redraws, and the share of comments that each rejects."""

    threshold: Floats
    share: Floats


def redraws(
    ham: Genuine, risk: float, *, count: int, seed: int
) -> Iterator[tuple[str, int, Redrawn]]:
    """Each way of drawing that there are comments enough for: its name, how many choose, what came.

    As many are drawn as the risk needs at least, and by row also as many as there are.
    """
    total, needed = ham.spam.size, comments_needed(risk)
    if total < needed:
        return
    of_group = _groups(ham.unit)

    def rows(size: int) -> Draw:
        return lambda random: (random.integers(0, total, size), np.arange(size))

    def groups(size: int) -> Draw:
        return lambda random: _drawn_groups(of_group, size, random)

    ways = [("by row", size, rows(size)) for size in sorted({needed, total})]
    ways += [("by group", size, groups(size)) for size in sorted({needed, total})]
    ordered = np.sort(ham.spam)
    for name, size, draw in ways:
        random = np.random.default_rng(seed)
        thresholds = []
        for _ in range(count):
            drawn, unit = draw(random)
            thresholds.append(threshold_for(ham.spam[drawn], risk, unit=unit))
        at = np.array(thresholds)
        yield name, size, Redrawn(at, 1 - np.searchsorted(ordered, at) / total)
    if total // 2 >= needed:
        yield "disjoint", total // 2, _disjoint(ham, of_group, risk, count, seed)


def _disjoint(
    ham: Genuine, of_group: Sequence[NDArray[np.intp]], risk: float, count: int, seed: int
) -> Redrawn:
    random = np.random.default_rng(seed)
    thresholds, shares = [], []
    for _ in range(count):
        order = random.permutation(len(of_group)).tolist()
        shuffled = np.concatenate([of_group[i] for i in order])
        unit = np.concatenate([np.full(of_group[i].size, i) for i in order])
        choosing, judged = np.split(shuffled, [shuffled.size // 2])
        thresholds.append(threshold_for(ham.spam[choosing], risk, unit=unit[: choosing.size]))
        shares.append(float((ham.spam[judged] >= thresholds[-1]).mean()))
    return Redrawn(np.array(thresholds), np.array(shares))


def _groups(unit: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    """The rows of each group."""
    order = np.argsort(unit, kind="stable")
    starts = np.flatnonzero(np.r_[True, unit[order][1:] != unit[order][:-1]])
    return np.split(order, starts[1:])


def _drawn_groups(
    of_group: Sequence[NDArray[np.intp]], size: int, random: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Whole groups, with replacement, until there are that many comments; the last cut short."""
    drawn: list[NDArray[np.intp]] = []
    missing = size
    while missing > 0:
        drawn.append(of_group[int(random.integers(len(of_group)))])
        missing -= drawn[-1].size
    unit = np.repeat(np.arange(len(drawn)), [rows.size for rows in drawn])
    return np.concatenate(drawn)[:size], unit[:size]


# ------------------------------------------------------------------ sources not seen


def _unseen(by_group: Genuine, alone: Genuine, spam: Judged, recipe: Recipe) -> Iterator[str]:
    """What each kind of promise does to comments of sources that the scoring fit has not seen."""
    yield ""
    yield (
        "| source | language | comments | risk | held out | score | rejected % | at most % "
        "| spam found % |"
    )
    yield "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
    lead, read_as = recipe.toxicity_lead, np.array(spam.read_as)
    promises = {
        "group": promise_of(by_group, lead=lead, care=recipe.reject_care),
        "source": promise_of(by_group, lead=lead, by_source=alone, care=recipe.reject_care),
    }
    for source in sorted(set(alone.source.tolist())):
        for language in LANGUAGES:
            rows = alone.where((alone.source == source) & (alone.language == language))
            for risk in PROMISED_RISKS if rows.spam.size else ():
                for unit, promise in promises.items():
                    at = promise.thresholds(language, reject_risk=risk, queue_risk=0.05)
                    at_score = at.spam.reject_at
                    flagged = int((rows.spam >= at_score).sum())
                    of_language = spam.score[read_as == language]
                    recall = 100 * (of_language >= at_score).mean() if of_language.size else 0.0
                    yield (
                        f"| {source} | {language} | {rows.spam.size:,} | {100 * risk:g} % | {unit} "
                        f"| {'never' if at_score >= OFF else f'{at_score:.4f}'} "
                        f"| {100 * flagged / rows.spam.size:.2f} "
                        f"| {100 * upper_bound(flagged, rows.spam.size):.2f} | {recall:.1f} |"
                    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", choices=list(RECIPES), default="general")
    parser.add_argument("--rows", type=int, metavar="N", help="at most so many of each file")
    parser.add_argument("--redraws", type=int, default=1_000, metavar="N")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.redraws < 1:
        parser.error("--redraws must be at least 1")
    return options


if __name__ == "__main__":
    main()
