"""Alerts in words: what wants a look on which site, how far it is, and since when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.alerts import Alert, Kind
from service.storage.review import SiteIds
from service.storage.standing_alerts import StandingAlerts
from service.storage.store import Store
from service.web.card import plain_name
from service.web.numbers import Numbers
from service.web.texts import Texts

_INDICES = frozenset({Kind.SCORES_DRIFT, Kind.SHAPES_SHIFT})
"""Kinds whose figures are no shares."""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as it is shown."""

    kind: str
    site: str
    sentence: str
    since: datetime


def told(t: Texts, store: Store, site_ids: SiteIds, sites: Mapping[str, str]) -> list[Told]:
    """The alerts that stand on some sites, the oldest first. `sites` are names by their ids."""
    return [
        Told(
            kind=one.alert.kind.value,
            site=plain_name(sites.get(one.alert.site_id, "")),
            sentence=_sentence(t, one.alert),
            since=one.since,
        )
        for one in StandingAlerts(store).standing(site_ids)
        if one.alert.site_id in sites
    ]


def _sentence(t: Texts, alert: Alert) -> str:
    number = Numbers(t).decimal if alert.kind in _INDICES else Numbers(t).percent
    match alert.kind:
        case Kind.SCORES_DRIFT:
            what = t(f"head.{alert.what}")
        case Kind.SHAPES_SHIFT:
            what = t(f"shape.{alert.what}")
        case _:
            what = ""
    values = {"value": number(alert.value), "bound": number(alert.bound)}
    return t(f"alert.{alert.kind.value}", what=what, **values)
