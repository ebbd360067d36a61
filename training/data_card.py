"""Where the comments of a comparison come from, and whether they are still like those before."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from model.comparison import DataCard, Drift, Share
from model.decision import Label, LabelledExample
from model.outcome import Head
from training.contenders import Compared, Labelled
from training.flips import plain_name

MOST_SHARES = 12
"""Of sources, accounts, languages: the largest are told, the rest together as `…`."""


def data_card(both: Compared, labelled: Labelled) -> DataCard:
    """Which comments these are."""
    weight = both.pair.champion.weight
    examples = both.examples
    drawn = [e.provenance.chance is not None and e.provenance.chance < 1 for e in examples]
    dates = sorted(e.provenance.at or e.date for e in examples if e.provenance.at or e.date)
    squares = float((weight**2).sum())
    return DataCard(
        sources=_shares([e.source or "unnamed" for e in examples], weight.tolist()),
        languages=_shares(list(both.pair.champion.read_as), weight.tolist()),
        accounts=_shares([_account(e) for e in examples], weight.tolist()),
        reviewed=_shares([_reviewed(e) for e in examples], weight.tolist()),
        weighted=sum(drawn),
        effective=round(float(weight.sum()) ** 2 / squares, 1) if squares else 0.0,
        conflicts=labelled.conflicts,
        campaigns=labelled.campaigns,
        left_out=dict(sorted(labelled.left_out.items())),
        first=dates[0][:10] if dates else "",
        last=dates[-1][:10] if dates else "",
    )


def drift_of(both: Compared, histogram: Mapping[str, object]) -> Iterator[Drift]:
    """How the champion scores these comments against those it was measured on, by label.

    `histogram` is the manifest's. Labels without comments are left out.
    """
    for head in Head:
        for positive in (True, False):
            rows = both.of(head, positive=positive)
            score = both.pair.champion.score[rows]
            score = score[~np.isnan(score)]
            word = Label(head, positive).word
            then = _counts(histogram, head, word)
            if len(score) and then:
                now = np.histogram(score, bins=len(then), range=(0, 1))[0]
                counts = tuple(int(n) for n in now)
                yield Drift(head.value, word, _stability(counts, then), then, counts)


def _counts(histogram: Mapping[str, object], head: Head, word: str) -> tuple[int, ...]:
    """A label's row of the manifest's histogram; empty where it says nothing usable."""
    heads = histogram.get("heads")
    labels = heads.get(head.value) if isinstance(heads, Mapping) else None
    counts = labels.get(word) if isinstance(labels, Mapping) else None
    if not isinstance(counts, list | tuple) or not all(isinstance(n, int) for n in counts):
        return ()
    return tuple(counts) if sum(counts) > 0 else ()


def _stability(now: Sequence[int], then: Sequence[int]) -> float:
    """The population stability index; half a count more in each bin, so that none is 0."""
    found, expected = _as_shares(now), _as_shares(then)
    parts = ((f - e) * math.log(f / e) for f, e in zip(found, expected, strict=True))
    return round(sum(parts), 4)


def _as_shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]


def _account(example: LabelledExample) -> str:
    return example.provenance.who or "unnamed"


def _reviewed(example: LabelledExample) -> str:
    told = example.extra.get("reviewed_because")
    return str(told) if told else example.provenance.kind.value


def _shares(names: Sequence[str], weights: Sequence[float]) -> tuple[Share, ...]:
    rows: Counter[str] = Counter(names)
    mass: Counter[str] = Counter()
    for name, weight in zip(names, weights, strict=True):
        mass[name] += weight  # type: ignore[assignment]  # a counter adds fractions as well
    total = sum(mass.values()) or 1.0
    ranked = sorted(rows, key=lambda name: (-mass[name], name))
    told = [Share(plain_name(n), rows[n], round(mass[n] / total, 6)) for n in ranked[:MOST_SHARES]]
    if rest := ranked[MOST_SHARES:]:
        part = round(sum(mass[n] for n in rest) / total, 6)
        told.append(Share("…", sum(rows[n] for n in rest), part))
    return tuple(told)
