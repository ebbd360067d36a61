"""Signing in and out.

Knows the ways in: a one-time link, with or without setting a password; a name and its password;
after either a one-time code where the account asks for one. Whoever fails is told the same, and
as late, whether the name exists or not. Works without JavaScript.
"""

import hmac
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.passwords import LONGEST, SHORTEST, TooBusy, fault_of
from service.storage.accounts import Account
from service.storage.accounts_throttle import Limit
from service.storage.sign_in import folded
from service.storage.tables import microseconds_of
from service.web.attempts import CODES, DEVICE, NETWORK, STRANGERS, limit, take, too_busy
from service.web.card import plain_name
from service.web.desk import Anyone, Desk, TheDesk, Viewer
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.sessions import client_of, is_from_own_page, is_token, network_of
from service.web.texts import remember_language

TICKET_LIFETIME = timedelta(minutes=5)
"""How long somebody may look for their code after their password was right."""

_LONGEST_NAME = 200

# What tokens are made of. Whatever else an address names, no page repeats.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,200}")


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    token: str = Field("", repr=False)
    name: str = ""
    password: str = Field("", repr=False)
    new_password: str = Field("", repr=False)
    ticket: str = Field("", repr=False)
    code: str = Field("", repr=False)


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


def sign_in_page(request: Request, _: Anyone, desk: TheDesk, token: str = "") -> Response:
    """A form for a name and a password, or one that uses a link.

    Reading a link uses nothing up: mail scanners and previews do that.
    """
    token = token if _PLAIN.fullmatch(token) else ""
    owner = desk.accounts.of_link(token) if is_token(token) else None
    return _asks(request, token=token, owner=owner)


def _asks(
    request: Request,
    *,
    token: str = "",
    owner: Account | None = None,
    fault: str = "",
    name: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "sign_in.html",
        status=status,
        token=token,
        owner=owner,
        owner_name=plain_name(owner.name) if owner else "",
        fault=fault,
        name=name,
        shortest=SHORTEST,
        longest=LONGEST,
    )


def sign_in(request: Request, _: Anyone, desk: TheDesk, sent: _Form) -> Response:
    """Begin a session."""
    if not is_from_own_page(request):
        raise Refusal(403, "not_our_form")
    if sent.ticket:
        return _by_code(request, desk, sent)
    if sent.name or sent.password:
        return _by_password(request, desk, sent)
    return _by_link(request, desk, sent)


def sign_out(request: Request, caller: Viewer, desk: TheDesk) -> Response:
    """End the session, here and in the browser."""
    response = see_other(request, "/sign-in")
    desk.sessions.end(caller.session, response)
    return response


# ------------------------------------------------------------------ the ways in


def _by_link(request: Request, desk: Desk, sent: Sent) -> Response:
    token = sent.token.strip()
    limits = [limit(NETWORK, network_of(request))]
    take(desk, limits)
    account = desk.accounts.of_link(token) if is_token(token) else None
    if account is None:
        raise Refusal(403, "bad_link")
    password = None
    if sent.new_password and not account.has_codes:
        fault = fault_of(sent.new_password, account.name)
        if fault:
            desk.throttle.give_back(limits)
            return _asks(request, token=token, owner=account, fault=fault, status=422)
        password = _hashed(desk, sent.new_password)
    if account.has_codes and not _is_code(request, desk, account, sent.code):
        return _asks_for_code(request, token=token, fault="code", status=403)
    session = desk.accounts.use_link(token, client_of(request), password=password)
    if session is None:  # somebody else was faster
        raise Refusal(403, "bad_link")
    desk.throttle.give_back(limits)
    return _entered(request, desk, account, session)


