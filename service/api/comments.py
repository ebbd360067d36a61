"""Comments over HTTP: post one or many, look at one, report, decide, see what waits.

Reads the wire form, calls the one door or the store, writes the wire form. Decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from model.decision import Decision
from model.form import FieldError as FormError
from model.form import message, visitor_language
from model.outcome import Outcome
from model.policy import Policy
from model.publishable import Publishable, publishable
from model.submission import Submission
from service import reading
from service.access import SiteKeys
from service.api.direct import body_of
from service.api.schemas import (
    BatchOut,
    CommentIn,
    CommentOut,
    DecisionIn,
    ProblemOut,
    QueueOut,
    ReportIn,
    VerdictOut,
    batch_item_members,
    comment_out,
    queue_item_out,
    read_batch,
    read_comment,
    read_decision,
    read_report,
    verdict_members,
)
from service.api.straight import Begun, Tell, Told
from service.moderation import Answer, Answered, Conflict, Failed, Moderation, Refused
from service.problems import FieldError, Problem
from service.rates import RateLimits
from service.storage import (
    AlreadyDecided,
    BadCursor,
    NothingToUndo,
    Site,
    Store,
    StoredComment,
    StoreUnavailable,
    UnknownComment,
)
from service.storage.finding import Finding, Order

LONGEST_IDEMPOTENCY_KEY = 255

PATH = "/v1/comments"
BATCH_PATH = "/v1/comments/batch"

LONG_BODY = 8 * 1024
"""Bytes from which on a body is read and its comment made publishable in a thread: the worst
64 KiB take 0.1 s, a usual comment less than the way to a thread."""

_JSON = {"Content-Type": "application/json"}
_PROBLEM = {"model": ProblemOut}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _PROBLEM for status in statuses}


def _body_of(model: type[BaseModel], *, many: bool = False) -> dict[str, Any]:
    """What OpenAPI says of a body that is read by hand, so that nothing of it is echoed."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema}}
    if many:
        content = {
            "application/json": {"schema": {"type": "array", "maxItems": 1000, "items": schema}},
            "application/x-ndjson": {"schema": schema},
        }
    return {"requestBody": {"required": True, "content": content}}


def _with_key(extra: dict[str, Any]) -> dict[str, Any]:
    header = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": LONGEST_IDEMPOTENCY_KEY},
        "description": "The same key with the same body gets the first answer again.",
    }
    return extra | {"parameters": [header]}


Link = Callable[[str], str]
"""Gives the address of a comment's status page by its id, "" for none."""


def _no_link(_: str) -> str:
    return ""


def routes(
    keys: SiteKeys,
    rates: RateLimits,
    moderation: Moderation,
    store: Store,
    *,
    now: Callable[[], datetime],
    link: Link = _no_link,
) -> APIRouter:
    """Everything under /v1/comments and /v1/queue. `link` gives a comment's status page."""
    router = APIRouter(prefix="/v1", tags=["comments"])
    _judge_routes(router, CommentDoor(keys, rates, moderation, link))
    _batch_route(router, keys, rates, moderation, link)
    _comment_routes(router, keys, store, now, link)
    _queue_route(router, keys, store)
    return router


class CommentDoor:
    """What POST /v1/comments does, below any framework: a request in, its answer's JSON out."""

    def __init__(
        self, keys: SiteKeys, rates: RateLimits, moderation: Moderation, link: Link = _no_link
    ) -> None:
        self._keys = keys
        self._rates = rates
        self._moderation = moderation
        self._link = link

    async def answer(self, scope: Scope, receive: Receive) -> tuple[bytes, Mapping[str, str]]:
        """The verdict as JSON, once it is stored for good, and what is left of a rate limit.

        Raises Problem, Overloaded, StoreUnavailable, ClientDisconnect.
        """
        headers = dict(reversed(scope["headers"]))  # of one sent twice, the first counts
        site = await self._keys.site_of(_text(headers, b"authorization"))
        left = await self._rates.take(site)
        key = _checked_key(_text(headers, b"idempotency-key"))
        body = await body_of(receive)
        content_type = _text(headers, b"content-type")
        is_long = len(body) > LONG_BODY
        if is_long:
            submission = await run_in_threadpool(read_comment, body, content_type)
        else:
            submission = read_comment(body, content_type)
        language = visitor_language(_text(headers, b"accept-language"), submission.article.language)
        answer = await self._moderation.check_one(site, submission, idempotency_key=key)
        if is_long:
            judged = await run_in_threadpool(_judged, answer, language, self._link)
            return judged, {**_JSON, **left}
        return _judged(answer, language, self._link), {**_JSON, **left}

    def begin(self, headers: Mapping[bytes, bytes], body: bytes, tell: Tell) -> Begun:
        """As `answer`, but waits for nothing: `tell` is told, later, on this event loop.

        False where something would have to be waited for first, its look-up where that is the
        site's key. Raises Problem, Overloaded.
        """
        if len(body) > LONG_BODY:
            return False
        authorization = _text(headers, b"authorization")
        site = self._keys.known(authorization)
        if site is None:
            return self._keys.asked(authorization) or False
        if self._rates.has_limit(site):
            return False
        key = _checked_key(_text(headers, b"idempotency-key"))
        submission = read_comment(body, _text(headers, b"content-type"))
        told = partial(self._told, _text(headers, b"accept-language"), submission.article.language)
        self._moderation.begin_one(
            site, submission, lambda answer: tell(partial(told, answer)), idempotency_key=key
        )
        return True

    def _told(self, accepts: str, written: str, answer: Answer | Exception) -> Told:
        if isinstance(answer, Exception):
            raise answer
        return _judged(answer, visitor_language(accepts, written), self._link), _JSON


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _judge_routes(router: APIRouter, door: CommentDoor) -> None:
    @router.post(
        "/comments",
        summary="Judge a comment",
        response_model=VerdictOut,
        responses=_problems(400, 401, 408, 413, 415, 422, 429, 503),
        openapi_extra=_with_key(_body_of(CommentIn)),
    )
    async def check(request: Request) -> Response:
        """Answered once the comment and its verdict are stored for good."""
        body, headers = await door.answer(request.scope, request.receive)
        return Response(body, headers=headers)


