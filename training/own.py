"""A site's own model: the champion, moved by what the site's people said.

An installation has none of the comments that the shipped champion was fitted to, and few labels of
its own. So it fits no model; it moves the one it has. Each head is a logistic regression whose
weights have a normal prior with the champion's as mean, so that fifty labels move little and fifty
thousand what they say. The project's own texts are rehearsed (McCloskey and Cohen 1989 named what
happens else; Robins 1995 the remedy), each as a coin: half a row of either label, from where the
champion's log-odds stand. A coin costs 2 log cosh(move / 2) and is least where a text is not moved,
also one that the champion is so sure of that its label alone would let go.

Held out are groups of the site's comments, and topics of the texts, with the fit to all the rest.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample, WordOf
from model.facts import gather
from model.language import language_of
from model.outcome import Head
from model.promise import Promise
from training.examples import submission_of
from training.fit import NotEnough, content_key
from training.own_fit import OWN, Apart, OwnRecipe, Rehearsed, head_rows, moved, read_texts
from training.own_promise import site_first
from training.resolving import time_of
from training.shifted import Moves, shifted
from training.umbrella import Genuine, estimated, promise_of

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]
"""Told a stage and the share of it that is done, 0 to 1."""

CHUNK = 500
"""Genuine comments that are judged at a time."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What moving gives.

    `final` saw everything; `classifiers` has for each fold the one that has not seen it, promise
    included, and `fold_of` the fold of each example. All of them say that they learnt until the
    last example was labelled, those of the folds too: they are judged as the final one is served.
    `heads` are those that were moved. `held_out` is what the promise was made of.
    """

    final: Classifier
    classifiers: tuple[Classifier, ...]
    fold_of: tuple[int, ...]
    heads: tuple[Head, ...]
    held_out: "HeldOut"


def own_model(
    examples: Sequence[LabelledExample],
    champion: Classifier,
    rehearsed: Sequence[LabelledExample] | Rehearsed,
    recipe: OwnRecipe = OWN,
    *,
    jobs: int = -1,
    progress: Progress = lambda _, __: None,
) -> Moved:
    """Move the champion by a site's examples, which weigh what their `weight` says.

    The same examples in the same order give the same bytes, whatever `jobs`. Raises NotEnough
    when no head has enough labels of both kinds to hold some out. Costs about two milliseconds
    an example and some seconds.
    """
    own = _apart(examples, units_of(examples), recipe)
    heads = tuple(head for head in HEADS if _may_move(head, own, recipe))
    if not heads:
        raise NotEnough(_lacking(examples, recipe))
    if not isinstance(rehearsed, Rehearsed):
        rehearsed = read_texts(rehearsed, champion.spec, jobs=jobs)
    texts = _apart(rehearsed.examples, rehearsed.unit, recipe)
    progress("features", 0.2)
    rows = {}
    for head in heads:
        rows[head] = head_rows(head, own, rehearsed, texts.fold, champion.spec, recipe, jobs=jobs)
        progress("features", 0.2 + 0.8 * len(rows) / len(heads))
    tasks = [(head, fold) for fold in (*range(recipe.folds), None) for head in heads]
    work = Parallel(n_jobs=jobs, max_nbytes="1M", return_as="generator")
    fits: dict[tuple[Head, int | None], tuple[Floats, float]] = {}
    done = work(delayed(moved)(h, rows[h], champion, recipe, f) for h, f in tasks)
    for task, found in zip(tasks, done, strict=True):
        fits[task] = found
        progress("fits", len(fits) / len(tasks))
    del rows, done, work
    until = _last_of(examples)
    classifiers = [
        replace(_classifier({h: fits[h, fold] for h in heads}, champion), learnt_until=until)
        for fold in (*range(recipe.folds), None)
    ]
    held_out = _held_out(own, texts, champion, classifiers[:-1], progress)
    promised = [
        replace(classifier, promise=held_out.promise(champion, recipe, fold))
        for classifier, fold in zip(classifiers, (*range(recipe.folds), None), strict=True)
    ]
    progress("promise", 1.0)
    return Moved(
        final=promised[-1],
        classifiers=tuple(promised[:-1]),
        fold_of=tuple(own.fold.tolist()),
        heads=heads,
        held_out=held_out,
    )


def _last_of(examples: Sequence[LabelledExample]) -> datetime | None:
    times = (time_of(example.provenance.at) for example in examples)
    return max((at for at in times if at is not None), default=None)


def units_of(examples: Sequence[LabelledExample]) -> NDArray[np.str_]:
    """The name of what is held out with each example: its group, or all that reads like it.

    A group of more than a third of the comments is none: a guestbook, or a site that does not
    say which article a comment is for.
    """
    named = np.array([f"{e.source}/{e.group}" if e.group else "" for e in examples], np.str_)
    names, codes, sizes = np.unique(named, return_inverse=True, return_counts=True)
    alone = (names == "") | (3 * sizes > len(examples))
    keys = [content_key(e.text) if alone[c] else "" for e, c in zip(examples, codes, strict=True)]
    return np.where(alone[codes], np.array(keys, np.str_), named)


def _apart(examples: Sequence[LabelledExample], unit: NDArray[np.str_], recipe: OwnRecipe) -> Apart:
    return Apart(examples, unit, np.array([_fold(name, recipe) for name in unit.tolist()], np.intp))


def _fold(unit: str, recipe: OwnRecipe) -> int:
    """A draw by hash, so that it depends on no order and no other unit."""
    digest = hashlib.sha256(f"{recipe.seed}/{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % recipe.folds


def _may_move(head: Head, own: Apart, recipe: OwnRecipe) -> bool:
    """Whether a head has enough of both labels, and of each in two folds."""
    of_head = own.of_head(head).tolist()
    for positive in (True, False):
        at = [i for i in of_head if own.examples[i].label.positive == positive]
        if len(at) < recipe.least or np.unique(own.fold[at]).size < 2:
            return False
    return True


def _lacking(examples: Sequence[LabelledExample], recipe: OwnRecipe) -> str:
    counts = Counter(example.label.word for example in examples)
    told = ", ".join(f"{counts[word]:,} {word}" for word in ("spam", "ham", "toxic", "clean"))
    return (
        f"too few labels to learn from: {told}. To move a head takes at least {recipe.least} of "
        "both its labels, each of them from two articles or of two texts; fifty are a beginning"
    )


def _classifier(fits: Mapping[Head, tuple[Floats, float]], champion: Classifier) -> Classifier:
    table, bias = np.array(champion.table), np.array(champion.bias)
    for head, (weights, at) in fits.items():
        table[:, HEADS.index(head)] = weights
        bias[HEADS.index(head)] = at
    return replace(champion, version="", table=table, bias=bias, promise=Promise({}))


# ------------------------------------------------------------------ the promise


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Genuine comments by fits that have not seen them, each with its fold.

    `moves` are of the site's and the rehearsed ones together, `ham` of the site's alone.
    """

    moves: Moves
    moves_fold: NDArray[np.intp]
    ham: Genuine
    ham_fold: NDArray[np.intp]

    def promise(self, champion: Classifier, recipe: OwnRecipe, without: int | None) -> Promise:
        """What those that are not of a fold allow to promise; all of them for None."""
        shift = shifted(champion.promise, self.moves.where(self.moves_fold != without))
        ham = self.ham.where(self.ham_fold != without)
        # Of several sites each may raise what all of them allow together.
        own = promise_of(ham, lead=recipe.toxicity_lead, by_source=ham)
        return site_first(own, estimated(ham, lead=recipe.toxicity_lead), shift)