def _by_password(request: Request, desk: Desk, sent: Sent) -> Response:
    name = sent.name[:_LONGEST_NAME]
    account = desk.accounts.named(name)
    limits = _limits(request, desk, name, account)
    take(desk, limits)
    stored = account.password if account else None
    try:
        is_right = desk.passwords.is_right(sent.password, stored)
    except TooBusy:
        desk.throttle.give_back(limits)
        raise too_busy() from None
    if not is_right or account is None or stored is None:
        return _asks(request, fault="wrong", status=403)
    desk.throttle.give_back(limits)
    account = _at_today_s_cost(desk, account, sent.password)
    if account.has_codes:
        ticket = _ticket(desk, account, desk.now() + TICKET_LIFETIME)
        return _asks_for_code(request, ticket=ticket)
    return _begun(request, desk, account, how="password")


def _at_today_s_cost(desk: Desk, account: Account, password: str) -> Account:
    """The account, its password hashed anew where that was done at another cost."""
    if not desk.passwords.is_outdated(account.password or ""):
        return account
    with suppress(TooBusy):  # then the next time
        desk.accounts.rehash(account, desk.passwords.hash(password))
    return desk.accounts.of(account.moderator_id) or account


def _by_code(request: Request, desk: Desk, sent: Sent) -> Response:
    account = _account_of(desk, sent.ticket)
    if account is None:
        return _asks(request, fault="too_late", status=403)
    if not _is_code(request, desk, account, sent.code):
        return _asks_for_code(request, ticket=sent.ticket, fault="code", status=403)
    return _begun(request, desk, account, how="password_and_code")


def _begun(request: Request, desk: Desk, account: Account, *, how: str) -> Response:
    session = desk.accounts.begin_session(account, client_of(request), how=how)
    if session is None:
        return _asks(request, fault="wrong", status=403)
    return _entered(request, desk, account, session)


def _entered(request: Request, desk: Desk, account: Account, session: str) -> Response:
    before = desk.sessions.of(request)
    response = see_other(request, "/queue")
    remember_language(response, account.language)
    desk.sessions.begin(session, response, moderator_id=account.moderator_id, instead_of=before)
    return response


# ------------------------------------------------------------------ one-time codes


def _is_code(request: Request, desk: Desk, account: Account, code: str) -> bool:
    """Use up a code; False for one that is wrong. Without one nothing is counted."""
    if not code.strip():
        return False
    device = desk.sessions.device_of(request, account.moderator_id)
    limits = [limit(CODES, f"{account.moderator_id}\0{device}")]
    take(desk, limits)
    is_right = desk.accounts.use_code(account.moderator_id, code[:_LONGEST_NAME])
    if is_right:
        desk.throttle.give_back(limits)
    return is_right


def _asks_for_code(
    request: Request, *, token: str = "", ticket: str = "", fault: str = "", status: int = 200
) -> Response:
    return page(
        request, "sign_in_code.html", status=status, token=token, ticket=ticket, fault=fault
    )


# A ticket says that somebody's password was right a moment ago: signed, and bound to it.


def _ticket(desk: Desk, account: Account, until: datetime) -> str:
    stamp = str(microseconds_of(until))
    signed = "\0".join(("ticket", account.moderator_id, stamp, account.password or ""))
    return f"{account.moderator_id}.{stamp}.{desk.store.keyring.token_hash(signed)}"


def _account_of(desk: Desk, ticket: str) -> Account | None:
    found = re.fullmatch(r"([0-9a-f-]{36})\.([0-9]{1,18})\.[0-9a-f]{64}", ticket)
    account = desk.accounts.of(found[1]) if found else None
    if found is None or account is None:
        return None
    try:
        until = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(found[2]))
    except OverflowError:  # a year that there is none of
        return None
    is_ours = hmac.compare_digest(_ticket(desk, account, until), ticket)
    return account if is_ours and desk.now() < until else None


# ------------------------------------------------------------------ who has to wait


def _limits(request: Request, desk: Desk, name: str, account: Account | None) -> list[Limit]:
    device = desk.sessions.device_of(request, account.moderator_id if account else "")
    whose = limit(DEVICE, device) if device else limit(STRANGERS, folded(name))
    return [limit(NETWORK, network_of(request)), whose]


def _hashed(desk: Desk, password: str) -> str:
    try:
        return desk.passwords.hash(password)
    except TooBusy:
        raise too_busy() from None
