"""Signing in and out.

Knows one-time links and the session they begin. Works without JavaScript.
"""

import re
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.web.desk import Anyone, TheDesk, Viewer
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.sessions import is_from_own_page

# What tokens are made of. Whatever else an address names, no page repeats.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,200}")


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    token: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The pages to sign in and out."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", "/sign-in", sign_in_page),
        ("POST", "/sign-in", sign_in),
        ("POST", "/sign-out", sign_out),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


def sign_in_page(request: Request, _: Anyone, token: str = "") -> Response:
    """One button. Reading a link uses nothing up: mail scanners and previews do that."""
    return page(request, "sign_in.html", token=token if _PLAIN.fullmatch(token) else "")


def sign_in(request: Request, _: Anyone, desk: TheDesk, sent: _Form) -> Response:
    """Use up a link and begin a session."""
    if not is_from_own_page(request):
        raise Refusal(403, "not_our_form")
    if desk.attempts.are_too_many(request):
        wait = str(int(desk.attempts.window.total_seconds()))
        raise Refusal(429, "too_many_attempts", headers={"Retry-After": wait})
    before = desk.sessions.of(request)
    response = see_other(request, "/queue")
    if not desk.sessions.begin(sent.token.strip(), response, instead_of=before):
        desk.attempts.note_bad(request)
        raise Refusal(403, "bad_link")
    return response


def sign_out(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """End the session, here and in the browser."""
    response = see_other(request, "/sign-in")
    desk.sessions.end(caller.session, response)
    return response
