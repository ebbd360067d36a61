"""The model that serves: the registry's champion, swapped when its name moves.

The last good one stays in use when the new one cannot be loaded, or when the registry is not
what it was: unsigned, changed, older. Loading is slow (tens of milliseconds) and happens off
the event loop; a swap is one assignment, so a batch that is being judged keeps the model it
began with.
"""

import logging
from collections.abc import Mapping

from model.classifier import Classifier
from model.guard import Guard
from model.refusals import Refusal, RegistryError
from model.registry import CHAMPION, RELEASED, Registry
from service.metrics import Metrics
from service.settings import Settings

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


def registry_of(settings: Settings) -> Registry:
    """The registry of an installation, believed only as far as its keys reach.

    Makes the key that signs where it is missing. Raises service.keyring.KeyringError.
    """
    guard = Guard.open(settings.secrets_dir, settings.trusted_model_keys, released=RELEASED)
    return Registry(settings.models_dir, guard)


class Serving:
    """The champion of a registry, as of the last `refresh`."""

    def __init__(self, registry: Registry, metrics: Metrics) -> None:
        self._registry = registry
        self._metrics = metrics
        self._champion: Classifier | None = None
        self._failed = ""
        self._refusal = ""

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
                self._is_well()
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
            self._refusal = (
                problem.refusal if isinstance(problem, RegistryError) else Refusal.UNREADABLE
            )
            self._metrics.registry_is_refused(self._refusal)
            return
        self._is_well()
        self._metrics.model_is(CHAMPION, self._champion.version, histogram)
        log.info("champion is %s", self._champion.version)

    def problems(self) -> tuple[str, ...]:
        """Why this is not ready to score; empty when it is."""
        return () if self._champion else ("model: no champion could be loaded",)

    def warnings(self) -> tuple[str, ...]:
        """What should be looked at though it scores; empty when all is well."""
        if self._champion is None or not self._refusal:
            return ()
        return (
            f"model: the registry is refused ({self._refusal}); "
            f"{self._champion.version} goes on serving",
        )

    def _is_well(self) -> None:
        if self._failed:
            log.warning("the registry is believed again")
        self._failed = self._refusal = ""
        self._metrics.registry_is_refused("")
