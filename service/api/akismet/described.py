"""What OpenAPI says of Akismet's calls: the fields that are read, and what may be answered.

Knows words for people and machines. docs/akismet.md says what becomes of them.
"""

from typing import Any

from service.api.akismet.answers import HAM, HELD, INVALID, SPAM, THANKS

Schema = dict[str, Any]
Answers = dict[int | str, Schema]

TEXT, JSON, CSV = "text/plain", "application/json", "text/csv"

_KEY = {
    "api_key": "The site's key; it may also be the first part of the host's name.",
    "key": "The same; what WordPress calls it when it asks about the key.",
    "blog": "The site's address. It has to be one that the key is for.",
}
_COMMENT = {
    "blog_lang": "The site's languages, commas between; the first counts.",
    "blog_charset": "The character set that the fields are in.",
    "user_ip": "The visitor's IP address.",
    "user_agent": "The visitor's browser.",
    "permalink": "The address of the article.",
    "comment_type": "comment, reply, pingback or trackback; all others are comments.",
    "comment_author": "As typed.",
    "comment_author_email": "As typed. Never shown, stored encrypted.",
    "comment_author_url": "As typed.",
    "comment_content": "The comment.",
    "comment_parent": "The site's id of the comment this one answers.",
    "comment_post_modified_gmt": "When the article was changed, ISO 8601.",
    "comment_ID": "The site's own id of this comment.",
    "comment_context": "Words on what was commented on; also as comment_context[].",
    "honeypot_field_name": "The name of a field that people do not see.",
    "user_role": "The visitor's roles on the site, commas between.",
    "recheck_reason": "Why it is asked again; the first verdict comes again.",
    "callback": "Where a late verdict is to be told; only addresses that the site registered.",
    "is_test": "1 or true: it is judged and leaves nothing behind.",
    "test_discard": "1 or true, with is_test: certain spam is answered as to be discarded.",
}
_STATS = {"from": "60-days, 6-months or all."}
_USAGE = {"extended": "1 or true for more members."}
_SITES = {
    "month": "As in 2026-01; this month if none.",
    "filter": "What a site's address has to contain.",
    "format": "csv, else JSON.",
    "order": "total, spam, ham, missed_spam or false_positives.",
    "limit": "The most sites to tell.",
    "offset": "How many to leave out first.",
}


def _form(fields: dict[str, str]) -> Schema:
    named = {name: {"type": "string", "description": said} for name, said in fields.items()}
    schema = {"type": "object", "properties": named, "additionalProperties": {"type": "string"}}
    return {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}}


def _query(fields: dict[str, str]) -> Schema:
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}, "description": said}
            for name, said in fields.items()
        ]
    }


FIELDS = {
    "/1.1/verify-key": _KEY,
    "/1.1/deactivate": _KEY,
    "/1.1/token": _KEY,
    "/1.1/get-subscription": _KEY,
    "/1.1/comment-check": _KEY | _COMMENT,
    "/1.1/submit-spam": _KEY | _COMMENT,
    "/1.1/submit-ham": _KEY | _COMMENT,
    "/1.1/get-stats": _KEY | _STATS,
    "/1.2/get-key-stats": _KEY | _STATS,
    "/1.2/usage-limit": _KEY | _USAGE,
    "/1.2/key-sites": _KEY | _SITES,
}
"""What is read by each call, and what it is."""


def fields_of(method: str, path: str) -> Schema | None:
    """What is read by a call: a form, or a query of the same fields; None for nothing."""
    fields = FIELDS.get(path)
    if fields is None:
        return None
    return _form(fields) if method == "POST" else _query(fields)


def _words(*words: str) -> Schema:
    return {TEXT: {"schema": {"type": "string", "enum": [*words]}}}


_REFUSED = _words(INVALID)
_OBJECT = {JSON: {"schema": {"type": "object"}}}
_LATER: Schema = {"description": "One line of text: it cannot be done now.", "content": {TEXT: {}}}

_ANSWERED: dict[str, Schema] = {
    "/1.1/verify-key": _words("valid", INVALID),
    "/1.1/deactivate": _words("deactivated", INVALID),
    "/1.1/token": {TEXT: {"schema": {"type": "string"}}},
    "/1.1/comment-check": _words(SPAM, HAM, INVALID, HELD),
    "/1.1/submit-spam": _words(THANKS, INVALID),
    "/1.1/submit-ham": _words(THANKS, INVALID),
    "/1.1/test": _words("connected"),
    "/1.2/compatible-plugins": {JSON: {"schema": {"type": "array", "maxItems": 0}}},
    "/1.2/key-sites": _REFUSED | _OBJECT | {CSV: {"schema": {"type": "string"}}},
}


def answers_of(path: str) -> Answers:
    """What a call may be answered."""
    answered = {
        "description": "The answer, or that the key or the site's address is wrong.",
        "content": _ANSWERED.get(path, _REFUSED | _OBJECT),
    }
    if path not in FIELDS:
        return {200: {**answered, "description": "The answer."}}
    if path == "/1.1/comment-check":
        # Whatever goes wrong: an error would have clients publish the comment.
        return {200: {**answered, "description": "The verdict, or one that publishes nothing."}}
    later: Answers = dict.fromkeys((400, 408, 413, 415, 500, 503), _LATER)
    return {200: answered} | later
