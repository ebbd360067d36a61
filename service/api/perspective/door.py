"""The calls of Perspective's protocol, one method each: a request in, an answer out."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from model.language import UNKNOWN, language_of
from model.submission import Submission
from model.text import comparable
from service.access import SiteKeys
from service.api.perspective.answers import (
    Refused,
    analysed,
    no_key,
    noted,
    unmeasured,
    wrong_key,
)
from service.api.perspective.calls import (
    FIELDS,
    MEASURED,
    NAMED,
    Analysis,
    AnalyzeIn,
    SuggestIn,
    has_two_contexts,
    kinds_of,
)
from service.api.schemas import read_json
from service.moderation import Answered, Failed, Moderation
from service.problems import Problem, field_errors
from service.rates import RateLimits
from service.storage import Site, Store

Body = TypeVar("Body", AnalyzeIn, SuggestIn)
Read = TypeVar("Read")

_LONG = 8 * 1024


class PerspectiveDoor:
    """Answers calls for the sites whose keys they carry.

    Methods raise what the one door raises, Problem, Overloaded, StoreUnavailable, and Refused
    for what the protocol has an error of its own for.
    """

    def __init__(
        self, keys: SiteKeys, rates: RateLimits, moderation: Moderation, store: Store
    ) -> None:
        self._keys = keys
        self._rates = rates
        self._moderation = moderation
        self._store = store

    async def analyze(self, request: Request) -> Response:
        """The scores of a comment. It is kept only where its site and its call want that."""
        site, body = await self._called(request)
        analysis = await _read_by(_analysis_of, body)
        stores = analysis.may_store and await self._keys.perspective_stores(site)
        answered = await self._judged(site, analysis.text, is_test=not stores)
        if answered.verdict.scores is None:
            raise Refused("No model could score it.", code=503, status="UNAVAILABLE")
        detected = language_of(analysis.text)
        return analysed(analysis, answered.verdict.scores, "" if detected == UNKNOWN else detected)

    async def suggest(self, request: Request) -> Response:
        """Note what a site says of a comment. One that was never seen is judged and kept first."""
        site, body = await self._called(request)
        call, suggested = await _read_by(_suggestion_of, body)
        known = await run_in_threadpool(self._store.comment_of_text, site.id, comparable(call.text))
        comment_id = known or (await self._judged(site, call.text, is_test=False)).id
        for kind in kinds_of(suggested):
            await run_in_threadpool(self._store.report, [site.id], comment_id, kind)
        return noted(call.client_token or "")

    async def _called(self, request: Request) -> tuple[Site, bytes]:
        """Who calls, and with what. Each call counts against the site's limit."""
        self._moderation.admission.admit()  # before any work for one that is turned away
        key = request.query_params.get("key") or request.headers.get("x-goog-api-key", "")
        if not key:
            raise no_key()
        site = await self._keys.site_of_key(key)
        if site is None:
            raise wrong_key()
        await self._rates.take(site)
        return site, await request.body()

    async def _judged(self, site: Site, text: str, *, is_test: bool) -> Answered:
        answer = await self._moderation.check_one(
            site, Submission(content=text), is_test=is_test, has_form=False
        )
        if isinstance(answer, Failed):
            raise answer.error
        assert isinstance(answer, Answered), "there is no form to check, and no key was sent"
        return answer


def _analysis_of(body: bytes) -> Analysis:
    """What comments:analyze asks. Raises Refused."""
    call = _read(AnalyzeIn, body)
    asked = call.requested_attributes or {}
    if not asked:
        why = "No attribute is requested: name one in requestedAttributes."
        raise Refused(why, error_type="NO_REQUESTED_ATTRIBUTES")
    _require_measured(asked)
    least = {name: (one.score_threshold if one else None) or 0.0 for name, one in asked.items()}
    return Analysis(
        text=call.text,
        attributes=least,
        languages=tuple(call.languages or ()),
        client_token=call.client_token or "",
        may_store=not call.do_not_store,
    )


def _suggestion_of(body: bytes) -> tuple[SuggestIn, dict[str, float]]:
    """What comments:suggestscore says: the call, and a score of each attribute. Raises Refused."""
    call = _read(SuggestIn, body)
    scores = call.attribute_scores or {}
    _require_measured(scores)
    suggested = {
        name: one.summary_score.value for name, one in scores.items() if one and one.summary_score
    }
    if not suggested:
        raise Refused(
            "No score is suggested: give attributeScores a summaryScore.",
            error_type="INVALID_REQUEST",
        )
    return call, suggested


def _read(model: type[Body], body: bytes) -> Body:
    try:
        call = model.model_validate(read_json(body))
    except Problem as problem:
        raise Refused(f"{problem.title}.", error_type="INVALID_REQUEST") from None
    except ValidationError as wrong:
        [first, *_] = field_errors(wrong.errors(include_input=False, include_url=False))
        why = f"{_named(first.field)} {first.message}."
        raise Refused(why, error_type="INVALID_REQUEST") from None
    if not call.text.strip():
        raise Refused("The comment has no text.", error_type="COMMENT_EMPTY")
    if has_two_contexts(call):
        why = "A context has either entries or articleAndParentComment."
        raise Refused(why, error_type="INVALID_REQUEST")
    return call


def _require_measured(names: Iterable[str]) -> None:
    for name in names:
        if name not in MEASURED:
            raise unmeasured(name if name in NAMED else "")


def _named(path: str) -> str:
    """The beginning of a field's path that the protocol itself names, for a developer to read."""
    known: list[str] = []
    for part in path.split("."):
        if part not in FIELDS:
            break
        known.append(part)
    return f"A part of {'.'.join(known)}" if known else "A part of the request"


async def _read_by(read: Callable[[bytes], Read], body: bytes) -> Read:
    # A usual comment takes less than the way to a thread.
    return await run_in_threadpool(read, body) if len(body) > _LONG else read(body)
