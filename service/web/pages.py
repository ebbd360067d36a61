"""All pages of the desk, put into an app.

Knows which parts there are. Each has a module with its routes.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from service.passwords import Passwords
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
    live,
    log,
    people,
    queue,
    raids,
    site_rules,
    status,
)
from service.web.desk import Anyone, Desk
from service.web.rendering import PageRoute, static
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
    log,
    dashboard,
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
) -> None:
    """Give an app the pages, their styles and scripts. `secure` is whether people come by https.

    `histograms` gives those of models' manifests; `poll_seconds` is how often it is looked for
    what is new, while somebody wants to know, and `most_listeners` how many may.

    Routes are plain functions, so that FastAPI runs them in threads: the store blocks.
    """
    app.state.histograms = histograms
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


@cache  # they are made slowly, and hold nothing that is an app's own
def _routes() -> tuple[APIRouter, ...]:
    files = APIRouter(route_class=PageRoute, include_in_schema=False)
    files.add_api_route("/static/{version}/{name}", _static, methods=["GET"], response_model=None)
    return (*(part.routes() for part in PARTS), files)


def _static(_: Anyone, version: str, name: str) -> Response:
    return static(version, name)
