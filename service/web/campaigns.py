"""Campaigns on the desk: the card that stands for many comments, and a page for each campaign.

Knows what a form may ask and what a card shows. A decision is on the comments that were there when
the page was made (`upto`); what comes later follows for the time that the form says. Works without
JavaScript.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.campaigns import Trait
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage import NothingToUndo, QueueItem, Role, UnknownComment
from service.storage.campaigns import Campaign, Campaigns, UnknownCampaign
from service.web.card import Pieces, pieces_of, plain_name
from service.web.dealing import LANGUAGE_NAMES, REASONS, deal
from service.web.desk import Caller, Desk, Moderator, TheDesk, Viewer
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.texts import texts_for

PER_PAGE = 20
MOST_LISTED = 50
ON_QUEUE = 3
"""Campaigns shown on the queue page, the largest; the rest are a link away."""

SAMPLE_LETTERS = 280
FOLLOW_HOURS = (0, 1, 24, 168)
USUAL_HOURS = 24


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    outcome: str = ""
    upto: str = ""
    hours: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class Sample:
    """One comment of a campaign, in short."""

    author: Pieces
    content: Pieces
    language: str
    article: Pieces


@dataclass(frozen=True, slots=True)
class CampaignCard:
    """What stands for a campaign: what its comments share, how many wait, and some of them.

    `said` is the domain or the pattern of names that they share. `first` and `last` are when
    the first and the newest of the samples came.
    """

    id: str
    site_id: str
    site: str
    trait: Trait
    said: Pieces
    waiting: int
    newest: str
    first: datetime
    last: datetime
    samples: tuple[Sample, ...]


def routes() -> APIRouter:
    """The list of campaigns, a page for each, and what is done there."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/campaigns", listed, methods=["GET"], response_model=None)
    router.add_api_route("/campaigns/{campaign_id}", shown, methods=["GET"], response_model=None)
    for path, function in (
        ("/campaigns/{campaign_id}/decide", decide),
        ("/campaigns/{campaign_id}/undo", undo),
        ("/campaigns/{campaign_id}/follow", follow),
        ("/campaigns/{campaign_id}/leave/{comment_id}", leave),
    ):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


def open_ids(desk: Desk, caller: Caller) -> list[str]:
    """The campaigns that stand for their comments on the queue page, the largest first."""
    return Campaigns(desk.store).open_ids(caller.sites_as(Role.VIEWER), limit=MOST_LISTED)


def first_cards(desk: Desk, caller: Caller, ids: Sequence[str]) -> list[CampaignCard]:
    """The cards of the first of them."""
    return cards_of(desk, caller, Campaigns(desk.store).of(ids[:ON_QUEUE]))


def cards_of(desk: Desk, caller: Caller, campaigns: Sequence[Campaign]) -> list[CampaignCard]:
    """The cards of campaigns that the caller may see; one of which nothing waits has none."""
    names = {site.id: site.name for site in caller.visible(desk.store.sites())}
    several = len(names) > 1
    store = Campaigns(desk.store)
    cards = []
    for campaign in campaigns:
        items = store.samples(campaign)
        if items:
            site = plain_name(names.get(campaign.site_id, "")) if several else ""
            cards.append(_card(campaign, items, site))
    return cards


def _card(campaign: Campaign, items: Sequence[QueueItem], site: str) -> CampaignCard:
    return CampaignCard(
        id=campaign.id,
        site_id=campaign.site_id,
        site=site,
        trait=campaign.trait,
        said=pieces_of(campaign.said),
        waiting=campaign.waiting,
        newest=campaign.newest,
        first=min(item.comment.received_at for item in items),
        last=max(item.comment.received_at for item in items),
        samples=tuple(_sample(item) for item in items),
    )


def _sample(item: QueueItem) -> Sample:
    sent = item.comment.submission
    text = sent.content
    short = text if len(text) <= SAMPLE_LETTERS else text[:SAMPLE_LETTERS] + "…"
    return Sample(
        author=pieces_of(sent.author.name),
        content=pieces_of(short),
        language=sent.article.language,
        article=pieces_of(sent.article.title or sent.permalink),
    )


