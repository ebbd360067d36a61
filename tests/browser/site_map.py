"""Which pages there are, and an address of each: read off the app, then found by following links.

Knows no page by name, so that a new one is found by itself.
"""

import json
import re
import tempfile
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.routing import Route

from service.keyring import Keyring
from service.storage import Store, utc_now
from service.web import pages
from service.web.desk import anyone
from service.web.rendering import PageRoute

MOST_OF_A_ROUTE = 12
MOST_OF_A_KIND = 2
_LINK = re.compile(r"""<(?:a|form|link)\b[^>]*?\b(?:href|action)=["']([^"']+)["']""")
_POSTING = re.compile(r"""<form\b[^>]*\bmethod=["']?post\b[^>]*>""", re.IGNORECASE)


def _routes(router: Any) -> Iterator[PageRoute]:
    for route in router.routes:
        if isinstance(route, PageRoute):
            yield route
        elif not isinstance(route, Route) and hasattr(route, "original_router"):
            yield from _routes(route.original_router)


def page_routes() -> list[PageRoute]:
    """Every route of the pages."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    with tempfile.TemporaryDirectory() as directory:
        keyring = Keyring.open(Path(directory))
    pages.install(app, Store.open("sqlite:///nowhere.db", keyring), secure=False, now=utc_now)
    return list(_routes(app))


ROUTES = page_routes()
READ = {route.path: route for route in ROUTES if "GET" in (route.methods or ())}
WRITTEN = [route for route in ROUTES if "POST" in (route.methods or ())]


def _called(dependant: Dependant) -> Iterator[object]:
    for one in dependant.dependencies:
        yield one.call
        yield from _called(one)


def is_for_anyone(route: PageRoute) -> bool:
    """Whether it asks nobody who they are."""
    return anyone in _called(route.dependant)


def asked_by(route: PageRoute) -> list[str]:
    """The fields of the address that a route reads."""
    return [one.alias for one in route.dependant.query_params]


def sent_to(route: PageRoute) -> list[str]:
    """The fields of the form that a route reads."""
    found: list[str] = []
    for one in route.dependant.body_params:
        kind = one.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += [info.alias or name for name, info in kind.model_fields.items()]
        else:
            found.append(one.alias)
    return found


def route_of(address: str) -> PageRoute | None:
    """The page route that answers an address."""
    path = urlsplit(address).path
    return next((r for r in READ.values() if r.path_regex.fullmatch(path)), None)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at an address."""

    address: str
    status: int
    kind: str
    text: str = field(repr=False)
    is_guessed: bool = False

    @property
    def is_page(self) -> bool:
        """A whole page, and not a piece that a script asks for."""
        return self.kind.startswith("text/html") and "<html" in self.text[:200]


SiteMap = dict[str, list[Found]]
"""By the path of a route, what was found there; the barest address first."""


def walked(client: httpx.Client, *more: str) -> SiteMap:
    """What there is to be read by links from the pages without a variable in their path.

    Of addresses that differ in what they ask only, a few of each kind are looked at. `more`
    are addresses that no page links to. What only scripts and mails lead to is tried with the
    variables that were met elsewhere.
    """
    walk = _Walk(client)
    walk.follow([*(path for path in READ if "{" not in path), *more])
    walk.follow(list(walk.guessed()), is_guessed=True)
    return dict(walk.found)


@dataclass
class _Walk:
    client: httpx.Client
    found: SiteMap = field(default_factory=lambda: defaultdict(list))
    seen: set[str] = field(default_factory=set)
    kinds: dict[tuple[str, frozenset[str]], int] = field(default_factory=lambda: defaultdict(int))

    def follow(self, addresses: Iterable[str], *, is_guessed: bool = False) -> None:
        waiting = deque(addresses)
        while waiting:
            address = waiting.popleft()
            route = route_of(address)
            if address in self.seen or route is None or route.path.startswith("/static/"):
                continue
            self.seen.add(address)
            if self._has_enough(route, address):
                continue
            one = replace(read(self.client, address), is_guessed=is_guessed)
            self.found[route.path].append(one)
            if one.kind.startswith("text/html"):
                waiting += _links(one)

    def _has_enough(self, route: PageRoute, address: str) -> bool:
        kind = (route.path, _fields_of(address))
        self.kinds[kind] += 1
        return self.kinds[kind] > MOST_OF_A_KIND or len(self.found[route.path]) >= MOST_OF_A_ROUTE

    def guessed(self) -> Iterator[str]:
        """Addresses of routes to which no link led."""
        known: dict[str, str] = {}
        for path, all_ in self.found.items():
            for one in all_:
                met = READ[path].path_regex.fullmatch(urlsplit(one.address).path)
                known |= met.groupdict() if met else {}
        for path in READ:
            if path not in self.found:
                yield re.sub(r"{(\w+)[^}]*}", lambda name: known.get(name[1], "none"), path)


def _fields_of(address: str) -> frozenset[str]:
    return frozenset(part.partition("=")[0] for part in urlsplit(address).query.split("&"))


def _links(found: Found) -> list[str]:
    own = _POSTING.sub("", found.text)
    links = (urljoin(found.address, unescape(link)) for link in _LINK.findall(own))
    # A language that was asked for would be remembered.
    return [at.partition("#")[0] for at in links if at[0] == "/" and "lang" not in _fields_of(at)]


def read(client: httpx.Client, address: str) -> Found:
    """What is at an address. Of what never ends only the beginning is read."""
    with client.stream("GET", address) as answer:
        kind = answer.headers.get("content-type", "")
        endless = kind.startswith("text/event-stream")
        text = "" if endless else answer.read().decode("utf-8", "replace")
        return Found(address, answer.status_code, kind, text)


def described(found: SiteMap) -> str:
    """What there is, for a person."""
    return json.dumps(
        {path: [f"{one.status} {one.address}" for one in all_] for path, all_ in found.items()},
        indent=1,
    )