def _batch_route(
    router: APIRouter, keys: SiteKeys, rates: RateLimits, moderation: Moderation, link: Link
) -> None:
    @router.post(
        "/comments/batch",
        summary="Judge up to 1,000 comments",
        response_model=BatchOut,
        responses=_problems(400, 401, 408, 413, 415, 422, 429, 503),
        openapi_extra=_with_key(_body_of(CommentIn, many=True)),
    )
    async def check_batch(request: Request) -> Response:
        """Results in the order the comments came; a bad one does not fail the rest.

        With an Idempotency-Key a batch may be sent again after a broken connection: what was
        stored gets its first answer again, what was not is judged.
        """
        site = await keys.site(request)
        await rates.take(site, 0)  # before reading what would be refused
        key = _idempotency_key(request)
        body, content_type = await request.body(), request.headers.get("content-type")
        items = await run_in_threadpool(read_batch, body, content_type)
        left = await rates.take(site, len(items))
        places = [at for at, item in enumerate(items) if isinstance(item, Submission)]
        submissions = [item for item in items if isinstance(item, Submission)]
        answers = await moderation.check(
            site,
            submissions,
            # No header has a line break: no single comment's key is an item's.
            idempotency_keys=[f"{key}\n{at}" for at in places] if key else (),
        )
        languages = [_language(request, submission) for submission in submissions]
        response = await run_in_threadpool(_judged_batch, items, answers, languages, link)
        response.headers.update(left)
        return response


def _comment_routes(
    router: APIRouter, keys: SiteKeys, store: Store, now: Callable[[], datetime], link: Link
) -> None:
    async def comment_after(
        request: Request, site: Site, change: Callable[[], StoredComment]
    ) -> Response:
        """The comment that `change` gives, which blocks, as it is now."""
        return await run_in_threadpool(lambda: _stored(_or_problem(change), site, request, link))

    @router.get(
        "/comments/{comment_id}",
        summary="A comment, its verdict, and what became of it",
        response_model=CommentOut,
        responses=_problems(401, 404, 503),
    )
    async def comment(request: Request, comment_id: str) -> Response:
        site = await keys.site(request)

        def found() -> StoredComment:
            stored = store.comment([site.id], comment_id)
            if stored is None:
                raise Problem("unknown_comment")
            return stored

        return await comment_after(request, site, found)

    @router.post(
        "/comments/{comment_id}/report",
        summary="Say that a verdict was wrong",
        response_model=CommentOut,
        responses=_problems(400, 401, 404, 408, 413, 415, 422, 503),
        openapi_extra=_body_of(ReportIn),
    )
    async def report(request: Request, comment_id: str) -> Response:
        """A site's word. It queues the comment for a person unless one has decided."""
        site = await keys.site(request)
        said = read_report(await request.body(), request.headers.get("content-type"))
        return await comment_after(
            request, site, lambda: store.report([site.id], comment_id, said.report())
        )

    @router.post(
        "/comments/{comment_id}/decision",
        summary="Decide, as a person",
        response_model=CommentOut,
        responses=_problems(400, 401, 404, 408, 409, 413, 415, 422, 503),
        openapi_extra=_body_of(DecisionIn),
    )
    async def decide(request: Request, comment_id: str) -> Response:
        """Accept, or reject with a reason. 409 says which decision stands."""
        site = await keys.site(request)
        said = read_decision(await request.body(), request.headers.get("content-type"))
        decision = Decision(
            outcome=Outcome.of(said.outcome),
            reason=said.reject_reason(),
            moderator=f"site {site.name}",
            at=now(),
        )
        return await comment_after(
            request, site, lambda: store.decide([site.id], comment_id, decision)
        )

    @router.delete(
        "/comments/{comment_id}/decision",
        summary="Take the standing decision back",
        response_model=CommentOut,
        responses=_problems(401, 404, 409, 503),
    )
    async def undo(request: Request, comment_id: str) -> Response:
        """The comment is exactly as it was before; the decision stays on record.

        A site takes back its own decisions only, never a moderator's.
        """
        site = await keys.site(request)
        return await comment_after(
            request,
            site,
            lambda: store.undo([site.id], comment_id, moderator=f"site {site.name}", only_own=True),
        )


