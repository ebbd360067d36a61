"""The pages under /docs: the OpenAPI explorer and the list of problems, both usable offline.

Knows HTML and where the explorer's files are installed. Nothing is loaded from another host,
and the pages' policy forbids the browser to try.
"""

import html
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI
from fastapi import Path as InPath
from starlette.responses import FileResponse, HTMLResponse, Response

from service.problems import KINDS, PAGE, Problem

# What the browser may load. Styles in attributes are React's; no script runs but our own files.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_KEPT = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_INSTALLED = Path(str(files("fastapi_offline"))) / "static"

# Addresses are relative, so that the page works behind a proxy that adds a path.
_EXPLORER = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<main id="explorer"></main>
<noscript>
This page needs JavaScript; the same is in <a href="openapi.json">openapi.json</a>.
</noscript>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Without `validatorUrl: null` the explorer sends the schema's address to a host on the internet.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  validatorUrl: null,
});
"""

_PROBLEMS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Problems</title>
</head>
<body>
<main>
<h1>Problems</h1>
<p>Every error is answered as <code>application/problem+json</code> (RFC 9457). Its
<code>type</code> leads here; <code>code</code> is stable and meant for programs. No problem
repeats what was sent.</p>
<dl>
{rows}
</dl>
</main>
</body>
</html>
"""


def install(app: FastAPI) -> None:
    """Add the pages to an app made with `docs_url=None, redoc_url=None`."""
    app.include_router(_routes(app.title))


def _routes(title: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def explorer() -> Response:
        return HTMLResponse(_EXPLORER.format(title=html.escape(title)), headers=_HEADERS)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_KEPT)

    @router.get("/docs/assets/{name}")
    async def asset(name: Annotated[str, InPath(max_length=40)]) -> Response:
        if name not in _ASSETS:
            raise Problem("not_found")
        return FileResponse(_INSTALLED / name, media_type=_ASSETS[name], headers=_KEPT)

    @router.get(PAGE)
    async def problems() -> Response:
        return HTMLResponse(_PROBLEMS.format(rows=_rows()), headers=_HEADERS)

    return router


def _rows() -> str:
    return "\n".join(
        f'<dt id="{code}"><code>{code}</code> ({kind.status})</dt>'
        f"<dd>{html.escape(kind.title)}.</dd>"
        for code, kind in KINDS.items()
    )
