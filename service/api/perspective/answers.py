"""What Perspective's clients are told: scores in its shape, errors in Google's.

No error repeats what was sent, except names of attributes that the protocol itself has.
"""

import json
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Scope

from model.outcome import Scores
from service.api.perspective.calls import MEASURED, Analysis

PREFIX = "/v1alpha1/"

_MEDIA_TYPE = "application/json; charset=UTF-8"
_ERROR_TYPE = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
_KEPT_HEADERS = ("retry-after", "allow", "connection")

_STATUSES: Mapping[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "The request cannot be read."),
    404: ("NOT_FOUND", "There is no such method."),
    405: ("UNIMPLEMENTED", "The method is called with POST."),
    408: ("DEADLINE_EXCEEDED", "The request took too long to arrive."),
    413: ("INVALID_ARGUMENT", "The comment is too long."),
    415: ("INVALID_ARGUMENT", "The body must be JSON that is not compressed."),
    429: ("RESOURCE_EXHAUSTED", "The site sends more comments than it may."),
    503: ("UNAVAILABLE", "The service cannot answer now."),
}
_UNFORESEEN = ("INTERNAL", "Something broke inside the service.")


class Refused(Exception):
    """A call that is answered with an error. `message` holds nothing that was sent."""

    def __init__(self, message: str, *, error_type: str = "", code: int = 400, status: str = ""):
        super().__init__(message)
        self.message = message
        self.error_type = error_type
        self.code = code
        self.status = status or "INVALID_ARGUMENT"

    def response(self) -> Response:
        """The error as Google's services tell it."""
        return _error(self.code, self.status, self.message, self.error_type)


def no_key() -> Refused:
    """What a call without a key is told."""
    why = "A key is missing: send the site's key as `key` in the query or as X-Goog-Api-Key."
    return Refused(why, code=403, status="PERMISSION_DENIED")


def wrong_key() -> Refused:
    """What a call with an unknown key is told."""
    return Refused("API key not valid: `duyet sites list` shows how each site's keys begin.")


def unmeasured(attribute: str) -> Refused:
    """What a call for an attribute is told that nothing here measures.

    Only a name that the protocol has may be given; "" for any other.
    """
    named = f"The attribute {attribute}" if attribute else "A requested attribute"
    measured = " and ".join(MEASURED)
    why = f"{named} is not measured here, and no score is made up: {measured} are."
    return Refused(why, error_type="INVALID_REQUEST")


def refusal(_: Scope, status: int, headers: dict[str, str]) -> Response | None:
    """What is said in the place of a problem."""
    name, message = _STATUSES.get(status, _UNFORESEEN)
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    kind = "COMMENT_TOO_LONG" if status == 413 else ""
    return _error(status, name, message, kind, kept)


def _error(
    code: int,
    status: str,
    message: str,
    error_type: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    error: dict[str, object] = {"code": code, "message": message, "status": status}
    if error_type:
        error["details"] = [{"@type": _ERROR_TYPE, "errorType": error_type}]
    return _response({"error": error}, code=code, headers=headers)


def analysed(analysis: Analysis, scores: Scores, detected: str) -> Response:
    """The scores of the attributes that were asked for, but those below their thresholds.

    A head scores a comment as a whole, so there is one span, of all of it, counted in UTF-16
    as the protocol does. `detected` is the language, "" where none was found.
    """
    end = len(analysis.text.encode("utf-16-le", "surrogatepass")) // 2
    told = {}
    for attribute, threshold in analysis.attributes.items():
        score = {"value": scores.of(MEASURED[attribute]), "type": "PROBABILITY"}
        if scores.of(MEASURED[attribute]) >= threshold:
            span = {"begin": 0, "end": end, "score": score}
            told[attribute] = {"spanScores": [span], "summaryScore": score}
    found = [detected] if detected else []
    body: dict[str, object] = {"attributeScores": told}
    if languages := list(analysis.languages) or found:
        body["languages"] = languages
    if found:
        body["detectedLanguages"] = found
    return _response(body | _token(analysis.client_token))


def noted(client_token: str) -> Response:
    """What is said of a suggestion that became a report."""
    return _response(_token(client_token))


def _token(client_token: str) -> dict[str, object]:
    return {"clientToken": client_token} if client_token else {}


def _response(
    body: Mapping[str, object], *, code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    told = {"Cache-Control": "no-store", **(headers or {})}
    text = json.dumps(body).encode()
    return Response(text, status_code=code, headers=told, media_type=_MEDIA_TYPE)
