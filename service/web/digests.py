"""Where a moderator chooses a digest by mail, and where the links in it lead.

Knows that a link that was read has changed nothing: every page asks, and only its button acts.
The one exception asks nobody because the reader has pressed a button already, in their mail
program (RFC 8058), which sends a POST of its own.
"""

from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.digest import CONFIRM, STOP, DigestPost, link_path
from service.mail import Unsent, recipient_of
from service.storage.digests import Digests, Every, TooManyConfirmations
from service.web.desk import Anyone, Caller, Desk, Moderator, TheDesk
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.sessions import is_from_own_page
from service.web.texts import TEXTS, Texts, texts_for

PATH = "/digest"
_VIETNAM = 7  # hours before UTC


class Sent(BaseModel):
    """What the form sends."""

    address: str = ""
    every: str = ""
    hour: str = ""
    language: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The page, and what its buttons and the links in mails do."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", PATH, digest),
        ("POST", PATH, choose),
        ("POST", f"{PATH}/end", end),
        ("GET", PATH + "/confirm/{moderator_id}/{token}", confirm_page),
        ("POST", PATH + "/confirm/{moderator_id}/{token}", confirm),
        ("GET", PATH + "/stop/{moderator_id}/{token}", stop_page),
        ("POST", PATH + "/stop/{moderator_id}/{token}", stop),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


def digest(request: Request, caller: Moderator, desk: TheDesk, done: str = "") -> Response:
    """What somebody gets, and the form to change it."""
    said = f"digest.{done}" if done in ("saved", "asked", "is_stopped") else ""
    return _page(request, caller, desk, said=texts_for(request)(said) if said else "")


def choose(request: Request, caller: Moderator, desk: TheDesk, sent: _Form) -> Response:
    """Keep a choice, and ask by mail whether a new address is right."""
    t = texts_for(request)
    if sent.every not in set(Every) or not sent.hour.isascii() or not sent.hour.isdecimal():
        raise Refusal(400, "unreadable")
    hour = int(sent.hour[:3])
    if hour > 23 or sent.language not in TEXTS:
        raise Refusal(400, "unreadable")
    post = _post(request)
    if post is None:
        raise Refusal(404, "nothing_here")
    try:
        parcel = Digests(desk.store).choose(
            caller.session.moderator,
            address=recipient_of(sent.address) if sent.address.strip() else "",
            language=sent.language,
            every=Every(sent.every),
            hour=hour,
        )
    except ValueError:
        return _page(request, caller, desk, wrong=t("digest.bad_address"), status=422)
    except TooManyConfirmations:
        return _page(request, caller, desk, wrong=t("digest.too_many"), status=429)
    if parcel is None:
        return see_other(request, f"{PATH}?done=saved")
    try:
        post.ask(parcel)
    except Unsent as problem:
        said = t("digest.unsent", problem=str(problem))
        return _page(request, caller, desk, wrong=said, status=502)
    return see_other(request, f"{PATH}?done=asked")


def end(request: Request, caller: Moderator, desk: TheDesk) -> Response:
    """Stop one's own digest."""
    Digests(desk.store).stop(caller.session.moderator.id)
    return see_other(request, f"{PATH}?done=is_stopped")


def confirm_page(
    request: Request, _: Anyone, desk: TheDesk, moderator_id: str, token: str
) -> Response:
    """Ask whether the address is right. Mail scanners read links; reading confirms nothing."""
    return _ask(request, "confirm", _path(desk, CONFIRM, moderator_id, token))


def confirm(request: Request, _: Anyone, desk: TheDesk, moderator_id: str, token: str) -> Response:
    """Begin to send."""
    if not is_from_own_page(request):
        raise Refusal(403, "not_our_form")
    _path(desk, CONFIRM, moderator_id, token)
    link_id = Digests(desk.store).link_id(moderator_id)
    if link_id is None or not Digests(desk.store).confirm(moderator_id, link_id):
        raise Refusal(404, "bad_mail_link")
    return page(request, "digest_asks.html", kind="confirmed", path="")


def stop_page(
    request: Request, _: Anyone, desk: TheDesk, moderator_id: str, token: str
) -> Response:
    """Ask whether to stop."""
    return _ask(request, "stopping", _path(desk, STOP, moderator_id, token))


def stop(request: Request, _: Anyone, desk: TheDesk, moderator_id: str, token: str) -> Response:
    """Stop. From the page or from a mail program: whoever has the link may."""
    _path(desk, STOP, moderator_id, token)
    link_id = Digests(desk.store).link_id(moderator_id)
    if link_id is None or not Digests(desk.store).stop(moderator_id, link_id):
        raise Refusal(404, "bad_mail_link")
    return page(request, "digest_asks.html", kind="ended", path="")


def _path(desk: Desk, purpose: str, moderator_id: str, token: str) -> str:
    """The path of a link that is right. Refuses any other, whoever's it may have been."""
    keyring = desk.store.keyring
    link_id = Digests(desk.store).link_id(moderator_id) if _may_be_id(moderator_id) else None
    if link_id is None or not keyring.owns_link(token, purpose, link_id):
        raise Refusal(404, "bad_mail_link")
    return link_path(keyring, purpose, link_id)


def _may_be_id(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= 64


def _ask(request: Request, kind: str, path: str) -> Response:
    return page(request, "digest_asks.html", kind=kind, path=path)


def _post(request: Request) -> DigestPost | None:
    """Who sends mails here; None where that is not set up."""
    post: DigestPost | None = getattr(request.app.state, "digests", None)
    return post


def _page(
    request: Request,
    caller: Caller,
    desk: Desk,
    *,
    said: str = "",
    wrong: str = "",
    status: int = 200,
) -> Response:
    t = texts_for(request)
    mine = Digests(desk.store).of(caller.session.moderator.id)
    return page(
        request,
        "digest.html",
        status=status,
        is_on=_post(request) is not None,
        mine=mine,
        said=said,
        wrong=wrong,
        hours=[(hour, _hour(t, hour)) for hour in range(24)],
        chosen_hour=mine.hour if mine else 0,
        chosen_every=mine.every.value if mine else Every.DAY.value,
        chosen_language=mine.language if mine else t.tag,
    )


def _hour(t: Texts, hour: int) -> str:
    return t("digest.hour_of", hour=hour, vietnam=(hour + _VIETNAM) % 24)
