"""Authors that a site trusts, wants to see, or has banned: from a card, and on a page.

No address is shown or sent: an author is named by a comment, and matched by a keyed hash.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.site_rules import Standing
from service.storage import NothingToUndo, Role, UnknownComment
from service.storage.rule_records import OF_AUTHORS, NotKnown, RuleChange, StoredRule, TooManyRules
from service.storage.site_rules import RuleBook
from service.web.card import Pieces, pieces_of, plain_name
from service.web.desk import Moderator, TheDesk
from service.web.notices import changed_at, notice_of_change
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.rule_forms import LASTS, USUAL, USUAL_OF_NETWORK, back_to, id_of, why_of
from service.web.site_rules import shown_changes
from service.web.texts import texts_for

PER_PAGE = 200
_CHANGES = 20


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    comment: str = ""
    standing: str = ""
    lasts: str = "usual"
    why: str = ""
    rule: str = ""
    back: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class ShownAuthor:
    """An author or network and how it stands, as shown."""

    rule: StoredRule
    site: str
    label: Pieces
    why: Pieces
    made_by: str


def routes() -> APIRouter:
    """The page, and what its forms and a card's do."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/authors", authors, methods=["GET"], response_model=None)
    router.add_api_route("/authors/act", act, methods=["POST"], response_model=None)
    router.add_api_route("/authors/end", end, methods=["POST"], response_model=None)
    return router


def authors(
    request: Request,
    caller: Moderator,
    desk: TheDesk,
    q: str = "",
    changed: str = "",
) -> Response:
    """The authors that the caller's sites have rules for, newest first."""
    book = RuleBook(desk.store)
    moderated = caller.sites_as(Role.MODERATOR)
    listed = book.listed(moderated, OF_AUTHORS)
    q = q[:100]
    if q:
        listed = [r for r in listed if q.casefold() in f"{r.label} {r.why} {r.made_by}".casefold()]
    sites = {one.id: plain_name(one.name) for one in desk.store.sites()}
    several = len(caller.visible(desk.store.sites())) > 1
    changes = [c for c in book.changes(moderated, limit=100) if c.kind == "author"][:_CHANGES]
    return page(
        request,
        "authors.html",
        authors=[
            ShownAuthor(
                rule,
                sites.get(rule.site_id, "") if several else "",
                pieces_of(rule.label),
                pieces_of(rule.why),
                plain_name(rule.made_by),
            )
            for rule in listed[:PER_PAGE]
        ],
        total=len(listed),
        query=q,
        changes=shown_changes(desk, caller, changes, several=several),
        notice=notice_of_change(texts_for(request), desk, caller, changed, "/authors"),
        now=desk.now(),
    )


def act(request: Request, caller: Moderator, desk: TheDesk, sent: _Form) -> Response:
    """Trust, queue or ban the author of a comment, or ban the network it came from."""
    of_network = sent.standing == "ban_network"
    word = Standing.BANNED.value if of_network else sent.standing
    if word not in set(Standing):
        raise Refusal(400, "unreadable")
    standing = Standing(word)
    usual = USUAL_OF_NETWORK if of_network else USUAL[standing]
    lasts = LASTS[sent.lasts if sent.lasts in LASTS else usual]
    try:
        change = RuleBook(desk.store).act_on_author(
            caller.sites_as(Role.MODERATOR),
            id_of(sent.comment),
            standing,
            by=caller.name,
            why=why_of(sent.why),
            expires_at=None if lasts is None else desk.now() + lasts,
            of_network=of_network,
        )
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    except NotKnown:
        raise Refusal(409, "author_not_known") from None
    except TooManyRules as limit:
        raise Refusal(409, "too_many_entries", values={"most": limit.most}) from None
    return _to_authors(request, change, sent.back)


def end(request: Request, caller: Moderator, desk: TheDesk, sent: _Form) -> Response:
    """End a rule for an author before its time."""
    sites = caller.sites_as(Role.MODERATOR)
    try:
        change = RuleBook(desk.store).end(sites, id_of(sent.rule), by=caller.name, kinds=OF_AUTHORS)
    except NothingToUndo:
        raise Refusal(409, "rule_not_undone") from None
    return _to_authors(request, change, sent.back)


def _to_authors(request: Request, change: RuleChange, back: str) -> Response:
    return see_other(request, changed_at(back_to(back, "/authors"), change))
