"""Campaigns on the desk: the card that stands for many comments, and a page for each campaign.

Knows what a form may ask and what a card shows. A decision is on the comments that were there when
the page was made (`upto`); what comes later follows for the time that the form says. Works without
JavaScript.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.campaigns import Trait
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.storage import NothingToUndo, QueueItem, Role, UnknownComment, UnknownSite
from service.storage.campaign_views import Spread, View, views_of
from service.storage.campaigns import Campaign, Campaigns, UnknownCampaign
from service.storage.finding import Finding
from service.storage.kin import Open
from service.web.card import Pieces, language_tag, pieces_of, plain_name, reads_as_toxic
from service.web.dealing import LANGUAGE_NAMES, REASONS, deal
from service.web.decisions import conflict_with, is_same
from service.web.desk import Admin, Caller, Desk, Moderator, TheDesk, Viewer
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.texts import texts_for

PER_PAGE = 20
MOST_LISTED = 50
ON_QUEUE = 3
"""Campaigns shown on the queue page, the largest; the rest are a link away."""

SAMPLE_LETTERS = 280
LEAST_ALIKE_MARKED = 0.5
"""Where less of two samples is the same, a mark on every word would say nothing."""

FOLLOW_HOURS = (0, 1, 24, 168)
USUAL_HOURS = 24


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    allowed: str = ""
    outcome: str = ""
    upto: str = ""
    hours: str = ""
    comment: str = ""
    back: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a sample's text; `differs` from the first sample or not."""

    pieces: Pieces
    differs: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One comment of a campaign, in short; of which site, where there are several.

    `language` is the tag for its `lang` attribute, "" when unknown.
    """

    id: str
    author: Pieces
    content: tuple[Stretch, ...]
    language: str
    is_folded: bool
    article: Pieces
    site: str


@dataclass(frozen=True, slots=True)
class CampaignCard:
    """What stands for a campaign: what its comments share, how many wait, and some of them.

    `said` is the domain or the pattern of names that they share. `sites` are the names of the
    sites that it is of, where the caller sees several; `may_decide` is how many of what waits
    is on sites where they decide. `first` and `last` are when the first and the newest of the
    samples came.
    """

    id: str
    sites: tuple[str, ...]
    trait: Trait
    said: Pieces
    waiting: int
    may_decide: int
    newest: str
    spread: Spread
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
        ("/campaigns/{campaign_id}/return", put_back),
        ("/campaigns/sites/{site_id}", share),
    ):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class AtTop:
    """The campaigns of the queue page: how many there are, how many comments they stand for."""

    campaigns: tuple[Open, ...]
    count: int
    comments: int

    @property
    def ids(self) -> tuple[str, ...]:
        """What stands for its comments on the page."""
        return tuple(one for campaign in self.campaigns for one in campaign.ids)


def at_top(desk: Desk, caller: Caller) -> AtTop:
    """The campaigns that stand for their comments on the queue page, the largest first."""
    found = Campaigns(desk.store).all_open(caller.sites_as(Role.VIEWER))
    return AtTop(tuple(found[:MOST_LISTED]), len(found), sum(one.waiting for one in found))


def first_cards(desk: Desk, caller: Caller, top: AtTop) -> list[CampaignCard]:
    """The cards of the first of them."""
    return cards_of(desk, caller, Campaigns(desk.store).of(top.campaigns[:ON_QUEUE]))


def cards_of(desk: Desk, caller: Caller, campaigns: Sequence[Campaign]) -> list[CampaignCard]:
    """The cards of campaigns that the caller may see; one of which nothing waits has none."""
    names = {one.id: plain_name(one.name) for one in caller.visible(desk.store.sites())}
    names = names if len(names) > 1 else {}
    decides = caller.sites_as(Role.MODERATOR)
    views = views_of(desk.store, [one.ids for one in campaigns], decides)
    return [
        _card(campaign, view, names)
        for campaign, view in zip(campaigns, views, strict=True)
        if view.samples
    ]


def _card(campaign: Campaign, view: View, names: Mapping[str, str]) -> CampaignCard:
    items = view.samples
    first = items[0].comment.submission.content
    several = len(set(campaign.sites)) > 1
    return CampaignCard(
        id=campaign.id,
        sites=tuple(sorted({names[one] for one in campaign.sites if one in names})),
        trait=campaign.trait,
        said=pieces_of(campaign.said),
        waiting=campaign.waiting,
        may_decide=view.may_decide,
        newest=campaign.newest,
        spread=view.spread,
        first=min(item.comment.received_at for item in items),
        last=max(item.comment.received_at for item in items),
        samples=tuple(
            _sample(item, first, names.get(item.comment.site_id, "") if several else "")
            for item in items
        ),
    )


def _sample(item: QueueItem, first: str, site: str) -> Sample:
    sent = item.comment.submission
    return Sample(
        id=item.comment.id,
        author=pieces_of(sent.author.name),
        content=_marked(_short(sent.content), _short(first)),
        language=language_tag(sent.content),
        is_folded=reads_as_toxic(item.comment.verdict),
        article=pieces_of(sent.article.title or sent.permalink),
        site=site,
    )


def _short(text: str) -> str:
    return text if len(text) <= SAMPLE_LETTERS else text[:SAMPLE_LETTERS] + "…"


def _marked(text: str, first: str) -> tuple[Stretch, ...]:
    """A text, with the words that are not the first sample's told apart."""
    said, before = (re.findall(r"\s*\S+\s*", one) for one in (text, first))
    of_first, of_this = ([word.strip() for word in words] for words in (before, said))
    found = []
    matcher = SequenceMatcher(None, of_first, of_this, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE_MARKED:
        return (Stretch(pieces_of(text), False),)
    for what, _, _, start, end in matcher.get_opcodes():
        if start < end:
            found += _stretches("".join(said[start:end]), what != "equal")
    return tuple(found)


def _stretches(text: str, differs: bool) -> list[Stretch]:
    """A part of a text; the blanks around it are no difference."""
    words = text.strip()
    before, _, after = text.partition(words)
    parts = ((before, False), (words, differs), (after, False))
    return [Stretch(pieces_of(part), marked) for part, marked in parts if part]


def listed(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """The campaigns that wait, the largest first, and those that were decided."""
    seen = caller.sites_as(Role.VIEWER)
    Finding(desk.store).catch_up()
    store = Campaigns(desk.store)
    return page(
        request,
        "campaigns.html",
        cards=cards_of(desk, caller, store.open(seen, limit=MOST_LISTED)),
        decided=store.decided(seen, limit=MOST_LISTED),
        sharing=_sharing(desk, caller),
        reasons=REASONS,
        hours=FOLLOW_HOURS,
        usual_hours=USUAL_HOURS,
        now=desk.now(),
    )


def _sharing(desk: Desk, caller: Caller) -> list[tuple[str, str, bool]]:
    """Id and name of each site of which the caller is admin, and whether it shares campaigns."""
    own = caller.sites_as(Role.ADMIN)
    shared = Campaigns(desk.store).sharing(own)
    return [
        (one.id, plain_name(one.name), one.id in shared)
        for one in caller.visible(desk.store.sites())
        if caller.may(Role.ADMIN, one.id)
    ]


def share(request: Request, caller: Admin, desk: TheDesk, site_id: str, sent: _Form) -> Response:
    """Allow that a site's campaigns are seen with those of others, or not any more."""
    if sent.allowed not in ("yes", "no"):
        raise Refusal(400, "unreadable")
    if not caller.may(Role.ADMIN, site_id):
        raise Refusal(404, "unknown_site")
    try:
        Campaigns(desk.store).share(site_id, allowed=sent.allowed == "yes", by=caller.name)
    except UnknownSite:
        raise Refusal(404, "unknown_site") from None
    return see_other(request, "/campaigns")


def shown(
    request: Request,
    caller: Viewer,
    desk: TheDesk,
    campaign_id: str,
    after: str = "",
    left: str = "",
    done: str = "",
) -> Response:
    """One campaign: what stands of it, and its waiting comments by pages."""
    seen = caller.sites_as(Role.VIEWER)
    Finding(desk.store).catch_up()  # what was taken back a moment ago is in it again
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
        may_decide=any(caller.may(Role.MODERATOR, one) for one in campaign.sites),
        may_undo=_may_undo(caller, campaign),
        is_followed=campaign.is_followed(desk.now()),
        left=left if ID.fullmatch(left) and not store.is_in(left) else "",
        is_done=done == "1",
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
    role = Role.MODERATOR if is_own else Role.ADMIN
    return any(caller.may(role, one) for act in campaign.acts for one in act.site_ids)


def decide(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Decide what waits of a campaign and was on the page."""
    sites = caller.sites_as(Role.MODERATOR)
    wanted = _decision(sent.outcome, caller.name, desk.now())
    store = Campaigns(desk.store)
    try:
        store.decide(
            sites,
            _known(campaign_id),
            wanted,
            upto=sent.upto,
            follow_for=timedelta(hours=_hours(sent.hours)),
            seen_on=caller.sites_as(Role.VIEWER),
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except UnknownComment:
        act = store.campaign(caller.sites_as(Role.VIEWER), campaign_id).act
        if act is None:
            raise Refusal(409, "campaign_over") from None
        if not is_same(act.decision, wanted):
            raise conflict_with(request, desk, act.decision) from None
    return _done(request, campaign_id, sent)


def _done(request: Request, campaign_id: str, sent: Sent) -> Response:
    """Back to where the form was: the queue says what was done, the campaign's page shows it."""
    on_queue = sent.back == "queue"
    return see_other(
        request,
        f"/queue?campaign={campaign_id}" if on_queue else f"/campaigns/{campaign_id}?done=1",
    )


def undo(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Take back what was decided of a campaign and of all that followed."""
    seen = caller.sites_as(Role.VIEWER)
    store = Campaigns(desk.store)
    try:
        campaign = store.campaign(seen, _known(campaign_id))
        is_own = campaign.act is not None and campaign.act.decision.moderator == caller.name
        if not _may_undo(caller, campaign):
            raise NothingToUndo("nothing of it is the caller's to take back")
        role = Role.MODERATOR if is_own else Role.ADMIN
        store.undo(
            caller.sites_as(role),
            campaign.id,
            moderator=caller.name,
            only_own=is_own,
            seen_on=seen,
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except NothingToUndo:
        raise Refusal(409, "nothing_to_undo") from None
    return _done(request, campaign_id, sent)


def follow(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Change for how long arrivals follow; 0 hours is to stop."""
    until = desk.now() + timedelta(hours=_hours(sent.hours))
    try:
        Campaigns(desk.store).follow_until(
            caller.sites_as(Role.MODERATOR),
            _known(campaign_id),
            until,
            moderator=caller.name,
            seen_on=caller.sites_as(Role.VIEWER),
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    return _done(request, campaign_id, sent)


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
            seen_on=caller.sites_as(Role.VIEWER),
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    return see_other(request, f"/campaigns/{campaign_id}?left={comment_id}")


def put_back(
    request: Request, caller: Moderator, desk: TheDesk, campaign_id: str, sent: _Form
) -> Response:
    """Undo that a comment was taken out of a campaign."""
    try:
        Campaigns(desk.store).put_back(
            caller.sites_as(Role.MODERATOR),
            _known(campaign_id),
            sent.comment,
            moderator=caller.name,
            seen_on=caller.sites_as(Role.VIEWER),
        )
    except UnknownCampaign:
        raise Refusal(404, "unknown_campaign") from None
    except NothingToUndo:
        raise Refusal(409, "nothing_to_undo") from None
    return see_other(request, f"/campaigns/{campaign_id}?done=1")


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
