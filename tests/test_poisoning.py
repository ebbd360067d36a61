"""Labels that attack: how far they move a model that is fitted to what holds of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model.decision import Label, LabelledExample, Provenance, WordOf
from model.features import Spec
from model.outcome import Head
from training.examples import read_examples
from training.feature_rows import rows_of
from training.recipes import Recipe
from training.relying import reliance_of
from training.resolving import resolved

TEXTS = Path(__file__).parent.parent / "training" / "texts"
SMALL = Recipe(name="small", spec=Spec(bits=13))
PEOPLE = ("ann", "bob", "cem", "dao", "eve")

MOVES = 0.02
"""Scores of held-out texts move by no more than that on average."""

REJECTED = 0.01
"""So much of genuine texts is rejected, and no more after an attack than so much more."""


def by(who: str, example: LabelledExample, number: int, **more: object) -> LabelledExample:
    said = Provenance(WordOf.DECISION, who, f"2026-03-{1 + number % 28:02}T00:00:00+00:00")
    more = {"id": f"{who}{number}", "source": "duyet:blog", "provenance": said} | more
    return replace(example, **more)  # type: ignore[arg-type]


def turned(example: LabelledExample) -> Label:
    return Label(Head.SPAM, not example.label.positive)


@dataclass(frozen=True)
class Site:
    """Labels of five moderators, texts to attack with, the project's own, and some held out."""

    labels: list[LabelledExample]
    more: list[LabelledExample]
    project: list[LabelledExample]
    rows: object
    is_ham: NDArray[np.bool_]
    before: NDArray[np.float64]

    def moved(self, held: Sequence[LabelledExample]) -> tuple[float, float, float]:
        """How far scores move, and what share of genuine texts is rejected before and after."""
        after = scores(held, self.rows)
        threshold = np.quantile(self.before[self.is_ham], 1 - REJECTED)
        rejected = [(of[self.is_ham] > threshold).mean() for of in (self.before, after)]
        return np.abs(after - self.before).mean(), *rejected


def scores(examples: Sequence[LabelledExample], rows: object) -> NDArray[np.float64]:
    positive = np.array([example.label.positive for example in examples])
    weight = np.array([example.weight for example in examples])
    total = weight.sum()
    for side in (positive, ~positive):
        weight[side] *= total / 2 / weight[side].sum()
    fit = LogisticRegression(C=10, max_iter=300)
    fitted = fit.fit(rows_of(examples, SMALL.spec, jobs=1), positive, sample_weight=weight)
    return fitted.predict_proba(rows)[:, 1]


@pytest.fixture(scope="module")
def site() -> Site:
    texts = [
        example
        for name in ("en_ham", "en_spam", "vi_ham", "vi_spam")
        for example in read_examples(TEXTS / f"{name}.jsonl")
        if example.label.head is Head.SPAM
    ]
    random.Random(5).shuffle(texts)
    labels = [by(PEOPLE[n % 5], text, n) for n, text in enumerate(texts[:500])]
    project = [
        e
        for lang in ("en", "vi")
        for side in ("ham", "spam")
        for e in list(read_examples(TEXTS / f"{lang}_more_{side}.jsonl"))[:150]
    ]
    held_out, more = texts[500:800], texts[800:1300]
    rows = rows_of(held_out, SMALL.spec, jobs=1)
    return Site(
        labels,
        more,
        project,
        rows,
        np.array([not example.label.positive for example in held_out]),
        scores(resolved(labels).weighed(), rows),
    )


def flipped(site: Site) -> list[LabelledExample]:
    """A moderator gives as many labels as all others together, each the wrong way."""
    return [by("mal", text, n, label=turned(text)) for n, text in enumerate(site.more)]


def copied(site: Site, positive: bool) -> list[LabelledExample]:
    """A thousand copies of one text under other names, labelled wrongly."""
    one = next(e for e in site.more if e.label.positive is not positive and len(e.text) > 80)
    label = Label(Head.SPAM, positive)
    return [by("ann", one, 10_000 + n, label=label, author=f"Reader {n}") for n in range(1_000)]


def padded(site: Site, words: int) -> list[LabelledExample]:
    """Spam with other words of genuine comments each time, rightly labelled as spam."""
    draw = random.Random(7)
    spam = next(e for e in site.more if e.label.positive and len(e.text) > 100)
    ham = [e for e in site.more if not e.label.positive and e.lang == spam.lang]
    good = sorted({word for e in ham for word in e.text.split()})
    return [
        by(
            PEOPLE[n % 5],
            spam,
            20_000 + n,
            text=f"{spam.text} {' '.join(draw.sample(good, words))}",
            author=f"Buyer {n}",
        )
        for n in range(200)
    ]


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(lambda site: copied(site, True), id="a thousand copies of ham as spam"),
        pytest.param(lambda site: copied(site, False), id="a thousand copies of spam as ham"),
        pytest.param(lambda site: padded(site, 8), id="spam padded with eight good words"),
        pytest.param(lambda site: padded(site, 30), id="spam padded with thirty good words"),
    ],
)
def test_an_attack_on_labels_moves_scores_less_than_stated_and_rejects_nobody(site, attack):
    moved, before, after = site.moved(resolved([*site.labels, *attack(site)]).weighed())

    assert moved < MOVES
    assert after <= before + REJECTED


def test_a_moderator_who_turns_every_label_is_not_relied_on(site):
    labels = [*site.labels, *flipped(site)]
    found = resolved(labels)

    reliance = reliance_of(found, SMALL, support=site.project)
    moved, before, after = site.moved(resolved(labels, reliance=reliance).weighed())

    assert reliance == {(Head.SPAM, WordOf.DECISION, "mal"): 0.0}
    assert moved < MOVES
    assert after <= before + REJECTED
    assert max(share.after for share in found.shares if share.who == "mal") < 0.26  # even before


def test_two_who_agree_and_give_two_fifths_of_all_are_not_relied_on(site):
    two = ("dao", "eve")
    labels = [replace(e, label=turned(e)) if e.provenance.who in two else e for e in site.labels]
    others = [e for e in site.labels if e.provenance.who not in two]

    reliance = reliance_of(resolved(labels), SMALL)  # with no text of the project to go by
    held = resolved(labels, reliance=reliance).weighed()

    assert reliance == {(Head.SPAM, WordOf.DECISION, who): 0.0 for who in two}
    apart = scores(held, site.rows) - scores(resolved(others).weighed(), site.rows)
    assert np.abs(apart).mean() < MOVES


def test_without_these_rules_the_same_attacks_move_a_model_far(site):
    """What the bounds are worth: a fit to the labels as they came."""
    moved = [
        np.abs(scores([*site.labels, *attack], site.rows) - site.before).mean()
        for attack in (flipped(site), copied(site, True), padded(site, 8))
    ]

    assert min(moved) > 2 * MOVES


def test_of_three_only_the_one_who_errs_is_distrusted(site):
    """Without that one two are left, of whom nobody knows which is wrong."""
    three = [e for e in site.labels if e.provenance.who in PEOPLE[:3]]
    errs = [replace(e, label=turned(e)) if e.provenance.who == "cem" else e for e in three]

    reliance = reliance_of(resolved(errs), SMALL, support=site.project)

    assert {who for _, _, who in reliance} == {"cem"}


def test_nobody_honest_is_distrusted(site):
    for support in ((), site.project):
        assert reliance_of(resolved(site.labels), SMALL, support=support) == {}
