"""Acts on many comments: looked at before, done in steps, taken back whole.

What is decided is a list of ids that was written down when the page asked was made, and never
whatever a filter finds at the time. Works without JavaScript.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage import NothingToUndo, Role, UnknownComment
from service.storage.acts import MOST, PLAN_LIFETIME, Act, Acts, ActState, UnknownAct
from service.storage.finding import Finding, Part
from service.storage.passed import Passed
from service.web.card import plain_name
from service.web.desk import Caller, Desk, Moderator, TheDesk, Viewer
from service.web.place import ID, Place
from service.web.queue import in_short, language_name
from service.web.rendering import PageRoute, Refusal, data, page, see_other, wants_data
from service.web.texts import texts_for

SAMPLES = 5
STEP = 250
"""Comments that one press decides where a script presses again by itself."""

MOST_PICKED = 500
_WORDS = ("accept", *RejectReason)


class Asked(BaseModel):
    """What the form below the filters sends."""

    ids: list[str] = []
    scope: str = ""
    what: str = ""
    order: str = ""
    view: str = ""


class Pressed(BaseModel):
    """What the forms of an act's page send: where to go back to, and whether a script presses."""

    order: str = ""
    view: str = ""
    step: str = ""
    back: str = ""


def routes() -> APIRouter:
    """Planning an act, its page, and what can be done to it."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/acts/{act_id}", act, methods=["GET"], response_model=None)
    for path, function in (
        ("/acts", plan),
        ("/acts/{act_id}/run", run),
        ("/acts/{act_id}/undo", undo),
    ):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


def plan(
    request: Request, caller: Moderator, desk: TheDesk, sent: Annotated[Asked, Form()]
) -> Response:
    """Write down the comments that were picked, or all that match; nothing is decided yet."""
    if sent.what not in _WORDS or sent.scope not in ("picked", "all"):
        raise Refusal(400, "unreadable")
    place = Place.of(sent.order, "", sent.view)
    ids, is_all = _ids(desk, caller, place, sent)
    if not ids:
        raise Refusal(422, "none_picked")
    reason = None if sent.what == "accept" else RejectReason(sent.what)
    outcome = Outcome.REJECT if reason else Outcome.ACCEPT
    decision = Decision(outcome, reason, caller.name, desk.now())
    body = {"scope": sent.scope, "capped": len(ids) > MOST}
    body["partial"] = not is_all and not body["capped"]
    sites = caller.sites_as(Role.MODERATOR)
    try:
        made = Acts(desk.store).plan(sites, ids[:MOST], decision, kind="bulk", body=body)
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    return see_other(request, act_path(made.id, place))


def _ids(desk: Desk, caller: Caller, place: Place, sent: Asked) -> tuple[list[str], bool]:
    """What was picked, or the first of all that match and one more than an act may have.

    And whether there is no more of it: of what does not wait only so much is looked through.
    """
    if sent.scope == "picked":
        return [one for one in sent.ids[:MOST_PICKED] if ID.fullmatch(one)], True
    sites, look = caller.sites_as(Role.MODERATOR), place.look
    if look.state:
        return Passed(desk.store).ids(sites, look.state, look.filter, limit=MOST + 1)
    finding = Finding(desk.store)
    finding.catch_up()
    return finding.ids(sites, look.filter, place.order, limit=MOST + 1), True


def act_path(act_id: str, place: Place) -> str:
    """The address of an act's page, from which a link leads back to the queue as it was."""
    query = Place(place.order, "", place.look).path().partition("?")[2]
    return f"/acts/{act_id}{'?' if query else ''}{query}"


