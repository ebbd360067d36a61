"""The dashboard: what came, what waited, what people decided, and how often that was turned around.

Knows which sites and days an address asks for. Works without JavaScript.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.storage import Role
from service.storage.figures import Scope, today
from service.storage.grounds import advice
from service.storage.shadows import Shadows
from service.storage.watched import Histograms
from service.web.alerts import told
from service.web.board import Board, read_all
from service.web.csv_rows import csv_lines
from service.web.desk import Caller, Desk, TheDesk, Viewer
from service.web.panels import MOST_ROWS, csv_rows
from service.web.panels_shadow import ShadowPanels
from service.web.rendering import PageRoute, Refusal, attachment, page
from service.web.texts import texts_for

PERIODS = (7, 28, 90, 365)
USUAL = 28


@dataclass(frozen=True, slots=True)
class Choice:
    """What an address asks for. `site_id` is "" for all that the caller may see."""

    site_id: str
    days: int

    @classmethod
    def of(cls, caller: Caller, site: str, days: str) -> "Choice":
        """What is none is the usual; a site that they may not see is none."""
        known = {str(number): number for number in PERIODS}
        seen = site if site and caller.may(Role.VIEWER, site) else ""
        return cls(seen, known.get(days, USUAL))

    def query(self, **more: str | int) -> str:
        """The same as part of an address, with something else in it."""
        asked = {"site": self.site_id, "days": self.days} | more
        return urlencode({name: value for name, value in asked.items() if value})

    def scope(self, caller: Caller, desk: Desk) -> Scope:
        """The sites and days."""
        last = today(desk.store)
        sites = [self.site_id] if self.site_id else caller.sites_as(Role.VIEWER)
        return Scope(sites, last - timedelta(days=self.days - 1), last)


def routes() -> APIRouter:
    """The dashboard and the files of its panels."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/dashboard", dashboard, methods=["GET"], response_model=None)
    router.add_api_route("/dashboard/{key}.csv", as_csv, methods=["GET"], response_model=None)
    return router


def dashboard(
    request: Request, caller: Viewer, desk: TheDesk, site: str = "", days: str = ""
) -> Response:
    """All panels of the sites and days asked for."""
    sites = {one.id: one.name for one in caller.visible(desk.store.sites())}
    choice = Choice.of(caller, site if site in sites else "", days)
    scope = choice.scope(caller, desk)
    return page(
        request,
        "dashboard.html",
        panels=[
            *_board(request, caller, desk, choice).all(),
            *_shadow_panels(request, caller, desk, choice).all(),
        ],
        alerts=told(texts_for(request), desk.store, scope.sites, sites),
        # A model is of all sites: whoever administers fewer has no say in it.
        advice=advice(desk.store) if caller.sites_as(Role.ADMIN) is None else (),
        choice=choice,
        query=choice.query(),
        periods=[(number, f"/dashboard?{choice.query(days=number)}") for number in PERIODS],
        sites=sorted(sites.items(), key=lambda item: item[1]),
        most_rows=MOST_ROWS,
        may_try=caller.may(Role.ADMIN, choice.site_id or None),
        now=desk.now(),
    )


def as_csv(
    request: Request, caller: Viewer, desk: TheDesk, key: str, site: str = "", days: str = ""
) -> Response:
    """The table of one panel, with all its rows."""
    choice = Choice.of(caller, site, days)
    panel = _shadow_panels(request, caller, desk, choice).one(key)
    panel = panel or _board(request, caller, desk, choice).one(key)
    if panel is None:
        raise Refusal(404, "nothing_here")
    return attachment(csv_lines(panel.header, csv_rows(panel)), f"{panel.key}.csv", "text/csv")


def _board(request: Request, caller: Caller, desk: Desk, choice: Choice) -> Board:
    scope = choice.scope(caller, desk)
    histograms: Histograms = request.app.state.histograms
    names = {one.id: one.name for one in caller.visible(desk.store.sites())}
    return Board(texts_for(request), read_all(desk.store, scope), scope, histograms, names)


def _shadow_panels(request: Request, caller: Caller, desk: Desk, choice: Choice) -> ShadowPanels:
    scope = choice.scope(caller, desk)
    names = {one.id: one.name for one in caller.visible(desk.store.sites())}
    return ShadowPanels(texts_for(request), Shadows(desk.store).shadowing(scope), scope, names)
