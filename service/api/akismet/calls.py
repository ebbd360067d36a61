"""A call of an Akismet client, as the rest of the service understands it.

Knows the names of fields and what WordPress does to texts on the way. Answers nothing.
"""

import html
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from model.form import without_tags
from model.submission import Article, Author, CommentType, FormFacts, Submission
from service.api.akismet.forms import Form
from service.keyring import normal_address
from service.storage import home_of

CERTAIN_SPAM = frozenset({"akismet-guaranteed-spam", "viagra-test-123"})
"""Names that are spam by agreement, so that a site can see what that does."""

CERTAIN_SPAM_ADDRESS = "akismet-guaranteed-spam@example.com"

_TYPES = {kind.value: kind for kind in CommentType}
_SLASHED_BY = ("wp-comments-post.php", "wp-trackback.php")
_SLASH = re.compile(r"\\(.?)", re.DOTALL)
_NO_LETTER = re.compile(r"[\W_]+")
_LONGEST = 2000
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
    kind = (form["comment_type"] or form["content_type"]).strip().lower()
    submission = Submission(
        content=_storable(content),
        author=Author(
            name=_storable(name),
            email=_storable(email),
            url=_storable(plain(form["comment_author_url"])),
            ip=form["user_ip"].strip()[:100],
            user_agent=_storable(form["user_agent"])[:1000],
        ),
        permalink=_storable(form["permalink"])[:_LONGEST],
        article=Article(
            language=_language(form["blog_lang"]),
            published_at=_moment(form["comment_post_modified_gmt"]),
        ),
        parent_id="" if form["comment_parent"] in ("", "0") else form["comment_parent"][:255],
        type=_TYPES.get(kind, CommentType.COMMENT),
        form=FormFacts(
            honeypot=(form["POST_ak_hp_textarea"] or form["honeypot"])[:1000],
            seconds_to_fill=_seconds(form["POST_ak_bib"], form["POST_ak_bfs"]),
        ),
        external_id=_storable(form["comment_ID"])[:255],
    )
    certain = {name.strip().lower()} & CERTAIN_SPAM or email.strip() == CERTAIN_SPAM_ADDRESS
    return Call(
        submission=replace(submission, parent_id=_storable(submission.parent_id)),
        home=_storable(home_of(form["blog"])),
        match="\0".join((_letters(content), _letters(name), normal_address(email))),
        callback=_storable(form["callback"])[:_LONGEST],
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
    return _SLASH.sub(lambda found: "\0" if found[1] == "0" else found[1], text)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _letters(text: str) -> str:
    """What is the same of a text as typed, as stored by WordPress and as shown."""
    return _NO_LETTER.sub("", without_tags(html.unescape(text))).casefold()


def _language(sent: str) -> str:
    first = sent.split(",", maxsplit=1)[0].strip().replace("_", "-")
    return first if re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,3}", first) else ""


def _moment(sent: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(sent.strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _seconds(begun: str, sent: str) -> float | None:
    """How long the form was being filled in, by the milliseconds that a script noted."""
    try:
        seconds = (int(sent) - int(begun)) / 1000
    except ValueError:
        return None
    return seconds if 0 <= seconds <= _LONGEST_FILLING else None
