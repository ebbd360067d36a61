"""Raid mode: comments of new authors wait for a while, on an article or a whole site.

Started from a card or the page of the rules, shown on the queue while it lasts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.storage import NothingToUndo, Role, UnknownComment, UnknownSite
from service.storage.rule_records import NotKnown, RuleChange, RuleKind, TooManyRules
from service.storage.site_rules import RuleBook
from service.web.card import Pieces, pieces_of, plain_name
from service.web.desk import Caller, Desk, Moderator, TheDesk
from service.web.notices import changed_at
from service.web.rendering import PageRoute, Refusal, see_other
from service.web.rule_forms import RAID_HOURS, USUAL_RAID_HOURS, back_to, id_of, why_of


class Sent(BaseModel):
    """What the forms of raids may send; a field that one does not have is empty."""

    site: str = ""
    comment: str = ""
    rule: str = ""
    hours: int = USUAL_RAID_HOURS
    why: str = ""
    back: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class ShownRaid:
    """A raid that is on, as shown. `article` is empty where it is the whole site's."""

    id: str
    site_id: str
    site: str
    article: Pieces
    until: datetime
    made_by: str
    may_stop: bool


def routes() -> APIRouter:
    """What the forms do."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/raids/start", start, methods=["POST"], response_model=None)
    router.add_api_route("/raids/stop", stop, methods=["POST"], response_model=None)
    return router


def raids_on(desk: Desk, caller: Caller) -> list[ShownRaid]:
    """The raids that are on at the sites the caller sees, the last to end first."""
    seen = caller.sites_as(Role.VIEWER)
    found = RuleBook(desk.store).listed(seen, {RuleKind.RAID}, limit=100)
    names = {site.id: plain_name(site.name) for site in desk.store.sites()} if found else {}
    raids = [
        ShownRaid(
            rule.id,
            rule.site_id,
            names.get(rule.site_id, ""),
            pieces_of(rule.label),
            rule.expires_at,
            plain_name(rule.made_by),
            caller.may(Role.MODERATOR, rule.site_id),
        )
        for rule in found
        if rule.expires_at is not None
    ]
    return sorted(raids, key=lambda raid: raid.until, reverse=True)


def start(request: Request, caller: Moderator, desk: TheDesk, sent: _Form) -> Response:
    """Have comments of new authors wait, on the article of a comment or a whole site."""
    if sent.hours not in RAID_HOURS or not (sent.site or sent.comment):
        raise Refusal(400, "unreadable")
    if sent.comment and not id_of(sent.comment):  # never the whole site instead
        raise Refusal(404, "unknown_comment")
    try:
        change = RuleBook(desk.store).start_raid(
            caller.sites_as(Role.MODERATOR),
            by=caller.name,
            why=why_of(sent.why),
            lasts=timedelta(hours=sent.hours),
            site_id=id_of(sent.site),
            comment_id=id_of(sent.comment),
        )
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    except UnknownSite:
        raise Refusal(404, "unknown_site") from None
    except NotKnown:
        raise Refusal(409, "no_article") from None
    except TooManyRules as limit:
        raise Refusal(409, "too_many_entries", values={"most": limit.most}) from None
    return _back(request, sent, change)


def stop(request: Request, caller: Moderator, desk: TheDesk, sent: _Form) -> Response:
    """End a raid before its time."""
    sites = caller.sites_as(Role.MODERATOR)
    try:
        change = RuleBook(desk.store).end(
            sites, id_of(sent.rule), by=caller.name, kinds={RuleKind.RAID}
        )
    except NothingToUndo:
        raise Refusal(409, "rule_not_undone") from None
    return _back(request, sent, change)


def _back(request: Request, sent: Sent, change: RuleChange) -> Response:
    back = back_to(sent.back, f"/rules?site={change.site_id}")
    return see_other(request, changed_at(back, change))
