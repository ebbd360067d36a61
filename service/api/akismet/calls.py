"""A call of an Akismet client, as the rest of the service understands it.

Knows the names of fields and what WordPress does to texts on the way. Answers nothing.
"""

import html
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.entities import name2codepoint

from model.form import without_tags
from model.submission import Article, Author, CommentType, FormFacts, Submission
from service.api.akismet.forms import Form
from service.api.fields import (
    ID_LENGTH,
    URL_LENGTH,
    USER_AGENT_LENGTH,
    ip_of,
    masked,
    masked_url,
    storable,
)
from service.keyring import normal_address
from service.storage import home_of

CERTAIN_SPAM = frozenset({"akismet-guaranteed-spam", "viagra-test-123"})
"""Names that are spam by agreement, so that a site can see what that does."""

CERTAIN_SPAM_ADDRESS = "akismet-guaranteed-spam@example.com"

_TYPES = {kind.value: kind for kind in CommentType}
_SLASHED_BY = ("wp-comments-post.php", "wp-trackback.php")
_SLASH = re.compile(r"\\(.?)", re.DOTALL)
# What WordPress leaves as it is; of any other it stores the "&" as "&amp;". A browser sees more:
# "&reg" in "?a=1&region=2".
_ENTITY = re.compile(
    rf"&(?:#[0-9]{{1,7}}|#[xX][0-9A-Fa-f]{{1,6}}|{'|'.join(sorted({*name2codepoint, 'apos'}))});"
)
_LETTERS = re.compile(r"[^\W_]+")
_NO_LETTERS_OF_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())
_TAG = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,3}")
_LONGEST_FILLING = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Call:
    """One comment-check or report.

    `home` is the site's address as it names it, in one spelling. `match` is what the same
    comment has in common in all spellings that a client sends it in.
    """

    submission: Submission = field(repr=False)
    home: str
    match: str = field(repr=False)
    callback: str = field(repr=False)
    is_test: bool
    wants_discard: bool
    is_recheck: bool
    is_certain_spam: bool
    is_administrator: bool


def call_of(form: Form) -> Call:
    """What a form says. Takes whatever there is: a site's visitors fill part of it."""
    plain = _unslashed if _is_slashed(form) else str
    name, content = plain(form["comment_author"]), plain(form["comment_content"])
    email = plain(form["comment_author_email"])
    parent = form["comment_parent"]
    kind = (form["comment_type"] or form["content_type"]).strip().lower()
    submission = Submission(
        content=storable(content),
        author=Author(
            name=storable(name),
            email=storable(email),
            url=masked_url(plain(form["comment_author_url"])),
            ip=ip_of(form["user_ip"]) or "",
            user_agent=masked(form["user_agent"][:USER_AGENT_LENGTH]),
        ),
        permalink=masked(form["permalink"][:URL_LENGTH]),
        article=Article(
            language=_language(form["blog_lang"]),
            published_at=_moment(form["comment_post_modified_gmt"]),
        ),
        parent_id="" if parent == "0" else masked(parent[:ID_LENGTH]),
        type=_TYPES.get(kind, CommentType.COMMENT),
        form=FormFacts(
            honeypot=masked((form["POST_ak_hp_textarea"] or form["honeypot"])[:USER_AGENT_LENGTH]),
            seconds_to_fill=_seconds(form["POST_ak_bib"], form["POST_ak_bfs"]),
        ),
        external_id=masked(form["comment_ID"][:ID_LENGTH]),
    )
    certain = {name.strip().lower()} & CERTAIN_SPAM or email.strip() == CERTAIN_SPAM_ADDRESS
    return Call(
        submission=submission,
        home=storable(home_of(form["blog"])),
        match="\0".join((_letters(content), _letters(name), normal_address(email))),
        callback=storable(form["callback"])[:URL_LENGTH],
        is_test=is_set(form["is_test"]),
        wants_discard=is_set(form["test_discard"]),
        is_recheck=bool(form["recheck_reason"]) or is_set(form["akismet_pre_check"]),
        is_certain_spam=bool(certain),
        is_administrator="administrator" in form["user_role"].replace(" ", "").split(","),
    )


def is_set(value: str) -> bool:
    """Whether a flag is on, in any of the spellings there are: 1, true, 0, false, nothing."""
    return value.strip().lower() in {"1", "true"}


def _is_slashed(form: Form) -> bool:
    if any(script in form["REQUEST_URI"] for script in _SLASHED_BY):
        return True
    return "POST_comment" in form and form["POST_comment"] == form["comment_content"] != ""


def _unslashed(text: str) -> str:
    """A text without the backslashes that PHP puts before quotes, backslashes and NUL."""
    if "\\" not in text:
        return text
    return _SLASH.sub(lambda found: "\0" if found[1] == "0" else found[1], text)


def _letters(text: str) -> str:
    """What is the same of a text as typed, as stored by WordPress and as shown."""
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    plain = without_tags(text)
    if plain.isascii():  # the same, in half the time
        return plain.encode().translate(None, _NO_LETTERS_OF_ASCII).decode().lower()
    return "".join(_LETTERS.findall(plain)).casefold()


def _language(sent: str) -> str:
    first = sent.split(",", maxsplit=1)[0].strip().replace("_", "-")
    return first if _TAG.fullmatch(first) else ""


def _moment(sent: str) -> datetime | None:
    if not sent:
        return None
    try:
        found = datetime.fromisoformat(sent.strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _seconds(begun: str, sent: str) -> float | None:
    """How long the form was being filled in, by the milliseconds that a script noted."""
    if not (begun and sent):
        return None
    try:
        seconds = (int(sent) - int(begun)) / 1000
    except (ValueError, OverflowError):  # of thousands of digits, or of hundreds
        return None
    return seconds if 0 <= seconds <= _LONGEST_FILLING else None
