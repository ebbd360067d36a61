"""How often somebody may try to sign in, and what is said to who has to wait.

Knows the limits. That they hold across processes and restarts is the throttle's to see to.
"""

from collections.abc import Sequence
from datetime import timedelta

from service.storage.accounts_throttle import Limit
from service.web.desk import Desk
from service.web.rendering import Refusal

Kind = tuple[str, int, timedelta]

NETWORK: Kind = ("network", 10, timedelta(minutes=5))
STRANGERS: Kind = ("account", 10, timedelta(minutes=15))
DEVICE: Kind = ("device", 10, timedelta(minutes=15))
CODES: Kind = ("codes", 5, timedelta(hours=1))
"""How many attempts may fail, of whom, in which time. A device in which somebody signed in before
counts by itself, so that strangers cannot keep its owner out; nor can they touch a link."""

OWN: Kind = ("own", 10, timedelta(minutes=15))
"""Of somebody who is signed in: counted apart, so that nobody else can use it up."""


def limit(kind: Kind, who: str) -> Limit:
    """A limit of that kind for somebody."""
    of, most, window = kind
    return Limit(of, who, most, window)


def take(desk: Desk, limits: Sequence[Limit]) -> None:
    """Count an attempt, which `desk.throttle.give_back` takes back. Refuses who has to wait."""
    wait = desk.throttle.take(limits)
    if wait is not None:
        seconds = max(1, -(-wait // timedelta(seconds=1)))
        values: dict[str, object] = {"minutes": -(-seconds // 60)}
        headers = {"Retry-After": str(seconds)}
        raise Refusal(429, "too_many_attempts", values=values, headers=headers)


def too_busy() -> Refusal:
    """What is said while too many passwords are being checked."""
    return Refusal(503, "too_busy", headers={"Retry-After": "10"})