def _held_out(
    own: Apart,
    texts: Apart,
    champion: Classifier,
    classifiers: Sequence[Classifier],
    progress: Progress,
) -> HeldOut:
    """Score what is genuine: the site's ham, and of the project's texts the clean as well."""
    ham = [e.label.head is Head.SPAM and not e.label.positive for e in own.examples]
    clean = [not example.label.positive for example in texts.examples]
    chosen = [(one, np.flatnonzero(which)) for one, which in ((own, ham), (texts, clean))]
    genuine = [one.examples[i] for one, at in chosen for i in at.tolist()]
    fold = np.concatenate([one.fold[at] for one, at in chosen])
    unit = np.concatenate([one.unit[at] for one, at in chosen])
    language = np.array([language_of(example.text) for example in genuine], np.str_)
    odds, before = np.empty((len(genuine), len(HEADS))), np.empty((len(genuine), len(HEADS)))
    for begin in range(0, len(genuine), CHUNK):
        read = [gather(submission_of(e)).texts for e in genuine[begin : begin + CHUNK]]
        before[begin : begin + CHUNK] = champion.log_odds(read)
        for number, classifier in enumerate(classifiers):
            of_fold = np.flatnonzero(fold[begin : begin + CHUNK] == number)
            odds[begin + of_fold] = classifier.log_odds([read[i] for i in of_fold.tolist()])
        progress("promise", begin / len(genuine))
    moves = Moves((odds - before).T, language, unit)
    count = chosen[0][1].size
    spam, toxicity = (1 / (1 + np.exp(-odds[:count, head])) for head in range(len(HEADS)))
    source = np.array([example.source for example in genuine[:count]], np.str_)
    drawn = np.array([stands_for(example) for example in genuine[:count]])
    found = Genuine(spam, toxicity, language[:count], unit[:count], source, drawn)
    return HeldOut(moves, fold, found, fold[:count])


def stands_for(example: LabelledExample) -> float:
    """How many comments one that a person looked at stands for: the inverse of its chance.

    0 where somebody looked without a draw, at a report or an appeal or of their own accord; 1 for
    what was imported or is from a file, which is all there was.
    """
    chance, kind = example.provenance.chance, example.provenance.kind
    if chance is None:
        return 0.0 if kind in (WordOf.DECISION, WordOf.REPORT) else 1.0
    return 1 / chance
