"""What schemathesis is told beside the description: the keys and signatures of each door.

Loaded by schemathesis, in a Python of its own. One request in sixteen goes out without, so that
each door is also tried by strangers.
"""

import atexit
import hmac
import json
import os
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import schemathesis  # type: ignore[import-not-found,unused-ignore]

SITE = json.loads(os.environ["DOORS_SITE"])
FORM = urlencode({"api_key": SITE["akismet_key"], "blog": SITE["home"]})
SIGNATURE = "X-Coral-Signature"
EVERY = 16
SENT = count()

COUNTS: defaultdict[str, Counter[int]] = defaultdict(Counter)
"""How often each operation was answered with each status."""


@atexit.register
def _tell_counts() -> None:
    Path(os.environ["DOORS_COUNTS"]).write_text(json.dumps(COUNTS), "utf-8")


def called(request: Any) -> Any:
    """A request as the site itself sends it, signed as late as that is possible."""
    path, body = request.path_url, _bytes_of(request.body)
    if next(SENT) % EVERY == EVERY - 1:
        for credential in ("Authorization", "X-Goog-Api-Key", SIGNATURE):
            request.headers.pop(credential, None)
    elif path.startswith(("/1.1/", "/1.2/")):
        _give_form_key(request, body)
    elif SIGNATURE in request.headers:
        made = hmac.digest(SITE["coral_secret"].encode(), body, "sha256").hex()
        request.headers[SIGNATURE] = f"sha256={made}"
    return request


def _give_form_key(request: Any, body: bytes) -> None:
    if request.method == "GET":
        request.url += f"{'&' if '?' in request.url else '?'}{FORM}"
        return
    kind = request.headers.get("Content-Type")
    request.prepare_body(FORM.encode() + b"&" + body, None)
    if kind is not None:
        request.headers["Content-Type"] = kind


def _bytes_of(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return body or b""


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    kwargs["auth"] = called


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    """Mostly things that there are: what is not found says little."""
    if path_parameters is not None:
        for name in path_parameters.keys() & {"site_id", "comment_id"}:
            known, sent = SITE[name], str(path_parameters[name])
            if len(sent) % EVERY:
                path_parameters[name] = known[len(sent) % len(known)]
    return path_parameters


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_body(context: Any, body: Any) -> Any:
    """Mostly comments that get to be judged: what is refused for its form goes no further."""
    path = context.operation.path
    if not isinstance(body, dict) or len(body) % 8 == 7:
        return body
    if path == "/v1/comments":
        _fill(body, "content")
        author = body.get("author")
        if isinstance(author, dict):
            author |= {"email": "lan@gmail.com", "url": "", "ip": "203.0.113.7"}
    elif path.startswith("/v1alpha1/"):
        comment = body.get("comment") or {}
        if isinstance(comment, dict):
            _fill(comment, "text")
            body["comment"] = comment
        for asked, whole in (("requestedAttributes", {}), ("attributeScores", SUGGESTED)):
            if body.get(asked) in ({}, None) and path.endswith(SENT_TO[asked]):
                body[asked] = {"SPAM": whole}
    return body


SUGGESTED = {"summaryScore": {"value": 0.75}}
SENT_TO = {"requestedAttributes": "analyze", "attributeScores": "suggestscore"}


def _fill(body: dict[str, Any], field: str) -> None:
    if not str(body.get(field) or "").strip():
        body[field] = "Cảm ơn tác giả."


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def after_call(context: Any, case: Any, response: Any) -> None:
    COUNTS[case.operation.label][response.status_code] += 1


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def status_is_named(ctx: Any, response: Any, case: Any) -> None:
    """Stricter than schemathesis' own: `default` is for what nobody foresaw."""
    named = {*case.operation.responses.status_codes} | {"405"}
    if str(response.status_code) not in named:
        raise AssertionError(f"{response.status_code} is not named; {sorted(named)} are")
