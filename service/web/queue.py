"""The queue page: what waits, and why, looked through in any way.

Knows what somebody looks for and what they have just done. Works without JavaScript.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from model.decision import Decision
from model.language import LANGUAGES, UNKNOWN
from model.outcome import Head
from model.reasons import sentence
from service import reading
from service.storage import BadCursor, QueuePage, Role, StoredComment
from service.storage.finding import Count, Finding, Found, Levels, Order
from service.storage.passed import Passed
from service.storage.traits import Band
from service.web.campaigns import (
    FOLLOW_HOURS,
    ON_QUEUE,
    USUAL_HOURS,
    at_top,
    first_cards,
)
from service.web.card import language_tag, plain_name, reads_as_toxic
from service.web.dealing import LANGUAGE_NAMES, REASONS, deal
from service.web.desk import Caller, Desk, TheDesk, Viewer
from service.web.notices import CHANGED, notice_of
from service.web.place import ID, STATES, Look, Place, State
from service.web.raids import raids_on
from service.web.rendering import PageRoute, page, see_other, wants_part
from service.web.strip import HEIGHT, strip_of
from service.web.texts import Texts, texts_for

AT_FIRST = 4
"""Cards of the queue's first page: more than a window shows. A script loads on while one reads."""

PER_PAGE = 8
"""Cards of a page that something was looked for on, or that goes on."""

PER_PART = 20
"""Cards that a script is given at a time."""

SAMPLES = 5
CODES = tuple(sorted(LANGUAGES["en"].reasons.keys() - {"site.learnt"}))


@dataclass(frozen=True, slots=True)
class Flash:
    """What the moderator has just done to a comment, read back from the store."""

    id: str
    name: str
    decision: Decision | None  # None when it was undone


@dataclass(frozen=True, slots=True)
class Short:
    """A comment in a line: the name of whoever wrote it, and how it begins.

    `language` is the tag for its `lang` attribute, "" when unknown.
    """

    name: str
    said: str
    language: str
    is_folded: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """Something that is looked for, in words, and the address without it."""

    name: str
    value: str
    path: str


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
    act: str = "",
    campaign: str = "",
    changed: str = "",
    strip: str = "",
) -> Response:
    """What waits on the caller's sites and is looked for, from where `after` says.

    With `strip` how it lies along the scores as well, and for a script nothing but that.
    """
    done, undone = (one if ID.fullmatch(one) else "" for one in (done, undone))
    place = Place.looking(order, after, Look.of(request.query_params))
    is_part = wants_part(request)
    if is_part and strip:
        return page(request, "strip_body.html", samples=[], **_strip_values(desk, caller, place))
    finding = Finding(desk.store)
    if done or undone or act or campaign or changed:
        desk.store.lately.forget()  # whoever has just changed it sees it as it is
    unread = 0 if is_part else finding.catch_up_lately()
    if unread:
        reading.go_on(desk.store)
    top = None if place.look.asked else at_top(desk, caller)
    limit = PER_PART if is_part else PER_PAGE if place.look.asked or after else AT_FIRST
    found = _found(desk, caller, place, unread, () if top is None else top.ids, limit)
    if after and (place.after != after or found is None or not found.page.items):
        if not is_part:
            return see_other(request, place.path(after="", done=done, undone=undone))
        found = Found(QueuePage((), ""), Count(0))
    assert found is not None, "only a cursor can be bad"
    t = texts_for(request)
    look = place.look
    values: dict[str, Any] = {
        "place": place,
        "look": look,
        "cards": deal(desk, caller, found.page.items, language=t.tag),
        "next_path": place.path(after=found.page.after) if found.page.after else "",
        "reasons": REASONS,
        "language_names": LANGUAGE_NAMES,
        "now": desk.now(),
        "bulk": caller.may(Role.MODERATOR) and place.look.state != State.DECIDED,
    }
    if is_part:
        return page(request, "cards.html", **values)
    named = {"act": act, "campaign": campaign, CHANGED: changed}
    sites = {site.id: plain_name(site.name) for site in caller.visible(desk.store.sites())}
    waiting = found.count.number
    if look.asked:
        waiting = finding.size_lately(caller.sites_as(Role.VIEWER))
    return page(
        request,
        "queue.html",
        **values
        | (_strip_values(desk, caller, place) if strip or look.has_range else {"strip": None}),
        count=found.count,
        campaigns=[] if after or top is None else first_cards(desk, caller, top),
        more_campaigns=top is not None and top.count > ON_QUEUE,
        top=None if after else top,
        hours=FOLLOW_HOURS,
        usual_hours=USUAL_HOURS,
        waiting=waiting if not look.asked else found.count.number,
        all_waiting=waiting,
        unread=unread,
        orders=[(one, Place(one, "", look).path()) for one in Order],
        raids=raids_on(desk, caller),
        flash=_flash(desk, caller, done, undone),
        notice=notice_of(t, desk, caller, place, named),
        chips=_chips(place, t, sites),
        sites=sorted(sites.items(), key=lambda one: one[1]) if len(sites) > 1 else [],
        languages_known=[*LANGUAGES, UNKNOWN],
        codes=[(code, sentence(code, t.tag)) for code in CODES],
        band_names=list(Band),
        states=STATES,
        strip_path=_strip_path(place) if found.count.number or look.has_range else "",
        language_name=language_name,
        samples=_samples(desk, caller, place, found),
    )


