"""Is a site's own version better than the champion, and does it keep its promise?

    python -m benchmarks.own --data DIR [--champion REGISTRY] [--labels 50,200,1000] [--only NAME…]

DIR holds labelled files. A champion is fitted as the shipped one is, but without any comment of the
sets that play a site, and without half the groups of the genuine comments (`--champion` keeps it
for another run). Then each such set is a site: its groups are drawn into halves, some comments of
one half are labelled, the champion is moved by those, and both are judged on

* `rest`: the half whose groups nobody labelled;
* `elsewhere`: the other sites, and genuine comments of sources and groups that no fit has seen.

Found is the share of spam above the threshold at which 1 % of the ham at hand lies above (the same
for both, whatever they promise), and at the promise: rejected at a risk of 0.5 %, held at 1 %. Last
with a careless account: a fifth of the labels are somebody's who says the opposite.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.labelled import examples_in
from model.classifier import Classifier
from model.decision import Label, LabelledExample
from model.facts import gather
from model.features import Texts
from model.language import language_of
from model.outcome import Head, Outcome
from model.policy import Policy
from model.registry import CHAMPION, Registry
from training.examples import submission_of
from training.fit import fit, manifest_of, usable
from training.own import OWN, OwnRecipe, own_model, units_of
from training.recipes import RECIPES
from training.rehearsal import own_texts

SITES = ("judol_id", "youtube_spam_uci", "telegram_tgspam", "instagram_id_spam")
GENUINE = ("haacked_ham", "vnexpress_raw")
RESEARCH_GENUINE = ("victsd", "c3_news")
USUAL = Policy()


@dataclass(frozen=True, slots=True)
class Comments:
    """Comments of the spam head as columns."""

    texts: Sequence[Texts]
    spam: NDArray[np.bool_]
    language: Sequence[str]

    @classmethod
    def of(cls, examples: Sequence[LabelledExample]) -> "Comments":
        return cls(
            [gather(submission_of(example)).texts for example in examples],
            np.array([e.label.head is Head.SPAM and e.label.positive for e in examples], bool),
            [language_of(example.text) for example in examples],
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What a classifier makes of some comments; NaN where a label is missing."""

    auc: float
    found: float
    rejected: float
    held: float
    genuine_rejected: float
    genuine_held: float

    @classmethod
    def of(cls, classifier: Classifier, comments: Comments) -> "Told":
        odds = classifier.log_odds(comments.texts)
        scores = 1 / (1 + np.exp(-odds))
        at = [classifier.thresholds(USUAL, tag) for tag in comments.language]
        rejected = scores[:, 0] >= np.array([t.spam.reject_at for t in at])
        held = rejected | (scores[:, 0] >= np.array([t.spam.queue_at for t in at]))
        held |= scores[:, 1] >= np.array([t.toxicity.queue_at for t in at])
        spam = comments.spam
        some = spam.any() and not spam.all()
        return cls(
            auc=float(roc_auc_score(spam, odds[:, 0])) if some else np.nan,
            found=_share(odds[spam, 0] > np.quantile(odds[~spam, 0], 0.99)) if some else np.nan,
            rejected=_share(rejected[spam]),
            held=_share(held[spam]),
            genuine_rejected=_share(rejected[~spam]),
            genuine_held=_share(held[~spam]),
        )


def main() -> None:
    options = _options()
    recipe = replace(
        OWN,
        hold=options.hold,
        inverse_penalty=dict.fromkeys(Head, options.inverse_penalty),
    )
    champion = _champion(options)
    elsewhere = {site: _site(options, site) for site in SITES}
    genuine = Comments.of(_genuine(options))
    outside = {site: Comments.of(rows) for site, rows in elsewhere.items()}
    print(f"champion {champion.version}; {recipe.inverse_penalty} hold {recipe.hold}")
    print(_line(("site", "labels", "flipped", "comments", *TITLES)))
    print(_line(["---"] * (4 + len(TITLES))))
    for site in options.only or SITES:
        for count in options.labels:
            for share in (0.0, 0.2) if options.flipped else (0.0,):
                for line in _of_site(
                    site, elsewhere[site], count, share, champion, recipe, outside, genuine, options
                ):
                    print(line, flush=True)