def listed(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """The campaigns that wait, the largest first, and those that were decided."""
    seen = caller.sites_as(Role.VIEWER)
    store = Campaigns(desk.store)
    return page(
        request,
        "campaigns.html",
        cards=cards_of(desk, caller, store.open(seen, limit=MOST_LISTED)),
        decided=store.decided(seen, limit=MOST_LISTED),
        reasons=REASONS,
        hours=FOLLOW_HOURS,
        usual_hours=USUAL_HOURS,
        now=desk.now(),
    )


def shown(
    request: Request, caller: Viewer, desk: TheDesk, campaign_id: str, after: str = ""
) -> Response:
    """One campaign: what stands of it, and its waiting comments by pages."""
    seen = caller.sites_as(Role.VIEWER)
    store = Campaigns(desk.store)
    try:
        campaign = store.campaign(seen, _known(campaign_id))
        after = after if ID.fullmatch(after) else ""
        items = store.page(seen, campaign.id, after=after, limit=PER_PAGE + 1)
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    cards = deal(desk, caller, items[:PER_PAGE], language=texts_for(request).tag)
    return page(
        request,
        "campaign_page.html",
        campaign=campaign,
        card=next(iter(cards_of(desk, caller, [campaign])), None),
        said=pieces_of(campaign.said),
        cards=cards,
        next_after=items[PER_PAGE - 1].comment.id if len(items) > PER_PAGE else "",
        may_decide=caller.may(Role.MODERATOR, campaign.site_id),
        may_undo=_may_undo(caller, campaign),
        is_followed=campaign.is_followed(desk.now()),
        reasons=REASONS,
        hours=FOLLOW_HOURS,
        usual_hours=USUAL_HOURS,
        language_names=LANGUAGE_NAMES,
        now=desk.now(),
    )


def _may_undo(caller: Caller, campaign: Campaign) -> bool:
    if campaign.act is None:
        return False
    is_own = campaign.act.decision.moderator == caller.name
    return caller.may(Role.MODERATOR if is_own else Role.ADMIN, campaign.site_id)


def decide(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Decide what waits of a campaign and was on the page."""
    sites = caller.sites_as(Role.MODERATOR)
    try:
        Campaigns(desk.store).decide(
            sites,
            _known(campaign_id),
            _decision(sent.outcome, caller.name, desk.now()),
            upto=sent.upto,
            follow_for=timedelta(hours=_hours(sent.hours)),
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except UnknownComment:
        raise Refusal(409, "campaign_over") from None
    return see_other(request, f"/campaigns/{campaign_id}")


def undo(request: Request, caller: Moderator, desk: TheDesk, campaign_id: str) -> Response:
    """Take back what was decided of a campaign and of all that followed."""
    sites = caller.sites_as(Role.MODERATOR)
    store = Campaigns(desk.store)
    try:
        campaign = store.campaign(sites, _known(campaign_id))
        is_admin = caller.may(Role.ADMIN, campaign.site_id)
        store.undo(sites, campaign.id, moderator=caller.name, only_own=not is_admin)
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except NothingToUndo:
        raise Refusal(409, "nothing_to_undo") from None
    return see_other(request, f"/campaigns/{campaign_id}")


def follow(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Change for how long arrivals follow; 0 hours is to stop."""
    until = desk.now() + timedelta(hours=_hours(sent.hours))
    try:
        Campaigns(desk.store).follow_until(
            caller.sites_as(Role.MODERATOR), _known(campaign_id), until, moderator=caller.name
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    return see_other(request, f"/campaigns/{campaign_id}")


def leave(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, comment_id: str
) -> Response:
    """Take one comment out of a campaign; it waits by itself."""
    try:
        Campaigns(desk.store).leave(
            caller.sites_as(Role.MODERATOR),
            _known(campaign_id),
            comment_id if ID.fullmatch(comment_id) else "",
            moderator=caller.name,
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    return see_other(request, f"/campaigns/{campaign_id}")


def _known(campaign_id: str) -> str:
    if not ID.fullmatch(campaign_id):
        raise UnknownCampaign("there is no such campaign")
    return campaign_id


def _decision(word: str, moderator: str, at: datetime) -> Decision:
    if word == Outcome.ACCEPT.word:
        return Decision(Outcome.ACCEPT, None, moderator, at)
    if word in set(RejectReason):
        return Decision(Outcome.REJECT, RejectReason(word), moderator, at)
    raise Refusal(400, "unreadable")


def _hours(word: str) -> int:
    known = {str(hours): hours for hours in FOLLOW_HOURS}
    if word not in known:
        raise Refusal(400, "unreadable")
    return known[word]
