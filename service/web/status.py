"""The page on which a commenter sees what became of their comment, and may appeal once.

Knows who may see it (whoever has the link), and how much is told: what is in force, and a plain
category of why. Never a score, a rule, a word that weighed, or who decided: the first three would
teach how to get around them, the last would be a name for anger to go to. A link that leads to no
comment and one that never did are answered alike. Works without JavaScript, and has none.
"""

import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.form import visitor_language
from model.language import language_of
from service.status_links import is_of, path_of
from service.storage import QueueItem, Store, StoreUnavailable, UnknownComment
from service.storage.accounts_throttle import Limit
from service.storage.review import SiteIds
from service.storage.status_pages import (
    LONGEST_APPEAL,
    CannotAppeal,
    Standing,
    StatusPages,
    TooManyAppeals,
)
from service.web.card import Pieces, pieces_of
from service.web.desk import Anyone, Desk, TheDesk
from service.web.rendering import PageRoute, page, see_other
from service.web.sessions import is_from_own_page, network_of
from service.web.texts import COOKIE, TEXTS, Texts, asked_language

MOST_TRIES = 10
TRIES_WINDOW = timedelta(minutes=5)
"""From one network so many appeals are looked at, good or bad."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    # To nobody else, not even where they come from; "no-referrer" would hide from ourselves
    # whether the form is ours.
    "Referrer-Policy": "same-origin",
}


class Sent(BaseModel):
    """What the form sends."""

    form_token: str = ""
    words: str = ""


_Form = Annotated[Sent, Form()]


def routes() -> APIRouter:
    """The page and its one form."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    path = "/status/{comment_id}/{token}"
    router.add_api_route(path, status, methods=["GET", "HEAD"], response_model=None)
    router.add_api_route(f"{path}/appeal", appeal, methods=["POST"], response_model=None)
    return router


def status(request: Request, _: Anyone, desk: TheDesk, comment_id: str, token: str) -> Response:
    """What became of a comment."""
    return _shown(request, desk, comment_id, token)


def appeal(
    request: Request, _: Anyone, desk: TheDesk, comment_id: str, token: str, sent: _Form
) -> Response:
    """Ask for another look, once."""
    if not is_of(desk.store.keyring, comment_id, token):
        return _shown(request, desk, comment_id, token)
    # A browser sends line breaks as two characters, and counts them as one.
    words = sent.words.replace("\r\n", "\n").strip()
    try:
        _check(request, desk, token, sent.form_token, words)
        _appeal(desk, comment_id, words)
    except _Wrong as wrong:
        return _shown(request, desk, comment_id, token, wrong=wrong, words=words)
    except StoreUnavailable:
        return _gone(request, "away", 503)
    language = asked_language(request)
    query = f"?lang={language}" if language else ""
    return see_other(request, path_of(desk.store.keyring, comment_id) + query)


class _Wrong(Exception):
    """Why nothing was sent: the page says so, `status.appeal.{kind}`, and keeps the words."""

    def __init__(self, status: int, kind: str, **values: object) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.values = values


def _check(request: Request, desk: Desk, token: str, form_token: str, words: str) -> None:
    right = _form_token(token).encode()
    is_ours = hmac.compare_digest(right, form_token.encode("utf-8", "replace"))
    if not (is_ours and is_from_own_page(request)):
        raise _Wrong(403, "not_ours")
    if not words:
        raise _Wrong(422, "empty")
    if len(words) > LONGEST_APPEAL:
        raise _Wrong(422, "long", n=len(words) - LONGEST_APPEAL)
    if desk.throttle.take([Limit("appeal", network_of(request), MOST_TRIES, TRIES_WINDOW)]):
        raise _Wrong(429, "slow")


def _appeal(desk: Desk, comment_id: str, words: str) -> None:
    try:
        StatusPages(desk.store).appeal(comment_id, words)
    except CannotAppeal:
        raise _Wrong(409, "none") from None
    except TooManyAppeals:
        raise _Wrong(429, "many") from None
    except ValueError:
        raise _Wrong(422, "odd") from None
    except UnknownComment:
        return  # the page says that it is gone


def _shown(
    request: Request,
    desk: Desk,
    comment_id: str,
    token: str,
    *,
    wrong: _Wrong | None = None,
    words: str = "",
) -> Response:
    # Nothing is looked up for a token that is wrong: guessing costs the database nothing.
    if not is_of(desk.store.keyring, comment_id, token):
        return _gone(request, "gone", 404)
    try:
        standing = StatusPages(desk.store).standing(comment_id)
    except StoreUnavailable:
        return _gone(request, "away", 503)
    if standing is None:
        return _gone(request, "gone", 404)
    t = _texts(request, standing)
    return page(
        request,
        "status.html",
        status=wrong.status if wrong else 200,
        headers=_HEADERS,
        texts=t,
        state=standing.state.word,
        reason=reason_of(standing),
        received_at=standing.received_at,
        appealed=standing.appeal is not None,
        waits=standing.waits,
        may_appeal=standing.may_appeal,
        error=t(f"status.appeal.{wrong.kind}", **wrong.values) if wrong else "",
        path=path_of(desk.store.keyring, comment_id),
        form_token=_form_token(token),
        longest=LONGEST_APPEAL,
        words=words,
    )


def _gone(request: Request, state: str, status: int) -> Response:
    return page(
        request,
        "status.html",
        status=status,
        headers=_HEADERS | ({"Retry-After": "60"} if status == 503 else {}),
        texts=_texts(request, None),
        state=state,
        path="",
        received_at=None,
        appealed=False,
        may_appeal=False,
        error="",
    )


def reason_of(standing: Standing) -> str:
    """Why a comment is not published, as one of four plain categories."""
    if standing.reason is not None:
        return standing.reason.value
    codes = standing.codes
    if "score.spam_likely" in codes or "memory.rejected_before" in codes:
        return "spam"
    return "toxic" if "score.toxicity_likely" in codes else "other"


def _texts(request: Request, standing: Standing | None) -> Texts:
    """In the language asked for, chosen or preferred, else in the comment's own."""
    for tag in (asked_language(request), request.cookies.get(COOKIE, "")):
        if tag in TEXTS:
            return TEXTS[tag]
    own = "" if standing is None else standing.language or language_of(standing.content)
    return TEXTS[visitor_language(request.headers.get("accept-language", ""), own)]


def _form_token(token: str) -> str:
    """What the form carries. Whoever can make it has the link, and may appeal."""
    return hmac.digest(token.encode("utf-8", "replace"), b"duyet appeal", "sha256").hex()


# ------------------------------------------------------------------ on a moderator's card


def appeals_on(store: Store, site_ids: SiteIds, shown: Sequence[QueueItem]) -> dict[str, Pieces]:
    """What the authors of the comments on a page say, by comment."""
    appeals = StatusPages(store).appeals_of(site_ids, [item.comment.id for item in shown])
    return {comment_id: pieces_of(one.words) for comment_id, one in appeals.items()}
