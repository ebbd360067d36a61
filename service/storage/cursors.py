"""Cursors: where a page ended, as a text that a caller gives back for the next one.

Knows how values become such a text and back. It is neither secret nor signed: whoever reads one
takes nothing in it for granted.
"""

import base64
import json
from collections.abc import Callable
from typing import TypeVar

from service.storage.errors import BadCursor
from service.storage.rows import compact

Place = TypeVar("Place")


def cursor_of(*parts: str | float) -> str:
    """Some values as letters that an address takes as they are."""
    return base64.urlsafe_b64encode(compact(parts).encode()).decode().rstrip("=")


def place_of(cursor: str, read: Callable[..., Place]) -> Place:
    """What `read` makes of a cursor's values, which may be any JSON. Raises BadCursor.

    So it does where `read` raises ValueError, TypeError (for too many or few of them),
    AttributeError or OverflowError.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return read(*json.loads(text))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BadCursor("`after` must be what an earlier page of the same order gave") from None
