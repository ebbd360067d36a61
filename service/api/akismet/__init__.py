"""Akismet's protocol, as its clients speak it: reads their forms, answers in their words.

docs/akismet.md says what each verdict becomes. Decides nothing about a comment.
"""

from service.api.akismet.door import AkismetDoor
from service.api.akismet.routes import (
    CHECK,
    PREFIXES,
    WITH_COMMENTS,
    begin,
    check,
    refusal,
    routes,
)

__all__ = [
    "CHECK",
    "PREFIXES",
    "WITH_COMMENTS",
    "AkismetDoor",
    "begin",
    "check",
    "refusal",
    "routes",
]
