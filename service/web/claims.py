"""Claims: the page says who has a card in front of them, so that others take another one.

Knows that a claim blocks nobody, and that it ends by itself.
"""

from fastapi import APIRouter
from starlette.responses import Response

from service.storage import Role, UnknownComment
from service.storage.claims import LIFETIME, Claims
from service.web.desk import Moderator, TheDesk
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, data


def routes() -> APIRouter:
    """What the queue's script says of its own moderator."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for path, function in (("/queue/{comment_id}/claim", claim), ("/queue/leave", leave)):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


def claim(caller: Moderator, desk: TheDesk, comment_id: str) -> Response:
    """Note that the caller is looking at a waiting comment, and at no other."""
    sites, who = caller.sites_as(Role.MODERATOR), caller.session.moderator.id
    try:
        if not ID.fullmatch(comment_id):
            raise UnknownComment
        Claims(desk.store).claim(sites, comment_id, moderator_id=who)
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    return data({"seconds": LIFETIME.total_seconds()})


def leave(caller: Moderator, desk: TheDesk) -> Response:
    """Note that the caller is looking at none any more."""
    Claims(desk.store).leave(moderator_id=caller.session.moderator.id)
    return data({})
