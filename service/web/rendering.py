"""Turns values into pages: templates, the headers every page has, pages for what went wrong.

Knows Jinja2 and what a browser may do on a page of ours. Does not know the store's contents.
"""

import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from service.logs import described, request_id, route_of
from service.storage import StoreUnavailable
from service.web import navigation
from service.web.card import plain_name
from service.web.texts import TEXTS, Texts, asked_language, remember_language, texts_for

if TYPE_CHECKING:
    from jinja2 import Environment  # the same as below, for its name

log = logging.getLogger(__name__)

# No inline script or style anywhere; every address a page may load from is our own.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Never the token of a sign-in link. "no-referrer" would hide it as well, but makes browsers
    # send forms with `Origin: null`, and then we cannot tell our own from another site's.
    "Referrer-Policy": "strict-origin",
    "Cache-Control": "no-store",
}

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_CONTENT = {
    file.name: file.read_bytes() for file in files("service.web").joinpath("static").iterdir()
}
ASSETS = {name: _TYPES[name.rpartition(".")[2]] for name in _CONTENT}
# One for all of them, and in the path: a module that another one imports by its name is then of
# the same version, without anything that writes the names anew.
_VERSION = hashlib.sha256(
    b"".join(name.encode() + body for name, body in sorted(_CONTENT.items()))
).hexdigest()[:12]
_YEAR_SECONDS = 365 * 24 * 3600


@cache
def _templates() -> "Environment":
    from jinja2 import (  # noqa: PLC0415  with the first page: comments are judged without
        Environment,
        PackageLoader,
        StrictUndefined,
    )

    environment = Environment(
        loader=PackageLoader("service.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain_name"] = plain_name
    return environment


class Refusal(Exception):
    """Ends a request with a page that says what is wrong and what to do about it.

    `kind` names the sentences `{kind}.title` and `{kind}.body`; `values` fill them in.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        *,
        values: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.values = values or {}
        self.headers = headers or {}


class PageRoute(APIRoute):
    """A route that answers people: whatever goes wrong becomes a page in their language."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with its refusals and the store's absence turned into pages."""
        handler = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as refusal:
                return refused(request, refusal)
            except (RequestValidationError, HTTPException):
                return refused(request, Refusal(400, "unreadable"))
            except StoreUnavailable as error:
                log.warning("page without a store", extra={"problem": described(error)})
                away = Refusal(503, "store_away", headers={"Retry-After": "5"})
                return refused(request, away)
            except ClientDisconnect:
                raise
            except Exception as error:  # the edge: people read pages, not JSON
                log.error("unhandled error", exc_info=error)
                values: dict[str, object] = {"id": request_id(request.scope)}
                return refused(request, Refusal(500, "broken", values=values))

        return with_pages


def wants_data(request: Request) -> bool:
    """Whether a script of ours asks, and reads JSON."""
    return request.headers.get("accept", "").startswith("application/json")


def wants_part(request: Request) -> bool:
    """Whether a script of ours asks for a part that it puts into a page."""
    return request.headers.get("x-part") == "1"


def data(values: Mapping[str, object], *, status: int = 200) -> Response:
    """What a script of ours is answered."""
    return JSONResponse(dict(values), status_code=status, headers=_HEADERS)


def refused(request: Request, refusal: Refusal) -> Response:
    """The page of a refusal, or for a script its sentences."""
    if wants_data(request):
        t = texts_for(request)
        answer = data(
            {
                "kind": refusal.kind,
                "title": t(f"{refusal.kind}.title"),
                "body": t(f"{refusal.kind}.body", **refusal.values),
            },
            status=refusal.status,
        )
        answer.headers.update(refusal.headers)
        return answer
    return page(
        request,
        "message.html",
        status=refusal.status,
        headers=refusal.headers,
        kind=refusal.kind,
        values=refusal.values,
    )


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    texts: Texts | None = None,
    **values: object,
) -> Response:
    """A page made from a template, in the visitor's language, which is remembered if asked for.

    With `texts` it is in that language, and nothing is remembered.
    """
    t = texts or texts_for(request)
    caller = getattr(request.state, "caller", None)
    html = (
        _templates()
        .get_template(template)
        .render(
            t=t,
            languages=TEXTS.values(),
            here=_here(request),
            at_path=request.url.path,
            caller=caller,
            parts=navigation.parts_for(caller),
            root=root(request),
            asset=lambda name: f"{root(request)}/static/{_VERSION}/{_known_asset(name)}",
            **values,
        )
    )
    response = HTMLResponse(html, status_code=status, headers=_HEADERS | (headers or {}))
    if asked_language(request) and texts is None:
        remember_language(response, t.tag)
    return response


def _here(request: Request) -> str:
    """Where a change of language leads: this page, unless its address has a part made up."""
    is_fixed = request.method == "GET" and "{" not in route_of(request.scope)
    path = request.url.path
    # What begins with two slashes is the address of another host to a browser.
    is_here = "//" not in path and "\\" not in path
    return path if is_fixed and is_here else root(request) + "/queue"


def see_other(request: Request, path: str) -> Response:
    """An answer to a form that was sent: go and look there."""
    return RedirectResponse(root(request) + path, status_code=303, headers=_HEADERS)


def attachment(lines: Iterable[str], name: str, kind: str) -> Response:
    """A file to be kept, sent while it is made; `kind` is its media type."""
    headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=f"{kind}; charset=utf-8", headers=headers)


def _known_asset(name: str) -> str:
    assert name in ASSETS, f"there is no {name} in static"
    return name


def static(version: str, name: str) -> Response:
    """A file that pages load. Its address holds the version, so that it may be kept for long.

    A page of another version, from before an update or from a worker that is ahead, gets what
    there is here, and does not keep it.
    """
    if name not in ASSETS:
        raise Refusal(404, "nothing_here")
    kept = f"public, max-age={_YEAR_SECONDS}, immutable" if version == _VERSION else "no-store"
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": kept,
    }
    return Response(_CONTENT[name], headers=headers | {"Content-Type": ASSETS[name]})


def root(request: Request) -> str:
    """What a proxy puts before every path, "" for nothing."""
    prefix: str = request.scope.get("root_path", "")
    return prefix
