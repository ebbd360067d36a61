"""Reads off, aside, what many waiting comments can be found by, when a page could not do it all.

One thread of a process at a time; several processes do no harm to each other.
"""

import logging
import threading
import time

from service.logs import described
from service.storage import Store, StoreError
from service.storage.finding import catch_up
from service.storage.traits import BATCH

_PAUSE_SECONDS = 0.02  # between batches: comments are judged meanwhile
_busy = threading.Lock()
log = logging.getLogger(__name__)


def go_on(store: Store) -> None:
    """Begin to read what is left, unless somebody is at it."""
    if _busy.acquire(blocking=False):
        threading.Thread(target=_read, args=(store,), name="traits", daemon=True).start()


def _read(store: Store) -> None:
    try:
        left = catch_up(store, most=BATCH)
        while left:
            time.sleep(_PAUSE_SECONDS)
            before, left = left, catch_up(store, most=BATCH)
            if left >= before + BATCH:  # more arrive than one can read: the next page goes on
                break
    except StoreError as error:
        log.warning("reading what waits was cut short", extra={"problem": described(error)})
    finally:
        _busy.release()
