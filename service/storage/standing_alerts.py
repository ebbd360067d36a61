"""The alerts that stand: since when, and told once when they begin and once when they end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.alerts import Alert, Kind
from service.storage.events import Actor, tell
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import alerts

STANDS = timedelta(days=1)
"""An alert ends when its figure has been within bounds for so long, and does not come and go."""

WATCH = "watch"
"""Who tells of alerts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that stands, as its figure was last, and since when it does."""

    alert: Alert
    since: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What began, and what ended, with what was found."""

    begun: Sequence[Alert]
    ended: Sequence[Alert]


class StandingAlerts:
    """The alerts of an installation, over a store. Raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def settle(self, found: Sequence[Alert]) -> Settled:
        """Keep what was found now, and tell the log of what begins and ends."""
        now = self._store.now()
        with self._store.writes() as connection:
            rows = connection.execute(_OURS.with_for_update()).mappings().all()
            known = {(row["site_id"], row["kind"], row["what"]): row for row in rows}
            begun = []
            for alert in found:
                values = {"seen_at": now, "value": alert.value, "bound": alert.bound}
                if _key(alert) in known:
                    connection.execute(alerts.update().where(*_is(alert)).values(values))
                elif _add(connection, alert, values | {"since": now}):
                    begun.append(alert)
            still = {_key(alert) for alert in found}
            ended = [
                _alert(row)
                for key, row in known.items()
                if key not in still and row["seen_at"] <= now - STANDS
            ]
            for alert in ended:
                connection.execute(alerts.delete().where(*_is(alert)))
            for kind, some in (("alert_begun", begun), ("alert_ended", ended)):
                for alert in some:
                    _tell(connection, kind, alert, now)
        return Settled(begun, ended)

    def standing(self, site_ids: SiteIds) -> list[Standing]:
        """Those on some sites, the oldest first."""
        statement = _OURS.order_by(alerts.c.since, alerts.c.kind, alerts.c.what)
        if site_ids is not None:
            statement = statement.where(alerts.c.site_id.in_(list(site_ids)))
        with self._store.reads() as connection:
            rows = connection.execute(statement).mappings().all()
        return [Standing(_alert(row), row["since"]) for row in rows]

    def counts(self) -> dict[Kind, int]:
        """How many stand of each kind, on all sites together."""
        found = Counter(one.alert.kind for one in self.standing(None))
        return {kind: found[kind] for kind in Kind}


# Others are of a later program that runs beside this one.
_OURS = sa.select(alerts).where(alerts.c.kind.in_([kind.value for kind in Kind]))


def _add(connection: sa.Connection, alert: Alert, values: Mapping[str, object]) -> bool:
    """Whether it was not there: another process may have found the same this moment."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = dict(zip(("site_id", "kind", "what"), _key(alert), strict=True))
    new = insert(alerts).values(key | dict(values)).on_conflict_do_nothing()
    return connection.execute(new.returning(alerts.c.site_id)).first() is not None


def _key(alert: Alert) -> tuple[str, str, str]:
    return (alert.site_id, alert.kind.value, alert.what)


def _is(alert: Alert) -> tuple[sa.ColumnElement[bool], ...]:
    site_id, kind, what = _key(alert)
    return (alerts.c.site_id == site_id, alerts.c.kind == kind, alerts.c.what == what)


def _alert(row: sa.RowMapping) -> Alert:
    return Alert(row["site_id"], Kind(row["kind"]), row["what"], row["value"], row["bound"])


def _tell(connection: sa.Connection, kind: str, alert: Alert, now: datetime) -> None:
    body = {"alert": alert.kind, "what": alert.what, "value": round(alert.value, 4)}
    body |= {"bound": round(alert.bound, 4)}
    tell(connection, kind, Actor(WATCH, now), site_id=alert.site_id, body=body)
