"""Perspective's protocol, as its clients speak it: comments:analyze and comments:suggestscore.

docs/perspective.md says which attributes are measured. Decides nothing about a comment.
"""

from service.api.perspective.answers import PREFIX, refusal
from service.api.perspective.calls import AnalyzeIn, SuggestIn
from service.api.perspective.door import PerspectiveDoor
from service.api.perspective.routes import ANALYZE, routes

__all__ = [
    "ANALYZE",
    "PREFIX",
    "AnalyzeIn",
    "PerspectiveDoor",
    "SuggestIn",
    "refusal",
    "routes",
]
