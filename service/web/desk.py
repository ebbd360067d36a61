"""What the desk's pages work with, and who is at the other end of a request.

Every route of the pages declares who may call it by the type of a parameter: `Anyone`, `Viewer`,
`Moderator` or `Admin`; a test walks all routes and insists. The check comes before the route's
own code, and for whatever writes it includes that the form is one of our own pages.

Knows roles. Does not know what a route does: on which sites somebody may act is for the route to
ask of its `Caller`, and a comment of another site is one that does not exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from service.passwords import Passwords
from service.storage import Role, Site, Store
from service.storage.accounts import Accounts
from service.storage.accounts_people import People
from service.storage.accounts_throttle import Throttle
from service.storage.review import SiteIds
from service.web.rendering import Refusal
from service.web.sessions import Session, Sessions, is_from_own_page

_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages work with; one for an app, at `app.state.desk`."""

    store: Store
    sessions: Sessions
    accounts: Accounts
    people: People
    throttle: Throttle
    passwords: Passwords
    now: Callable[[], datetime]


async def desk_of(request: Request) -> Desk:
    """The desk of the app that was asked."""
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(desk_of)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody signed in. What they may do goes by site."""

    session: Session

    @property
    def name(self) -> str:
        """Who decides, in the log."""
        return self.session.moderator.name

    def sites_as(self, role: Role) -> SiteIds:
        """The sites on which they have that role or more; None is every site."""
        return self.session.moderator.sites_as(role)

    def may(self, role: Role, site_id: str | None = None) -> bool:
        """Whether they have that role or more on a site; without one, on any at all."""
        held = self.sites_as(role)
        return held is None or (bool(held) if site_id is None else site_id in held)

    def visible(self, sites: list[Site]) -> list[Site]:
        """Those of some sites that they may know of."""
        return self.of(sites, Role.VIEWER)

    def of(self, sites: list[Site], role: Role) -> list[Site]:
        """Those of some sites on which they have that role or more."""
        held = self.sites_as(role)
        return sites if held is None else [site for site in sites if site.id in held]


async def _form_token(request: Request) -> str:
    """What a form of ours carries, or a script of ours in a header."""
    if request.method in _READING:
        return ""
    header = request.headers.get("x-form-token")
    return header if header is not None else str((await request.form()).get("form_token", ""))


@dataclass(frozen=True, slots=True)
class Needs:
    """Who may call a route: whoever has this role or more on some site."""

    role: Role

    def __call__(
        self, request: Request, desk: TheDesk, form_token: Annotated[str, Depends(_form_token)]
    ) -> Caller:
        """The caller. Refuses whoever is not signed in, or sent a form that is not ours."""
        session = desk.sessions.of(request)
        if session is None:
            raise Refusal(401, "signed_out", headers={"WWW-Authenticate": "SignInLink"})
        # Another site can neither read the token nor fake where a form is from.
        is_own = is_from_own_page(request) and session.owns(form_token)
        if request.method not in _READING and not is_own:
            raise Refusal(403, "not_our_form")
        caller = Caller(session)
        request.state.caller = caller
        if not caller.may(self.role):
            raise Refusal(403, "may_not")
        return caller


async def anyone() -> None:
    """Nothing is asked of the caller."""


Anyone = Annotated[None, Depends(anyone)]
Viewer = Annotated[Caller, Depends(Needs(Role.VIEWER))]
Moderator = Annotated[Caller, Depends(Needs(Role.MODERATOR))]
Admin = Annotated[Caller, Depends(Needs(Role.ADMIN))]
