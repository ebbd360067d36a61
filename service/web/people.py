"""Who may enter, for admins: invitations, roles, links, sessions, accounts.

Knows that an admin sees the people of their own sites and nothing of others, and that nobody
changes their own role. Links are shown once, on the answer to the form that made them. Works
without JavaScript.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.addresses import mask_addresses
from service.storage import EVERY_SITE, NameTaken, Role, Site, UnknownModerator, UnknownSite
from service.storage.accounts_people import Person
from service.storage.errors import KeptElsewhere, LastAdmin
from service.storage.sign_in import folded
from service.web.card import plain_name
from service.web.desk import Admin, Caller, Desk, TheDesk
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, page, root, see_other

LINK_LIFETIME = timedelta(hours=24)
LONGEST_NAME = 60
EVERYWHERE = "every"
"""In a form, in the place of a site's id: all there are."""

DONE = frozenset({"role", "sessions", "disabled", "enabled", "reset"})


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    name: str = ""
    site: str = ""
    role: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The pages of the people who may enter."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", "/people", people_page),
        ("POST", "/people", invite),
        ("GET", "/people/{person_id}", person_page),
        ("POST", "/people/{person_id}/role", change_role),
        ("POST", "/people/{person_id}/link", make_link),
        ("POST", "/people/{person_id}/end-sessions", end_sessions),
        ("POST", "/people/{person_id}/disable", disable),
        ("POST", "/people/{person_id}/enable", enable),
        ("POST", "/people/{person_id}/reset", reset),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


def people_page(request: Request, caller: Admin, desk: TheDesk) -> Response:
    """Everybody on the caller's sites, and a form to invite somebody."""
    return _people(request, caller, desk)


def _people(
    request: Request,
    caller: Caller,
    desk: Desk,
    *,
    fault: str = "",
    sent: Sent | None = None,
    status: int = 200,
) -> Response:
    found = desk.people.all(caller.sites_as(Role.ADMIN))
    sites = _sites(caller, desk)
    return page(
        request,
        "people.html",
        status=status,
        people=found,
        sites=sites,
        site_names={site.id: plain_name(site.name) for site in sites},
        everywhere=EVERYWHERE if caller.sites_as(Role.ADMIN) is None else "",
        roles=list(Role),
        fault=fault,
        sent=sent or Sent(role=Role.MODERATOR.value),
        longest=LONGEST_NAME,
        plain_name=plain_name,
        now=desk.now(),
    )


def _sites(caller: Caller, desk: Desk) -> list[Site]:
    """The sites that the caller administers."""
    return caller.of(desk.store.sites(), Role.ADMIN)


