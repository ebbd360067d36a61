"""What OpenAPI says where FastAPI cannot know: bodies that are read by hand."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.schemas import CommentIn, DecisionIn, ReportIn

VERSION = version("duyet")

_READ_BY_HAND: tuple[type[BaseModel], ...] = (CommentIn, DecisionIn, ReportIn)


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` complete: the bodies' schemas and how a site names itself."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _complete(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    _, bodies = models_json_schema(
        [(model, "validation") for model in _READ_BY_HAND],
        ref_template="#/components/schemas/{model}",
    )
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(bodies["$defs"])
    components["securitySchemes"] = {
        "site key": {"type": "http", "scheme": "bearer", "description": "A key of the site."}
    }
    for path, operations in schema["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"site key": []}]
    return schema
