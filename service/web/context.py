"""What is around a comment, on a page or in its card: thread, author, the like, the same links.

Knows how much of each text is shown. Shows nothing of another site.
"""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.storage import Role, StoredComment
from service.storage.context import context_of
from service.web.card import Pieces, first_of, language_tag, pieces_of, plain_name, reads_as_toxic
from service.web.dealing import LANGUAGE_NAMES
from service.web.desk import TheDesk, Viewer
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, page, wants_part

LONGEST_EXCERPT = 280


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A comment in short. `machine` and `person` are words of outcomes and reasons, or ""."""

    id: str
    name: str
    text: Pieces
    is_cut: bool
    received_at: datetime
    language: str
    is_folded: bool
    machine: str
    person: str
    by: str
    waits: bool


def routes() -> APIRouter:
    """The context of a comment."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    path = "/queue/{comment_id}/context"
    router.add_api_route(path, context, methods=["GET"], response_model=None)
    return router


def context(request: Request, caller: Viewer, desk: TheDesk, comment_id: str) -> Response:
    """What is around a comment on one of the caller's sites, whether or not it waits."""
    seen = caller.sites_as(Role.VIEWER)
    found = context_of(desk.store, seen, comment_id) if ID.fullmatch(comment_id) else None
    if found is None:
        raise Refusal(404, "unknown_comment")
    return page(
        request,
        "context_part.html" if wants_part(request) else "context.html",
        comment=_excerpt(found.comment),
        parent=_excerpt(found.parent) if found.parent else None,
        thread=[_excerpt(one) for one in (*found.before, found.comment, *found.after)],
        replies=[_excerpt(one) for one in found.replies],
        of_author=[_excerpt(one) for one in found.of_author],
        alike=[_excerpt(one) for one in found.alike],
        has_author=found.has_author,
        linked=[_excerpt(one) for one in found.linked],
        domains=[pieces_of(one) for one in found.domains],
        language_names=LANGUAGE_NAMES,
        now=desk.now(),
    )


def _excerpt(comment: StoredComment) -> Excerpt:
    decision = comment.decision
    text, is_cut = first_of(pieces_of(comment.submission.content), LONGEST_EXCERPT)
    return Excerpt(
        id=comment.id,
        name=plain_name(comment.submission.author.name),
        text=text,
        is_cut=is_cut,
        received_at=comment.received_at,
        language=language_tag(comment.submission.content),
        is_folded=reads_as_toxic(comment.verdict),
        machine=comment.verdict.outcome.word,
        person=(decision.reason or decision.outcome.word) if decision else "",
        by=plain_name(decision.moderator) if decision else "",
        waits=comment.waiting_since is not None,
    )