def invite(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """A new account with a role, and the link to its first session."""
    name = " ".join(sent.name.split())
    role, site_id = _role(sent.role), _site(sent.site)
    if role is None:
        raise Refusal(400, "unreadable")
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or not folded(name):
        return _people(request, caller, desk, fault="name", sent=sent, status=422)
    if mask_addresses(name) != name:
        return _people(request, caller, desk, fault="name_address", sent=sent, status=422)
    try:
        new, token = desk.people.invite(
            caller.sites_as(Role.ADMIN),
            name,
            role,
            site_id=site_id,
            by=caller.name,
            lifetime=LINK_LIFETIME,
        )
    except UnknownSite:
        raise Refusal(404, "unknown_site") from None
    except NameTaken:
        return _people(request, caller, desk, fault="name_taken", sent=sent, status=409)
    return _link_page(request, new.id, new.name, token)


def _role(text: str) -> Role | None:
    return Role(text) if text in set(Role) else None


def _site(text: str) -> str:
    """The site's id that a form names; one that cannot be an id is that of no site."""
    if text == EVERYWHERE:
        return EVERY_SITE
    if not ID.fullmatch(text):
        raise Refusal(404, "unknown_site")
    return text


def _link_page(request: Request, person_id: str, name: str, token: str) -> Response:
    asked = f"{request.url.scheme}://{request.url.netloc}{root(request)}"
    base = request.app.state.public_url or asked
    return page(
        request,
        "people_link.html",
        person_id=person_id,
        name=plain_name(name),
        link=f"{base}/sign-in?token={token}",
        hours=LINK_LIFETIME // timedelta(hours=1),
    )


# ------------------------------------------------------------------ one person


def person_page(
    request: Request, caller: Admin, desk: TheDesk, person_id: str, done: str = ""
) -> Response:
    """One person: roles, links, sessions, the account."""
    person = _known(caller, desk, person_id)
    return _person(request, caller, desk, person, done=done if done in DONE else "")


def _person(
    request: Request,
    caller: Caller,
    desk: Desk,
    person: Person,
    *,
    done: str = "",
    fault: str = "",
    status: int = 200,
) -> Response:
    sites = _sites(caller, desk)
    return page(
        request,
        "person.html",
        status=status,
        person=person,
        name=plain_name(person.name),
        is_me=person.id == caller.session.moderator.id,
        sites=sites,
        site_names={site.id: plain_name(site.name) for site in sites},
        everywhere=EVERYWHERE if caller.sites_as(Role.ADMIN) is None else "",
        roles=list(Role),
        done=done,
        fault=fault,
        now=desk.now(),
    )


def _known(caller: Caller, desk: Desk, person_id: str) -> Person:
    try:
        if not ID.fullmatch(person_id):
            raise UnknownModerator
        return desk.people.one(caller.sites_as(Role.ADMIN), person_id)
    except UnknownModerator:
        raise Refusal(404, "unknown_person") from None


def change_role(
    request: Request, caller: Admin, desk: TheDesk, person_id: str, sent: _Form
) -> Response:
    """Give a role on one of the caller's sites, or take it."""
    person = _another(caller, desk, person_id)
    role, site_id = _role(sent.role), _site(sent.site)
    if role is None and sent.role:
        raise Refusal(400, "unreadable")
    try:
        admin_of = caller.sites_as(Role.ADMIN)
        desk.people.set_role(admin_of, person.id, site_id, role, by=caller.name)
    except UnknownSite:
        raise Refusal(404, "unknown_site") from None
    except UnknownModerator:
        raise Refusal(404, "unknown_person") from None
    except LastAdmin:
        return _person(request, caller, desk, person, fault="last_admin", status=409)
    try:
        desk.people.one(admin_of, person.id)
    except UnknownModerator:  # not theirs any more
        return see_other(request, "/people")
    return see_other(request, f"/people/{person.id}?done=role#roles")


def make_link(request: Request, caller: Admin, desk: TheDesk, person_id: str) -> Response:
    """A new link, in the place of earlier ones."""
    person = _ours(caller, desk, person_id)
    try:
        token = desk.people.new_link(
            caller.sites_as(Role.ADMIN), person.id, by=caller.name, lifetime=LINK_LIFETIME
        )
    except (UnknownModerator, KeptElsewhere):
        raise Refusal(404, "unknown_person") from None
    return _link_page(request, person.id, person.name, token)


def end_sessions(request: Request, caller: Admin, desk: TheDesk, person_id: str) -> Response:
    """Sign somebody out everywhere."""
    person = _ours(caller, desk, person_id)
    return _done(request, caller, desk, person, "end_sessions", done="sessions")


def disable(request: Request, caller: Admin, desk: TheDesk, person_id: str) -> Response:
    """Let somebody in no more."""
    person = _ours(caller, desk, person_id, but_me=True)
    return _done(request, caller, desk, person, "disable", done="disabled")


def enable(request: Request, caller: Admin, desk: TheDesk, person_id: str) -> Response:
    """Let somebody in again."""
    person = _ours(caller, desk, person_id)
    return _done(request, caller, desk, person, "enable", done="enabled")


def reset(request: Request, caller: Admin, desk: TheDesk, person_id: str) -> Response:
    """Take somebody's password and one-time codes away."""
    person = _ours(caller, desk, person_id, but_me=True)
    return _done(request, caller, desk, person, "reset", done="reset")


def _done(
    request: Request, caller: Caller, desk: Desk, person: Person, what: str, *, done: str
) -> Response:
    acts = {
        "end_sessions": desk.people.end_sessions,
        "disable": desk.people.disable,
        "enable": desk.people.enable,
        "reset": desk.people.reset,
    }
    try:
        acts[what](caller.sites_as(Role.ADMIN), person.id, by=caller.name)
    except (UnknownModerator, KeptElsewhere):
        raise Refusal(404, "unknown_person") from None
    except LastAdmin:
        return _person(request, caller, desk, person, fault="last_admin", status=409)
    return see_other(request, f"/people/{person.id}?done={done}#account")


def _another(caller: Caller, desk: Desk, person_id: str) -> Person:
    person = _known(caller, desk, person_id)
    if person.id == caller.session.moderator.id:
        raise Refusal(409, "not_oneself")
    return person


def _ours(caller: Caller, desk: Desk, person_id: str, *, but_me: bool = False) -> Person:
    person = _another(caller, desk, person_id) if but_me else _known(caller, desk, person_id)
    if not person.is_ours:
        raise Refusal(409, "kept_elsewhere")
    return person
