"""The queue page: what waits, and why.

Knows where in the queue somebody is, and what they have just done. Works without JavaScript.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from model.decision import Decision, RejectReason
from service.storage import BadCursor, QueueOrder, QueuePage, Role
from service.web.card import card_of, plain_name
from service.web.desk import Caller, Desk, TheDesk, Viewer
from service.web.rendering import PageRoute, page, see_other
from service.web.status import appeals_on
from service.web.texts import TEXTS, texts_for

PER_PAGE = 20
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a comment's id looks like: databases take offence at some of what is none."""

# What cursors are made of. Whatever else an address names, no page repeats.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,200}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the queue somebody is."""

    order: QueueOrder
    after: str

    @classmethod
    def of(cls, order: str, after: str) -> "Place":
        """The place that an address or a form names; what is none is the usual first page."""
        known = order if order in set(QueueOrder) else QueueOrder.OLDEST
        return cls(QueueOrder(known), after if _PLAIN.fullmatch(after) else "")

    def path(self, *, after: str | None = None, fragment: str = "", **more: str) -> str:
        """The address of the queue at this place, or another one of the same order."""
        asked = {
            "order": "" if self.order is QueueOrder.OLDEST else self.order.value,
            "after": self.after if after is None else after,
            **more,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/queue{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}"


@dataclass(frozen=True, slots=True)
class Flash:
    """What the moderator has just done to a comment, read back from the store."""

    id: str
    name: str
    decision: Decision | None  # None when it was undone


def routes() -> APIRouter:
    """The queue page."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/queue", queue, methods=["GET"], response_model=None)
    return router


def queue(
    request: Request,
    caller: Viewer,
    desk: TheDesk,
    order: str = "",
    after: str = "",
    done: str = "",
    undone: str = "",
) -> Response:
    """What waits on the caller's sites, from where `after` says."""
    done, undone = (one if ID.fullmatch(one) else "" for one in (done, undone))
    place = Place.of(order, after)
    waiting = _waiting(desk, caller, place)
    if after and (place.after != after or waiting is None or not waiting.items):
        return see_other(request, place.path(after="", done=done, undone=undone))
    assert waiting is not None, "only a cursor can be bad"
    sites = {site.id: site.name for site in caller.visible(desk.store.sites())}
    several = len(sites) > 1
    tag = texts_for(request).tag
    seen = caller.sites_as(Role.VIEWER)
    return page(
        request,
        "queue.html",
        place=place,
        waiting=desk.store.queue_size(seen),
        cards=[
            card_of(
                item,
                language=tag,
                site=plain_name(sites.get(item.comment.site_id, "")) if several else "",
            )
            for item in waiting.items
        ],
        next_path=place.path(after=waiting.after) if waiting.after else "",
        orders=[(one, Place(one, "").path()) for one in QueueOrder],
        reasons=list(RejectReason),
        appeals=appeals_on(desk.store, seen, waiting),
        flash=_flash(desk, caller, done, undone),
        language_names={tag: texts.name for tag, texts in TEXTS.items()},
        now=desk.now(),
    )


def _waiting(desk: Desk, caller: Caller, place: Place) -> QueuePage | None:
    seen = caller.sites_as(Role.VIEWER)
    try:
        return desk.store.queue_page(seen, limit=PER_PAGE, after=place.after, order=place.order)
    except BadCursor:
        return None


def _flash(desk: Desk, caller: Caller, done: str, undone: str) -> Flash | None:
    """What the address says was done, if the store says so too."""
    asked = done or undone
    comment = desk.store.comment(caller.sites_as(Role.VIEWER), asked) if asked else None
    if comment is None:
        return None
    name = plain_name(comment.submission.author.name)
    standing = comment.decision
    if undone and not done and standing is None:
        return Flash(comment.id, name, None)
    if done and standing and standing.moderator == caller.name:
        return Flash(comment.id, name, standing)
    return None
