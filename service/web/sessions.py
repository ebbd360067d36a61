"""Who is at the other end: session cookies, forms that are our own, and bad sign-in attempts.

Knows cookies and headers. Tokens are made and kept (as hashes) by the store; none is logged.
"""

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request
from starlette.responses import Response

from service.storage import Moderator, Store
from service.storage.store import SESSION_LIFETIME

_LONGEST_TOKEN = 200  # ours have 48 characters


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in moderator. `token` is the secret in the cookie."""

    moderator: Moderator
    token: str = field(repr=False)

    @property
    def form_token(self) -> str:
        """What every form of this session carries; says nothing of the session's own token."""
        return hmac.digest(self.token.encode(), b"duyet form", "sha256").hex()

    def owns(self, form_token: str) -> bool:
        """Whether a form that carries this token was made for this session."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode(errors="replace"))


class Sessions:
    """Begins, finds and ends sessions. `secure` is whether people come by https."""

    def __init__(self, store: Store, *, secure: bool) -> None:
        self._store = store
        self._secure = secure
        # The prefix keeps subdomains and plain http from setting the cookie.
        self.cookie = "__Host-duyet" if secure else "duyet"

    def of(self, request: Request) -> Session | None:
        """The session that a request belongs to, None if there is none in force."""
        token = request.cookies.get(self.cookie, "")
        if not 0 < len(token) <= _LONGEST_TOKEN:
            return None
        moderator = self._store.session(token)
        return Session(moderator, token) if moderator else None

    def begin(self, link_token: str, response: Response, *, instead_of: Session | None) -> bool:
        """Use up a link and put a new session's cookie on the response; False for a bad link.

        The session that the browser had before ends.
        """
        token = None
        if 0 < len(link_token) <= _LONGEST_TOKEN:
            token = self._store.use_sign_in_link(link_token)
        if token is None:
            return False
        if instead_of is not None:
            self._store.end_session(instead_of.token)
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(SESSION_LIFETIME.total_seconds()),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )
        return True

    def end(self, session: Session, response: Response) -> None:
        """End a session here and in the browser."""
        self._store.end_session(session.token)
        response.delete_cookie(
            self.cookie, path="/", secure=self._secure, httponly=True, samesite="strict"
        )


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


class Attempts:
    """Counts bad sign-in attempts of each client, in memory, and says who has to wait.

    Links cannot be guessed; this keeps guessing from costing anything. At most `most` in a
    `window`; only the `clients` seen last are remembered. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        most: int = 10,
        window: timedelta = timedelta(minutes=5),
        clients: int = 10_000,
    ) -> None:
        self.window = window
        self._now = now
        self._most = most
        self._clients = clients
        self._bad: OrderedDict[str, tuple[datetime, int]] = OrderedDict()
        self._lock = threading.Lock()

    def are_too_many(self, request: Request) -> bool:
        """Whether this client has to wait before it may try again."""
        with self._lock:
            since, count = self._bad.get(_client(request), (self._now(), 0))
            return count >= self._most and self._now() - since < self.window

    def note_bad(self, request: Request) -> None:
        """Remember one more."""
        client, now = _client(request), self._now()
        with self._lock:
            since, count = self._bad.pop(client, (now, 0))
            if now - since >= self.window:
                since, count = now, 0
            self._bad[client] = (since, count + 1)
            while len(self._bad) > self._clients:
                self._bad.popitem(last=False)


def _client(request: Request) -> str:
    """A name for whoever asks that lives in memory only; an IPv6 subscriber owns a /64."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return hashlib.sha256(host.encode(errors="replace")).hexdigest()
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host