def act(request: Request, caller: Viewer, desk: TheDesk, act_id: str) -> Response:
    """What an act would do, does or has done."""
    place = _place(request)
    seen = caller.sites_as(Role.VIEWER)
    found = _act(desk, caller, act_id)
    finding, t = Finding(desk.store), texts_for(request)
    sites = {site.id: plain_name(site.name) for site in caller.visible(desk.store.sites())}
    ids = [one for _, one in Acts(desk.store).comments_of(seen, act_id, limit=SAMPLES)]
    planned = found.state is ActState.PLANNED
    parts = finding.breakdown(seen, act_id) if planned else []
    samples = finding.comments(seen, ids)
    return page(
        request,
        "bulk.html",
        act=found,
        place=place,
        is_own=found.decision.moderator == caller.name,
        may_undo=_may_undo(caller, found),
        is_late=planned and desk.now() > found.decision.at + PLAN_LIFETIME,
        word=_word(found),
        most=MOST,
        by_site=_most_frequent([(sites.get(p.site_id, ""), p) for p in parts]),
        by_band=_most_frequent([(t(f"find.band.{p.band.value}"), p) for p in parts]),
        by_language=_most_frequent([(language_name(t, p.language), p) for p in parts]),
        samples=[in_short(one) for one in samples],
        is_over=found.state is ActState.DONE,
        back=place.path(),
        back_done=place.path(act=act_id),
    )


def run(
    request: Request,
    caller: Moderator,
    desk: TheDesk,
    act_id: str,
    sent: Annotated[Pressed, Form()],
) -> Response:
    """Begin an act that was planned, or go on with one that was not finished."""
    sites = caller.sites_as(Role.MODERATOR)
    acts = Acts(desk.store)
    _act(desk, caller, act_id)
    try:
        acts.start(sites, act_id, caller.name)
        found = acts.go_on(sites, act_id, most=STEP if sent.step else MOST)
    except UnknownAct:
        raise Refusal(409, "plan_over") from None
    if wants_data(request):
        done = found.count - found.due
        over = found.state is not ActState.RUNNING
        return data({"done": done, "of": found.count, "over": over})
    return see_other(request, act_path(act_id, Place.of(sent.order, "", sent.view)))


def undo(
    request: Request,
    caller: Moderator,
    desk: TheDesk,
    act_id: str,
    sent: Annotated[Pressed, Form()],
) -> Response:
    """Bring back what was before an act: the caller's own, or as an admin of all its sites."""
    found = _act(desk, caller, act_id)
    if not _may_undo(caller, found):
        raise Refusal(409, "act_not_undone")
    is_own = found.decision.moderator == caller.name
    sites = caller.sites_as(Role.MODERATOR if is_own else Role.ADMIN)
    try:
        Acts(desk.store).undo(sites, act_id, moderator=caller.name, only_own=is_own)
    except UnknownAct:
        raise Refusal(404, "unknown_act") from None
    except NothingToUndo:
        raise Refusal(409, "act_not_undone") from None
    place = Place.of(sent.order, "", sent.view)
    on_queue = sent.back == "queue"
    return see_other(request, place.path(act=act_id) if on_queue else act_path(act_id, place))


def _place(request: Request) -> Place:
    query = request.query_params
    return Place.of(query.get("order", ""), "", str(query))


def _act(desk: Desk, caller: Caller, act_id: str) -> Act:
    """An act; a plan is there for whoever made it only."""
    known = ID.fullmatch(act_id)
    found = Acts(desk.store).act(caller.sites_as(Role.VIEWER), act_id) if known else None
    is_own = found is not None and found.decision.moderator == caller.name
    if found is None or (found.state is ActState.PLANNED and not is_own):
        raise Refusal(404, "unknown_act")
    return found


def _may_undo(caller: Caller, act: Act) -> bool:
    is_begun = act.state in (ActState.RUNNING, ActState.DONE)
    is_left = act.state is ActState.UNDONE and act.decided > 0
    is_own = act.decision.moderator == caller.name
    role = Role.MODERATOR if is_own else Role.ADMIN
    return all(caller.may(role, one) for one in act.site_ids) and (is_begun or is_left)


def _word(act: Act) -> str:
    return act.decision.reason or act.decision.outcome.word


def _most_frequent(parts: Sequence[tuple[str, Part]]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for name, part in parts:
        counts[name] += part.number
    return counts.most_common(6)
