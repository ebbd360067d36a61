"""What OpenAPI says where FastAPI cannot know: bodies that are read by hand, and problems."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.perspective import PREFIX as PERSPECTIVE
from service.api.perspective import AnalyzeIn, SuggestIn
from service.api.schemas import CommentIn, DecisionIn, ReportIn
from service.problems import MEDIA_TYPE

VERSION = version("duyet")

_READ_BY_HAND: tuple[type[BaseModel], ...] = (CommentIn, DecisionIn, ReportIn, AnalyzeIn, SuggestIn)

_SITE_KEY = "site key"
_KEYS: dict[str, dict[str, str]] = {
    _SITE_KEY: {"type": "http", "scheme": "bearer", "description": "A key of the site."},
    "site key in the query": {"type": "apiKey", "in": "query", "name": "key"},
    "site key in a header": {"type": "apiKey", "in": "header", "name": "X-Goog-Api-Key"},
}

# What FastAPI would answer to wrong parameters, and we do not.
_NEVER_ANSWERED = ("HTTPValidationError", "ValidationError")
_OTHER_PROTOCOLS = ("/1.1/", "/1.2/", "/v1alpha1/", "/coral/", "/$discovery/", "/discovery/")
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}


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
    for name in _NEVER_ANSWERED:
        components["schemas"].pop(name, None)
    components["securitySchemes"] = _KEYS
    for path, operations in schema["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{_SITE_KEY: []}]
        if path.startswith(PERSPECTIVE):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _KEYS if name != _SITE_KEY]
        if path.startswith(_OTHER_PROTOCOLS):
            for operation in operations.values():
                _drop_never_answered(operation["responses"])
            continue  # errors are told in words of their own
        for operation in operations.values():
            operation["responses"] = _answers(operation["responses"])
    _link_comments(schema["paths"])
    return schema


def _link_comments(paths: dict[str, Any]) -> None:
    """Say that the id in an answer is the one in the paths of what can be done with a comment."""
    links = {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {"comment_id": "$response.body#/id"},
        }
        for path, operations in paths.items()
        if path.startswith("/v1/comments/{comment_id}")
        for operation in operations.values()
    }
    paths["/v1/comments"]["post"]["responses"]["200"]["links"] = links


def _drop_never_answered(responses: dict[str, Any]) -> None:
    for status in [s for s, answer in responses.items() if _NEVER_ANSWERED[0] in str(answer)]:
        del responses[status]


def _answers(responses: dict[str, Any]) -> dict[str, Any]:
    """The answers of an operation: what is an error is a problem, also one not foreseen."""
    told = {
        status: answer | {"content": _PROBLEM} if status >= "400" else answer
        for status, answer in responses.items()
        if _NEVER_ANSWERED[0] not in str(answer)
    }
    return told | {"default": {"description": "Any other problem", "content": _PROBLEM}}
