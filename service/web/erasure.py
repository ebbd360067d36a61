"""Erasing a person, for admins: an address in, what there is of it, and then for good.

Looked at first, done by a second form. The address is in neither page: the second form holds the
keyed hashes that the sites know it by. Works without JavaScript.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.addresses import mask_addresses
from service.storage import Role, Site
from service.storage.erasure import LONGEST_WHY, Erased, Erasures
from service.web.card import pieces_of, plain_name
from service.web.desk import Admin, Caller, Desk, TheDesk
from service.web.rendering import PageRoute, Refusal, page, see_other

LONGEST_ADDRESS = 1000
SHOWN = 50
_KEY = re.compile(r"([0-9a-f-]{36}):([0-9a-f]{32})")


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    address: str = ""
    site: str = ""
    why: str = ""
    keys: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The page, the look and the act."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/erasure", erasure_page, methods=["GET"], response_model=None)
    router.add_api_route("/erasure", look, methods=["POST"], response_model=None)
    router.add_api_route("/erasure/confirm", confirm, methods=["POST"], response_model=None)
    return router


def erasure_page(request: Request, caller: Admin, desk: TheDesk, done: str = "") -> Response:
    """The form, and who was erased before."""
    return _page(request, caller, desk, done=done)


def look(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """What there is of whoever uses an address, and a form to erase it."""
    sites = [site for site in _sites(caller, desk) if sent.site in ("", site.id)]
    keys = Erasures(desk.store).keys_of(sent.address[:LONGEST_ADDRESS].strip(), sites)
    if not keys:
        return _page(request, caller, desk, fault=True, why=sent.why, status=422)
    return _page(request, caller, desk, keys=keys, why=sent.why)


def confirm(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """Erase, for good."""
    allowed = {site.id for site in _sites(caller, desk)}
    keys = {site: key for site, key in _KEY.findall(sent.keys) if site in allowed}
    if not keys:
        raise Refusal(400, "unreadable")
    done = Erasures(desk.store).erase(keys, by=caller.name, why=sent.why)
    return see_other(request, f"/erasure?done={done.comments}")


def _page(
    request: Request,
    caller: Caller,
    desk: Desk,
    *,
    keys: Mapping[str, str] | None = None,
    why: str = "",
    fault: bool = False,
    done: str = "",
    status: int = 200,
) -> Response:
    sites = _sites(caller, desk)
    names = {site.id: plain_name(site.name) for site in sites}
    erasures = Erasures(desk.store)
    past = erasures.since([*names], None)[:SHOWN]
    return page(
        request,
        "erasure.html",
        status=status,
        sites=sites,
        names=names,
        keys=" ".join(f"{site}:{key}" for site, key in (keys or {}).items()),
        found=erasures.found(keys) if keys else None,
        nothing=Erased(),
        why=mask_addresses(why)[:LONGEST_WHY],
        longest_why=LONGEST_WHY,
        fault=fault,
        done=int(done) if done.isascii() and done.isdigit() and len(done) < 10 else None,
        past=[(one, pieces_of(one.why), plain_name(one.made_by)) for one in past],
        now=desk.now(),
    )


def _sites(caller: Caller, desk: Desk) -> list[Site]:
    """The sites that the caller administers."""
    return caller.of(desk.store.sites(), Role.ADMIN)
