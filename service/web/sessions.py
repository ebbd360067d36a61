"""Who is at the other end: session cookies, known devices, and forms that are our own.

Knows cookies and headers. Tokens are made and kept (as hashes) by the store; none is logged.
"""

import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request
from starlette.responses import Response

from service.keyring import masked_ip
from service.storage import Moderator, Store, StoreUnavailable
from service.storage.accounts import Accounts
from service.storage.sign_in import Client
from service.storage.store import SESSION_LIFETIME
from service.web.browsers import browser_in_words

SEEN_EVERY = timedelta(minutes=5)
"""How exactly it is kept when a session was last in use."""

_LONGEST_TOKEN = 200  # ours have 48 characters
_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in moderator. `token` is the secret in the cookie, `id` none."""

    moderator: Moderator
    token: str = field(repr=False)
    id: str = ""
    single_keys: bool = True

    @property
    def form_token(self) -> str:
        """What every form of this session carries; says nothing of the session's own token."""
        return hmac.digest(self.token.encode(), b"duyet form", "sha256").hex()

    def owns(self, form_token: str) -> bool:
        """Whether a form that carries this token was made for this session."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode(errors="replace"))


class Sessions:
    """Finds and ends sessions, and puts cookies on answers. `secure`: people come by https."""

    def __init__(self, store: Store, *, secure: bool) -> None:
        self._store = store
        self._accounts = Accounts(store)
        self._secure = secure
        # The prefix keeps subdomains and plain http from setting the cookies.
        self.cookie = "__Host-duyet" if secure else "duyet"
        self.device_cookie = f"{self.cookie}_device"

    def of(self, request: Request) -> Session | None:
        """The session that a request belongs to, None if there is none in force."""
        token = request.cookies.get(self.cookie, "")
        if not is_token(token):
            return None
        entered = self._accounts.entered(token)
        if entered is None:
            return None
        if self._store.now() - entered.seen_at >= SEEN_EVERY:
            with suppress(StoreUnavailable):  # whoever only reads needs no database to write to
                self._accounts.note_seen(token)
        return Session(entered.moderator, token, entered.id, entered.single_keys)

    def put(self, token: str, response: Response) -> None:
        """Have the browser carry a new session's token."""
        self._set(response, self.cookie, token, int(SESSION_LIFETIME.total_seconds()))

    def begin(
        self, token: str, response: Response, *, moderator_id: str, instead_of: Session | None
    ) -> None:
        """Put a new session's cookie on the response, and let the device be known from now on.

        The session that the browser had before ends.
        """
        if instead_of is not None:
            self._store.end_session(instead_of.token)
        self.put(token, response)
        mark = secrets.token_urlsafe(18)
        value = f"{mark}.{self._mac(mark, moderator_id)}"
        self._set(response, self.device_cookie, value, _YEAR_SECONDS)

    def end(self, session: Session, response: Response) -> None:
        """End a session here and in the browser."""
        self._store.end_session(session.token)
        response.delete_cookie(
            self.cookie, path="/", secure=self._secure, httponly=True, samesite="strict"
        )

    def device_of(self, request: Request, moderator_id: str) -> str:
        """The mark of a browser in which that moderator signed in before; "" for any other."""
        mark, _, mac = request.cookies.get(self.device_cookie, "")[:_LONGEST_TOKEN].partition(".")
        expected = self._mac(mark, moderator_id).encode()
        return mark if hmac.compare_digest(expected, mac.encode(errors="replace")) else ""

    def _mac(self, mark: str, moderator_id: str) -> str:
        return self._store.keyring.token_hash(f"device\0{moderator_id}\0{mark}")

    def _set(self, response: Response, name: str, value: str, max_age: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )


def is_token(text: str) -> bool:
    """Whether a text is no longer than a token of ours may be."""
    return 0 < len(text) <= _LONGEST_TOKEN


def is_from_own_page(request: Request) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser tells.

    Sec-Fetch-Site tells best, but browsers leave it out on plain http to other machines;
    there Origin has to name the host that was asked. A browser sends one of the two with
    every form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] == request.headers.get("host", "") != ""


def client_of(request: Request) -> Client:
    """From where somebody signs in, as their list of sessions says it."""
    host = request.client.host if request.client else ""
    return Client(browser_in_words(request.headers.get("user-agent", "")), masked_ip(host))


def network_of(request: Request) -> str:
    """A name for whoever asks, to count by; an IPv6 subscriber owns a /64."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped) if address.ipv4_mapped else f"{int(address) >> 64:x}/64"
