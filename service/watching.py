"""Watch over the sites: now and then one process looks, and says what wants a look.

Knows when that is done and whom it is told. What is looked at is in `service.storage.watched`, what
wants a look in `service.alerts`.
"""

import logging
import secrets
from datetime import timedelta

from service.alerts import Alert, alerts_of
from service.metrics import Metrics
from service.storage import Store
from service.storage.leases import take_lease
from service.storage.standing_alerts import StandingAlerts
from service.storage.watched import Histograms, seen

log = logging.getLogger(__name__)

WATCH_SECONDS = 600.0
"""How often a process looks, or looks what the one that does has found."""

LEASE = timedelta(seconds=2.5 * WATCH_SECONDS)
_CHORE = "watch"


class Watchman:
    """Looks at all sites, one process of all, and tells the log once of what begins and ends."""

    def __init__(self, store: Store, metrics: Metrics, histograms: Histograms) -> None:
        self._store, self._metrics, self._histograms = store, metrics, histograms
        self._standing = StandingAlerts(store)
        self._holder = secrets.token_hex(8)

    def turn(self) -> None:
        """Look, if it is this process's to, and count what stands. Raises as the store does."""
        if take_lease(self._store, _CHORE, self._holder, LEASE):
            self.look()
        counts = self._standing.counts()
        self._metrics.alerts_are({kind.value: number for kind, number in counts.items()})

    def look(self) -> None:
        """Look at every site, and settle what stands."""
        found = [a for site in seen(self._store, self._histograms) for a in alerts_of(site)]
        settled = self._standing.settle(found)
        for alert in settled.begun:
            log.warning("something wants a look", extra=_fields(alert))
        for alert in settled.ended:
            log.info("an alert has ended", extra=_fields(alert))


def _fields(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.kind.value,
        "site_id": alert.site_id,
        "what": alert.what,
        "value": round(alert.value, 4),
        "bound": round(alert.bound, 4),
    }
