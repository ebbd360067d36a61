"""Coral's external moderation phase: a signed request in, a status and flags out.

docs/coral.md says what each verdict becomes. Decides nothing about a comment.
"""

import hmac
import json
import logging
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from model.outcome import Head, Outcome
from model.submission import CommentType, Submission
from model.verdict import Verdict
from service.access import SiteKeys
from service.api.fields import ID_LENGTH, URL_LENGTH, masked, storable
from service.api.schemas import read_json
from service.keyring import UnreadableAddress
from service.moderation import Answered, Failed, Moderation
from service.problems import MEDIA_TYPE, Problem
from service.rates import RateLimits
from service.storage import AcceptSpoken, CoralChoices, WithheldSpoken

log = logging.getLogger(__name__)

PREFIX = "/coral/"

SAME_SECONDS = 600
"""A request that comes again, byte for byte, within so many seconds by the clock's own tens of
minutes gets the first answer again: its signature has no time of its own."""

_LONG = 8 * 1024
_MOST_SIGNATURES = 20  # two while a secret is being replaced

_FLAGS = {Head.SPAM: "COMMENT_DETECTED_SPAM", Head.TOXICITY: "COMMENT_DETECTED_TOXIC"}


def _said(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties}


# What is read of a request; of another type it counts as not sent.
_ASKED = _said(
    comment=_said(
        body={"type": "string", "description": "The comment, as HTML."},
        parentID={"type": ["string", "null"], "description": "What this one answers."},
    ),
    story=_said(url={"type": "string", "description": "The address of the article."}),
)
_STATUSES = (
    *(AcceptSpoken.NONE.value, AcceptSpoken.APPROVED.value, "rejected"),
    *(WithheldSpoken.PREMOD.value, WithheldSpoken.SYSTEM_WITHHELD.value),
)
_TOLD = _said(
    status={"enum": [status.upper() for status in _STATUSES]},
    actions={
        "type": "array",
        "items": _said(
            actionType={"const": "FLAG"}, reason={"enum": [reason for reason in _FLAGS.values()]}
        ),
    },
) | {"required": ["status"], "additionalProperties": False}
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}


def routes(
    keys: SiteKeys, rates: RateLimits, moderation: Moderation, *, now: Callable[[], datetime]
) -> APIRouter:
    """The one address that Coral calls, for each site."""
    router = APIRouter(tags=["coral"])

    @router.post(
        "/coral/v1/external-moderation/{site_id}",
        summary="Judge a comment, as Coral's external moderation phase asks",
        response_class=Response,
        responses={
            200: {"content": {"application/json": {"schema": _TOLD}}},
            204: {"description": "No opinion: Coral goes on by itself"},
            401: {"description": "Not signed by the site's secret", "content": _PROBLEM},
            405: {"description": "Not a POST", "content": _PROBLEM},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ASKED}},
            },
            "parameters": [
                {
                    "name": "X-Coral-Signature",
                    "in": "header",
                    "required": True,
                    "schema": {"type": "string"},
                    "description": "sha256= and the HMAC of the body, by the phase's secret.",
                }
            ],
        },
    )
    async def external_moderation(site_id: str, request: Request) -> Response:
        moderation.admission.admit()  # before any work for a comment that would be turned away
        try:
            known = await keys.coral_site(site_id)
        except UnreadableAddress:
            log.error("the secret that signs Coral's requests cannot be opened")
            return withheld()
        body = await request.body()
        signatures = request.headers.getlist("x-coral-signature")
        is_signed = _is_signed(body, known.secret if known else "", ",".join(signatures))
        if known is None or not is_signed:
            raise Problem("unknown_key", "Sign the body with the secret of the site's phase.")
        await rates.take(known.site)
        submission = await _submission_of(body)
        if submission is None:
            log.warning("a signed request of Coral has no comment that can be read")
            return _told({"status": known.choices.queue.value.upper()})
        answer = await moderation.check_one(
            known.site,
            submission,
            idempotency_key=_key_of(body, now()),
            has_form=False,
        )
        if isinstance(answer, Failed):
            raise answer.error
        if not isinstance(answer, Answered):  # a key of the site's own that looks like ours
            return withheld()
        return spoken(answer.verdict, known.choices)

    return router


def _is_signed(body: bytes, secret: str, header: str) -> bool:
    """Whether one of the signatures in a header is the body's, in time that tells nothing.

    Without a secret the same is done, and nothing is signed.
    """
    own = b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()
    found = False
    for sent in header.split(",", _MOST_SIGNATURES)[:_MOST_SIGNATURES]:
        found |= hmac.compare_digest(own, sent.strip().encode("utf-8", "replace"))
    return found and secret != ""


def _key_of(body: bytes, now: datetime) -> str:
    return f"coral:{int(now.timestamp()) // SAME_SECONDS}:{sha256(body).hexdigest()}"


async def _submission_of(body: bytes) -> Submission | None:
    # A usual comment takes less than the way to a thread.
    if len(body) > _LONG:
        return await run_in_threadpool(submission_of, body)
    return submission_of(body)


def submission_of(body: bytes) -> Submission | None:
    """What is asked about, None where there is no comment that can be read.

    Takes what there is of the rest: a wrong type is a field that was not sent.
    """
    try:
        sent = read_json(body)
    except Problem:
        return None
    content = _at(sent, "comment", "body")
    if not isinstance(content, str):
        return None
    parent = masked(_text_at(sent, "comment", "parentID")[:ID_LENGTH])
    return Submission(
        content=storable(content),
        permalink=masked(_text_at(sent, "story", "url")[:URL_LENGTH]),
        parent_id=parent,
        type=CommentType.REPLY if parent else CommentType.COMMENT,
    )


def _at(sent: object, *path: str) -> object:
    for name in path:
        sent = sent.get(name) if isinstance(sent, dict) else None
    return sent


def _text_at(sent: object, *path: str) -> str:
    found = _at(sent, *path)
    return found if isinstance(found, str) else ""


def spoken(verdict: Verdict, choices: CoralChoices) -> Response:
    """A verdict in Coral's words, as the site chose them, and which head has spoken."""
    if verdict.outcome is Outcome.ACCEPT:
        if choices.accept is AcceptSpoken.ABSTAIN:
            return Response(status_code=204)
        return _told({"status": choices.accept.value.upper()})
    is_reject = verdict.outcome is Outcome.REJECT
    told: dict[str, object] = {"status": "REJECTED" if is_reject else choices.queue.value.upper()}
    flags = [
        {"actionType": "FLAG", "reason": reason}
        for head, reason in _FLAGS.items()
        if any(said.code.startswith(f"score.{head.value}") for said in verdict.reasons)
    ]
    return _told(told | ({"actions": flags} if flags else {}))


def withheld(headers: dict[str, str] | None = None) -> Response:
    """What is said when there is no verdict: after an error Coral would go on and may publish."""
    return _told({"status": WithheldSpoken.SYSTEM_WITHHELD.value.upper()}, headers)


def _told(body: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body).encode(), headers=headers, media_type="application/json")


_STRANGERS = frozenset({401, 404, 405})
_KEPT_HEADERS = frozenset({"retry-after", "connection"})


def refusal(_: Scope, status: int, headers: dict[str, str]) -> Response | None:
    """What is said in the place of a problem: nobody but a stranger gets one."""
    if status in _STRANGERS:
        return None
    kept: dict[str, str] = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    return withheld(kept)
