"""The model that serves: the registry's champion, swapped when its name moves.

The last good one stays in use when the new one cannot be loaded. Loading is slow (tens of
milliseconds) and happens off the event loop; a swap is one assignment, so a batch that is
being judged keeps the model it began with.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from model.classifier import Classifier
from model.registry import CHAMPION, Registry, RegistryError
from service.metrics import Metrics

log = logging.getLogger(__name__)

# The last ones for a version whose digests are right and whose numbers are not: that must stop
# neither the start nor the looking.
_UNUSABLE = (
    RegistryError,
    OSError,
    ArithmeticError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


class Serving:
    """The champion of a registry, as of the last `refresh`."""

    def __init__(self, models: Path, metrics: Metrics) -> None:
        self._registry = Registry(models)
        self._metrics = metrics
        self._champion: Classifier | None = None
        self._failed = ""

    def champion(self) -> Classifier | None:
        """The model to score with; None when none could be loaded yet."""
        return self._champion

    def histogram(self, version: str) -> Mapping[str, object]:
        """What a version's manifest says of its held-out scores; {} where it cannot be read."""
        try:
            return self._registry.manifest(version).histogram
        except _UNUSABLE:
            return {}

    def refresh(self) -> None:
        """Look where the name points and load that version if it is another one.

        A version that fails its checks is logged once, not every time.
        """
        try:
            version = self._registry.names().get(CHAMPION, "")
            if self._champion is not None and self._champion.version == version:
                return
            champion = self._registry.load(CHAMPION)
            histogram = self._registry.manifest(champion.version).histogram
            self._champion = champion
        except _UNUSABLE as problem:
            is_told = isinstance(problem, RegistryError | OSError)
            failed = str(problem) if is_told else type(problem).__name__
            if failed != self._failed:
                self._failed = failed
                log.error("the champion cannot be loaded: %s", failed)
            return
        self._failed = ""
        self._metrics.model_is(CHAMPION, self._champion.version, histogram)
        log.info("champion is %s", self._champion.version)

    def problems(self) -> tuple[str, ...]:
        """Why this is not ready to score; empty when it is."""
        return () if self._champion else ("model: no champion could be loaded",)
