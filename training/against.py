"""Compare a fresh fit with the champion of its registry, on what each of its folds has not seen.

What every training ends with, so that nobody has to ask for the report that a promotion needs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from model.classifier import Classifier
from model.comparison import Comparison
from model.decision import LabelledExample
from model.registry import CHAMPION, Registry
from training.comparing import compare
from training.comparison_page import keep
from training.contenders import Contender, Labelled, Options


class Folded(Protocol):
    """A fit with one classifier for each fold, which has not seen it."""

    @property
    def classifiers(self) -> tuple[Classifier, ...]: ...  # noqa: D102
    @property
    def fold_of(self) -> tuple[int, ...]: ...  # noqa: D102


def compared_with_champion(
    registry: Registry,
    version: str,
    fitted: Folded,
    labelled: Labelled | Sequence[LabelledExample],
    *,
    at: datetime,
    options: Options | None = None,
) -> Comparison | None:
    """Compare a version with the champion and keep the report; None where it is the champion.

    `labelled` are what was fitted to, in the order of the folds. Raises RegistryError when the
    champion does not load.
    """
    if registry.names().get(CHAMPION) in (None, version):
        return None
    if not isinstance(labelled, Labelled):
        labelled = Labelled(tuple(labelled))
    champion = registry.load(CHAMPION)
    found = compare(
        Contender(champion.version, (champion,)),
        Contender(version, fitted.classifiers, fitted.fold_of, "held_out"),
        labelled,
        at=at,
        options=options,
        manifest=registry.manifest(CHAMPION),
    )
    keep(registry, found)
    return found
