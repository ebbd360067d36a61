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
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from model.classifier import HEADS, Classifier
from model.decision import LabelledExample, WordOf
from model.facts import gather
from model.features import Spec, Texts, features
from model.language import language_of
from model.outcome import Head
from model.promise import Promise
from model.submission import Submission
from training.examples import submission_of
from training.fit import NotEnough, content_key
from training.logistic import Shard, fitted
from training.own_promise import site_first
from training.rehearsal import topic_of
from training.resolving import time_of
from training.shifted import Moves, shifted
from training.umbrella import Genuine, estimated, promise_of

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]
"""Told a stage and the share of it that is done, 0 to 1."""

CHUNK = 500


@dataclass(frozen=True, slots=True)
class OwnRecipe:
    """How far labels move the champion.

    `inverse_penalty` is the variance of a weight's prior. `hold` is the weight of a rehearsed
    text. `most_balance` bounds how much more the rarer label of a head weighs, so that both
    weigh the same together. `bare_spam_weight` and `toxicity_lead` are as in
    `training.recipes.Recipe`. A head with fewer than `least` examples of either label is the
    champion's as it is.
    """

    name: str = "own"
    inverse_penalty: Mapping[Head, float] = field(
        default_factory=lambda: {Head.SPAM: 3.0, Head.TOXICITY: 3.0}
    )
    hold: float = 1.0
    most_balance: float = 4.0
    bare_spam_weight: float = 0.1
    toxicity_lead: float = 0.5
    least: int = 5
    folds: int = 5
    seed: int = 7


OWN = OwnRecipe()


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


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples with their features as they were sent, and without name and URL."""

    examples: Sequence[LabelledExample]
    texts: list[Texts]
    sent: sparse.csr_matrix
    bare: sparse.csr_matrix
    unit: NDArray[np.str_]
    fold: NDArray[np.intp]


def own_model(
    examples: Sequence[LabelledExample],
    champion: Classifier,
    rehearsed: "Sequence[LabelledExample] | Rows",
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
    own = _rows(examples, units_of(examples), champion.spec, recipe, jobs=jobs)
    progress("features", 0.5)
    heads = tuple(head for head in HEADS if _may_move(head, own, recipe))
    if not heads:
        raise NotEnough(_lacking(examples, recipe))
    texts = (
        replace(rehearsed, fold=_folds(rehearsed.unit, recipe))
        if isinstance(rehearsed, Rows)
        else read_texts(rehearsed, champion.spec, recipe, jobs=jobs)
    )
    progress("features", 1.0)
    tasks = [(head, fold) for fold in (*range(recipe.folds), None) for head in heads]
    work = Parallel(n_jobs=jobs, max_nbytes="1M", return_as="generator")
    fits: dict[tuple[Head, int | None], tuple[Floats, float]] = {}
    done = work(delayed(_moved)(h, own, texts, champion, recipe, f) for h, f in tasks)
    for task, found in zip(tasks, done, strict=True):
        fits[task] = found
        progress("fits", len(fits) / len(tasks))
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
        fold_of=tuple(int(fold) for fold in own.fold),
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


# ------------------------------------------------------------------ rows


def read_texts(
    rehearsed: Sequence[LabelledExample], spec: Spec, recipe: OwnRecipe = OWN, *, jobs: int = -1
) -> Rows:
    """The rehearsed texts as `own_model` takes them: for whoever moves a champion many times."""
    topics = np.array([topic_of(example) for example in rehearsed], np.str_)
    return _rows(rehearsed, topics, spec, recipe, jobs=jobs)


def _rows(
    examples: Sequence[LabelledExample],
    unit: NDArray[np.str_],
    spec: Spec,
    recipe: OwnRecipe,
    *,
    jobs: int,
) -> Rows:
    chunks = [examples[at : at + CHUNK] for at in range(0, len(examples), CHUNK)]
    parts = Parallel(n_jobs=jobs)(delayed(_read)(chunk, spec) for chunk in chunks)
    none = sparse.csr_matrix((0, 2**spec.bits), dtype=np.float64)
    return Rows(
        examples=examples,
        texts=[texts for part, _, _ in parts for texts in part],
        sent=sparse.vstack([none, *(sent for _, sent, _ in parts)], format="csr"),
        bare=sparse.vstack([none, *(bare for _, _, bare in parts)], format="csr"),
        unit=unit,
        fold=_folds(unit, recipe),
    )


def _folds(unit: NDArray[np.str_], recipe: OwnRecipe) -> NDArray[np.intp]:
    return np.array([_fold(name, recipe) for name in unit.tolist()], np.intp)


def _fold(unit: str, recipe: OwnRecipe) -> int:
    """A draw by hash, so that it depends on no order and no other unit."""
    digest = hashlib.sha256(f"{recipe.seed}/{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % recipe.folds


def _read(
    examples: Sequence[LabelledExample], spec: Spec
) -> tuple[list[Texts], sparse.csr_matrix, sparse.csr_matrix]:
    submissions = [submission_of(example) for example in examples]
    texts = [gather(submission).texts for submission in submissions]
    bare = [gather(_bare(submission)).texts for submission in submissions]
    return texts, _matrix(texts, spec), _matrix(bare, spec)


def _bare(submission: Submission) -> Submission:
    return replace(submission, author=replace(submission.author, name="", url=""))


def _matrix(batch: Sequence[Texts], spec: Spec) -> sparse.csr_matrix:
    indptr, places, values = features(batch, spec).rows()
    matrix = sparse.csr_matrix(
        (values.astype(np.float64), places, indptr), shape=(len(batch), 2**spec.bits)
    )
    matrix.sum_duplicates()
    return matrix


# ------------------------------------------------------------------ fits


def _may_move(head: Head, own: Rows, recipe: OwnRecipe) -> bool:
    """Whether a head has enough of both labels, and of each in two folds."""
    for positive in (True, False):
        at = [
            i
            for i, e in enumerate(own.examples)
            if e.label.head is head and e.label.positive == positive and e.weight > 0
        ]
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


def _moved(
    head: Head,
    own: Rows,
    texts: Rows,
    champion: Classifier,
    recipe: OwnRecipe,
    without: int | None,
) -> tuple[Floats, float]:
    """Weights and bias of a head, fitted without a fold; to everything for None."""
    column = HEADS.index(head)
    weights, bias = champion.table[:, column].astype(np.float64), float(champion.bias[column])
    labelled = _labelled(head, own, recipe, without)
    # Only what the site's comments have is moved: the rest would move to make up for it, and
    # is most of what the texts have.
    places = np.unique(labelled.matrix.indices)
    centre = weights[places]
    held = _coins(texts, places, centre, bias, recipe.hold, without)
    with threadpool_limits(1):
        weights[places], bias = fitted(
            [replace(labelled, matrix=labelled.matrix[:, places]), held],
            inverse_penalty=recipe.inverse_penalty[head],
            centre=centre,
        )
    return weights, bias


def _labelled(head: Head, own: Rows, recipe: OwnRecipe, without: int | None) -> Shard:
    """The site's comments: as sent, and those with a name or URL once more without them."""
    at = np.array(
        [
            i
            for i, e in enumerate(own.examples)
            if e.label.head is head and e.weight > 0 and own.fold[i] != without
        ],
        np.intp,
    )
    chosen = [own.examples[i] for i in at.tolist()]
    signed = np.flatnonzero([bool(e.author or e.author_url) for e in chosen])
    positive = np.array([e.label.positive for e in chosen], bool)
    weight = np.array([e.weight for e in chosen], np.float64)
    weight[signed] /= 2
    # Praise with a shop's URL is spam for its URL; the words alone are what readers write.
    praise = [positive[i] and bool(chosen[i].author_url) for i in signed.tolist()]
    both_ways = np.concatenate(
        [weight, weight[signed] * np.where(praise, recipe.bare_spam_weight, 1.0)]
    )
    truth = np.concatenate([positive, positive[signed]])
    half = both_ways.sum() / 2
    for side in (truth, ~truth):
        both_ways[side] *= min(recipe.most_balance, half / both_ways[side].sum())
    matrix = sparse.vstack([own.sent[at], own.bare[at[signed]]], format="csr")
    return Shard(matrix, truth, both_ways)


