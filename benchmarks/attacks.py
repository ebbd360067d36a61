"""Attack a model: how much spam slips through, and how much ham is flagged, once disguised?

    python -m benchmarks.attacks --data DIR [--model NAME] [--models REGISTRY] [--rows N]
    python -m benchmarks.attacks --data DIR --held-out [--recipe NAME]

DIR holds labelled files, `*.jsonl.gz` or `*.jsonl`. Takes N rows of spam and N of ham of each
source of spam and ham, disguises the content of all alike, and scores them. The threshold is
fixed on the clean rows: the lowest at which at most 1 % of that ham is flagged.

A shipped model has seen these rows, which flatters it; `--held-out` fits to at most 3,000 rows of
each source and label, without a fifth of the groups, and attacks those. That takes minutes.
Synthetic comments are not attacked.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.labelled import examples_in
from benchmarks.quality.sites import teaching
from model.classifier import Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.features import Texts
from model.outcome import Head
from training.attacks import ATTACKS, CHAINS, PADDINGS, Attack
from training.examples import submission_of
from training.fit import NotEnough, content_key, fit_once, fold_of, usable
from training.models_option import registry_to_read
from training.recipes import RECIPES, Recipe

FLAGGED_HAM = 0.01
BATCH = 256
HAM_GOAL = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows that are attacked, and the classifier that is."""

    classifier: Classifier
    rows: Sequence[LabelledExample]
    told: str

    @property
    def spam(self) -> NDArray[np.bool_]:
        return np.array([row.label.positive for row in self.rows], bool)

    def scores(self, attack: Attack | None, name: str, seed: int) -> NDArray[np.float64]:
        """The spam score of each row, NaN never; disguised by the attack if there is one."""
        found: list[float] = []
        for at in range(0, len(self.rows), BATCH):
            batch = [_texts(row, attack, name, seed) for row in self.rows[at : at + BATCH]]
            found += [scores.spam for scores in self.classifier.score(batch)]
        return np.array(found)


def _texts(row: LabelledExample, attack: Attack | None, name: str, seed: int) -> Texts:
    submission = submission_of(row)
    if attack is not None:
        content = attack(row.text, Random(f"{seed}/{name}/{row.source}/{row.id}"))
        submission = replace(submission, content=content)
    return gather(submission).texts


def main() -> None:
    options = _options()
    recipe = RECIPES[options.recipe]
    sample = _held_out(options, recipe) if options.held_out else _shipped(options, recipe)
    spam = sample.spam
    if spam.all() or not spam.any():
        raise SystemExit("the data has no spam or no ham")
    print(sample.told)
    for line in _table(sample, options.seed):
        print(line, flush=True)


def threshold_at(ham: NDArray[np.float64], share: float) -> float:
    """The lowest score at which at most that share of the ham is flagged."""
    may_be_flagged = int(share * ham.size)
    return float(np.nextafter(np.sort(ham)[::-1][may_be_flagged], np.inf))


def _table(sample: Sample, seed: int) -> Iterator[str]:
    spam = sample.spam
    clean = sample.scores(None, "", seed)
    threshold = threshold_at(clean[~spam], FLAGGED_HAM)
    recall, flagged = _percents(clean >= threshold, spam)
    yield f"{spam.sum()} spam, {(~spam).sum()} ham; threshold {threshold:.4f}, fixed on clean text"
    yield ""
    yield "| attack | recall % | change | goal | ham flagged % | change | goal | met |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | :-: |"
    yield f"| none | {recall:.1f} | | | {flagged:.1f} | | | |"
    met = 0
    for name, attack in chain(ATTACKS.items(), CHAINS.items()):
        now, ham = _percents(sample.scores(attack, name, seed) >= threshold, spam)
        goal = _recall_goal(name)
        lost, gained = now - recall, ham - flagged
        fine = lost >= goal and gained <= HAM_GOAL
        met += fine
        yield (
            f"| {name} | {now:.1f} | {lost:+.1f} | {goal:+.0f} "
            f"| {ham:.1f} | {gained:+.1f} | {HAM_GOAL:+.0f} | {'yes' if fine else 'no'} |"
        )
    yield ""
    yield f"{met} of {len(ATTACKS) + len(CHAINS)} within both goals"


def _recall_goal(name: str) -> float:
    """By how many points recall may change at most."""
    if name in CHAINS:
        return -5.0
    return -3.0 if name in PADDINGS else -2.0


def _percents(hit: NDArray[np.bool_], spam: NDArray[np.bool_]) -> tuple[float, float]:
    return 100 * float(hit[spam].mean()), 100 * float(hit[~spam].mean())


# ------------------------------------------------------------------ rows


def _shipped(options: argparse.Namespace, recipe: Recipe) -> Sample:
    registry = registry_to_read(options.models)
    rows = _some(usable(examples_in(options.data), recipe), options.rows, options.seed)
    version = registry.resolve(options.model)
    return Sample(
        registry.load(options.model),
        rows,
        f"model {version}, which may have been fitted to these rows",
    )


def _held_out(options: argparse.Namespace, recipe: Recipe) -> Sample:
    examples = [e for e in teaching(options.data) if e.label.head is Head.SPAM]
    folds = [fold_of(example, content_key(example.text), recipe) for example in examples]
    shown = [e for e, fold in zip(examples, folds, strict=True) if fold]
    try:
        classifier = fit_once(shown, recipe, heads=[Head.SPAM], jobs=options.jobs)
    except NotEnough as lacking:
        raise SystemExit(str(lacking)) from None
    unseen = [e for e, fold in zip(examples, folds, strict=True) if not fold]
    rows = _some(unseen, options.rows, options.seed)
    return Sample(classifier, rows, f"recipe {recipe.name}, fitted without the groups of fold 0")


def _some(examples: Sequence[LabelledExample], rows: int, seed: int) -> list[LabelledExample]:
    """At most so many of the spam, and of the ham, of each source; empty texts left out."""
    by_kind: defaultdict[tuple[str, bool], list[LabelledExample]] = defaultdict(list)
    for example in examples:
        synthetic = example.source.startswith(("synthetic", "spintax"))
        if example.label.head is Head.SPAM and example.text.strip() and not synthetic:
            by_kind[example.source, example.label.positive].append(example)
    random = Random(seed)
    return [
        row
        for kind in sorted(by_kind)
        for row in random.sample(by_kind[kind], min(rows, len(by_kind[kind])))
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", default="champion", metavar="NAME")
    parser.add_argument("--models", type=Path, metavar="REGISTRY", help="instead of the shipped")
    parser.add_argument("--rows", type=int, default=150, metavar="N", help="of a kind and source")
    parser.add_argument("--held-out", action="store_true", help="fit, and attack what is unseen")
    parser.add_argument("--recipe", choices=list(RECIPES), default="general")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows must be at least 1")
    return options


if __name__ == "__main__":
    main()