def _found(
    desk: Desk, caller: Caller, place: Place, unread: int, campaigns: Sequence[str], limit: int
) -> Found | None:
    seen, look = caller.sites_as(Role.VIEWER), place.look
    try:
        if look.state:
            passed = Passed(desk.store)
            return passed.find(seen, look.state, look.filter, limit=limit, after=place.after)
        # What nobody has read yet is found only by its time, where nothing is looked for.
        if unread and not look.asked and place.order is Order.OLDEST:
            page_ = desk.store.queue_page(seen, limit=limit, after=place.after)
            return Found(page_, Count(Finding(desk.store).size_lately(seen)))
        finding = Finding(desk.store)
        wanted = replace(look.filter, but=tuple(campaigns))
        return finding.find(seen, wanted, place.order, limit=limit, after=place.after)
    except BadCursor:
        return None


def _strip_values(desk: Desk, caller: Caller, place: Place) -> dict[str, Any]:
    """What the picture of the scores is made of."""
    look = place.look
    bins: Sequence[Levels] = ()
    if not look.state:
        bins = Finding(desk.store).histogram(caller.sites_as(Role.VIEWER), look.filter)
    return {
        "strip": strip_of(bins, low=look.filter.first, high=look.filter.last) if bins else None,
        "strip_height": HEIGHT,
        "heads": [(head, _with_head(place, head)) for head in Head],
        "place": place,
        "look": look,
    }


def _strip_path(place: Place) -> str:
    return "" if place.look.state else place.path(after="", strip="1", fragment="strip")


def _samples(desk: Desk, caller: Caller, place: Place, found: Found) -> list[Short]:
    """Some of what lies in the chosen range."""
    if not place.look.has_range:
        return []
    return [in_short(item.comment) for item in found.page.items[:SAMPLES]]


def in_short(comment: StoredComment) -> Short:
    """A comment in a line."""
    sent = comment.submission
    return Short(
        plain_name(sent.author.name),
        plain_name(sent.content, longest=140),
        language_tag(sent.content),
        reads_as_toxic(comment.verdict),
    )


def _with_head(place: Place, head: Head) -> str:
    look = place.look.without("head", "above", "below")
    more = {} if head is Head.SPAM else {"head": head.value}
    return Place(place.order, "", look).path(strip="1", fragment="strip", **more)


def _chips(place: Place, t: Texts, sites: dict[str, str]) -> list[Chip]:
    """All that is looked for, each with the address of the queue without it."""
    look = place.look
    shown = {
        "q": look.q,
        "state": look.state and t(f"state.{look.state}"),
        "site": look.site and sites.get(look.site, look.site[:8]),
        "article": look.article,
        "language": look.language and language_name(t, look.language),
        "reason": look.reason and _sentence(look.reason, t.tag),
        "band": look.band and t(f"find.band.{look.band}"),
        "domain": look.domain,
        "new": look.new and t("find.yes"),
        "reported": look.reported and t("find.yes"),
    }
    chips = [
        Chip(name, value, Place(place.order, "", look.without(name)).path())
        for name, value in shown.items()
        if value
    ]
    if look.has_range:
        path = Place(place.order, "", look.without("above", "below")).path()
        value = f"{look.low}–{look.high}\N{NO-BREAK SPACE}%"
        chips.append(Chip("range", f"{t('head.' + (look.head or 'spam'))} {value}", path))
    return chips


def language_name(t: Texts, tag: str) -> str:
    """A language as the page's own language calls it, else by its tag."""
    return t.sentences.get(f"language.{tag}", tag)


def _sentence(code: str, language: str) -> str:
    return sentence(code, language) if code in CODES else code


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
