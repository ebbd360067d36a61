"""What both versions make of the same comments, disguised: the table of `training.attacks`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import numpy as np

from model.comparison import UNKNOWN_INTERVAL, Attacked, Figure
from model.outcome import Head, Outcome
from training.attacks import ATTACKS, Attack
from training.contenders import Compared, Contender, Options, judgements
from training.evaluation import Judged
from training.paired import Bools, Pair, share_figure


def attack_table(
    both: Compared,
    names: tuple[Contender, Contender],
    options: Options,
    random: np.random.Generator,
) -> Iterator[Attacked]:
    """For each attack by name, what of the spam that it changes is still caught, what of the
    genuine comments that it changes is held.

    Attacks that change none of the comments are left out. The disguise of a comment depends on
    the seed, the attack and the comment alone.
    """
    if not options.attacked:
        return
    chosen = np.zeros(len(both.examples), np.bool_)
    for positive in (True, False):
        rows = np.flatnonzero(both.of(Head.SPAM, positive=positive))
        chosen[random.permutation(rows)[: options.attacked]] = True
    sample = both.where(chosen)
    of_each = replace(options, told=lambda _: None)
    for done, (name, attack) in enumerate(ATTACKS.items()):
        options.told(done / len(ATTACKS))
        disguised, changed = _disguised(sample, name, attack, options.seed)
        if changed.any():
            judged = _judged_again(sample.where(changed), disguised, names, of_each)
            yield Attacked(
                name=name,
                spam_caught=_flagged("spam_caught", judged, random, positive=True),
                genuine_held=_flagged("genuine_held", judged, random, positive=False),
            )


def _disguised(sample: Compared, name: str, attack: Attack, seed: int) -> tuple[list[str], Bools]:
    """The texts that the attack changed, and of which comments they are."""
    texts = [
        attack(e.text, Random(f"{seed}/{name}/{e.source}/{e.id}/{at}"))
        for at, e in enumerate(sample.examples)
    ]
    pairs = zip(texts, sample.examples, strict=True)
    changed = np.array([text != e.text for text, e in pairs], np.bool_)
    return [text for text, is_new in zip(texts, changed, strict=True) if is_new], changed


def _judged_again(
    part: Compared, texts: Sequence[str], names: tuple[Contender, Contender], options: Options
) -> Compared:
    examples = tuple(replace(e, text=t) for e, t in zip(part.examples, texts, strict=True))
    before = (part.pair.champion, part.pair.challenger)
    sides = []
    for contender, was, which in zip(names, before, part.folds, strict=True):
        said = judgements(contender, examples, which, options)
        sides.append(replace(was, score=said.score, outcome=said.outcome))
    return replace(part, examples=examples, pair=Pair(*sides))


def _flagged(name: str, judged: Compared, random: np.random.Generator, *, positive: bool) -> Figure:
    rows = judged.of(Head.SPAM, positive=positive)
    if not rows.any():
        return Figure(name, UNKNOWN_INTERVAL, UNKNOWN_INTERVAL, UNKNOWN_INTERVAL)
    return share_figure(name, judged.pair.where(rows), hits=_held, random=random)


def _held(judged: Judged) -> Bools:
    return np.asarray(judged.outcome > Outcome.ACCEPT, np.bool_)
