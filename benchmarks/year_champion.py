"""The champion that the scripted year begins with: fitted as the shipped one, but for the site.

The shipped champion has seen every set of spam that there is, and rejects 99 % of each. So the
year's champion is fitted by the same recipe without any comment of the sets that play the site's
spam, and without half of the articles of a blog. Kept in a registry, as the fit takes
minutes.
"""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from benchmarks.labelled import examples_in
from model.classifier import Classifier
from model.decision import LabelledExample
from model.manifest import Manifest
from model.registry import CHAMPION, Registry
from training.fit import fit, manifest_of, usable
from training.recipes import RECIPES
from training.rehearsal import own_texts

UNSEEN = frozenset(
    {"judol_id", "youtube_spam_uci", "instagram_id_spam", "telegram_tgspam", "turkish_sms"}
)
"""Sets of which the champion sees nothing."""

HALVED = frozenset({"haacked_ham"})
"""Sets of which the champion sees half of the articles, and the site is sent the others."""

ROWS, GENUINE_ROWS = 1_200, 12_000
"""How many rows of a set the champion is fitted to at most, and of one of `HALVED`."""


def begun_with(data: Path, kept: Path) -> tuple[Classifier, Manifest]:
    """The champion in a registry, fitted first where that holds none."""
    registry = Registry(kept)
    if CHAMPION not in registry.names():
        _fit(data, registry)
    return registry.load(CHAMPION), registry.manifest(CHAMPION)


def is_taught(example: LabelledExample) -> bool:
    """Whether the champion may see it."""
    if example.source in HALVED:
        return draw(f"{example.source}/{example.group}") < 0.5
    return example.source not in UNSEEN


def draw(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _fit(data: Path, registry: Registry) -> None:
    recipe = replace(RECIPES["general"], folds=3)
    rows = [e for e in examples_in(data) if is_taught(e)]
    taught = [*_some(rows), *own_texts()]
    fitted = fit(usable(taught, recipe), recipe, jobs=1)
    manifest = manifest_of(fitted, recipe, data=[], evaluation={}, probes=[])
    version = registry.add(manifest, fitted.final.table)
    why = "as the shipped one, without the site"
    registry.move(CHAMPION, version, who="benchmark", why=why, at=datetime(2026, 1, 1, tzinfo=UTC))


def _some(rows: list[LabelledExample]) -> list[LabelledExample]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.source] = counts.get(row.source, 0) + 1
    return [
        row
        for row in rows
        if draw(f"{row.source}/{row.id}/{row.text}") * counts[row.source]
        < (GENUINE_ROWS if row.source in HALVED else ROWS)
    ]
