"""The model that serves: the registry's champion, swapped when its name moves.

The last good one stays in use when the new one cannot be loaded, or when the registry is not
what it was: unsigned, changed, older. Loading is slow (tens of milliseconds) and happens off
the event loop; a swap is one assignment, so a batch that is being judged keeps the model it
began with.

Beside it the registry's challenger, for what is judged in its shadow: there is one only while
the name points at a version that loads and is not the champion.
"""

import logging
import time
from collections.abc import Callable, Mapping

from model.classifier import Classifier
from model.guard import Guard
from model.refusals import Refusal, RegistryError
from model.registry import CHALLENGER, CHAMPION, RELEASED, Registry
from model.shared import Shared
from service.metrics import Metrics
from service.settings import Settings, SettingsError

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


RETRY_SECONDS = 30.0
"""A challenger that could not be loaded is tried again after so long: reading it takes time."""


def registry_of(settings: Settings) -> Registry:
    """The registry of an installation, believed only as far as its keys reach.

    Makes the key that signs where it is missing. Raises service.keyring.KeyringError, and
    SettingsError where a bucket is asked for and what that needs is not installed.
    """
    guard = Guard.open(settings.secrets_dir, settings.trusted_model_keys, released=RELEASED)
    return Registry(settings.models_dir, guard, bucket_of(settings))


def bucket_of(settings: Settings) -> Shared | None:
    """The bucket that the registry is shared by, None where it is a directory alone."""
    if not settings.models_url:
        return None
    try:
        from model.bucket import Bucket  # noqa: PLC0415  an extra that few install
    except ImportError:
        raise SettingsError(
            ["DUYET_MODELS_URL needs a package more: `pip install duyet[s3]`"]
        ) from None
    return Bucket(settings.models_url, settings.models_dir)


class Serving:
    """The champion and challenger of a registry, as of the last `refresh`."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = registry
        self._metrics = metrics
        self._clock = clock
        self._champion: Classifier | None = None
        self._challenger: Classifier | None = None
        self._failed = ""
        self._refusal = ""
        self._unusable = ("", 0.0)  # a challenger's version, and when to try it again

    def champion(self) -> Classifier | None:
        """The model to score with; None when none could be loaded yet."""
        return self._champion

    def challenger(self) -> Classifier | None:
        """The model to score beside the champion; None when there is no other than that."""
        return self._challenger

    def version(self) -> str:
        """That of the champion in use, "" where there is none."""
        return self._champion.version if self._champion is not None else ""

    def histogram(self, version: str) -> Mapping[str, object]:
        """What a version's manifest says of its held-out scores; {} where it cannot be read."""
        try:
            return self.registry.manifest(version).histogram
        except _UNUSABLE:
            return {}

    def refresh(self) -> None:
        """Look where the names point and load those versions that are others.

        A version that fails its checks is logged once, not every time.
        """
        self._refresh_champion()
        self._refresh_challenger()

    def _refresh_champion(self) -> None:
        try:
            version = self.registry.names().get(CHAMPION, "")
            if self._champion is not None and self._champion.version == version:
                self._is_well()
                return
            champion = self.registry.load(CHAMPION)
            histogram = self.registry.manifest(champion.version).histogram
            self._champion = champion
        except _UNUSABLE as problem:
            failed = _told(problem)
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

    def _refresh_challenger(self) -> None:
        try:
            names = self.registry.names()
        except _UNUSABLE:  # said of the champion already
            return
        wanted = names.get(CHALLENGER, "")
        if wanted == names.get(CHAMPION):
            wanted = ""  # it was promoted: there is nothing to compare
        if wanted == (self._challenger.version if self._challenger is not None else ""):
            return
        failed, retry_at = self._unusable
        if wanted and wanted == failed and self._clock() < retry_at:
            return
        # Not the one before in its place: what is counted is of the one that is named.
        self._challenger = None
        try:
            self._challenger = self.registry.load(wanted) if wanted else None
        except _UNUSABLE as problem:
            if wanted != failed:
                log.error("the challenger cannot be loaded: %s", _told(problem))
            self._unusable = (wanted, self._clock() + RETRY_SECONDS)
            self._metrics.challenger_is("")
            return
        self._unusable = ("", 0.0)
        self._metrics.challenger_is(wanted)
        if wanted:
            log.info("challenger is %s", wanted)

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
        is_away = self.registry.shared is not None and self.registry.shared.is_away
        self._failed = ""
        self._refusal = Refusal.AWAY if is_away else ""
        self._metrics.registry_is_refused(self._refusal)


def _told(problem: BaseException) -> str:
    is_told = isinstance(problem, RegistryError | OSError)
    return str(problem) if is_told else type(problem).__name__
