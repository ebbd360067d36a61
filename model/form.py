"""The form's rules: what a site's comment form accepts, and what the visitor is told.

After WordPress' own comment form, all errors at once. Knows the fields and a site's form
rules; asks nobody else whether they are true. `docs/form.md` says where we differ and why.
"""

import re
from dataclasses import dataclass, replace

from model.addresses import AddressProblem, read_address
from model.language import LANGUAGES
from model.links import UrlProblem, read_url
from model.policy import FormRules
from model.submission import CommentType, Submission

NAME, EMAIL, URL, CONTENT = "author.name", "author.email", "author.url", "content"

# What each field can be told; every pair has its sentence in every language.
CODES: tuple[tuple[str, str], ...] = (
    (NAME, "required"),
    (NAME, "too_long"),
    (EMAIL, "required"),
    (EMAIL, "invalid_email"),
    (EMAIL, "reserved_domain"),
    (EMAIL, "undeliverable_email"),
    (EMAIL, "too_long"),
    (URL, "required"),
    (URL, "invalid_url"),
    (URL, "url_scheme"),
    (URL, "url_credentials"),
    (URL, "too_long"),
    (CONTENT, "required"),
    (CONTENT, "too_long"),
)
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class FieldError:
    """Why a field was refused. Holds nothing of what was typed."""

    field: str
    code: str


# ------------------------------------------------------------------ preparing


# What draws nothing, as the inside of a character class: Unicode's format characters (less the
# few that are visible signs), variation selectors, fillers, the blank Braille cell.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# NUL is white space to PHP's trim, the rest is Unicode's.
_WHITE = "\0" + "".join(chr(n) for n in range(0x3001) if chr(n).isspace())
_BLANK = re.compile(rf"[\s\x00-\x1f\x7f-\x9f{INVISIBLE}]*")
# As browsers read it: a letter, or one of / ! ?, must follow at once; "<--" and "<3" are text.
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>?|<>")


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing: only white space, control and invisible characters."""
    if "!" <= text[:1] <= "~":  # true of most texts, and far cheaper
        return False
    return _BLANK.fullmatch(text) is not None


def without_tags(text: str) -> str:
    """The text less its HTML tags, what stands between them kept.

    "<3", "<--" and "a < b" are no tags (PHP's `strip_tags`, which WordPress uses, cuts the text at
    "<3"). Nothing left over can be read as a tag.
    """
    if "<" not in text:
        return text
    stripped = _TAG.sub("", text)
    if _TAG.search(stripped):  # "<<b>b>": taking the inner one made an outer one
        return stripped.replace("<", "")
    return stripped


def prepared(submission: Submission) -> Submission:
    """The submission as the form reads it: trimmed, the name without tags.

    Trims all Unicode white space (WordPress: ASCII only); a field in which nothing is visible
    becomes empty. Preparing twice is the same as once.
    """
    author, content = submission.author, _trimmed(submission.content)
    name, email, url = (
        _trimmed(without_tags(author.name)),
        _trimmed(author.email),
        _trimmed(author.url),
    )
    if (name, email, url) != (author.name, author.email, author.url):
        author = replace(author, name=name, email=email, url=url)
    elif content == submission.content:
        return submission
    return replace(submission, content=content, author=author)


def _trimmed(text: str) -> str:
    trimmed = text.strip(_WHITE)
    return "" if is_blank(trimmed) else trimmed


# ------------------------------------------------------------------ checking


def form_errors(
    submission: Submission, rules: FormRules, *, takes_mail: bool | None = None
) -> tuple[FieldError, ...]:
    """Everything the form refuses, in WordPress' order; empty when it accepts.

    `submission` is prepared. `takes_mail` is what DNS says of the address' domain, None when
    it has not been asked or has not answered; only False counts, and only if the rules ask.
    Pingbacks and trackbacks need no name and have no address.
    """
    is_ping = submission.type in (CommentType.PINGBACK, CommentType.TRACKBACK)
    takes_mail = takes_mail if rules.check_deliverability else None
    email_problem = "" if is_ping else _email_problem(submission.author.email, takes_mail)
    found = [
        *_missing(submission, rules, is_ping=is_ping),
        (EMAIL, email_problem),
        (URL, _url_problem(submission.author.url)),
        (CONTENT, "required" if is_blank(without_tags(submission.content)) else ""),
        *_too_long(submission, rules, is_ping=is_ping),
    ]
    return tuple(FieldError(field, code) for field, code in found if code)


def _missing(submission: Submission, rules: FormRules, *, is_ping: bool) -> list[tuple[str, str]]:
    author = submission.author
    wanted = (
        (NAME, author.name, rules.require_name and not is_ping),
        (EMAIL, author.email, rules.require_email and not is_ping),
        (URL, author.url, rules.require_url),
    )
    return [(field, "required") for field, text, is_wanted in wanted if is_wanted and not text]


def _email_problem(email: str, takes_mail: bool | None) -> str:
    if not email:
        return ""
    try:
        read_address(email)
    except AddressProblem as problem:
        return problem.code
    return "undeliverable_email" if takes_mail is False else ""


def _url_problem(url: str) -> str:
    # Sites' forms often come pre-filled with the scheme; leaving it is leaving the field empty.
    if not url or url in ("http://", "https://"):
        return ""
    try:
        read_url(url)
    except UrlProblem as problem:
        return problem.code
    return ""


def _too_long(submission: Submission, rules: FormRules, *, is_ping: bool) -> list[tuple[str, str]]:
    author = submission.author
    limits = (
        (NAME, author.name, rules.max_name_bytes),
        (EMAIL, "" if is_ping else author.email, rules.max_email_bytes),
        (URL, author.url, rules.max_url_bytes),
        (CONTENT, submission.content, rules.max_content_bytes),
    )
    # No character takes more than four bytes.
    return [
        (field, "too_long")
        for field, text, limit in limits
        if 4 * len(text) > limit and _bytes_of(text) > limit
    ]


def _bytes_of(text: str) -> int:
    # A lone surrogate has no UTF-8; count what it would be stored as (U+FFFD, three bytes too).
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


# ------------------------------------------------------------------ telling the visitor


def message(code: str, field: str, lang: str) -> str:
    """What the visitor reads of an error, in `lang`, or in English if that is not known.

    Raises KeyError for a pair of field and code that is not in `CODES`.
    """
    language = LANGUAGES.get(lang) or LANGUAGES[DEFAULT_LANGUAGE]
    return language.messages[f"{field} {code}"]


_LONGEST_HEADER = 1000
_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*")


def visitor_language(accept_language: str, article_language: str) -> str:
    """The language to speak to the visitor, one of `LANGUAGES`.

    First what `Accept-Language` (RFC 9110) prefers, then the article's language (BCP 47), then
    English. Garbage in either is as if it were missing.
    """
    wanted = _by_preference(accept_language[:_LONGEST_HEADER])
    for tag in [*wanted, article_language]:
        language = tag.strip().lower().replace("_", "-").partition("-")[0]
        if language in LANGUAGES:
            return language
    return DEFAULT_LANGUAGE


def _by_preference(header: str) -> list[str]:
    weighed: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, parameter = part.partition(";")
        quality = _QUALITY.fullmatch(parameter) if parameter else None
        if parameter and not quality:
            continue
        weight = float(quality.group(1)) if quality else 1.0
        if weight > 0:
            weighed.append((weight, tag))
    return [tag for _, tag in sorted(weighed, key=lambda entry: -entry[0])]
