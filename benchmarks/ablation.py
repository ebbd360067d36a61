"""What each part of the shipped recipe is worth, on sites and videos that the fit has not seen.

    python -m benchmarks.ablation --data DIR [--only NAME…]

Each variant changes one thing, is fitted without both spammed WordPress sites, the moderated
blogs and a share of the ham blog's posts, and measured on those: how well spam and ham are told
apart (AUC) and how much spam is found when 1 % of the ham is flagged. Likewise without one
YouTube video at a time, for two videos. At most 3,000 rows of each source and label.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.attacks import threshold_at
from benchmarks.quality.sites import teaching
from model.classifier import Classifier
from model.decision import LabelledExample
from model.facts import gather
from model.outcome import Head
from training.examples import submission_of
from training.fit import content_key, fit_once, fold_of
from training.recipes import RECIPES, Recipe

SPAMMED = ("wp_midonet", "wp_smoobs_trackbacks")
VIDEOS = 2

GENERAL = RECIPES["general"]
SPEC = GENERAL.spec


def _spec(**changed: object) -> Recipe:
    return replace(GENERAL, spec=replace(SPEC, **changed))  # type: ignore[arg-type]


def _shares(**changed: float) -> Recipe:
    names = {name.replace("author_", "author."): share for name, share in changed.items()}
    return _spec(shares={**SPEC.shares, **names})


VARIANTS: Mapping[str, Recipe] = {
    "as shipped": GENERAL,
    "characters 3 to 6": _spec(chars=(3, 4, 5, 6)),
    "characters 2, 3, 4, 6": _spec(chars=(2, 3, 4, 6)),
    "no characters": _spec(chars=()),
    "single words alone": _spec(words=(1,)),
    "up to three words": _spec(words=(1, 2, 3)),
    "no words": _spec(words=(), marked=()),
    "no words with marks": _spec(marked=()),
    "words count 0.5": _shares(words=0.5),
    "words count 1.2": _shares(words=1.2),
    "name and URL count 0.3": _shares(author_name=0.3, author_url=0.3),
    "no name and URL": _shares(author_name=0.0, author_url=0.0),
    "no signs": _shares(signs=0.0),
    "no worst part": _spec(worst_part=0.0),
    "worst part in full": _spec(worst_part=1.0),
    "rare features fitted like common ones": replace(GENERAL, rarity_power=0.0),
    "rarity to the first power": replace(GENERAL, rarity_power=1.0),
    "2^16 places": _spec(bits=16),
    "2^20 places": _spec(bits=20),
    "without our own texts": replace(
        GENERAL,
        source_weights={
            **GENERAL.source_weights,
            **dict.fromkeys(("synthetic_vi", "synthetic_en", "synthetic_other"), 0.0),
        },
    ),
}


def main() -> None:
    options = _options()
    examples = [e for e in teaching(options.data) if e.label.head is Head.SPAM]
    videos = sorted({e.group for e in examples if e.source == "youtube_spam_uci"})[:VIDEOS]
    head = [*SPAMMED, *(f"YouTube {number + 1}" for number in range(len(videos)))]
    print("| variant | " + " | ".join(f"{name} AUC | at 1 %" for name in head) + " |", flush=True)
    print("| --- |" + " ---: | ---: |" * len(head), flush=True)
    for name in options.only or VARIANTS:
        recipe = VARIANTS[name]
        taught = [e for e in examples if recipe.source_weights.get(e.source, 1.0) > 0]
        figures = [*_sites(taught, recipe, options.jobs)]
        for video in videos:
            figures += _video(taught, video, recipe, options.jobs)
        print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)


def _sites(examples: Sequence[LabelledExample], recipe: Recipe, jobs: int) -> list[float]:
    ham = [
        not e.label.positive and (e.source == "wp_wxr_ham" or _is_hidden_post(e)) for e in examples
    ]
    hidden = [of_ham or e.source in SPAMMED for e, of_ham in zip(examples, ham, strict=True)]
    classifier = _without(examples, hidden, recipe, jobs)
    genuine = _scores(classifier, [e for e, of_ham in zip(examples, ham, strict=True) if of_ham])
    figures: list[float] = []
    for source in SPAMMED:
        spam = [e for e in examples if e.source == source and e.label.positive]
        figures += _told_apart(_scores(classifier, spam), genuine)
    return figures


def _is_hidden_post(example: LabelledExample) -> bool:
    key = content_key(example.text)
    return example.source == "haacked_ham" and fold_of(example, key, GENERAL) == 0


def _video(
    examples: Sequence[LabelledExample], video: str, recipe: Recipe, jobs: int
) -> list[float]:
    hidden = [e.source == "youtube_spam_uci" and e.group == video for e in examples]
    classifier = _without(examples, hidden, recipe, jobs)
    own = [e for e, is_hidden in zip(examples, hidden, strict=True) if is_hidden]
    spam = _scores(classifier, [e for e in own if e.label.positive])
    return _told_apart(spam, _scores(classifier, [e for e in own if not e.label.positive]))


def _without(
    examples: Sequence[LabelledExample], hidden: Sequence[bool], recipe: Recipe, jobs: int
) -> Classifier:
    shown = [e for e, is_hidden in zip(examples, hidden, strict=True) if not is_hidden]
    return fit_once(shown, recipe, heads=[Head.SPAM], jobs=jobs)


def _scores(classifier: Classifier, rows: Sequence[LabelledExample]) -> NDArray[np.float64]:
    return classifier.log_odds([gather(submission_of(row)).texts for row in rows])[:, 0]


def _told_apart(spam: NDArray[np.float64], ham: NDArray[np.float64]) -> list[float]:
    truth = np.arange(spam.size + ham.size) < spam.size
    found = spam >= threshold_at(ham, 0.01)
    return [float(roc_auc_score(truth, np.concatenate([spam, ham]))), float(found.mean())]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