def _coins(
    texts: Rows,
    places: NDArray[np.int32],
    centre: Floats,
    bias: float,
    hold: float,
    without: int | None,
) -> Shard:
    """The rehearsed texts, half of either label, from where the champion has them."""
    kept = texts.sent[np.flatnonzero(texts.fold != without)][:, places]
    rows = kept.shape[0]
    stands = kept @ centre + bias
    return Shard(kept, np.full(rows, 0.5), np.full(rows, hold), -stands)


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
    own: Rows,
    texts: Rows,
    champion: Classifier,
    classifiers: Sequence[Classifier],
    progress: Progress,
) -> HeldOut:
    """Score what is genuine: the site's ham, and of the project's texts the clean as well."""
    parts = [
        (own, [e.label.head is Head.SPAM and not e.label.positive for e in own.examples]),
        (texts, [not e.label.positive for e in texts.examples]),
    ]
    chosen = [(rows, np.flatnonzero(genuine)) for rows, genuine in parts]
    read = [rows.texts[i] for rows, at in chosen for i in at.tolist()]
    fold = np.concatenate([rows.fold[at] for rows, at in chosen])
    unit = np.concatenate([rows.unit[at] for rows, at in chosen])
    language = np.array(
        [language_of(rows.examples[i].text) for rows, at in chosen for i in at.tolist()], np.str_
    )
    odds = np.empty((len(read), len(HEADS)))
    for at, classifier in enumerate(classifiers):
        of_fold = np.flatnonzero(fold == at)
        odds[of_fold] = classifier.log_odds([read[i] for i in of_fold.tolist()])
        progress("promise", (at + 1) / (len(classifiers) + 2))
    moves = Moves((odds - champion.log_odds(read)).T, language, unit)
    progress("promise", (len(classifiers) + 1) / (len(classifiers) + 2))
    count = chosen[0][1].size
    spam, toxicity = (1 / (1 + np.exp(-odds[:count, head])) for head in range(len(HEADS)))
    source = np.array([own.examples[i].source for i in chosen[0][1].tolist()], np.str_)
    drawn = np.array([stands_for(own.examples[i]) for i in chosen[0][1].tolist()])
    ham = Genuine(spam, toxicity, language[:count], unit[:count], source, drawn)
    return HeldOut(moves, fold, ham, fold[:count])


def stands_for(example: LabelledExample) -> float:
    """How many comments one that a person looked at stands for: the inverse of its chance.

    0 where somebody looked without a draw, at a report or an appeal or of their own accord; 1 for
    what was imported or is from a file, which is all there was.
    """
    chance, kind = example.provenance.chance, example.provenance.kind
    if chance is None:
        return 0.0 if kind in (WordOf.DECISION, WordOf.REPORT) else 1.0
    return 1 / chance