def _queue_route(router: APIRouter, keys: SiteKeys, store: Store) -> None:
    @router.get(
        "/queue",
        summary="What waits for a person",
        response_model=QueueOut,
        responses=_problems(401, 422, 503),
    )
    async def queue(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[str, Query(max_length=200)] = "",
        order: Order = Order.OLDEST,
    ) -> Response:
        site = await keys.site(request)
        language = visitor_language(request.headers.get("accept-language", ""), "")

        def page() -> Response:
            finding = Finding(store)
            if order is not Order.OLDEST and finding.catch_up_lately():
                reading.go_on(store)
            try:
                found = finding.page([site.id], order, limit=limit, after=after)
            except BadCursor:
                error = FieldError("after", "unknown_value", "must be what `next` of a page said")
                raise Problem("wrong_fields", errors=[error]) from None
            return _json(
                QueueOut(
                    items=[queue_item_out(item, language) for item in found.items],
                    waiting=store.queue_size([site.id]),
                    next=found.after or None,
                )
            )

        return await run_in_threadpool(page)


def _or_problem(change: Callable[[], StoredComment]) -> StoredComment:
    try:
        return change()
    except UnknownComment:
        raise Problem("unknown_comment") from None
    except NothingToUndo:
        raise Problem("nothing_to_undo") from None
    except AlreadyDecided as problem:
        standing = problem.standing
        raise Problem(
            "already_decided",
            more={
                "standing": {
                    "outcome": standing.outcome.word,
                    "reason": standing.reason,
                    "moderator": standing.moderator,
                    "at": standing.at.isoformat(),
                }
            },
        ) from None


def _idempotency_key(request: Request) -> str:
    return _checked_key(request.headers.get("idempotency-key", ""))


def _checked_key(key: str) -> str:
    if len(key) > LONGEST_IDEMPOTENCY_KEY:
        error = FieldError(
            "Idempotency-Key", "too_long", f"must have at most {LONGEST_IDEMPOTENCY_KEY} characters"
        )
        raise Problem("wrong_fields", errors=[error])
    return key


def _language(request: Request, submission: Submission) -> str:
    return visitor_language(request.headers.get("accept-language", ""), submission.article.language)


def _verdict(answer: Answer, language: str, link: Link) -> dict[str, object] | Problem:
    match answer:
        case Answered():
            shown = _shown(answer.submission, answer.policy)
            url = link(answer.id)
            return verdict_members(
                answer.id, answer.verdict, shown, language=language, status_url=url
            )
        case Refused():
            return _refusal(answer.errors, language)
        case Conflict():
            return Problem("key_reused", "Send a new key with a new comment.")
        case Failed():
            is_away = isinstance(answer.error, StoreUnavailable)
            return Problem("store_unavailable" if is_away else "internal_error")


def _judged(answer: Answer, language: str, link: Link = _no_link) -> bytes:
    """The answer to one comment, as JSON. Raises Problem when that is one."""
    answered = _verdict(answer, language, link)
    if isinstance(answered, Problem):
        raise answered
    return to_json(answered)


def _judged_batch(
    items: Sequence[Submission | Problem],
    answers: Sequence[Answer],
    languages: Sequence[str],
    link: Link,
) -> Response:
    """The answer to a batch; `answers` and `languages` are those of its submissions."""
    judged = map(partial(_verdict, link=link), answers, languages)
    results = [item if isinstance(item, Problem) else next(judged) for item in items]
    told = {"items": [batch_item_members(at, result) for at, result in enumerate(results)]}
    return Response(to_json(told), media_type="application/json")


def _refusal(errors: Sequence[FormError], language: str) -> Problem:
    """All of the form's errors, worded for the visitor."""
    return Problem(
        "submission_invalid",
        errors=[FieldError(e.field, e.code, message(e.code, e.field, language)) for e in errors],
        headers={"Content-Language": language},
        more={"verdict": Outcome.REJECT.word},
    )


def _shown(submission: Submission, policy: Policy) -> Publishable:
    return publishable(submission, show_addresses=policy.publish_addresses)


def _stored(stored: StoredComment, site: Site, request: Request, link: Link) -> Response:
    language = _language(request, stored.submission)
    shown = _shown(stored.submission, site.policy)
    return _json(comment_out(stored, shown, language=language, status_url=link(stored.id)))


def _json(body: BaseModel) -> Response:
    # Unset, not None: `scores` that are null are told, a problem that is not there is not.
    return Response(body.model_dump_json(exclude_unset=True), media_type="application/json")
