"""Compare a challenger with the champion on labelled comments that the challenger has not seen.

Knows which figures there are, of which comments, and which parts comments fall into; their
arithmetic is in `training.paired`. Reads no file and writes none.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from model.comparison import Calibration, CalibrationPoint, Comparison, Curve, Figure, Note, Slice
from model.manifest import Manifest
from model.outcome import Head, Outcome
from model.policy import Policy
from model.promise import comments_needed
from training.attacked import attack_table
from training.contenders import (
    STORE,
    Compared,
    Contender,
    Labelled,
    Options,
    history_of,
    judged_by_both,
)
from training.data_card import data_card, drift_of
from training.evaluation import Judged, calibration_bins, figures_of_order
from training.flips import flips_of, plain_name
from training.paired import LEAST_GROUPS, Bools, score_figures, share_figure
from training.serving_again import as_served

LEAST_IN_A_SLICE = 10
MOST_SLICES = 24
"""Of one kind: the largest are told."""

LENGTHS = ((40, "short"), (200, "medium"), (1000, "long"))
"""Characters below which a comment has that length; from the last on it is `very_long`."""

CURVE_RATES = tuple(round(float(rate), 6) for rate in np.geomspace(1e-4, 1, 41))
_DECIMALS = 6

_JUDGED, _SERVED = 0.3, 0.6
"""About what share of the time is gone when all are judged, and judged as sites serve it."""


def compare(
    champion: Contender,
    challenger: Contender,
    labelled: Labelled,
    *,
    at: datetime,
    options: Options | None = None,
    manifest: Manifest | None = None,
) -> Comparison:
    """Judge every comment as both versions do, and say what differs.

    Synthetic comments, which nobody posted, stand in the slice of their source alone, unless
    there are no others. `manifest` is the champion's: how it scored when it was measured, and
    what it was fitted to. Costs about a
    millisecond for each comment and version, ten seconds for the attacks, and
    some seconds for the intervals. Raises ValueError without comments.
    """
    if not labelled.examples:
        raise ValueError("there are no labelled comments to compare on")
    options = options or Options()
    told = options.told
    both = judged_by_both(
        champion, challenger, labelled, replace(options, told=lambda done: told(_JUDGED * done))
    )
    both = as_served(both, (champion, challenger), labelled, options)
    told(_SERVED)
    attacked = replace(options, told=lambda done: told(_SERVED + (1 - _SERVED) * done))
    real, random = both.real(), np.random.default_rng(options.seed)
    genuine, spam = (int(real.of(Head.SPAM, positive=truth).sum()) for truth in (False, True))
    clean, toxic = (int(real.of(Head.TOXICITY, positive=truth).sum()) for truth in (False, True))
    heads = [head for head in Head if real.of(head).any()]
    return Comparison(
        champion=champion.version,
        challenger=challenger.version,
        at=at.isoformat(),
        judged=challenger.judged,
        policy=options.policy.version,
        promise_risk=options.policy.reject_risk,
        queue_risk=options.policy.queue_risk,
        rows=len(real.examples),
        genuine=genuine,
        spam=spam,
        toxic=toxic,
        clean=clean,
        groups=real.groups,
        figures=tuple(figures_of(real, options.policy, random)),
        served=tuple(_served(real, random)),
        slices=tuple(slices_of(both, random)),
        flips=tuple(flips_of(real)),
        curves=tuple(_curve(real, head) for head in heads),
        calibration=tuple(_calibration(real, head) for head in heads),
        attacks=tuple(attack_table(real, (champion, challenger), attacked, random)),
        drift=tuple(drift_of(real, manifest.histogram if manifest else {})),
        data=data_card(real, labelled),
        notes=(*labelled.notes, *_notes(both, challenger, options.policy, manifest)),
    )


# ------------------------------------------------------------------ figures

Hits = Callable[[Judged], Bools]


def _rejected(judged: Judged) -> Bools:
    return np.asarray(judged.outcome == Outcome.REJECT, np.bool_)


def _queued(judged: Judged) -> Bools:
    return np.asarray(judged.outcome == Outcome.QUEUE, np.bool_)


def _flagged(judged: Judged) -> Bools:
    return judged.outcome > Outcome.ACCEPT


SHARES: Mapping[str, tuple[Head, bool, Hits]] = {
    "genuine_rejected": (Head.SPAM, False, _rejected),
    "genuine_queued": (Head.SPAM, False, _queued),
    "genuine_held": (Head.SPAM, False, _flagged),
    "spam_rejected": (Head.SPAM, True, _rejected),
    "spam_queued": (Head.SPAM, True, _queued),
    "spam_caught": (Head.SPAM, True, _flagged),
    "toxic_caught": (Head.TOXICITY, True, _flagged),
    "clean_held": (Head.TOXICITY, False, _flagged),
}
"""Of which label each share is, and what counts."""


def _by_score(policy: Policy) -> Iterator[tuple[Head, dict[str, str], dict[str, float]]]:
    for head, found, risk in (
        (Head.SPAM, "spam_found_at_risk", policy.reject_risk),
        (Head.TOXICITY, "toxic_found_at_risk", policy.queue_risk),
    ):
        ranking, error = f"{head.value}_ranking", f"{head.value}_calibration_error"
        yield head, {found: found, "roc_auc": ranking, "calibration_error": error}, {found: risk}


def figures_of(both: Compared, policy: Policy, random: np.random.Generator) -> Iterator[Figure]:
    """Every figure that the examples can tell, the shares first."""
    yield from _shares(both, random)
    for head, names, rates in _by_score(policy):
        rows = both.of(head)
        if both.of(head, positive=True).any() and both.of(head, positive=False).any():
            pair = both.pair.where(rows)
            yield from score_figures(names, pair, rates=rates, random=random)


def _shares(both: Compared, random: np.random.Generator) -> Iterator[Figure]:
    for name, (head, positive, hits) in SHARES.items():
        rows = both.of(head, positive=positive)
        if rows.any():
            yield share_figure(name, both.pair.where(rows), hits=hits, random=random)


def _served(both: Compared, random: np.random.Generator) -> Iterator[Figure]:
    if both.served is not None:
        yield from _shares(replace(both, pair=both.served), random)


def _curve(both: Compared, head: Head) -> Curve:
    pair = both.pair.where(both.of(head))
    rates = {str(rate): rate for rate in CURVE_RATES}
    found = []
    for judged in (pair.champion, pair.challenger):
        units = len(np.unique(judged.unit))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = figures_of_order(judged, rates)(np.ones((1, units)))
        found.append(tuple(round(float(np.nan_to_num(values[r][0])), _DECIMALS) for r in rates))
    return Curve(head.value, CURVE_RATES, *found)


def _calibration(both: Compared, head: Head) -> Calibration:
    pair = both.pair.where(both.of(head))
    sides = (
        tuple(
            CalibrationPoint(
                round(b.mean_score, _DECIMALS), round(b.positive_share, _DECIMALS), b.rows
            )
            for b in calibration_bins(judged)
        )
        for judged in (pair.champion, pair.challenger)
    )
    return Calibration(head.value, *sides)


# ------------------------------------------------------------------ slices


def slices_of(both: Compared, random: np.random.Generator) -> Iterator[Slice]:
    """The parts by language, site, source, length and author, the largest of each kind."""
    real = both.real()
    for kind, part_of in _KINDS.items():
        among = both if kind == "source" else real
        names = np.array([part_of(at, among) for at in range(len(among.examples))], np.str_)
        counted = Counter(name for name in names.tolist() if name)
        if len(counted) == 1 and kind != "site":
            continue  # one part is the whole
        for name, rows in sorted(counted.most_common(MOST_SLICES)):
            if rows >= LEAST_IN_A_SLICE:
                yield _slice(kind, name, among.where(names == name), random)


def _slice(kind: str, name: str, part: Compared, random: np.random.Generator) -> Slice:
    return Slice(
        kind=kind,
        name=plain_name(name),
        rows=len(part.examples),
        genuine=int(part.of(Head.SPAM, positive=False).sum()),
        spam=int(part.of(Head.SPAM, positive=True).sum()),
        figures=tuple(_shares(part, random)),
        served=tuple(_served(part, random)) if kind == "site" else (),
    )


def _site(at: int, among: Compared) -> str:
    source = among.pair.champion.source[at]
    return source.removeprefix(STORE) if source.startswith(STORE) else ""


def _source(at: int, among: Compared) -> str:
    source = among.pair.champion.source[at]
    return "" if source.startswith(STORE) else source


def _length(at: int, among: Compared) -> str:
    size = len(among.examples[at].text)
    return next((name for below, name in LENGTHS if size < below), "very_long")


def _author(at: int, among: Compared) -> str:
    example = among.examples[at]
    if not isinstance(example.extra.get("history"), Mapping):
        return ""
    return "known" if history_of(example).author_seen else "new"


_KINDS: Mapping[str, Callable[[int, Compared], str]] = {
    "language": lambda at, among: among.pair.champion.read_as[at],
    "site": _site,
    "source": _source,
    "length": _length,
    "new_author": _author,
}


# ------------------------------------------------------------------ notes


def _notes(
    both: Compared, challenger: Contender, policy: Policy, manifest: Manifest | None
) -> Iterator[Note]:
    real = both.real()
    if challenger.judged == "unknown":
        yield Note("may_have_seen")
    learned = {str(told.get("name")) for told in manifest.data} if manifest else set()
    seen = learned & set(real.pair.champion.source)
    if seen:
        yield Note("champion_may_have_seen", {"sources": len(seen)})
    genuine = int(real.of(Head.SPAM, positive=False).sum())
    needed = comments_needed(policy.reject_risk) if policy.reject_risk else 0
    if genuine < needed:
        yield Note("few_genuine", {"genuine": genuine, "needed": needed})
    if real.groups < LEAST_GROUPS:
        yield Note("few_groups", {"groups": real.groups, "needed": LEAST_GROUPS})
    if both.pair.champion.synthetic.all():
        yield Note("all_synthetic")
    unscored = int(np.isnan(real.pair.challenger.score).sum())
    if unscored:
        yield Note("unscored", {"rows": unscored})
