"""What a moderator does to one comment: accept, reject, undo, reveal its address.

Knows that a decision which stands is told and not overwritten. Works without JavaScript.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.addresses import mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.keyring import UnreadableAddress
from service.storage import AlreadyDecided, NoAddress, NothingToUndo, Role, UnknownComment
from service.storage.news import NewsDesk
from service.web.card import plain_name
from service.web.dealing import LANGUAGE_NAMES, REASONS, deal
from service.web.desk import Admin, Caller, Desk, Moderator, TheDesk, Viewer
from service.web.place import ID, Place
from service.web.rendering import PageRoute, Refusal, data, page, see_other, wants_data
from service.web.texts import texts_for

LONGEST_WHY = 300
MOST_ASKED = 500
"""Cards that a script asks about at once."""


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    order: str = ""
    after: str = ""
    view: str = ""
    next: str = ""
    reason: str = ""
    why: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """What a card's buttons do, and what its script asks for."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for path, reading in (("/queue/standing", standing), ("/queue/{comment_id}/card", card)):
        router.add_api_route(path, reading, methods=["GET"], response_model=None)
    for path, function in (
        ("/queue/{comment_id}/accept", accept),
        ("/queue/{comment_id}/reject", reject),
        ("/queue/{comment_id}/undo", undo),
        ("/queue/{comment_id}/reveal", reveal),
    ):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


def accept(
    request: Request, caller: Moderator, desk: TheDesk, comment_id: str, sent: _Form
) -> Response:
    """Publish a comment."""
    wanted = Decision(Outcome.ACCEPT, None, caller.name, desk.now())
    return _decide(request, caller, desk, comment_id, sent, wanted)


def reject(
    request: Request, caller: Moderator, desk: TheDesk, comment_id: str, sent: _Form
) -> Response:
    """Do not publish a comment, for a reason."""
    if sent.reason not in set(RejectReason):
        raise Refusal(400, "unreadable")
    wanted = Decision(Outcome.REJECT, RejectReason(sent.reason), caller.name, desk.now())
    return _decide(request, caller, desk, comment_id, sent, wanted)


def _decide(
    request: Request, caller: Caller, desk: Desk, comment_id: str, sent: Sent, wanted: Decision
) -> Response:
    try:
        desk.store.decide(caller.sites_as(Role.MODERATOR), _known(comment_id), wanted)
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    except AlreadyDecided as conflict:
        standing = conflict.standing
        if not is_same(standing, wanted):
            raise conflict_with(request, desk, standing) from None
    if wants_data(request):
        return data({"id": comment_id, "said": wanted.reason or wanted.outcome.word})
    following = f"c-{sent.next}" if ID.fullmatch(sent.next) else ""
    place = Place.of(sent.order, sent.after, sent.view)
    return see_other(request, place.path(done=comment_id, fragment=following))


def is_same(standing: Decision, wanted: Decision) -> bool:
    """Whether a decision is the one that stands: the same word twice is a button pressed twice."""
    told = (standing.outcome, standing.reason, standing.moderator)
    return told == (wanted.outcome, wanted.reason, wanted.moderator)


def undo(
    request: Request, caller: Moderator, desk: TheDesk, comment_id: str, sent: _Form
) -> Response:
    """Bring back what was before the caller's own decision."""
    sites = caller.sites_as(Role.MODERATOR)
    comment = desk.store.comment(sites, comment_id) if ID.fullmatch(comment_id) else None
    if comment is None:
        raise Refusal(404, "unknown_comment")
    standing = comment.decision
    if standing is not None and standing.moderator != caller.name:
        raise conflict_with(request, desk, standing)
    try:
        desk.store.undo(sites, comment_id, moderator=caller.name, only_own=True)
    except NothingToUndo:
        raise Refusal(409, "nothing_to_undo") from None
    if wants_data(request):
        return data({"id": comment_id})
    place = Place.of(sent.order, sent.after, sent.view)
    return see_other(request, place.path(undone=comment_id, fragment=f"c-{comment_id}"))


def reveal(
    request: Request, caller: Admin, desk: TheDesk, comment_id: str, sent: _Form
) -> Response:
    """The address in clear, to an admin who says why; that it was shown is on record."""
    why = " ".join(mask_addresses(sent.why).split())[:LONGEST_WHY]
    if not why:
        raise Refusal(422, "no_reason_given")
    try:
        address = desk.store.reveal_address(
            caller.sites_as(Role.ADMIN), _known(comment_id), moderator=caller.name, why=why
        )
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    except (NoAddress, UnreadableAddress):
        raise Refusal(409, "no_address") from None
    path = Place.of(sent.order, sent.after, sent.view).path(fragment=f"c-{comment_id}")
    return page(request, "address.html", address=address, path=path)


def _known(comment_id: str) -> str:
    if not ID.fullmatch(comment_id):
        raise UnknownComment
    return comment_id


def conflict_with(request: Request, desk: Desk, standing: Decision) -> Refusal:
    """What is said to who decides what was decided: whose decision stands, which, how long."""
    t = texts_for(request)
    key = standing.reason or standing.outcome.word
    values: dict[str, object] = {
        "who": plain_name(standing.moderator),
        "what": t(f"decided.{key}"),
        "when": t.age(desk.now() - standing.at),
    }
    return Refusal(409, "already_decided", values=values)


def card(request: Request, caller: Viewer, desk: TheDesk, comment_id: str) -> Response:
    """The card of a comment that waits, for a script: it came back, as a decision was undone."""
    seen = caller.sites_as(Role.VIEWER)
    item = NewsDesk(desk.store).waiting(seen, comment_id) if ID.fullmatch(comment_id) else None
    if item is None:
        raise Refusal(404, "unknown_comment")
    return page(
        request,
        "cards.html",
        cards=deal(desk, caller, [item], language=texts_for(request).tag),
        place=Place.of("", ""),
        next_path="",
        reasons=REASONS,
        language_names=LANGUAGE_NAMES,
        now=desk.now(),
    )


def standing(
    caller: Viewer, desk: TheDesk, ids: Annotated[tuple[str, ...], Query(alias="id")] = ()
) -> Response:
    """Which of the cards on a screen wait no more, and whose decisions stand, for a script."""
    if len(ids) > MOST_ASKED or not all(ID.fullmatch(one) for one in ids):
        raise Refusal(400, "unreadable")
    gone = NewsDesk(desk.store).of(caller.sites_as(Role.VIEWER), list(ids))
    return data({"gone": [as_told(one.id, one.decision) for one in gone]})


def as_told(comment_id: str, decision: Decision | None) -> dict[str, str]:
    """A decision as scripts read it; without one the comment merely waits no more."""
    if decision is None:
        return {"id": comment_id, "by": "", "said": ""}
    said = decision.reason or decision.outcome.word
    return {"id": comment_id, "by": plain_name(decision.moderator), "said": said}
