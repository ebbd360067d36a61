"""The moderators' pages: sign in, see the queue, decide, undo, reveal an address.

Knows what each address of the pages does. Writes only in answer to a form of our own, sent by
somebody signed in (or about to be). Works without JavaScript. Every function blocks on the
store and runs in a thread.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.addresses import mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from service.keyring import UnreadableAddress
from service.storage import (
    AlreadyDecided,
    BadCursor,
    NoAddress,
    NothingToUndo,
    QueueOrder,
    QueuePage,
    Role,
    Store,
    StoredComment,
    UnknownComment,
)
from service.web.card import card_of, plain_name
from service.web.rendering import PageRoute, Refusal, page, refused, see_other, static
from service.web.sessions import Attempts, Session, Sessions, is_from_own_page
from service.web.texts import TEXTS, texts_for

PER_PAGE = 20
LONGEST_WHY = 300
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What tokens and cursors are made of. Whatever else an address names, no page repeats.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,200}")


class Sent(BaseModel):
    """What a form of ours may send; a field that it does not have is empty."""

    token: str = ""
    form_token: str = ""
    order: str = ""
    after: str = ""
    next: str = ""
    reason: str = ""
    why: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the queue somebody is."""

    order: QueueOrder
    after: str

    @classmethod
    def of(cls, order: str, after: str) -> "Place":
        """The place that an address or a form names; what is none is the usual first page."""
        known = order if order in set(QueueOrder) else QueueOrder.OLDEST
        return cls(QueueOrder(known), after if _PLAIN.fullmatch(after) else "")

    def path(self, *, after: str | None = None, fragment: str = "", **more: str) -> str:
        """The address of the queue at this place, or another one of the same order."""
        asked = {
            "order": "" if self.order is QueueOrder.OLDEST else self.order.value,
            "after": self.after if after is None else after,
            **more,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/queue{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}"


@dataclass(frozen=True, slots=True)
class Flash:
    """What the moderator has just done to a comment, read back from the store."""

    id: str
    name: str
    decision: Decision | None  # None when it was undone


def routes(store: Store, *, secure: bool, now: Callable[[], datetime]) -> APIRouter:
    """The pages, with their styles and script. `secure` is whether people come by https.

    Routes are plain functions, so that FastAPI runs them in threads: the store blocks.
    """
    pages = _Pages(store, Sessions(store, secure=secure), now)
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", "/sign-in", pages.sign_in_page),
        ("POST", "/sign-in", pages.sign_in),
        ("POST", "/sign-out", pages.sign_out),
        ("GET", "/queue", pages.queue),
        ("POST", "/queue/{comment_id}/accept", pages.accept),
        ("POST", "/queue/{comment_id}/reject", pages.reject),
        ("POST", "/queue/{comment_id}/undo", pages.undo),
        ("POST", "/queue/{comment_id}/reveal", pages.reveal),
        ("GET", "/static/{name}", static),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


class _Pages:
    def __init__(self, store: Store, sessions: Sessions, now: Callable[[], datetime]) -> None:
        self._store = store
        self._sessions = sessions
        self._now = now
        self._attempts = Attempts(now=now)

    # -------------------------------------------------------------- signing in and out

    def sign_in_page(self, request: Request, token: str = "") -> Response:
        """One button. Reading a link uses nothing up: mail scanners and previews do that."""
        return page(request, "sign_in.html", token=token if _PLAIN.fullmatch(token) else "")

    def sign_in(self, request: Request, sent: _Form) -> Response:
        if not is_from_own_page(request):
            raise Refusal(403, "not_our_form")
        if self._attempts.are_too_many(request):
            wait = str(int(self._attempts.window.total_seconds()))
            raise Refusal(429, "too_many_attempts", headers={"Retry-After": wait})
        before = self._sessions.of(request)
        response = see_other(request, "/queue")
        if not self._sessions.begin(sent.token.strip(), response, instead_of=before):
            self._attempts.note_bad(request)
            raise Refusal(403, "bad_link")
        return response

    def sign_out(self, request: Request, sent: _Form) -> Response:
        session = self._session_of_form(request, sent)
        response = see_other(request, "/sign-in")
        self._sessions.end(session, response)
        return response

    def _session(self, request: Request) -> Session:
        session = self._sessions.of(request)
        if session is None:
            raise Refusal(401, "signed_out", headers={"WWW-Authenticate": "SignInLink"})
        return session

    def _session_of_form(self, request: Request, sent: Sent) -> Session:
        """Whose form it is. Another site can neither read the token nor fake where it is from."""
        session = self._session(request)
        if not is_from_own_page(request) or not session.owns(sent.form_token):
            raise Refusal(403, "not_our_form")
        return session

    # -------------------------------------------------------------- the queue

    def queue(
        self,
        request: Request,
        order: str = "",
        after: str = "",
        done: str = "",
        undone: str = "",
    ) -> Response:
        session = self._session(request)
        done, undone = (one if _ID.fullmatch(one) else "" for one in (done, undone))
        place = Place.of(order, after)
        waiting = self._waiting(place)
        if after and (place.after != after or waiting is None or not waiting.items):
            return see_other(request, place.path(after="", done=done, undone=undone))
        assert waiting is not None, "only a cursor can be bad"
        t = texts_for(request)
        sites = {site.id: site.name for site in self._store.sites()}
        several = len(sites) > 1
        return page(
            request,
            "queue.html",
            session=session,
            may_reveal=session.moderator.role is Role.ADMIN,
            place=place,
            waiting=self._store.queue_size(None),
            cards=[
                card_of(
                    item,
                    language=t.tag,
                    site=plain_name(sites.get(item.comment.site_id, "")) if several else "",
                )
                for item in waiting.items
            ],
            next_path=place.path(after=waiting.after) if waiting.after else "",
            orders=[(one, Place(one, "").path()) for one in QueueOrder],
            reasons=list(RejectReason),
            flash=self._flash(session, done, undone),
            language_names={tag: texts.name for tag, texts in TEXTS.items()},
            now=self._now(),
        )

    def _waiting(self, place: Place) -> QueuePage | None:
        try:
            return self._store.queue_page(
                None, limit=PER_PAGE, after=place.after, order=place.order
            )
        except BadCursor:
            return None

    def _flash(self, session: Session, done: str, undone: str) -> Flash | None:
        """What the address says was done, if the store says so too."""
        comment = self._comment(done or undone)
        if comment is None:
            return None
        name = plain_name(comment.submission.author.name)
        standing = comment.decision
        if undone and not done and standing is None:
            return Flash(comment.id, name, None)
        if done and standing and standing.moderator == session.moderator.name:
            return Flash(comment.id, name, standing)
        return None

    def _comment(self, comment_id: str) -> StoredComment | None:
        return self._store.comment(None, comment_id) if _ID.fullmatch(comment_id) else None

    # -------------------------------------------------------------- decisions

    def accept(self, request: Request, comment_id: str, sent: _Form) -> Response:
        return self._decide(request, comment_id, sent, Outcome.ACCEPT, None)

    def reject(self, request: Request, comment_id: str, sent: _Form) -> Response:
        if sent.reason not in set(RejectReason):
            raise Refusal(400, "unreadable")
        return self._decide(request, comment_id, sent, Outcome.REJECT, RejectReason(sent.reason))

    def _decide(
        self,
        request: Request,
        comment_id: str,
        sent: Sent,
        outcome: Outcome,
        reason: RejectReason | None,
    ) -> Response:
        session = self._session_of_form(request, sent)
        wanted = Decision(outcome, reason, session.moderator.name, self._now())
        try:
            self._store.decide(None, _known(comment_id), wanted)
        except UnknownComment:
            raise Refusal(404, "unknown_comment") from None
        except AlreadyDecided as conflict:
            standing = conflict.standing
            # The same word twice is a button pressed twice.
            if (standing.outcome, standing.reason, standing.moderator) != (
                wanted.outcome,
                wanted.reason,
                wanted.moderator,
            ):
                return refused(request, _conflict(request, standing))
        following = f"c-{sent.next}" if _ID.fullmatch(sent.next) else ""
        place = Place.of(sent.order, sent.after)
        return see_other(request, place.path(done=comment_id, fragment=following))

    def undo(self, request: Request, comment_id: str, sent: _Form) -> Response:
        session = self._session_of_form(request, sent)
        comment = self._comment(comment_id)
        if comment is None:
            raise Refusal(404, "unknown_comment")
        standing = comment.decision
        if standing is not None and standing.moderator != session.moderator.name:
            return refused(request, _conflict(request, standing))
        try:
            self._store.undo(None, comment_id, moderator=session.moderator.name, only_own=True)
        except NothingToUndo:
            raise Refusal(409, "nothing_to_undo") from None
        place = Place.of(sent.order, sent.after)
        return see_other(request, place.path(undone=comment_id, fragment=f"c-{comment_id}"))

    def reveal(self, request: Request, comment_id: str, sent: _Form) -> Response:
        """The address in clear, to an admin who says why; that it was shown is on record."""
        session = self._session_of_form(request, sent)
        if session.moderator.role is not Role.ADMIN:
            raise Refusal(403, "may_not_reveal")
        why = " ".join(mask_addresses(sent.why).split())[:LONGEST_WHY]
        if not why:
            raise Refusal(422, "no_reason_given")
        try:
            address = self._store.reveal_address(
                None, _known(comment_id), moderator=session.moderator.name, why=why
            )
        except UnknownComment:
            raise Refusal(404, "unknown_comment") from None
        except (NoAddress, UnreadableAddress):
            raise Refusal(409, "no_address") from None
        path = Place.of(sent.order, sent.after).path(fragment=f"c-{comment_id}")
        return page(request, "address.html", address=address, path=path)


def _known(comment_id: str) -> str:
    """The id, if it could be one: databases take offence at some of what is none."""
    if not _ID.fullmatch(comment_id):
        raise UnknownComment
    return comment_id


def _conflict(request: Request, standing: Decision) -> Refusal:
    t = texts_for(request)
    key = standing.reason or standing.outcome.word
    values: dict[str, object] = {
        "who": plain_name(standing.moderator),
        "what": t(f"decided.{key}"),
        "when": t.time(standing.at),
    }
    return Refusal(409, "already_decided", values=values)
