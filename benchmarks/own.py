"""Is a site's own version better than the champion, and does it keep its promise?

    python -m benchmarks.own --data DIR [--champion REGISTRY] [--labels 50,200,1000] [--only NAME…]

DIR holds labelled files. A champion is fitted as the shipped one is, but to at most 3,000 rows of
each set and without any comment of the sets that play a site, and without half the groups of the
genuine comments (`--champion` keeps it for another run). Then each such set is a site: its groups
are drawn into halves, some comments of one half are labelled, the champion is moved by those, and
both are judged on

* `rest`: the half whose groups nobody labelled;
* `elsewhere`: the other sites, some of their comments each;
* `genuine`: comments of sources and groups that neither fit has seen.

Found is the share of spam above the score that 1 % of the ham at hand reaches, which forgets what
either promises. Caught is the share of spam that is queued or rejected under the usual policy, and
held what is of the genuine ones. `--flipped` adds a careless account: a fifth of the labels say the
opposite, and the labels are resolved with the bounds on what an account weighs.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.labelled import examples_in
from model.classifier import Classifier
from model.decision import Label, LabelledExample, Provenance, WordOf
from model.facts import gather
from model.features import Texts
from model.language import language_of
from model.outcome import Head
from model.policy import Policy
from model.registry import CHAMPION, Registry
from training.examples import submission_of
from training.fit import NotEnough, fit, manifest_of, usable
from training.own import own_model, units_of
from training.own_fit import OWN, OwnRecipe
from training.recipes import RECIPES
from training.rehearsal import own_texts
from training.resolving import resolved

SITES = ("judol_id", "youtube_spam_uci", "telegram_tgspam", "instagram_id_spam")
GENUINE = ("haacked_ham", "vnexpress_raw")
UNSEEN = ("victsd", "c3_news")
"""Moderated news comments, for research only: no fit here sees them."""

USUAL = Policy()
ACCOUNTS = 5
REST, ELSEWHERE = 1_500, 400
"""At most so many comments, about, are judged."""


@dataclass(frozen=True, slots=True)
class Comments:
    """Comments as columns."""

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
    """What a classifier makes of some comments, as shares; NaN where a label is missing."""

    auc: float
    found: float
    rejected: float
    caught: float
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
        spam, z = comments.spam, odds[:, 0]
        both = bool(spam.any() and not spam.all())
        return cls(
            auc=float(roc_auc_score(spam, z)) if both else np.nan,
            found=_share(z[spam] > np.quantile(z[~spam], 0.99)) if both else np.nan,
            rejected=_share(rejected[spam]),
            caught=_share(held[spam]),
            genuine_rejected=_share(rejected[~spam]),
            genuine_held=_share(held[~spam]),
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run has: a champion, comments it has not seen, and texts to rehearse."""

    champion: Classifier
    sites: Mapping[str, Sequence[LabelledExample]]
    outside: Mapping[str, Comments]
    genuine: Comments
    texts: Sequence[LabelledExample]
    recipe: OwnRecipe
    seed: int
    before: dict[str, Told] = field(default_factory=dict)

    def lines(self, site: str, count: int, *, flipped: bool) -> Iterator[str]:
        """A line for each part, or one that says what is lacking."""
        labelled, rest = _drawn(self.sites[site], count, self.seed)
        given = _careless(labelled, self.seed) if flipped else labelled
        examples = resolved(given).weighed()
        name = (site, f"{len(given):,}", "yes" if flipped else "no")
        try:
            moved = own_model(examples, self.champion, self.texts, self.recipe, jobs=1)
        except NotEnough:
            yield _line([*name, "too few of a label"])
            return
        parts = {
            "rest": Comments.of(_some(rest, REST)),
            **{f"else: {other}": c for other, c in self.outside.items() if other != site},
            "genuine": self.genuine,
        }
        for part, comments in parts.items():
            if (key := f"{site}/{part}") not in self.before:
                self.before[key] = Told.of(self.champion, comments)
            after = Told.of(moved.final, comments)
            yield _line([*name, part, *_cells(self.before[key], after)])


TITLES = (
    "site",
    "labels",
    "flipped",
    "judged on",
    "AUC",
    "found at 1 %",
    "spam rejected",
    "spam caught",
    "genuine rejected",
    "genuine held",
)


