"""How the same comment is said to each door, and what each door says of a verdict.

Knows the wire forms, written here a second time and from the outside. A comment is a body as
`POST /v1/comments` takes it.
"""

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html.entities import name2codepoint
from typing import Any
from urllib.parse import quote_plus

import httpx

from model.outcome import Outcome
from model.verdict import Verdict
from service.storage import Site

Body = Mapping[str, Any]

HOME = "https://news.example.com"
CORAL_SECRET = "2c1b0d5f-the-phase-s-own"
WORDPRESS = "WordPress/6.9 | Akismet/5.6"

_WORDS = {Outcome.ACCEPT: "accept", Outcome.QUEUE: "queue", Outcome.REJECT: "reject"}
_AKISMET = {Outcome.ACCEPT: "false", Outcome.QUEUE: "held", Outcome.REJECT: "true"}
_CORAL = {Outcome.ACCEPT: None, Outcome.QUEUE: "SYSTEM_WITHHELD", Outcome.REJECT: "REJECTED"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a door answered: its words, and the id of the comment where it tells that."""

    words: object
    id: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """A site's client: where it calls, and with which keys."""

    http: httpx.Client
    site: Site
    key: str = field(repr=False)
    akismet_key: str = field(default="", repr=False)

    def post(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, content=content, headers=named)


@dataclass(frozen=True, slots=True)
class Door:
    """A way in. `say` posts comments, one by one or all at once, and tells what was answered;
    `words_of` is what should be answered for a verdict."""

    name: str
    say: Callable[[Caller, Sequence[Body]], list[Said]]
    words_of: Callable[[Verdict], object]
    at_once: bool = False


def one_by_one(say: Callable[[Caller, Body], Said]) -> Callable[[Caller, Sequence[Body]], Any]:
    return lambda caller, bodies: [say(caller, body) for body in bodies]


# ------------------------------------------------------------------ its own


def _native(caller: Caller, body: Body) -> Said:
    return _told(caller.post("/v1/comments", _json(body), **_own(caller)).json())


def _native_without_id(caller: Caller, body: Body) -> Said:
    return _native(caller, {name: value for name, value in body.items() if name != "external_id"})


def _batch(caller: Caller, bodies: Sequence[Body]) -> list[Said]:
    answer = caller.post("/v1/comments/batch", _json(bodies), **_own(caller))
    return [_told(item.get("answer", {})) for item in answer.json()["items"]]


def _lines(caller: Caller, bodies: Sequence[Body]) -> list[Said]:
    lines = b"\n".join(map(_json, bodies))
    headers = _own(caller) | {"Content_Type": "application/x-ndjson"}
    answer = caller.post("/v1/comments/batch", lines, **headers)
    return [_told(item.get("answer", {})) for item in answer.json()["items"]]


def _own(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {caller.key}", "Content_Type": "application/json"}


def _told(answer: Mapping[str, Any]) -> Said:
    reasons = [(r["code"], r["field"], r["evidence"]) for r in answer.get("reasons", ())]
    words = (answer.get("verdict"), answer.get("scores"), reasons)
    return Said(words, answer.get("id", ""))


def _native_words(verdict: Verdict) -> object:
    scores = verdict.scores and {"spam": verdict.scores.spam, "toxicity": verdict.scores.toxicity}
    reasons = [(r.code, r.field, r.evidence) for r in verdict.reasons]
    return (_WORDS[verdict.outcome], scores, reasons)


# ------------------------------------------------------------------ Akismet's


def form_of(body: Body, *, plain: Callable[[str], str] = str) -> dict[str, str]:
    """A comment as a form of Akismet's clients, its author's own fields as `plain` has them."""
    author, form = body["author"], body.get("form", {})
    fields = {
        "blog": HOME,
        "blog_lang": body["article"]["language"],
        "user_ip": author["ip"],
        "user_agent": author["user_agent"],
        "permalink": body["permalink"],
        "comment_type": body["type"],
        "comment_author": plain(author["name"]),
        "comment_author_email": plain(author["email"]),
        "comment_author_url": plain(author["url"]),
        "comment_content": plain(body["content"]),
        "comment_parent": body["parent_id"] or "0",
        "comment_post_modified_gmt": body["article"]["published_at"],
        "comment_ID": body["external_id"],
    }
    if form["honeypot"]:
        fields |= {"honeypot_field_name": "leave_empty", "leave_empty": form["honeypot"]}
    filled = round(1000 * form["seconds_to_fill"])
    return fields | {"POST_ak_bib": "1769851800000", "POST_ak_bfs": str(1769851800000 + filled)}


def _akismet(caller: Caller, fields: Mapping[str, str], charset: str = "utf-8") -> Said:
    sent = {"api_key": caller.akismet_key, **fields}
    content = "&".join(
        f"{name}={quote_plus(value, encoding=charset)}" for name, value in sent.items()
    )
    kind = "application/x-www-form-urlencoded"
    answer = caller.post(
        "/1.1/comment-check", content.encode(), Content_Type=kind, User_Agent=WORDPRESS
    )
    return Said(answer.text, answer.headers.get("x-akismet-guid", ""))


def _plain_form(caller: Caller, body: Body) -> Said:
    return _akismet(caller, form_of(body))


def _wordpress_form(caller: Caller, body: Body) -> Said:
    """As WordPress sends a new comment: with PHP's backslashes, and the visitor's form besides."""
    fields = form_of(body, plain=_slashed)
    typed = {"POST_comment": fields["comment_content"], "POST_author": fields["comment_author"]}
    return _akismet(caller, fields | typed | {"REQUEST_URI": "/wp-comments-post.php"})


def _chinese_form(caller: Caller, body: Body) -> Said:
    """In a character set that has all of Unicode and shares with UTF-8 nothing but ASCII."""
    return _akismet(caller, form_of(body) | {"blog_charset": "GB18030"}, "gb18030")


def recheck(caller: Caller, body: Body) -> Said:
    """As WordPress asks again of a comment that it has stored."""
    stored = form_of(body, plain=_stored).items()
    fields = {name: value for name, value in stored if not name.startswith("POST_")}
    return _akismet(caller, fields | {"recheck_reason": "retry"})


def _slashed(text: str) -> str:
    return re.sub(r"([\\'\"])", r"\\\1", text).replace("\0", "\\0")


_KEPT = "a|abbr|acronym|b|blockquote|cite|code|del|em|i|q|s|strike|strong"
_ENTITY = rf"(?:#[0-9]{{1,7}}|#[xX][0-9A-Fa-f]{{1,6}}|apos|{'|'.join(name2codepoint)})"


def _stored(text: str) -> str:
    """A text in WordPress' database: entities whole, only some tags."""
    text = re.sub(rf"&(?!{_ENTITY};)", "&amp;", text)
    return re.sub(rf"<(?!/?(?:{_KEPT})\b)/?[A-Za-z][^<>]*>", "", text)


def _akismet_words(verdict: Verdict) -> object:
    return _AKISMET[verdict.outcome]


def recheck_words(state: Outcome) -> object:
    """What is said of a comment in this state when WordPress asks again."""
    return _AKISMET[state]


# ------------------------------------------------------------------ Coral's, Perspective's


def _as_coral(body: Body) -> dict[str, Any]:
    # An author of its own each: the same bytes in ten minutes are the same request.
    return {
        "action": "NEW",
        "comment": {"body": body["content"], "parentID": body["parent_id"] or None},
        "author": {"id": body["external_id"], "role": "COMMENTER"},
        "story": {"id": "s-1", "url": body["permalink"]},
        "site": {"id": "site-1"},
    }


def _coral(caller: Caller, body: Body) -> Said:
    content = _json(_as_coral(body))
    signature = hmac.digest(CORAL_SECRET.encode(), content, "sha256").hex()
    answer = caller.post(
        f"/coral/v1/external-moderation/{caller.site.id}",
        content,
        X_Coral_Signature=f"sha256={signature}",
        Content_Type="application/json",
    )
    return Said(answer.json()["status"] if answer.status_code == 200 else None)


def _coral_words(verdict: Verdict) -> object:
    return _CORAL[verdict.outcome]


def _perspective(caller: Caller, body: Body) -> Said:
    """Asked twice: first so that nothing is kept of it, then so that it is."""
    passing = _analysed(caller, body, do_not_store=True)
    stored = _analysed(caller, body, do_not_store=False)
    return Said((passing, stored))


def _analysed(caller: Caller, body: Body, *, do_not_store: bool) -> object:
    asked = {
        "comment": {"text": body["content"]},
        "requestedAttributes": {"SPAM": {}, "TOXICITY": {}},
        "doNotStore": do_not_store,
    }
    path = f"/v1alpha1/comments:analyze?key={caller.key}"
    answer = caller.post(path, _json(asked), Content_Type="application/json").json()
    scores = answer.get("attributeScores", {})
    return {name: score["summaryScore"]["value"] for name, score in sorted(scores.items())}


def _perspective_words(verdict: Verdict) -> object:
    assert verdict.scores is not None, "there is a model"
    scores = {"SPAM": verdict.scores.spam, "TOXICITY": verdict.scores.toxicity}
    return (scores, scores)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


# ------------------------------------------------------------------ which compare with which


def whole(body: Body) -> Body:
    """All that a site's own client and Akismet's can say."""
    return body


def text_and_article(body: Body) -> Body:
    """All that is read of Coral's requests: they have no name and no address."""
    kind = "reply" if body["parent_id"] else "comment"
    cut = {name: body[name] for name in ("content", "permalink", "parent_id", "external_id")}
    return cut | {"type": kind}


def text_alone(body: Body) -> Body:
    """All that is read of Perspective's requests."""
    return {"content": body["content"]}


@dataclass(frozen=True, slots=True)
class Group:
    """Doors that are told the same; the first is what the others are held against."""

    fields: Callable[[Body], Body]
    doors: tuple[Door, ...]


GROUPS = (
    Group(
        whole,
        (
            Door("JSON", one_by_one(_native), _native_words),
            Door("JSON, in batches", _batch, _native_words, at_once=True),
            Door("JSON, in batches of lines", _lines, _native_words, at_once=True),
            Door("Akismet, as other clients", one_by_one(_plain_form), _akismet_words),
            Door("Akismet, as WordPress", one_by_one(_wordpress_form), _akismet_words),
            Door("Akismet, in GB18030", one_by_one(_chinese_form), _akismet_words),
        ),
    ),
    Group(
        text_and_article,
        (
            Door("JSON, text and article", one_by_one(_native_without_id), _native_words),
            Door("Coral", one_by_one(_coral), _coral_words),
        ),
    ),
    Group(
        text_alone,
        (
            Door("JSON, text alone", one_by_one(_native), _native_words),
            Door("Perspective", one_by_one(_perspective), _perspective_words),
        ),
    ),
)
RECHECKED = "Akismet, as WordPress"
