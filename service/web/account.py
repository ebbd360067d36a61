"""One's own account: password, one-time codes, sessions, language, keys.

Knows what its owner has to show before something grave: the password, or a code. Works without
JavaScript.
"""

import binascii
import re
from base64 import b32decode, b32encode
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.passwords import LONGEST, SHORTEST, TooBusy, fault_of
from service.storage.accounts import CODE_KEY_BYTES, Account, codes_of, new_code_key
from service.web.attempts import OWN, limit, take, too_busy
from service.web.desk import Caller, Desk, TheDesk, Viewer
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.sessions import client_of
from service.web.texts import TEXTS, remember_language

ISSUER = "Duyet"
SESSION_ID = re.compile(r"[0-9a-f]{32}")
DONE = frozenset(
    {"password", "no_password", "codes_off", "session_ended", "others_ended", "choices"}
)


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    password: str = Field("", repr=False)
    new_password: str = Field("", repr=False)
    key: str = Field("", repr=False)
    code: str = Field("", repr=False)
    language: str = ""
    single_keys: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The pages of one's own account."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", "/account", account_page),
        ("POST", "/account/password", change_password),
        ("POST", "/account/password/remove", remove_password),
        ("GET", "/account/codes", codes_page),
        ("POST", "/account/codes", turn_codes_on),
        ("POST", "/account/codes/off", turn_codes_off),
        ("POST", "/account/codes/recovery", renew_recovery_codes),
        ("POST", "/account/sessions/end-others", end_others),
        ("POST", "/account/sessions/{session_id}/end", end_session),
        ("POST", "/account/choices", choose),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


def account_page(request: Request, caller: Viewer, desk: TheDesk, done: str = "") -> Response:
    """Everything of one's own account."""
    return _page(request, caller, desk, done=done if done in DONE else "")


def _page(
    request: Request,
    caller: Caller,
    desk: Desk,
    *,
    done: str = "",
    fault: str = "",
    at: str = "",
    status: int = 200,
) -> Response:
    """The page, with what was done, or what is wrong `at` one of its forms."""
    own = _own(caller, desk)
    return page(
        request,
        "account.html",
        status=status,
        account=own,
        sessions=desk.accounts.sessions_of(own.moderator_id),
        languages_spoken=TEXTS,
        done=done,
        fault=fault,
        at=at,
        shortest=SHORTEST,
        longest=LONGEST,
        now=desk.now(),
    )


def _own(caller: Caller, desk: Desk) -> Account:
    own = desk.accounts.of(caller.session.moderator.id)
    if own is None:  # disabled between two looks
        raise Refusal(401, "signed_out")
    return own


# ------------------------------------------------------------------ passwords


