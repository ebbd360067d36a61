"""All pages of the desk, put into an app.

Knows which parts there are. Each has a module with its routes.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from model.registry import SHIPPED, Registry
from service.passwords import Passwords
from service.rule_trial import SECONDS
from service.storage import Store
from service.storage.accounts import Accounts
from service.storage.accounts_people import People
from service.storage.accounts_throttle import Throttle
from service.storage.watched import Histograms, no_histogram
from service.web import (
    account,
    authors,
    bulk,
    campaigns,
    claims,
    context,
    dashboard,
    decisions,
    digests,
    entry,
    erasure,
    labels,
    live,
    log,
    models,
    people,
    queue,
    raids,
    replay,
    site_rules,
    status,
)
from service.web.desk import Anyone, Desk
from service.web.rendering import PageRoute, Refusal, refused, see_other, static
from service.web.sessions import Sessions

PARTS = (
    entry,
    account,
    people,
    erasure,
    live,
    queue,
    decisions,
    claims,
    context,
    bulk,
    campaigns,
    authors,
    site_rules,
    raids,
    replay,
    log,
    dashboard,
    models,
    labels,
    status,
    digests,
)


def install(
    app: FastAPI,
    store: Store,
    *,
    secure: bool,
    now: Callable[[], datetime],
    poll_seconds: float = live.POLL_SECONDS,
    most_listeners: int = live.MOST_LISTENERS,
    histograms: Histograms = no_histogram,
    passwords: Passwords | None = None,
    registry: Registry = Registry(SHIPPED),  # noqa: B008  frozen
    shadow_of: models.ShadowOf = models.no_shadow,
    serves: Callable[[], str] = lambda: "",
    public_url: str = "",
) -> None:
    """Give an app the pages, their styles and scripts. `secure` is whether people come by https.

    `public_url` is where people reach them, in links that go elsewhere; "" for where each asked.

    `histograms` gives those of models' manifests, and `shadow_of` what a challenger would have
    said; `serves` names the version that judges, and `registry` is where models are promoted, and
    tried on what is stored. `poll_seconds` is
    how often it is looked for what is new, while somebody wants to know, and `most_listeners` how
    many may.

    Routes are plain functions, so that FastAPI runs them in threads: the store blocks.
    """
    app.state.histograms = histograms
    app.state.registry = registry
    app.state.public_url = public_url
    app.state.shadow_of = shadow_of
    app.state.serves = serves
    app.state.replay_seconds = SECONDS
    app.state.desk = Desk(
        store,
        Sessions(store, secure=secure),
        Accounts(store),
        People(store),
        Throttle(store),
        passwords or Passwords(),
        now,
    )
    app.state.live = live.Live(app.state.desk, poll_seconds=poll_seconds, most=most_listeners)
    for routes in _routes():
        app.include_router(routes)
    app.add_exception_handler(404, _nothing_here)


async def _nothing_here(request: Request, error: Exception) -> Response:
    """A page for whoever reads pages; all others are answered as by any other part of the app."""
    if "text/html" in request.headers.get("accept", ""):
        return refused(request, Refusal(404, "nothing_here"))
    answer: Callable[[Request, Exception], Awaitable[Response]]
    answer = request.app.exception_handlers[HTTPException]
    return await answer(request, error)


@cache  # they are made slowly, and hold nothing that is an app's own
def _routes() -> tuple[APIRouter, ...]:
    files = APIRouter(route_class=PageRoute, include_in_schema=False)
    files.add_api_route("/static/{version}/{name}", _static, methods=["GET"], response_model=None)
    files.add_api_route("/", _front, methods=["GET"], response_model=None)
    return (*(part.routes() for part in PARTS), files)


def _front(request: Request, _: Anyone) -> Response:
    """Whoever types the service's address is looking for the queue."""
    return see_other(request, "/queue")


def _static(_: Anyone, version: str, name: str) -> Response:
    return static(version, name)
