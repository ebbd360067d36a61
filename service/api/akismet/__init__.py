"""Akismet's protocol, as its clients speak it: reads their forms, answers in their words.

docs/akismet.md says what each verdict becomes. Decides nothing about a comment.
"""

from service.api.akismet.door import AkismetDoor
from service.api.akismet.routes import CHECK, WITH_COMMENTS, Guard, check, routes

__all__ = ["CHECK", "WITH_COMMENTS", "AkismetDoor", "Guard", "check", "routes"]