def change_password(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """Set a password, or another one. Every other session ends."""
    own = _own(caller, desk)
    if own.password is not None and not _is_password(desk, own, sent.password):
        return _page(request, caller, desk, at="password", fault="password", status=403)
    fault = fault_of(sent.new_password, own.name)
    if fault:
        return _page(request, caller, desk, at="password", fault=fault, status=422)
    try:
        hashed = desk.passwords.hash(sent.new_password)
    except TooBusy:
        raise too_busy() from None
    return _with_password(request, caller, desk, own, hashed, done="password")


def remove_password(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """Go on with links alone."""
    own = _own(caller, desk)
    if own.password is None:
        return see_other(request, "/account#password")
    if not _is_password(desk, own, sent.password):
        return _page(request, caller, desk, at="remove", fault="password", status=403)
    return _with_password(request, caller, desk, own, None, done="no_password")


def _with_password(
    request: Request, caller: Caller, desk: Desk, own: Account, hashed: str | None, *, done: str
) -> Response:
    token = desk.accounts.set_password(own, hashed, client=client_of(request))
    if token is None:  # changed elsewhere at the same time
        return _page(request, caller, desk, at="password", fault="password", status=409)
    response = see_other(request, f"/account?done={done}#password")
    desk.sessions.put(token, response)
    return response


def _is_password(desk: Desk, own: Account, password: str) -> bool:
    limits = [limit(OWN, own.moderator_id)]
    take(desk, limits)
    try:
        is_right = desk.passwords.is_right(password, own.password)
    except TooBusy:
        desk.throttle.give_back(limits)
        raise too_busy() from None
    if is_right:
        desk.throttle.give_back(limits)
    return is_right


# ------------------------------------------------------------------ one-time codes


def codes_page(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """A new key to be put into an authenticator app. Nothing is kept of it yet."""
    if _own(caller, desk).has_codes:
        return see_other(request, "/account#codes")
    return _key_page(request, caller, new_code_key())


def _key_page(
    request: Request, caller: Caller, key: bytes, *, fault: str = "", status: int = 200
) -> Response:
    shown = b32encode(key).decode()
    return page(
        request,
        "account_codes.html",
        status=status,
        key=shown,
        groups=re.findall(".{4}", shown),
        uri=codes_of(key).get_provisioning_uri(caller.name, ISSUER),
        fault=fault,
    )


def turn_codes_on(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """Ask for one-time codes from now on, provided the app makes the right ones."""
    own = _own(caller, desk)
    if own.has_codes:
        return see_other(request, "/account#codes")
    try:
        key = b32decode(sent.key)
    except (binascii.Error, ValueError):
        raise Refusal(400, "unreadable") from None
    if len(key) != CODE_KEY_BYTES:
        raise Refusal(400, "unreadable")
    codes = desk.accounts.turn_codes_on(own.moderator_id, key, _plain(sent.code))
    if codes is None:
        return _key_page(request, caller, key, fault="code", status=422)
    desk.accounts.end_others(own.moderator_id, caller.session.id)
    return page(request, "account_recovery.html", codes=codes)


def turn_codes_off(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """Ask for no one-time codes any more, of whoever shows one."""
    own = _own(caller, desk)
    if not own.has_codes:
        return see_other(request, "/account#codes")
    if not _is_code(desk, own, sent.code):
        return _page(request, caller, desk, at="codes_off", fault="code", status=403)
    desk.accounts.turn_codes_off(own.moderator_id)
    return see_other(request, "/account?done=codes_off#codes")


def renew_recovery_codes(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """New recovery codes in the place of those there are, for whoever shows a code."""
    own = _own(caller, desk)
    if not own.has_codes:
        return see_other(request, "/account#codes")
    if not _is_code(desk, own, sent.code):
        return _page(request, caller, desk, at="recovery", fault="code", status=403)
    codes = desk.accounts.renew_recovery_codes(own.moderator_id)
    return page(request, "account_recovery.html", codes=codes)


def _is_code(desk: Desk, own: Account, code: str) -> bool:
    limits = [limit(OWN, own.moderator_id)]
    take(desk, limits)
    is_right = desk.accounts.use_code(own.moderator_id, _plain(code))
    if is_right:
        desk.throttle.give_back(limits)
    return is_right


def _plain(code: str) -> str:
    return "".join(code[:100].split())


# ------------------------------------------------------------------ sessions


def end_session(request: Request, caller: Viewer, desk: TheDesk, session_id: str) -> Response:
    """End one of one's own sessions; this one as well, if that is meant."""
    is_id = SESSION_ID.fullmatch(session_id)
    if not is_id or not desk.accounts.end_session(caller.session.moderator.id, session_id):
        raise Refusal(404, "unknown_session")
    if session_id == caller.session.id:
        return see_other(request, "/sign-in")
    return see_other(request, "/account?done=session_ended#sessions")


def end_others(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """End every session of one's own but this one."""
    desk.accounts.end_others(caller.session.moderator.id, caller.session.id)
    return see_other(request, "/account?done=others_ended#sessions")


# ------------------------------------------------------------------ choices


def choose(request: Request, caller: Viewer, desk: TheDesk, sent: _Form) -> Response:
    """The language and whether single keys do something, on every device."""
    if sent.language not in {"", *TEXTS} or sent.single_keys not in {"", "on"}:
        raise Refusal(400, "unreadable")
    desk.accounts.choose(
        caller.session.moderator.id, language=sent.language, single_keys=sent.single_keys == "on"
    )
    response = see_other(request, "/account?done=choices#choices")
    remember_language(response, sent.language)
    return response