def main() -> None:
    options = _options()
    recipe = replace(
        OWN, hold=options.hold, inverse_penalty=dict.fromkeys(Head, options.inverse_penalty)
    )
    champion = _champion(options)
    sites = {site: examples_in(options.data, only=[site], rows=options.rows) for site in SITES}
    outside = {site: Comments.of(_some(rows, ELSEWHERE)) for site, rows in sites.items()}
    bench = Bench(
        champion,
        sites,
        outside,
        Comments.of(_genuine(options)),
        own_texts(),
        recipe,
        options.seed,
    )
    print(
        f"champion {champion.version}, variance {options.inverse_penalty:g}, hold "
        f"{recipe.hold:g}; each cell: the champion, then the version moved from it"
    )
    print(_line(TITLES))
    print(_line(["---"] * len(TITLES)), flush=True)
    for site in options.only or SITES:
        for count in options.labels:
            for flipped in (False, True) if options.flipped else (False,):
                for line in bench.lines(site, count, flipped=flipped):
                    print(line, flush=True)


def _some(examples: Sequence[LabelledExample], count: int) -> Sequence[LabelledExample]:
    """About so many of them, evenly."""
    return examples[:: max(1, round(len(examples) / count))]


def _drawn(
    examples: Sequence[LabelledExample], count: int, seed: int
) -> tuple[list[LabelledExample], list[LabelledExample]]:
    """Comments to label, of one half of the groups, and all of the other half."""
    half = np.array([_draw(f"{seed}/{unit}") < 0.5 for unit in units_of(examples).tolist()])
    pool = np.flatnonzero(half)
    chosen = np.random.default_rng(seed).permutation(pool)[:count]
    said = [
        replace(
            examples[i],
            provenance=Provenance(WordOf.DECISION, f"account {at % ACCOUNTS}", _AT),
        )
        for at, i in enumerate(chosen.tolist())
    ]
    return said, [examples[i] for i in np.flatnonzero(~half).tolist()]


def _careless(examples: Sequence[LabelledExample], seed: int) -> list[LabelledExample]:
    """One of the accounts, who has a fifth of the labels, says the opposite of every comment."""
    return [
        replace(e, label=Label(e.label.head, not e.label.positive))
        if e.provenance.who == "account 0"
        else e
        for e in examples
    ]


_AT = "2026-01-01T00:00:00+00:00"


def _genuine(options: argparse.Namespace) -> list[LabelledExample]:
    """Published comments that neither fit has seen."""
    held_back = [e for e in examples_in(options.data, only=GENUINE) if not _is_taught(e)]
    research = [
        e for e in examples_in(options.data, only=UNSEEN, rows=options.rows) if not e.label.positive
    ]
    return [e for e in (*held_back, *research) if _draw(f"{e.source}/{e.id}/{e.text}") < 0.3]


def _is_taught(example: LabelledExample) -> bool:
    """Whether the champion may see it: of genuine comments, half of the groups."""
    return example.source not in GENUINE or _draw(f"{example.source}/{example.group}") < 0.5


def _champion(options: argparse.Namespace) -> Classifier:
    registry = Registry(options.champion) if options.champion else None
    if registry is not None and registry.names():
        return registry.load(CHAMPION)
    recipe = replace(RECIPES["general"], folds=3)
    rows = examples_in(options.data, rows=options.rows)
    taught = [e for e in rows if e.source not in SITES and _is_taught(e)]
    fitted = fit(usable([*taught, *own_texts()], recipe), recipe, jobs=options.jobs)
    if registry is None:
        return replace(fitted.final, version="fitted now")
    manifest = manifest_of(fitted, recipe, data=[], evaluation={}, probes=[])
    version = registry.add(manifest, fitted.final.table)
    registry.move(CHAMPION, version, who="benchmark", why="fitted", at=datetime.now(UTC))
    return registry.load(CHAMPION)


def _draw(text: str) -> float:
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(np.mean(chosen)) if chosen.size else np.nan


def _cells(before: Told, after: Told) -> list[str]:
    cells = [f"{before.auc:.3f} → {after.auc:.3f}"]
    for name in ("found", "rejected", "caught", "genuine_rejected", "genuine_held"):
        digits = 2 if name.startswith("genuine") else 1
        one, other = (100 * getattr(told, name) for told in (before, after))
        cells.append(f"{one:.{digits}f} → {other:.{digits}f} %")
    return [cell.replace("nan → nan %", "–").replace("nan → nan", "–") for cell in cells]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--champion", type=Path, help="a registry to keep the champion in")
    parser.add_argument(
        "--labels", type=lambda s: [int(n) for n in s.split(",")], default=[50, 200, 1_000]
    )
    parser.add_argument("--only", nargs="*", choices=SITES)
    parser.add_argument("--flipped", action="store_true")
    parser.add_argument("--hold", type=float, default=OWN.hold)
    parser.add_argument("--inverse-penalty", type=float, default=OWN.inverse_penalty[Head.SPAM])
    parser.add_argument("--rows", type=int, default=3_000, help="of each set, at most")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=-1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
