"""Who moved the model that judges, as lines of the log; the registry has the signed record."""

import logging
from collections.abc import Sequence

from service.storage.errors import StoreError
from service.storage.events import Actor, tell
from service.storage.store import Store

log = logging.getLogger(__name__)

PROMOTED = "model_promoted"
ROLLED_BACK = "model_rolled_back"


def model_moved(
    store: Store, kind: str, version: str, *, by: str, why: str, overrode: Sequence[str] = ()
) -> None:
    """Note that a version became champion: `kind` is `PROMOTED` or `ROLLED_BACK`.

    It is champion already. Where the store is away that stands, and only the log says nothing.
    """
    body = {"version": version, "why": why, "overrode": list(overrode)}
    try:
        with store.writes() as connection:
            tell(connection, kind, Actor(by, store.now()), body=body)
    except StoreError as problem:
        log.warning("%s is not in the log: %s", kind, type(problem).__name__)
